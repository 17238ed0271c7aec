"""A root helper's actor that only remembers what it was asked, and its server on a socket of its own, for tests."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from pwmtad.adapters.helper import HelperServer, bound
from pwmtad.model.postfix import Clone
from pwmtad.model.target import Applied, Change, PostfixActual, PostfixTarget, QueueEntry, QueueListing, StreamTarget

TARGET = PostfixTarget((StreamTarget("news", ("out05",), ("out05",), paused_by="news-h1", rate_delay_s=72),), keep_queued=True)
ACTUAL = PostfixActual(("out05",), "news-h1", {"news": "news-h1"}, clones=(Clone("out05", "192.0.2.5"),))
APPLIED = Applied(ACTUAL, (Change("defer_transports", None, "out05"),), ("x",), reloaded=True, held=("731D420C053",))
LISTING = QueueListing((QueueEntry("hold", "731D420C053", 5.0, "a@b.example", ("c.example",)),), frozenset({"731D420C053"}))


class Remembering:
    """Answers at once, or when `gate` is opened; `calls` has what it was asked, `finished` what it carried to its end."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, object]] = []
        self.finished: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.listing = LISTING
        self.fault: Exception | None = None

    async def _do(self, name: str, what: object) -> None:
        self.calls.append((name, what))
        await self.gate.wait()
        if self.fault is not None:
            raise self.fault
        self.finished.append(name)

    async def look(self) -> PostfixActual:
        await self._do("look", None)
        return ACTUAL

    async def apply(self, target: PostfixTarget) -> Applied:
        await self._do("apply", target)
        return APPLIED

    async def restore(self, *, release_held: bool = False) -> Applied:
        await self._do("restore", release_held)
        return APPLIED

    async def queue(self) -> QueueListing:
        self.calls.append(("queue", None))
        return self.listing

    async def hold(self, queue_ids: Sequence[str]) -> str | None:
        await self._do("hold", tuple(queue_ids))
        return None

    async def unhold(self, queue_ids: Sequence[str]) -> str | None:
        await self._do("unhold", tuple(queue_ids))
        return "not all"


@asynccontextmanager
async def serving(
    actor: Remembering, path: Path, *, request_s: float = 10, answer_s: float = 30, idle_s: float = 60
) -> AsyncIterator[HelperServer]:
    """Serve the actor to the user who runs the tests."""
    server = HelperServer(actor, allowed=[os.getuid()], request_s=request_s, answer_s=answer_s, idle_s=idle_s)
    await server.start(bound(str(path), None))
    try:
        yield server
    finally:
        await server.stop()


async def until(ask: Callable[[], object], within_s: float = 20) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(within_s):
        while not ask():  # noqa: ASYNC110  what is waited for happens in another process or task, which tells nobody
            await asyncio.sleep(0.01)
