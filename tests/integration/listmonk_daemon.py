"""A Campaigns at a stand-in: the real adapter over HTTP, a judgement, and a clock that moves with each pass.

The stand-in's clock runs by itself. On a busy machine it gets ahead, which harms nothing; nothing here depends on how long a
pass takes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from pwmtad.adapters.listmonk import ListmonkInstance
from pwmtad.config import ListmonkSettings, Settings, load_settings
from pwmtad.daemon.campaigns import Campaigns
from pwmtad.model.judgement import Record, RecordKind
from pwmtad.model.listmonk import ListmonkMemory
from pwmtad.model.names import StreamName
from tests.tools.judging import START, Run
from tests.tools.listmonk.world import World

NAME: Final = StreamName("trucking")
NOW: Final = START + 8 * 86_400
"""Warmup day 8: 300 an hour."""
TOKEN: Final = "token-of-pwmtad"  # noqa: S105  (the stand-in's)

PATIENCE_S: Final = 90.0
_PAUSE_S: Final = 0.02

_SETTINGS = """
mode = "enforce"
[streams.trucking]
egresses = ["out05"]
ceiling_per_day = 100000
warmup.start = 2026-06-02T00:00:00Z
{ladder}
[streams.trucking.listmonk]
url = "{url}"
user = "{user}"
token_file = "{token_file}"
timeout_s = {timeout_s}
"""


def settings_for(
    listmonk: World, folder: Path, *, token: str = TOKEN, user: str = "pwmtad", timeout_s: float = 30.0, ladder: str = ""
) -> Settings:
    """Return the configuration of a stream whose Listmonk is this stand-in; its token is in a file."""
    file = folder / f"token-{user}"
    file.write_text(f"{token}\n")
    text = _SETTINGS.format(url=listmonk.standin.url, user=user, token_file=file, timeout_s=timeout_s, ladder=ladder)
    settings = load_settings(text.encode(), file="pwmtad.toml")
    assert isinstance(settings, Settings), settings
    return settings


def table(settings: Settings) -> ListmonkSettings:
    """Return the stream's Listmonk."""
    found = settings.streams[NAME].listmonk
    assert found is not None
    return found


class Daemon:
    """What the daemon runs for one instance."""

    def __init__(self, listmonk: World, settings: Settings) -> None:
        self.listmonk = listmonk
        self.settings = settings
        self.run = Run(settings=settings)
        self.store_works = True
        self._passed = 0.0
        self.begin()

    def begin(self) -> None:
        """Start (again) with what the judgement has."""
        self.instance = ListmonkInstance.of(table(self.settings), lambda: 0.5)
        self.campaigns = Campaigns(
            stream=NAME,
            port=self.instance,
            guard=self.run.guard,
            commit=self._commit,
            clock=self.now,
            monotonic=self.now,
            jitter=lambda: 0.5,
            settings=self.settings,
        )

    def now(self) -> float:
        """Seconds since the epoch."""
        return NOW + self._passed

    def skip(self, seconds: float) -> None:
        """Let the daemon's time jump."""
        self._passed += seconds

    async def close(self) -> None:
        await self.instance.close()

    async def restart(self, *, forget: bool = False) -> None:
        """The daemon dies and starts; `forget`: its store is lost as well."""
        await self.close()
        if forget:
            self.run = Run(settings=self.settings)
        else:
            self.run.commit()
            self.run.restart(self.now())
        self.begin()

    async def passes(self, count: int = 1) -> None:
        """Look and act so many times."""
        for _ in range(count):
            self.run.look(self.now())
            await self.campaigns.step()
            await asyncio.sleep(_PAUSE_S)
            self._passed += _PAUSE_S * self.listmonk.standin.options.speed

    async def until(self, what: str, ask: Callable[[], Any]) -> None:
        """Look and act until `ask()` is truthy. Raises TimeoutError that names `what`."""
        end = asyncio.get_running_loop().time() + PATIENCE_S
        while not ask():
            if asyncio.get_running_loop().time() > end:
                raise TimeoutError(f"not in time: {what}: {self.campaigns.acting}")
            await self.passes()

    async def until_status(self, campaign: int, status: str) -> None:
        """Look and act until the database calls the campaign this."""
        end = asyncio.get_running_loop().time() + PATIENCE_S
        while self.listmonk.standin.process is None or await self.listmonk.status(campaign) != status:
            if asyncio.get_running_loop().time() > end:
                raise TimeoutError(f"campaign {campaign} is not {status}: {self.campaigns.acting}")
            await self.passes()

    async def settled(self) -> None:
        """Look and act until the window is set and nothing is left to do."""
        await self.until("settled", lambda: self.campaigns.acting.in_force and self.campaigns.acting.doing == "")

    def halt(self, hold_s: int | None = 3600) -> str:
        """Halt the stream."""
        return self.run.guard.halt("trucking", hold_s, "a test", self.now())

    @property
    def memory(self) -> ListmonkMemory:
        return self.run.guard.listmonk(NAME)

    def records(self, *kinds: RecordKind) -> list[Record]:
        """Return what was recorded of Listmonk."""
        self.run.look(self.now())
        return [record for record in self.run.kinds(*kinds) if record.rule == "listmonk"]

    def codes(self) -> list[str]:
        """Return the codes of what a person is told."""
        return [finding.code for finding in self.campaigns.findings()]

    async def _commit(self) -> bool:
        if self.store_works:
            self.run.commit()
        return self.store_works
