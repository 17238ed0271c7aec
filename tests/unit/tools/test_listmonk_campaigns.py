"""Campaigns over HTTP, against the facts on Listmonk's campaigns."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from tests.tools.listmonk.world import Starter, World

pytest_plugins = ["tests.tools.listmonk.fixtures"]
pytestmark = pytest.mark.services

VERSIONS: Final = ("3", "4", "5", "6.0", "6.2")
STATUSES: Final = ("draft", "running", "scheduled", "paused", "cancelled", "finished")
ALLOWED: Final = {
    "draft": {"scheduled"},
    "scheduled": {"draft"},
    "running": {"paused", "draft"},
    "paused": {"running"},
    "cancelled": {"running", "paused"},
    "finished": set(STATUSES),
}
FIELDS: Final = {
    "id", "uuid", "type", "name", "subject", "from_email", "body", "altbody", "send_at", "status", "content_type", "tags",
    "headers", "template_id", "messenger", "archive", "archive_slug", "archive_template_id", "archive_meta", "views", "clicks",
    "bounces", "lists", "media", "started_at", "to_send", "sent", "created_at", "updated_at",
}  # fmt: skip
FUTURE: Final = datetime(2090, 1, 1, tzinfo=UTC)
PAST: Final = datetime(2020, 1, 1, tzinfo=UTC)
SLOW: Final = {"speed": 0.001}
"""No scan comes in between."""


async def a_list(listmonk: World, count: int = 1) -> int:
    found: int = (await listmonk.seeding.subscribers(count))["list"]
    return found


async def put_status(listmonk: World, campaign: int, status: Any) -> tuple[int, Any]:
    return await listmonk.ask("PUT", f"/api/campaigns/{campaign}/status", {"status": status})


@pytest.mark.parametrize("version", VERSIONS)
async def test_every_transition_is_allowed_or_400_as_the_table_says_and_only_the_status_code_tells(
    listmonk: Starter, version: str
) -> None:
    """Facts: campaigns, statuses."""
    async with listmonk(version, **SLOW) as one:
        people = await a_list(one)
        allowed = {**ALLOWED, "scheduled": {"draft"} | ({"paused"} if version[0] >= "5" else set())}
        for wanted in STATUSES:
            for before in STATUSES:
                [campaign] = await one.seeding.campaigns(lists=[people], status=before, send_at=FUTURE)
                status, body = await put_status(one, campaign, wanted)
                assert (status == 200) == (before in allowed[wanted]), f"{before} -> {wanted}: {status} {body}"
                assert status in {200, 400}
                if status == 400:
                    assert set(body) == {"message"}
                    assert await one.status(campaign) == before


async def test_texts_differ_between_versions(listmonk: Starter) -> None:
    """Facts: conventions; traps for a controller."""
    texts = set()
    for version in VERSIONS:
        async with listmonk(version, **SLOW) as one:
            [campaign] = await one.seeding.campaigns(lists=[await a_list(one)], status="scheduled", send_at=FUTURE)
            status, body = await put_status(one, campaign, "paused")
            assert status == 400
            texts.add(body["message"])
    assert len(texts) == len(VERSIONS)


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_scheduled_campaign_can_not_be_paused_but_made_a_draft(listmonk: Starter, version: str) -> None:
    """Facts: campaigns, statuses; traps for a controller."""
    async with listmonk(version, **SLOW) as one:
        [campaign] = await one.seeding.campaigns(lists=[await a_list(one)], status="scheduled", send_at=FUTURE)
        assert (await put_status(one, campaign, "paused"))[0] == 400
        assert (await put_status(one, campaign, "draft"))[0] == 200
        assert await one.status(campaign) == "draft"


async def test_scheduling_needs_a_date(listmonk: Starter) -> None:
    """Facts: campaigns, statuses."""
    async with listmonk("6.2", **SLOW) as one:
        [campaign] = await one.seeding.campaigns(lists=[await a_list(one)])
        assert (await put_status(one, campaign, "scheduled"))[0] == 400


@pytest.mark.parametrize("version", VERSIONS)
async def test_ids_and_statuses_that_nobody_has(listmonk: Starter, version: str) -> None:
    """Facts: campaigns, statuses."""
    async with listmonk(version, **SLOW) as one:
        [campaign] = await one.seeding.campaigns(lists=[await a_list(one)], status="running")
        assert (await put_status(one, campaign, "stopped"))[0] == 500
        assert (await put_status(one, campaign, ""))[0] == 500
        assert (await put_status(one, 999, "paused"))[0] == 400
        assert (await one.ask("PUT", "/api/campaigns/x/status", {"status": "paused"}))[0] == 400
        assert (await one.ask("PUT", "/api/campaigns/0/status", {"status": "paused"}))[0] == 400
        assert (await one.ask("GET", "/api/campaigns/999"))[0] == 400


@pytest.mark.parametrize(("version", "stored"), [("4", "running"), ("5", "scheduled"), ("6.2", "scheduled")])
async def test_the_answer_shows_what_was_asked_for_and_not_what_was_stored(
    listmonk: Starter, version: str, stored: str
) -> None:
    """Facts: campaigns, returned object; resume."""
    async with listmonk(version, **SLOW) as one:
        [campaign] = await one.seeding.campaigns(lists=[await a_list(one)], status="paused", send_at=PAST)
        status, body = await put_status(one, campaign, "running")
        assert (status, body["data"]["status"]) == (200, "running")
        assert await one.status(campaign) == stored
        assert (await put_status(one, campaign, "paused"))[0] == (200 if stored == "running" else 400)


async def test_pages_hold_fifty_at_most_and_all_are_found_by_paging_or_by_asking_for_all(listmonk: Starter) -> None:
    """Facts: campaigns, paging; traps for a controller."""
    async with listmonk("5", **SLOW) as one:
        ids = await one.seeding.campaigns(120, lists=[await a_list(one)], status="paused")
        default, capped = [await one.get("/api/campaigns", **query) for query in ({}, {"per_page": 500})]
        assert (len(default["results"]), default["per_page"], default["total"]) == (20, 20, 120)
        assert (len(capped["results"]), capped["per_page"], capped["total"]) == (50, 50, 120)
        everything = await one.get("/api/campaigns", per_page="all")
        assert sorted(each["id"] for each in everything["results"]) == ids
        paged = [
            each["id"] for page in (1, 2, 3) for each in (await one.get("/api/campaigns", per_page=50, page=page))["results"]
        ]
        assert sorted(paged) == ids
        beyond = await one.get("/api/campaigns", page=9)
        assert beyond == {"results": [], "search": "", "query": "", "total": 0, "per_page": 0, "page": 0}


async def test_campaigns_are_filtered_by_several_statuses_and_tags(listmonk: Starter) -> None:
    """Facts: campaigns, query."""
    async with listmonk("6.2", **SLOW) as one:
        people = await a_list(one)
        [running] = await one.seeding.campaigns(lists=[people], status="running", tags=["a", "b"])
        [paused] = await one.seeding.campaigns(lists=[people], status="paused", tags=["a"], name="Needle")
        await one.seeding.campaigns(lists=[people])

        async def ids(query: str) -> list[int]:
            return [each["id"] for each in (await one.get(f"/api/campaigns?{query}"))["results"]]

        assert await ids("status=running&status=paused&order_by=created_at&order=asc") == [running, paused]
        assert await ids("tag=a&tag=b") == [running]
        assert await ids("query=needle") == [paused]
        assert len(await ids("order_by=nonsense&order=sideways")) == 3
        assert (await one.ask("GET", "/api/campaigns?status=halted"))[0] == 500


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_campaign_has_the_fields_of_its_version(listmonk: Starter, version: str) -> None:
    """Facts: campaigns, object; version matrix."""
    async with listmonk(version, **SLOW) as one:
        people = await a_list(one)
        [campaign] = await one.seeding.campaigns(lists=[people], tags=None, altbody=None)
        found = await one.get(f"/api/campaigns/{campaign}")
        later = {"body_source"} if version[0] >= "5" else set()
        later |= {"attribs"} if version[0] >= "6" else set()
        assert set(found) == FIELDS | later
        assert (found["tags"], found["altbody"], found["lists"]) == ([], None, [{"id": people, "name": "people"}])
        assert datetime.fromisoformat(found["created_at"]).tzinfo is not None
        await one.row("DELETE FROM lists WHERE id = $1 RETURNING id", people)
        hidden = await one.get(f"/api/campaigns/{campaign}", no_body="true")
        assert (hidden["body"], hidden["lists"]) == ("", [{"id": None, "name": "people"}])


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_past_date_is_refused_in_a_body_but_not_when_scheduling(listmonk: Starter, version: str) -> None:
    """Facts: campaigns, send_at."""
    async with listmonk(version) as one:
        people = await a_list(one)
        new = {
            "name": "New",
            "subject": "New",
            "lists": [people],
            "body": "x",
            "content_type": "plain",
            "send_at": PAST.isoformat(),
        }
        assert (await one.ask("POST", "/api/campaigns", new))[0] == 400
        [old] = await one.seeding.campaigns(lists=[people], send_at=PAST)
        edit = {"subject": "Better", "lists": [people]}
        assert (await one.ask("PUT", f"/api/campaigns/{old}", edit))[0] == 400
        assert (await one.ask("PUT", f"/api/campaigns/{old}", {"subject": "Better", "send_at": None}))[0] == 400
        status, body = await one.ask(
            "PUT", f"/api/campaigns/{old}", {**edit, "send_at": (FUTURE + timedelta(days=1)).isoformat()}
        )
        assert (status, body["data"]["subject"]) == (200, "Better")
        [overdue] = await one.seeding.campaigns(lists=[people], send_at=PAST)
        assert (await put_status(one, overdue, "scheduled"))[0] == 200
        await one.became("finished", overdue)


async def test_a_new_campaign_is_a_draft_of_a_loaded_messenger(listmonk: Starter) -> None:
    """Facts: campaigns, send_at and messenger."""
    async with listmonk("5") as one:
        people = await a_list(one)
        new = {"name": "New", "subject": "New", "lists": [people], "body": "x", "content_type": "plain"}
        assert (await one.ask("POST", "/api/campaigns", {**new, "messenger": "email-gone"}))[0] == 400
        status, body = await one.ask("POST", "/api/campaigns", new)
        assert (status, body["data"]["status"], body["data"]["messenger"]) == (200, "draft", "email")


@pytest.mark.parametrize("version", VERSIONS)
async def test_running_stats_are_an_empty_array_or_the_progress_of_what_the_database_calls_running(
    listmonk: Starter, version: str
) -> None:
    """Facts: campaigns, running stats."""
    window = {"app.message_sliding_window": True, "app.message_sliding_window_rate": 10}
    async with listmonk(version, settings=window) as one:
        assert await one.get("/api/campaigns/running/stats") == []
        people = await one.seeding.subscribers(30)
        [campaign] = await one.seeding.campaigns(lists=[people["list"]], status="running")
        await one.sent(10)
        [found] = await one.get("/api/campaigns/running/stats")
        assert set(found) == {"id", "status", "to_send", "sent", "started_at", "updated_at", "rate", "net_rate"}
        assert (found["id"], found["status"], found["to_send"]) == (campaign, "running", 30)


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_version_stands_in_the_configuration_and_about_is_not_wrapped(listmonk: Starter, version: str) -> None:
    """Facts: version matrix."""
    async with listmonk(version) as one:
        config = await one.get("/api/config")
        assert config["version"].startswith(f"v{version}")
        status, about = await one.ask("GET", "/api/about")
        assert (status, about["version"]) == (200, config["version"])


@pytest.mark.parametrize("version", VERSIONS)
async def test_what_runs_or_is_over_can_not_be_edited(listmonk: Starter, version: str) -> None:
    """Facts: none; canEditCampaign in the source."""
    async with listmonk(version, **SLOW) as one:
        people = await a_list(one)
        for before in STATUSES:
            [campaign] = await one.seeding.campaigns(lists=[people], status=before)
            edit = {"subject": "Better", "lists": [people]}
            expected = 200 if before in {"draft", "paused", "scheduled"} else 400
            assert (await one.ask("PUT", f"/api/campaigns/{campaign}", edit))[0] == expected
            # A scheduled one without a date became a draft by the edit.
            assert await one.status(campaign) == ("draft" if before == "scheduled" else before)


@pytest.mark.parametrize(
    "change",
    [
        {"name": ""}, {"subject": 5}, {"from_email": "nobody"}, {"send_at": "tomorrow"}, {"send_at": "2090-01-01T00:00:00"},
        {"lists": []}, {"lists": ["1"]}, {"messenger": 7},
    ],
)  # fmt: skip
async def test_a_new_campaign_with_a_wrong_field_is_refused(listmonk: Starter, change: dict[str, Any]) -> None:
    """Facts: campaigns, send_at; PUT needs lists."""
    async with listmonk("6.2", **SLOW) as one:
        good = {"name": "New", "subject": "New", "lists": [await a_list(one)], "body": "x", "content_type": "plain"}
        assert (await one.ask("POST", "/api/campaigns", good | change))[0] == 400


async def test_a_body_that_is_no_object_or_no_json_is_refused(listmonk: Starter) -> None:
    """Facts: conventions."""
    async with listmonk("6.2", **SLOW) as one:
        [campaign] = await one.seeding.campaigns(lists=[await a_list(one)], status="running")
        headers = {"Content-Type": "application/json"}
        for body in (b"[]", b"{", b'{"status": 5}'):
            path = f"/api/campaigns/{campaign}/status"
            assert (await one.ask("PUT", path, data=body, headers=headers))[0] == 400
        assert await one.status(campaign) == "running"
