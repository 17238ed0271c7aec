"""How often a number fell between bounds."""

from __future__ import annotations

from functools import reduce
from operator import add

from hypothesis import given
from hypothesis import strategies as st

from pwmtad.core.histogram import Histogram

BOUNDS = (0.01, 0.1, 1.0)


def test_a_value_that_equals_a_bound_is_not_above_it() -> None:
    histogram = Histogram(BOUNDS)
    for value in (0.0, 0.01, 0.011, 1.0, 1.5):
        histogram.add(value)
    assert histogram.reading().counts == (2, 1, 1, 1)


@given(st.lists(st.floats(0, 10)))
def test_every_value_is_counted_once_and_the_reading_stays_as_it_was(values: list[float]) -> None:
    histogram = Histogram(BOUNDS)
    for value in values:
        histogram.add(value)
    reading = histogram.reading()
    histogram.add(5.0)
    assert sum(reading.counts) == len(values)
    assert reading.counts[-1] == sum(value > 1.0 for value in values)
    assert reading.sum == reduce(add, values, 0.0)  # sum() rounds otherwise since Python 3.12
