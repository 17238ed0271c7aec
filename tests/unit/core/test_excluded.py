"""Mail to domains that must not be mailed waits in the queue; somebody is told, once an hour and stream."""

from __future__ import annotations

import pytest

from pwmtad.core import excluded
from pwmtad.core.excluded import PARKED_RULE, ParkedWatch
from pwmtad.core.policy import Policy
from pwmtad.model import events
from pwmtad.model.judgement import RecordKind
from tests.tools.judging import HOUR, START, Run, settings_of
from tests.unit.core.test_observe_judging import batch, campaign, observer_of, settings, stamp

KEPT_OUT = frozenset({"yahoo.com", "ymail.com"})


def parked(queue_id: str = "4XkJ2l1zq9z1", recipient: str = "alice@yahoo.com") -> events.LocalDeferral:
    return events.LocalDeferral(
        at=START,
        host="mail",
        tag="postfix/error",
        pid=1,
        queue_id=queue_id,
        recipient=recipient,
        orig_recipient=None,
        relay_host=None,
        relay_ip=None,
        relay_port=None,
        conn_use=None,
        delay=0.1,
        delays="0.1/0/0/0",
        enhanced_status="4.3.2",
        status="deferred",
        text="deferred transport",
    )


def test_the_first_parked_message_is_told_with_its_domain_and_without_the_address() -> None:
    (record,) = ParkedWatch().see(parked(), "trucking", KEPT_OUT, START)
    assert (record.kind, record.stream, record.rule, record.subject) == (
        RecordKind.ALERT,
        "trucking",
        PARKED_RULE,
        "yahoo.com",
    )
    assert record.reason.startswith(
        "1 message(s) to domains that must not be mailed are parked in the queue, the last to yahoo.com"
    )
    assert [line.text for line in record.evidence] == ["4XkJ2l1zq9z1 to yahoo.com: deferred transport"]


def test_what_waits_for_another_cause_is_not_parked() -> None:
    watch = ParkedWatch()
    assert watch.see(parked(recipient="alice@example.com"), "trucking", KEPT_OUT, START) == []
    assert watch.see(parked(recipient="alice@sub.yahoo.com"), "trucking", KEPT_OUT, START) == []


def test_a_message_counts_once_however_often_it_is_tried() -> None:
    watch = ParkedWatch()
    assert len(watch.see(parked("A"), "trucking", KEPT_OUT, START)) == 1
    for minute in range(1, 60):
        assert watch.see(parked("A"), "trucking", KEPT_OUT, START + minute * 60) == []
    (record,) = watch.see(parked("B"), "trucking", KEPT_OUT, START + HOUR)
    assert record.reason.startswith("1 message(s)")


def test_many_are_told_once_an_hour_with_their_number_and_each_stream_apart() -> None:
    watch, told = ParkedWatch(), []
    for second in range(2 * HOUR + 1):
        told += watch.see(parked(f"Q{second}"), "trucking", KEPT_OUT, START + second)
    assert [int(record.reason.split()[0]) for record in told] == [1, HOUR, HOUR]
    assert len(watch.see(parked("H"), "healthcare", KEPT_OUT, START)) == 1


def test_a_clock_that_was_far_ahead_silences_nothing() -> None:
    watch = ParkedWatch()
    watch.see(parked("A"), "trucking", KEPT_OUT, START + 90_000)
    assert len(watch.see(parked("B"), "trucking", KEPT_OUT, START)) == 1


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(excluded, "_REMEMBERED", 3)
    watch, told = ParkedWatch(), []
    for turn in range(2):
        for number in range(5):
            told += watch.see(parked(f"Q{number}"), "trucking", KEPT_OUT, START + turn * 2 * HOUR)
    assert len(told) == 2


def test_a_hostile_recipient_domain_is_cleaned_and_bounded() -> None:
    domain = "yahoo\u202e\x1b" + "x" * 500
    (record,) = ParkedWatch().see(parked(recipient=f"a@{domain}"), "trucking", frozenset({domain}), START)
    text = record.reason + record.subject + record.evidence[0].text
    assert text.isprintable()
    assert len(record.subject) == 100


# -- through the guard


def test_the_guard_tells_of_parked_mail_by_the_stream_that_injected_it() -> None:
    run = Run(excluded_domains={"healthcare": KEPT_OUT})
    run.guard.deferred_here(parked("A"), "healthcare", START)
    run.guard.deferred_here(parked("B"), "", START)
    run.guard.deferred_here(parked("C"), None, START)
    run.guard.deferred_here(parked("D", "alice@example.com"), "trucking", START)
    records = run.guard.take_news()
    # What is nobody's takes the pool; whose list the domain is in makes no difference to Postfix.
    assert [(record.stream, record.rule) for record in records] == [("healthcare", PARKED_RULE), ("trucking", PARKED_RULE)]
    assert run.guard.desired(START)[0].sending


def test_without_a_pool_nobodys_parked_mail_is_nobodys_business() -> None:
    settings = settings_of()
    fixed = {"healthcare": settings.streams["healthcare"]}  # type: ignore[index]
    run = Run(settings=settings.model_copy(update={"streams": fixed}), excluded_domains={"healthcare": KEPT_OUT})
    run.guard.deferred_here(parked("A"), None, START)
    assert run.guard.take_news() == []


# -- from lines


def deferral(queue_id: str, recipient: str = "alice@yahoo.com") -> str:
    head = f"{stamp(START + 1)} mail postfix/error[9]: {queue_id}: to=<{recipient}>, relay=none, delay=0.1, delays=0.1/0/0/0, "
    return head + "dsn=4.3.2, status=deferred (deferred transport)"


def test_a_line_of_postfix_own_deferral_is_told_once_and_is_no_attempt() -> None:
    observer = observer_of()
    observer.guard.reconfigure(Policy(settings(), (), excluded_domains={"trucking": KEPT_OUT}))
    observer.take(batch(*campaign(START, 1), deferral("4XkJ2l1zq0001"), deferral("4XkJ2l1zq0001")), START + 1)
    observer.take(batch(deferral("4XkJ2l1zq0002", "bob@example.com"), deferral("4XkJ2l1zq0003")), START + 2)
    assert observer.correlator.stream_of("4XkJ2l1zq0001") == "trucking"
    assert observer.correlator.stream_of("4XkJ2l1zq0003") is None
    told = [record for record in observer.guard.take_news() if record.rule == PARKED_RULE]
    assert [(record.stream, record.reason.split()[0]) for record in told] == [("trucking", "1")]
    assert observer.guard.attempts == 0
