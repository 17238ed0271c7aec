"""I18 in a running daemon, as its core sees it: one edit of the configuration and a reload."""

from __future__ import annotations

from pwmtad.config import Settings, load_settings
from pwmtad.core.guard import Guard
from pwmtad.core.policy import Context, Policy
from pwmtad.model.judgement import Desired, JudgementState, Record, RecordKind
from tests.scenarios.harness import DAY_S, FOLDER, HOUR_S, START
from tests.scenarios.i18_reset.scenario import RETIRED

_RESET = START + 8 * DAY_S


def _settings(name: str) -> Settings:
    settings = load_settings((FOLDER / "i18_reset" / name).read_bytes(), file=name)
    assert isinstance(settings, Settings)
    return settings


def _look(guard: Guard, start: float, begin: float, hours: float) -> list[Record]:
    """Look once a minute, as the daemon does at least."""
    for minute in range(int(hours * 60)):
        guard.look(Context({"trucking": start}, {}, {}), begin + minute * 60)
    return guard.take_news()


def _desired(guard: Guard, now: float) -> Desired:
    return guard.desired(now)[0]


def test_a_reload_with_a_new_start_begins_at_day_0_without_the_retired() -> None:
    guard = Guard(Policy(_settings("before.toml"), ()))
    _look(guard, START, START, 24 * 8)
    assert _desired(guard, _RESET).window_per_hour == 300
    assert len(_desired(guard, _RESET).pool) == 5

    guard.reconfigure(Policy(_settings("after.toml"), ()))
    records = _look(guard, _RESET, _RESET, 1)
    desired = _desired(guard, _RESET + HOUR_S)
    assert (desired.day, desired.effective_day, desired.window_per_hour) == (0, 0, 50)
    assert desired.pool == ("out05", "out06", "out07")
    assert [(record.kind, record.after) for record in records if record.kind is not RecordKind.FINDING] == [
        (RecordKind.POOL, "3"),
        (RecordKind.WINDOW, "50"),
    ]


def test_the_retired_never_return_however_far_the_new_warmup_goes() -> None:
    guard = Guard(Policy(_settings("before.toml"), ()))
    _look(guard, START, START, 24 * 8)
    guard.reconfigure(Policy(_settings("after.toml"), ()))
    for hour in range(24 * 40):
        now = _RESET + hour * HOUR_S
        _look(guard, _RESET, now, 1 / 30)
        desired = _desired(guard, now)
        assert not RETIRED & set(desired.pool)
        assert desired.pool
    assert len(_desired(guard, _RESET + 40 * DAY_S).pool) == 16


def test_a_reset_while_the_daemon_was_down_is_the_same() -> None:
    guard = Guard(Policy(_settings("before.toml"), ()))
    _look(guard, START, START, 24 * 8)
    deltas = guard.take_deltas()

    again = Guard(Policy(_settings("after.toml"), ()), JudgementState(memories=deltas.memories))
    _look(again, _RESET, _RESET, 1)
    desired = _desired(again, _RESET + HOUR_S)
    assert (desired.day, desired.window_per_hour, desired.pool) == (0, 50, ("out05", "out06", "out07"))
