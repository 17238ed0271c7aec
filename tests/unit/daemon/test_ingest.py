"""Counting and committing, side by side."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from typing_extensions import override

from pwmtad.adapters.store import MemoryStore
from pwmtad.core.observe import Observer
from pwmtad.daemon.ingest import Ingest
from pwmtad.model.ledger import Commit
from pwmtad.model.sources import Batch, Checkpoint, FileCheckpoint, SourceHealth
from tests.unit.daemon.test_reload import NOW, Running

PATIENCE_S = 20.0
LINE = "2026-06-02T00:00:00+00:00 mail postfix/qmgr[7]: 4XkJ2l1zq{:05}: removed"


async def until(met: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not met():  # noqa: ASYNC110 what is waited for sets no event
            await asyncio.sleep(0.005)


class Source:
    """Delivers a line whenever it is told to."""

    name = "mail.log"

    def __init__(self) -> None:
        self.told: asyncio.Queue[int] = asyncio.Queue()
        self.caught_up = True

    async def batches(self, _checkpoint: Checkpoint | None) -> AsyncGenerator[Batch, None]:
        while True:
            number = await self.told.get()
            mark = FileCheckpoint("mail.log", 1, 1, number, b"head", b"tail")
            yield Batch(self.name, [LINE.format(number)], mark, self.caught_up, SourceHealth())


class SlowStore(MemoryStore):
    """Takes a commit only when it may."""

    def __init__(self) -> None:
        super().__init__()
        self.may = asyncio.Event()
        self.asked = self.done = 0

    @override
    async def commit(self, commit: Commit) -> None:
        self.asked += 1
        await self.may.wait()
        await super().commit(commit)
        self.done += 1


class World:
    def __init__(self, folder: Path, store_first_s: float = 60.0) -> None:
        self.observer: Observer = Running(folder).observer
        self.source = Source()
        self.store = SlowStore()
        self.ingest = Ingest(
            sources=[self.source],
            store=self.store,
            store_url="memory",
            observer=self.observer,
            clock=lambda: NOW,
            monotonic=time.monotonic,
            commit_interval_s=0.01,
            store_first_s=store_first_s,
        )

    @property
    def lines(self) -> int:
        return sum(self.observer.tally.line_totals().values())

    async def counted(self, count: int) -> None:
        await until(lambda: self.lines >= count)

    async def stored(self) -> tuple[int, int]:
        """Lines and offset of the source, as the store has them."""
        ledger = await self.store.load(0.0)
        mark = ledger.checkpoints.get("mail.log")
        return sum(line.count for line in ledger.lines), mark.offset if isinstance(mark, FileCheckpoint) else 0

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None, None]:
        await self.store.open()
        task = asyncio.create_task(self.ingest.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_a_store_that_takes_its_time_keeps_no_line_from_being_counted(tmp_path: Path) -> None:
    world = World(tmp_path)
    async with world.running():
        await world.source.told.put(1)
        await world.counted(1)
        await until(lambda: bool(world.store.asked))
        for number in range(2, 12):
            await world.source.told.put(number)
        await world.counted(11)
        assert world.store.asked == 1  # still the first
        assert await world.stored() == (0, 0)
        world.store.may.set()
        await until(lambda: world.store.done >= 2)
        assert await world.stored() == (11, 11)


async def test_what_was_counted_while_a_commit_hung_is_committed_at_the_end_each_line_once(tmp_path: Path) -> None:
    world = World(tmp_path)
    async with world.running():
        await world.source.told.put(1)
        await world.counted(1)
        await until(lambda: bool(world.store.asked))
        await world.source.told.put(2)
        await world.counted(2)
        asyncio.get_running_loop().call_later(0.05, world.store.may.set)
    assert await world.stored() == (2, 2)


async def test_in_a_backlog_counting_waits_for_the_store_so_that_memory_stays_small(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.source.caught_up = False
    async with world.running():
        await world.source.told.put(1)
        await world.counted(1)
        await until(lambda: bool(world.store.asked))
        for number in range(2, 30):
            await world.source.told.put(number)
        await until(lambda: world.source.told.qsize() < 28)
        for _ in range(200):  # as much as anybody could do meanwhile
            await asyncio.sleep(0)
        assert world.lines <= 2
        world.store.may.set()
        await world.counted(29)
    assert await world.stored() == (29, 29)


async def test_a_store_that_hangs_keeps_no_backlog_from_being_judged(tmp_path: Path) -> None:
    world = World(tmp_path, store_first_s=0.01)
    world.source.caught_up = False
    async with world.running():
        await world.source.told.put(1)
        await until(lambda: bool(world.store.asked))
        for number in range(2, 12):
            await world.source.told.put(number)
        await world.counted(11)
        assert (world.store.asked, world.store.done) == (1, 0)
        world.store.may.set()
    assert await world.stored() == (11, 11)
