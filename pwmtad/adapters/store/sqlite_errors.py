"""What to tell a person when the SQLite file can't be used: what happened, what to do, and whether trying again may help."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from pwmtad.adapters.store.causes import Cause, store_error

_FULL = Cause("the disk is full", "Free space there; the same work is then done again and nothing is lost.", True)
_DENIED = Cause(
    "it may not be written",
    "Check owner and mode of the file, its -wal, -shm and .lock, and of their folder.",
    False,
)
_READ_ONLY = Cause("its file system is read-only", "Mount it read-write.", False)
_DAMAGED = Cause(
    "it is damaged or no SQLite database",
    "Nothing was changed. Check that the path is right. If it is: stop pwmtad, move the file with its -wal and -shm away, "
    "and put a backup there, or what `sqlite3 MOVED .recover | sqlite3 NEW` can save.",
    False,
)
_UNEXPECTED = Cause("SQLite refused", "Nothing was changed. This is not expected: please report it.", False)

_LOCKED = Cause("another process keeps it locked", "A backup or a sqlite3 shell? `fuser -v` on the file shows it.", True)

_BY_CODE: Final = {
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_PROTOCOL: _LOCKED,  # lost a race for the -wal's locks several times
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_IOERR: Cause(
        "reading or writing failed", "See `dmesg`, `df`, and quotas or size limits of the service.", True
    ),
    sqlite3.SQLITE_NOMEM: Cause("there is no memory", "See `free -m` and the service's MemoryMax.", True),
    sqlite3.SQLITE_READONLY: _DENIED,
    sqlite3.SQLITE_PERM: _DENIED,
    sqlite3.SQLITE_AUTH: _DENIED,
    sqlite3.SQLITE_CANTOPEN: Cause(
        "it can't be opened", "Check that it exists and that this user may read and write it and its folder.", False
    ),
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
}

_BY_ERRNO: Final = {
    errno.ENOENT: Cause(
        "its folder does not exist", "Create it for the user that runs pwmtad (StateDirectory= does that).", False
    ),
    errno.EACCES: _DENIED,
    errno.EPERM: _DENIED,
    errno.EROFS: _READ_ONLY,
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EISDIR: Cause("it is a folder", "Name a file in it.", False),
    errno.ENOTDIR: Cause("a part of its path is no folder", "Check the path.", False),
}


@contextmanager
def explained(path: str, doing: str) -> Iterator[None]:
    """Turn errors of SQLite and of the file system into a `StoreError` for people."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the primary code of an extended one
        raise store_error(path, doing, _BY_CODE.get(code, _UNEXPECTED), str(error)) from error
    except OSError as error:
        cause = _BY_ERRNO.get(error.errno or 0, Cause("the system refused", "Check the path.", False))
        raise store_error(path, doing, cause, f"{error.strerror}: {error.filename}") from error


def damaged(detail: str) -> sqlite3.DatabaseError:
    """Return the error that SQLite would raise for a damaged file, for damage that we found ourselves."""
    error = sqlite3.DatabaseError(detail)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error
