"""First attempts and signatures by the minute, whatever clocks and releases do."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pwmtad.core.stream_counts import StreamCounts
from pwmtad.core.tally import MessageColumn
from pwmtad.model.counters import MINUTE_S, MessageCounts
from pwmtad.model.judgement import StreamMemory
from pwmtad.model.names import Instant
from tests.tools.judging import DAY, HOUR, START

SIGNED, UNSIGNED = MessageColumn.SIGNED, MessageColumn.UNSIGNED
MINUTE = int(START // MINUTE_S)


def counts_of(*times: Instant) -> StreamCounts:
    counts = StreamCounts()
    for at in times:
        counts.first(at)
    return counts


# -- the hour and the day


def test_an_hour_is_never_more_than_an_hour() -> None:
    counts = counts_of(START, START + 3599)
    assert counts.hour() == 2
    counts.first(START + 3600)
    assert counts.hour() == 2


def test_what_was_sent_leaves_the_hour_though_nothing_more_is_sent() -> None:
    counts = counts_of(START)
    counts.advance(START + 3599)
    assert counts.hour() == 1
    counts.advance(START + 3600)
    assert counts.hour() == 0


def test_days_are_utc_days_and_a_late_line_counts_for_its_own() -> None:
    counts = counts_of(START + DAY - 1, START + DAY, START + DAY - 2)
    assert (counts.utc_day(START + DAY - 1), counts.utc_day(START + DAY)) == (2, 1)


def test_a_new_year_is_a_day_like_any_other() -> None:
    new_year = 1798761600.0  # 2027-01-01T00:00:00Z
    counts = counts_of(new_year - 1, new_year)
    assert (counts.utc_day(new_year - 1), counts.utc_day(new_year), counts.hour()) == (1, 1, 2)


def test_a_clock_that_was_set_back_neither_empties_the_hour_nor_makes_it_blind() -> None:
    counts = counts_of(*[START + second for second in range(40)])
    back = START - 5 * DAY
    for second in range(30):
        counts.first(back + second)
    assert counts.hour() == 70
    counts.advance(back + HOUR)
    assert counts.hour() == 0


def test_a_clock_that_steps_back_within_the_hour_changes_nothing() -> None:
    counts = counts_of(START, START + 600, START + 10)
    assert counts.hour() == 3


@given(st.lists(st.integers(0, 3 * HOUR), max_size=60))
def test_the_hour_is_what_counting_minutes_by_hand_gives(seconds: list[int]) -> None:
    times = sorted(START + second for second in seconds)
    counts = StreamCounts()
    for number, at in enumerate(times):
        counts.first(at)
        begin = int(at // MINUTE_S) - 59
        assert counts.hour() == sum(int(earlier // MINUTE_S) >= begin for earlier in times[: number + 1])


# -- releases


def test_a_released_spike_counts_from_the_next_minute_on_and_the_day_forgives_nothing() -> None:
    counts = counts_of(*[START + second for second in range(50)])
    counts.forgive(StreamMemory(spike_since=START + 55))
    assert counts.hour() == 0
    counts.first(START + 58)
    counts.first(START + 60)
    assert (counts.hour(), counts.utc_day(START)) == (1, 52)


def test_a_forgiving_that_is_known_already_is_not_done_again() -> None:
    counts, memory = counts_of(START), StreamMemory(spike_since=START - HOUR)
    counts.forgive(memory)
    counts.first(START + 1)
    counts.forgive(memory)
    assert counts.hour() == 1


def test_after_a_restart_the_minutes_before_the_release_are_left_out_as_well() -> None:
    counts = StreamCounts()
    counts.advance(START + 120)
    counts.forgive(StreamMemory(spike_since=START + 55, coverage_since=START + 55))
    counts.load_series([MINUTE, MINUTE + 1], [50, 7])
    for minute, count in ((MINUTE, 50), (MINUTE + 1, 7)):
        counts.message(minute, UNSIGNED, count)
    assert (counts.hour(), counts.utc_day(START), counts.coverage(HOUR).unsigned) == (7, 57, 7)


def test_a_release_from_the_future_of_a_clock_that_was_set_back_forgives_nothing() -> None:
    counts = StreamCounts()
    counts.advance(START)
    counts.forgive(StreamMemory(spike_since=START + DAY, coverage_since=START + DAY))
    counts.first(START)
    counts.message(MINUTE, UNSIGNED, 1)
    assert (counts.hour(), counts.coverage(HOUR).unsigned) == (1, 1)


def test_what_the_store_has_of_the_future_waits_for_it_and_empties_nothing() -> None:
    counts = StreamCounts()
    counts.advance(START)
    counts.load_series([MINUTE, MINUTE + 525_600], [5, 1])
    assert (counts.hour(), counts.utc_day(START)) == (5, 5)


# -- coverage


def test_coverage_is_what_the_lookback_holds() -> None:
    counts = StreamCounts()
    counts.message(MINUTE, UNSIGNED, 3)
    counts.message(MINUTE + 1, SIGNED, 5)
    counts.advance(START + 59 * MINUTE_S)
    assert counts.coverage(HOUR) == MessageCounts(signed=5, unsigned=3)
    counts.advance(START + 60 * MINUTE_S)
    assert counts.coverage(HOUR) == MessageCounts(signed=5, unsigned=0)
    assert counts.coverage(60) == MessageCounts()


def test_a_lookback_of_less_than_a_minute_is_a_minute() -> None:
    counts = StreamCounts()
    counts.advance(START)
    counts.message(MINUTE, UNSIGNED, 1)
    assert counts.coverage(1).unsigned == 1


def test_a_late_signature_takes_the_judgement_back() -> None:
    counts = StreamCounts()
    counts.advance(START)
    counts.message(MINUTE, UNSIGNED, 1)
    counts.message(MINUTE, UNSIGNED, -1)
    counts.message(MINUTE, SIGNED, 1)
    assert counts.coverage(HOUR) == MessageCounts(signed=1, unsigned=0)


def test_a_late_signature_of_a_message_that_was_forgiven_counts_for_nothing() -> None:
    counts = StreamCounts()
    counts.advance(START)
    counts.message(MINUTE, UNSIGNED, 1)
    counts.forgive(StreamMemory(coverage_since=START))
    counts.message(MINUTE, UNSIGNED, -1)
    counts.message(MINUTE, SIGNED, 1)
    assert counts.coverage(HOUR) == MessageCounts()


def test_injected_and_expired_messages_are_nothing_to_coverage() -> None:
    counts = StreamCounts()
    counts.advance(START)
    counts.message(MINUTE, MessageColumn.INJECTED, 1)
    counts.message(MINUTE, MessageColumn.EXPIRED, 1)
    assert counts.coverage(HOUR) == MessageCounts()


def test_minutes_beyond_the_longest_lookback_are_forgotten() -> None:
    counts = StreamCounts()
    counts.message(MINUTE, SIGNED, 1)
    counts.advance(START + 8 * DAY)
    assert counts._signatures == {}


def test_unsigned_mail_is_shown_by_its_newest_minutes() -> None:
    counts = StreamCounts()
    for minute in range(8):
        counts.message(MINUTE + minute, UNSIGNED, minute + 1)
    counts.message(MINUTE + 7, SIGNED, 3)
    counts.message(MINUTE + 6, UNSIGNED, -7)
    counts.advance(START + 7 * MINUTE_S)
    lines = counts.unsigned_lines()
    assert [int(line.at - START) // MINUTE_S for line in lines] == [2, 3, 4, 5, 7]
    assert lines[-1].text == "8 unsigned and 3 signed messages were queued in this minute"
