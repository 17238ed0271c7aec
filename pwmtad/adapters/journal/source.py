"""The journal as an asynchronous source of batches."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Final

from pwmtad.adapters.journal import command as arguments
from pwmtad.adapters.journal import trouble
from pwmtad.adapters.journal.process import Process, start
from pwmtad.adapters.journal.reading import Phase, Reading
from pwmtad.model.sources import Batch, Checkpoint, JournalEntry

_MAX_ENTRIES: Final = 1000
"""Entries a batch; some 300 KiB."""
_SIGN_OF_LIFE_S: Final = 0.5
"""With nothing to say. The port asks for one a second."""
_SILENCE_S: Final = 60.0
"""A following journalctl that has been silent for so long is replaced: it does not notice journal files that appear where there
were none, and a hanging one looks like silence. Two starts take 18 ms of processor time (own measurement)."""
_PATIENCE_S: Final = 30.0
"""A journalctl that should be showing entries, but shows none for so long, hangs."""
_FIRST_PAUSE_S: Final = 0.2
_LONGEST_PAUSE_S: Final = 10.0
"""Before journalctl is started again; doubled each time. Own choice: a missing permission is put right by people."""
_GOOD_RUN_S: Final = 10.0
"""After running for so long, or after an entry, the next pause is the first again."""


class JournalSource:
    """Follows the entries of one systemd unit and delivers each once, with journald's word that it dropped some of them
    (tag `systemd-journald`).

    A unit that does not exist is silence: the journal knows only entries. Without a checkpoint it begins with the oldest entry.
    journald tells its readers of new entries at most four times a second; nothing is added to that. `directory` reads the
    journal files there, of any machine, instead of this machine's.
    """

    def __init__(
        self,
        unit: str,
        *,
        name: str,
        directory: str | None = None,
        command: str = "journalctl",
        silence_s: float = _SILENCE_S,
        patience_s: float = _PATIENCE_S,
    ) -> None:
        self._unit = unit
        self._name = name
        self._directory = directory
        self._command = command
        self._silence_s = silence_s
        self._patience_s = patience_s

    @property
    def name(self) -> str:
        """Stable name: the key of its checkpoint."""
        return self._name

    async def batches(self, checkpoint: Checkpoint | None) -> AsyncGenerator[Batch, None]:
        """As `LogSource.batches`. Close it (`contextlib.aclosing`) to end journalctl."""
        loop = asyncio.get_running_loop()
        machine_id = await asyncio.to_thread(_machine_id) if self._directory is None else None
        matched = arguments.matches(self._unit, machine_id)
        reading = Reading(self._unit, checkpoint)
        pause_s = _FIRST_PAUSE_S
        while True:
            begun_at, begun_with = loop.time(), reading.checkpoint
            async with aclosing(self._run(reading, matched)) as batches:
                async for batch in batches:
                    yield batch
            if reading.phase is Phase.FOLLOW:
                yield self._batch(reading, [], caught_up=True)
            if not reading.failed:
                continue
            yield self._batch(reading, [], caught_up=False)
            if reading.checkpoint != begun_with or loop.time() - begun_at >= _GOOD_RUN_S:
                pause_s = _FIRST_PAUSE_S
            # Jitter, for the hosts of a fleet whose journald stumbled at once.
            until = loop.time() + pause_s * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            while (left := until - loop.time()) > 0:
                await asyncio.sleep(min(left, _SIGN_OF_LIFE_S))
                yield self._batch(reading, [], caught_up=False)

    async def _run(self, reading: Reading, matched: tuple[str, ...]) -> AsyncGenerator[Batch, None]:
        """One journalctl from its start to its end, which `reading` is told of."""
        reading.begin()
        try:
            process = await start(self._command, self._arguments(reading, matched), arguments.ENVIRONMENT)
        except OSError as error:
            reading.fail(trouble.cannot_start(self._command, error))
            return
        try:
            async with aclosing(self._read(process, reading)) as batches:
                async for batch in batches:
                    yield batch
        finally:
            await process.close()

    async def _read(self, process: Process, reading: Reading) -> AsyncGenerator[Batch, None]:
        loop = asyncio.get_running_loop()
        heard_at = told_at = loop.time()
        following = reading.phase is Phase.FOLLOW
        cut = 0
        while not process.ended:
            lines = await process.take(_SIGN_OF_LIFE_S)
            reading.cut(process.cut_lines - cut)
            cut = process.cut_lines
            for first in range(0, max(len(lines), 1), _MAX_ENTRIES):
                records = reading.take(lines[first : first + _MAX_ENTRIES])
                if records or loop.time() - told_at >= _SIGN_OF_LIFE_S:
                    told_at = loop.time()
                    last = first + _MAX_ENTRIES >= len(lines)
                    caught_up = following and last and reading.proven and process.idle and not process.ended
                    yield self._batch(reading, records, caught_up=caught_up)
            if lines:
                heard_at = loop.time()
            elif self._is_too_silent(loop.time() - heard_at, reading):
                return
        reading.ended(process.returncode, process.stderr)

    def _is_too_silent(self, silent_s: float, reading: Reading) -> bool:
        """Tell `reading` if it is, and what that means."""
        if reading.phase is Phase.FOLLOW and reading.proven:
            if silent_s >= self._silence_s:
                reading.renew()
                return True
        elif silent_s >= self._patience_s:
            reading.fail(trouble.silent(silent_s))
            return True
        return False

    def _arguments(self, reading: Reading, matched: tuple[str, ...]) -> tuple[str, ...]:
        if reading.phase is Phase.PROBE:
            return arguments.probe(self._directory)
        return arguments.show(
            directory=self._directory,
            matched=matched,
            cursor=reading.cursor,
            since=reading.since,
            follow=reading.phase is Phase.FOLLOW,
        )

    def _batch(self, reading: Reading, records: list[JournalEntry], *, caught_up: bool) -> Batch:
        return Batch(self._name, records, reading.checkpoint, caught_up, reading.health)


def _machine_id() -> str | None:
    """This machine's id (machine-id(5)); None if it has none yet: then the journal has no other machine's entries either."""
    try:
        text = Path("/etc/machine-id").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return text if len(text) == 32 and text.isalnum() else None
