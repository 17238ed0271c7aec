"""Bounces, blocklisting and subscribers over HTTP, against the facts on both."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any, Final

import aiohttp
import pytest
from typing_extensions import override

from tests.tools.listmonk.bounces import BounceQueue
from tests.tools.listmonk.database import open_database
from tests.tools.listmonk.people_store import Bounce, PeopleStore
from tests.tools.listmonk.world import PATIENCE_S, Starter, World

pytest_plugins = ["tests.tools.listmonk.fixtures"]
pytestmark = pytest.mark.services

VERSIONS: Final = ("3", "4", "5", "6.0", "6.2")
OK: Final = (200, {"data": True})
UNKNOWN: Final = "00000000-0000-4000-8000-000000000000"


async def report(listmonk: World, email: str = "p0@example.org", kind: str = "hard", **more: Any) -> tuple[int, Any]:
    return await listmonk.ask("POST", "/webhooks/bounce", {"email": email, "type": kind, "source": "pwmtad", **more})


async def rows(listmonk: World, statement: str) -> list[Any]:
    assert listmonk.standin.process is not None
    return [row[0] for row in await listmonk.standin.process.pool.fetch(statement)]


async def statuses(listmonk: World) -> list[str]:
    return await rows(listmonk, "SELECT status::text FROM subscribers ORDER BY id")


async def until_rows(listmonk: World, statement: str) -> None:
    """Wait until the statement finds something."""
    for _ in range(round(PATIENCE_S / 0.01)):
        if await rows(listmonk, statement):
            return
        await asyncio.sleep(0.01)
    raise TimeoutError(f"nothing found: {statement}")


async def settled(listmonk: World) -> None:
    """Wait until everything that was reported is done with: a last report about a subscriber of its own is recorded."""
    await listmonk.seeding.subscribers(emails=["last@example.org"], list_name="last")
    assert await report(listmonk, "last@example.org") == OK
    await until_rows(listmonk, "SELECT id FROM subscribers WHERE email = 'last@example.org' AND status = 'blocklisted'")
    await rows(listmonk, "DELETE FROM subscribers WHERE email = 'last@example.org' RETURNING id")


@pytest.mark.parametrize("version", VERSIONS)
async def test_one_hard_bounce_blocklists_and_leaves_the_subscriptions(listmonk: Starter, version: str) -> None:
    """Facts: bounces, defaults; bounce-blocklist."""
    async with listmonk(version) as one:
        await one.seeding.subscribers(2)
        assert await report(one, meta={"reply": "550 5.1.1"}) == OK
        await settled(one)
        assert await statuses(one) == ["blocklisted", "enabled"]
        assert set(await rows(one, "SELECT status::text FROM subscriber_lists")) == {"unconfirmed"}
        found = await one.get("/api/bounces")
        assert [(each["email"], each["meta"], each["source"]) for each in found["results"]] == [
            ("p0@example.org", {"reply": "550 5.1.1"}, "pwmtad")
        ]


@pytest.mark.parametrize("version", VERSIONS)
async def test_unknown_people_malformed_campaigns_and_types_without_an_action_vanish_behind_a_200(
    listmonk: Starter, version: str
) -> None:
    """Facts: bounces, 200 is no acknowledgement."""
    actions = {"hard": {"count": 1, "action": "blocklist"}}
    async with listmonk(version, settings={"bounce.actions": actions}) as one:
        await one.seeding.subscribers(1)
        assert await report(one, "nobody@example.org") == OK
        assert await report(one, campaign_uuid="no-uuid") == OK
        assert await report(one, kind="complaint") == OK
        await settled(one)
        assert await statuses(one) == ["enabled"]
        assert await rows(one, "SELECT id FROM bounces") == []
        assert sum("error recording bounce" in line for line in await one.get("/api/logs")) == 2


async def test_reports_are_counted_again_and_recorded_up_to_the_count(listmonk: Starter) -> None:
    """Facts: bounces, what is recorded."""
    actions = {kind: {"count": 3, "action": "blocklist"} for kind in ("soft", "hard", "complaint")}
    async with listmonk("5", settings={"bounce.actions": actions | {"hard": {"count": 1, "action": "blocklist"}}}) as one:
        await one.seeding.subscribers(1)
        for _ in range(6):
            assert await report(one, kind="soft") == OK
        await until_rows(one, "SELECT id FROM subscribers WHERE status = 'blocklisted'")
        await settled(one)
        assert len(await rows(one, "SELECT id FROM bounces")) == 3


async def test_a_count_of_zero_records_nothing(listmonk: Starter) -> None:
    """Facts: bounces, what is recorded."""
    hard = {"count": 1, "action": "blocklist"}
    async with listmonk("5", settings={"bounce.actions": {"soft": {"count": 0, "action": "none"}, "hard": hard}}) as one:
        await one.seeding.subscribers(1)
        await report(one, kind="soft")
        await settled(one)
        assert await rows(one, "SELECT id FROM bounces") == []


@pytest.mark.parametrize(
    ("action", "people", "subscriptions"), [("unsubscribe", ["enabled"], ["unsubscribed"]), ("delete", [], [])]
)
async def test_other_actions_unsubscribe_or_delete(
    listmonk: Starter, action: str, people: list[str], subscriptions: list[str]
) -> None:
    """Facts: bounces, actions."""
    actions = {"complaint": {"count": 1, "action": action}, "hard": {"count": 1, "action": "blocklist"}}
    async with listmonk("6.2", settings={"bounce.actions": actions}) as one:
        await one.seeding.subscribers(1)
        await report(one, kind="complaint")
        await settled(one)
        assert await statuses(one) == people
        assert await rows(one, "SELECT status::text FROM subscriber_lists") == subscriptions


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_webhook_refuses_wrong_types_addresses_and_banned_domains(listmonk: Starter, version: str) -> None:
    """Facts: bounces, webhook body; domain blocklist."""
    banned = {"privacy.domain_blocklist": ["example.net", "*.example.com"]}
    async with listmonk(version, settings=banned) as one:
        for email, kind in (
            ("p0@example.org", "block"), ("nobody", "hard"), ("", "hard"), ("A@Example.NET", "hard"),
            ("a@x.example.com", "hard"),
        ):  # fmt: skip
            assert (await report(one, email, kind))[0] == 400
        assert await report(one, "a@sub.example.net") == OK
        assert await report(one, "a@example.com") == OK
        people = await one.seeding.subscribers(emails=["a@example.net"])
        [uuid] = await rows(one, "SELECT uuid::text FROM subscribers")
        assert await report(one, "", subscriber_uuid=uuid) == OK
        assert (await report(one, "", subscriber_uuid="x"))[0] == 400
        assert people["ids"]
        await settled(one)
        assert await statuses(one) == ["blocklisted"]


async def test_an_allowlist_overrides_since_5(listmonk: Starter) -> None:
    """Facts: domain blocklist."""
    lists = {"privacy.domain_blocklist": ["example.net"], "privacy.domain_allowlist": ["example.net"]}
    async with listmonk("5", settings=lists) as one:
        assert await report(one, "a@example.net") == OK
        assert (await report(one, "a@example.org"))[0] == 400


@pytest.mark.parametrize("version", VERSIONS)
async def test_without_webhooks_there_is_a_page_that_says_404(listmonk: Starter, version: str) -> None:
    """Facts: bounces, switches."""
    async with listmonk(version, settings={"bounce.webhooks_enabled": False}) as one:
        status, body = await report(one)
        assert status == 404
        assert body.startswith("<!doctype html>")


async def test_without_bounces_the_connection_is_dropped_before_6_2_and_503_since(listmonk: Starter) -> None:
    """Facts: bounces, switches; version matrix."""
    for version in VERSIONS[:-1]:
        async with listmonk(version, settings={"bounce.enabled": False}) as one:
            with pytest.raises(aiohttp.ClientConnectionError):
                await report(one)
    async with listmonk("6.2", settings={"bounce.enabled": False}) as one:
        assert (await report(one))[0] == 503


@pytest.mark.parametrize("version", VERSIONS)
async def test_blocklisting_by_id_ends_subscriptions_and_unknown_ids_are_fine(listmonk: Starter, version: str) -> None:
    """Facts: blocklisting."""
    async with listmonk(version) as one:
        people = await one.seeding.subscribers(4)
        ids = people["ids"]
        assert await one.ask("PUT", f"/api/subscribers/{ids[0]}/blocklist") == OK
        assert await one.ask("PUT", "/api/subscribers/blocklist", {"ids": [ids[1], 9999]}) == OK
        assert await one.ask("PUT", "/api/subscribers/9999/blocklist") == OK
        assert (await one.ask("PUT", "/api/subscribers/x/blocklist"))[0] == 400
        assert (await one.ask("PUT", "/api/subscribers/blocklist", {"ids": []}))[0] == 400
        assert await statuses(one) == ["blocklisted", "blocklisted", "enabled", "enabled"]
        assert (await rows(one, "SELECT status::text FROM subscriber_lists ORDER BY subscriber_id"))[:3] == [
            "unsubscribed", "unsubscribed", "unconfirmed",
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("version", "everybody"),
    [("3", True), ("4.0", True), ("4.1", False), ("5.0", True), ("5.1", False), ("6.0", False), ("6.2", False)],
)
async def test_an_empty_query_blocklists_everybody_in_some_versions(listmonk: Starter, version: str, everybody: bool) -> None:
    """Facts: blocklisting by query; version matrix."""
    async with listmonk(version) as one:
        await one.seeding.subscribers(3)
        status, _ = await one.ask("PUT", "/api/subscribers/query/blocklist", {"query": ""})
        assert status == (200 if everybody else 400)
        assert set(await statuses(one)) == {"blocklisted" if everybody else "enabled"}


async def test_a_search_is_an_unanchored_expression_and_an_or_escapes_the_lists(listmonk: Starter) -> None:
    """Facts: blocklisting by query."""
    async with listmonk("6.2") as one:
        await one.seeding.subscribers(3)
        other = await one.seeding.subscribers(3, prefix="q", list_name="other")
        assert await one.ask("PUT", "/api/subscribers/query/blocklist", {"search": "P0@"}) == OK
        assert (await statuses(one)).count("blocklisted") == 1
        query = {"query": "subscribers.id = 0 OR subscribers.id = 2", "list_ids": [other["list"]]}
        assert await one.ask("PUT", "/api/subscribers/query/blocklist", query) == OK
        assert await statuses(one) == ["blocklisted", "blocklisted", "enabled", "enabled", "enabled", "enabled"]


@pytest.mark.parametrize(("version", "status"), [("5.0", 404), ("5.1", 200), ("6.2", 200)])
async def test_blocklisting_the_bounced_takes_soft_ones_too(listmonk: Starter, version: str, status: int) -> None:
    """Facts: blocklisting."""
    async with listmonk(version) as one:
        await one.seeding.subscribers(2)
        await report(one, "p1@example.org", "soft")
        await settled(one)
        assert (await one.ask("PUT", "/api/bounces/blocklist"))[0] == status
        assert await statuses(one) == ["enabled", "blocklisted" if status == 200 else "enabled"]


@pytest.mark.parametrize("version", VERSIONS)
async def test_subscribers_are_found_by_a_raw_condition(listmonk: Starter, version: str) -> None:
    """Facts: subscribers, query."""
    async with listmonk(version) as one:
        await one.seeding.subscribers(3)
        found = await one.get("/api/subscribers", query="subscribers.email = 'p1@example.org'")
        assert [each["email"] for each in found["results"]] == ["p1@example.org"]
        assert (found["total"], found["results"][0]["status"]) == (1, "enabled")
        nobody = await one.get("/api/subscribers", query="subscribers.email = 'it''s@example.org'")
        assert nobody["results"] == []
        assert (await one.ask("GET", "/api/subscribers", params={"query": "no such thing"}))[0] == 400
        assert (await one.ask("GET", "/api/subscribers", params={"query": "1=1); DELETE FROM subscribers; --"}))[0] >= 400
        assert len(await statuses(one)) == 3


async def test_a_subscriber_is_shown_by_id_with_its_lists(listmonk: Starter) -> None:
    """Facts: subscribers; ids that nobody has."""
    async with listmonk("6.2") as one:
        people = await one.seeding.subscribers(1)
        found = await one.get(f"/api/subscribers/{people['ids'][0]}")
        assert (found["email"], found["status"]) == ("p0@example.org", "enabled")
        assert found["lists"] == [{"id": people["list"], "name": "people", "subscription_status": "unconfirmed"}]
        assert (await one.ask("GET", "/api/subscribers/999"))[0] == 400
        assert (await one.ask("GET", "/api/nowhere")) == (404, {"message": "404 unknown endpoint"})


async def test_a_role_without_all_lists_sees_the_people_of_its_own(listmonk: Starter) -> None:
    """Facts: auth, permissions."""
    async with listmonk("6.2") as one:
        mine = await one.seeding.subscribers(2, list_name="mine")
        await one.seeding.subscribers(2, prefix="q", list_name="other")
        await one.seeding.user(name="h", token="t", permissions=["subscribers:get"], lists=[mine["list"]])  # noqa: S106
        headers = {"Authorization": "token h:t"}
        _, body = await one.ask("GET", "/api/subscribers", headers=headers)
        assert [each["id"] for each in body["data"]["results"]] == mine["ids"]


async def test_a_full_queue_of_bounces_blocks_until_one_is_recorded() -> None:
    """Facts: bounces, queue."""

    class Slow(PeopleStore):
        def __init__(self) -> None:
            self.recorded = 0

        @override
        async def record(self, bounce: Bounce, actions: Any) -> None:
            self.recorded += 1
            await asyncio.sleep(0)

    store = Slow()
    queue = BounceQueue(store, {}, print)
    bounce = Bounce("", "", "", "hard", "", {}, datetime(2026, 3, 2, tzinfo=UTC))
    for _ in range(1000):
        await asyncio.wait_for(queue.put(bounce), PATIENCE_S)
    one_more = asyncio.create_task(queue.put(bounce))
    for _ in range(100):
        await asyncio.sleep(0)
    assert not one_more.done()
    consumer = asyncio.create_task(queue.run())
    await asyncio.wait_for(one_more, PATIENCE_S)
    consumer.cancel()
    assert store.recorded >= 1


async def test_a_bounce_that_is_still_queued_is_lost_with_the_process(listmonk: Starter) -> None:
    """Facts: bounces, verify in the database."""
    async with listmonk("5") as one:
        await one.seeding.subscribers(1)
        pool = await open_database(one.standin.options.database)
        async with pool, pool.acquire() as session, session.transaction():
            await session.execute("LOCK TABLE subscribers IN ACCESS EXCLUSIVE MODE")
            assert await report(one) == OK
            one.standin.crash()
            await one.until("the end", lambda: one.standin.process is None)
        await one.restarted(2)
        await settled(one)
        assert await statuses(one) == ["enabled"]
