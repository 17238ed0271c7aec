"""Campaigns that are really sent, against the facts on pausing, checkpoints, errors and messages."""

from __future__ import annotations

from typing import Any, Final

import pytest

from tests.tools.listmonk.sink import Received
from tests.tools.listmonk.world import Starter

pytest_plugins = ["tests.tools.listmonk.fixtures"]
pytestmark = pytest.mark.services

VERSIONS: Final = ("3", "4", "5", "6.0", "6.2")
WINDOW: Final = {
    "app.message_sliding_window": True,
    "app.message_sliding_window_duration": "1h",
    "app.message_sliding_window_rate": 20,
}


@pytest.mark.parametrize(("version", "count"), [("3", 500), ("4", 500), ("5", 5000), ("6.0", 500), ("6.2", 500)])
async def test_everybody_gets_it_exactly_once_and_the_campaign_finishes(listmonk: Starter, version: str, count: int) -> None:
    """Facts: campaigns, to_send and sent."""
    async with listmonk(version) as one:
        people = await one.seeding.subscribers(count, domains=["example.org", "example.net"])
        [campaign] = await one.seeding.campaigns(lists=[people["list"]], status="running")
        await one.became("finished", campaign)
        assert sorted(one.sink.addresses()) == sorted(f"p{n}@example.{'net' if n % 2 else 'org'}" for n in range(count))
        found = await one.get(f"/api/campaigns/{campaign}")
        assert (found["to_send"], found["sent"]) == (count, count)
        assert set(one.standin.truth.copies(campaign).values()) == {1}


@pytest.mark.parametrize("version", VERSIONS)
async def test_after_a_pause_no_more_leave_than_there_are_workers_and_a_resume_sends_the_rest(
    listmonk: Starter, version: str
) -> None:
    """Facts: campaigns, API pause."""
    async with listmonk(version, settings={"app.concurrency": 3}) as one:
        people = await one.seeding.subscribers(200)
        [campaign] = await one.seeding.campaigns(lists=[people["list"]], status="running")
        await one.sent(20)
        one.sink.gate.clear()
        await one.until("three in transmission", lambda: one.sink.waiting == 3)
        before = len(one.sink.received)
        path = f"/api/campaigns/{campaign}/status"
        assert (await one.ask("PUT", path, {"status": "paused"}))[0] == 200
        one.sink.gate.set()
        assert one.standin.process is not None
        pipes = one.standin.process.engine.pipes
        await one.until("drained", lambda: not pipes)
        assert len(one.sink.received) == before + 3
        assert await one.status(campaign) == "paused"
        assert (await one.ask("PUT", path, {"status": "paused"}))[0] == 400
        assert (await one.ask("PUT", path, {"status": "running"}))[0] == 200
        await one.became("finished", campaign)
        assert sorted(one.sink.addresses()) == sorted(f"p{n}@example.org" for n in range(200))


async def test_that_it_drained_shows_in_the_log_and_in_a_put_of_settings_that_restarts(listmonk: Starter) -> None:
    """Facts: campaigns, evidence of a drain."""
    window = {**WINDOW, "app.message_sliding_window_duration": "100s", "app.batch_size": 20}
    async with listmonk("6.2", settings=window) as one:
        people = await one.seeding.subscribers(200)
        [campaign] = await one.seeding.campaigns(lists=[people["list"]], status="running")
        await one.sent(20)
        await one.ask("PUT", f"/api/campaigns/{campaign}/status", {"status": "paused"})
        key = "/api/settings/app.message_sliding_window_rate"
        assert await one.ask("PUT", key, 30) == (200, {"data": {"needs_restart": True}})
        assert not any("stop processing" in line for line in await one.get("/api/logs"))
        assert one.standin.process is not None
        pipes = one.standin.process.engine.pipes
        await one.until("drained", lambda: not pipes)
        assert any("stop processing campaign (Campaign 1)" in line for line in await one.get("/api/logs"))
        assert await one.ask("PUT", key, 30) == (200, {"data": True})


async def test_after_each_full_window_it_sleeps_and_then_goes_on_until_everybody_has_it(listmonk: Starter) -> None:
    """Facts: sliding window engine."""
    window = {**WINDOW, "app.message_sliding_window_duration": "50s", "app.batch_size": 20}
    async with listmonk("6.2", settings=window) as one:
        people = await one.seeding.subscribers(60)
        [campaign] = await one.seeding.campaigns(lists=[people["list"]], status="running")
        await one.became("finished", campaign)
        sleeps = [line for line in await one.get("/api/logs") if "messages exceeded (20)" in line]
        assert 2 <= len(sleeps) <= 3
        assert set(one.standin.truth.copies().values()) == {1}
        assert len(one.sink.received) == 60


async def test_a_blocklisted_person_gets_nothing_a_disabled_one_does(listmonk: Starter) -> None:
    """Facts: database, who is excluded."""
    async with listmonk("5") as one:
        people = await one.seeding.subscribers(2)
        await one.seeding.subscribers(2, prefix="off", status="disabled")
        await one.seeding.subscribers(2, prefix="blocked", status="blocklisted")
        await one.seeding.subscribers(2, prefix="gone", subscription="unsubscribed")
        [campaign] = await one.seeding.campaigns(lists=[people["list"]], status="running")
        await one.became("finished", campaign)
        assert sorted(one.sink.addresses()) == [f"{who}{n}@example.org" for who in ("off", "p") for n in (0, 1)]


async def test_a_double_optin_list_mails_the_confirmed_only(listmonk: Starter) -> None:
    """Facts: database, subscriptions."""
    async with listmonk("5") as one:
        people = await one.seeding.subscribers(2, optin="double", subscription="confirmed")
        await one.seeding.subscribers(2, prefix="q")
        [campaign] = await one.seeding.campaigns(lists=[people["list"]], status="running")
        await one.became("finished", campaign)
        assert len(one.sink.received) == 2


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_refused_recipient_is_lost_and_nothing_slows_down(listmonk: Starter, version: str) -> None:
    """Facts: sliding window engine, SMTP errors."""
    async with listmonk(version) as one:
        one.sink.answer = lambda address: "452 4.2.2 Mailbox full" if address.startswith("p7@") else None
        people = await one.seeding.subscribers(30)
        [campaign] = await one.seeding.campaigns(lists=[people["list"]], status="running")
        await one.became("finished", campaign)
        assert len(one.sink.received) == 29
        assert [(each.email, each.outcome) for each in one.standin.truth.sendings if each.outcome != "sent"] == [
            ("p7@example.org", "refused")
        ]
        assert (await one.get(f"/api/campaigns/{campaign}"))["sent"] == 29


async def test_messages_that_bypass_the_window_leave_while_it_is_used_up(listmonk: Starter) -> None:
    """Facts: sliding window engine, not counted; traps for a controller."""
    async with listmonk("6.2", settings=WINDOW) as one:
        people = await one.seeding.subscribers(50)
        await one.seeding.campaigns(lists=[people["list"]], status="running")
        await one.sent(20)
        assert await one.seeding.bypass(["a@example.com", "b@example.com"]) == 2
        assert one.sink.addresses()[-2:] == ["a@example.com", "b@example.com"]


async def test_each_enabled_server_is_used_and_a_named_one_is_a_messenger(listmonk: Starter) -> None:
    """Facts: settings, SMTP names; campaigns, messenger."""
    async with listmonk("5") as one:
        smtp = (await one.get("/api/settings"))["smtp"]
        named = {**smtp[0], "name": "Second One", "uuid": "", "password": ""}
        await one.ask("PUT", "/api/settings", {**await one.get("/api/settings"), "smtp": [*smtp, named]})
        await one.restarted(2)
        assert (await one.get("/api/config"))["messengers"] == ["email", "email-second-one"]


async def one_message(listmonk: Starter, version: str, options: dict[str, Any], **campaign: Any) -> Received:
    async with listmonk(version, **options) as one:
        people = await one.seeding.subscribers(1)
        await one.seeding.campaigns(lists=[people["list"]], status="running", **campaign)
        await one.sent(1)
        return one.sink.received[0]


@pytest.mark.parametrize(
    ("version", "hostname", "domain"),
    [
        ("4", "listmonk", "listmonk"),
        ("5", "listmonk", "localhost.localdomain"),
        ("5", "mail.example.com", "mail.example.com"),
        ("6.0", "listmonk", "localhost.localdomain"),
        ("6.2", "listmonk", "example.com"),
    ],
)
async def test_the_message_id_has_the_domain_of_the_host_or_since_6_2_of_the_sender(
    listmonk: Starter, version: str, hostname: str, domain: str
) -> None:
    """Facts: message facts, Message-Id."""
    message = await one_message(listmonk, version, {"hostname": hostname})
    assert message.parsed()["Message-Id"].rstrip(">").endswith(f"@{domain}")


async def test_headers_of_a_campaign_override_return_path_is_the_sender_and_bcc_gets_a_copy(listmonk: Starter) -> None:
    """Facts: message facts, headers."""
    headers = [
        {"Return-Path": "bounce@example.net"},
        {"Bcc": "copy@example.net"},
        {"Message-ID": "<mine@example.net>"},
        {"X-A": "b"},
    ]
    message = await one_message(listmonk, "5", {}, headers=headers)
    assert (message.sender, message.recipients) == ("bounce@example.net", ("p0@example.org", "copy@example.net"))
    parsed = message.parsed()
    assert parsed.get_all("Message-ID") == ["<mine@example.net>"]
    assert (parsed["X-A"], parsed["Bcc"], parsed["Return-Path"]) == ("b", None, None)


@pytest.mark.parametrize(
    ("content_type", "altbody", "kinds"),
    [
        ("html", None, ["text/html"]),
        ("html", "Hello", ["multipart/alternative", "text/plain", "text/html"]),
        ("richtext", "", ["text/html"]),
        ("plain", "ignored", ["text/plain"]),
    ],
)
async def test_there_is_a_text_part_only_with_an_altbody(
    listmonk: Starter, content_type: str, altbody: str | None, kinds: list[str]
) -> None:
    """Facts: message facts, content types."""
    message = await one_message(listmonk, "5", {}, content_type=content_type, altbody=altbody)
    assert [part.get_content_type() for part in message.parsed().walk()] == kinds


async def test_headers_name_the_campaign_and_the_subscriber_and_unsubscribing_is_a_setting(listmonk: Starter) -> None:
    """Facts: bounces, headers; message facts, List-Unsubscribe."""
    with_it = (await one_message(listmonk, "5", {})).parsed()
    assert len(with_it["X-Listmonk-Campaign"]) == len(with_it["X-Listmonk-Subscriber"]) == 36
    assert with_it["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


async def test_without_the_setting_there_is_no_unsubscribe_header(listmonk: Starter) -> None:
    """Facts: message facts, List-Unsubscribe."""
    without = await one_message(listmonk, "5", {"settings": {"privacy.unsubscribe_header": False}})
    assert without.parsed()["List-Unsubscribe"] is None


async def test_mail_comes_from_the_address_that_was_chosen(listmonk: Starter) -> None:
    """Facts: none; this is how an injector gets an address of its own."""
    assert (await one_message(listmonk, "5", {"source": "127.0.0.77"})).peer == "127.0.0.77"
