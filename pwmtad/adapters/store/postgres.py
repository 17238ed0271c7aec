"""The store in PostgreSQL, schema `pwmtad`, for several hosts in one database: each row carries its host's name.

One session writes and holds the host's advisory lock; losing the one is losing the other, so nothing is ever written without
the lock. (A pool would not do: its clean-up lets advisory locks go.) Behind PgBouncer only session pooling works.

Exactly once: a commit is one transaction, with its checkpoints. When the answer to COMMIT is lost, nobody here knows whether
it became durable; the next call asks the row of `hosts`, which counts this run's commits in the same transactions.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from uuid import uuid4

import asyncpg
from msgspec import MsgspecError

from pwmtad.adapters.store.causes import Cause, store_error
from pwmtad.adapters.store.commit_order import CommitOrder, Given, unsure
from pwmtad.adapters.store.postgres_errors import explained
from pwmtad.adapters.store.postgres_session import Place, transaction
from pwmtad.adapters.store.retention import (
    BUCKET_TABLES,
    DEFAULT_KEEP,
    PRUNED_TABLES,
    Keep,
    Merge,
    coarse_span,
    first_reason_day,
    merges,
    prune_arguments,
)
from pwmtad.adapters.store.rows import LOADED, Row, ledger_of, load_arguments, records_of, storable
from pwmtad.adapters.store.suppression_rows import query_arguments, suppressions_of
from pwmtad.model.errors import StoreError
from pwmtad.model.judgement import Record
from pwmtad.model.ledger import Commit, Ledger
from pwmtad.model.names import Instant
from pwmtad.model.suppression import Suppression, SuppressionCount, SuppressionQuery

TIMEOUT_S: Final = 30.0
"""For one call, a new connection included. Own measurement: 0.06 s for a commit of 2,000 rows, 4 s for the
load of a start with 200,000 buckets and 100,000 open messages."""

DEFAULT_HOST: Final = "local"

_DAMAGED: Final = Cause("a stored state is not readable", "Nothing was changed. Restore a backup.", False)


class PostgresStore:
    """A `Store` in the database at `url`, in the rows of `host`. One daemon a host at a time."""

    def __init__(
        self,
        url: str,
        *,
        host: str = DEFAULT_HOST,
        password: str | None = None,
        keep: Keep = DEFAULT_KEEP,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._place = Place(url, password, host)
        self._keep = keep
        self._timeout_s = timeout_s
        self._connection: asyncpg.Connection | None = None
        self._order = CommitOrder(self._place.name)
        self._use = asyncio.Lock()
        self._writer = ""
        """Names this run, from `open` to `close`, in the row of `hosts`."""
        self._commits = 0
        """Commits of this run that are known to be durable."""
        self._doubt: Given | None = None
        """A commit whose call did not end well: it may be durable or not."""

    async def open(self) -> None:
        """Connect, migrate, take the lock. Raises `StoreError`; it may be called again then.

        A new run begins, which has to `load` what is stored: what the last one was unsure of is forgotten.
        """
        async with self._use, explained(self._place.name, "open it", self._timeout_s):
            if self._writer:
                return
            connection = await self._place.connect()
            try:
                await self._place.migrate(connection)
                await self._place.take_lock(connection, wait=False)
                writer = uuid4().hex
                await connection.execute(self._place.sql["become_writer"], self._place.host, writer)
            except BaseException:
                connection.terminate()
                raise
            self._connection, self._writer, self._commits, self._doubt = connection, writer, 0, None
            self._order.forget()

    async def close(self) -> None:
        """Close the session, and with it let the lock go. Harmless when it is not open."""
        async with self._use:
            connection, self._connection, self._writer = self._connection, None, ""
            if connection is not None:
                try:
                    await connection.close(timeout=self._timeout_s)
                except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                    connection.terminate()  # nothing is open in it that could be lost

    async def load(self, since: Instant) -> Ledger:
        """Read what a start needs. Raises `StoreError`."""
        async with self._session("read it") as connection:
            return await _fetch(connection, self._place, since)

    async def commit(self, commit: Commit) -> None:
        """Make `commit` durable as a whole, or raise `StoreError` and leave everything as it was.

        The same object may be given again after an error or a cancellation; it is counted once.
        """
        host, sql = self._place.host, self._place.sql
        async with self._order.turn(commit) as (given, _), self._session("store counters") as connection:
            if await self._is_stored_already(connection, given):
                return
            self._doubt = given
            async with transaction(connection, "BEGIN"):
                for verb, table, rows in given.changes:
                    await connection.executemany(sql[f"{verb}_{table}"], [(host, *row) for row in rows])
                await connection.execute(sql["count_commit"], host, self._writer, self._commits + 1)
            self._commits += 1
            self._doubt = None

    async def records(self, *, limit: int, halt_id: str | None = None) -> list[Record]:
        """Return the newest `limit` records, oldest first; those of one halt if `halt_id` is given. Raises `StoreError`."""
        async with self._session("read records") as connection:
            return await _fetch_records(connection, self._place, limit, halt_id)

    async def suppressions(self, query: SuppressionQuery) -> list[Suppression]:
        """Return a page of suppressions in the order of their keys. Raises `StoreError`."""
        return await self._suppressions(*query_arguments(query))

    async def due_suppressions(self, stream: str, now: Instant, limit: int) -> list[Suppression]:
        """Return what a stream's Listmonk is to be told now, what waits longest first. Raises `StoreError`."""
        return await self._suppressions("due_suppressions", (stream, now, limit))

    async def count_suppressions(self) -> list[SuppressionCount]:
        """Return how many rows there are of each sort. Raises `StoreError`."""
        async with self._session("count suppressions") as connection:
            rows = await connection.fetch(self._place.sql["count_suppressions"], self._place.host)
        return [SuppressionCount(*row) for row in rows]

    async def _suppressions(self, statement: str, arguments: Row) -> list[Suppression]:
        async with self._session("read suppressions") as connection:
            rows = await connection.fetch(self._place.sql[statement], self._place.host, *arguments)
        try:
            return suppressions_of(rows)
        except MsgspecError as error:
            raise store_error(self._place.name, "read suppressions", _DAMAGED, str(error)) from error

    async def roll_up(self, now: Instant) -> None:
        """Merge old buckets and drop what is too old, in steps between which commits get their turn. Raises `StoreError`."""
        for table in BUCKET_TABLES:
            for merge in merges(self._keep, now):
                while await self._merge_oldest(table, merge):
                    pass
        while await self._drop_oldest_reasons(first_reason_day(self._keep, now)):
            pass
        for table in PRUNED_TABLES:
            while await self._prune(table, prune_arguments(self._keep, table, now)):
                pass

    @asynccontextmanager
    async def _session(self, doing: str) -> AsyncIterator[asyncpg.Connection]:
        """Give the block the session, a new one if the last was lost; bounded in time, errors explained."""
        async with self._use, explained(self._place.name, doing, self._timeout_s):
            if not self._writer:
                raise StoreError(f"store {self._place.name} is not open", retryable=False)
            if self._connection is None or self._connection.is_closed():
                self._connection = await self._reconnect()
            yield self._connection

    async def _reconnect(self) -> asyncpg.Connection:
        connection = await self._place.connect()
        try:
            await self._place.take_lock(connection, wait=True)
            await self._stored_commits(connection)
        except BaseException:
            connection.terminate()
            raise
        return connection

    async def _stored_commits(self, connection: asyncpg.Connection) -> int:
        commits = await connection.fetchval(self._place.sql["stored_commits"], self._place.host, self._writer)
        if commits is None:
            raise StoreError(
                f"store {self._place.name}: while the connection was lost, another pwmtad wrote under this host's name. "
                "Give each its own name, then restart this one: it goes on from the stored checkpoint.",
                retryable=False,
            )
        return int(commits)

    async def _is_stored_already(self, connection: asyncpg.Connection, given: Given) -> bool:
        """Clear up a commit in doubt. Raises `StoreError` if it is durable and `given` is another one."""
        if self._doubt is None:
            return False
        stored = await self._stored_commits(connection) > self._commits
        if stored and not given.is_again(self._doubt):
            raise unsure(self._place.name)
        self._commits += stored
        self._doubt = None
        return stored

    async def _merge_oldest(self, table: str, merge: Merge) -> bool:
        host, sql = self._place.host, self._place.sql
        async with self._session("roll up") as connection, transaction(connection, "BEGIN"):
            oldest = await connection.fetchval(sql[f"oldest_{table}"], host, merge.fine_s, merge.before)
            if oldest is not None:
                start, end = coarse_span(merge, oldest)
                merged = (merge.coarse_s, start, merge.fine_s, start, end)
                await connection.execute(sql[f"merge_{table}"], host, *merged)
                await connection.execute(sql[f"drop_{table}"], host, merge.fine_s, start, end)
        return oldest is not None

    async def _drop_oldest_reasons(self, first_day: int) -> bool:
        host, sql = self._place.host, self._place.sql
        async with self._session("drop old reasons") as connection, transaction(connection, "BEGIN"):
            day = await connection.fetchval(sql["oldest_reasons"], host, first_day)
            if day is not None:
                await connection.execute(sql["drop_reasons"], host, day)
        return day is not None

    async def _prune(self, table: str, arguments: Row) -> bool:
        async with self._session("drop old records") as connection, transaction(connection, "BEGIN"):
            done: str = await connection.execute(self._place.sql[f"prune_{table}"], self._place.host, *arguments)
        return done != "DELETE 0"


class PostgresReader:
    """Reads one host's rows, also while its daemon writes them. Changes nothing, and holds nothing open."""

    def __init__(
        self, url: str, *, host: str = DEFAULT_HOST, password: str | None = None, timeout_s: float = TIMEOUT_S
    ) -> None:
        self._place = Place(url, password, host)
        self._timeout_s = timeout_s

    async def load(self, since: Instant) -> Ledger:
        """As `PostgresStore.load`. Raises `StoreError`, also for a schema of another version."""
        async with self._session("read it") as connection:
            return await _fetch(connection, self._place, since)

    async def records(self, *, limit: int, halt_id: str | None = None) -> list[Record]:
        """As `PostgresStore.records`. Raises `StoreError`, also for a schema of another version."""
        async with self._session("read records") as connection:
            return await _fetch_records(connection, self._place, limit, halt_id)

    @asynccontextmanager
    async def _session(self, doing: str) -> AsyncIterator[asyncpg.Connection]:
        async with explained(self._place.name, doing, self._timeout_s):
            connection = await self._place.connect()
            try:
                await self._place.check_version(connection, may_migrate=False)
                yield connection
            finally:
                connection.terminate()


async def _fetch(connection: asyncpg.Connection, place: Place, since: Instant) -> Ledger:
    rows = {}
    async with transaction(connection, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"):
        for table in LOADED:
            rows[table] = await connection.fetch(place.sql[f"load_{table}"], place.host, *load_arguments(table, since))
    try:
        return ledger_of(rows)
    except MsgspecError as error:
        raise store_error(place.name, "read it", _DAMAGED, str(error)) from error


async def _fetch_records(connection: asyncpg.Connection, place: Place, limit: int, halt_id: str | None) -> list[Record]:
    if halt_id is None:
        rows = await connection.fetch(place.sql["newest_records"], place.host, limit)
    else:
        rows = await connection.fetch(place.sql["newest_records_of_halt"], place.host, storable(halt_id), limit)
    try:
        return records_of(rows)
    except MsgspecError as error:
        raise store_error(place.name, "read records", _DAMAGED, str(error)) from error
