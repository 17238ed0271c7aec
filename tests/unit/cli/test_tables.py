"""Numbers, times and shares as people read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pwmtad.cli.tables import Column, ago, clock, coverage_text, make_console, number, share_of, show_table, span
from pwmtad.model.counters import MessageCounts


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "0 s"), (59.9, "59 s"), (60, "1 min"), (3599, "59 min"), (3600, "1 h"), (12_000, "3 h 20 min"), (86_400, "1 d"),
     (187_200, "2 d 4 h"), (-5, "0 s")],
)  # fmt: skip
def test_a_span_has_at_most_two_units(seconds: float, expected: str) -> None:
    assert span(seconds) == expected


@pytest.mark.parametrize(
    ("at", "expected"), [(None, "never"), (0.0, "never"), (1000.0, "now"), (995.0, "5 s ago"), (8200.0, "in 2 h")]
)
def test_moments_are_told_as_seen_from_now(at: float | None, expected: str) -> None:
    assert ago(at, 1000.0) == expected


@pytest.mark.parametrize(
    ("fraction", "expected"), [(0.0, "0%"), (0.001, "<1%"), (0.5, "50%"), (0.999, ">99%"), (1.0, "100%"), (0.99, "99%")]
)
def test_a_share_rounds_neither_to_nothing_nor_to_all(fraction: float, expected: str) -> None:
    assert share_of(fraction) == expected


def test_coverage_is_told_in_words() -> None:
    assert coverage_text(MessageCounts()).plain == "no mail judged"
    assert coverage_text(MessageCounts(9, 9, 0, 0)).plain == "all 9 signed"
    assert coverage_text(MessageCounts(9, 6, 3, 0)).plain == "3 unsigned (33%)"


def test_numbers_have_separators_and_unknown_ones_a_question_mark() -> None:
    assert (number(1_234_567), number(None), clock(0)) == ("1,234,567", "?", "1970-01-01 00:00:00 UTC")


@given(st.lists(st.tuples(st.text(), st.integers(0, 10**9)), max_size=5), st.integers(80, 130))
def test_a_table_never_leaves_the_width_and_shows_each_number_whole(rows: list[tuple[str, int]], width: int) -> None:
    console = make_console(width=width)
    columns: tuple[Column, ...] = (("word", "left"), ("count", "right"))
    with console.capture() as capture:
        show_table(console, "Title", columns, [(word, number(count)) for word, count in rows], empty="nothing")
    page = capture.get()
    assert all(number(count) in page for _, count in rows)
    assert ("nothing" in page) is (not rows)
    assert not any(character in page for character in "\x1b\x07\u202e\u2028")


def test_a_narrow_terminal_gets_80_columns() -> None:
    assert [make_console(width=width).width for width in (20, 79, 80, 81)] == [80, 80, 80, 81]
