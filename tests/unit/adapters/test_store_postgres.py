"""PostgreSQL when things go wrong: cut, hanging, restarted, taken over, refused; and several hosts in one database."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import threading
from collections.abc import AsyncIterator
from enum import Enum
from pathlib import Path

import asyncpg
import pytest

from pwmtad.adapters.store.postgres import PostgresReader, PostgresStore
from pwmtad.adapters.store.postgres_errors import describe, explained
from pwmtad.adapters.store.postgres_session import Place
from pwmtad.adapters.store.sql_files import Migration, migrations
from pwmtad.model.counters import AttemptCounts
from pwmtad.model.errors import StoreError
from pwmtad.model.judgement import JudgementDeltas
from pwmtad.model.ledger import Commit
from pwmtad.model.sources import FileCheckpoint
from tests.unit.adapters.conftest import PORT, PostgresCluster
from tests.unit.adapters.store_data import DAWN, attempts, checkpoint, full_commit, halt, record

pytestmark = pytest.mark.services
ROOT = Path(__file__).parents[3]


def one(number: int) -> Commit:
    judged = JudgementDeltas(halts=(halt(f"h{number}"),), records=(record(halt_id=f"h{number}"),))
    return Commit(at=DAWN, attempts=[attempts(DAWN)], checkpoints={"mail.log": checkpoint(number)}, judgement=judged)


async def counted(store: PostgresStore | PostgresReader) -> tuple[int, int]:
    """Return what was counted, and what the checkpoint says was counted; halts and records must agree with it."""
    found = await store.load(0)
    records = await store.records(limit=1_000_000)
    assert len(records) == found.attempt_totals[0].counts.first
    assert sorted(one.halt_id for one in records) == sorted(one.id for one in found.judgement.halts)
    mark = found.checkpoints["mail.log"]
    assert isinstance(mark, FileCheckpoint)
    return found.attempt_totals[0].counts.first, mark.offset


async def refusal(store: PostgresStore) -> StoreError:
    """Return why it can't be opened; a second try must meet the same refusal, not a lock left behind."""
    with pytest.raises(StoreError) as first:
        await store.open()
    with pytest.raises(StoreError) as second:
        await store.open()
    assert str(first.value) == str(second.value)
    return first.value


# -- several hosts


async def test_hosts_share_the_tables_but_not_their_rows(postgres: PostgresCluster) -> None:
    stores = [PostgresStore(postgres.url, host=f"mx{n}") for n in range(4)]
    await asyncio.gather(*(store.open() for store in stores))  # all find an empty database, one migrates it
    for number, store in enumerate(stores):
        for _ in range(number + 1):
            await store.commit(full_commit())
        await store.roll_up(DAWN + 10**8 * (number % 2))
    for number, store in enumerate(stores):
        found = await store.load(0)
        assert found.attempt_totals[0].counts == AttemptCounts(5 * (number + 1), number + 1)
        assert [bucket.span_s for bucket in found.messages] == [86400 if number % 2 else 60]
        reader = PostgresReader(postgres.url, host=f"mx{number}")
        assert await reader.load(0) == found
        assert len(found.judgement.halts) == 1
        assert len(await reader.records(limit=100)) == number + 1
        await store.close()
    assert postgres.sql("SELECT count(*) FROM pwmtad.migrations") == str(len(migrations("postgres")))


async def test_a_second_daemon_of_the_same_host_is_refused_and_told_who_holds_it(postgres: PostgresCluster) -> None:
    store = PostgresStore(postgres.url, host="mx1")
    await store.open()
    error = await refusal(PostgresStore(postgres.url, host="mx1"))
    assert "is in use by another pwmtad: server process" in str(error)
    assert "(pwmtad/mx1 from this machine)" in str(error)
    assert error.retryable
    await store.commit(full_commit())
    await store.close()
    other = PostgresStore(postgres.url, host="mx1")
    await other.open()
    await other.close()


# -- lost connections


async def test_a_cut_connection_is_told_and_the_same_commit_counts_once(postgres: PostgresCluster) -> None:
    store = PostgresStore(postgres.url)
    await store.open()
    for number in range(1, 6):
        kill_sessions(postgres)
        commit = one(number)
        with pytest.raises(StoreError) as caught:
            await store.commit(commit)
        assert caught.value.retryable
        await store.commit(commit)
        assert await counted(store) == (number, number)
    await store.close()


def kill_sessions(postgres: PostgresCluster) -> None:
    postgres.sql("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name LIKE 'pwmtad/%'")


async def test_sessions_killed_at_any_moment_leave_whole_commits_that_count_once(postgres: PostgresCluster) -> None:
    store = PostgresStore(postgres.url)
    await store.open()

    over = threading.Event()

    def kill_now_and_then() -> None:
        while not over.is_set():
            kill_sessions(postgres)

    killing = asyncio.create_task(asyncio.to_thread(kill_now_and_then))
    failures = [failure for number in range(1, 200) for failure in await insist(store, one(number))]
    over.set()
    await killing
    await insist(store, one(200))
    assert failures
    assert all(failure.retryable for failure in failures), failures
    assert await counted(store) == (200, 200)
    await store.close()


async def insist(store: PostgresStore, commit: Commit) -> list[StoreError]:
    """Give `commit` again until it is taken; return the failures on the way."""
    failures: list[StoreError] = []
    while True:
        try:
            await store.commit(commit)
        except StoreError as error:
            failures.append(error)
        else:
            return failures


async def test_a_restarted_server_is_found_again(postgres: PostgresCluster) -> None:
    store = PostgresStore(postgres.url)
    await store.open()
    await store.commit(one(1))
    await asyncio.to_thread(postgres.stop)
    for call in (store.commit(one(2)), store.roll_up(DAWN), store.load(0)):
        with pytest.raises(StoreError) as caught:
            await call
        assert caught.value.retryable
    await asyncio.to_thread(postgres.start_again)
    await store.commit(one(2))
    assert await counted(store) == (2, 2)
    await store.close()


class At(Enum):
    """What the proxy does when it sees a COMMIT."""

    NOTHING = "all goes through"
    CUT_BEFORE = "the server never sees it"
    CUT_AFTER = "the answer is lost"
    HANG = "no answer comes, and the line stays up"


class Proxy:
    """Stands between the store and PostgreSQL, and breaks the line at the worst moment."""

    def __init__(self, target: Path) -> None:
        self.at = At.NOTHING
        self.url = ""
        self._target = str(target / f".s.PGSQL.{PORT}")

    async def serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_unix_connection(self._target)
        answered = asyncio.Event()

        async def forward() -> None:
            while data := await client.read(65536):
                at = self.at if b"COMMIT" in data else At.NOTHING
                if at is At.CUT_BEFORE:
                    return
                answered.clear()
                to_server.write(data)
                if at is At.CUT_AFTER:
                    await answered.wait()
                    return

        async def back() -> None:
            while data := await server.read(65536):
                if self.at is At.NOTHING or b"COMMIT" not in data:  # the answer repeats the command
                    to_client.write(data)
                answered.set()

        both = {asyncio.create_task(forward()), asyncio.create_task(back())}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for task in both:
            task.cancel()
        for writer in (to_client, to_server):
            writer.close()


@pytest.fixture
async def proxy(postgres: PostgresCluster) -> AsyncIterator[Proxy]:
    middle = Proxy(postgres.folder)
    with tempfile.TemporaryDirectory(prefix="pwmtad-px-") as folder:
        middle.url = f"postgresql://postgres@/postgres?host={folder}&port={PORT}"
        server = await asyncio.start_unix_server(middle.serve, f"{folder}/.s.PGSQL.{PORT}")
        yield middle
        server.close()


@pytest.mark.parametrize("at", [At.CUT_BEFORE, At.CUT_AFTER])
async def test_a_commit_cut_off_at_its_end_counts_once_when_given_again(proxy: Proxy, at: At) -> None:
    store = PostgresStore(proxy.url)
    await store.open()
    await store.commit(one(1))
    for number in (2, 3):
        proxy.at = at
        with pytest.raises(StoreError, match="could not store counters") as caught:
            await store.commit(one(number))
        assert caught.value.retryable
        proxy.at = At.NOTHING
        await store.commit(one(number))
        assert await counted(store) == (number, number)
    await store.commit(one(4))
    assert await counted(store) == (4, 4)
    await store.close()


async def test_another_commit_after_one_that_landed_unseen_is_refused(proxy: Proxy) -> None:
    store = PostgresStore(proxy.url)
    await store.open()
    proxy.at = At.CUT_AFTER
    with pytest.raises(StoreError):
        await store.commit(one(1))
    proxy.at = At.NOTHING
    for _ in range(2):
        with pytest.raises(StoreError, match="Restart pwmtad") as caught:
            await store.commit(one(2))
        assert not caught.value.retryable
    await store.commit(one(1))
    await store.commit(one(2))
    assert await counted(store) == (2, 2)
    await store.close()


async def test_another_commit_after_one_that_did_not_land_is_taken(proxy: Proxy) -> None:
    store = PostgresStore(proxy.url)
    await store.open()
    proxy.at = At.CUT_BEFORE
    with pytest.raises(StoreError):
        await store.commit(one(7))
    proxy.at = At.NOTHING
    await store.commit(one(1))
    assert await counted(store) == (1, 1)
    await store.close()


async def test_a_server_that_does_not_answer_is_given_up_after_a_time(proxy: Proxy) -> None:
    store = PostgresStore(proxy.url, timeout_s=5.0)
    await store.open()
    proxy.at = At.HANG
    with pytest.raises(StoreError, match="no answer came in time") as caught:
        await store.commit(one(1))
    assert caught.value.retryable
    proxy.at = At.NOTHING
    await store.commit(one(1))
    assert await counted(store) == (1, 1)
    await store.close()


async def test_a_daemon_whose_host_name_was_taken_meanwhile_writes_no_more(postgres: PostgresCluster) -> None:
    store, other = PostgresStore(postgres.url), PostgresStore(postgres.url)
    await store.open()
    await store.commit(one(1))
    kill_sessions(postgres)
    await other.open()
    await other.commit(one(2))
    await other.close()
    with pytest.raises(StoreError):
        await store.commit(one(2))
    with pytest.raises(StoreError, match="another pwmtad wrote under this host's name") as caught:
        await store.commit(one(2))
    assert not caught.value.retryable
    assert await counted(PostgresReader(postgres.url)) == (2, 2)
    await store.close()


async def test_kill_9_of_the_daemon_in_the_middle_of_commits_leaves_whole_commits_only(postgres: PostgresCluster) -> None:
    program = f"""
import asyncio
from pwmtad.adapters.store.postgres import PostgresStore
from pwmtad.model.errors import StoreError
from tests.unit.adapters.test_store_postgres import counted, one
async def main():
    store = PostgresStore({postgres.url!r})
    while True:
        try:
            await store.open()
            break
        except StoreError:  # the server has not noticed yet that the last one is dead
            await asyncio.sleep(0.05)
    number = (await counted(store))[1] if (await store.load(0)).checkpoints else 0
    while True:
        number += 1
        await store.commit(one(number))
        print(number, flush=True)
asyncio.run(main())
"""
    for after in (1, 4, 30):
        told = await asyncio.to_thread(run_and_kill, program, after)
        total, mark = await counted(PostgresReader(postgres.url))
        assert total == mark >= told


def run_and_kill(program: str, after: int) -> int:
    """Kill the program when it has printed `after` lines; return the last."""
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, text=True, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        told = [int(process.stdout.readline()) for _ in range(after)]
        process.kill()
    return told[-1]


# -- refusals


async def test_an_unreachable_server_may_be_tried_again_and_no_password_is_shown() -> None:
    url = "postgresql://mail:hunter2@127.0.0.1:9/pwmtad?password=hunter3"
    error = await refusal(PostgresStore(url, password="hunter" + "4"))
    assert "store postgresql://mail@127.0.0.1:9/pwmtad (host local): could not open it: the connection failed" in str(error)
    assert "hunter" not in str(error)
    assert error.retryable
    await PostgresStore(url).close()


async def test_a_wrong_url_is_told(postgres: PostgresCluster) -> None:
    error = await refusal(PostgresStore(f"{postgres.url}&sslmode=nonsense"))
    assert "the URL is wrong" in str(error)
    assert not error.retryable


async def test_a_user_or_database_that_does_not_exist_is_told(postgres: PostgresCluster) -> None:
    error = await refusal(PostgresStore(postgres.url.replace("postgres@", "stranger@")))
    assert "the server refused the login" in str(error)
    assert not error.retryable
    error = await refusal(PostgresStore(postgres.url.replace("/postgres?", "/nowhere?")))
    assert "no such database" in str(error)
    assert not error.retryable


async def test_a_read_only_server_may_be_tried_again(postgres: PostgresCluster) -> None:
    error = await refusal(PostgresStore(f"{postgres.url}&options=-cdefault_transaction_read_only=on"))
    assert "the server is read-only" in str(error)
    assert error.retryable


async def test_a_database_that_can_not_hold_every_name_is_refused(postgres: PostgresCluster) -> None:
    postgres.sql("DROP DATABASE IF EXISTS latin")
    postgres.sql("CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    error = await refusal(PostgresStore(postgres.url.replace("/postgres?", "/latin?")))
    assert "encoding is not UTF8" in str(error)


async def test_a_user_without_rights_on_the_database_needs_only_the_schema(postgres: PostgresCluster) -> None:
    postgres.sql("DROP ROLE IF EXISTS pwmtad")
    postgres.sql("CREATE ROLE pwmtad LOGIN")
    store = PostgresStore(postgres.url.replace("postgres@", "pwmtad@"))
    error = await refusal(store)
    assert "a privilege is missing" in str(error)
    assert not error.retryable
    postgres.sql("CREATE SCHEMA pwmtad AUTHORIZATION pwmtad")
    await store.open()
    await store.commit(full_commit())
    await store.close()


async def test_a_schema_of_a_newer_version_is_left_alone(postgres: PostgresCluster) -> None:
    store = PostgresStore(postgres.url)
    await store.open()
    await store.close()
    postgres.sql("INSERT INTO pwmtad.migrations (number, name) VALUES (999, 'future')")
    error = await refusal(store)
    assert "written by a newer pwmtad (schema 999" in str(error)
    with pytest.raises(StoreError, match="newer pwmtad"):
        await PostgresReader(postgres.url).load(0)


async def test_a_reader_does_not_migrate(postgres: PostgresCluster) -> None:
    with pytest.raises(StoreError, match="older schema 0"):
        await PostgresReader(postgres.url).load(0)
    assert postgres.sql("SELECT to_regnamespace('pwmtad') IS NULL") == "t"


async def test_migrations_run_once_in_order_and_a_failing_one_leaves_the_last_good_version(postgres: PostgresCluster) -> None:
    place = Place(postgres.url, None, "mx1")
    shipped = len(migrations("postgres"))
    good = Migration(shipped + 1, "add", "CREATE TABLE pwmtad.b (x int); INSERT INTO pwmtad.b VALUES (1)")
    bad = Migration(shipped + 2, "break", "CREATE TABLE pwmtad.c (x int); INSERT INTO pwmtad.nowhere VALUES (1)")
    connection = await place.connect()
    place.steps.append(good)
    await place.migrate(connection)
    await place.migrate(connection)
    place.steps.append(bad)
    with pytest.raises(asyncpg.UndefinedTableError):
        await place.migrate(connection)
    await connection.close()
    assert postgres.sql("SELECT max(number), to_regclass('pwmtad.c') IS NULL FROM pwmtad.migrations") == f"{shipped + 1}|t"
    assert postgres.sql("SELECT count(*) FROM pwmtad.b") == "1"


async def test_a_state_that_is_not_readable_is_damage(postgres: PostgresCluster) -> None:
    store = PostgresStore(postgres.url)
    await store.open()
    await store.commit(full_commit())
    postgres.sql(r"UPDATE pwmtad.open_messages SET state = '\xc1'")
    with pytest.raises(StoreError, match="not readable") as caught:
        await store.load(0)
    assert not caught.value.retryable
    await store.commit(full_commit())
    await store.close()


@pytest.mark.parametrize(
    ("error", "words", "retryable"),
    [
        (asyncpg.DiskFullError("could not extend file"), "the server's disk is full", True),
        (asyncpg.TooManyConnectionsError("sorry"), "no free connection", True),
        (asyncpg.OutOfMemoryError("no"), "lacks resources", True),
        (asyncpg.QueryCanceledError("statement timeout"), "took too long", True),
        (asyncpg.DeadlockDetectedError("deadlock"), "rolled back", True),
        (asyncpg.DataCorruptedError("invalid page"), "damaged data", False),
        (asyncpg.UndefinedTableError("no table"), "PostgreSQL refused (no table)", False),
        (asyncpg.InvalidPasswordError("password"), "refused the login", False),
        (ConnectionResetError("reset"), "the connection failed (reset)", True),
    ],
)
async def test_each_kind_of_error_says_what_happened_and_whether_to_try_again(
    error: Exception, words: str, retryable: bool
) -> None:
    with pytest.raises(StoreError) as caught:
        async with explained("postgresql://db.example.org/pwmtad", "store counters", 5):
            raise error
    assert words in str(caught.value)
    assert caught.value.retryable is retryable


def test_a_described_url_has_no_secret_and_no_query() -> None:
    assert describe("postgres://u:p@db.example.org:5432/pwmtad?password=x") == "postgresql://u@db.example.org:5432/pwmtad"
    assert describe("postgresql:///pwmtad?host=/run/postgresql") == "postgresql:///pwmtad"
