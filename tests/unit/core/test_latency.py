"""How late lines are counted, judged and acted on."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pwmtad.core.latency import Latency, written_at
from pwmtad.model.names import Instant
from pwmtad.model.sources import Batch, JournalEntry, SourceHealth

NOW: Instant = datetime(2026, 6, 2, 12, tzinfo=UTC).timestamp()


def line(at: Instant) -> str:
    return f"{datetime.fromtimestamp(at, UTC).isoformat(timespec='microseconds')} mta postfix/qmgr[7]: 4XkJ2l1zq00001: removed"


def batch(*written: Instant, caught_up: bool = True) -> Batch:
    return Batch("mail.log", [line(at) for at in written], None, caught_up=caught_up, health=SourceHealth())


def live() -> Latency:
    latency = Latency()
    latency.counted(batch(), NOW)
    return latency


def ages(latency: Latency, stage: str) -> tuple[int, float]:
    reading = latency.readings()[stage]
    return sum(reading.counts), round(reading.sum, 6)


def test_the_oldest_line_of_those_read_together_is_measured_at_each_stage() -> None:
    latency = live()
    latency.counted(batch(NOW - 0.03, NOW - 0.02), NOW)
    assert ages(latency, "event") == (1, 0.03)
    assert ages(latency, "verdict") == (0, 0.0)
    latency.counted(batch(NOW), NOW + 0.01)
    latency.judged(NOW + 0.02)
    latency.judged(NOW + 1)
    assert ages(latency, "verdict") == (2, 0.07)
    assert ages(latency, "action") == (0, 0.0)


def test_a_backlog_that_was_there_at_start_is_not_late_but_falling_behind_later_is() -> None:
    latency = Latency()
    latency.counted(batch(NOW - 600, caught_up=False), NOW)
    latency.counted(batch(NOW - 1, caught_up=True), NOW)
    latency.judged(NOW)
    assert ages(latency, "event") == ages(latency, "verdict") == (0, 0.0)
    latency.counted(batch(NOW - 7, caught_up=False), NOW)
    assert ages(latency, "event") == (1, 7.0)


def test_an_old_log_that_is_appended_is_no_news_and_a_line_of_the_future_is_no_age() -> None:
    latency = live()
    latency.counted(batch(NOW - 86_400), NOW)
    assert ages(latency, "event") == (0, 0.0)
    latency.counted(batch(NOW + 5), NOW)
    latency.judged(NOW)
    assert ages(latency, "event") == ages(latency, "verdict") == (1, 0.0)


def test_a_hold_is_measured_when_it_is_carried_out_not_when_something_planned_before_it_is() -> None:
    latency = live()
    latency.decided(NOW - 0.1, NOW)
    latency.issued(NOW - 0.01, NOW + 0.2)
    assert ages(latency, "action") == (0, 0.0)
    latency.issued(NOW + 0.01, NOW + 0.02)
    latency.issued(NOW + 60, NOW + 60)
    assert ages(latency, "action") == (1, 0.12)


def test_a_hold_that_needs_no_action_is_forgotten() -> None:
    latency = live()
    latency.decided(NOW, NOW)
    latency.nothing_to_issue(NOW + 1)
    latency.issued(NOW + 600, NOW + 600)
    assert ages(latency, "action") == (0, 0.0)


def test_what_is_decided_on_a_backlog_before_the_log_was_at_its_end_is_no_latency() -> None:
    latency = Latency()
    latency.decided(NOW - 5, NOW)
    latency.issued(NOW, NOW)
    assert ages(latency, "action") == (0, 0.0)


def test_without_ticks_and_without_acting_memory_stays_small() -> None:
    latency = live()
    for _ in range(3000):
        latency.counted(batch(NOW), NOW)
        latency.decided(NOW, NOW)
    latency.judged(NOW)
    latency.issued(NOW, NOW)
    assert ages(latency, "event")[0] == 3000
    assert ages(latency, "verdict")[0] == ages(latency, "action")[0] == 1000


@pytest.mark.parametrize(
    ("record", "at"),
    [
        (line(NOW + 0.25), NOW + 0.25),
        ("2026-06-02T12:00:00+00:00 mta postfix/qmgr[7]: x", None),
        ("Jun  2 12:00:00 mta postfix/qmgr[7]: x", None),
        ("2026-06-02T12:00:00.xyz mta", None),
        ("", None),
        (JournalEntry(NOW, "mta", "postfix/qmgr", 7, "x"), NOW),
    ],
)
def test_only_a_time_with_fractions_tells_when_a_line_was_written(record: str | JournalEntry, at: Instant | None) -> None:
    assert written_at(record) == at
