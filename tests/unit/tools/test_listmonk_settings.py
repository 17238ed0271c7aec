"""Settings over HTTP, against the facts on Listmonk's settings."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from tests.tools.listmonk.database import read_settings
from tests.tools.listmonk.settings import MASK
from tests.tools.listmonk.world import Starter, World

pytest_plugins = ["tests.tools.listmonk.fixtures"]
pytestmark = pytest.mark.services

VERSIONS: Final = ("3", "4", "5", "6.0", "6.2")
BY_KEY: Final = ("6.0", "6.2")
WHOLE: Final = ("3", "4", "5")
RATE: Final = "app.message_sliding_window_rate"
DURATION: Final = "app.message_sliding_window_duration"
FLAG: Final = "app.message_sliding_window"
HORSE: Final = "correct horse"
LOGIN: Final = {"smtp_login": ("mailer", HORSE)}
KEPT: Final = {"password": HORSE, "upload.s3.aws_secret_access_key": "s3-secret"}


async def stored(listmonk: World) -> dict[str, Any]:
    assert listmonk.standin.process is not None
    return await read_settings(listmonk.standin.process.pool)


@pytest.mark.parametrize("version", VERSIONS)
async def test_settings_are_flat_keys_with_their_json_types(listmonk: Starter, version: str) -> None:
    """Facts: settings, keys and types."""
    async with listmonk(version) as one:
        found = await one.get("/api/settings")
    assert (found[FLAG], found[DURATION], found[RATE], found["app.batch_size"]) == (False, "1h", 10000, 1000)
    assert (found["app.concurrency"], found["app.max_send_errors"]) == (10, 1000)
    assert isinstance(found["smtp"], list)
    assert found["bounce.actions"]["hard"] == {"count": 1, "action": "blocklist"}
    assert found["privacy.domain_blocklist"] == []


@pytest.mark.parametrize("version", VERSIONS)
async def test_each_character_of_a_secret_is_shown_as_a_bullet(listmonk: Starter, version: str) -> None:
    """Facts: settings, masking."""
    async with listmonk(version, **LOGIN) as one:
        found = await one.get("/api/settings")
        assert found["smtp"][0]["password"] == MASK * 13
        assert found["upload.s3.aws_secret_access_key"] == MASK * 9
        assert (await stored(one))["smtp"][0]["password"] == HORSE


@pytest.mark.parametrize("version", WHOLE)
async def test_settings_that_are_put_back_as_they_were_read_store_bullets_and_mail_dies(
    listmonk: Starter, version: str
) -> None:
    """Facts: settings, PUT of the whole; traps for a controller."""
    async with listmonk(version, **LOGIN) as one:
        one.sink.password = HORSE
        assert await one.ask("PUT", "/api/settings", await one.get("/api/settings")) == (200, {"data": True})
        await one.restarted(2)
        assert (await stored(one))["smtp"][0]["password"] == MASK * 13
        people = await one.seeding.subscribers(3)
        [campaign] = await one.seeding.campaigns(lists=[people["list"]], status="running")
        await one.until("three errors", lambda: len(one.standin.truth.sendings) == 3)
        assert not one.sink.received
        assert all(each.reply.startswith("535") for each in one.standin.truth.sendings if each.campaign == campaign)


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_blank_secret_keeps_the_old_one(listmonk: Starter, version: str) -> None:
    """Facts: settings, PUT of the whole."""
    async with listmonk(version, **LOGIN) as one:
        one.sink.password = HORSE
        found = await one.get("/api/settings")
        found["smtp"][0] |= {"password": ""}
        found |= {"upload.s3.aws_secret_access_key": ""}
        assert await one.ask("PUT", "/api/settings", found) == (200, {"data": True})
        await one.restarted(2)
        kept = await stored(one)
        assert {**kept["smtp"][0], **kept}.items() >= KEPT.items()
        people = await one.seeding.subscribers(3)
        await one.seeding.campaigns(lists=[people["list"]], status="running")
        await one.until("three messages", lambda: len(one.sink.received) == 3)


async def test_blank_passwords_of_servers_without_uuid_all_become_that_of_the_last_one(listmonk: Starter) -> None:
    """Facts: settings, array secrets."""
    async with listmonk("5") as one:
        block = {**(await stored(one))["smtp"][0], "username": "u"}
        await one.seeding.settings({"smtp": [{**block, "password": "first"}, {**block, "password": "second"}]})
        found = await one.get("/api/settings")
        for each in found["smtp"]:
            each |= {"password": ""}
        await one.ask("PUT", "/api/settings", found)
        after = (await stored(one))["smtp"]
        assert [each["password"] for each in after] == ["second", "second"]
        assert all(each["uuid"] for each in after)


async def test_a_server_whose_uuid_is_lost_loses_its_password(listmonk: Starter) -> None:
    """Facts: settings, array secrets."""
    async with listmonk("5") as one:
        block = (await stored(one))["smtp"][0]
        await one.seeding.settings({"smtp": [{**block, "uuid": "11111111-1111-1111-1111-111111111111", "password": "p"}]})
        found = await one.get("/api/settings")
        found["smtp"][0] |= {"password": "", "uuid": ""}
        await one.ask("PUT", "/api/settings", found)
        assert (await stored(one))["smtp"][0]["password"] == ""


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_partial_put_zeroes_everything_else_and_the_window_with_it(listmonk: Starter, version: str) -> None:
    """Facts: settings, omitted keys; traps for a controller."""
    async with listmonk(version, settings={FLAG: True, RATE: 50}) as one:
        smtp = (await one.get("/api/settings"))["smtp"]
        assert (await one.ask("PUT", "/api/settings", {"smtp": smtp, RATE: 40}))[0] == 200
        after = await stored(one)
    assert (after[FLAG], after[RATE], after[DURATION], after["app.root_url"]) == (False, 40, "", "")


@pytest.mark.parametrize(
    "change",
    [
        {"smtp": []},
        {"messengers": [{"name": "", "enabled": True}]},
        {"bounce.mailboxes": [{"enabled": False, "scan_interval": "30s"}]},
        {RATE: "fifty"},
        {DURATION: 3600},
    ],
)
async def test_a_put_of_the_whole_is_refused_for_a_wrong_type_and_for_no_server(
    listmonk: Starter, change: dict[str, Any]
) -> None:
    """Facts: settings, 400s."""
    async with listmonk("6.2") as one:
        before = await stored(one)
        status, _ = await one.ask("PUT", "/api/settings", {**await one.get("/api/settings"), **change})
        assert status == 400
        assert await stored(one) == before


async def test_rates_and_durations_are_not_checked(listmonk: Starter) -> None:
    """Facts: settings, 400s."""
    async with listmonk("5") as one:
        found = {**await one.get("/api/settings"), RATE: -5, DURATION: "for ever"}
        assert (await one.ask("PUT", "/api/settings", found))[0] == 200
        assert (await stored(one))[DURATION] == "for ever"


@pytest.mark.parametrize("version", BY_KEY)
async def test_one_key_is_put_as_a_bare_json_value_and_restarts(listmonk: Starter, version: str) -> None:
    """Facts: settings, PUT by key."""
    async with listmonk(version) as one:
        for key, value in ((RATE, 300), (DURATION, "1m"), (FLAG, True)):
            starts = len(one.standin.truth.starts)
            assert await one.ask("PUT", f"/api/settings/{key}", value) == (200, {"data": True})
            await one.restarted(starts + 1)
        after = await stored(one)
        assert one.standin.process is not None
        limit = one.standin.process.tuning.limit
    assert (after[FLAG], after[DURATION], after[RATE]) == (True, "1m", 300)
    assert limit is not None
    assert (limit.rate, limit.duration_s) == (300, 60.0)


@pytest.mark.parametrize("version", WHOLE)
async def test_before_6_0_there_is_no_put_by_key(listmonk: Starter, version: str) -> None:
    """Facts: settings, PUT by key; version matrix."""
    async with listmonk(version) as one:
        assert await one.ask("PUT", f"/api/settings/{RATE}", 300) == (404, {"message": "404 unknown endpoint"})


@pytest.mark.parametrize("version", BY_KEY)
async def test_a_mistyped_key_answers_200_restarts_and_changes_nothing(listmonk: Starter, version: str) -> None:
    """Facts: settings, PUT by key; traps for a controller."""
    async with listmonk(version) as one:
        before = await stored(one)
        assert await one.ask("PUT", "/api/settings/app.message_slidng_window_rate", 2) == (200, {"data": True})
        await one.restarted(2)
        assert await stored(one) == before


@pytest.mark.parametrize("version", BY_KEY)
async def test_a_value_of_a_wrong_type_is_stored_and_settings_can_not_be_read_any_more(listmonk: Starter, version: str) -> None:
    """Facts: settings, wrong JSON type."""
    async with listmonk(version) as one:
        assert (await one.ask("PUT", f"/api/settings/{RATE}", "300"))[0] == 200
        await one.restarted(2)
        assert (await one.ask("GET", "/api/settings"))[0] == 500
        assert (await one.ask("PUT", "/api/settings", {}))[0] == 500
        assert (await one.ask("PUT", f"/api/settings/{RATE}", 300))[0] == 200
        await one.restarted(3)
        assert (await one.get("/api/settings"))[RATE] == 300


async def test_an_empty_body_by_key_is_500(listmonk: Starter) -> None:
    """Facts: settings, PUT by key."""
    async with listmonk("6.2") as one:
        headers = {"Content-Type": "application/json"}
        assert (await one.ask("PUT", f"/api/settings/{RATE}", data=b"", headers=headers))[0] == 500


async def test_by_key_no_password_is_merged(listmonk: Starter) -> None:
    """Facts: settings, PUT by key of arrays."""
    async with listmonk("6.2", **LOGIN) as one:
        smtp = (await one.get("/api/settings"))["smtp"]
        smtp[0] |= {"password": ""}
        await one.ask("PUT", "/api/settings/smtp", smtp)
        assert (await stored(one))["smtp"][0]["password"] == ""


async def test_the_bulk_put_leaves_updated_at_alone_and_the_one_by_key_sets_it(listmonk: Starter) -> None:
    """Facts: settings."""
    async with listmonk("6.2") as one:
        before = (await one.row("SELECT updated_at FROM settings WHERE key = $1", RATE))[0]
        await one.ask("PUT", "/api/settings", {**await one.get("/api/settings"), RATE: 7})
        await one.restarted(2)
        assert (await one.row("SELECT updated_at FROM settings WHERE key = $1", RATE))[0] == before
        await one.ask("PUT", f"/api/settings/{RATE}", 8)
        await one.restarted(3)
        assert (await one.row("SELECT updated_at FROM settings WHERE key = $1", RATE))[0] > before


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_body_that_is_not_declared_as_json_is_415(listmonk: Starter, version: str) -> None:
    """Facts: conventions."""
    async with listmonk(version) as one:
        body = json.dumps(await one.get("/api/settings"))
        assert (await one.ask("PUT", "/api/settings", data=body, headers={"Content-Type": "text/plain"}))[0] == 415


async def test_a_wrong_type_of_a_value_that_the_start_needs_ends_in_a_crash_loop(listmonk: Starter) -> None:
    """Facts: settings, wrong JSON type."""
    async with listmonk("6.2") as one:
        smtp = (await stored(one))["smtp"]
        assert (await one.ask("PUT", "/api/settings/smtp", "none"))[0] == 200
        await one.until("a crash loop", lambda: [each.why for each in one.standin.truth.starts].count("fatal") >= 2)
        assert not one.standin.ready.is_set()
        await one.seeding.settings({"smtp": smtp})
        await one.until("repaired", one.standin.ready.is_set)
