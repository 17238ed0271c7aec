"""The values that pwmtad sets in main.cf: made, told from other people's, and taken away again."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pwmtad.core import main_cf_values as values

_POOLS = st.lists(st.from_regex(r"[a-z][a-z0-9]{0,5}", fullmatch=True), min_size=1, max_size=5, unique=True)
_HALTS = st.from_regex(r"[A-Za-z0-9_.-]{1,160}", fullmatch=True)


@given(_POOLS)
def test_a_pool_is_read_as_it_was_written(pool: list[str]) -> None:
    assert values.pool_in(values.pool_table(pool)) == tuple(pool)


@given(_HALTS)
def test_a_pause_names_what_holds(name: str) -> None:
    table = values.pause_table(name)
    assert values.paused_by(table) == name
    assert values.paused_by(f"regexp:/x, {table}") == name
    assert values.is_last(table)
    assert values.pool_in(table) == ()


def test_an_empty_pool_can_not_be_written() -> None:
    with pytest.raises(ValueError, match="empty pool"):
        values.pool_table([])


@pytest.mark.parametrize("name", ["", "a b", "a,b", "a}", "x" * 161, "a\n", "é"])
def test_a_name_that_postfix_could_not_carry_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not the name of a halt"):
        values.pause_table(name)


@pytest.mark.parametrize("text", ["static:{retry:4.7.0 later}", "hash:/x", "", "static:{paused-by-pwmtad:}", "inline:{a=b}"])
def test_other_peoples_tables_are_no_pause_and_no_pool(text: str) -> None:
    assert values.paused_by(text) == ""
    assert not values.has_pool(text)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", "NEW"),
        ("hash:/x", "hash:/x, NEW"),
        ("randmap:{a}", "NEW"),
        ("hash:/x randmap:{a}", "hash:/x, NEW"),
        ("randmap:{a}, hash:/x", "NEW, hash:/x"),
        ("regexp:/x, static:{paused-by-pwmtad:h1}", "regexp:/x, NEW"),
        ("randmap:{a}, randmap:{b}", "NEW, randmap:{b}"),
    ],
)
def test_a_pool_takes_the_place_of_the_one_that_is_there(value: str, expected: str) -> None:
    assert values.with_last(value, "randmap:{n}") == expected.replace("NEW", "randmap:{n}")


def test_what_does_not_change_stays_as_it_was_written() -> None:
    assert values.with_last("hash:/x randmap:{n}", "randmap:{n}") == "hash:/x randmap:{n}"
    assert values.with_front("hash:/x  hash:/y", "", ("texthash:/ours",)) == "hash:/x  hash:/y"
    assert values.with_last("hash:/x", "") == "hash:/x"


def test_our_table_goes_first_and_leaves_without_a_trace() -> None:
    value = values.with_front("hash:/x, regexp:/ours", "texthash:/ours", ("texthash:/ours", "regexp:/ours"))
    assert value == "texthash:/ours, hash:/x"
    assert values.with_front(value, "", ("texthash:/ours", "regexp:/ours")) == "hash:/x"


@pytest.mark.parametrize(
    ("value", "unit", "seconds"),
    [("5d", "d", 432_000), ("5", "d", 432_000), ("90", "s", 90), ("2h", "s", 7200), ("1w", "d", 604_800), ("3m", "s", 180),
     ("", "s", None), ("$x", "s", None), ("5 d", "d", None), ("-1", "s", None), ("9" * 10, "s", None)],
)  # fmt: skip
def test_times_are_read_as_postfix_reads_them(value: str, unit: str, seconds: int | None) -> None:
    assert values.time_s(value, unit) == seconds


@pytest.mark.parametrize(("value", "long"), [("100d", True), ("101d", True), ("99d", False), (None, False), ("$x", False)])
def test_a_lifetime_that_is_long_already_is_left_alone(value: str | None, long: bool) -> None:
    assert values.is_long(value) is long


def _answer(table: str, key: str) -> str | None:
    """Look up as regexp_table(5) does: the first line that matches, whatever the case."""
    for line in table.splitlines():
        if line.startswith("/"):
            pattern, _, answer = line[1:].rpartition("/ ")
            if re.search(pattern, key, re.IGNORECASE):
                return answer
    return None


_LOCALS = st.from_regex(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,12}", fullmatch=True)
_DOMAINS = st.from_regex(r"([a-z0-9]{1,5}\.){1,2}[a-z]{2,4}", fullmatch=True)


@given(_LOCALS, _DOMAINS, _LOCALS, _DOMAINS)
def test_exempt_senders_are_those_and_no_others(local: str, domain: str, other: str, elsewhere: str) -> None:
    one, whole = f"{local}@{domain}", f"@{elsewhere}"
    table = values.exempt_table([one, whole], "smtp")
    assert _answer(table, one) == "smtp:"
    assert _answer(table, f"{other}@{elsewhere.upper()}") == "smtp:"
    for sender in (f"{other}@{domain}", f"{local}@{domain}.evil.example", f"x{elsewhere}@{domain}", f"{local}@x{domain}", "<>"):
        exempt = sender.lower() == one.lower() or sender.lower().endswith(whole)
        assert (_answer(table, sender) == "smtp:") is exempt


@given(st.lists(_DOMAINS, min_size=1, max_size=4, unique=True), _LOCALS, _DOMAINS)
def test_excluded_domains_are_those_and_no_others(domains: list[str], local: str, other: str) -> None:
    table = values.excluded_table(domains, regexp=True)
    for domain in domains:
        assert _answer(table, f"{local}@{domain}") == "kept-out-by-pwmtad:"
    for address in (f"{local}@{other}", f"{local}@sub.{domains[0]}", f"{local}@{domains[0]}.evil.example", domains[0]):
        assert (_answer(table, address) is not None) is (address.rpartition("@")[2] in domains and "@" in address)


def test_a_plain_table_has_one_line_for_each_domain() -> None:
    table = values.excluded_table(["yahoo.example", "aol.example", "yahoo.example"], regexp=False)
    assert table.splitlines()[1:] == ["aol.example kept-out-by-pwmtad:", "yahoo.example kept-out-by-pwmtad:"]
