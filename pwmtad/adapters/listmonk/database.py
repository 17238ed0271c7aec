"""Listmonk's own database, read only: subscribers by address, and lists that hold domains which must not be mailed.

A session lives for one question, in a transaction that can't write, and none takes longer than 10 s: the database is another
program's, and its campaigns come first.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pwmtad.config import ListmonkSettings
from pwmtad.core.text import clean
from pwmtad.model.audience import DomainFound, ListedDomain, Subscriber

if TYPE_CHECKING:
    import asyncpg

_TIMEOUT_S: Final = 10.0
_SERVER_SETTINGS: Final = {
    "default_transaction_read_only": "on",
    "statement_timeout": "10s",
    "lock_timeout": "2s",
    "idle_in_transaction_session_timeout": "30s",
    "client_min_messages": "error",
    "application_name": "pwmtad",
}
_MAX_PASSWORD_BYTES: Final = 4096

_BY_ADDRESS: Final = """
SELECT id, uuid::text, LOWER(email) AS email, status::text FROM subscribers WHERE LOWER(email) = ANY($1::text[]) ORDER BY id
"""
_BY_DOMAIN: Final = """
SELECT id, uuid::text, LOWER(email) AS email, status::text, COUNT(*) OVER () AS total FROM subscribers
WHERE RIGHT(LOWER(email), $2::int) = $1::text AND status <> 'blocklisted' ORDER BY id LIMIT $3
"""
# Whom a campaign mails (Listmonk's queries/campaigns.sql, next-campaign-subscribers), unconfirmed ones of double opt-in too.
_MAILED: Final = """
FROM campaign_lists cl
JOIN subscriber_lists sl ON sl.list_id = cl.list_id AND sl.status <> 'unsubscribed'
JOIN subscribers s ON s.id = sl.subscriber_id AND s.status <> 'blocklisted'
WHERE cl.campaign_id = ANY($1::int[])
"""
_DOMAIN: Final = "LOWER(SUBSTRING(s.email FROM '@([^@]*)$'))"
_SIZES: Final = f"SELECT cl.campaign_id, COUNT(DISTINCT s.id) {_MAILED} GROUP BY 1"
_LISTED: Final = f"""
SELECT cl.campaign_id, {_DOMAIN} AS domain, COUNT(DISTINCT s.id) AS subscribers {_MAILED}
AND {_DOMAIN} = ANY($2::text[]) GROUP BY 1, 2 ORDER BY 1, 3 DESC, 2
"""


class DatabaseError(Exception):
    """It can't be read; the text says why."""


class ListmonkDatabase:
    """See the module."""

    def __init__(self, url: str, password_file: str | None) -> None:
        self._url = url
        self._password_file = password_file

    @classmethod
    def of(cls, settings: ListmonkSettings) -> ListmonkDatabase | None:
        """Return the database that the configuration names; None if it names none."""
        if settings.database_url is None:
            return None
        return cls(settings.database_url.url, settings.database_password_file)

    async def find(self, addresses: Sequence[str]) -> tuple[Subscriber, ...]:
        """Return the subscribers of these addresses. Raises DatabaseError."""
        rows = await self._fetch(_BY_ADDRESS, list(addresses))
        return tuple(_subscriber(row) for row in rows)

    async def find_domain(self, domain: str, most: int) -> DomainFound:
        """Return up to `most` subscribers of a domain that are mailed, and how many there are. Raises DatabaseError."""
        ending = f"@{domain}"
        rows = await self._fetch(_BY_DOMAIN, ending, len(ending), most)
        return DomainFound(tuple(_subscriber(row) for row in rows), rows[0]["total"] if rows else 0)

    async def sizes(self, campaigns: Collection[int]) -> dict[int, int]:
        """Return how many subscribers each campaign would mail. Raises DatabaseError."""
        return {row[0]: row[1] for row in await self._fetch(_SIZES, sorted(campaigns))}

    async def listed(self, campaigns: Collection[int], domains: Collection[str]) -> tuple[ListedDomain, ...]:
        """Return how many subscribers of these domains each campaign would mail. Raises DatabaseError."""
        rows = await self._fetch(_LISTED, sorted(campaigns), sorted(domains))
        return tuple(ListedDomain(row[0], clean(row[1], 255), row[2]) for row in rows)

    async def _fetch(self, statement: str, *arguments: object) -> list[Any]:
        async with self._session() as session, session.transaction(readonly=True):
            return list(await session.fetch(statement, *arguments))

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[asyncpg.Connection]:
        import asyncpg  # only where it is used: it loads slowly

        try:
            async with asyncio.timeout(_TIMEOUT_S):
                password = await asyncio.to_thread(_read_password, self._password_file)
                session = await asyncpg.connect(
                    self._url, password=password, timeout=_TIMEOUT_S, server_settings=_SERVER_SETTINGS
                )
                try:
                    yield session
                finally:
                    session.terminate()
        except TimeoutError:
            raise DatabaseError(f"no answer from Listmonk's database within {_TIMEOUT_S:g} s") from None
        except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise DatabaseError(
                clean(f"Listmonk's database can't be read: {str(error) or type(error).__name__}", 300)
            ) from error


def _subscriber(row: Any) -> Subscriber:
    return Subscriber(row["id"], row["uuid"], clean(row["email"], 320), clean(row["status"], 40))


def _read_password(path: str | None) -> str | None:
    if path is None:
        return None
    with Path(path).open("rb") as file:
        return file.read(_MAX_PASSWORD_BYTES).decode("utf-8", "replace").strip()
