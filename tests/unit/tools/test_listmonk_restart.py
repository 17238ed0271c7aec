"""Restarts over HTTP, against the facts on what follows a PUT of settings."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import aiohttp
import pytest

from tests.tools.listmonk.world import Starter, World

pytest_plugins = ["tests.tools.listmonk.fixtures"]
pytestmark = pytest.mark.services

VERSIONS: Final = ("3", "4", "5", "6.0", "6.2")
WINDOW: Final = {
    "app.message_sliding_window": True,
    "app.message_sliding_window_duration": "1h",
    "app.message_sliding_window_rate": 20,
}


async def busy(listmonk: World, count: int = 100, **more: Any) -> int:
    """Start a campaign and wait until its window is used up."""
    people = await listmonk.seeding.subscribers(count)
    [campaign] = await listmonk.seeding.campaigns(lists=[people["list"]], status="running", **more)
    await listmonk.sent(20)
    return campaign


async def put_on_and_on(listmonk: World) -> None:
    for rate in range(2, 10_000):
        await listmonk.ask("PUT", "/api/settings/app.message_sliding_window_rate", rate)
        await asyncio.sleep(0.002)


async def put(listmonk: World, **changed: Any) -> Any:
    found = {**await listmonk.get("/api/settings"), **{f"app.{name}": value for name, value in changed.items()}}
    for block in found["smtp"]:
        block |= {"password": ""}
    status, body = await listmonk.ask("PUT", "/api/settings", found)
    assert status == 200
    return body["data"]


@pytest.mark.parametrize("version", VERSIONS)
async def test_with_a_campaign_in_work_a_put_needs_a_restart_and_nothing_is_applied(listmonk: Starter, version: str) -> None:
    """Facts: settings, after either PUT."""
    async with listmonk(version, settings=WINDOW) as one:
        await busy(one)
        assert await put(one, message_sliding_window_rate=30) == {"needs_restart": True}
        assert (await one.get("/api/config"))["needs_restart"] is True
        assert (await one.get("/api/settings"))["app.message_sliding_window_rate"] == 30
        assert one.standin.process is not None
        limit = one.standin.process.tuning.limit
        assert limit is not None
        assert limit.rate == 20
        assert len(one.standin.truth.starts) == 1


@pytest.mark.parametrize("version", VERSIONS)
async def test_without_one_the_process_restarts_by_itself(listmonk: Starter, version: str) -> None:
    """Facts: settings, after either PUT; traps for a controller."""
    async with listmonk(version) as one:
        assert await put(one, message_rate=3) is True
        await one.restarted(2)
        assert [each.why for each in one.standin.truth.starts] == ["first", "settings"]
        assert (await one.get("/api/config"))["needs_restart"] is False


async def test_until_the_restart_the_old_process_answers_and_then_nobody(listmonk: Starter) -> None:
    """Facts: settings, knowing it is back."""
    async with listmonk("5", speed=0.1, boot_s=0.5) as one:
        await put(one, message_rate=3)
        assert await one.ask("GET", "/health") == (200, {"data": True})
        assert len(one.standin.truth.starts) == 1
        await one.until("a closed port", lambda: one.standin.process is None)
        with pytest.raises(aiohttp.ClientConnectionError):
            await one.ask("GET", "/health")
        await one.restarted(2)
        assert await one.ask("GET", "/health") == (200, {"data": True})


@pytest.mark.parametrize("version", VERSIONS)
async def test_reload_restarts_even_with_a_campaign_in_work_which_goes_on_without_the_rest_of_its_batch(
    listmonk: Starter, version: str
) -> None:
    """Facts: settings, reload with running campaigns; campaigns, checkpoint."""
    async with listmonk(version, settings={**WINDOW, "app.batch_size": 60}) as one:
        campaign = await busy(one)
        assert await one.ask("POST", "/api/admin/reload") == (200, {"data": True})
        await one.restarted(2)
        await one.sent(40)
        assert await one.status(campaign) == "running"
        assert {each.subscriber for each in one.standin.truth.sent()} == {*range(1, 21), *range(61, 81)}


async def test_a_restart_forgets_the_window(listmonk: Starter) -> None:
    """Facts: sliding window engine, state in memory."""
    async with listmonk("6.2", settings={**WINDOW, "app.batch_size": 20}) as one:
        await busy(one, 200)
        for starts in (2, 3, 4):
            await one.ask("POST", "/api/admin/reload")
            await one.restarted(starts)
            await one.sent(20 * starts)
        assert {each.start for each in one.standin.truth.sent()} == {1, 2, 3, 4}
        assert len(one.standin.truth.copies()) == 80


async def test_the_log_starts_anew_with_a_banner_that_names_the_version(listmonk: Starter) -> None:
    """Facts: settings, knowing it is back."""
    async with listmonk("6.0", settings=WINDOW) as one:
        await busy(one)
        before = await one.get("/api/logs")
        assert "v6.0.0" in before[0]
        assert any("start processing campaign" in line for line in before)
        await one.ask("POST", "/api/admin/reload")
        await one.restarted(2)
        after = await one.get("/api/logs")
        assert "v6.0.0" in after[0]
        assert after[0] != before[0]
        assert len(after) < len(before)


async def test_quick_puts_by_key_meet_a_closed_port(listmonk: Starter) -> None:
    """Facts: settings, quick consecutive PUTs."""
    async with listmonk("6.2", boot_s=60.0) as one:
        with pytest.raises(aiohttp.ClientConnectionError):
            await put_on_and_on(one)
        await one.restarted(2)
        assert len(one.standin.truth.starts) == 2


async def test_settings_changed_by_sql_neither_restart_nor_set_the_flag(listmonk: Starter) -> None:
    """Facts: settings, plain SQL."""
    async with listmonk("5", settings=WINDOW) as one:
        await one.seeding.settings({"app.message_sliding_window_rate": 50})
        await busy(one)
        assert (await one.get("/api/settings"))["app.message_sliding_window_rate"] == 50
        assert (await one.get("/api/config"))["needs_restart"] is False
        assert len(one.standin.truth.starts) == 1
        assert len(one.sink.received) == 20


async def test_settings_in_the_database_outrank_those_of_a_fresh_start(listmonk: Starter) -> None:
    """Facts: settings, DB over TOML."""
    async with listmonk("5") as one:
        await put(one, message_sliding_window_rate=30)
        await one.restarted(2)
        assert (await one.get("/api/settings"))["app.message_sliding_window_rate"] == 30


async def test_messages_in_transmission_get_through_when_the_process_ends_and_queued_ones_do_not(listmonk: Starter) -> None:
    """Facts: settings, restart; campaigns, checkpoint."""
    async with listmonk("5", settings={"app.concurrency": 4}) as one:
        people = await one.seeding.subscribers(50)
        one.sink.gate.clear()
        [campaign] = await one.seeding.campaigns(lists=[people["list"]], status="running")
        await one.until("four in transmission", lambda: one.sink.waiting == 4)
        await one.ask("POST", "/api/admin/reload")
        await one.until("the end", lambda: one.standin.process is None)
        one.sink.gate.set()
        await one.restarted(2)
        await one.until(
            "a finished campaign", lambda: "finished" in " ".join(one.standin.process.log if one.standin.process else ())
        )
        assert await one.status(campaign) == "finished"
        assert {each.subscriber for each in one.standin.truth.sent()} == {1, 2, 3, 4}


async def test_a_crash_lets_nothing_through(listmonk: Starter) -> None:
    """Facts: campaigns, checkpoint after a crash."""
    async with listmonk("5", settings={"app.concurrency": 4}) as one:
        people = await one.seeding.subscribers(50)
        one.sink.gate.clear()
        await one.seeding.campaigns(lists=[people["list"]], status="running")
        await one.until("four in transmission", lambda: one.sink.waiting == 4)
        one.standin.crash()
        await one.restarted(2)
        assert not one.standin.truth.sendings
        assert one.standin.truth.starts[-1].why == "crash"
