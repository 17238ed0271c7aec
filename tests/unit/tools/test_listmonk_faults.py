"""What a test can break, and what it is told: faults, wrong instances, two instances, the control's own port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest

from tests.tools.listmonk import Fault, Kind
from tests.tools.listmonk.world import Starter, World
from tests.unit.adapters.conftest import PostgresCluster

pytest_plugins = ["tests.tools.listmonk.fixtures"]
pytestmark = pytest.mark.services

RATE = "/api/settings/app.message_sliding_window_rate"
WINDOW = {"app.message_sliding_window": True, "app.message_sliding_window_rate": 10}


@pytest.fixture
async def world(listmonk: Starter) -> AsyncIterator[World]:
    async with listmonk("6.2") as one:
        yield one


async def control(world: World, call: str, **sent: Any) -> Any:
    async with aiohttp.ClientSession() as session:
        method = "POST" if sent else "GET"
        async with session.request(method, f"{world.control.address}/_test/{call}", json=sent or None) as answer:
            body = await answer.json()
            assert answer.status == 200, body
            return body


@pytest.mark.parametrize(
    ("kind", "status"),
    [(Kind.HTML, 200), (Kind.BAD_GATEWAY, 502), (Kind.UNAVAILABLE, 503), (Kind.ERROR, 500), (Kind.FORBIDDEN, 403)],
)
async def test_an_answer_can_be_replaced_for_a_number_of_times(world: World, kind: Kind, status: int) -> None:
    world.standin.faults.add(Fault(kind, times=2, path="/api/settings"))
    assert (await world.ask("GET", "/api/health"))[0] == 200
    found = [await world.ask("GET", "/api/settings") for _ in range(3)]
    assert [each[0] for each in found] == [status, status, 200]
    assert isinstance(found[0][1], str) == (kind in {Kind.HTML, Kind.BAD_GATEWAY, Kind.UNAVAILABLE})


async def test_a_connection_can_be_dropped_before_and_after_the_work_is_done(world: World) -> None:
    assert world.standin.process is not None
    pool = world.standin.process.pool
    statement = "SELECT value FROM settings WHERE key = 'app.message_sliding_window_rate'"
    world.standin.faults.add(Fault(Kind.DROP, methods=("PUT",), times=1))
    with pytest.raises(aiohttp.ClientConnectionError):
        await world.ask("PUT", RATE, 77)
    assert await pool.fetchval(statement) == 10000
    world.standin.faults.add(Fault(Kind.DROP_AFTER, methods=("PUT",), times=1))
    with pytest.raises(aiohttp.ClientConnectionError):
        await world.ask("PUT", RATE, 77)
    await world.restarted(2)
    assert (await world.get("/api/settings"))["app.message_sliding_window_rate"] == 77
    assert [each.status for each in world.standin.truth.requests if each.method == "PUT"] == [0, 0]


async def test_an_answer_can_be_slow_or_never_come(world: World) -> None:
    world.standin.faults.add(Fault(Kind.SLOW, times=1, seconds=0.2))
    began = asyncio.get_running_loop().time()
    assert (await world.ask("GET", "/api/health"))[0] == 200
    assert asyncio.get_running_loop().time() - began >= 0.2
    world.standin.faults.add(Fault(Kind.HANG, times=1, seconds=60.0))
    with pytest.raises(TimeoutError):
        await world.ask("GET", "/api/health", timeout=aiohttp.ClientTimeout(total=0.1))


async def test_a_process_that_is_down_refuses_until_it_is_up_again_and_has_forgotten_everything(world: World) -> None:
    world.standin.down()
    await world.until("down", lambda: world.standin.process is None)
    with pytest.raises(aiohttp.ClientConnectionError):
        await world.ask("GET", "/health")
    world.standin.up()
    await world.restarted(2)
    assert (await world.ask("GET", "/health"))[0] == 200
    assert [each.why for each in world.standin.truth.starts] == ["first", "down"]


async def test_with_a_closed_port_the_process_works_on(listmonk: Starter) -> None:
    async with listmonk("6.2") as one:
        people = await one.seeding.subscribers(50)
        await one.standin.close_port()
        with pytest.raises(aiohttp.ClientConnectionError):
            await one.ask("GET", "/health")
        [campaign] = await one.seeding.campaigns(lists=[people["list"]], status="running")
        await one.sent(50)
        await one.standin.open_port()
        await one.became("finished", campaign)
        assert len(one.standin.truth.starts) == 1


async def test_another_instance_behind_the_url_has_other_settings_and_nobody_and_can_not_harm_this_one(
    listmonk: Starter,
) -> None:
    async with listmonk("6.2", settings=WINDOW) as one:
        people = await one.seeding.subscribers(50)
        [campaign] = await one.seeding.campaigns(lists=[people["list"]], status="running")
        await one.sent(10)
        own = await one.get("/api/settings")
        await one.standin.show_wrong_instance()
        other = await one.get("/api/settings")
        assert other["app.root_url"] != own["app.root_url"]
        assert (await one.get("/api/campaigns"))["results"] == []
        assert (await one.ask("PUT", f"/api/campaigns/{campaign}/status", {"status": "paused"}))[0] == 400
        assert await one.ask("PUT", RATE, 3) == (200, {"data": True})
        assert (await one.get("/api/settings"))["app.message_sliding_window_rate"] == 3
        await one.standin.show_own_instance()
        assert await one.get("/api/settings") == own
        assert await one.status(campaign) == "running"
        assert len(one.standin.truth.starts) == 1


async def test_a_nightly_build_reports_no_version_number(world: World) -> None:
    """Facts: version matrix."""
    world.standin.faults.reported_version = "nightly-2026-07-21"
    assert (await world.get("/api/config"))["version"] == "nightly-2026-07-21"
    world.standin.faults.clear()
    assert (await world.get("/api/config"))["version"] == "v6.2.0"


async def test_two_instances_send_by_windows_of_their_own_and_one_may_be_down(listmonk: Starter) -> None:
    async with listmonk("5", settings=WINDOW) as trucking, listmonk("6.2", settings=WINDOW) as healthcare:
        for one in (trucking, healthcare):
            people = await one.seeding.subscribers(30)
            await one.seeding.campaigns(lists=[people["list"]], status="running")
            await one.sent(10)
        trucking.standin.down()
        await trucking.until("down", lambda: trucking.standin.process is None)
        assert (await healthcare.ask("GET", "/health"))[0] == 200
        assert len(trucking.standin.truth.sent()) == len(healthcare.standin.truth.sent()) == 10


async def test_two_processes_on_one_database_have_a_window_each_for_the_same_campaign(
    listmonk: Starter, listmonk_databases: Callable[[], str]
) -> None:
    """Facts: sliding window engine, two non-passive instances."""
    database = listmonk_databases()
    settings = {**WINDOW, "app.batch_size": 10}
    async with listmonk("5", database=database, settings=settings) as one, listmonk("5", database=database) as two:
        people = await one.seeding.subscribers(100)
        await one.seeding.campaigns(lists=[people["list"]], status="running")
        await one.sent(10)
        await two.sent(10)
        assert len(one.sink.received) == 20


async def test_a_newer_version_takes_over_the_database_of_an_older_one(
    listmonk: Starter, listmonk_databases: Callable[[], str]
) -> None:
    """Facts: auth, tokens at rest and the role upgrade trap."""
    database = listmonk_databases()
    for version, status in (("4", 200), ("5", 200), ("6.0", 200), ("6.2", 403)):
        async with listmonk(version, database=database, permissions=("campaigns:manage", "lists:manage_all")) as one:
            people = await one.seeding.subscribers(1)
            [campaign] = await one.seeding.campaigns(lists=[people["list"]], status="paused")
            assert (await one.ask("PUT", f"/api/campaigns/{campaign}/status", {"status": "cancelled"}))[0] == status


async def test_a_database_that_dies_is_500_for_the_api_and_a_line_in_the_log(
    listmonk: Starter, listmonk_cluster: PostgresCluster
) -> None:
    """Facts: settings, health has no look at the database; conventions."""
    async with listmonk("6.2") as one:
        listmonk_cluster.stop()
        try:
            assert (await one.ask("GET", "/api/health"))[0] == 200
            assert (await one.ask("GET", "/api/settings"))[0] == 500
            assert one.standin.process is not None
            log = one.standin.process.log
            await one.until("a line", lambda: any("error fetching campaigns" in line for line in log))
        finally:
            listmonk_cluster.start_again()
        for _ in range(1000):
            if (await one.ask("GET", "/api/settings"))[0] == 200:
                break
            await asyncio.sleep(0.01)
        assert (await one.ask("GET", "/api/settings"))[0] == 200


async def test_the_control_makes_breaks_and_tells_over_http(listmonk: Starter) -> None:
    async with listmonk("6.2", settings=WINDOW) as one:
        await one.control.open("127.0.0.1:0")
        try:
            people = await control(one, "subscribers", count=30, domains=["example.org"])
            [campaign] = (await control(one, "campaigns", lists=[people["list"]], status="running"))["ids"]
            await one.sent(10)
            state = await control(one, "state")
            assert (state["sent"], state["starts"], state["tuning"]["limit"]["rate"]) == (10, 1, 10)
            assert set(state["pipes"]) == {str(campaign)}
            await control(one, "faults", kind="bad_gateway", path="/api/", times=1)
            assert (await one.ask("GET", "/api/health"))[0] == 502
            await control(one, "users", name="helper", token="t", permissions=["settings:get"])  # noqa: S106
            await control(one, "settings", **{"app.batch_size": 5})
            assert (await one.get("/api/settings"))["app.batch_size"] == 5
            assert (await control(one, "bypass", emails=["a@example.com"])) == {"sent": 1}
            await control(one, "instance", wrong=True)
            await control(one, "instance", wrong=False)
            await control(one, "port", open=False)
            await control(one, "port", open=True)
            await control(one, "process", do="crash")
            await one.restarted(2)
            truth = await control(one, "truth")
            assert [each["type"] for each in truth["starts"]] == ["start", "start"]
            assert len([each for each in truth["sendings"] if each["campaign"] == campaign and each["start"] == 1]) == 10
            assert any(each["path"] == "/api/health" and each["status"] == 502 for each in truth["requests"])
        finally:
            await one.control.close()
