"""The governor: whoever injects, and whenever the hour begins, no more leaves than the window."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pwmtad.core.governor import allowed_per_hour, rate_delay_s, rotation

HOUR = 3600
EGRESSES = tuple(f"out{number:02}" for number in range(1, 61))

pools = st.integers(1, len(EGRESSES)).map(lambda size: EGRESSES[:size])
windows = st.integers(1, 300_000)
narrow_windows = st.integers(1, 600)


def test_three_egresses_with_a_window_of_50_let_48_out_in_an_hour_and_not_51() -> None:
    assert rate_delay_s(3, 50) == 226
    assert allowed_per_hour(3, 226) == 48
    assert allowed_per_hour(3, 216) == 51  # ceil(3600 * 3 / 50)


@pytest.mark.parametrize(
    ("egresses", "window", "delay_s"), [(1, 1, 3601), (10, 10, 3601), (19, 300, 241), (1, 50, 73), (1, 3600, 2), (1, 3601, 0)]
)
def test_the_pause_is_the_shortest_that_keeps_the_window(egresses: int, window: int, delay_s: int) -> None:
    assert rate_delay_s(egresses, window) == delay_s


def test_while_ten_an_hour_may_leave_ten_egresses_send_and_the_others_rest() -> None:
    assert rotation(EGRESSES[:19], 10) == EGRESSES[:10]
    assert rotation(EGRESSES[:3], 10) == EGRESSES[:3]


def test_a_pool_is_never_emptied_and_nobody_stays_nobody() -> None:
    assert rotation(EGRESSES[:3], 0) == EGRESSES[:1]
    assert rotation((), 50) == ()
    assert rate_delay_s(0, 50) == rate_delay_s(1, 50)


@settings(deadline=None)
@given(pools, windows)
def test_no_hour_has_more_than_the_window(pool: tuple[str, ...], window: int) -> None:
    egresses = len(rotation(pool, window))
    delay_s = rate_delay_s(egresses, window)
    if delay_s:
        assert 0 < allowed_per_hour(egresses, delay_s) <= window


@settings(deadline=None)
@given(pools, windows)
def test_there_is_no_limit_only_where_each_egress_may_send_more_than_one_a_second(pool: tuple[str, ...], window: int) -> None:
    egresses = len(rotation(pool, window))
    assert (rate_delay_s(egresses, window) == 0) == (window // egresses > HOUR)


@settings(deadline=None)
@given(pools, windows)
def test_a_shorter_pause_would_exceed_the_window(pool: tuple[str, ...], window: int) -> None:
    egresses = len(rotation(pool, window))
    delay_s = rate_delay_s(egresses, window)
    if delay_s > 1:
        each = window // egresses
        assert allowed_per_hour(1, delay_s - 1) > each


@settings(deadline=None)
@given(pools, narrow_windows, st.lists(st.floats(0, 30), max_size=8), st.data())
def test_in_a_run_of_deliveries_no_hour_has_more_than_the_window(
    pool: tuple[str, ...], window: int, starts: list[float], data: st.DataObject
) -> None:
    """Each egress delivers as soon as it may, from a moment of its own on, for three hours; the hour includes both its ends."""
    egresses = rotation(pool, window)
    delay_s = rate_delay_s(len(egresses), window)
    moments = sorted(
        begin + number * delay_s
        for begin in [*starts, *[0.0] * len(egresses)][: len(egresses)]
        for number in range(3 * HOUR // delay_s + 1)
    )
    first = data.draw(st.sampled_from(moments))
    assert bisect_right(moments, first + HOUR) - bisect_left(moments, first) <= window


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), windows, windows)
def test_more_egresses_or_a_smaller_window_never_make_a_pause_shorter(one: int, two: int, here: int, there: int) -> None:
    few, many = sorted((one, two))
    small, large = sorted((here, there))
    assert rate_delay_s(many, large) >= rate_delay_s(few, large)
    assert rate_delay_s(few, small) >= rate_delay_s(few, large)
