"""Joins events by queue id and counts: first attempts, retries, outcomes and classes, and DKIM coverage per stream.

The result does not depend on how two sources interleave: what is known of a queue id is kept until both have spoken or
the grace time has passed on the slower of them. State per queue id is bounded; what is thrown out early is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from heapq import heappop, heappush
from itertools import islice
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from pwmtad.core.assess import Assessed, Assessor, Weighed
from pwmtad.core.attribution import Routes
from pwmtad.core.classify import Classifier
from pwmtad.core.coverage import SESSION_EDGES, BlindSessions, Coverage, Unfiltered, session_of
from pwmtad.core.domains import DomainMemory
from pwmtad.core.tally import FIRST, NOTIFICATIONS, RETRIES, Column, MessageColumn, Tally
from pwmtad.model import events
from pwmtad.model.counters import DAY_S, MINUTE_S, DomainOperator, OpenMessage, ReasonKey
from pwmtad.model.events import AnyEvent, Event
from pwmtad.model.ledger import Ledger
from pwmtad.model.names import NO_STREAM, UNKNOWN_OPERATOR, Instant, OperatorName, QueueId, ReplyClass, RuleId

_RETRY_DELAY_S: Final = 300.0
"""minimal_backoff_time's default (postconf(5)): a message that is older than what we know of it by more was tried before."""
_STUB_S: Final = 3600.0
"""What is no stream's and was not queued for so long never will be: its transaction was broken off, or was before our time."""
_END_OF_MESSAGE: Final = "END-OF-MESSAGE"


class Limits(Struct, frozen=True):
    """What bounds the correlator's memory, whatever the queue ids do."""

    max_open_messages: int = 100_000
    max_domains: int = 10_000


class Classified(Struct, frozen=True, gc=False):
    """An attempt that was counted, with what the rules say: the raw material of evidence."""

    attempt: Assessed
    stream: str
    egress: str
    operator: str
    reply_class: ReplyClass | None
    """None for an attempt that was sent."""
    rule: RuleId | None
    column: Column
    domain: str
    """The recipient's; see `text.domain_of`."""


class StateDeltas(Struct, frozen=True):
    """What changed in the correlator's memory since the last commit."""

    open_put: dict[QueueId, OpenMessage]
    open_removed: set[QueueId]
    domains_put: list[DomainOperator]
    domains_removed: list[str]


class Correlator:
    """Feed it events in the order they were read; move it on with `advance`."""

    def __init__(self, *, routes: Routes, classifier: Classifier, tally: Tally, limits: Limits, grace_s: float | None) -> None:
        """`grace_s`: how long a signature may come after the message was queued; None: nobody signs, nothing is judged."""
        self._routes = routes
        self._classifier = classifier
        self.assessor = Assessor(routes, classifier)
        self._tally = tally
        self._limits = limits
        self._open: dict[str, OpenMessage] = {}
        self._coverage = Coverage(tally, grace_s=grace_s, most=limits.max_open_messages)
        self._blind = BlindSessions()
        # A heap: after a step back of the clock the first line to come is not the first to be due.
        self._stubs: list[tuple[Instant, str]] = []
        self._domains = DomainMemory()
        self._dirty: set[str] = set()
        self._stored: set[str] = set()
        self._last_at: Instant = 0.0
        self.evicted = 0
        """Queue ids forgotten before `removed`, because too many were open."""
        self.restarted = 0
        """Queue ids used again before their last message was judged (short ids)."""
        self._on: dict[type[Event], Callable[..., Classified | Unfiltered | None]] = {
            events.Attempt: self._attempt,
            events.Client: lambda event, at: self.client(
                event.queue_id, at, self._routes.injector(event.client_ip, event.tag), session_of(event)
            ),
            events.Pickup: self._pickup,
            events.Queued: lambda event, at: self.queued(event.queue_id, at, null_sender=event.sender == ""),
            events.Removed: lambda event, at: self.removed(event.queue_id, at),
            events.Expired: self._expired,
            events.Notification: self._notification,
            events.MilterReject: self._milter_reject,
            events.Signed: lambda event, at: self.signed(event.queue_id, at),
            events.MilterUnreachable: self._blind.begin,
        }
        self.feeds = frozenset(self._on)
        """Events that change what is known of a queue id; others need not be fed, but for `watches_sessions`."""

    def reconfigure(self, *, routes: Routes, classifier: Classifier, limits: Limits, grace_s: float | None) -> None:
        """Replace what a reload may replace; what is open stays open."""
        self._routes = routes
        self._classifier = classifier
        self.assessor = Assessor(routes, classifier)
        self._limits = limits
        self._await_again(grace_s)

    # -- feeding

    def feed(self, event: AnyEvent) -> Classified | Unfiltered | None:
        """Take one event; return the delivery attempt that was counted, or the message that no milter saw."""
        handler = self._on.get(type(event))
        if handler is None:
            if self._blind and isinstance(event, events.Other) and event.text.startswith(SESSION_EDGES):
                self.session(session_of(event))
            return None
        at = event.at
        if at is None:
            at = self._last_at
        else:
            self._last_at = at
        return handler(event, at)

    def assume(self, at: Instant) -> None:
        """Take `at` for lines without a readable time, until one has its own: they are not of 1970."""
        if not self._last_at:
            self._last_at = at

    def stream_of(self, queue_id: str) -> str | None:
        """Return the stream whose injector submitted an open message ('': nobody's); None: it is not known."""
        message = self._open.get(queue_id)
        return None if message is None else message.stream

    @property
    def watches_sessions(self) -> bool:
        """Whether even lines without a meaning of their own matter now: they tell where an smtpd session ends."""
        return bool(self._blind)

    def advance(self, watermark: Instant) -> None:
        """Judge coverage, where every source was read up to `watermark`; forget what can be of no use any more."""
        for queue_id, message in self._coverage.judge(watermark, self._open):
            if message.closed:
                self._forget(queue_id)
            else:
                self._dirty.add(queue_id)
        while self._stubs and self._stubs[0][0] < watermark - _STUB_S:
            at, queue_id = heappop(self._stubs)
            stub = self._open.get(queue_id)
            if stub is not None and stub.opened_at == at and _is_stub(stub):
                self._forget(queue_id)

    # -- events of the queue

    def client(self, queue_id: str, at: Instant, stream: str, session: str) -> None:
        """A client submitted a message, which is the stream's ('': nobody's). `session`: see `session_of`."""
        self._last_at = at
        message = self._begin(queue_id, at)
        message.stream = stream
        message.null_sender = False
        if not stream:
            self._note_stub(queue_id, message)
        if self._blind:
            message.unfiltered = self._blind.why(session, at)

    def _pickup(self, event: events.Pickup, at: Instant) -> None:
        message = self._begin(event.queue_id, at)
        message.null_sender = event.sender == ""
        former = self._open.get(event.orig_queue_id) if event.orig_queue_id is not None else None
        if event.orig_queue_id is None or former is None:
            self._note_stub(event.queue_id, message)
            return
        # postsuper -r: the same message goes on, so its recipients were tried and its age is what it was.
        message.opened_at = min(message.opened_at, former.opened_at)
        message.recipient, message.others = former.recipient, former.others
        self._close(event.orig_queue_id, former)

    def _milter_reject(self, event: events.MilterReject, _at: Instant) -> None:
        """A message that a milter refused at its end is deleted without a `removed` line (seen in a run of 3.7.11)."""
        message = self._open.get(event.queue_id) if event.queue_id is not None else None
        if event.queue_id is not None and message is not None and event.stage == _END_OF_MESSAGE and message.queued_at is None:
            self._forget(event.queue_id)

    def session(self, session: str) -> None:
        """An smtpd process began or ended a session: the next one finds out anew whether the milter is there."""
        self._blind.end(session)

    def queued(self, queue_id: str, at: Instant, *, null_sender: bool) -> Unfiltered | None:
        """qmgr took a message into the active queue; return it if no milter saw it."""
        self._last_at = at
        message = self._open.get(queue_id)
        if message is None:
            message = self._new(queue_id, at)
        elif message.queued_at is not None:
            return None  # again into the active queue: a retry, or a reload
        message.queued_at = at
        message.null_sender = null_sender = message.null_sender or null_sender
        self._dirty.add(queue_id)
        if message.stream and not null_sender:
            self._coverage.queued(queue_id, message, at)
            if message.unfiltered and not message.signed:
                return Unfiltered(at, message.stream, queue_id, message.unfiltered)
        return None

    def removed(self, queue_id: str, at: Instant) -> None:
        """The queue file is gone."""
        self._last_at = at
        message = self._open.get(queue_id)
        if message is not None:
            self._close(queue_id, message)

    def _close(self, queue_id: str, message: OpenMessage) -> None:
        """The queue file is gone: forget the message, unless its signature may still come from a slower source."""
        if self._coverage.awaits(message):
            message.closed = True
            self._dirty.add(queue_id)
        else:
            self._forget(queue_id)

    def _expired(self, event: events.Expired, at: Instant) -> None:
        message = self._open.get(event.queue_id)
        if event.sender and (message is None or not message.null_sender):
            stream = message.stream if message is not None else ""
            self._tally.message(int(at // MINUTE_S), stream or NO_STREAM, MessageColumn.EXPIRED)

    def _notification(self, event: events.Notification, at: Instant) -> None:
        # Before Postfix 3.11 the notification's own lines come first, from 3.11 on they come after.
        message = self._open.get(event.notification_queue_id) or self._new(event.notification_queue_id, at)
        message.null_sender = True
        self._dirty.add(event.notification_queue_id)
        self._note_stub(event.notification_queue_id, message)

    # -- signatures

    def signed(self, queue_id: str, at: Instant) -> None:
        """OpenDKIM added a signature."""
        self._last_at = at
        message = self._open.get(queue_id)
        if message is None:
            message = self._new(queue_id, at)
            self._note_stub(queue_id, message)
        if message.signed:
            return  # MultipleSignatures: one line per signature
        self._dirty.add(queue_id)
        if self._coverage.signed(message) and message.closed:
            self._forget(queue_id)

    # -- attempts

    def _attempt(self, event: events.Attempt, at: Instant) -> Classified | None:
        weighed = self.assessor.told(event)
        return None if weighed is None else self.attempt(weighed, at)

    def attempt(self, weighed: Weighed, at: Instant) -> Classified:
        """Count a delivery attempt."""
        found = self.assessor.assessed(weighed)
        self._last_at = at
        key, meaning = found.key, found.meaning
        column = self._column(found, at)
        if key is None:
            key, meaning = self.assessor.completed(found, self._operator_of(found.domain))
        elif self._domains.get(found.domain) != key.operator:
            self._domains.learn(DomainOperator(found.domain, key.operator, at), self._limits.max_domains)
        if meaning.reason is not None and meaning.reply_class is not None and column is not NOTIFICATIONS:
            reason = ReasonKey(int(at // DAY_S), found.stream, found.status, str(meaning.reply_class), meaning.reason)
            self._tally.reason(reason)
        self._tally.attempt(int(at // MINUTE_S), key, column)
        reply_class, rule, _ = meaning
        return Classified(found, found.stream, found.egress, key.operator, reply_class, rule, column, found.domain)

    def _column(self, found: Assessed, at: Instant) -> Column:
        """First attempt of the (queue id, recipient), or a retry, or a notification's."""
        queue_id, recipient = found.queue_id, found.recipient
        message = self._open.get(queue_id) or self._new(queue_id, at)
        seen = recipient == message.recipient or (message.others is not None and recipient in message.others)
        if not seen:
            if message.recipient:
                message.others = message.others or set()
                message.others.add(recipient)
            message.recipient = message.recipient or recipient
            self._dirty.add(queue_id)
        if message.null_sender:
            return NOTIFICATIONS
        # Where its submission was never read, its age tells whether it was tried before.
        retry = seen or at - (found.delay or 0.0) < message.opened_at - _RETRY_DELAY_S
        return RETRIES if retry else FIRST

    def _operator_of(self, domain: str) -> OperatorName:
        """Without a relay the operator is the one that was last seen behind the recipient's domain."""
        known = self._domains.get(domain)
        return OperatorName(known) if known else self._classifier.operator_of_domain(domain) or UNKNOWN_OPERATOR

    # -- memory

    def _begin(self, queue_id: str, at: Instant) -> OpenMessage:
        """A submission: a new message, unless only its signature came first, from the other source."""
        message = self._open.get(queue_id)
        if message is not None and message.queued_at is None and not message.recipient:
            message.opened_at = min(message.opened_at, at)
            self._dirty.add(queue_id)
            return message
        if message is not None:
            # The short id of a message whose `removed` was never read, or whose signature never came, is used again.
            if self._coverage.awaits(message):
                self.restarted += 1
            del self._open[queue_id]
        return self._new(queue_id, at)

    def _new(self, queue_id: str, at: Instant) -> OpenMessage:
        if len(self._open) >= self._limits.max_open_messages:
            self._evict()
        message = self._open[queue_id] = OpenMessage(opened_at=at)
        self._dirty.add(queue_id)
        return message

    def _evict(self) -> None:
        """Forget the oldest hundredth at once: a dictionary that loses its first entry one by one searches for it."""
        for queue_id in list(islice(self._open, max(1, self._limits.max_open_messages // 100))):
            self.evicted += 1
            self._forget(queue_id)

    def _note_stub(self, queue_id: str, message: OpenMessage) -> None:
        if _is_stub(message):
            heappush(self._stubs, (message.opened_at, queue_id))
            if len(self._stubs) > self._limits.max_open_messages:
                heappop(self._stubs)

    def _await_again(self, grace_s: float | None) -> None:
        self._coverage.restart(self._open, grace_s=grace_s, most=self._limits.max_open_messages)
        for queue_id in [q for q, message in self._open.items() if message.closed and not self._coverage.awaits(message)]:
            self._forget(queue_id)

    def _forget(self, queue_id: str) -> None:
        del self._open[queue_id]
        self._dirty.add(queue_id)

    def unverified(self, before: Instant) -> dict[str, int]:
        """Count by stream the messages queued before `before` of which nobody knows whether they are signed."""
        return self._coverage.unverified(before, self._open)

    @property
    def deadline(self) -> Instant:
        """When the grace time of the oldest message without a signature is over; far away if there is none."""
        return self._coverage.deadline

    @property
    def open_messages(self) -> int:
        """Queue ids that are open now."""
        return len(self._open)

    @property
    def last_at(self) -> Instant:
        """The time of the newest event that counted."""
        return self._last_at

    # -- store

    def take_deltas(self) -> StateDeltas:
        """Return what changed since the last call, as copies: feeding may go on while they are written. A message that
        came and went in between is not mentioned.
        """
        put = {QueueId(q): _copy(self._open[q]) for q in self._dirty if q in self._open}
        removed = {QueueId(q) for q in self._dirty if q not in self._open and q in self._stored}
        self._stored.update(put)
        self._stored.difference_update(removed)
        self._dirty = set()
        return StateDeltas(put, removed, *self._domains.take_deltas())

    def drop_deltas(self) -> None:
        """Forget what changed: there is no store (replay)."""
        self._dirty.clear()
        self._domains.take_deltas()

    def load(self, ledger: Ledger) -> None:
        """Take up where the store says the last run ended."""
        self._stored = {str(queue_id) for queue_id in ledger.open_messages}
        self._open = {str(queue_id): message for queue_id, message in ledger.open_messages.items()}
        self._await_again(self._coverage.grace_s)
        self._stubs = sorted((message.opened_at, q) for q, message in self._open.items() if _is_stub(message))
        self._domains.load(ledger.domains)

    def open_items(self) -> Iterable[tuple[str, OpenMessage]]:
        """Iterate over what is open, oldest first; for reports and tests."""
        return self._open.items()


def _is_stub(message: OpenMessage) -> bool:
    return message.queued_at is None and not message.stream and not message.recipient


def _copy(message: OpenMessage) -> OpenMessage:
    return replace(message, others=None if message.others is None else set(message.others))
