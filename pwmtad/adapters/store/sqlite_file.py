"""The SQLite file itself: who may open it, in what state it must be, and what to tell a person when it can't be used.

Everything here blocks, and runs in the worker thread that `sqlite.py` owns. A damaged file is never deleted, replaced or
repaired from here: what it still holds is worth more than a quick start.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from typing import Final, Self
from urllib.parse import quote

from pwmtad.adapters.store.sql_files import Migration, check_version, migrations
from pwmtad.adapters.store.sqlite_errors import damaged, explained
from pwmtad.model.errors import StoreError

APPLICATION_ID: Final = 0x50574D54
"""`PWMT`: tells our files from those of other programs (`file` shows it, too)."""

_MODE: Final = 0o640
"""Open messages hold recipients' addresses."""

_SETTINGS: Final = (
    "PRAGMA foreign_keys = ON",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA cell_size_check = ON",  # find damage when a page is read, not when a wrong number is believed
    # After a power loss the last commits may be gone, but as a whole: their checkpoints go with their counts, so the same
    # lines are read again. FULL would add an fsync to each commit and keep nothing that the logs do not have.
    "PRAGMA synchronous = NORMAL",
    "PRAGMA journal_size_limit = 67108864",  # a big roll-up or a long reader must not leave a huge -wal behind for good
)


class StoreFile:
    """A store opened for writing. It belongs to the thread that opened it."""

    def __init__(self, path: str, connection: sqlite3.Connection, resources: ExitStack) -> None:
        self.path = path
        self._connection = connection
        self._resources = resources
        self._identity = _identity(path)

    @classmethod
    def open(cls, path: str, busy_timeout_s: float) -> Self:
        """Take the lock, connect, check, migrate. Raises `StoreError`, and then nothing stays open or locked."""
        real_path = os.path.realpath(path)  # two names of one file must find one lock
        with ExitStack() as resources, explained(path, "open it"):
            resources.callback(os.close, _take_lock(real_path))
            _create(real_path)
            connection = resources.enter_context(closing(_connect(real_path, "rw", busy_timeout_s)))
            _check_ownership(connection, path)
            _check_integrity(connection)
            for setting in _SETTINGS:
                connection.execute(setting)
            _use_wal(connection, path)
            migrate(connection, path, migrations("sqlite"))
            _try_to_write(connection)
            return cls(real_path, connection, resources.pop_all())

    def close(self) -> None:
        """Close the connection (SQLite moves the -wal into the file), then let the lock go."""
        self._resources.close()

    @contextmanager
    def transaction(self, doing: str, begin: str = "BEGIN IMMEDIATE") -> Iterator[sqlite3.Connection]:
        """Run the block in a transaction: all or nothing. Raises `StoreError`."""
        with explained(self.path, doing):
            if _identity(self.path) != self._identity:
                raise StoreError(
                    f"store {self.path}: could not {doing}: the file was moved, replaced or deleted while pwmtad used it. "
                    "Put it back or accept the new one, then restart pwmtad.",
                    retryable=False,
                )
            with _transaction(self._connection, begin):
                yield self._connection


@contextmanager
def reading(path: str, busy_timeout_s: float) -> Iterator[sqlite3.Connection]:
    """Connect read-only, beside a running daemon or without one, to see one state of the store. Raises `StoreError`."""
    with explained(path, "read it"):
        if not os.path.exists(path):
            raise StoreError(f"store {path}: there is none. Check the path, or start pwmtad once.", retryable=False)
        with closing(_connect(os.path.realpath(path), "ro", busy_timeout_s)) as connection:
            _check_ownership(connection, path)
            check_version(_pragma(connection, "user_version"), migrations("sqlite"), f"store {path}", may_migrate=False)
            with _transaction(connection, "BEGIN"):
                yield connection


def migrate(connection: sqlite3.Connection, path: str, steps: Sequence[Migration]) -> None:
    """Apply the steps above the stored version, in order, each in its own transaction together with its number.

    `user_version` holds the number of the last one. Raises `StoreError` for a store of a newer pwmtad.
    """
    version = _pragma(connection, "user_version")
    check_version(version, steps, f"store {path}", may_migrate=True)
    for step in steps:
        if step.number > version:
            version = step.number
            _run_script(connection, f"{step.sql}; PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {version}")


def _try_to_write(connection: sqlite3.Connection) -> None:
    """Find out now, not at the first commit, that the file can't be written. What may pass is left for that commit: with a
    full disk the daemon still has to know what it had counted."""
    try:
        _run_script(connection, f"PRAGMA user_version = {_pragma(connection, 'user_version')}")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_BUSY):
            raise


def _take_lock(real_path: str) -> int:
    """Return the descriptor that holds the lock; closing it (or dying) lets go. The file stays: removing it would race."""
    descriptor = os.open(f"{real_path}.lock", os.O_RDWR | os.O_CREAT, _MODE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(descriptor)
        raise StoreError(
            f"store {real_path} is in use by another pwmtad, process {holder}. Two daemons must not count into one store: "
            "stop that one, or give this one its own.",
            retryable=True,
        ) from None
    except BaseException:
        os.close(descriptor)
        raise
    with suppress(OSError):  # a full disk: the lock is held all the same, its holder just goes unnamed
        os.pwrite(descriptor, b"%-10d\n" % os.getpid(), 0)
    return descriptor


def _create(real_path: str) -> None:
    os.close(os.open(real_path, os.O_RDWR | os.O_CREAT, _MODE))
    if os.path.getsize(real_path) == 0 and _size(f"{real_path}-wal") > 0:
        # SQLite would take the empty file for a new database and drop the -wal: all that is left of the store.
        raise damaged("the file is empty, but its -wal is not")


def _size(path: str) -> int:
    with suppress(FileNotFoundError):
        return os.path.getsize(path)
    return 0


def _connect(real_path: str, mode: str, busy_timeout_s: float) -> sqlite3.Connection:
    # isolation_level=None: transactions begin and end where we say so, not where the module guesses.
    uri = f"file:{quote(real_path)}?mode={mode}"
    return sqlite3.connect(uri, uri=True, timeout=busy_timeout_s, isolation_level=None)


def _check_ownership(connection: sqlite3.Connection, path: str) -> None:
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if tables and _pragma(connection, "application_id") != APPLICATION_ID:
        raise StoreError(f"store {path}: this is the database of another program. Give pwmtad its own.", retryable=False)


def _check_integrity(connection: sqlite3.Connection) -> None:
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise damaged(verdict.replace("\n", " "))


def _use_wal(connection: sqlite3.Connection, path: str) -> None:
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise StoreError(
            f"store {path}: its file system can't share memory between processes (a network file system?), which SQLite's "
            "write-ahead log needs. Put it on a local disk.",
            retryable=False,
        )


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    (value,) = connection.execute(f"PRAGMA {name}").fetchone()
    return int(value)


def _run_script(connection: sqlite3.Connection, sql: str) -> None:
    try:
        connection.executescript(f"BEGIN IMMEDIATE; {sql}; COMMIT")
    except BaseException:
        _roll_back(connection)
        raise


@contextmanager
def _transaction(connection: sqlite3.Connection, begin: str) -> Iterator[None]:
    connection.execute(begin)
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        _roll_back(connection)
        raise


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:  # a full disk or an I/O error has often ended it already
        connection.execute("ROLLBACK")


def _identity(path: str) -> tuple[int, int]:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return 0, 0
    return status.st_dev, status.st_ino
