import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pwmtad.config.rule_patterns import compile_pattern, literals_of, pattern_fault


@pytest.mark.parametrize(
    "pattern",
    [
        "blocked",
        r"^5\d\d .{0,60}blocked",
        r"a|b|c",
        r"(?:a|b)?c",
        r"\[tss0[45]\]",
        r"[^]x]+y",
        r"x{2,3}",
        r"a(?=b)",
        r"a(?!b)",
        ".*x",
    ],
)
def test_patterns_that_stay_fast_are_taken(pattern: str) -> None:
    assert pattern_fault(pattern) is None


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("", "1 to 1000 characters"),
        ("x" * 1001, "1 to 1000 characters"),
        ("(x", "regular expression"),
        ("x{99999999999999999999}", "regular expression"),
        ("x*", "empty reply"),
        ("a|", "empty reply"),
        ("(?:a+)+b", "repeated group"),
        ("(?:ab){2}", "repeated group"),
        ("(a|b)*c", "repeated group"),
        (r"(a)\1", "back references"),
        ("(?P<name>a)", "groups"),
        ("(?i:a)", "groups"),
        ("(?<=a)b", "groups"),
        ("a.*b.*c", "repeats"),
        (r"\S+ \S+x", "repeats"),
        ("[^a]+[^b]+c", "repeats"),
        (".{0,9}a.{0,9}b.{0,9}c", "repeats"),
    ],
)
def test_patterns_that_are_broken_or_may_be_slow_are_refused_in_words(pattern: str, words: str) -> None:
    fault = pattern_fault(pattern)
    assert fault is not None
    assert words in fault


def test_letters_of_either_case_match_and_escapes_keep_their_meaning() -> None:
    found = compile_pattern(r"Bad \S+ IP\d")
    assert found.search("bad old ip7")
    assert not found.search("bad  ip7")


def test_digits_are_ascii_only() -> None:
    assert not compile_pattern(r"\d").search("\u0663")


@pytest.mark.parametrize(
    ("pattern", "literals"),
    [
        ("Blocked", ("blocked",)),
        (r"^5\d\d .{0,9}blocked using", ("blocked using",)),
        (r"spamhaus|spam\.example", ("spamhaus", "spam.example")),
        (r"\[tss?045\]", ("045]",)),
        (r"[^x]abc+d", ("abc",)),
        (r"abcd?e", ("abc",)),
        (r"abcd*", ("abc",)),
        (r"abcd{0,2}e", ("abc",)),
        (r"abcd{,2}e", ("abc",)),
        (r"abcd{2}ef", ("abcd",)),
        (r"(?:one|two) three", (" three",)),
        (r"(one|two)", ()),
        (r"ab|spamhaus", ()),
        (r"\d+", ()),
        ("same|same", ("same",)),
    ],
)
def test_the_literal_that_a_match_must_hold_is_found(pattern: str, literals: tuple[str, ...]) -> None:
    assert literals_of(pattern) == literals


@given(
    st.lists(
        st.sampled_from(
            ["abc", "De", "(?:fgh|i)", "(?:j|k)?", r"\.", r"\d", "l?", "m+", "n*", "[op]", "[^q]", ".", "{2}", "|", "rst"]
        ),
        min_size=1,
        max_size=6,
    ).map("".join),
    st.text(alphabet="abcdefghijklmnopqrst.0x ", max_size=30),
)
def test_no_text_matches_that_holds_none_of_the_literals(pattern: str, text: str) -> None:
    if pattern_fault(pattern) is not None:
        return
    literals = literals_of(pattern)
    if literals and re.search(compile_pattern(pattern), text):
        assert any(literal in text for literal in literals)
