"""The store in one SQLite file: the default, with nothing to set up.

One worker thread owns the connection, so the event loop never waits for a disk, and jobs run in the order they were given.
Exactly once: a commit is one transaction, with its checkpoints. When its caller is cancelled while the thread works, nobody
learns whether it became durable: see `commit_order`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from sqlite3 import Connection
from typing import Final, TypeVar

from msgspec import MsgspecError

from pwmtad.adapters.store.commit_order import CommitOrder
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
from pwmtad.adapters.store.rows import LOADED, Change, Row, ledger_of, load_arguments, records_of, storable
from pwmtad.adapters.store.sql_files import statements
from pwmtad.adapters.store.sqlite_errors import damaged
from pwmtad.adapters.store.sqlite_file import StoreFile, reading
from pwmtad.adapters.store.suppression_rows import query_arguments, suppressions_of
from pwmtad.model.errors import StoreError
from pwmtad.model.judgement import Record
from pwmtad.model.ledger import Commit, Ledger
from pwmtad.model.names import Instant
from pwmtad.model.suppression import Suppression, SuppressionCount, SuppressionQuery

BUSY_TIMEOUT_S: Final = 5.0
"""How long to wait for a lock of another process (a backup, a sqlite3 shell). The daemon's own lock keeps other daemons
out, so it is short enough to complain before a halt is late, long enough for a backup's checkpoint."""

_T = TypeVar("_T")


class SqliteStore:
    """A `Store` in the file `path`. One daemon at a time; `SqliteReader` reads beside it."""

    def __init__(self, path: str, *, keep: Keep = DEFAULT_KEEP, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        self._path = path
        self._keep = keep
        self._busy_timeout_s = busy_timeout_s
        self._statements: dict[str, str] = {}
        self._worker: ThreadPoolExecutor | None = None
        self._file: StoreFile | None = None
        self._order = CommitOrder(path)
        self._landed = False
        """The last commit became durable, whether or not its caller was told."""

    async def open(self) -> None:
        """Take the lock, check the file, migrate. Raises `StoreError`; it may be called again then.

        A new run begins, which has to `load` what is stored: what the last one was unsure of is forgotten.
        """
        if self._worker is None:
            self._order.forget()
            self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
            try:
                await self._run(self._open)
            except BaseException:
                await self.close()
                raise

    async def close(self) -> None:
        """Finish the jobs that were given, close the file and let its lock go. Harmless when it is not open."""
        if self._worker is not None:
            try:
                await self._run(self._close)
            finally:
                self._worker.shutdown(wait=False)
                self._worker = None

    async def load(self, since: Instant) -> Ledger:
        """Read what a start needs. Raises `StoreError`."""
        return await self._run(partial(self._load, since))

    async def commit(self, commit: Commit) -> None:
        """Make `commit` durable as a whole, or raise `StoreError` and leave everything as it was.

        The same object may be given again after an error or a cancellation; it is counted once.
        """
        async with self._order.turn(commit) as (given, again):
            if not again:
                self._landed = False
            await self._run(partial(self._commit, given.changes))

    async def records(self, *, limit: int, halt_id: str | None = None) -> list[Record]:
        """Return the newest `limit` records, oldest first; those of one halt if `halt_id` is given. Raises `StoreError`."""
        return await self._run(partial(self._records, limit, halt_id))

    async def suppressions(self, query: SuppressionQuery) -> list[Suppression]:
        """Return a page of suppressions in the order of their keys. Raises `StoreError`."""
        return await self._run(partial(self._suppressions, *query_arguments(query)))

    async def due_suppressions(self, stream: str, now: Instant, limit: int) -> list[Suppression]:
        """Return what a stream's Listmonk is to be told now, what waits longest first. Raises `StoreError`."""
        return await self._run(partial(self._suppressions, "due_suppressions", (stream, now, limit)))

    async def count_suppressions(self) -> list[SuppressionCount]:
        """Return how many rows there are of each sort. Raises `StoreError`."""
        return await self._run(self._count_suppressions)

    async def roll_up(self, now: Instant) -> None:
        """Merge old buckets and drop what is too old, in steps between which commits get their turn. Raises `StoreError`."""
        for table in BUCKET_TABLES:
            for merge in merges(self._keep, now):
                while await self._run(partial(self._merge_oldest, table, merge)):
                    pass
        while await self._run(partial(self._drop_oldest_reasons, first_reason_day(self._keep, now))):
            pass
        for table in PRUNED_TABLES:
            while await self._run(partial(self._prune, table, prune_arguments(self._keep, table, now))):
                pass

    async def _run(self, job: Callable[[], _T]) -> _T:
        if self._worker is None:
            raise StoreError(f"store {self._path} is not open", retryable=False)
        return await asyncio.get_running_loop().run_in_executor(self._worker, job)

    # From here on: in the worker thread.

    def _open(self) -> None:
        self._statements = statements("sqlite")
        self._file = StoreFile.open(self._path, self._busy_timeout_s)

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _opened(self) -> StoreFile:
        if self._file is None:
            raise StoreError(f"store {self._path} is not open", retryable=False)
        return self._file

    def _load(self, since: Instant) -> Ledger:
        with self._opened().transaction("read it", begin="BEGIN") as connection:
            return _fetch(connection, self._statements, since)

    def _records(self, limit: int, halt_id: str | None) -> list[Record]:
        with self._opened().transaction("read records", begin="BEGIN") as connection:
            return _fetch_records(connection, self._statements, limit, halt_id)

    def _suppressions(self, statement: str, arguments: Row) -> list[Suppression]:
        with self._opened().transaction("read suppressions", begin="BEGIN") as connection:
            try:
                return suppressions_of(connection.execute(self._statements[statement], arguments))
            except MsgspecError as error:
                raise damaged(f"a stored suppression is not readable: {error}") from error

    def _count_suppressions(self) -> list[SuppressionCount]:
        with self._opened().transaction("count suppressions", begin="BEGIN") as connection:
            return [SuppressionCount(*row) for row in connection.execute(self._statements["count_suppressions"])]

    def _commit(self, changes: list[Change]) -> None:
        if self._landed:
            return
        with self._opened().transaction("store counters") as connection:
            for verb, table, rows in changes:
                connection.executemany(self._statements[f"{verb}_{table}"], rows)
        self._landed = True

    def _merge_oldest(self, table: str, merge: Merge) -> bool:
        with self._opened().transaction("roll up") as connection:
            oldest = self._oldest(connection, table, (merge.fine_s, merge.before))
            if oldest is None:
                return False
            start, end = coarse_span(merge, oldest)
            merged = (merge.coarse_s, start, merge.fine_s, start, end)
            connection.execute(self._statements[f"merge_{table}"], merged)
            connection.execute(self._statements[f"drop_{table}"], (merge.fine_s, start, end))
        return True

    def _drop_oldest_reasons(self, first_day: int) -> bool:
        with self._opened().transaction("drop old reasons") as connection:
            day = self._oldest(connection, "reasons", (first_day,))
            if day is not None:
                connection.execute(self._statements["drop_reasons"], (day,))
        return day is not None

    def _prune(self, table: str, arguments: Row) -> bool:
        with self._opened().transaction("drop old records") as connection:
            return connection.execute(self._statements[f"prune_{table}"], arguments).rowcount > 0

    def _oldest(self, connection: Connection, table: str, arguments: tuple[int, ...]) -> int | None:
        (oldest,) = connection.execute(self._statements[f"oldest_{table}"], arguments).fetchone()
        return None if oldest is None else int(oldest)


class SqliteReader:
    """Reads the store in the file `path`, also while a daemon writes it. Changes nothing, and holds nothing open."""

    def __init__(self, path: str, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        self._path = path
        self._busy_timeout_s = busy_timeout_s

    async def load(self, since: Instant) -> Ledger:
        """As `SqliteStore.load`. Raises `StoreError`, also for a store of another version."""
        return await asyncio.to_thread(self._load, since)

    async def records(self, *, limit: int, halt_id: str | None = None) -> list[Record]:
        """As `SqliteStore.records`. Raises `StoreError`, also for a store of another version."""
        return await asyncio.to_thread(self._records, limit, halt_id)

    def _load(self, since: Instant) -> Ledger:
        with reading(self._path, self._busy_timeout_s) as connection:
            return _fetch(connection, statements("sqlite"), since)

    def _records(self, limit: int, halt_id: str | None) -> list[Record]:
        with reading(self._path, self._busy_timeout_s) as connection:
            return _fetch_records(connection, statements("sqlite"), limit, halt_id)


def _fetch(connection: Connection, sql: dict[str, str], since: Instant) -> Ledger:
    try:
        return ledger_of({table: connection.execute(sql[f"load_{table}"], load_arguments(table, since)) for table in LOADED})
    except MsgspecError as error:
        raise damaged(f"a stored state is not readable: {error}") from error


def _fetch_records(connection: Connection, sql: dict[str, str], limit: int, halt_id: str | None) -> list[Record]:
    if halt_id is None:
        rows = connection.execute(sql["newest_records"], (limit,))
    else:
        rows = connection.execute(sql["newest_records_of_halt"], (storable(halt_id), limit))
    try:
        return records_of(rows)
    except MsgspecError as error:
        raise damaged(f"a stored record is not readable: {error}") from error
