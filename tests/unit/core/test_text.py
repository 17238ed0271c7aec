"""Cleaning: what a stranger wrote becomes harmless, bounded, and the same for the same reason."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pwmtad.core.text import REASON_LENGTH, clean, domain_of, reason_of

UNSAFE = "\x00\x07\x1b\n\r\t\x7f\x85\x9b\u061c\u200b\u200e\u2028\u2029\u202e\u2066\ufeff\ufff9\ud800"
texts = st.one_of(st.text(max_size=200), st.text(UNSAFE + "a1@. <>", max_size=200))


@settings(deadline=None)
@given(texts, st.integers(0, 250))
def test_cleaned_text_is_one_bounded_line_that_any_file_can_hold(text: str, limit: int) -> None:
    cleaned = clean(text, limit)

    assert len(cleaned) <= limit
    assert len(cleaned.splitlines()) <= 1
    assert cleaned.encode("utf-8").decode("utf-8") == cleaned
    assert not [char for char in cleaned if unicodedata.category(char) in ("Cc", "Zl", "Zp", "Cs")]
    assert clean(cleaned, limit) == cleaned


@pytest.mark.parametrize("char", UNSAFE)
def test_a_character_that_a_terminal_or_a_file_obeys_is_replaced(char: str) -> None:
    assert clean(f"a{char}b", 10) == "a?b"


def test_ordinary_letters_of_any_script_are_kept() -> None:
    assert clean("Grüße, привет, 你好, 🙂", 100) == "Grüße, привет, 你好, 🙂"


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("550 5.1.1 <anna@example.org>: User unknown", "550 5.1.1 <*>: User unknown"),
        ("550 5.7.606 Access denied, banned sending IP [198.51.100.7]", "550 5.7.606 Access denied, banned sending IP [*]"),
        ("421 4.7.28 [198.51.100.7 15] unusual rate", "421 4.7.28 [* #] unusual rate"),
        ("421 4.7.28 [192.0.2.7 15] unusual rate", "421 4.7.28 [* #] unusual rate"),
        ("451 4.7.500 Server busy. (S77719) [AB1.example.org 2026-11-24T02:52:02.000Z 08DAB]",
         "451 4.7.500 Server busy. (S#) [* *:#:#.#Z #DAB]"),
        ("550 5.1.1 gone https://support.example.org/mail/?p=NoSuchUser x17-2002 - gsmtp", "550 5.1.1 gone * x#-# - gsmtp"),
        ("connect to mx1.example.org[192.0.2.25]:25: Connection refused", "connect to *[*]:#: Connection refused"),
        ("192.0.2.25 is blocked", "* is blocked"),
        ("5501 no code", "# no code"),
        ("550", "550"),
        ("", ""),
    ],
)  # fmt: skip
def test_a_reason_keeps_what_repeats(reply: str, reason: str) -> None:
    assert reason_of(reply) == reason


@settings(deadline=None)
@given(texts)
def test_a_reason_is_one_bounded_line_without_digits_but_those_of_its_codes(text: str) -> None:
    reason = reason_of(text)

    assert len(reason) <= REASON_LENGTH
    assert len(reason.splitlines()) <= 1
    assert not [char for char in reason[11:] if char.isdecimal()]


@settings(deadline=None)
@given(
    st.text("abc.+-", min_size=1, max_size=10),
    st.sampled_from(["550 5.1.1 ", "550-5.1.1 ", "", "x "]),
    st.sampled_from(["<{}>", "{}", "({})", '"{}"']),
)
def test_the_reason_is_the_same_for_every_recipient(local: str, codes: str, form: str) -> None:
    one, other = (
        reason_of(f"{codes}no mailbox {form.format(name + '@example.org')} here") for name in (local, "someone.else7")
    )

    assert one == other
    assert "example" not in one


@pytest.mark.parametrize(
    ("address", "domain"),
    [
        ("anna@Example.ORG", "example.org"),
        ("anna@example.org.", "example.org"),
        ('"a@b"@example.org', "example.org"),
        ("root", ""),
        ("", ""),
        ("@", ""),
        ("a@[192.0.2.1]", "[192.0.2.1]"),
    ],
)
def test_the_domain_is_what_follows_the_last_at(address: str, domain: str) -> None:
    assert domain_of(address) == domain
