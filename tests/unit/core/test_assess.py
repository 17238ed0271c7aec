"""What an attempt's own line tells, and what bounds the memory of it."""

from __future__ import annotations

from pwmtad.core.assess import Assessed, Assessor
from pwmtad.core.classify import Classifier
from pwmtad.core.postfix_log import delivery
from pwmtad.model.counters import AttemptKey
from pwmtad.model.names import OperatorName, ReplyClass
from tests.unit.core.correlating import GOOGLE, ROUTES, RULES

BLOCKED = "host mx.google.com[192.0.2.1] said: 550-5.7.1 likely unsolicited mail (in reply to end of DATA command)"


def assessor() -> Assessor:
    return Assessor(ROUTES, Classifier(RULES))


def assessed(
    text: str, *, relay: str = "mx.google.com[192.0.2.1]:25", status: str = "bounced", by: str = "out05/smtp"
) -> Assessed | None:
    line = f"4XkJ2l1zq00001: to=<a@Gmail.Example.>, relay={relay}, delay=1, delays=0/0/0/1, dsn=5.7.1, status={status} ({text})"
    attempt = delivery(0.0, "mail", f"postfix/{by}", 1, line)
    assert attempt is not None
    told = assessor().told(attempt)
    return None if told is None else assessor().assessed(told)


def test_a_refusal_is_given_its_operator_its_egress_and_its_meaning() -> None:
    found = assessed(BLOCKED)
    assert found is not None
    assert found.key == AttemptKey("news", "out05", "google", "bounced", "reputation")
    assert (found.domain, found.meaning.rule, found.meaning.reason) == (
        "gmail.example", "google-unsolicited", "550 5.7.1 likely unsolicited mail",
    )  # fmt: skip


def test_without_a_relay_somebody_else_must_tell_the_operator() -> None:
    found = assessed("connection timed out", relay="none", status="DEFERRED")
    assert found is not None
    assert (found.key, found.status, found.meaning.reply_class) == (None, "deferred", None)
    key, meaning = assessor().completed(found, GOOGLE)
    assert (key.operator, key.status, meaning.reply_class) == ("google", "deferred", ReplyClass.UNCLASSIFIED)


def test_what_was_discarded_without_a_relay_is_sent_all_the_same() -> None:
    found = assessed("ok", relay="none", status="sent")
    assert found is not None
    key, meaning = assessor().completed(found, OperatorName("unknown"))
    assert (key, meaning) == (AttemptKey("news", "out05", "unknown", "sent", ""), (None, None, None))


def test_probes_and_local_deliveries_do_not_count() -> None:
    assert assessed("ok", status="deliverable") is None
    assert assessed("ok", status="sent", by="local") is None


def test_a_flood_of_different_replies_and_keys_does_not_grow_the_memory() -> None:
    one = assessor()
    for number in range(5000):
        meaning = one.meaning(GOOGLE, f"{BLOCKED} {number}", "5.7.1")
        assert meaning.reply_class is ReplyClass.REPUTATION
        one.key("news", f"out{number}", GOOGLE, "bounced", None)
        one.key("news", f"out{number}", GOOGLE, "sent", None)
        one.key("news", f"out{number}", GOOGLE, "deferred", None)
    assert one.meaning(GOOGLE, BLOCKED + "x" * 1000, "5.7.1").reply_class is ReplyClass.REPUTATION
    assert (len(one._meanings), len(one._keys)) <= (4096, 10_000)
