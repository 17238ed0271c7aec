"""The engine in virtual time, against the facts on the window engine, on campaigns, and on restarts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tools.listmonk.message import Person
from tests.tools.listmonk.simulated import MemoryStore, SimulatedListmonk, run_virtually

BEGAN: Final = datetime(2026, 3, 2, tzinfo=UTC)
HOUR: Final = 3600.0
VERSIONS: Final = ("3", "4", "5", "6.0", "6.2")


def window(rate: int, duration: str = "1h", **more: Any) -> dict[str, Any]:
    return {
        "app.message_sliding_window": True,
        "app.message_sliding_window_duration": duration,
        "app.message_sliding_window_rate": rate,
        "app.concurrency": 10,
        "app.message_rate": 10,
        "app.batch_size": 1000,
        **{f"app.{name}": value for name, value in more.items()},
    }


def play(version: str, stored: dict[str, Any], act: Callable[[SimulatedListmonk], Awaitable[None]]) -> SimulatedListmonk:
    """Run a stand-in from its start to the end of `act`."""

    async def main() -> SimulatedListmonk:
        listmonk = SimulatedListmonk(version, stored, BEGAN)
        listmonk.start()
        try:
            await act(listmonk)
        finally:
            await listmonk.crash()
        return listmonk

    return run_virtually(main)


def hours(listmonk: SimulatedListmonk) -> list[int]:
    """Return how many messages left in each hour since the beginning."""
    counts = Counter(int(one.at // HOUR) for one in listmonk.left)
    return [counts[number] for number in range(max(counts) + 1)]


@pytest.mark.parametrize(
    ("version", "expected"),
    [("3", [50, 51, 51, 48]), ("5", [50, 51, 51, 48]), ("6.0", [50, 51, 51, 48]), ("6.2", [50, 50, 50, 50])],
)
def test_a_window_of_50_an_hour_lets_50_or_51_leave_each_hour(version: str, expected: list[int]) -> None:
    """Facts: version matrix, window."""

    async def act(listmonk: SimulatedListmonk) -> None:
        listmonk.add(range(1, 201))
        await listmonk.clock.sleep(4 * HOUR)

    assert hours(play(version, window(50), act)) == expected


@pytest.mark.parametrize("version", VERSIONS)
def test_a_rate_of_zero_sends_everything_at_once(version: str) -> None:
    """Facts: sliding window engine; traps for a controller."""

    async def act(listmonk: SimulatedListmonk) -> None:
        listmonk.add(range(1, 2001))
        await listmonk.clock.sleep(60)

    assert len(play(version, window(0), act).left) == 2000


def test_workers_together_send_concurrency_times_message_rate_a_second() -> None:
    """Facts: sliding window engine, message rate."""

    async def act(listmonk: SimulatedListmonk) -> None:
        listmonk.add(range(1, 1001))
        await listmonk.clock.sleep(60)

    left = play("5", window(0, concurrency=5, message_rate=20), act).left
    seconds = Counter(int(one.at) for one in left)
    assert seconds == Counter({5 + number: 100 for number in range(10)})


def test_two_campaigns_share_one_count() -> None:
    """Facts: sliding window engine, process-global state."""

    async def act(listmonk: SimulatedListmonk) -> None:
        listmonk.add(range(1, 101))
        listmonk.add(range(101, 201))
        await listmonk.clock.sleep(HOUR / 2)

    assert len(play("6.2", window(50, batch_size=20), act).left) == 50


def test_each_restart_grants_a_whole_new_window() -> None:
    """Facts: sliding window engine, state in memory; traps for a controller."""

    async def act(listmonk: SimulatedListmonk) -> None:
        listmonk.add(range(1, 2001))
        for _ in range(12):
            await listmonk.clock.sleep(5 * 60)
            await listmonk.restart()

    assert hours(play("6.2", window(50, batch_size=50), act))[0] == 12 * 50


def test_after_a_pause_at_most_the_messages_in_the_hands_of_workers_leave() -> None:
    """Facts: campaigns, API pause."""
    before = []

    async def act(listmonk: SimulatedListmonk) -> None:
        listmonk.transmission_s = 1.0
        campaign = listmonk.add(range(1, 1001))
        await listmonk.clock.sleep(10.5)
        assert listmonk.pause(campaign)
        before.append(len(listmonk.left))
        await listmonk.clock.sleep(60)

    listmonk = play("5", window(0, concurrency=7, message_rate=1000), act)
    assert len(listmonk.left) - before[0] == 7
    assert listmonk.store.rows[1].last == max(one.person for one in listmonk.left)


def test_a_pause_by_sql_lets_the_rest_of_the_batch_leave() -> None:
    """Facts: campaigns, SQL pause."""

    async def act(listmonk: SimulatedListmonk) -> None:
        listmonk.add(range(1, 1001))
        await listmonk.clock.sleep(10)
        listmonk.store.rows[1].status = "paused"
        await listmonk.clock.sleep(4 * HOUR)

    assert len(play("5", window(50, batch_size=150), act).left) == 150


@pytest.mark.parametrize("version", VERSIONS)
def test_a_paused_campaign_that_sleeps_drains_for_one_window_per_rate_of_its_batch(version: str) -> None:
    """Facts: sliding window engine, pausing while it sleeps."""
    drained = []

    async def act(listmonk: SimulatedListmonk) -> None:
        listmonk.add(range(1, 2001))
        await listmonk.clock.sleep(10)
        listmonk.pause(1)
        while listmonk.engine.pipes:
            await listmonk.clock.sleep(60)
        drained.append(listmonk.clock.now() / HOUR)

    listmonk = play(version, window(50, batch_size=500), act)
    assert len(listmonk.left) == 50
    assert 9 <= drained[0] < 10.1


def test_while_it_drains_settings_need_a_restart_a_resume_sends_nothing_and_others_starve() -> None:
    """Facts: sliding window engine, pausing while it sleeps."""

    async def act(listmonk: SimulatedListmonk) -> None:
        listmonk.add(range(1, 2001))
        listmonk.add(range(2001, 2101))
        await listmonk.clock.sleep(10)
        listmonk.pause(1)
        await listmonk.clock.sleep(10)
        assert await listmonk.put({"app.message_sliding_window_rate": 100})
        assert listmonk.resume(1)
        await listmonk.clock.sleep(5 * HOUR)
        assert listmonk.store.rows[1].status == "running"
        assert listmonk.starts == 1

    assert len(play("6.2", window(50, batch_size=500), act).left) == 50


def test_with_a_batch_no_larger_than_the_rate_it_drains_within_a_window() -> None:
    """Facts: sliding window engine, pausing while it sleeps."""

    async def act(listmonk: SimulatedListmonk) -> None:
        listmonk.add(range(1, 2001))
        await listmonk.clock.sleep(10)
        listmonk.pause(1)
        await listmonk.clock.sleep(HOUR)
        assert not listmonk.engine.pipes
        assert not await listmonk.put({"app.message_sliding_window_rate": 100})

    assert play("5", window(50, batch_size=50), act).starts == 2


@pytest.mark.parametrize(("version", "sent"), [("3", 50), ("4", 50), ("5", 200), ("6.2", 200)])
def test_a_resume_before_the_drain_drops_all_that_is_left_and_before_version_5_that_is_the_end(version: str, sent: int) -> None:
    """Facts: sliding window engine, pausing while it sleeps; campaigns, pause and fast resume."""

    async def act(listmonk: SimulatedListmonk) -> None:
        listmonk.add(range(1, 201))
        await listmonk.clock.sleep(10)
        listmonk.pause(1)
        listmonk.resume(1)
        await listmonk.clock.sleep(2 * HOUR)
        assert len(listmonk.left) == 50
        await listmonk.clock.sleep(10 * HOUR)
        assert listmonk.store.rows[1].status == "finished"

    listmonk = play(version, window(50, batch_size=150), act)
    assert sorted(one.person for one in listmonk.left) == list(range(1, sent + 1))


@pytest.mark.parametrize(("version", "checkpoint"), [("3", 700), ("6.0", 700), ("6.1", 150), ("6.2", 150)])
def test_a_pause_before_the_first_success_jumps_to_the_number_of_recipients_before_6_1(version: str, checkpoint: int) -> None:
    """Facts: campaigns, checkpoint. That since 6.1 it stays at the end of the batch was read in the source's SQL."""

    async def act(listmonk: SimulatedListmonk) -> None:
        listmonk.refused = set(range(1, 2000))
        listmonk.add(range(1, 701))
        await listmonk.clock.sleep(5.01)
        listmonk.pause(1)
        await listmonk.clock.sleep(HOUR)

    assert play(version, window(0, batch_size=150, message_rate=1, concurrency=1), act).store.rows[1].last == checkpoint


@pytest.mark.parametrize("version", VERSIONS)
def test_a_restart_loses_the_rest_of_the_batch_and_the_campaign_ends_as_finished(version: str) -> None:
    """Facts: campaigns, checkpoint; settings, reload with running campaigns."""

    async def act(listmonk: SimulatedListmonk) -> None:
        listmonk.add(range(1, 301))
        await listmonk.clock.sleep(60)
        await listmonk.restart()
        await listmonk.clock.sleep(12 * HOUR)

    listmonk = play(version, window(50, batch_size=200), act)
    assert listmonk.store.rows[1].status == "finished"
    assert {one.person for one in listmonk.left} == {*range(1, 51), *range(201, 301)}


@pytest.mark.parametrize("version", VERSIONS)
def test_after_a_drained_pause_everybody_gets_it_exactly_once(version: str) -> None:
    """Facts: campaigns, API pause."""

    async def act(listmonk: SimulatedListmonk) -> None:
        listmonk.add(range(1, 301))
        await listmonk.clock.sleep(60)
        for _ in range(3):
            listmonk.pause(1)
            await listmonk.clock.sleep(HOUR + 10)
            assert not listmonk.engine.pipes
            listmonk.resume(1)
            await listmonk.clock.sleep(HOUR)
        await listmonk.clock.sleep(12 * HOUR)

    assert sorted(one.person for one in play(version, window(50, batch_size=50), act).left) == list(range(1, 301))


@pytest.mark.parametrize(("version", "stored"), [("4", "running"), ("5", "scheduled"), ("6.2", "scheduled")])
def test_a_resumed_campaign_with_a_past_date_is_scheduled_and_picked_up_within_five_seconds(version: str, stored: str) -> None:
    """Facts: campaigns, resume."""

    async def act(listmonk: SimulatedListmonk) -> None:
        listmonk.add(range(1, 10), status="paused", send_at=BEGAN - timedelta(days=1))
        listmonk.resume(1)
        assert listmonk.store.rows[1].status == stored
        await listmonk.clock.sleep(5.1)

    assert len(play(version, window(50), act).left) == 9


def test_a_scheduled_campaign_starts_when_its_time_has_come() -> None:
    """Facts: campaigns, pickup."""

    async def act(listmonk: SimulatedListmonk) -> None:
        listmonk.add(range(1, 10), status="scheduled", send_at=BEGAN + timedelta(hours=2))
        await listmonk.clock.sleep(3 * HOUR)

    assert {one.at // 10 for one in play("6.2", window(50), act).left} == {720}


def test_a_campaign_whose_messenger_is_not_loaded_is_cancelled() -> None:
    """Facts: campaigns, pickup."""

    async def act(listmonk: SimulatedListmonk) -> None:
        listmonk.add(range(1, 10), messenger="email-gone")
        await listmonk.clock.sleep(6)

    assert play("6.2", window(50), act).store.rows[1].status == "cancelled"


@pytest.mark.parametrize(("version", "sent"), [("3", 0), ("4", 50)])
def test_in_version_3_a_batch_of_ineligible_people_ends_the_campaign(version: str, sent: int) -> None:
    """Facts: sliding window engine, small batches on version 3."""

    async def act(listmonk: SimulatedListmonk) -> None:
        listmonk.store.blocked = set(range(1, 51))
        listmonk.add(range(1, 101))
        await listmonk.clock.sleep(60)
        assert listmonk.store.rows[1].status == "finished"

    assert len(play(version, window(0, batch_size=50), act).left) == sent


def test_too_many_errors_pause_the_campaign_and_the_count_begins_anew_when_it_is_resumed() -> None:
    """Facts: sliding window engine, max_send_errors."""

    async def act(listmonk: SimulatedListmonk) -> None:
        listmonk.refused = set(range(3, 101))
        listmonk.add(range(1, 101))
        await listmonk.clock.sleep(60)
        row = listmonk.store.rows[1]
        assert (row.status, row.last, len(listmonk.left)) == ("paused", 2, 2)
        listmonk.refused = set(range(3, 7))
        listmonk.resume(1)
        await listmonk.clock.sleep(60)
        assert row.status == "finished"

    assert len(play("5", window(0, concurrency=1, max_send_errors=5, batch_size=5), act).left) == 96


@pytest.mark.parametrize(("version", "sent"), [("6.0", 0), ("6.1", 100)])
def test_a_database_error_while_fetching_hangs_the_campaign_before_6_1(
    version: str, sent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Facts: campaigns, hanging pipes."""
    fetch = MemoryStore.next_people
    failing = iter([OSError("connection reset")])

    async def fail_once(store: MemoryStore, campaign: int, limit: int, now: datetime) -> list[Person]:
        for error in failing:
            raise error
        return await fetch(store, campaign, limit, now)

    monkeypatch.setattr(MemoryStore, "next_people", fail_once)

    async def act(listmonk: SimulatedListmonk) -> None:
        listmonk.add(range(1, 101))
        await listmonk.clock.sleep(HOUR)
        assert bool(listmonk.engine.pipes) == (sent == 0)

    assert len(play(version, window(0), act).left) == sent


steps = st.lists(st.tuples(st.sampled_from(["pause", "resume", "restart", "crash", "put"]), st.floats(0, 9000)), max_size=25)


@given(steps, st.integers(1, 60), st.integers(2, 40))
@settings(deadline=None, max_examples=60)
def test_since_6_1_nobody_gets_a_message_twice_and_no_window_of_a_run_admits_more_than_its_rate(
    acts: list[tuple[str, float]], batch: int, rate: int
) -> None:
    """Facts: campaigns, checkpoint; sliding window engine."""
    runs: list[int] = []

    async def act(listmonk: SimulatedListmonk) -> None:
        listmonk.transmission_s = 0.3
        listmonk.add(range(1, 400))
        for what, wait in acts:
            await listmonk.clock.sleep(wait)
            if what in {"restart", "crash"}:
                await listmonk.restart()
            elif what == "put":
                await listmonk.put({"app.message_sliding_window_rate": rate})
            else:
                _ = listmonk.pause(1) if what == "pause" else listmonk.resume(1)
            runs.append(listmonk.starts)

    listmonk = play("6.1", window(rate, batch_size=batch), act)
    assert max(Counter(one.person for one in listmonk.left).values(), default=0) <= 1
    spans = sum(wait for _, wait in acts) / HOUR
    assert len(listmonk.left) <= rate * (spans + 1 + listmonk.starts)
