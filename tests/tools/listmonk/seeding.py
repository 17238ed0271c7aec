"""What a test puts into a stand-in behind its back: people, campaigns, users, settings, mail that bypasses the window.

In: values. Out: rows, by plain SQL over a session of its own: the process is not told, as with anything that is done by SQL.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from tests.tools.listmonk.database import open_database
from tests.tools.listmonk.message import Campaign, Person
from tests.tools.listmonk.standin import Standin
from tests.tools.listmonk.users import put_user

_DOMAINS: Final = ("example.org",)


class Seeding:
    """See the module."""

    def __init__(self, standin: Standin) -> None:
        self._standin = standin

    async def subscribers(
        self,
        count: int = 0,
        *,
        prefix: str = "p",
        domains: Sequence[str] = _DOMAINS,
        emails: Sequence[str] = (),
        list_name: str = "people",
        status: str = "enabled",
        subscription: str = "unconfirmed",
        optin: str = "single",
    ) -> dict[str, Any]:
        """Insert `emails`, or `count` people spread over domains, and put them on a list, which is made if there is none.

        Return `{"list": id, "ids": [...]}`, ids in the order of the addresses.
        """
        addresses = [*emails] or [f"{prefix}{number}@{domains[number % len(domains)]}" for number in range(count)]
        pool = await open_database(self._standin.options.database)
        async with pool, pool.acquire() as session, session.transaction():
            found = await session.fetchval("SELECT id FROM lists WHERE name = $1", list_name)
            if found is None:
                found = await session.fetchval(
                    "INSERT INTO lists (name, optin) VALUES ($1, $2::text::list_optin) RETURNING id", list_name, optin
                )
            rows = await session.fetch(
                "INSERT INTO subscribers (email, name, status) SELECT email, email, $2::text::subscriber_status"
                " FROM unnest($1::text[]) WITH ORDINALITY AS a (email, n) ORDER BY n"
                " ON CONFLICT (email) DO UPDATE SET status = EXCLUDED.status RETURNING id",
                addresses, status,
            )  # fmt: skip
            ids = [row[0] for row in rows]
            await session.execute(
                "INSERT INTO subscriber_lists (subscriber_id, list_id, status)"
                " SELECT id, $2, $3::text::subscription_status FROM unnest($1::int[]) AS a (id) ON CONFLICT DO NOTHING",
                ids, found, subscription,
            )  # fmt: skip
        return {"list": found, "ids": ids}

    async def campaigns(
        self,
        count: int = 1,
        *,
        lists: Sequence[int],
        status: str = "draft",
        name: str = "Campaign",
        send_at: datetime | None = None,
        **more: Any,
    ) -> list[int]:
        """Insert campaigns with any status and date, and with any other columns; return their ids."""
        fields: dict[str, Any] = {
            "subject": "News", "from_email": "News <news@example.com>", "body": "<p>Hello</p>", "altbody": "Hello",
            "content_type": "html", "messenger": "email", "headers": [], "tags": [], "type": "regular", **more,
        }  # fmt: skip
        casts = {"content_type": "::text::content_type", "type": "::text::campaign_type", "tags": "::varchar[]"}
        names = ", ".join(fields)
        places = ", ".join(f"${number}{casts.get(field, '')}" for number, field in enumerate(fields, 4))
        statement = (
            f"INSERT INTO campaigns (name, status, send_at, {names})"  # noqa: S608  (a test's own words)
            f" VALUES ($1, $2::text::campaign_status, $3, {places}) RETURNING id"
        )
        pool = await open_database(self._standin.options.database)
        async with pool, pool.acquire() as session, session.transaction():
            ids = [
                await session.fetchval(statement, f"{name} {number}", status, send_at, *fields.values())
                for number in range(1, count + 1)
            ]
            await session.execute(
                "INSERT INTO campaign_lists (campaign_id, list_id, list_name)"
                " SELECT c.id, l.id, l.name FROM campaigns c, lists l WHERE c.id = ANY($1::int[]) AND l.id = ANY($2::int[])",
                ids, list(lists),
            )  # fmt: skip
        return ids

    async def user(
        self,
        *,
        name: str,
        token: str,
        permissions: Sequence[str] | None = None,
        lists: Sequence[int] = (),
        by_sql: bool = False,
    ) -> None:
        """Put an API user in; `by_sql`: the process does not learn of it before its next start."""
        pool = await open_database(self._standin.options.database)
        async with pool:
            await put_user(pool, self._standin.traits, name, token, permissions, lists)
        process = self._standin.process
        if process is not None and not by_sql:
            await process.gate.load(process.pool)

    async def settings(self, values: Mapping[str, Any]) -> None:
        """Store settings of any type by SQL: no restart follows, and no flag is set."""
        pool = await open_database(self._standin.options.database)
        async with pool:
            await pool.executemany(
                "UPDATE settings SET value = $2::text::jsonb WHERE key = $1",
                [(key, json.dumps(value)) for key, value in values.items()],
            )

    async def bypass(self, emails: Sequence[str], *, sender: str = "Accounts <accounts@example.com>") -> int:
        """Send transactional messages at once, as /api/tx, tests and opt-ins do: the window neither counts nor holds them."""
        process = self._standin.process
        if process is None:
            return 0
        nothing = Campaign(
            id=0, uuid="", name="", subject="Your account", from_email=sender, body="Hello", altbody=None,
            content_type="plain", headers=(), messenger="email", scheduled=False,
        )  # fmt: skip
        done = [await process.messengers.send(nothing, Person(0, "", email)) for email in emails]
        return sum(done)
