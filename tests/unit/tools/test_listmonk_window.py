"""The window and the values it is made of, against the facts on Listmonk's sliding window engine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tools.listmonk.engine import Tuning, tuning_of
from tests.tools.listmonk.govalues import as_bool, as_duration, as_int, parse_duration
from tests.tools.listmonk.versions import parse_version, traits_of
from tests.tools.listmonk.window import Limit, Pushed, limit_of, push

HOUR = 3600.0

rates = st.integers(1, 12)
durations = st.floats(1.001, 5000)
gaps = st.lists(st.one_of(st.just(0.0), st.floats(0, 30), st.floats(0, 9000)), max_size=120)


def pushes(limit: Limit, waits: Iterable[float], booted: float = 0.0) -> list[tuple[float, float]]:
    """Push message after message, each after a wait and after any sleep; return when, and since when its window counts."""
    state, now, found = Pushed(booted), booted, []
    for wait in waits:
        now += wait
        state, until = push(state, limit, now)
        found.append((now, state.since))
        if until is not None:
            assert now < until <= state.since + limit.duration_s
            assert state.count == 0
            now = until
        assert state.count < limit.rate
    return found


@given(rates, durations, gaps)
@settings(deadline=None)
def test_before_6_1_the_first_window_admits_the_rate_and_each_later_one_one_more(
    rate: int, duration: float, waits: list[float]
) -> None:
    """Facts: sliding window engine, version bugs."""
    windows = Counter(since for _, since in pushes(Limit(rate, duration, extra=True), waits))
    assert all(count <= rate + (since > 0) for since, count in windows.items())


@given(rates.filter(lambda rate: rate > 1), durations, gaps)
@settings(deadline=None)
def test_since_6_1_no_window_admits_more_than_the_rate(rate: int, duration: float, waits: list[float]) -> None:
    """Facts: sliding window engine, version bugs."""
    windows = Counter(since for _, since in pushes(Limit(rate, duration, extra=False), waits))
    assert max(windows.values(), default=0) <= rate


def test_since_6_1_a_rate_of_one_admits_two_in_each_window_but_the_first() -> None:
    """Facts: sliding window engine, version bugs."""
    windows = Counter(since for _, since in pushes(Limit(1, 60.0, extra=False), [0.0] * 21))
    assert sorted(windows.items()) == [(0.0, 1), *((60.0 * number, 2) for number in range(1, 11))]


@given(rates, durations, gaps, st.booleans())
@settings(deadline=None)
def test_no_span_as_long_as_the_window_sees_more_than_twice_what_a_window_admits(
    rate: int, duration: float, waits: list[float], extra: bool
) -> None:
    """Facts: sliding window engine, consequences."""
    limit = Limit(rate, duration, extra=extra)
    times = [now for now, _ in pushes(limit, waits)]
    most = 2 * max(rate + extra, 2)
    assert all(sum(1 for other in times if now <= other < now + duration * 0.999) <= most for now in times)


def test_a_campaign_that_starts_59_minutes_after_the_process_sends_twice_the_rate_within_a_minute() -> None:
    """Facts: sliding window engine, consequences."""
    times = [now for now, _ in pushes(Limit(50, HOUR, extra=False), [59 * 60.0, *[0.0] * 100])]
    assert sum(now <= HOUR for now in times) == 100
    assert times[49] == 59 * 60.0
    assert times[50] == HOUR


def test_what_a_window_admits_leaves_at_once_and_then_nothing() -> None:
    """Facts: sliding window engine, consequences."""
    times = [now for now, _ in pushes(Limit(50, HOUR, extra=True), [0.0] * 203)]
    bursts = Counter(times)
    assert bursts == {0.0: 50, HOUR: 51, 2 * HOUR: 51, 3 * HOUR: 51}


def test_the_window_moves_only_when_something_is_pushed_after_its_end() -> None:
    """Facts: sliding window engine."""
    found = pushes(Limit(50, 60.0, extra=False), [10.0, 200.0, 1.0])
    assert [since for _, since in found] == [0.0, 210.0, 210.0]


@given(st.integers(-5, 0) | rates, st.floats(-10, 10), st.booleans())
def test_a_rate_of_zero_or_a_duration_of_a_second_limits_nothing(rate: int, duration: float, enabled: bool) -> None:
    """Facts: sliding window engine; traps for a controller."""
    found = limit_of(enabled=enabled, rate=rate, duration_s=duration, extra=False)
    assert (found is not None) == (enabled and rate > 0 and duration > 1)


@pytest.mark.parametrize("duration", ["1d", "1 h", "", "1s", "0", 3600, "3600", "60", None, [], True, "-5m", "h", "1hour"])
def test_a_duration_that_go_can_not_read_and_a_number_limit_nothing(duration: Any) -> None:
    """Facts: sliding window engine; traps for a controller."""
    assert tuning({"app.message_sliding_window_duration": duration}).limit is None


@pytest.mark.parametrize(
    ("duration", "seconds"), [("1h", HOUR), ("1m", 60.0), ("1h30m", 5400.0), ("1.5s", 1.5), ("2s", 2.0), (2_000_000_000, 2.0)]
)
def test_a_duration_of_more_than_a_second_limits(duration: Any, seconds: float) -> None:
    """Facts: sliding window engine."""
    limit = tuning({"app.message_sliding_window_duration": duration}).limit
    assert limit is not None
    assert limit.duration_s == pytest.approx(seconds)


def tuning(changed: Mapping[str, Any], version: str = "6.2") -> Tuning:
    good: dict[str, Any] = {
        "app.message_sliding_window": True,
        "app.message_sliding_window_duration": "1h",
        "app.message_sliding_window_rate": 50,
    }
    return tuning_of({**good, **changed}, traits_of(parse_version(version)))


@pytest.mark.parametrize(
    ("version", "extra"), [("3", True), ("4", True), ("5", True), ("6.0", True), ("6.1", False), ("6.2", False)]
)
def test_windows_admit_one_more_before_6_1(version: str, extra: bool) -> None:
    """Facts: version matrix."""
    limit = tuning({}, version).limit
    assert limit is not None
    assert limit.extra == extra


def test_a_rate_without_the_flag_limits_nothing() -> None:
    """Facts: traps for a controller."""
    assert tuning({"app.message_sliding_window": False}).limit is None


@pytest.mark.parametrize("nonsense", [0, -3, None, "many"])
def test_batch_concurrency_and_message_rate_below_one_become_a_thousand_one_and_one(nonsense: Any) -> None:
    """Facts: sliding window engine."""
    names = ("app.batch_size", "app.concurrency", "app.message_rate")
    found = tuning(dict.fromkeys(names, nonsense))
    assert (found.batch_size, found.concurrency, found.message_rate) == (1000, 1, 1)


@given(st.integers(0, 10_000_000), st.sampled_from(["ns", "us", "ms", "s", "m", "h"]))
def test_one_number_and_one_unit_is_a_duration(number: int, unit: str) -> None:
    """Facts: settings, keys and types."""
    scale = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": HOUR}
    assert parse_duration(f"{number}{unit}") == pytest.approx(number * scale[unit])


@given(st.text(max_size=12))
def test_any_text_is_a_duration_or_none(text: str) -> None:
    """Facts: sliding window engine."""
    found = parse_duration(text)
    assert found is None or isinstance(found, float)
    assert as_duration(text) >= 0 or text.startswith("-")


def test_values_of_a_wrong_type_become_zero_false_or_what_their_text_says() -> None:
    """Facts: settings, wrong JSON types."""
    assert list(map(as_int, ("50", 50.9, True, "x", None, "1.5"))) == [50, 50, 0, 0, 0, 0]
    assert list(map(as_bool, (True, "true", 1, "yes", None, []))) == [True, True, True, False, False, False]


def test_bursts_never_come_closer_than_the_rest_of_their_window() -> None:
    """Facts: sliding window engine, consequences."""
    times = sorted({now for now, _ in pushes(Limit(2, 10.0, extra=True), [0.0] * 30)})
    assert all(later - earlier == pytest.approx(10.0) for earlier, later in pairwise(times))
