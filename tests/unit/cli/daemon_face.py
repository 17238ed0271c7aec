"""A real HTTP face on a socket with a made-up daemon behind it, for tests of commands that ask one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from click.testing import CliRunner, Result

from pwmtad.adapters.http_api import HttpApi
from pwmtad.adapters.metrics import Metrics
from pwmtad.cli import main
from pwmtad.model.control import ControlAnswer, HaltRequest, ReleaseRequest
from pwmtad.model.errors import PwmtadError
from pwmtad.model.judgement import Record
from pwmtad.model.state import Snapshot
from tests.tools.states import AT, HALT_ID, sample_records, sample_snapshot


class FakeDaemon:
    """Answers orders as it is told to, and remembers them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.orders: list[HaltRequest | ReleaseRequest] = []
        self.answer = ControlAnswer(HALT_ID, f"stream trucking is halted: {HALT_ID}", True)
        self.refuses = ""
        self.snapshot: Snapshot = sample_snapshot()
        self.kept: list[Record] = sample_records()

    async def halt(self, request: HaltRequest) -> ControlAnswer:
        return self._take(request)

    async def release(self, request: ReleaseRequest) -> ControlAnswer:
        return self._take(request)

    async def records(self, *, limit: int, halt_id: str | None) -> list[Record]:
        if self.refuses:
            raise PwmtadError(self.refuses)
        return [record for record in self.kept if halt_id in (None, record.halt_id)][-limit:]

    def _take(self, request: HaltRequest | ReleaseRequest) -> ControlAnswer:
        if self.refuses:
            raise PwmtadError(self.refuses)
        self.orders.append(request)
        return self.answer

    async def run(self, *arguments: str) -> Result:
        """Run a command that asks this daemon."""
        return await asyncio.to_thread(run, *arguments, "--socket", str(self.path))


@asynccontextmanager
async def fake_daemon(folder: Path) -> AsyncIterator[FakeDaemon]:
    daemon = FakeDaemon(folder / "s")
    api = HttpApi(
        lambda: daemon.snapshot,
        listen="127.0.0.1:0",
        socket=str(daemon.path),
        max_tick_age_s=30,
        now=lambda: AT,
        metrics=Metrics(),
        control=daemon,
    )
    await api.start()
    try:
        yield daemon
    finally:
        await api.stop()


def run(*arguments: str) -> Result:
    """Run a command as a terminal of 80 columns would."""
    return CliRunner().invoke(main, arguments, env={"COLUMNS": "80"})


def words(text: str) -> str:
    """Return the text without its layout."""
    return " ".join(text.split())
