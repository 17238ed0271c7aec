"""Totals, lookbacks and differences agree, whenever they were written and read back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pwmtad.core.tally import OTHER_REASONS, Column, MessageColumn, Reading, Readings, Tally
from pwmtad.model.counters import AttemptCounts, AttemptKey, MessageCounts, ReasonKey
from tests.unit.core.ledgers import Book

START: Final = 1_795_500_000 // 86_400 * 86_400
"""A midnight, UTC."""
KEYS: Final = (
    AttemptKey("news", "out05", "google", "sent", ""),
    AttemptKey("news", "out06", "google", "deferred", "rate_limit"),
    AttemptKey("shop", "out20", "yahoo", "bounced", "hard_bounce"),
)

offsets = st.one_of(st.integers(-60, 60), st.integers(-1500, 1500))
operations = st.one_of(
    st.tuples(st.just("attempt"), offsets, st.sampled_from(KEYS), st.sampled_from(Column)),
    st.tuples(st.just("message"), offsets, st.sampled_from(["news", "shop"]), st.sampled_from(MessageColumn)),
    st.tuples(st.just("correct"), offsets, st.sampled_from(["news", "shop"]), st.just(MessageColumn.UNSIGNED)),
    st.tuples(st.just("line"), offsets, st.sampled_from(["postfix", "opendkim"]), st.sampled_from(["parsed", "unparsed"])),
    st.tuples(st.just("reason"), offsets, st.sampled_from("abcd"), st.none()),
    st.tuples(st.just("advance"), st.one_of(st.integers(0, 3), st.integers(-90, 600)), st.none(), st.none()),
    st.tuples(st.just("commit"), st.just(0), st.none(), st.none()),
    st.tuples(st.just("restart"), st.just(0), st.none(), st.none()),
)


def perform(tally: Tally, operation: tuple[str, int, object, object], clock: int) -> int:
    """Do one operation but for commits; return the clock's minute."""
    name, offset, what, column = operation
    minute = clock + offset
    if name == "attempt":
        assert isinstance(what, AttemptKey)
        assert isinstance(column, Column)
        tally.attempt(minute, what, column)
    elif name in ("message", "correct"):
        assert isinstance(column, MessageColumn)
        tally.message(minute, str(what), column, -1 if name == "correct" else 1)
    elif name == "line":
        tally.lines("mail.log", str(what), str(column), 2)
    elif name == "reason":
        tally.reason(ReasonKey(minute // 1440, "news", "deferred", "rate_limit", str(what)))
    elif name == "advance":
        tally.advance(minute * 60.0)
        return minute
    return clock


def without_zeros(reading: Reading) -> tuple[dict[AttemptKey, AttemptCounts], dict[str, MessageCounts]]:
    return (
        {key: counts for key, counts in reading.attempts.items() if any(counts)},
        {key: counts for key, counts in reading.messages.items() if any(counts)},
    )


def shown(readings: Readings) -> list[object]:
    return [without_zeros(reading) for reading in (readings.hour, readings.day, readings.utc_day)]


@settings(deadline=None, max_examples=200)
@given(st.lists(operations, max_size=40))
def test_a_tally_that_was_written_and_read_back_anywhere_shows_what_one_shows_that_never_stopped(
    todo: list[tuple[str, int, object, object]],
) -> None:
    clock = START // 60
    straight, broken, book = Tally(max_reasons_per_day=3), Tally(max_reasons_per_day=3), Book()
    straight.advance(START)
    broken.advance(START)
    latest = clock
    for operation in todo:
        perform(straight, operation, clock)
        clock = perform(broken, operation, clock)
        latest = max(latest, clock)
        if operation[0] in ("commit", "restart"):
            book.commit(broken.take_deltas())
        if operation[0] == "restart":
            broken = Tally(max_reasons_per_day=3)
            broken.load(book.ledger(), latest * 60.0)
    book.commit(broken.take_deltas())

    assert shown(broken.readings(latest * 60.0)) == shown(straight.readings(latest * 60.0))
    assert broken.attempt_totals() == straight.attempt_totals()
    assert broken.message_totals() == straight.message_totals()
    assert broken.line_totals() == straight.line_totals()
    assert broken.reasons(latest * 60.0) == straight.reasons(latest * 60.0)
    assert not broken.has_deltas


@settings(deadline=None, max_examples=200)
@given(st.lists(operations, max_size=40))
def test_the_differences_add_up_to_the_totals(todo: list[tuple[str, int, object, object]]) -> None:
    clock = START // 60
    tally, book = Tally(max_reasons_per_day=3), Book()
    for operation in todo:
        clock = perform(tally, operation, clock)
        if operation[0] in ("commit", "restart"):
            book.commit(tally.take_deltas())
    book.commit(tally.take_deltas())
    ledger = book.ledger()

    assert {row.key: row.counts for row in ledger.attempt_totals} == tally.attempt_totals()
    assert {row.stream: row.counts for row in ledger.message_totals} == tally.message_totals()
    assert book.lines == tally.line_totals()
    assert sum(book.reasons.values()) == sum(1 for operation in todo if operation[0] == "reason")


@settings(deadline=None, max_examples=200)
@given(st.lists(operations, max_size=40))
def test_each_lookback_is_the_sum_of_its_minutes(todo: list[tuple[str, int, object, object]]) -> None:
    clock = latest = START // 60
    tally = Tally(max_reasons_per_day=3)
    added: list[tuple[int, AttemptKey, Column]] = []
    tally.advance(START)
    for operation in todo:
        if operation[0] == "attempt" and isinstance(operation[2], AttemptKey) and isinstance(operation[3], Column):
            added.append((clock + operation[1], operation[2], operation[3]))
        clock = perform(tally, operation, clock)
        latest = max(latest, clock)
    readings = tally.readings(latest * 60.0)

    for reading, first in (
        (readings.hour, latest - 60),
        (readings.day, latest - 1440),
        (readings.utc_day, latest // 1440 * 1440),
    ):
        last = latest if reading is not readings.utc_day else first + 1439
        expected = Counter((key, column) for minute, key, column in added if first <= minute <= last)
        found = {
            (key, column): counts[column] for key, counts in reading.attempts.items() for column in Column if counts[column]
        }
        assert found == expected
    by_status: Counter[str] = Counter()
    for key, counts in readings.hour.attempts.items():
        by_status[key.status] += counts.first + counts.retries
    assert +Counter(tally.hour_by_status(latest * 60.0)) == +by_status


def test_what_is_counted_before_the_first_moment_is_known_waits_for_it() -> None:
    tally = Tally(max_reasons_per_day=3)
    tally.attempt(START // 60, KEYS[0], Column.FIRST)

    assert tally.readings(START + 30.0).hour.attempts == {KEYS[0]: AttemptCounts(first=1)}


def test_a_line_from_far_in_the_future_is_stored_but_enters_no_lookback() -> None:
    tally = Tally(max_reasons_per_day=3)
    tally.advance(START)
    minute = START // 60 + 3 * 1440
    tally.attempt(minute, KEYS[0], Column.FIRST)

    assert tally.attempt_totals() == {KEYS[0]: AttemptCounts(first=1)}
    assert [bucket.start for bucket in tally.take_deltas().attempts] == [minute * 60]
    assert tally.readings(minute * 60.0).hour.attempts == {}


def test_reasons_beyond_the_limit_of_a_day_are_counted_together() -> None:
    tally = Tally(max_reasons_per_day=2)
    today = START // 86_400
    tally.advance(START)
    for reason in ("a", "b", "c", "a", "d", "c"):
        tally.reason(ReasonKey(today, "news", "deferred", "", reason))
    tally.reason(ReasonKey(today + 1, "news", "deferred", "", "c"))

    counted = {key.reason: count for key, count in tally.reasons(START).items()}
    assert counted == {"a": 2, "b": 1, OTHER_REASONS: 3}
    assert [key.reason for key in tally.reasons(START + 86_400.0)] == ["c"]


def test_the_limit_of_reasons_outlives_a_restart() -> None:
    tally, again, book = Tally(max_reasons_per_day=1), Tally(max_reasons_per_day=1), Book()
    today = START // 86_400
    tally.reason(ReasonKey(today, "news", "deferred", "", "a"))
    book.commit(tally.take_deltas())
    again.load(book.ledger(), START)
    again.reason(ReasonKey(today, "news", "deferred", "", "b"))

    assert {key.reason for key in again.reasons(START)} == {"a", OTHER_REASONS}


def test_reasons_of_days_that_are_over_are_forgotten() -> None:
    tally = Tally(max_reasons_per_day=5)
    today = START // 86_400
    for day in (today, today + 1):
        tally.reason(ReasonKey(day, "news", "deferred", "", "a"))
    tally.advance(START + 2 * 86_400.0)

    assert tally.reasons(START) == {}
    assert len(tally.reasons(START + 86_400.0)) == 1


def test_a_replay_without_a_store_forgets_its_differences_and_keeps_its_counts() -> None:
    tally = Tally(max_reasons_per_day=5)
    tally.advance(START)
    tally.attempt(START // 60, KEYS[0], Column.RETRIES)
    tally.lines("mail.log", "postfix", "parsed", 3)
    before = tally.has_deltas
    tally.drop_deltas()

    assert (before, tally.has_deltas) == (True, False)
    assert not tally.take_deltas().attempts
    assert tally.readings(START + 1.0).day.attempts == {KEYS[0]: AttemptCounts(retries=1)}


COUNTS: Final[tuple[Callable[[Tally], None], ...]] = (
    lambda tally: tally.attempt(5, KEYS[0], Column.FIRST),
    lambda tally: tally.message(5, "news", MessageColumn.SIGNED),
    lambda tally: tally.reason(ReasonKey(1, "news", "deferred", "", "a")),
    lambda tally: tally.lines("mail.log", "postfix", "parsed", 1),
)


@pytest.mark.parametrize("count", COUNTS)
def test_each_sort_of_count_alone_is_something_to_write(count: Callable[[Tally], None]) -> None:
    tally = Tally(max_reasons_per_day=5)
    count(tally)
    before = tally.has_deltas
    tally.take_deltas()

    assert (before, tally.has_deltas) == (True, False)


def test_whoever_asks_is_told_of_each_message() -> None:
    tally = Tally(max_reasons_per_day=5)
    told: list[tuple[int, str, MessageColumn, int]] = []
    tally.on_message = lambda *counted: told.append(counted)
    tally.message(5, "news", MessageColumn.SIGNED)
    tally.message(5, "news", MessageColumn.UNSIGNED, -1)

    assert told == [(5, "news", MessageColumn.SIGNED, 1), (5, "news", MessageColumn.UNSIGNED, -1)]


@pytest.mark.parametrize("back_s", [1, 3600, 100_000])
def test_a_clock_that_steps_back_takes_nothing_away_and_counts_nothing_twice(back_s: int) -> None:
    tally = Tally(max_reasons_per_day=5)
    now = START + 50_000
    tally.advance(now)
    tally.attempt(now // 60, KEYS[0], Column.FIRST)
    before = tally.readings(now)
    after = tally.readings(now - back_s)

    assert (after.hour, after.day) == (before.hour, before.day)
    assert tally.readings(now).utc_day == before.utc_day
