"""The warmup day, and what is subtracted from it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pwmtad.config import StreamSettings
from pwmtad.config.streams import DEFAULT_WINDOW_LADDER
from pwmtad.core.warmup import halted_days, next_rung, rungs_at, warmup_day
from pwmtad.model.judgement import StreamMemory
from pwmtad.model.names import StreamName
from tests.tools.judging import DAY, START, settings_of

STREAM: StreamSettings = settings_of().streams[StreamName("trucking")]
FIXED: StreamSettings = settings_of().streams[StreamName("healthcare")]


@pytest.mark.parametrize(("seconds", "day"), [(0, 0), (DAY - 1, 0), (DAY, 1), (25 * DAY, 25), (-1, None)])
def test_the_warmup_day_is_the_runbooks_formula(seconds: int, day: int | None) -> None:
    assert warmup_day(START, START + seconds) == day


@given(st.integers(0, 4000 * DAY), st.integers(0, 60 * DAY))
def test_days_do_not_care_for_zones_or_years(begin: int, passed: int) -> None:
    assert warmup_day(float(begin), float(begin + passed)) == passed // DAY


@pytest.mark.parametrize(
    ("day", "pool", "window"),
    [(0, 3, 50), (1, 3, 50), (2, 3, 150), (4, 5, 250), (7, 5, 300), (8, 8, 300), (12, 12, 300), (18, 16, 300), (25, 19, 300)],
)
def test_the_ladders_are_the_runbooks(day: int, pool: int, window: int) -> None:
    rungs = rungs_at(STREAM, StreamMemory(warmup_start=START), START + day * DAY)
    assert rungs is not None
    assert (rungs.day, rungs.effective_day, rungs.pool_size, rungs.window_per_hour) == (day, day, pool, window)


def test_a_stream_with_fixed_egresses_has_them_all_from_day_0() -> None:
    rungs = rungs_at(FIXED, StreamMemory(warmup_start=START), START)
    assert rungs is not None
    assert rungs.pool_size == 2


def test_without_a_start_nothing_is_known() -> None:
    assert rungs_at(STREAM, StreamMemory(), START) is None


def test_the_day_never_goes_back_with_the_clock() -> None:
    memory = StreamMemory(warmup_start=START, highest_day=9)
    for now in (START + 9 * DAY, START + 2 * DAY, START - 100 * DAY):
        rungs = rungs_at(STREAM, memory, now)
        assert rungs is not None
        assert rungs.day == 9


def test_halted_days_and_step_backs_are_subtracted_from_the_window_but_not_from_the_pool() -> None:
    memory = StreamMemory(warmup_start=START, halted_s=3.5 * DAY, step_back_days=2)
    rungs = rungs_at(STREAM, memory, START + 9 * DAY)
    assert rungs is not None
    assert (rungs.day, rungs.effective_day, rungs.pool_size, rungs.window_per_hour) == (9, 4, 8, 250)


def test_a_halt_that_stands_stops_the_effective_day() -> None:
    memory = StreamMemory(warmup_start=START, halted_since=START + 5 * DAY)
    days = [rungs.effective_day for day in range(5, 9) if (rungs := rungs_at(STREAM, memory, START + day * DAY)) is not None]
    assert days == [5, 5, 5, 5]


@given(
    st.integers(-5 * DAY, 40 * DAY),
    st.integers(0, 60),
    st.floats(0, 100 * DAY),
    st.integers(0, 100),
    st.one_of(st.none(), st.integers(-5 * DAY, 40 * DAY)),
)
def test_the_effective_day_is_between_0_and_the_day(
    now: int, highest: int, halted: float, step_back: int, since: int | None
) -> None:
    memory = StreamMemory(
        warmup_start=START,
        highest_day=highest,
        halted_s=halted,
        step_back_days=step_back,
        halted_since=None if since is None else START + since,
    )
    rungs = rungs_at(STREAM, memory, START + now)
    assert rungs is not None
    assert 0 <= rungs.effective_day <= rungs.day
    assert rungs.window_per_hour == DEFAULT_WINDOW_LADDER.value_at(rungs.effective_day) > 0


def test_a_halt_that_begins_in_the_future_of_a_clock_that_was_set_back_takes_no_day_away() -> None:
    assert halted_days(StreamMemory(halted_since=START + DAY, halted_s=DAY), START) == 1


@pytest.mark.parametrize(
    ("current", "target", "next_one"),
    [
        (50, 300, 150),
        (150, 300, 250),
        (250, 300, 300),
        (300, 300, 300),
        (300, 50, 50),
        (0, 250, 250),
        (60, 100, 100),
        (400, 500, 500),
    ],
)
def test_a_ladder_is_climbed_rung_by_rung_and_left_at_once(current: int, target: int, next_one: int) -> None:
    assert next_rung((50, 150, 250, 300), current, target) == next_one


@given(st.lists(st.integers(1, 500), min_size=1, max_size=6).map(tuple), st.integers(0, 500), st.integers(1, 500))
def test_the_next_rung_never_passes_the_target(values: tuple[int, ...], current: int, target: int) -> None:
    rung = next_rung(values, current, target)
    assert rung <= target
    assert rung == target or rung > current
