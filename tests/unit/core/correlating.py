"""A correlator with everything around it, and short names for the events that the tests feed."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Final

from pwmtad.core.attribution import Routes, StreamRoutes
from pwmtad.core.classify import Classifier
from pwmtad.core.correlate import Classified, Correlator, Limits
from pwmtad.core.coverage import Unfiltered
from pwmtad.core.tally import Tally
from pwmtad.model import events
from pwmtad.model.counters import AttemptCounts, MessageCounts
from pwmtad.model.events import AnyEvent
from pwmtad.model.names import OperatorName, ReplyClass, RuleId
from pwmtad.model.replies import Operator, ReplyRule, RuleSet
from tests.unit.core.ledgers import Book

GRACE: Final = 30.0
START: Final = 1_795_500_000.0
INJECTOR: Final = "172.18.0.5"
GOOGLE: Final = OperatorName("google")
RULES: Final = RuleSet(
    (Operator(GOOGLE, "Gmail", ("google.com",), ("gmail.example",), "test"),),
    (
        ReplyRule(
            id=RuleId("google-unsolicited"),
            reply_class=ReplyClass.REPUTATION,
            operators=(GOOGLE,),
            pattern="likely unsolicited",
            codes=(550,),
            enhanced=("5.7.1",),
            source="test",
            samples=(),
            counter_samples=(),
            where="test",
        ),
    ),
)
ROUTES: Final = Routes([StreamRoutes("news", frozenset({"out05", "out06"}), (ip_network("172.18.0.0/16"),), frozenset())], None)


class World:
    """A correlator, its tally, and a store that both can be written to and started from."""

    def __init__(self, *, grace_s: float | None = GRACE, limits: Limits | None = None) -> None:
        self.grace_s = grace_s
        self.limits = limits or Limits()
        self.book = Book()
        self.tally, self.correlator = self._parts()

    def _parts(self) -> tuple[Tally, Correlator]:
        tally = Tally(max_reasons_per_day=100)
        tally.advance(START)
        return tally, Correlator(
            routes=ROUTES, classifier=Classifier(RULES), tally=tally, limits=self.limits, grace_s=self.grace_s
        )

    def feed(self, *fed: AnyEvent) -> list[Classified | Unfiltered]:
        """Feed events; return what they gave."""
        return [given for event in fed if (given := self.correlator.feed(event)) is not None]

    def commit(self) -> None:
        """Make everything durable."""
        self.book.commit(self.tally.take_deltas(), self.correlator.take_deltas())

    def restart(self, now: float = START) -> None:
        """Forget everything that is not durable."""
        self.tally, self.correlator = self._parts()
        ledger = self.book.ledger()
        self.tally.load(ledger, now)
        self.correlator.load(ledger)

    def reconfigure(self, grace_s: float | None) -> None:
        """Give or take the grace time, as a reload does."""
        self.correlator.reconfigure(routes=ROUTES, classifier=Classifier(RULES), limits=self.limits, grace_s=grace_s)

    @property
    def messages(self) -> MessageCounts:
        """Totals of the stream's messages."""
        return self.tally.message_totals().get("news", MessageCounts())

    @property
    def attempts(self) -> AttemptCounts:
        """Totals of all attempts."""
        counts = list(self.tally.attempt_totals().values())
        return AttemptCounts(*(sum(column) for column in zip(*counts, strict=True))) if counts else AttemptCounts()

    @property
    def open_ids(self) -> list[str]:
        """Queue ids that are remembered, oldest first."""
        return [queue_id for queue_id, _ in self.correlator.open_items()]


def client(at: float, queue_id: str, ip: str = INJECTOR, *, tag: str = "postfix/smtpd", pid: int = 1) -> events.Client:
    return events.Client(at, "mx", tag, pid, queue_id, "app", ip, None)


def pickup(at: float, queue_id: str, sender: str = "root@example.org", orig: str | None = None) -> events.Pickup:
    return events.Pickup(at, "mx", "postfix/pickup", 2, queue_id, 0, sender, orig)


def queued(at: float, queue_id: str, sender: str = "news@example.org") -> events.Queued:
    return events.Queued(at, "mx", "postfix/qmgr", 3, queue_id, sender, 1000, 1)


def removed(at: float, queue_id: str) -> events.Removed:
    return events.Removed(at, "mx", "postfix/qmgr", 3, queue_id)


def expired(at: float, queue_id: str, sender: str = "news@example.org") -> events.Expired:
    return events.Expired(at, "mx", "postfix/qmgr", 3, queue_id, sender, "expired")


def notification(at: float, queue_id: str, new_id: str) -> events.Notification:
    return events.Notification(at, "mx", "postfix/bounce", 4, queue_id, "sender non-delivery", new_id)


def signed(at: float, queue_id: str, domain: str = "example.org") -> events.Signed:
    return events.Signed(at, "mx", "opendkim", 5, queue_id, "mail", domain)


def milter_reject(at: float, queue_id: str | None, stage: str = "END-OF-MESSAGE") -> events.MilterReject:
    return events.MilterReject(at, "mx", "postfix/cleanup", 6, queue_id, stage, "4.7.1 no")


def milter_gone(at: float, *, tag: str = "postfix/smtpd", pid: int = 1) -> events.MilterUnreachable:
    return events.MilterUnreachable(at, "mx", tag, pid, "inet:127.0.0.1:8891", "Connection refused")


def said(at: float, text: str, *, tag: str = "postfix/smtpd", pid: int = 1) -> events.Other:
    return events.Other(at, "mx", tag, pid, None, text)


def attempt(
    at: float | None,
    queue_id: str,
    recipient: str = "anna@example.net",
    status: str = "sent",
    *,
    text: str = "250 ok",
    relay: str | None = "mx1.example.net",
    tag: str = "postfix/out05/smtp",
    delay: float | None = 1.0,
) -> events.Attempt:
    return events.Attempt(
        at, "mx", tag, 7, queue_id, recipient, None, relay, None, None, None, delay, "0/0/0/1", "2.0.0", status, text
    )
