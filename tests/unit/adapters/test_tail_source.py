"""The asynchronous source over real files."""

from __future__ import annotations

import asyncio
import os
import random
import threading
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, suppress
from pathlib import Path

import pytest
from blockbuster import blockbuster_ctx

from pwmtad.adapters.tail import FileSource
from pwmtad.daemon.ports import LogSource
from pwmtad.model.sources import Batch, Checkpoint, JournalCheckpoint
from tests.unit.adapters.tail_world import FILLINGS, LIMIT, World


@pytest.fixture(autouse=True)
def loop_is_never_blocked() -> Iterator[None]:
    with blockbuster_ctx("pwmtad"):
        yield


def source_of(path: Path, *, chunk_bytes: int = 1 << 20) -> FileSource:
    return FileSource(path, name="mail", max_line_bytes=LIMIT, chunk_bytes=chunk_bytes, poll_interval_s=0.01)


async def lines_until(batches: AsyncGenerator[Batch, None], count: int) -> tuple[list[str], Batch]:
    """Read until so many lines came and the source has caught up."""
    lines: list[str] = []
    async for batch in batches:
        lines += [str(record) for record in batch.records]
        if len(lines) >= count and batch.caught_up:
            return lines, batch
    raise AssertionError("a source never ends")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    world.log(b" first", b" second")
    yield world
    world.close()


async def test_a_log_is_read_and_then_followed(world: World) -> None:
    source: LogSource = source_of(world.path)
    async with aclosing(source.batches(None)) as batches:
        assert (await lines_until(batches, 2))[0] == world.lines
        world.log(b" third")
        lines, batch = await lines_until(batches, 1)
        assert lines == world.lines[2:]
        assert batch.source == source.name == "mail"
    async with aclosing(source.batches(batch.checkpoint)) as batches:
        world.log(b" fourth")
        assert (await lines_until(batches, 1))[0] == world.lines[3:]


async def test_a_backlog_comes_in_chunks_and_only_its_last_has_caught_up(world: World) -> None:
    for _ in range(20):
        world.log(b" filling")
    async with aclosing(source_of(world.path, chunk_bytes=64).batches(None)) as batches:
        seen = [await anext(batches) for _ in range(5)]
    assert all(batch.records for batch in seen)
    assert not any(batch.caught_up for batch in seen)


async def test_silence_is_told_by_empty_batches(world: World) -> None:
    async with aclosing(source_of(world.path).batches(None)) as batches:
        _, last = await lines_until(batches, 2)
        for _ in range(2):
            assert await anext(batches) == Batch("mail", [], last.checkpoint, True, last.health)


async def test_trouble_is_told_again_and_again_and_no_exception(tmp_path: Path) -> None:
    path = tmp_path / "mail.log"
    async with aclosing(source_of(path).batches(None)) as batches:
        for _ in range(2):
            batch = await anext(batches)
            assert (batch.records, batch.checkpoint, batch.caught_up) == ([], None, False)
            assert "no such file" in str(batch.health.error)
        path.write_text("first\n")
        lines, batch = await lines_until(batches, 1)
        assert lines == ["first"]
        assert batch.health.error is None


async def test_a_read_that_hangs_is_no_silence(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async with aclosing(source_of(world.path).batches(None)) as batches:
        _, last = await lines_until(batches, 2)
        release = threading.Event()
        try:
            with monkeypatch.context() as patch:
                patch.setattr(os, "pread", lambda *arguments, pread=os.pread: (release.wait(), pread(*arguments))[1])
                for _ in range(2):
                    batch = await anext(batches)
                    while batch.caught_up:
                        batch = await anext(batches)
                    assert (batch.records, batch.checkpoint) == ([], last.checkpoint)
        finally:
            release.set()
        world.log(b" third")
        assert (await lines_until(batches, 1))[0] == world.lines[2:]


async def test_an_overlong_line_moves_the_checkpoint_while_nothing_is_delivered(world: World) -> None:
    async with aclosing(source_of(world.path).batches(None)) as batches:
        before = (await lines_until(batches, 2))[1].checkpoint
        world.say(b" LONG")
        world.write(100)
        assert (await lines_until(batches, 1))[1].health.cut_lines == 1
        world.write(100)
        batch = await anext(batches)
        while batch.records or batch.checkpoint == before:
            before, batch = batch.checkpoint, await anext(batches)
        assert batch.checkpoint is not None


async def test_the_checkpoint_of_a_journal_is_no_place_in_a_file(world: World) -> None:
    async with aclosing(source_of(world.path).batches(JournalCheckpoint("s=1;i=2"))) as batches:
        assert (await lines_until(batches, 2))[0] == world.lines


@pytest.mark.parametrize("after", [0, 1, 5])
async def test_a_closed_source_leaves_no_thread_no_task_and_no_open_file(world: World, after: int) -> None:
    batches = source_of(world.path).batches(None)
    for _ in range(after):
        await anext(batches)
    await batches.aclose()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    # The logger has it open, and nobody else.
    assert (await asyncio.to_thread(open_files)).count(str(world.path)) == 1
    for thread in threading.enumerate():
        if thread.name.startswith("tail-"):
            await asyncio.to_thread(thread.join)


def open_files() -> list[str]:
    found = []
    for link in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # closed since it was listed: the watch has a thread of its own
            found.append(str(link.readlink()))
    return found


async def test_a_cancelled_reader_lets_go_as_well(world: World) -> None:
    async def read() -> None:
        async with aclosing(source_of(world.path).batches(None)) as batches:
            async for _ in batches:
                started.set()

    started = asyncio.Event()
    task = asyncio.create_task(read())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize("seed", range(4))
async def test_each_line_comes_once_while_a_logger_writes_and_rotates_and_we_are_killed(world: World, seed: int) -> None:
    chance = random.Random(seed)
    read: list[str] = []
    committed: Checkpoint | None = None
    done = threading.Event()

    def write() -> None:
        for _ in range(300):
            world.say(*chance.choices(FILLINGS, k=3))
            world.write(chance.randrange(1, 200))
            if chance.random() < 0.05:
                world.write()
                if chance.random() < 0.5:
                    world.copytruncate()
                else:
                    world.rename()
                world.reopen()
        world.write()
        done.set()

    writing: asyncio.Task[None] | None = None
    killing = random.Random(seed)
    complete = False
    while not complete:
        kept = len(read)
        async with aclosing(source_of(world.path, chunk_bytes=100).batches(committed)) as batches:
            async for batch in batches:
                read += [str(record) for record in batch.records]
                assert batch.health.gaps == 0
                # A source without a checkpoint reads no rotated files: the rotations start after the first.
                if writing is None or killing.random() < 0.5:
                    committed, kept = batch.checkpoint, len(read)
                    writing = writing or asyncio.create_task(asyncio.to_thread(write))
                complete = done.is_set() and batch.caught_up and read[-1:] == world.lines[-1:]
                if complete or killing.random() < 0.02:
                    break
        if not complete:
            del read[kept:]
    assert writing is not None
    await writing
    assert read == world.lines
