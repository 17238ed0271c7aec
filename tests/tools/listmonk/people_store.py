"""Subscribers and bounces in the database.

In: sessions of one instance's database. Out: rows as the API shows them. Raises asyncpg's errors and OSError.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import asyncpg
import msgspec

from tests.tools.listmonk.answers import Page

_SHOWN: Final = """
SELECT subscribers.id, uuid, email, name, attribs, status::text, created_at, updated_at, COALESCE((
    SELECT jsonb_agg(jsonb_build_object('id', l.id, 'name', l.name, 'subscription_status', sl.status))
    FROM subscriber_lists sl JOIN lists l ON l.id = sl.list_id WHERE sl.subscriber_id = subscribers.id
), '[]') AS lists
FROM subscribers
"""
_ON_LISTS: Final = """(CARDINALITY($1::int[]) = 0 OR EXISTS (
    SELECT 1 FROM subscriber_lists x WHERE x.subscriber_id = subscribers.id AND x.list_id = ANY($1)
))"""

_BLOCK: Final = "UPDATE subscribers SET status = 'blocklisted', updated_at = now() WHERE id = ANY($1::int[])"
_LEAVE: Final = "UPDATE subscriber_lists SET status = 'unsubscribed', updated_at = now() WHERE subscriber_id = ANY($1::int[])"

_BOUNCES: Final = """
SELECT b.id, b.type::text, b.source, b.meta, b.created_at, b.subscriber_id, s.uuid AS subscriber_uuid, s.email,
    CASE WHEN c.id IS NOT NULL THEN jsonb_build_object('id', c.id, 'name', c.name) END AS campaign
FROM bounces b LEFT JOIN subscribers s ON s.id = b.subscriber_id LEFT JOIN campaigns c ON c.id = b.campaign_id
WHERE ($1 = 0 OR b.campaign_id = $1) AND ($2 = '' OR b.source = $2) ORDER BY b.created_at DESC, b.id DESC
"""


class Bounce(msgspec.Struct, frozen=True):
    """What the webhook queues."""

    email: str
    subscriber_uuid: str
    campaign_uuid: str
    type: str
    source: str
    meta: Any
    created_at: datetime


class PeopleStore:
    """See the module."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def query(self, condition: str, lists: Sequence[int], page: Page) -> tuple[list[dict[str, Any]], int]:
        """Return a page and the total. The condition is put into the statement as it is."""
        where = f"WHERE {_ON_LISTS}" + (f" AND {condition}" if condition else "")
        async with self._pool.acquire() as session, session.transaction(readonly=True):
            total = await session.fetchval(f"SELECT COUNT(*) FROM subscribers {where}", lists)  # noqa: S608  (as the real one)
            rows = await session.fetch(f"{_SHOWN} {where} ORDER BY id OFFSET $2 LIMIT $3", lists, page.offset, page.size)
        return [dict(row) for row in rows], total

    async def get(self, subscriber: int) -> dict[str, Any] | None:
        """Return one, or None."""
        row = await self._pool.fetchrow(f"{_SHOWN} WHERE subscribers.id = $1", subscriber)
        return dict(row) if row else None

    async def outside(self, subscribers: Sequence[int], lists: Iterable[int]) -> bool:
        """Whether one of them is on none of the lists."""
        on_them = await self._pool.fetch(
            "SELECT DISTINCT subscriber_id FROM subscriber_lists"
            " WHERE subscriber_id = ANY($1::int[]) AND list_id = ANY($2::int[])",
            subscribers, list(lists),
        )  # fmt: skip
        return {row[0] for row in on_them} != set(subscribers)

    async def blocklist(self, subscribers: Sequence[int]) -> None:
        """Blocklist them and end all their subscriptions; ids that nobody has are no error."""
        async with self._pool.acquire() as session, session.transaction():
            await session.execute(_BLOCK, subscribers)
            await session.execute(_LEAVE, subscribers)

    async def blocklist_by_query(self, condition: str, search: str, lists: Sequence[int]) -> None:
        """Blocklist whom the condition finds. It is put behind AND without parentheses, so an OR in it escapes the rest."""
        matches = "($2 = '' OR name ~* $2 OR email ~* $2)"
        where = f"{_ON_LISTS} AND {matches}" + (f" AND {condition}" if condition else "")
        statement = f"SELECT id FROM subscribers WHERE {where}"  # noqa: S608  (as the real one)
        await self.blocklist([row[0] for row in await self._pool.fetch(statement, lists, search)])

    async def blocklist_bounced(self) -> None:
        """Blocklist everybody who has any bounce, soft ones included."""
        await self.blocklist([row[0] for row in await self._pool.fetch("SELECT DISTINCT subscriber_id FROM bounces")])

    async def bounces(self, campaign: int, source: str, page: Page) -> tuple[list[dict[str, Any]], int]:
        """Return a page of what was recorded (which is not all that was reported), and the total."""
        rows = await self._pool.fetch(_BOUNCES, campaign, source)
        part = rows[page.offset : page.offset + page.size] if page.size else rows
        return [dict(row) for row in part], len(rows)

    async def record(self, bounce: Bounce, actions: Mapping[str, Any]) -> None:
        """Do with a bounce what `bounce.actions` says; a type that it lacks is passed over without a word.

        Raises for an unknown subscriber and a malformed campaign, which only the log will tell.
        """
        action = actions.get(bounce.type)
        if action is None:
            return
        async with self._pool.acquire() as session, session.transaction():
            subscriber = await _subscriber(session, bounce)
            found, status = (subscriber["id"], subscriber["status"]) if subscriber else (None, "")
            campaign = None
            if bounce.campaign_uuid:
                campaign = await session.fetchval("SELECT id FROM campaigns WHERE uuid = $1", bounce.campaign_uuid)
            count = 1 + await session.fetchval(
                "SELECT COUNT(*) FROM bounces WHERE subscriber_id = $1 AND type = $2::bounce_type", found, bounce.type
            )
            if status != "blocklisted" and count <= action["count"]:
                await session.execute(
                    "INSERT INTO bounces (subscriber_id, campaign_id, type, source, meta, created_at)"
                    " VALUES ($1, $2, $3::bounce_type, $4, $5, $6)",
                    found, campaign, bounce.type, bounce.source, bounce.meta, bounce.created_at,
                )  # fmt: skip
            if count >= action["count"]:
                await _act(session, action["action"], found, status)


async def _subscriber(session: asyncpg.Connection, bounce: Bounce) -> Any:
    if bounce.subscriber_uuid:
        return await session.fetchrow("SELECT id, status::text FROM subscribers WHERE uuid = $1", bounce.subscriber_uuid)
    return await session.fetchrow("SELECT id, status::text FROM subscribers WHERE email = $1", bounce.email)


async def _act(session: asyncpg.Connection, action: str, subscriber: int | None, status: str) -> None:
    """Subscriptions stay when a bounce blocklists, other than when a person does."""
    if action == "blocklist" and status != "blocklisted":
        await session.execute("UPDATE subscribers SET status = 'blocklisted' WHERE id = $1", subscriber)
    elif action == "unsubscribe" and status != "blocklisted":
        await session.execute("UPDATE subscriber_lists SET status = 'unsubscribed' WHERE subscriber_id = $1", subscriber)
    elif action == "delete":
        await session.execute("DELETE FROM subscribers WHERE id = $1", subscriber)
