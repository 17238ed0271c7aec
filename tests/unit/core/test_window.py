"""Rolling sums against a list of everything that was ever added."""

from __future__ import annotations

from collections import Counter
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pwmtad.core.window import DaySums, RollingSum

DAY: Final = 1440
MINUTES: Final = 7
START: Final = 30_000_000

keys = st.integers(0, 2)
counts = st.integers(-3, 5)


class RollingSums(RuleBasedStateMachine):
    """Minutes come late, early, and in any order; the clock steps forward, far forward, and back."""

    def __init__(self) -> None:
        super().__init__()
        self.sum = RollingSum(MINUTES)
        self.added: list[tuple[int, int, int]] = []
        self.clock = self.now = START
        self.sum.advance(START)

    @rule(
        offset=st.one_of(st.integers(-MINUTES, 0), st.integers(-3 * MINUTES, 2 * MINUTES)),
        key=keys,
        count=counts,
    )
    def add(self, offset: int, key: int, count: int) -> None:
        minute = self.clock + offset
        self.sum.add(minute, key, count)
        self.added.append((minute, key, count))

    @rule(stored=st.dictionaries(st.integers(-2 * MINUTES, MINUTES), counts, max_size=8), key=keys)
    def load(self, stored: dict[int, int], key: int) -> None:
        rows = [(self.clock + offset, count) for offset, count in sorted(stored.items())]
        self.sum.load(key, [minute for minute, _ in rows], [count for _, count in rows])
        self.added += [(minute, key, count) for minute, count in rows]

    @rule(step=st.one_of(st.integers(0, 3), st.integers(0, 3 * MINUTES)))
    def move_on(self, step: int) -> None:
        self.clock += step
        self._advance()

    @rule(step=st.integers(1, 2 * MINUTES))
    def step_back(self, step: int) -> None:
        self.clock -= step
        self._advance()

    def _advance(self) -> None:
        self.sum.advance(self.clock)
        self.now = max(self.now, self.clock)

    @invariant()
    def the_sums_are_those_of_the_running_minute_and_those_before_it(self) -> None:
        expected: Counter[int] = Counter()
        for minute, key, count in self.added:
            if self.now - MINUTES <= minute <= self.now:
                expected[key] += count

        assert {key: count for key, count in self.sum.sums().items() if count} == {k: c for k, c in expected.items() if c}


class Days(RuleBasedStateMachine):
    """The same for UTC days."""

    def __init__(self) -> None:
        super().__init__()
        self.sum = DaySums()
        self.added: list[tuple[int, int, int]] = []
        self.clock = START
        self.latest = START

    @rule(offset=st.integers(-4 * DAY, 2 * DAY), key=keys, count=counts)
    def add(self, offset: int, key: int, count: int) -> None:
        self.sum.add(self.clock + offset, key, count)
        self.added.append((self.clock + offset, key, count))

    @rule(stored=st.dictionaries(st.integers(-2 * DAY, DAY), counts, max_size=8), key=keys)
    def load(self, stored: dict[int, int], key: int) -> None:
        rows = [(self.clock + offset, count) for offset, count in sorted(stored.items())]
        self.sum.load(key, [minute for minute, _ in rows], [count for _, count in rows])
        self.added += [(minute, key, count) for minute, count in rows]

    @rule(step=st.one_of(st.integers(-DAY, 90), st.integers(0, 3 * DAY)))
    def advance(self, step: int) -> None:
        self.clock = max(self.clock + step, self.latest - DAY)
        self.latest = max(self.latest, self.clock)
        self.sum.advance(self.latest)

    @precondition(lambda self: self.clock // DAY > self.latest // DAY - 3)
    @invariant()
    def the_sums_are_those_of_the_day(self) -> None:
        expected: Counter[int] = Counter()
        for minute, key, count in self.added:
            if minute // DAY == self.clock // DAY:
                expected[key] += count

        found = self.sum.sums(self.clock * 60.0 + 59.9)
        assert {key: count for key, count in found.items() if count} == {k: c for k, c in expected.items() if c}


TestRollingSumsAgainstAList = RollingSums.TestCase
TestRollingSumsAgainstAList.settings = settings(deadline=None, max_examples=150, stateful_step_count=40)
TestDaysAgainstAList = Days.TestCase
TestDaysAgainstAList.settings = settings(deadline=None, max_examples=80, stateful_step_count=25)


def test_a_count_stays_for_the_whole_lookback_and_leaves_with_its_minute() -> None:
    window = RollingSum(60)
    window.advance(START)
    window.add(START, 0, 1)

    window.advance(START + 60)
    assert window.sums() == {0: 1}
    window.advance(START + 61)
    assert window.sums() == {}


def test_a_line_from_the_future_waits_for_its_minute() -> None:
    window = RollingSum(60)
    window.advance(START)
    window.add(START + 2, 0, 1)

    assert window.sums() == {}
    window.advance(START + 2)
    assert window.sums() == {0: 1}


def test_a_count_that_comes_late_leaves_with_its_minute_and_not_twice() -> None:
    window = RollingSum(60)
    window.advance(START)
    window.add(START, 0, 1)
    window.advance(START + 30)
    window.add(START, 0, 5)
    window.add(START - 1, 0, 7)
    window.add(START + 10, 1, 9)

    assert window.sums() == {0: 13, 1: 9}
    window.advance(START + 60)
    assert window.sums() == {0: 6, 1: 9}
    window.advance(START + 61)
    assert window.sums() == {1: 9}


def test_a_window_that_was_never_moved_on_takes_everything_for_the_future() -> None:
    window = RollingSum(60)
    window.add(START, 0, 1)
    window.add(START - 61, 0, 1)

    assert window.sums() == {}
    window.advance(START)
    assert window.sums() == {0: 1}


def test_a_day_is_forgotten_when_it_is_over_for_good() -> None:
    days = DaySums()
    midnight = START // DAY * DAY
    days.add(midnight, 0, 1)

    days.advance(midnight + 3 * DAY - 1)
    assert days.sums(midnight * 60.0) == {0: 1}
    days.advance(midnight + 3 * DAY)
    assert days.sums(midnight * 60.0) == {}


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 3000), keys), max_size=60))
def test_nothing_is_left_when_all_minutes_are_over(added: list[tuple[int, int]]) -> None:
    window = RollingSum(60)
    for offset, key in added:
        window.advance(START + offset // 2)
        window.add(START + offset, key, 1)
    window.advance(START + 10_000)

    assert window.sums() == {}
