"""Who gets mail again and again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pwmtad.core.repeats import RepeatWatch
from pwmtad.model.counters import DAY_S
from tests.tools.judging import DAY, START

TODAY = int(START // DAY_S)


def test_more_first_attempts_than_the_limit_within_seven_days_are_repeats() -> None:
    watch = RepeatWatch()
    for day in range(5):
        watch.add("alice@example.com", START + day * DAY)
    for day in range(3):
        watch.add("bob@example.com", START + day * DAY)
    seen = watch.reading(TODAY + 4, 3)
    assert (seen.recipients, seen.repeated, seen.worst, seen.limit, seen.share) == (2, 1, 5, 3, 0.5)


def test_an_address_is_the_same_whatever_its_case() -> None:
    watch = RepeatWatch()
    watch.add("Alice@Example.com", START)
    watch.add("alice@example.com", START)
    assert watch.reading(TODAY, 1).worst == 2


def test_days_before_the_seven_are_forgotten_and_later_ones_wait() -> None:
    watch = RepeatWatch()
    for day in (0, 1, 7, 8):
        watch.add("alice@example.com", START + day * DAY)
    assert watch.reading(TODAY + 7, 0).worst == 2  # days 1 to 7
    assert watch.reading(TODAY + 8, 0).worst == 2  # days 2 to 8


def test_nobody_mailed_is_nobody_mailed_too_often() -> None:
    assert RepeatWatch().reading(TODAY, 3).share == 0.0


def test_memory_is_bounded_and_the_share_stays_about_right() -> None:
    watch = RepeatWatch(max_recipients=1000)
    for day in range(4):
        for number in range(5000):
            if number % 4 == 0 or day == 0:
                watch.add(f"r{number}@example.com", START + day * DAY)
    seen = watch.reading(TODAY + 3, 3)
    assert sum(len(day) for day in watch._days.values()) <= 1000
    assert 100 <= seen.recipients <= 1000
    assert 0.15 <= seen.share <= 0.35


@given(st.lists(st.tuples(st.integers(0, 10), st.integers(0, 5)), max_size=60), st.integers(0, 10), st.integers(0, 4))
def test_a_reading_is_what_counting_by_hand_gives(added: list[tuple[int, int]], last: int, limit: int) -> None:
    watch = RepeatWatch()
    for day, recipient in added:
        watch.add(f"r{recipient}@example.com", START + day * DAY)
    counts: dict[int, int] = {}
    for day, recipient in added:
        if last - 7 < day <= last:
            counts[recipient] = counts.get(recipient, 0) + 1
    seen = watch.reading(TODAY + last, limit)
    assert seen.recipients == len(counts)
    assert seen.repeated == sum(count > limit for count in counts.values())
    assert seen.worst == max(counts.values(), default=0)
