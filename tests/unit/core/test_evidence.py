"""Windows mean what they say, and only an operator's own relays can fill them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pwmtad.core.correlate import Classified
from pwmtad.core.evidence import MAX_HITS, TEXT_LIMIT, EvidenceBook, Fired, evidence_of
from pwmtad.core.tally import Column
from pwmtad.model.counters import MINUTE_S, AttemptBucket, AttemptCounts, AttemptKey
from pwmtad.model.judgement import Evidence, Scope, StopRule
from pwmtad.model.names import Instant, ReplyClass
from tests.tools.counts import series_of
from tests.tools.judging import DAY, HOUR, START, attempt, block, rule

MICROSOFT = "microsoft-365"


def fired(book: EvidenceBook, counted: Classified, at: Instant) -> list[Fired]:
    seen = book.see(counted, at)
    return seen.fired if seen is not None else []


def blocks(book: EvidenceBook, *times: Instant, operator: str = "google") -> list[bool]:
    """Feed a block to a new recipient at each time; whether the rule fired at it."""
    return [bool(fired(book, block(at, number, operator=operator), at)) for number, at in enumerate(times)]


# -- windows


def test_three_blocks_within_an_hour_are_enough() -> None:
    assert blocks(EvidenceBook([rule()]), START, START + 60, START + 3599) == [False, False, True]


def test_a_block_61_minutes_after_two_others_is_alone() -> None:
    assert blocks(EvidenceBook([rule()]), START, START + 60, START + 3660 + 60) == [False, False, False]


def test_a_block_that_is_exactly_as_old_as_the_window_is_out_of_it() -> None:
    assert blocks(EvidenceBook([rule()]), START, START + 1, START + HOUR) == [False, False, False]
    assert blocks(EvidenceBook([rule()]), START, START + 1, START + HOUR - 0.001) == [False, False, True]


def test_after_it_fired_a_rule_fires_at_each_further_piece_while_there_are_enough() -> None:
    assert blocks(EvidenceBook([rule()]), START, START, START, START + 10, START + 2 * HOUR) == [
        False,
        False,
        True,
        True,
        False,
    ]


def test_the_same_recipient_again_and_again_is_one_recipient() -> None:
    book = EvidenceBook([rule(count=3, distinct=3)])
    assert not any(fired(book, block(START + n, 1), START + n) for n in range(20))
    assert not fired(book, block(START + 21, 2), START + 21)
    assert fired(book, block(START + 22, 3), START + 22)


def test_a_recipient_counts_once_whatever_the_case_of_the_address() -> None:
    book = EvidenceBook([rule(count=2, distinct=2)])
    for recipient in ("Alice@Example.com", "alice@example.com"):
        counted = attempt(recipient=recipient, reply_class=ReplyClass.REPUTATION)
        assert not fired(book, counted, START)


def test_a_recipient_that_left_the_window_counts_no_more() -> None:
    book = EvidenceBook([rule(count=2, distinct=2)])
    assert not fired(book, block(START, 1), START)
    assert not fired(book, block(START + HOUR, 2), START + HOUR)
    assert not fired(book, block(START + HOUR + 1, 2), START + HOUR + 1)


def test_a_line_that_comes_late_is_put_where_it_belongs() -> None:
    # 12:10, then 11:30 (late), then 12:31: the late one is 61 minutes old by then.
    assert blocks(EvidenceBook([rule()]), START + 2400, START, START + 3660) == [False, False, False]
    assert blocks(EvidenceBook([rule()]), START + 2400, START, START + 3599) == [False, False, True]


def test_a_clock_that_is_set_back_hides_no_block() -> None:
    day_back = START - DAY
    assert blocks(EvidenceBook([rule()]), START, START + 60, day_back) == [False, False, True]


def test_blocks_from_before_a_clock_was_set_back_grow_old_with_it() -> None:
    day_back = START - DAY
    book = EvidenceBook([rule()])
    assert blocks(book, START, START + 60, day_back) == [False, False, True]
    assert blocks(book, day_back + HOUR) == [False]


@given(st.lists(st.integers(0, 4 * HOUR), max_size=40), st.integers(1, 5), st.integers(60, 2 * HOUR))
def test_a_rule_fires_exactly_when_the_window_before_the_newest_piece_holds_enough(
    seconds: list[int], count: int, window_s: int
) -> None:
    book = EvidenceBook([rule(count=count, distinct=1, window_s=window_s)])
    times = sorted(START + second for second in seconds)
    for number, at in enumerate(times):
        within = [earlier for earlier in times[: number + 1] if at - window_s < earlier <= at]
        assert bool(fired(book, block(at, number), at)) == (len(within) >= count)


@given(st.lists(st.tuples(st.integers(0, 4 * HOUR), st.integers(0, 4)), max_size=40))
def test_hits_and_recipients_told_are_those_in_the_window(found: list[tuple[int, int]]) -> None:
    book = EvidenceBook([rule(count=1, distinct=1)])
    found.sort()
    for number, (second, recipient) in enumerate(found):
        at = START + second
        within = [other for when, other in found[: number + 1] if when > second - HOUR]
        (one,) = fired(book, block(at, recipient), at)
        assert (one.hits, one.recipients) == (len(within), len(set(within)))


def test_the_newest_pieces_are_quoted_at_most_ten() -> None:
    book = EvidenceBook([rule(count=12, distinct=1)])
    found = [fired(book, block(START + number, number), START + number) for number in range(12)]
    assert [piece.at for piece in found[-1][0].evidence] == [START + number for number in range(2, 12)]


def test_a_flood_costs_no_memory_and_the_largest_count_can_still_fire() -> None:
    book = EvidenceBook([rule(count=MAX_HITS, distinct=1)])
    counted = block(START, 1)
    times = [bool(fired(book, counted, START)) for _ in range(MAX_HITS + 50)]
    assert times.index(True) == MAX_HITS - 1
    assert fired(book, counted, START)[0].hits == MAX_HITS


# -- what is evidence


@pytest.mark.parametrize("operator", ["other", "unknown"])
def test_operators_that_nobody_knows_never_count(operator: str) -> None:
    book = EvidenceBook([rule(operators=(), count=1)])
    assert book.see(block(START, 1, operator=operator), START) is None


def test_an_attempt_that_reached_no_relay_is_no_evidence() -> None:
    book = EvidenceBook([rule(count=1)])
    assert book.see(attempt(reply_class=ReplyClass.REPUTATION, relay=None), START) is None


def test_the_bounces_of_our_own_notifications_are_no_evidence() -> None:
    book = EvidenceBook([rule(count=1)])
    counted = attempt(reply_class=ReplyClass.REPUTATION, column=Column.NOTIFICATIONS)
    assert book.see(counted, START) is None


def test_mail_that_was_sent_is_no_evidence() -> None:
    assert EvidenceBook([rule(count=1)]).see(attempt(), START) is None


def test_a_class_that_no_rule_asks_for_is_no_evidence() -> None:
    assert EvidenceBook([rule(count=1)]).see(attempt(reply_class=ReplyClass.HARD_BOUNCE), START) is None


def test_a_reply_rule_is_evidence_whatever_its_class() -> None:
    book = EvidenceBook([rule("tss04", operators=("yahoo",), classes=(), reply_rules=("yahoo-tss04",), count=1)])
    counted = attempt(operator="yahoo", reply_class=ReplyClass.RATE_LIMIT, reply_rule="yahoo-tss04")
    assert fired(book, counted, START)
    assert not fired(book, attempt(operator="yahoo", reply_class=ReplyClass.RATE_LIMIT, reply_rule="yahoo-tss01"), START)


def test_an_operator_that_the_rule_leaves_to_others_does_not_count() -> None:
    book = EvidenceBook([rule("blocks", operators=(), excluded=("google",), count=1)])
    assert not fired(book, block(START, 1), START)
    assert fired(book, block(START, 1, operator=MICROSOFT), START)


def test_a_thousand_tenants_that_tell_a_ban_once_each_are_one_operator() -> None:
    book = EvidenceBook([rule("blocks", operators=(), count=5, distinct=5)])
    results = []
    for number in range(5):
        counted = attempt(
            recipient=f"info@tenant{number}.example",
            operator=MICROSOFT,
            relay=f"tenant{number}-example.mail.protection.outlook.com",
            reply_class=ReplyClass.REPUTATION,
        )
        results.append(bool(fired(book, counted, START + number)))
    assert results == [False, False, False, False, True]


def test_operators_are_counted_each_by_itself() -> None:
    book = EvidenceBook([rule("blocks", operators=(), count=2, distinct=2)])
    assert not fired(book, block(START, 1, operator="cox"), START)
    assert not fired(book, block(START, 2, operator="comcast"), START)
    assert fired(book, block(START, 3, operator="cox"), START)


def test_streams_are_counted_each_by_itself() -> None:
    book = EvidenceBook([rule(count=2, distinct=2)])
    assert not fired(book, block(START, 1), START)
    assert not fired(book, block(START, 2, stream="healthcare", egress="hc1"), START)
    assert fired(book, block(START, 3), START)


@pytest.mark.parametrize(("scope", "enough"), [(Scope.STREAM, True), (Scope.OPERATOR, True), (Scope.EGRESS, False)])
def test_only_a_rule_about_egresses_counts_each_egress_by_itself(scope: Scope, enough: bool) -> None:
    book = EvidenceBook([rule(count=2, distinct=2, scope=scope)])
    assert not fired(book, block(START, 1, egress="out05"), START)
    assert bool(fired(book, block(START, 2, egress="out06"), START)) is enough
    assert fired(book, block(START, 3, egress="out05"), START)


def test_one_piece_speaks_for_every_rule_that_asks_for_it() -> None:
    book = EvidenceBook([rule("one", count=1), rule("two", count=2, distinct=1), rule("three", operators=("cox",))])
    seen = book.see(block(START, 1), START)
    assert seen is not None
    assert [found.id for found in seen.rules] == ["one", "two"]
    assert [found.rule.id for found in seen.fired] == ["one"]


def test_evidence_holds_no_address_and_no_control_characters() -> None:
    counted = attempt(
        recipient="Al\x1bice@Exa\x07mple.com",
        reply_class=ReplyClass.REPUTATION,
        relay="mx.example\x1b[2J.com",
        text="550 5.7.1 \x1b[31m" + "x" * 5000,
    )
    evidence = evidence_of(counted, START)
    assert "lice" not in "".join(map(str, (evidence.recipient, evidence.recipient_domain, evidence.text)))
    assert evidence.recipient_domain == "exa?mple.com"
    assert evidence.relay_host == "mx.example?[2J.com"
    assert len(evidence.text) == TEXT_LIMIT
    assert "\x1b" not in evidence.text


def test_an_attempt_without_class_and_relay_can_be_quoted_as_well() -> None:
    evidence = evidence_of(attempt(relay=None), START)
    assert (evidence.reply_class, evidence.relay_host) == ("", "")


# -- shares


def answers(book: EvidenceBook, count: int, at: Instant, **more: str) -> None:
    for number in range(count):
        book.see(attempt(recipient=f"s{number}@example.com", column=Column.RETRIES, **more), at)  # type: ignore[arg-type]


def limits(book: EvidenceBook, count: int, at: Instant) -> list[bool]:
    counted = attempt(reply_class=ReplyClass.RATE_LIMIT, column=Column.RETRIES)
    return [bool(fired(book, counted, at)) for _ in range(count)]


def share_rule(**more: object) -> StopRule:
    given = {"classes": (ReplyClass.RATE_LIMIT,), "count": 5, "distinct": 1, "share": 0.05, "min_sample": 5} | more
    return rule("rate-limits", **given)  # type: ignore[arg-type]


def test_a_share_that_is_exactly_reached_is_still_borne() -> None:
    book = EvidenceBook([share_rule()])
    answers(book, 114, START)
    # 5 of 119 are 4.2 %, 6 of 120 are 5 %, 7 of 121 are 5.8 %.
    assert limits(book, 7, START) == [False] * 6 + [True]


def test_a_share_of_too_small_a_sample_means_nothing() -> None:
    book = EvidenceBook([share_rule(count=1, min_sample=10)])
    assert limits(book, 10, START) == [False] * 9 + [True]


def test_the_denominator_is_the_operators_answers_and_nobody_elses() -> None:
    book = EvidenceBook([share_rule()])
    answers(book, 1000, START, operator="cox")
    answers(book, 1000, START, stream="healthcare")
    for _ in range(1000):
        book.see(attempt(column=Column.NOTIFICATIONS), START)
        book.see(attempt(relay=None, reply_class=ReplyClass.INFRASTRUCTURE), START)
    assert limits(book, 5, START) == [False] * 4 + [True]


def test_answers_leave_the_share_with_the_window() -> None:
    book = EvidenceBook([share_rule()])
    answers(book, 1000, START)
    assert limits(book, 5, START + HOUR + 59)[-1] is False
    book = EvidenceBook([share_rule()])
    answers(book, 1000, START)
    assert limits(book, 5, START + HOUR + 60)[-1] is True


def test_a_share_about_egresses_has_the_egresss_own_answers_below_it() -> None:
    book = EvidenceBook([share_rule(scope=Scope.EGRESS)])
    answers(book, 1000, START, egress="out06")
    assert limits(book, 5, START) == [False] * 4 + [True]


def test_answers_of_minutes_long_gone_are_forgotten() -> None:
    book = EvidenceBook([share_rule(window_s=DAY)])
    for minute in range(3 * 1442):
        answers(book, 1, START + minute * MINUTE_S)
    assert len(book._answers["trucking", "google", ""]._minutes) <= 1441 + 60


def test_few_answers_are_forgotten_by_their_age_as_well() -> None:
    book = EvidenceBook([share_rule(window_s=DAY)])
    for hour in range(24 * 30):
        answers(book, 1, START + hour * HOUR)
    assert len(book._answers["trucking", "google", ""]._minutes) <= 26


@pytest.mark.parametrize("wrong", [START + 400 * DAY, START - 400 * DAY])
def test_one_answer_with_a_wrong_date_makes_a_share_of_nothing_neither_at_once_nor_later(wrong: float) -> None:
    book = EvidenceBook([share_rule()])
    answers(book, 1000, START)
    answers(book, 1, wrong)
    answers(book, 1, START + 60)
    assert limits(book, 5, START + 60)[-1] is False


def test_a_share_means_the_same_after_a_restart() -> None:
    before = EvidenceBook([share_rule()])
    answers(before, 200, START)
    kept: list[Evidence] = []
    for _ in range(5):
        seen = before.see(attempt(reply_class=ReplyClass.RATE_LIMIT), START)
        assert seen is not None
        kept.append(seen.evidence)
    after = EvidenceBook([share_rule()])
    after.load(kept, {})
    buckets = [
        bucket("sent", "", AttemptCounts(first=150, retries=50)),
        bucket("deferred", "rate_limit", AttemptCounts(first=5)),
        bucket("deferred", "infrastructure", AttemptCounts(retries=5000)),
        bucket("sent", "", AttemptCounts(notifications=5000)),
        bucket("sent", "", AttemptCounts(first=5000), operator="other"),
    ]
    after.load_answers(series_of(buckets))
    assert limits(after, 7, START) == limits(before, 7, START)


def bucket(status: str, reply_class: str, counts: AttemptCounts, operator: str = "google") -> AttemptBucket:
    return AttemptBucket(MINUTE_S, int(START), AttemptKey("trucking", "out05", operator, status, reply_class), counts)


# -- restart, reload, release


def pieces(*times: Instant) -> list[Evidence]:
    return [evidence_of(block(at, number), at) for number, at in enumerate(times)]


def test_evidence_of_the_store_counts_but_does_not_fire_by_itself() -> None:
    book = EvidenceBook([rule()])
    book.load(pieces(START, START + 1, START + 2), {})
    assert fired(book, block(START + 3, 9), START + 3)[0].hits == 4


def test_evidence_that_a_halt_dealt_with_does_not_count_again() -> None:
    book = EvidenceBook([rule()])
    book.load(pieces(START, START + 1, START + 2), {("google-blocks", "trucking", "trucking"): START + 1})
    assert not fired(book, block(START + 3, 9), START + 3)
    assert fired(book, block(START + 4, 10), START + 4)


def test_after_a_reload_kept_evidence_counts_for_the_new_rules() -> None:
    book = EvidenceBook([rule()])
    blocks(book, START, START + 1)
    book.replace_rules([rule("stricter", count=3, distinct=1)], {})
    seen = book.see(block(START + 2, 1), START + 2)
    assert seen is not None
    assert [found.rule.id for found in seen.fired] == ["stricter"]


def test_a_reload_does_not_empty_the_denominator_of_a_share() -> None:
    book = EvidenceBook([share_rule()])
    answers(book, 1000, START)
    book.replace_rules([share_rule(count=4)], {})
    assert limits(book, 10, START) == [False] * 10


def test_without_any_rule_nothing_is_kept() -> None:
    book = EvidenceBook([])
    book.load(pieces(START, START + 1, START + 2), {})
    assert book.see(block(START, 1), START) is None


def test_a_served_halts_evidence_counts_anew_and_only_its_own() -> None:
    both = [rule("a", scope=Scope.OPERATOR, operators=()), rule("b")]
    book = EvidenceBook(both)
    blocks(book, START, START + 1)
    blocks(book, START, START + 1, operator="cox")
    book.forget("a", "trucking", "google")
    seen = book.see(block(START + 2, 9), START + 2)
    assert seen is not None
    assert [found.rule.id for found in seen.fired] == ["b"]
    assert fired(book, block(START + 2, 9, operator="cox"), START + 2)


def test_evidence_is_kept_for_the_longest_window_of_any_rule() -> None:
    book = EvidenceBook([rule(), rule("slow", window_s=6 * HOUR, count=9)])
    blocks(book, START, START + 5 * HOUR, START + 6 * HOUR)
    assert [piece.at for piece in book._kept] == [START + 5 * HOUR, START + 6 * HOUR]
