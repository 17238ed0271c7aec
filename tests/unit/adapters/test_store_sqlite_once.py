"""The SQLite file and exactly once: killed, cancelled and broken commits leave whole commits only, each counted once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from pwmtad.adapters.store import MemoryStore, SqliteStore
from pwmtad.model.errors import StoreError
from pwmtad.model.ledger import Commit
from tests.unit.adapters.store_data import DAWN, GOOGLE, attempts, full_commit
from tests.unit.adapters.store_sqlite_help import check_consistent, finish, run_python


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


async def test_kill_9_in_the_middle_of_commits_leaves_whole_commits_only(path: Path) -> None:
    body = """
await store.open()
found = await store.load(0)
number = found.checkpoints["mail.log"].offset if found.checkpoints else 0
while True:
    number += 1
    await store.commit(many(number))
    print(number, flush=True)
"""
    told = 0
    for after in (1, 3, 8, 20, 50, 2):
        process = run_python(body, path)
        assert process.stdout is not None
        for _ in range(after):
            told = int(process.stdout.readline())
        process.kill()
        output = await finish(process)
        told = max([told, *map(int, output.split("\n")[:-1])])
        await check_consistent(path, at_least=told)


async def test_a_commit_that_landed_unseen_is_not_counted_again_and_no_other_is_taken(path: Path) -> None:
    store = SqliteStore(str(path))
    await store.open()
    commit = full_commit()
    unseen = store.commit(commit)
    unseen.send(None)  # hand it to the thread ...
    await store.load(0)  # ... which does one job after the other, so it is stored now ...
    with pytest.raises(asyncio.CancelledError):
        unseen.throw(asyncio.CancelledError())  # ... and nobody was told
    for _ in range(2):
        with pytest.raises(StoreError, match="Restart pwmtad") as caught:
            await store.commit(Commit(at=DAWN, attempts=[attempts(DAWN)]))
        assert not caught.value.retryable
    await store.commit(full_commit())
    await store.commit(Commit(at=DAWN, attempts=[attempts(DAWN)]))
    assert (await store.load(0)).attempt_totals[0].counts.first == 6
    await store.close()


async def test_a_new_run_that_loads_what_is_stored_is_not_held_to_the_doubts_of_the_last(path: Path) -> None:
    store = SqliteStore(str(path))
    await store.open()
    unseen = store.commit(full_commit())
    unseen.send(None)
    with pytest.raises(asyncio.CancelledError):
        unseen.throw(asyncio.CancelledError())
    await store.close()
    await store.open()
    assert (await store.load(0)).attempt_totals[0].counts.first == 5
    await store.commit(Commit(at=DAWN, attempts=[attempts(DAWN)]))
    assert (await store.load(0)).attempt_totals[0].counts.first == 6
    await store.close()


async def test_a_commit_with_a_value_that_no_column_takes_changes_nothing(path: Path) -> None:
    store = SqliteStore(str(path))
    await store.open()
    await store.commit(full_commit())
    before = await store.load(0)
    with pytest.raises(OverflowError):
        await store.commit(Commit(at=DAWN, attempts=[attempts(DAWN), attempts(DAWN, GOOGLE, 2**70)]))
    assert await store.load(0) == before
    await store.close()


async def test_memory_stores_share_nothing() -> None:
    one = MemoryStore()
    await one.commit(full_commit())
    assert (await MemoryStore().load(0)).attempts == []
