"""Campaigns in the database, as the API reads and writes them.

In: sessions of one instance's database. Out: rows as the API shows them. Raises asyncpg's errors and OSError.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import asyncpg

from tests.tools.listmonk.answers import Page
from tests.tools.listmonk.versions import Traits

_COLUMNS: Final = (
    "id, uuid, type::text, name, subject, from_email, body, altbody, send_at, status::text, content_type::text,"
    " COALESCE(tags, '{}') AS tags, headers, template_id, messenger, archive, archive_slug, archive_template_id, archive_meta,"
    " started_at, to_send, sent, created_at, updated_at, 0 AS views, 0 AS clicks, '[]'::jsonb AS media,"
    " (SELECT COUNT(*) FROM bounces b WHERE b.campaign_id = campaigns.id) AS bounces,"
    " COALESCE((SELECT jsonb_agg(jsonb_build_object('id', cl.list_id, 'name', cl.list_name))"
    " FROM campaign_lists cl WHERE cl.campaign_id = campaigns.id), '[]') AS lists"
)
_FILTER: Final = """
WHERE (CARDINALITY($1::campaign_status[]) = 0 OR status = ANY($1))
    AND (CARDINALITY($2::varchar[]) = 0 OR $2 <@ tags)
    AND ($3 = '' OR CONCAT(name, ' ', subject) ILIKE '%' || $3 || '%')
    AND ($4::int[] IS NULL OR EXISTS (
        SELECT 1 FROM campaign_lists x WHERE x.campaign_id = campaigns.id AND x.list_id = ANY($4)
    ))
"""
_ORDER_BY: Final = frozenset({"name", "status", "created_at", "updated_at"})
_FIELDS: Final = ("name", "subject", "from_email", "body", "altbody", "content_type", "send_at", "headers", "tags", "messenger")
_CASTS: Final = {"content_type": "::content_type", "tags": "::varchar[]", "send_at": "::timestamptz"}
_RUNNING: Final = """
SELECT id, status::text, to_send, sent, started_at, updated_at FROM campaigns WHERE status = 'running' ORDER BY id
"""


class CampaignsStore:
    """See the module."""

    def __init__(self, pool: asyncpg.Pool, traits: Traits) -> None:
        self._pool = pool
        self._traits = traits
        more = ", body_source" * traits.body_source + ", attribs" * traits.attribs
        self._select = f"SELECT {_COLUMNS}{more} FROM campaigns"  # noqa: S608  (constants only)

    async def query(
        self, filters: Mapping[str, Any], lists: Sequence[int] | None, page: Page
    ) -> tuple[list[dict[str, Any]], int]:
        """Return a page and the total. `lists` None: of any list. An unknown status is the database's error."""
        order_by = filters["order_by"] if filters["order_by"] in _ORDER_BY else "created_at"
        order = "ASC" if filters["order"] == "asc" else "DESC"
        values = (filters["status"], filters["tag"], filters["query"], lists)
        rows = await self._pool.fetch(
            f"{self._select} {_FILTER} ORDER BY {order_by} {order}, id OFFSET $5 LIMIT $6", *values, page.offset, page.size
        )
        total = await self._pool.fetchval(f"SELECT COUNT(*) FROM campaigns {_FILTER}", *values)  # noqa: S608  (constants only)
        return [dict(row) for row in rows], total

    async def get(self, campaign: int) -> dict[str, Any] | None:
        """Return one, or None."""
        row = await self._pool.fetchrow(f"{self._select} WHERE id = $1", campaign)
        return dict(row) if row else None

    async def lists_of(self, campaign: int) -> list[int]:
        """Return the ids of its lists."""
        found = await self._pool.fetch(
            "SELECT list_id FROM campaign_lists WHERE campaign_id = $1 AND list_id IS NOT NULL", campaign
        )
        return [row[0] for row in found]

    async def create(self, fields: Mapping[str, Any], lists: Sequence[int]) -> int:
        """Insert a draft; return its id."""
        names = [*_FIELDS, "type"]
        places = ", ".join(f"${n}{_CASTS.get(name, '')}" for n, name in enumerate(names, 1)).replace(
            "$11", "$11::campaign_type"
        )
        async with self._pool.acquire() as session, session.transaction():
            campaign: int = await session.fetchval(
                f"INSERT INTO campaigns ({', '.join(names)}) VALUES ({places}) RETURNING id",  # noqa: S608  (constants only)
                *(fields[name] for name in names),
            )
            await _set_lists(session, campaign, lists)
        return campaign

    async def update(self, campaign: int, fields: Mapping[str, Any], lists: Sequence[int]) -> None:
        """Overwrite; a scheduled campaign that loses its date becomes a draft."""
        sets = ", ".join(f"{name} = ${n}{_CASTS.get(name, '')}" for n, name in enumerate(_FIELDS, 2))
        status = "CASE WHEN status = 'scheduled' AND $8::timestamptz IS NULL THEN 'draft' ELSE status END"
        async with self._pool.acquire() as session, session.transaction():
            await session.execute(
                f"UPDATE campaigns SET {sets}, status = {status}, updated_at = now() WHERE id = $1",  # noqa: S608  (constants)
                campaign, *(fields[name] for name in _FIELDS),
            )  # fmt: skip
            await session.execute("DELETE FROM campaign_lists WHERE campaign_id = $1", campaign)
            await _set_lists(session, campaign, lists)

    async def set_status(self, campaign: int, status: str, now: datetime) -> None:
        """Set it without looking at what it is by now. Since version 5, running with a date is stored as scheduled."""
        resumed = "(CASE WHEN send_at IS NOT NULL AND $2::text = 'running' THEN 'scheduled' ELSE $2::text END)::campaign_status"
        stored = resumed if self._traits.resume_schedules else "$2::text::campaign_status"
        await self._pool.execute(
            f"UPDATE campaigns SET status = {stored}, updated_at = $3 WHERE id = $1",  # noqa: S608  (constants only)
            campaign, status, now,
        )  # fmt: skip

    async def running(self) -> list[dict[str, Any]]:
        """Return the progress of campaigns that the database calls running."""
        return [dict(row) for row in await self._pool.fetch(_RUNNING)]


async def _set_lists(session: asyncpg.Connection, campaign: int, lists: Sequence[int]) -> None:
    await session.execute(
        "INSERT INTO campaign_lists (campaign_id, list_id, list_name)"
        " SELECT $1, id, name FROM lists WHERE id = ANY($2::int[])",
        campaign, lists,
    )  # fmt: skip
