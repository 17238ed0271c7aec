"""Domains that take no mail are listed once, after answers enough, and never because of answers long ago."""

from __future__ import annotations

from pwmtad.core.correlate import Classified
from pwmtad.core.dead_domains import DEAD_DOMAIN_AFTER, MAX_DOMAINS, DeadDomains
from pwmtad.model.judgement import RecordKind
from pwmtad.model.names import Instant, ReplyClass
from tests.tools.judging import DAY, HOUR, START, attempt


def answer(domain: str = "dead.example", reply_class: ReplyClass | None = ReplyClass.DEAD_DOMAIN) -> Classified:
    return attempt(
        recipient=f"info@{domain}", operator="microsoft-365", reply_class=reply_class, reply_rule="microsoft-365-attr5"
    )


def listed(watch: DeadDomains, *times: Instant) -> list[bool]:
    return [watch.see(answer(), at) is not None for at in times]


def test_a_domain_is_listed_with_its_third_answer_and_only_then() -> None:
    assert DEAD_DOMAIN_AFTER == 3
    assert listed(DeadDomains(), *(START + hour * HOUR for hour in range(6))) == [False, False, True, False, False, False]


def test_the_record_names_domain_stream_rule_and_line() -> None:
    watch = DeadDomains()
    record = [watch.see(answer(), START + n) for n in range(3)][-1]
    assert record is not None
    assert (record.kind, record.stream, record.rule, record.subject) == (
        RecordKind.SUPPRESS,
        "trucking",
        "microsoft-365-attr5",
        "dead.example",
    )
    assert record.reason == "dead.example answered 3 times that it does not take mail at all"
    assert "dead_domain/microsoft-365-attr5" in record.evidence[0].text


def test_mail_that_is_taken_clears_the_domain() -> None:
    watch = DeadDomains()
    assert listed(watch, START, START + 1) == [False, False]
    watch.see(answer(reply_class=None), START + 2)
    assert listed(watch, START + 3, START + 4, START + 5) == [False, False, True]
    watch.see(answer(reply_class=None), START + 6)
    assert listed(watch, START + 7, START + 8, START + 9) == [False, False, True]


def test_other_answers_neither_count_nor_clear() -> None:
    watch = DeadDomains()
    watch.see(answer(reply_class=None), START)
    listed(watch, START, START + 1)
    for reply_class in (ReplyClass.HARD_BOUNCE, ReplyClass.INFRASTRUCTURE, ReplyClass.GREYLIST):
        assert watch.see(answer(reply_class=reply_class), START + 2) is None
    assert listed(watch, START + 3) == [True]


def test_answers_more_than_a_week_apart_have_nothing_to_do_with_each_other() -> None:
    assert listed(DeadDomains(), START, START + 8 * DAY, START + 16 * DAY, START + 24 * DAY) == [False] * 4


def test_an_address_without_a_domain_is_nobodys() -> None:
    watch = DeadDomains()
    counted = attempt(recipient="postmaster", reply_class=ReplyClass.DEAD_DOMAIN)
    assert [watch.see(counted, START) for _ in range(5)] == [None] * 5


def test_memory_is_bounded_in_number_and_length_and_names_are_cleaned() -> None:
    watch = DeadDomains()
    for number in range(MAX_DOMAINS + 50):
        watch.see(answer(f"{'x' * 1000}\x1b{number}.example"), START)
        watch.see(answer(f"d{number}.example"), START)
    assert len(watch._counts) <= MAX_DOMAINS
    assert max(map(len, watch._counts)) <= 255
    record = [watch.see(answer("a\x1b[31m.example"), START) for _ in range(3)][-1]
    assert record is not None
    assert record.subject == "a?[31m.example"
