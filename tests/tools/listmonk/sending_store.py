"""What the engine reads from and writes to the database: which campaigns run, who is next, how far they came.

In: sessions of one instance's database. Out: campaigns and people. Raises asyncpg's errors and OSError.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import asyncpg

from tests.tools.listmonk.message import Campaign, Person, headers_of
from tests.tools.listmonk.versions import Traits

_ADD_SENT: Final = "UPDATE campaigns SET sent = sent + $2 WHERE id = $1"

_WAITING: Final = """
SELECT id, uuid::text, name, subject, from_email, body, altbody, content_type::text, headers, messenger,
       send_at IS NOT NULL AS scheduled
FROM campaigns
WHERE (status = 'running' OR (status = 'scheduled' AND send_at <= $2)) AND NOT id = ANY($1::int[])
ORDER BY id
"""

_ELIGIBLE: Final = """
    s.status <> 'blocklisted' AND CASE
        WHEN c.type = 'optin' THEN sl.status = 'unconfirmed' AND l.optin = 'double'
        WHEN l.optin = 'double' THEN sl.status = 'confirmed'
        ELSE sl.status <> 'unsubscribed'
    END
"""
"""`disabled` people are mailed. c: campaigns, l: lists, sl: subscriber_lists, s: subscribers."""

_AUDIENCE: Final = """
    FROM campaigns c
    JOIN campaign_lists cl ON cl.campaign_id = c.id
    JOIN lists l ON l.id = cl.list_id
    JOIN subscriber_lists sl ON sl.list_id = l.id
    JOIN subscribers s ON s.id = sl.subscriber_id
"""

# A campaign without anybody eligible is not touched: it stays what it was.
_PICK_UP: Final = f"""
WITH counted AS (
    SELECT COUNT(DISTINCT s.id) AS to_send, MAX(s.id) AS last {_AUDIENCE} WHERE c.id = $1 AND {_ELIGIBLE}
)
UPDATE campaigns SET to_send = counted.to_send, max_subscriber_id = counted.last, status = 'running',
    started_at = COALESCE(started_at, $2)
FROM counted WHERE id = $1 AND counted.to_send > 0
"""  # noqa: S608  (constants only)

_RUNNING: Final = "c.id = $1 AND c.status = 'running' AND s.id > c.last_subscriber_id AND s.id <= c.max_subscriber_id"

_NEXT: Final = f"""
SELECT DISTINCT s.id, s.uuid::text, s.email {_AUDIENCE} WHERE {_RUNNING} AND {_ELIGIBLE} ORDER BY s.id LIMIT $2
"""

# Version 3 takes a batch of whoever is on the lists and drops the ineligible ones after: a batch of those alone is empty.
_NEXT_OF_ANY: Final = f"""
WITH batch AS (SELECT DISTINCT s.id {_AUDIENCE} WHERE {_RUNNING} ORDER BY s.id LIMIT $2)
SELECT DISTINCT s.id, s.uuid::text, s.email {_AUDIENCE}
WHERE c.id = $1 AND s.id IN (SELECT id FROM batch) AND {_ELIGIBLE} ORDER BY s.id
"""  # noqa: S608

_CHECKPOINT: Final = "UPDATE campaigns SET last_subscriber_id = $2, updated_at = $3 WHERE id = $1"

_END: Final = """
UPDATE campaigns SET sent = sent + $2, last_subscriber_id = CASE
        WHEN $3::int > 0 THEN $3::int WHEN $4::bool THEN to_send ELSE last_subscriber_id END,
    updated_at = $5
WHERE id = $1
"""

_SET_STATUS: Final = "UPDATE campaigns SET status = $2::campaign_status, updated_at = $3 WHERE id = $1"


class SendingStore:
    """See the module."""

    def __init__(self, pool: asyncpg.Pool, traits: Traits) -> None:
        self._pool = pool
        self._traits = traits
        self._next = _NEXT_OF_ANY if traits.ineligible_batch_ends else _NEXT

    async def pick_up(self, sent: Mapping[int, int], now: datetime) -> list[Campaign]:
        """Add up what the campaigns in work (the keys) have sent since the last call; return those that wait for work.

        What is scheduled and due becomes running; how many there are to send, and up to whom, is counted anew.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.executemany(_ADD_SENT, list(sent.items()))
            rows = await connection.fetch(_WAITING, list(sent), now)
            for row in rows:
                await connection.execute(_PICK_UP, row["id"], now)
        return [_campaign(row) for row in rows]

    async def next_people(self, campaign: int, limit: int, now: datetime) -> list[Person]:
        """Return the next batch, and move the checkpoint to its end at once: nobody of it has got anything yet."""
        async with self._pool.acquire() as connection, connection.transaction():
            rows = await connection.fetch(self._next, campaign, limit)
            if rows:
                await connection.execute(_CHECKPOINT, campaign, rows[-1]["id"], now)
        return [Person(row["id"], row["uuid"], row["email"]) for row in rows]

    async def end(self, campaign: int, sent: int, last: int, now: datetime) -> None:
        """Set the checkpoint back to the last success (0: there was none), which only happens to a pipe that drained."""
        await self._pool.execute(_END, campaign, sent, last, self._traits.checkpoint_takes_to_send, now)

    async def status(self, campaign: int) -> str:
        """Return the status, or "" if the campaign is gone."""
        return await self._pool.fetchval("SELECT status::text FROM campaigns WHERE id = $1", campaign) or ""

    async def set_status(self, campaign: int, status: str, now: datetime) -> None:
        """Set it, whatever it was."""
        await self._pool.execute(_SET_STATUS, campaign, status, now)


def _campaign(row: Mapping[str, Any]) -> Campaign:
    return Campaign(**{**row, "headers": headers_of(row["headers"] or ())})
