"""What to tell a person when PostgreSQL can't be used: what happened, what to do, and whether trying again may help."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import urlsplit

import asyncpg

from pwmtad.adapters.store.causes import Cause, store_error

_UNREACHABLE = Cause("the connection failed", "Is the server running and reachable?", True)
_REFUSED = Cause("the server refused the login", "Check user, password and pg_hba.conf.", False)
_UNEXPECTED = Cause("PostgreSQL refused", "Nothing was changed. This is not expected: please report it.", False)

_BY_SQLSTATE: Final = {
    # Longest match wins. PostgreSQL 15 appendix A.
    "08": _UNREACHABLE,
    "28": _REFUSED,
    "3D": Cause("there is no such database", "Create it: see docs/store.md.", False),
    "40": Cause("the transaction was rolled back", "It is tried again.", True),
    "42501": Cause("a privilege is missing", "The user must own the schema pwmtad: see docs/store.md.", False),
    "53": Cause("the server lacks resources", "See its log; nothing is lost.", True),
    "53100": Cause("the server's disk is full", "Free space there; nothing is lost.", True),
    "53300": Cause("the server has no free connection", "Raise its max_connections or close others.", True),
    "55P03": Cause("another session keeps a row or table locked", "See pg_locks.", True),
    "57014": Cause("the server took too long", "See pg_stat_activity and the server's load.", True),
    "57P": Cause("the server ended the connection", "It is shutting down or starting; it is tried again.", True),
    "25006": Cause("the server is read-only", "A standby? Name the primary, or use target_session_attrs.", True),
    "XX001": Cause("the server found damaged data", "Nothing was changed. Restore a backup.", False),
    "XX002": Cause("the server found a damaged index", "Nothing was changed. REINDEX, or restore a backup.", False),
}


def describe(url: str) -> str:
    """Return `url` as errors and logs may show it: no password, no query."""
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    user = parts.username or ""
    return f"postgresql://{user}{'@' if user else ''}{place}{parts.path}"


@asynccontextmanager
async def explained(store: str, doing: str, timeout_s: float) -> AsyncIterator[None]:
    """Bound the block in time and turn everything that a connection can raise into a `StoreError` for people."""
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except TimeoutError as error:
        cause = Cause("no answer came in time", "See the network and the server's load.", True)
        raise store_error(store, doing, cause, "") from error
    except asyncpg.PostgresError as error:
        raise store_error(store, doing, _cause(error.sqlstate or ""), str(error)) from error
    except asyncpg.ClientConfigurationError as error:
        raise store_error(store, doing, Cause("the URL is wrong", "See docs/store.md.", False), str(error)) from error
    except (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        raise store_error(store, doing, _UNREACHABLE, str(error)) from error


def _cause(sqlstate: str) -> Cause:
    return next((_BY_SQLSTATE[sqlstate[:n]] for n in (5, 3, 2) if sqlstate[:n] in _BY_SQLSTATE), _UNEXPECTED)
