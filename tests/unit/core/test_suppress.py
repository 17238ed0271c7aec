"""Who is suppressed, and after what: only for what is a recipient's own fault, and for nobody else's address."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from pwmtad.config import SuppressionSettings
from pwmtad.core import suppress, suppress_counting
from pwmtad.core.correlate import Classified
from pwmtad.core.suppress import SuppressionBook
from pwmtad.core.suppress_counting import FORGET_S
from pwmtad.core.tally import Column
from pwmtad.model.names import Instant, ReplyClass
from pwmtad.model.suppression import MANUAL, Mark, Report, Sighting, SubjectKind, SuppressionKey
from tests.tools.judging import DAY, HOUR, START, attempt

SETTINGS = SuppressionSettings()
ABOUT_US = [
    ReplyClass.REPUTATION,
    ReplyClass.RATE_LIMIT,
    ReplyClass.AUTHENTICATION,
    ReplyClass.CONTENT,
    ReplyClass.GREYLIST,
    ReplyClass.INFRASTRUCTURE,
    ReplyClass.UNCLASSIFIED,
]


def answer(
    reply_class: ReplyClass | None,
    recipient: str = "reader@example.org",
    *,
    column: Column = Column.FIRST,
    status: str = "",
    stream: str = "trucking",
) -> Classified:
    made = attempt(recipient=recipient, reply_class=reply_class, reply_rule="a-rule", column=column, stream=stream)
    return replace(made, attempt=replace(made.attempt, status=status)) if status else made


def book(
    counting: Iterable[Sighting] = (), *, own: Iterable[str] = (), settings: SuppressionSettings = SETTINGS
) -> SuppressionBook:
    return SuppressionBook(settings, frozenset(own), counting)


def suppressed(one: SuppressionBook) -> list[tuple[str, str]]:
    """Take what is to be stored; return what is suppressed by it: subjects and classes."""
    return [(s.key.subject, s.key.reply_class) for s in one.take_deltas().sightings if s.suppressed_at is not None]


def feed(one: SuppressionBook, counted: Classified, *times: Instant) -> SuppressionBook:
    for at in times:
        one.see(counted, at)
    return one


def days(*numbers: int) -> list[Instant]:
    return [START + number * DAY for number in numbers]


# -- hard bounces


@pytest.mark.parametrize("column", [Column.FIRST, Column.RETRIES])
def test_a_hard_bounce_suppresses_at_once_with_the_line_that_proved_it(column: Column) -> None:
    one = feed(book(), answer(ReplyClass.HARD_BOUNCE, "Reader@Example.ORG", column=column), START)
    (found,) = one.take_deltas().sightings
    assert found.key == SuppressionKey("trucking", "address", "reader@example.org", "hard_bounce")
    assert (found.count, found.first_at, found.last_at, found.suppressed_at, found.by) == (1, START, START, START, "")
    assert (found.grounds.queue_id, found.grounds.operator, found.grounds.rule) == ("4XkJ2l1zq9z1", "google", "a-rule")
    assert found.grounds.relay_host == "gmail-smtp-in.l.google.com"
    assert "said: 550-5.7.1" in found.grounds.reply


def test_only_what_postfix_gave_up_for_is_a_hard_bounce() -> None:
    """A greeting of 5xx is deferred: it names no recipient."""
    one = book()
    feed(one, answer(ReplyClass.HARD_BOUNCE, status="deferred"), START)
    assert not one.has_deltas
    feed(one, answer(ReplyClass.HARD_BOUNCE, status="SOFTBOUNCE"), START)
    assert suppressed(one) == [("reader@example.org", "hard_bounce")]


@pytest.mark.parametrize("reply_class", ABOUT_US)
def test_what_speaks_of_us_or_of_nobody_suppresses_nobody(reply_class: ReplyClass) -> None:
    one = feed(book(), answer(reply_class), *(START + n * DAY for n in range(20)))
    assert not one.has_deltas


def test_a_reply_that_names_another_address_suppresses_its_own_recipient_only() -> None:
    said = answer(ReplyClass.HARD_BOUNCE, "bait@evil.example")
    said = replace(said, attempt=replace(said.attempt, text="550 5.1.1 <victim@example.org>: user unknown"))
    assert suppressed(feed(book(), said, START)) == [("bait@evil.example", "hard_bounce")]


def test_bounces_of_one_recipient_between_two_commits_are_one_row_to_store() -> None:
    one = feed(book(), answer(ReplyClass.HARD_BOUNCE), START + 60, START, START + 30)
    (found,) = one.take_deltas().sightings
    assert (found.count, found.first_at, found.last_at, found.suppressed_at) == (3, START, START + 60, START + 60)
    assert not one.has_deltas


@pytest.mark.parametrize("recipient", ["postmaster", '"a b"@example.org', "reader@localhost", "a\x1b@example.org"])
def test_what_is_no_plain_address_is_passed_over(recipient: str) -> None:
    one = book()
    for reply_class in (ReplyClass.HARD_BOUNCE, ReplyClass.MAILBOX_FULL, ReplyClass.DEAD_DOMAIN):
        feed(one, answer(reply_class, recipient), *days(0, 1, 2))
    assert not one.has_deltas


def test_nothing_is_kept_where_that_is_not_wanted_and_a_reload_decides() -> None:
    one = book(settings=SuppressionSettings(keep=False))
    feed(one, answer(ReplyClass.HARD_BOUNCE), START)
    assert not one.has_deltas
    one.reconfigure(SETTINGS, frozenset())
    feed(one, answer(ReplyClass.HARD_BOUNCE), START)
    assert one.has_deltas


# -- full mailboxes


def test_a_full_mailbox_is_suppressed_with_messages_of_the_third_day() -> None:
    one = book()
    for number, expected in enumerate([[], [], [("reader@example.org", "mailbox_full")]]):
        feed(one, answer(ReplyClass.MAILBOX_FULL), *(START + number * DAY + hour * HOUR for hour in range(0, 24, 5)))
        assert suppressed(one) == expected


def test_retries_of_one_message_are_one_message() -> None:
    one = feed(book(), answer(ReplyClass.MAILBOX_FULL), START)
    feed(one, answer(ReplyClass.MAILBOX_FULL, column=Column.RETRIES), *days(1, 2, 3, 4))
    assert suppressed(one) == []


def test_mail_that_was_taken_begins_the_count_anew() -> None:
    one = feed(book(), answer(ReplyClass.MAILBOX_FULL), *days(0, 1))
    assert suppressed(one) == []
    feed(one, answer(None, "READER@example.org"), START + 2 * DAY)
    deltas = one.take_deltas()
    assert deltas.reset == (SuppressionKey("trucking", "address", "reader@example.org", "mailbox_full"),)
    feed(one, answer(ReplyClass.MAILBOX_FULL), *days(3, 4))
    assert suppressed(one) == []
    assert suppressed(feed(one, answer(ReplyClass.MAILBOX_FULL), *days(5))) == [("reader@example.org", "mailbox_full")]


def test_what_was_counted_and_taken_between_two_commits_leaves_only_the_reset() -> None:
    one = feed(book(), answer(ReplyClass.MAILBOX_FULL), *days(0, 1))
    feed(one, answer(None), START + 2 * DAY)
    deltas = one.take_deltas()
    assert (len(deltas.reset), deltas.sightings) == (1, ())


def test_mail_to_others_or_of_another_stream_resets_nothing() -> None:
    one = feed(book(), answer(ReplyClass.MAILBOX_FULL), *days(0, 1))
    one.take_deltas()
    feed(one, answer(None, "other@example.org"), START)
    feed(one, answer(None, stream="healthcare"), START)
    assert not one.has_deltas


def test_days_long_ago_have_nothing_to_do_with_today() -> None:
    one = feed(book(), answer(ReplyClass.MAILBOX_FULL), *days(0, 1), START + DAY + FORGET_S + 1, START + 2 * DAY + FORGET_S + 1)
    assert suppressed(one) == []


def test_counting_goes_on_after_a_restart() -> None:
    before = feed(book(), answer(ReplyClass.MAILBOX_FULL), *days(0, 1)).take_deltas()
    (counted,) = before.sightings
    one = feed(book([counted]), answer(ReplyClass.MAILBOX_FULL), *days(1))
    assert not one.has_deltas
    assert suppressed(feed(one, answer(ReplyClass.MAILBOX_FULL), *days(2))) == [("reader@example.org", "mailbox_full")]


def test_after_the_threshold_it_counts_again_and_a_reset_does_not_take_the_suppression_back() -> None:
    settings = SuppressionSettings(mailbox_full_after=1)
    one = feed(book(settings=settings), answer(ReplyClass.MAILBOX_FULL), START)
    one.reconfigure(SETTINGS, frozenset())
    feed(one, answer(ReplyClass.MAILBOX_FULL), START + DAY)
    feed(one, answer(None), START + DAY)
    deltas = one.take_deltas()
    assert deltas.reset == ()
    assert [(s.count, s.suppressed_at) for s in deltas.sightings] == [(2, START)]


# -- dead domains


def dead(number: int, domain: str = "dead.example", *, column: Column = Column.FIRST) -> Classified:
    return answer(ReplyClass.DEAD_DOMAIN, f"r{number}@{domain}", column=column)


def test_a_domain_is_suppressed_with_its_third_recipient_and_not_with_the_third_try() -> None:
    one = book()
    for at in (START, START + HOUR, START + 2 * HOUR):
        one.see(dead(1, column=Column.RETRIES), at)
    one.see(dead(2), START + HOUR)
    assert suppressed(one) == []
    one.see(dead(3), START + 3 * HOUR)
    assert suppressed(one) == [("dead.example", "dead_domain")]


def test_a_suppressed_domain_is_left_alone_for_a_day_and_then_counted_again() -> None:
    one = book()
    for number in range(3):
        one.see(dead(number), START)
    assert suppressed(one) == [("dead.example", "dead_domain")]
    for number in range(9):
        one.see(dead(number, column=Column.RETRIES), START + HOUR)
    assert not one.has_deltas
    for number in range(3):
        one.see(dead(number, column=Column.RETRIES), START + 2 * DAY)
    assert suppressed(one) == [("dead.example", "dead_domain")]


def test_a_recipient_who_is_alone_at_a_dead_domain_is_suppressed_on_the_third_day() -> None:
    one = book()
    for at in days(0, 0, 1):
        one.see(dead(1), at)
    assert suppressed(one) == []
    one.see(dead(1), START + 2 * DAY)
    assert suppressed(one) == [("r1@dead.example", "dead_domain")]


def test_mail_that_a_domain_took_clears_the_domain_and_that_recipient() -> None:
    one = book()
    for number in (1, 2):
        one.see(dead(number), START)
    one.see(answer(None, "r1@Dead.example."), START + 1)
    assert {key.subject for key in one.take_deltas().reset} == {"dead.example", "r1@dead.example"}
    one.see(dead(3), START + 2)
    assert suppressed(one) == []


def test_the_domains_of_operators_are_never_dead() -> None:
    """An MX of icloud.com that says `relaying denied` must not cost all readers there."""
    one = book(own=["icloud.com"])
    for number in range(9):
        feed(one, dead(number, "icloud.com"), *days(0, 1, 2, 3))
    assert not one.has_deltas


# -- people, reports, bounds


def test_a_person_suppresses_and_takes_back() -> None:
    one = feed(book(), answer(ReplyClass.MAILBOX_FULL), START)
    key = SuppressionKey("trucking", "address", "reader@example.org", MANUAL)
    full = key._replace(reply_class="mailbox_full")
    one.put([key], "asked\x1b for it", "alice", START + 1)
    (_, found) = one.take_deltas().sightings
    assert (found.key, found.by, found.grounds.reply, found.suppressed_at) == (key, "alice", "asked? for it", START + 1)
    feed(one, answer(ReplyClass.MAILBOX_FULL), *days(1))
    one.remove([key, full])
    deltas = one.take_deltas()
    assert (deltas.removed, deltas.sightings) == ((key, full), ())
    feed(one, answer(ReplyClass.MAILBOX_FULL), *days(2, 3))
    assert suppressed(one) == []


def test_what_is_removed_and_bounces_again_is_removed_first_and_then_suppressed() -> None:
    one = feed(book(), answer(ReplyClass.HARD_BOUNCE), START)
    key = SuppressionKey("trucking", "address", "reader@example.org", "hard_bounce")
    one.remove([key])
    feed(one, answer(ReplyClass.HARD_BOUNCE), START + 1)
    deltas = one.take_deltas()
    assert (deltas.removed, [s.count for s in deltas.sightings]) == ((key,), [1])


def test_a_removed_domain_counts_anew_at_once() -> None:
    one = book()
    for number in range(3):
        one.see(dead(number), START)
    one.remove([SuppressionKey("trucking", SubjectKind.DOMAIN.value, "dead.example", "dead_domain")])
    one.take_deltas()
    for number in range(3):
        one.see(dead(number, column=Column.RETRIES), START + 1)
    assert suppressed(one) == [("dead.example", "dead_domain")]


def test_marks_are_handed_on() -> None:
    one = book()
    mark = Mark(SuppressionKey("trucking", "address", "reader@example.org", "hard_bounce"), START, Report(), None)
    one.mark([mark])
    assert one.has_deltas
    assert one.take_deltas().marks == (mark,)
    assert one.take_deltas().is_empty


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suppress_counting, "MAX_COUNTING", 200)
    monkeypatch.setattr(suppress, "_MAX_DONE", 200)
    one = book()
    for number in range(1000):
        feed(one, answer(ReplyClass.MAILBOX_FULL, f"r{number}@x{number}.example"), START)
        feed(one, dead(1, f"d{number}.example"), START)
        for recipient in range(3):
            one.see(dead(recipient, f"e{number}.example", column=Column.RETRIES), START)
    assert len(one._counting) <= 200
    assert sum(map(len, one._counting._tables())) == len(one._counting)
    assert len(one._done) <= 200


def test_who_was_seen_longest_ago_goes_first_whatever_was_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suppress_counting, "MAX_COUNTING", 100)
    one = book()
    for number in range(50):
        feed(one, answer(ReplyClass.MAILBOX_FULL, f"r{number}@example.org"), START + 2 * number)
        feed(one, answer(ReplyClass.MAILBOX_FULL, f"r{number}@example.org", stream="healthcare"), START + 2 * number + 1)
    feed(one, answer(ReplyClass.MAILBOX_FULL, "new@example.org"), START + DAY)
    one.take_deltas()
    feed(one, answer(None, "r0@example.org"), START + DAY)
    assert not one.has_deltas
    feed(one, answer(None, "r0@example.org", stream="healthcare"), START + DAY)
    feed(one, answer(None, "r1@example.org"), START + DAY)
    assert [(key.stream, key.subject) for key in one.take_deltas().reset] == [
        ("healthcare", "r0@example.org"),
        ("trucking", "r1@example.org"),
    ]


def test_what_counted_long_ago_is_forgotten_though_nothing_is_heard_of_it() -> None:
    one = book()
    for day in range(100):
        feed(one, answer(ReplyClass.MAILBOX_FULL, f"r{day}@example.org"), START + day * DAY)
        feed(one, answer(ReplyClass.DEAD_DOMAIN, f"r@x{day}.example"), START + day * DAY)
    assert len(one._counting) == (FORGET_S // DAY + 2) * 3  # a day later: by the line before as well


def test_what_the_store_had_is_forgotten_as_well() -> None:
    rows = [
        Sighting(SuppressionKey("trucking", "address", f"r{n}@example.org", "mailbox_full"), 1, START, START, None)
        for n in (1, 2)
    ]
    one = book(rows)
    for n in (0, 1):
        feed(one, answer(ReplyClass.MAILBOX_FULL, f"new{n}@example.org"), START + FORGET_S + 1 + n * DAY)
    assert len(one._counting) == 2


@pytest.mark.parametrize("wrong", [START + 400 * DAY, START - 400 * DAY])
def test_a_line_with_a_wrong_date_makes_nobody_forgotten(wrong: float) -> None:
    one = book()
    for number in range(20):
        feed(one, answer(ReplyClass.MAILBOX_FULL, f"r{number}@example.org"), START)
    feed(one, answer(ReplyClass.MAILBOX_FULL, "wrong@example.org"), wrong)
    feed(one, answer(ReplyClass.MAILBOX_FULL, "new@example.org"), START + DAY)
    assert len(one._counting) >= 21


events = st.tuples(
    st.sampled_from([ReplyClass.HARD_BOUNCE, ReplyClass.MAILBOX_FULL, ReplyClass.DEAD_DOMAIN, None]),
    st.sampled_from(["a@x.example", "b@x.example", "c@x.example", "d@y.example"]),
    st.integers(0, 6),
    st.sampled_from([Column.FIRST, Column.RETRIES]),
)


@given(st.lists(events, max_size=40), st.lists(st.integers(0, 40), max_size=6))
def test_when_things_are_stored_and_when_it_restarts_changes_nothing(
    fed: list[tuple[ReplyClass | None, str, int, Column]], cuts: list[int]
) -> None:
    """What is suppressed does not depend on when commits and restarts come."""
    fed = sorted(fed, key=lambda event: event[2])
    whole, parts = book(), book()
    stored: dict[SuppressionKey, Sighting] = {}
    found: set[tuple[str, str]] = set()

    def commit(one: SuppressionBook) -> None:
        deltas = one.take_deltas()
        for key in deltas.reset:
            if key in stored and stored[key].suppressed_at is None:
                del stored[key]
        for sighting in deltas.sightings:
            before = stored.get(sighting.key)
            at = before.suppressed_at if before is not None and before.suppressed_at is not None else sighting.suppressed_at
            stored[sighting.key] = replace(sighting, suppressed_at=at)
        found.update((s.key.subject, s.key.reply_class) for s in stored.values() if s.suppressed_at is not None)

    for number, (reply_class, recipient, day, column) in enumerate(fed):
        for one in (whole, parts):
            one.see(answer(reply_class, recipient, column=column), START + day * DAY)
        if number in cuts:
            commit(parts)
            parts = book([s for s in stored.values() if s.suppressed_at is None])
    commit(parts)
    assert found == set(suppressed(whole))
