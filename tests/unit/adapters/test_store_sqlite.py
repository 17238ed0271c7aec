"""The SQLite file when things go wrong: locked, full, read-only, damaged, foreign, newer, moved, killed."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from pwmtad.adapters.store import SqliteReader, SqliteStore
from pwmtad.adapters.store.sql_files import Migration, migrations
from pwmtad.adapters.store.sqlite_file import migrate
from pwmtad.model.errors import StoreError
from tests.unit.adapters.store_data import DAWN, checkpoint, full_commit
from tests.unit.adapters.store_sqlite_help import check_consistent, finish, many, prepared, run_python


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


async def refusal(path: Path) -> StoreError:
    """Return why the store can't be opened; a second try must meet the same refusal, not a lock left behind."""
    store = SqliteStore(str(path))
    with pytest.raises(StoreError) as first:
        await store.open()
    with pytest.raises(StoreError) as second:
        await store.open()
    assert str(first.value) == str(second.value)
    return first.value


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


def content(path: Path) -> bytes:
    return path.read_bytes()


def put(path: Path, data: bytes) -> None:
    path.write_bytes(data)


# -- who may use it


async def test_a_second_daemon_is_refused_and_told_who_holds_the_store(path: Path) -> None:
    store = SqliteStore(str(path))
    await store.open()
    error = await refusal(path)
    assert f"in use by another pwmtad, process {os.getpid()}" in str(error)
    assert error.retryable
    await store.commit(full_commit())
    await store.close()
    await prepared(path, full_commit())


async def test_a_second_name_of_the_same_file_finds_the_same_lock(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "other-name.db"
    link.symlink_to(path)
    store = SqliteStore(str(path))
    await store.open()
    assert "in use" in str(await refusal(link))
    await store.close()


async def test_the_lock_of_a_killed_daemon_is_free(path: Path) -> None:
    process = run_python("await store.open(); print('open', flush=True); await asyncio.sleep(60)", path)
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    assert f"process {process.pid}" in str(await refusal(path))
    process.kill()
    await finish(process)
    await prepared(path)


async def test_only_owner_and_group_can_read_it(path: Path) -> None:
    await prepared(path)
    assert stat.S_IMODE(os.stat(path).st_mode) & 0o137 == 0


async def test_a_reader_needs_no_write_access_while_the_daemon_runs(path: Path) -> None:
    store = SqliteStore(str(path))
    await store.open()
    await store.commit(full_commit())
    for name in names(path.parent):
        os.chmod(path.parent / name, 0o444)
    os.chmod(path.parent, 0o500)
    body = f"print((await SqliteReader({str(path)!r}).load(0)).meta)"
    output = await finish(run_python(body, path, as_owner_without_write=True))
    assert output == "{'timezone': 'UTC'}\n"
    await store.close()


async def test_a_reader_changes_nothing_in_the_store(path: Path) -> None:
    await prepared(path, full_commit())
    before = content(path)
    await SqliteReader(str(path)).load(0)
    assert content(path) == before


async def test_a_reader_of_no_store_says_so_and_makes_none(path: Path) -> None:
    with pytest.raises(StoreError, match="there is none"):
        await SqliteReader(str(path)).load(0)
    assert names(path.parent) == set()


# -- what it must be


async def test_a_path_with_odd_characters_is_that_file(tmp_path: Path) -> None:
    odd = tmp_path / "a b?mode=memory&x=%41#ü.db"
    await prepared(odd, full_commit())
    assert odd.name in names(tmp_path)
    assert (await SqliteReader(str(odd)).load(0)).meta == {"timezone": "UTC"}


async def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    error = await refusal(tmp_path / "missing" / "store.db")
    assert "its folder does not exist" in str(error)
    assert not error.retryable


async def test_a_folder_is_no_store(tmp_path: Path) -> None:
    assert "it is a folder" in str(await refusal(tmp_path))


async def test_the_database_of_another_program_is_left_alone(path: Path) -> None:
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE theirs (x)")
    other.close()
    before = content(path)
    error = await refusal(path)
    assert "database of another program" in str(error)
    assert not error.retryable
    assert content(path) == before
    with pytest.raises(StoreError, match="another program"):
        await SqliteReader(str(path)).load(0)


async def test_a_store_of_a_newer_version_is_left_alone(path: Path) -> None:
    await prepared(path, full_commit())
    set_version(path, 999)
    error = await refusal(path)
    assert "written by a newer pwmtad (schema 999; this one knows up to" in str(error)
    assert not error.retryable
    with pytest.raises(StoreError, match="newer pwmtad"):
        await SqliteReader(str(path)).load(0)


async def test_a_reader_does_not_migrate(path: Path) -> None:
    await prepared(path)
    set_version(path, 0)
    with pytest.raises(StoreError, match="older schema 0"):
        await SqliteReader(str(path)).load(0)


def set_version(path: Path, version: int) -> None:
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {version}")
    connection.close()


def test_migrations_run_once_in_order_and_a_failing_one_leaves_the_last_good_version() -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    shipped = len(migrations("sqlite"))
    good = Migration(shipped + 1, "add", "CREATE TABLE b (x); INSERT INTO b VALUES (1)")
    bad = Migration(shipped + 2, "break", "CREATE TABLE c (x); INSERT INTO nowhere VALUES (1)")
    migrate(connection, "x", [*migrations("sqlite"), good])
    migrate(connection, "x", [*migrations("sqlite"), good])
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        migrate(connection, "x", [*migrations("sqlite"), good, bad])
    assert not connection.in_transaction
    assert connection.execute("PRAGMA user_version").fetchone() == (shipped + 1,)
    assert connection.execute("SELECT count(*) FROM b").fetchone() == (1,)
    assert connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'c'").fetchone() == (0,)
    connection.close()


# -- damage


def overwrite(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: overwrite(path, 0, b"garbage!" * 8),
        lambda path: overwrite(path, 4096, os.urandom(12 * 4096)),
        lambda path: overwrite(path, 8 * 4096, b"\0" * 4096),
        cut,
    ],
    ids=["header", "pages", "zeros", "cut"],
)
async def test_a_damaged_store_is_reported_and_left_as_it_is(path: Path, damage: Callable[[Path], None]) -> None:
    await prepared(path, full_commit(), many(1, 400))
    damage(path)
    before = content(path)
    error = await refusal(path)
    assert "damaged" in str(error)
    assert "move the file" in str(error)
    assert not error.retryable
    assert content(path) == before


async def test_damage_that_shows_while_running_is_reported(path: Path) -> None:
    store = SqliteStore(str(path))
    await store.open()
    await store.commit(many(1, 20_000))  # more than SQLite caches
    await store.close()
    await store.open()
    overwrite(path, 4096, os.urandom(os.stat(path).st_size - 4096))
    with pytest.raises(StoreError, match="damaged") as caught:
        await store.load(0)
    assert not caught.value.retryable
    await store.close()


async def test_a_state_that_is_not_readable_is_damage(path: Path) -> None:
    await prepared(path, full_commit())
    connection = sqlite3.connect(path)
    connection.execute("UPDATE open_messages SET state = x'c1'")
    connection.commit()
    connection.close()
    store = SqliteStore(str(path))
    await store.open()
    with pytest.raises(StoreError, match="damaged"):
        await store.load(0)
    await store.close()


async def test_an_emptied_file_beside_a_full_wal_is_damage_not_a_new_store(path: Path) -> None:
    store = SqliteStore(str(path))
    await store.open()
    await store.commit(full_commit())
    wal = content(Path(f"{path}-wal"))
    await store.close()
    put(path, b"")
    put(Path(f"{path}-wal"), wal)
    assert "damaged" in str(await refusal(path))
    assert content(Path(f"{path}-wal")) == wal


async def test_a_store_that_is_replaced_under_the_daemon_takes_no_more_commits(path: Path, tmp_path: Path) -> None:
    store = SqliteStore(str(path))
    await store.open()
    await store.commit(full_commit())
    shutil.move(path, tmp_path / "moved.db")
    for _ in range(2):
        with pytest.raises(StoreError, match="moved, replaced or deleted") as caught:
            await store.commit(full_commit())
        assert not caught.value.retryable
        put(path, b"")
    shutil.move(tmp_path / "moved.db", path)
    await store.commit(full_commit())
    await store.close()


# -- trouble that passes


async def test_a_lock_of_another_process_is_waited_for_then_told_and_the_commit_can_be_given_again(path: Path) -> None:
    store = SqliteStore(str(path), busy_timeout_s=0.05)
    await store.open()
    await store.commit(full_commit())
    shell = sqlite3.connect(path, isolation_level=None)
    shell.execute("BEGIN IMMEDIATE")
    commit = full_commit()
    for _ in range(2):
        with pytest.raises(StoreError, match="locked") as caught:
            await store.commit(commit)
        assert caught.value.retryable
        assert (await store.load(0)).attempt_totals[0].counts.first == 5
    with pytest.raises(StoreError, match="locked"):
        await store.roll_up(DAWN)
    shell.execute("ROLLBACK")
    shell.close()
    await store.commit(commit)
    assert (await store.load(0)).attempt_totals[0].counts.first == 10
    await store.close()


async def test_a_full_disk_loses_nothing_and_goes_on_when_there_is_room(path: Path) -> None:
    store = SqliteStore(str(path))
    await store.open()
    await in_worker(store, "PRAGMA max_page_count = 40")  # fails as a full disk does, and needs no root
    stored, error = await fill(store)
    assert "the disk is full" in str(error)
    assert error.retryable
    assert stored > 0
    found = await store.load(0)
    assert (len(found.open_messages), found.checkpoints["mail.log"]) == (40 * stored, checkpoint(stored))
    await in_worker(store, "PRAGMA max_page_count = 1000000")
    await store.commit(many(stored + 1))
    assert (await store.load(0)).attempt_totals[0].counts.first == stored + 1
    await store.close()


async def test_a_store_that_can_not_grow_can_be_opened_and_read(path: Path) -> None:
    crash = "await store.open()\nfor n in (1, 2, 3): await store.commit(many(n))\nos._exit(9)"
    await finish(run_python(crash, path))
    assert os.stat(f"{path}-wal").st_size > 40_000
    body = """
await store.open()
print((await store.load(0)).checkpoints["mail.log"].offset)
try:
    await store.commit(many(4))
except StoreError as error:
    print(error.retryable)
await store.close()
"""
    limit = "resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, resource.RLIM_INFINITY))"
    assert await finish(run_python(body, path, before=limit)) == "3\nTrue\n"
    await check_consistent(path, at_least=3)


async def fill(store: SqliteStore) -> tuple[int, StoreError]:
    """Commit until it fails; return how many were stored, and the failure."""
    for number in range(1, 10_000):
        try:
            await store.commit(many(number))
        except StoreError as error:
            return number - 1, error
    raise AssertionError("it never filled up")


async def in_worker(store: SqliteStore, pragma: str) -> None:
    """Set what only the connection itself can set, and nobody but a test should."""

    def job() -> None:
        assert store._file is not None
        store._file._connection.execute(pragma)

    await store._run(job)


async def test_a_write_that_the_system_refuses_halfway_loses_nothing(path: Path) -> None:
    body = """
await store.open()
stored = 0
try:
    while True:
        await store.commit(many(stored + 1))
        stored += 1
except StoreError as error:
    print(error.retryable, error, flush=True)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
await store.commit(many(stored + 1))
await store.close()
print(stored + 1)
"""
    limit = "resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, resource.RLIM_INFINITY))"
    told, stored = (await finish(run_python(body, path, before=limit))).splitlines()
    assert told.startswith(f"True store {path}: could not store counters: reading or writing failed")
    await check_consistent(path, at_least=int(stored))


@pytest.mark.parametrize("name", ["store.db", "store.db.lock"])
async def test_a_store_that_may_not_be_written_is_refused_at_once(path: Path, name: str) -> None:
    await prepared(path, full_commit())
    os.chmod(path.parent / name, 0o444)
    body = """
try:
    await store.open()
except StoreError as error:
    print(error.retryable, error)
"""
    output = await finish(run_python(body, path, as_owner_without_write=True))
    why = f"it may not be written (Permission denied: {path.parent / name})"
    assert output.startswith(f"False store {path}: could not open it: {why}")
