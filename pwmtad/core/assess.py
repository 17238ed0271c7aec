"""What a delivery attempt's own line tells: whose egress it was, whose MX answered, and what the answer means there.

Nothing here depends on other lines, so it can be done before, or elsewhere than, where attempts are counted.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple, TypeAlias

from msgspec import Struct

from pwmtad.core.attribution import Routes
from pwmtad.core.classify import Classifier
from pwmtad.core.reply import parse_reply
from pwmtad.core.text import domain_of, reason_of
from pwmtad.model import events
from pwmtad.model.counters import AttemptKey
from pwmtad.model.names import OperatorName, ReplyClass, RuleId

SENT: Final = "sent"
_REMOTE_PROGRAMS: Final = frozenset({"smtp", "lmtp"})
"""Delivery agents that talk to a remote; local(8), pipe(8), discard(8) never leave the host (discard says `sent`)."""
_COUNTED: Final = frozenset({SENT, "deferred", "bounced", "softbounce"})
"""Statuses of mail; `deliverable` and `undeliverable` are address probes (verify(8))."""
_MAX_KEYS: Final = 10_000
"""Different keys kept at hand; all that a configuration and its rules can give are far fewer."""


_MAX_MEANINGS: Final = 4096
_MAX_TEXT: Final = 400
"""Replies kept at hand, and the characters of the longest: a quarter of a campaign's refusals repeats another word by word."""


class Meaning(NamedTuple):
    """What the reply of an attempt means at an operator; all None where it was sent."""

    reply_class: ReplyClass | None
    rule: RuleId | None
    reason: str | None


class Assessed(Struct, frozen=True, gc=False):
    """An attempt that counts: what matters of its line, and what that alone tells."""

    queue_id: str
    recipient: str
    domain: str
    """The recipient's; see `text.domain_of`."""
    relay_host: str | None
    delay: float | None
    delays: str
    enhanced_status: str | None
    status: str
    """In lower case."""
    text: str
    egress: str
    stream: str
    key: AttemptKey | None
    """What it is counted by; None where no relay tells the operator, and so not the meaning either."""
    meaning: Meaning


_Line: TypeAlias = tuple[str, str, str, str | None, float | None, str, str | None, str, str, str, str]
Weighed: TypeAlias = tuple[_Line, OperatorName | None, tuple[Any, ...]]
"""The fields of Assessed up to the key, the operator that the relay tells, and the fields of Meaning if it was not sent: what
is handed from one process to another, for a third of the price of Assessed itself (own measurement).
"""
_NOTHING: Final = Meaning(None, None, None)
_NO_MEANING: Final[tuple[Any, ...]] = ()


class Assessor:
    """Looks attempts up in the routes and rules of now. Holds no state but bounded caches."""

    def __init__(self, routes: Routes, classifier: Classifier) -> None:
        self._routes = routes
        self._classifier = classifier
        self._keys: dict[tuple[str, str, OperatorName, str, ReplyClass | None], AttemptKey] = {}
        self._meanings: dict[tuple[OperatorName, str | None, str], Meaning] = {}

    def told(self, attempt: events.Attempt) -> Weighed | None:
        """Return what an attempt tells; None for one that does not count: it went to no remote, or was an address probe."""
        status = attempt.status.lower()
        if attempt.tag.rpartition("/")[2] not in _REMOTE_PROGRAMS or status not in _COUNTED:
            return None
        return self.weigh(
            self._routes.egress(attempt.tag),
            attempt.queue_id,
            attempt.recipient,
            domain_of(attempt.recipient),
            attempt.relay_host,
            attempt.delay,
            attempt.delays,
            attempt.enhanced_status,
            status,
            attempt.text,
        )

    def weigh(
        self,
        route: tuple[str, str],
        queue_id: str,
        recipient: str,
        domain: str,
        relay_host: str | None,
        delay: float | None,
        delays: str,
        enhanced_status: str | None,
        status: str,
        text: str,
    ) -> Weighed:
        """As `told`, for the parts of an attempt that counts; `route` is what Routes.egress says."""
        operator: OperatorName | None = None
        meaning = _NO_MEANING
        if relay_host is not None:
            operator = self._classifier.operator_of_relay(relay_host)
            if status != SENT:
                meaning = tuple(self.meaning(operator, text, enhanced_status))
        line = (queue_id, recipient, domain, relay_host, delay, delays, enhanced_status, status, text, *route)
        return line, operator, meaning

    def assessed(self, weighed: Weighed) -> Assessed:
        """Return an attempt with the key that it is counted by."""
        line, operator, told = weighed
        if operator is None:
            return Assessed(*line, None, _NOTHING)
        meaning = _NOTHING if not told else Meaning(*told)
        return Assessed(*line, self.key(line[10], line[9], operator, line[7], meaning.reply_class), meaning)

    def meaning(self, operator: OperatorName, text: str, enhanced_status: str | None) -> Meaning:
        """Return what the reply of an attempt that was not sent means at this operator."""
        key = (operator, enhanced_status, text)
        meaning = self._meanings.get(key)
        if meaning is None:
            reply = parse_reply(text)
            verdict = self._classifier.classify(operator, reply, enhanced_status)
            meaning = Meaning(verdict.reply_class, verdict.rule, reason_of(reply.normalised))
            if len(self._meanings) >= _MAX_MEANINGS:
                self._meanings.clear()
            if len(text) <= _MAX_TEXT:
                self._meanings[key] = meaning
        return meaning

    def completed(self, found: Assessed, operator: OperatorName) -> tuple[AttemptKey, Meaning]:
        """Return key and meaning of an attempt whose operator no relay tells."""
        meaning = _NOTHING if found.status == SENT else self.meaning(operator, found.text, found.enhanced_status)
        return self.key(found.stream, found.egress, operator, found.status, meaning.reply_class), meaning

    def key(self, stream: str, egress: str, operator: OperatorName, status: str, reply_class: ReplyClass | None) -> AttemptKey:
        """Return what such an attempt is counted by."""
        parts = (stream, egress, operator, status, reply_class)
        key = self._keys.get(parts)
        if key is None:
            if len(self._keys) >= _MAX_KEYS:
                self._keys.clear()
            key = self._keys[parts] = AttemptKey(
                stream, egress, operator, status, reply_class.value if reply_class is not None else ""
            )
        return key
