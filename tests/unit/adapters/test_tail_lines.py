"""Bytes to lines."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import example, given

from pwmtad.adapters.tail.lines import is_inside_line, take_lines, unfinished

LIMIT = 8

hostile_bytes = st.lists(
    st.sampled_from([b"\n", b"\r", b"\r\n", b"\0", b"\0\0\0", b"a", b"abc", "ü\u2028".encode(), b"\xff", b"x" * 9]),
    max_size=40,
).map(b"".join)


def read_in_pieces(content: bytes, sizes: list[int]) -> tuple[list[str], int, bytes]:
    """As the follower does: read on behind what was consumed, more each time nothing was."""
    lines: list[str] = []
    cut = offset = end = 0
    for size in [*sizes, len(content)]:
        end = min(len(content), end + size)
        taken = take_lines(content[offset:end], LIMIT, inside=is_inside_line(content[:offset][-256:]))
        lines += taken.lines
        cut += taken.cut
        offset += taken.consumed
    return lines, cut, content[offset:]


@given(hostile_bytes, st.lists(st.integers(1, 30), max_size=20))
@example(b"", [])
@example(b"\0" * 300 + b"ab\n", [100])
@example(b"a" * 100 + b"\nb\n", [50])
def test_lines_are_the_same_wherever_reading_pauses(content: bytes, sizes: list[int]) -> None:
    *raw_lines, last = [raw.lstrip(b"\0") for raw in content.split(b"\n")]
    too_long = [raw for raw in [*raw_lines, last] if len(raw) > LIMIT]
    expected = [raw[:LIMIT] if len(raw) > LIMIT else raw.removesuffix(b"\r") for raw in raw_lines]
    expected += [last[:LIMIT]] if len(last) > LIMIT else []
    lines, cut, rest = read_in_pieces(content, sizes)
    assert lines == [raw.decode("utf-8", "replace") for raw in expected]
    assert cut == len(too_long)
    assert rest == (last if len(last) <= LIMIT else b"")


def test_only_a_line_feed_ends_a_line() -> None:
    text = "550 5.7.1 \u2028 status=sent \u2029 \u0085 \x0b \x0c \x1c \x1d \x1e"
    assert take_lines(f"{text}\n".encode(), 1000, inside=False).lines == [text]


def test_a_broken_sequence_does_not_swallow_the_line_break() -> None:
    assert take_lines(b"a\xe2\x80\nb\xf0\n", 1000, inside=False).lines == ["a\ufffd", "b\ufffd"]


def test_one_carriage_return_goes_with_the_line_break() -> None:
    assert take_lines(b"a\r\nb\r\r\n\rc\n", 1000, inside=False).lines == ["a", "b\r", "\rc"]


def test_a_line_of_exactly_the_limit_is_whole() -> None:
    assert take_lines(b"x" * LIMIT + b"\n", LIMIT, inside=False) == (["x" * LIMIT], LIMIT + 1, 0)


def test_a_long_line_without_its_end_is_consumed_so_that_memory_stays_bounded() -> None:
    assert take_lines(b"x" * 1000, LIMIT, inside=False) == (["x" * LIMIT], 1000, 1)
    assert take_lines(b"x" * 1000, LIMIT, inside=True) == ([], 1000, 0)


def test_the_rest_of_a_line_that_was_cut_is_dropped() -> None:
    assert take_lines(b"xxx\nnext\n", LIMIT, inside=True) == (["next"], 9, 0)


def test_a_hole_before_a_line_is_dropped_and_one_inside_is_kept() -> None:
    assert take_lines(b"\0\0\0first\nse\0cond\n\0\0third\n", 1000, inside=False).lines == ["first", "se\0cond", "third"]


def test_a_hole_longer_than_a_line_may_be_is_no_cut_line() -> None:
    taken = take_lines(b"\0" * 1000 + b"first\n", LIMIT, inside=False)
    assert taken == (["first"], 1006, 0)


def test_a_hole_at_the_end_is_passed_and_a_line_starts_behind_it() -> None:
    assert take_lines(b"a\n\0\0\0", LIMIT, inside=False) == (["a"], 5, 0)
    assert not is_inside_line(b"a\n\0\0\0")
    assert not is_inside_line(b"\0\0\0")
    assert is_inside_line(b"a\0\0\0")


def test_a_line_that_will_never_end_is_a_line() -> None:
    assert unfinished(b"\0\0half \xff\r") == "half \ufffd"
