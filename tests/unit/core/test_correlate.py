"""What is counted of a queue id: first attempts and retries, notifications, signatures, and what is remembered for how long."""

from __future__ import annotations

from math import inf

import pytest

from pwmtad.core.correlate import Classified, Limits
from pwmtad.core.coverage import Unfiltered
from pwmtad.core.tally import Column
from pwmtad.model import events
from pwmtad.model.counters import AttemptCounts, AttemptKey, MessageCounts
from tests.unit.core.correlating import (
    GRACE,
    START,
    World,
    attempt,
    client,
    expired,
    milter_gone,
    milter_reject,
    notification,
    pickup,
    queued,
    removed,
    said,
    signed,
)

DAY = 86_400.0


# -- attempts


def test_the_first_attempt_of_a_recipient_is_volume_and_later_ones_are_retries() -> None:
    world = World()
    world.feed(client(START, "A1234"), queued(START, "A1234"))
    world.feed(
        *(attempt(START + step, "A1234", status="deferred", text="host a[192.0.2.1] said: 450 no") for step in (1, 300, 900))
    )
    world.feed(attempt(START + 2000, "A1234"))

    assert world.attempts == AttemptCounts(first=1, retries=3)


def test_each_recipient_of_a_message_has_a_first_attempt_of_its_own() -> None:
    world = World()
    world.feed(client(START, "A1234"), queued(START, "A1234"))
    for step in (1, 300):
        world.feed(
            *(attempt(START + step, "A1234", name, "deferred") for name in ("a@x.test", "b@x.test", "c@x.test", "a@x.test"))
        )

    assert world.attempts == AttemptCounts(first=3, retries=5)


def test_a_short_queue_id_that_is_used_again_is_another_message() -> None:
    world = World()
    for start in (START, START + 60):
        world.feed(client(start, "731D420C053"), queued(start, "731D420C053"), signed(start, "731D420C053"))
        world.feed(attempt(start + 1, "731D420C053"), removed(start + 1, "731D420C053"))
    world.correlator.advance(START + 1000)

    assert world.attempts == AttemptCounts(first=2)
    assert world.messages == MessageCounts(injected=2, signed=2)
    assert world.open_ids == []


def test_a_queue_id_that_is_used_again_is_no_longer_the_oldest() -> None:
    world = World()
    for queue_id in ("731D420C053", "A1234", "731D420C053"):
        world.feed(client(START, queue_id), queued(START, queue_id), attempt(START, queue_id))

    assert world.open_ids == ["A1234", "731D420C053"]


def test_a_message_is_as_old_as_the_first_of_its_lines_whichever_is_read_first() -> None:
    world = World()
    world.feed(signed(START + 1, "A1234"), client(START, "A1234"), client(START, "B1234"), signed(START + 1, "B1234"))

    assert [message.opened_at for _, message in world.correlator.open_items()] == [START, START]


def test_a_queue_id_that_comes_again_without_removed_is_another_message() -> None:
    world = World()
    world.feed(client(START, "731D420C053"), queued(START, "731D420C053"), attempt(START, "731D420C053"))
    world.correlator.advance(START + 1000)
    world.feed(client(START + 1000, "731D420C053"), queued(START + 1000, "731D420C053"), attempt(START + 1001, "731D420C053"))

    assert world.attempts == AttemptCounts(first=2)
    assert world.correlator.restarted == 0


def test_a_queue_id_that_is_used_again_before_its_message_was_judged_is_told() -> None:
    world = World()
    world.feed(client(START, "731D420C053"), queued(START, "731D420C053"), removed(START, "731D420C053"))
    world.feed(client(START + 1, "731D420C053"), queued(START + 1, "731D420C053"))
    world.correlator.advance(START + 1000)

    assert world.correlator.restarted == 1
    assert world.messages == MessageCounts(injected=2, unsigned=1)


def test_attempts_of_a_notification_are_counted_apart_and_give_no_reason() -> None:
    world = World()
    world.feed(
        queued(START, "N1234", sender=""), attempt(START, "N1234", status="deferred"), attempt(START, "N1234", status="sent")
    )

    assert world.attempts == AttemptCounts(notifications=2)
    assert world.tally.reasons(START) == {}
    assert world.messages == MessageCounts()


@pytest.mark.parametrize("told_first", [True, False])
def test_a_notification_is_known_by_the_line_that_tells_of_it_too(told_first: bool) -> None:
    world = World()
    lines = [notification(START, "A1234", "N1234"), queued(START, "N1234", sender="not-empty@example.org")]
    world.feed(*(lines if told_first else reversed(lines)), attempt(START, "N1234"))

    assert world.attempts == AttemptCounts(notifications=1)


def test_local_submissions_with_the_null_sender_are_notifications() -> None:
    world = World()
    world.feed(pickup(START, "N1234", sender=""), attempt(START, "N1234"))

    assert world.attempts == AttemptCounts(notifications=1)


@pytest.mark.parametrize(
    "tag", ["postfix/local", "postfix/virtual", "postfix/pipe", "postfix/discard", "postfix/error", "postfix"]
)
def test_what_never_left_the_host_is_no_attempt(tag: str) -> None:
    world = World()

    assert world.feed(attempt(START, "A1234", tag=tag)) == []
    assert world.attempts == AttemptCounts()


def test_a_deferral_of_postfix_itself_is_no_attempt() -> None:
    world = World()
    plain = attempt(START, "A1234", status="deferred", text="paused by pwmtad")
    deferral = events.LocalDeferral(*(getattr(plain, field) for field in plain.__struct_fields__))

    assert world.feed(deferral) == []
    assert world.attempts == AttemptCounts()


@pytest.mark.parametrize(
    ("status", "counted"), [("SOFTBOUNCE", 1), ("sent", 1), ("deliverable", 0), ("undeliverable", 0), ("x", 0)]
)
def test_a_probe_is_no_mail_and_a_softbounce_is(status: str, counted: int) -> None:
    world = World()
    world.feed(attempt(START, "A1234", status=status))

    assert sum(world.attempts) == counted


def test_an_attempt_is_counted_under_its_egress_operator_status_and_class() -> None:
    world = World()
    text = (
        "host aspmx.l.google.com[192.0.2.26] said: 550-5.7.1 likely unsolicited 550 5.7.1 x (in reply to end of DATA command)"
    )
    [given] = world.feed(attempt(START, "A1234", status="bounced", relay="aspmx.l.google.com", text=text))

    assert isinstance(given, Classified)
    assert (given.stream, given.egress, given.operator, given.reply_class, given.rule, given.column) == (
        "news",
        "out05",
        "google",
        "reputation",
        "google-unsolicited",
        Column.FIRST,
    )
    assert list(world.tally.attempt_totals()) == [AttemptKey("news", "out05", "google", "bounced", "reputation")]
    [reason] = world.tally.reasons(START)
    assert (reason.stream, reason.status, reason.reply_class, reason.reason) == (
        "news",
        "bounced",
        "reputation",
        "550 5.7.1 likely unsolicited x",
    )


def test_a_small_domain_that_says_what_google_says_is_not_google() -> None:
    world = World()
    text = "host mx.evil.example[192.0.2.66] said: 550 5.7.1 likely unsolicited (in reply to end of DATA command)"
    [given] = world.feed(attempt(START, "A1234", status="bounced", relay="gmail-smtp-in.l.google.com.evil.example", text=text))

    assert isinstance(given, Classified)
    assert (given.operator, given.reply_class) == ("other", "unclassified")


def test_an_attempt_without_a_relay_belongs_to_the_operator_last_seen_behind_the_domain() -> None:
    world = World()
    gone = [
        attempt(START + n, f"B123{n}", f"a@{domain}", "deferred", relay=None)
        for n, domain in enumerate(["corp.test", "gmail.example", "new.test"])
    ]
    world.feed(attempt(START, "A1234", "b@Corp.test", relay="aspmx.l.google.com"))
    operators = [given.operator for given in world.feed(*gone) if isinstance(given, Classified)]
    world.feed(attempt(START, "C1234", "b@corp.test", relay="mx.elsewhere.test"))
    later = world.feed(attempt(START, "C1234", "a@corp.test", relay=None))

    assert operators == ["google", "google", "unknown"]
    assert [given.operator for given in later if isinstance(given, Classified)] == ["other"]


def test_no_more_domains_are_remembered_than_allowed_the_oldest_goes_first() -> None:
    world = World(limits=Limits(max_domains=3))
    for number in range(6):
        world.feed(attempt(START + number, "A1234", f"a@d{number}.test", relay="aspmx.l.google.com"))
        world.commit()

    assert sorted(world.book.domains) == ["d3.test", "d4.test", "d5.test"]


# -- messages that came before our time


def test_an_old_message_that_was_never_seen_before_is_a_retry() -> None:
    world = World()
    world.feed(attempt(START, "A1234", delay=301.0), attempt(START, "B1234", delay=299.0), attempt(START, "C1234", delay=None))

    assert world.attempts == AttemptCounts(first=2, retries=1)


def test_all_recipients_of_an_old_message_are_retries_though_it_is_queued_again_first() -> None:
    world = World()
    world.feed(queued(START, "A1234"))
    world.feed(*(attempt(START + 1, "A1234", f"{name}@x.test", "deferred", delay=86_000.0) for name in "abc"))

    assert world.attempts == AttemptCounts(retries=3)


def test_a_message_that_waited_for_days_in_a_halt_has_its_first_attempt_when_it_leaves() -> None:
    world = World()
    world.feed(client(START, "A1234"), queued(START, "A1234"), signed(START, "A1234"))
    world.commit()
    world.restart(START + 3 * DAY)
    world.feed(queued(START + 3 * DAY, "A1234"), attempt(START + 3 * DAY, "A1234", delay=3 * DAY))

    assert world.attempts == AttemptCounts(first=1)


def test_recipients_that_were_tried_stay_tried_when_the_message_is_requeued() -> None:
    world = World()
    world.feed(client(START, "A1234"), queued(START, "A1234"), signed(START, "A1234"))
    world.feed(attempt(START, "A1234", "a@x.test", "deferred"), attempt(START, "A1234", "b@x.test", "deferred"))
    world.feed(pickup(START + 600, "B1234", orig="A1234"), queued(START + 601, "B1234"))
    world.feed(*(attempt(START + 602, "B1234", f"{name}@x.test", delay=602.0) for name in "abc"))

    assert world.attempts == AttemptCounts(first=3, retries=2)
    assert world.messages == MessageCounts(injected=1, signed=1)
    assert world.open_ids == ["B1234"]


def test_a_requeued_message_of_unknown_origin_is_one_of_no_stream() -> None:
    world = World()
    world.feed(pickup(START, "B1234", orig="A1234"), queued(START, "B1234"), attempt(START, "B1234"))

    assert world.attempts == AttemptCounts(first=1)
    assert world.messages == MessageCounts()


# -- messages and signatures


def test_a_message_of_the_stream_without_a_signature_is_unsigned_after_the_grace_time() -> None:
    world = World()
    world.feed(client(START, "A1234"), queued(START + 1, "A1234"))
    world.correlator.advance(START + 1 + GRACE - 0.001)
    before = world.messages
    world.correlator.advance(START + 1 + GRACE)

    assert before == MessageCounts(injected=1)
    assert world.messages == MessageCounts(injected=1, unsigned=1)


def test_the_signature_counts_whether_it_is_read_before_or_after_the_queue_lines() -> None:
    for order in ((signed, client, queued), (client, signed, queued), (client, queued, signed)):
        world = World()
        world.feed(*(make(START, "A1234") for make in order))
        world.correlator.advance(START + 1000)
        assert world.messages == MessageCounts(injected=1, signed=1)


def test_a_signature_that_comes_after_removed_still_counts() -> None:
    world = World()
    world.feed(client(START, "A1234"), queued(START, "A1234"), attempt(START, "A1234"), removed(START, "A1234"))
    world.correlator.advance(START + GRACE - 1)
    waiting = world.open_ids
    world.feed(signed(START, "A1234"))
    world.correlator.advance(START + 1000)

    assert waiting == ["A1234"]
    assert world.messages == MessageCounts(injected=1, signed=1)
    assert world.open_ids == []


def test_a_late_signature_takes_the_unsigned_back() -> None:
    world = World()
    world.feed(client(START, "A1234"), queued(START, "A1234"))
    world.correlator.advance(START + 60)
    before = world.messages
    world.feed(signed(START + 61, "A1234"))

    assert before == MessageCounts(injected=1, unsigned=1)
    assert world.messages == MessageCounts(injected=1, signed=1)
    assert world.tally.readings(START + 60).hour.messages["news"] == MessageCounts(injected=1, signed=1)


def test_a_second_signature_changes_nothing() -> None:
    world = World()
    world.feed(client(START, "A1234"), signed(START, "A1234"), signed(START, "A1234", "example.net"), queued(START, "A1234"))
    world.feed(signed(START, "A1234", "example.com"))

    assert world.messages == MessageCounts(injected=1, signed=1)


def test_signed_cron_mail_does_not_hide_unsigned_campaign_mail() -> None:
    world = World()
    for number in range(20):
        world.feed(pickup(START, f"C000{number}"), signed(START, f"C000{number}"), queued(START, f"C000{number}"))
        world.feed(client(START, f"A000{number}"), queued(START, f"A000{number}"))
    world.correlator.advance(START + 1000)

    assert world.messages == MessageCounts(injected=20, unsigned=20)


def test_retries_and_reloads_do_not_inject_a_message_again() -> None:
    world = World()
    world.feed(client(START, "A1234"), *(queued(START + step, "A1234") for step in (0, 10, 300, 300)))
    world.correlator.advance(START + 1000)

    assert world.messages == MessageCounts(injected=1, unsigned=1)


def test_mail_of_strangers_and_of_null_senders_is_not_injected() -> None:
    world = World()
    world.feed(
        client(START, "A1234", "192.0.2.9"), queued(START, "A1234"), client(START, "B1234"), queued(START, "B1234", sender="")
    )
    world.correlator.advance(START + 1000)

    assert world.messages == MessageCounts()


def test_a_clock_that_steps_back_keeps_no_later_message_from_being_judged() -> None:
    world = World()
    world.feed(client(START + 3600, "A1234"), queued(START + 3600, "A1234"))
    world.feed(client(START, "B1234"), queued(START, "B1234"))
    world.correlator.advance(START + GRACE)

    assert world.messages == MessageCounts(injected=2, unsigned=1)


def test_without_a_grace_time_nothing_is_judged() -> None:
    world = World(grace_s=None)
    world.feed(
        client(START, "A1234"), queued(START, "A1234"), client(START, "B1234"), signed(START, "B1234"), queued(START, "B1234")
    )
    world.feed(removed(START, "A1234"), removed(START, "B1234"))
    world.correlator.advance(START + 1000)

    assert world.messages == MessageCounts(injected=2)
    assert world.open_ids == []
    assert world.correlator.deadline == inf


def test_mail_that_was_queued_while_nobody_signed_is_not_unsigned_when_somebody_does() -> None:
    world = World(grace_s=None)
    world.feed(
        client(START, "A1234"), queued(START, "A1234"), client(START, "B1234"), signed(START, "B1234"), queued(START, "B1234")
    )
    world.reconfigure(GRACE)
    world.feed(signed(START + 1, "A1234"), client(START + 2, "C1234"), queued(START + 2, "C1234"))
    world.correlator.advance(START + 1000)

    assert world.messages == MessageCounts(injected=3, unsigned=1)


@pytest.mark.parametrize("restart", [True, False])
def test_nothing_waits_for_ever_when_nobody_signs_any_more(restart: bool) -> None:
    world = World()
    world.feed(client(START, "A1234"), queued(START, "A1234"), removed(START, "A1234"))
    world.commit()
    if restart:
        world.grace_s = None
        world.restart()
    else:
        world.reconfigure(None)
    world.commit()

    assert world.open_ids == []
    assert not world.book.open
    assert world.messages == MessageCounts(injected=1)


def test_what_waits_for_its_signature_is_unverified_until_it_is_judged() -> None:
    world = World()
    for number in range(3):
        world.feed(client(START + number, f"A000{number}"), queued(START + number, f"A000{number}"))
    world.feed(signed(START, "A0001"))

    assert world.correlator.unverified(START + 1) == {"news": 1}
    assert world.correlator.unverified(START + 2) == {"news": 2}
    assert world.correlator.deadline == START + GRACE
    world.correlator.advance(START + 1000)
    assert world.correlator.unverified(START + 1000) == {}
    assert world.correlator.deadline == inf


def test_an_expired_message_is_counted_for_its_stream() -> None:
    world = World()
    world.feed(client(START, "A1234"), queued(START, "A1234"), expired(START + DAY, "A1234"))
    world.feed(expired(START, "B1234"), expired(START, "N1234", sender=""))
    world.feed(notification(START, "A1234", "N2345"), expired(START, "N2345", sender="postmaster@example.org"))

    assert {name: counts.expired for name, counts in world.tally.message_totals().items()} == {"news": 1, "none": 1}


# -- sessions without their milter


def test_a_message_from_a_session_whose_milter_is_gone_is_told_at_once() -> None:
    world = World()
    given = world.feed(milter_gone(START), client(START + 1, "A1234"), queued(START + 2, "A1234"))

    assert given == [Unfiltered(START + 2, "news", "A1234", "milter inet:127.0.0.1:8891: Connection refused")]


@pytest.mark.parametrize("line", ["disconnect from app[172.18.0.5] ehlo=1 commands=1", "connect from app[172.18.0.5]"])
def test_the_next_session_of_the_same_process_is_innocent(line: str) -> None:
    world = World()

    assert world.feed(milter_gone(START), said(START + 1, line), client(START + 2, "A1234"), queued(START + 2, "A1234")) == []


@pytest.mark.parametrize(
    "other",
    [
        [said(START, "disconnect from x[192.0.2.4]", pid=2)],
        [said(START, "disconnect from x[192.0.2.4]", tag="postfix/submission/smtpd")],
        [said(START, "lost connection after DATA from app[172.18.0.5]")],
        [events.MessageId(START, "mx", "postfix/cleanup", 1, "A1234", "connect from ")],
    ],
)
def test_the_end_of_another_session_changes_nothing(other: list[events.Other | events.MessageId]) -> None:
    world = World()

    assert len(world.feed(milter_gone(START), *other, client(START + 2, "A1234"), queued(START + 2, "A1234"))) == 1


def test_other_processes_later_sessions_signed_mail_and_strangers_are_not_unfiltered() -> None:
    world = World()
    world.feed(milter_gone(START))

    assert world.feed(client(START, "A1234", pid=2), queued(START, "A1234")) == []
    assert world.feed(client(START + 301, "B1234"), queued(START + 301, "B1234")) == []
    assert world.feed(client(START, "C1234"), signed(START, "C1234"), queued(START, "C1234")) == []
    assert world.feed(client(START, "D1234", "192.0.2.9"), queued(START, "D1234")) == []


def test_the_ends_of_sessions_matter_only_while_one_is_without_its_milter() -> None:
    world = World()
    seen = [world.correlator.watches_sessions]
    for event in (milter_gone(START), said(START, "lost connection after x"), said(START, "disconnect from x[192.0.2.4]")):
        world.feed(event)
        seen.append(world.correlator.watches_sessions)

    assert seen == [False, True, True, False]


def test_no_number_of_processes_without_a_milter_fills_the_memory() -> None:
    world = World()
    for pid in range(2500):
        world.feed(milter_gone(START, pid=pid))

    assert len(world.feed(client(START, "A1234", pid=2499), queued(START, "A1234"))) == 1
    assert len(world.correlator._blind) <= 1000


# -- memory


def test_nothing_is_remembered_of_a_message_that_is_gone() -> None:
    world = World()
    world.feed(pickup(START, "C1234"), queued(START, "C1234"), attempt(START, "C1234"), removed(START, "C1234"))
    world.feed(removed(START, "UNKNOWN1"))

    assert world.open_ids == []


def test_a_message_that_a_milter_refuses_at_its_end_is_gone() -> None:
    world = World()
    world.feed(client(START, "A1234"), milter_reject(START, "A1234"))

    assert world.open_ids == []


def test_a_refused_recipient_or_a_late_or_unknown_refusal_changes_nothing() -> None:
    world = World()
    world.feed(client(START, "A1234"), milter_reject(START, "A1234", "RCPT"), milter_reject(START, None, "CONNECT"))
    world.feed(milter_reject(START, "B1234"), client(START, "C1234"), queued(START, "C1234"), milter_reject(START, "C1234"))

    assert world.open_ids == ["A1234", "C1234"]


def test_transactions_that_strangers_break_off_are_forgotten_after_an_hour() -> None:
    world = World()
    world.feed(
        client(START, "A1234", "192.0.2.9"), pickup(START, "C1234"), signed(START, "D1234"), notification(START, "X", "N1234")
    )
    world.feed(client(START, "B1234"))
    world.correlator.advance(START + 3600)
    before = world.open_ids
    world.correlator.advance(START + 3601)

    assert sorted(before) == ["A1234", "B1234", "C1234", "D1234", "N1234"]
    assert world.open_ids == ["B1234"], "a message of the stream may be on hold for days"


def test_a_restart_forgets_the_same_at_the_same_time() -> None:
    world = World()
    world.feed(client(START, "A1234", "192.0.2.9"), pickup(START, "C1234"), signed(START, "D1234"), client(START, "B1234"))
    world.commit()
    world.restart()
    world.correlator.advance(START + 3600)
    before = world.open_ids
    world.correlator.advance(START + 3601)
    world.commit()

    assert len(before) == 4
    assert world.open_ids == ["B1234"]
    assert set(world.book.open) == {"B1234"}


def test_a_message_that_is_queued_after_its_stub_was_noted_is_kept() -> None:
    world = World()
    world.feed(signed(START + 1, "A1234"), client(START, "A1234", "192.0.2.9"), queued(START + 2, "A1234"))
    world.feed(signed(START, "B1234"), attempt(START, "B1234"))
    world.correlator.advance(START + 7200)

    assert world.open_ids == ["A1234", "B1234"]


def test_no_number_of_queue_ids_fills_the_memory() -> None:
    limit = 1000
    world = World(limits=Limits(max_open_messages=limit))
    for number in range(100_000):
        world.feed(client(START + number / 1000, f"A{number:07d}", "192.0.2.9" if number % 2 else "172.18.0.5"))
        if number % 3 == 0:
            world.feed(queued(START + number / 1000, f"A{number:07d}"))
        assert world.correlator.open_messages <= limit

    assert world.correlator.evicted == 100_000 - world.correlator.open_messages
    assert world.correlator.open_messages > limit * 0.98, "only the oldest hundredth goes at once"
    assert max(len(world.correlator._coverage), len(world.correlator._stubs)) <= limit
    assert world.open_ids[-1] == "A0099999"
    assert world.correlator.unverified(START + 1000) == {
        "news": sum(1 for number in range(100_000 - len(world.open_ids), 100_000) if number % 6 == 0)
    }


def test_what_was_thrown_out_leaves_the_store_too() -> None:
    world = World(limits=Limits(max_open_messages=100))
    for number in range(500):
        world.feed(client(START, f"A{number:07d}"), queued(START, f"A{number:07d}"))
        if number % 50 == 0:
            world.commit()
    world.commit()

    assert set(world.book.open) == set(world.open_ids)


def test_a_message_that_came_and_went_between_two_commits_is_never_written() -> None:
    world = World()
    world.feed(pickup(START, "C1234"), queued(START, "C1234"), attempt(START, "C1234"), removed(START, "C1234"))
    deltas = world.correlator.take_deltas()

    assert (deltas.open_put, deltas.open_removed) == ({}, set())


def test_what_is_written_does_not_change_while_counting_goes_on() -> None:
    world = World()
    world.feed(
        client(START, "A1234"), queued(START, "A1234"), attempt(START, "A1234", "a@x.test"), attempt(START, "A1234", "b@x.test")
    )
    [written] = world.correlator.take_deltas().open_put.values()
    world.feed(attempt(START, "A1234", "c@x.test"), signed(START, "A1234"))

    assert (written.recipient, written.others, written.signed) == ("a@x.test", {"b@x.test"}, False)


def test_a_replay_without_a_store_writes_nothing() -> None:
    world = World()
    world.feed(client(START, "A1234"), attempt(START, "A1234"))
    world.correlator.drop_deltas()
    deltas = world.correlator.take_deltas()

    assert (deltas.open_put, deltas.domains_put) == ({}, [])


def test_an_event_without_a_time_has_that_of_the_event_before_it() -> None:
    world = World()
    world.feed(client(START + 120, "A1234"), attempt(None, "A1234"))

    assert [bucket.start for bucket in world.tally.take_deltas().attempts] == [START + 120]
    assert world.correlator.last_at == START + 120
