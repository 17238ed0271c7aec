"""What is ours, from what was remembered and what main.cf shows: told apart after a crash, adopted when the record is lost.

In: the record's file (memory). Out: what is written to main.cf (writer).
"""

from __future__ import annotations

import asyncio

import structlog

from pwmtad.adapters.postfix_writer.main_cf_file import ConfigFiles
from pwmtad.adapters.postfix_writer.memory import Memory, StateError
from pwmtad.core.main_cf_edit import MainCf, adopted, settled
from pwmtad.model.target import Owned, Remembered

_log = structlog.get_logger()


class Record:
    """The one record of this instance. What can't be saved is still known as long as this process lives."""

    def __init__(self, memory: Memory, files: ConfigFiles) -> None:
        self._memory = memory
        self._files = files
        self._remembered: Remembered | None = None
        self._saved: Remembered | None = None
        self._doubt = ""

    def owned(self, main: MainCf) -> Owned:
        """Return what is ours now."""
        if self._remembered is None:
            self._remembered = self._load(main)
        return settled(self._remembered, main.values)

    def told_doubt(self) -> str | None:
        """Return, once, what is not known of our own doing."""
        doubt, self._doubt = self._doubt, ""
        return doubt or None

    async def remember(self, remembered: Remembered) -> str | None:
        """Remember durably; return what failed."""
        self._remembered = remembered
        if remembered == self._saved:
            return None
        try:
            await asyncio.to_thread(self._memory.save, remembered)
        except StateError as error:
            return str(error)
        self._saved = remembered
        return None

    async def keep_before(self, owned: Owned, wanted: Owned) -> str | None:
        """Keep main.cf as it is, for people, before the first change of all; return what failed."""
        if owned.prior or owned.written or not wanted.prior:
            return None
        try:
            content = await asyncio.to_thread(self._files.read)
            await asyncio.to_thread(self._memory.keep_before, content)
        except StateError as error:
            return str(error)
        except OSError as error:
            return f"main.cf can't be kept: {error.strerror or error}"
        return None

    def _load(self, main: MainCf) -> Remembered:
        found: Remembered | None = None
        lost: list[str] = []
        try:
            found = self._memory.load()
        except StateError as error:
            lost = [str(error), self._set_aside()]
        if found is not None:
            self._saved = found
            return found
        owned, text = adopted(main)
        if text and not lost:
            lost = ["there is no record of what is pwmtad's in main.cf, though there is some of it"]
        if lost:
            self._doubt = "; ".join([*lost, *([text] if text else [])])
            _log.error("record_lost", problem=self._doubt)
        return Remembered(owned)

    def _set_aside(self) -> str:
        try:
            return f"it is kept as {self._memory.set_aside()}"
        except StateError as error:
            return str(error)
