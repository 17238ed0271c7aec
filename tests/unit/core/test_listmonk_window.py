"""The send window: what is let out of any hour, how durations are read, in which order keys are written."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pwmtad.core.listmonk_window import (
    BATCH,
    DURATION,
    FLAG,
    RATE,
    as_engine,
    assignments,
    drain_s,
    engine_of,
    go_seconds,
    go_text,
    is_window,
    limits,
    most_per_hour,
    usual_per_hour,
    window_for,
)
from pwmtad.model.listmonk import EngineSettings, SendWindow
from tests.tools.listmonk.window import Pushed, limit_of, push

HOUR = 3600.0


def engine(rate: int = 300, duration_s: float = 3600.0, *, limited: bool = True, batch: int = 1000) -> EngineSettings:
    return EngineSettings(limited, rate, duration_s, batch, f"{duration_s:g}s")


# -- I10: a rate of 0


@pytest.mark.parametrize("rate", [0, 1, -5, 2.0, True, "2", None, 1_000_001])
def test_i10_a_send_window_has_no_rate_that_listmonk_takes_for_unlimited(rate: object) -> None:
    with pytest.raises(ValueError, match="a send window's rate is 2 to"):
        SendWindow(rate, 60)  # type: ignore[arg-type]


@pytest.mark.parametrize("duration", [0, 1, 3601, 60.0, "1h", None, False])
def test_i10_a_send_window_has_no_duration_that_listmonk_takes_for_unlimited(duration: object) -> None:
    with pytest.raises(ValueError, match="a send window's duration is 2 to"):
        SendWindow(2, duration)  # type: ignore[arg-type]


@given(st.integers(0, 1_000_000), st.sampled_from([0, 1]))
def test_i10_whatever_an_hour_may_let_out_the_window_is_a_limit_or_there_is_none(per_hour: int, extra: int) -> None:
    window = window_for(per_hour, extra)
    if window is None:
        assert per_hour < 9
    else:
        assert limits(as_engine(window, 2))
        assert window.rate >= 2


# -- an hour's allowance


@settings(deadline=None)
@given(st.integers(6, 2000), st.sampled_from([0, 1]), st.data())
def test_i12_no_hour_exceeds_its_allowance_whenever_it_begins_and_though_listmonk_restarts(
    per_hour: int, extra: int, data: st.DataObject
) -> None:
    window = window_for(per_hour, extra)
    if window is None:
        return
    limit = limit_of(enabled=True, rate=window.rate, duration_s=float(window.duration_s), extra=bool(extra))
    assert limit is not None
    restart = data.draw(st.floats(0, 3 * HOUR))
    idle = data.draw(st.lists(st.tuples(st.floats(0, 3 * HOUR), st.floats(0, 2000)), max_size=3))
    now, pushed, sent = 0.0, Pushed(0.0), []
    restarted = False
    while now < 3 * HOUR:
        if now >= restart and not restarted:
            pushed, restarted = Pushed(now), True
        now += next((pause for at, pause in idle if at <= now < at + pause), 0.0)
        sent.append(now)
        pushed, until = push(pushed, limit, now)
        if until is not None:
            now = min(until, restart) if not restarted and restart > now else until
        now += 0.001
    most, first = 0, 0
    for last, at in enumerate(sent):
        while sent[first] <= at - HOUR:
            first += 1
        most = max(most, last - first + 1)
    assert most <= per_hour


@pytest.mark.parametrize("extra", [0, 1])
@pytest.mark.parametrize("per_hour", [50, 150, 250, 300])
def test_the_runbooks_rungs_lose_little_to_caution_and_bear_two_restarts_more(per_hour: int, extra: int) -> None:
    window = window_for(per_hour, extra)
    assert window is not None
    stored = as_engine(window, 2)
    assert usual_per_hour(stored, extra) >= 0.77 * per_hour
    assert most_per_hour(stored, extra, restarts=2) <= per_hour


def test_a_larger_allowance_never_gives_a_smaller_window() -> None:
    for extra in (0, 1):
        usual = [usual_per_hour(as_engine(w, 2), extra) for w in (window_for(n, extra) for n in range(9, 4000)) if w]
        assert all(later >= 0.97 * earlier for earlier, later in pairwise(usual))


@pytest.mark.parametrize(
    "setting",
    [
        engine(0),
        engine(-1),
        engine(300, 1.0),
        engine(300, 0.0),
        engine(300, -5.0),
        engine(limited=False),
    ],
)
def test_what_listmonk_takes_for_no_limit_lets_everything_out(setting: EngineSettings) -> None:
    assert not limits(setting)
    assert most_per_hour(setting, 0) == math.inf
    assert usual_per_hour(setting, 0) == math.inf


def test_a_window_longer_than_an_hour_can_still_begin_twice_in_one() -> None:
    assert most_per_hour(engine(10, 86_400.0), 0, restarts=0) == 20


# -- reading


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1h", 3600.0), ("25s", 25.0), ("1h30m", 5400.0), ("3m0s", 180.0), ("1.5h", 5400.0), ("500ms", 0.5), ("2us", 2e-6),
     ("7\u00b5s", 7e-6), ("9ns", 9e-9), ("+5s", 5.0), ("-5s", -5.0)],
)  # fmt: skip
def test_durations_are_read_as_go_reads_them(text: str, seconds: float) -> None:
    assert go_seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "3600", "1d", "1 h", "60", "h", "1h 30m", "\u0661h", "s1", "1e3s", "x" * 9999])
def test_what_go_does_not_read_is_no_limit(text: str) -> None:
    assert go_seconds(text) == 0.0


@given(st.integers(2, 3600))
def test_a_duration_that_is_written_is_read_back(seconds: int) -> None:
    assert go_seconds(go_text(seconds)) == seconds


def test_settings_of_another_type_are_no_limit() -> None:
    found = engine_of({FLAG: "true", RATE: 300.0, DURATION: 3600, BATCH: True})
    assert found == EngineSettings(False, 0, 0.0, 0, "")
    assert engine_of({FLAG: True, RATE: 300, DURATION: "1h"}) is None


def test_a_hostile_duration_is_cleaned() -> None:
    found = engine_of({FLAG: True, RATE: 300, DURATION: "1h\x1b[31m" + "x" * 100, BATCH: 1})
    assert found is not None
    assert (found.duration_s, found.duration.isprintable(), len(found.duration)) == (0.0, True, 40)


# -- draining


def test_a_paused_campaign_drains_within_one_window_if_its_batch_is_no_larger_than_the_rate() -> None:
    assert drain_s(engine(2, 25.0, batch=2)) == 2 * 25 + 60


def test_a_large_batch_drains_for_hours_and_a_batch_of_0_is_a_thousand() -> None:
    assert drain_s(engine(300, 3600.0, batch=1000)) == 5 * 3600 + 60
    assert drain_s(engine(300, 3600.0, batch=0)) == 5 * 3600 + 60
    assert drain_s(engine(limited=False)) == 60
    assert drain_s(None) == 3660


# -- writing


windows = st.builds(SendWindow, st.integers(2, 5000), st.integers(2, 3600))
engines = st.builds(
    engine, st.integers(-1, 20_000), st.sampled_from([0.0, 1.0, 2.0, 25.0, 60.0, 3600.0, 86_400.0]), limited=st.booleans()
)


def per_second(setting: EngineSettings) -> float:
    return setting.rate / setting.duration_s if limits(setting) else math.inf


@given(engines, windows, st.integers(2, 5000))
def test_whenever_the_process_ends_between_two_keys_it_is_no_faster_than_before_or_after(
    stored: EngineSettings, window: SendWindow, batch: int
) -> None:
    most = max(per_second(stored), per_second(as_engine(window, batch)))
    values: dict[str, bool | int | str] = {FLAG: stored.limited, RATE: stored.rate, DURATION: "", BATCH: stored.batch_size}
    now = stored
    for key, value in assignments(stored, window, batch):
        values[key] = value
        duration = go_seconds(str(values[DURATION])) if values[DURATION] else stored.duration_s
        now = EngineSettings(values[FLAG] is True, int(values[RATE]), duration, int(values[BATCH]))
        assert per_second(now) <= most
    assert is_window(now, window)
    assert now.batch_size == batch


def test_only_what_differs_is_written_and_in_the_types_that_listmonk_has() -> None:
    assert assignments(engine(limited=False), SendWindow(2, 25), 2) == ((BATCH, 2), (FLAG, True), (RATE, 2), (DURATION, "25s"))
    assert assignments(engine(2, 25.0, batch=2), SendWindow(8, 10), 2) == ((DURATION, "10s"), (RATE, 8))
    assert assignments(engine(2, 25.0, batch=2), SendWindow(2, 25), 2) == ()
    assert assignments(engine(2, 3600.0, batch=2), SendWindow(2, 3600), 9) == ((BATCH, 9),)
