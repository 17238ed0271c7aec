"""Evidence windows: which stop rules an attempt speaks for, and when they have enough.

Windows mean what they say: a rule of "3 in 1 h" looks at the hour before its newest piece of evidence, by the lines' own times.
Counting is per operator over all its MX hosts and tenants: a ban that each of a thousand tenants tells once must show.
Evidence counts only from an operator's own relays, and never from notifications: who sends us mail that bounces could
otherwise choose what an operator refuses.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from pwmtad.core.correlate import Classified
from pwmtad.core.tally import Column
from pwmtad.core.text import clean, domain_of
from pwmtad.model.judgement import Evidence, Scope, StopRule
from pwmtad.model.names import OTHER_OPERATOR, UNKNOWN_OPERATOR, Instant, ReplyClass

TEXT_LIMIT: Final = 300
"""Characters of a quoted reply: the longest shipped sample has 260."""
_MAX_HITS: Final = 10_000
"""Pieces of evidence per window; more than any sensible threshold, so that a flood costs no memory."""
_NOT_KNOWN: Final = frozenset({OTHER_OPERATOR, UNKNOWN_OPERATOR})


class Fired(NamedTuple):
    """A rule that has enough, and on what."""

    rule: StopRule
    stream: str
    operator: str
    egress: str
    evidence: tuple[Evidence, ...]
    """The newest pieces, oldest first, as many as the rule asks for (at most 10)."""


class _Window:
    """The hits of one rule at one operator (and egress) within the rule's window."""

    __slots__ = ("attempts", "hits", "recipients")

    def __init__(self) -> None:
        self.hits: deque[Evidence] = deque()
        self.recipients: dict[str, int] = {}
        self.attempts: deque[Instant] = deque()
        """Times of attempts that ended at the operator; only kept for rules with a share."""

    def add(self, hit: Evidence, span_s: float) -> None:
        """Add a hit and drop those that are out of the window, or too many."""
        self.hits.append(hit)
        if hit.recipient:
            self.recipients[hit.recipient] = self.recipients.get(hit.recipient, 0) + 1
        newest = max(hit.at, self.hits[0].at)
        while self.hits and (self.hits[0].at <= newest - span_s or len(self.hits) > _MAX_HITS):
            self._drop(self.hits.popleft())

    def _drop(self, hit: Evidence) -> None:
        if not hit.recipient:
            return
        left = self.recipients[hit.recipient] - 1
        if left:
            self.recipients[hit.recipient] = left
        else:
            del self.recipients[hit.recipient]


class EvidenceBook:
    """All windows of all rules. Feed it classified attempts in the order of the log."""

    def __init__(self, rules: Sequence[StopRule]) -> None:
        self._rules = tuple(rules)
        self._windows: dict[tuple[str, str, str, str], _Window] = {}
        self._kept: deque[Evidence] = deque()
        self._longest_s = max((rule.window_s for rule in self._rules), default=0)
        self._matching: dict[tuple[str, str, str], tuple[StopRule, ...]] = {}
        self._counting: dict[str, tuple[StopRule, ...]] = {}

    @property
    def rules(self) -> tuple[StopRule, ...]:
        """The rules in force."""
        return self._rules

    def see(self, counted: Classified, at: Instant) -> tuple[Evidence | None, list[Fired]]:
        """Take one attempt; return the evidence that it is (if it is any) and the rules that have enough now."""
        if counted.column is Column.NOTIFICATIONS or counted.operator in _NOT_KNOWN:
            return None, []
        if counted.attempt.relay_host is None:
            return None, []
        self._count_attempt(counted, at)
        if counted.reply_class is None:
            return None, []
        rules = self._rules_for(counted.operator, counted.reply_class.value, counted.rule or "")
        if not rules:
            return None, []
        evidence = evidence_of(counted, at)
        self._keep(evidence)
        return evidence, self._judge(evidence, rules)

    def load(self, evidence: Iterable[Evidence]) -> None:
        """Refill the windows from the store. Nothing fires: what had to was decided when it was new."""
        for piece in evidence:
            self._keep(piece)
            for rule in self._rules_for(piece.operator, piece.reply_class, piece.rule):
                self._window(rule, piece.stream, piece.operator, piece.egress).add(piece, rule.window_s)

    def replace_rules(self, rules: Sequence[StopRule]) -> None:
        """Take other rules; the evidence that is still kept counts for them as well."""
        kept = list(self._kept)
        self.__init__(rules)  # type: ignore[misc]  # every attribute is made anew
        self.load(kept)

    def quiet(self, rule_id: str, stream: str, since: Instant) -> bool:
        """Whether no evidence for the rule came after `since` in the stream."""
        return not any(
            key[0] == rule_id and key[1] == stream and window.hits and window.hits[-1].at > since
            for key, window in self._windows.items()
        )

    def _judge(self, evidence: Evidence, rules: Sequence[StopRule]) -> list[Fired]:
        fired = []
        for rule in rules:
            window = self._window(rule, evidence.stream, evidence.operator, evidence.egress)
            window.add(evidence, rule.window_s)
            if self._enough(rule, window, evidence):
                quoted = tuple(list(window.hits)[-min(10, max(rule.count, 1)) :])
                fired.append(Fired(rule, evidence.stream, evidence.operator, evidence.egress, quoted))
        return fired

    def _enough(self, rule: StopRule, window: _Window, evidence: Evidence) -> bool:
        if len(window.hits) < rule.count or len(window.recipients) < rule.distinct_recipients:
            return False
        if rule.share is None:
            return True
        while window.attempts and window.attempts[0] <= evidence.at - rule.window_s:
            window.attempts.popleft()
        total = len(window.attempts)
        return total >= rule.min_sample and len(window.hits) > rule.share * total

    def _count_attempt(self, counted: Classified, at: Instant) -> None:
        """For rules with a share: the denominator is attempts that ended at the operator's relays, retries included."""
        rules = self._counting.get(counted.operator)
        if rules is None:
            rules = tuple(r for r in self._rules if r.share is not None and _covers(r, counted.operator))
            self._counting[counted.operator] = rules
        for rule in rules:
            window = self._window(rule, counted.stream, counted.operator, counted.egress)
            window.attempts.append(at)
            while len(window.attempts) > _MAX_HITS or window.attempts[0] <= at - rule.window_s:
                window.attempts.popleft()

    def _rules_for(self, operator: str, reply_class: str, reply_rule: str) -> tuple[StopRule, ...]:
        key = (operator, reply_class, reply_rule)
        rules = self._matching.get(key)
        if rules is None:
            rules = tuple(
                rule
                for rule in self._rules
                if _covers(rule, operator) and (reply_class in rule.classes or reply_rule in rule.reply_rules)
            )
            self._matching[key] = rules
        return rules

    def _window(self, rule: StopRule, stream: str, operator: str, egress: str) -> _Window:
        key = (rule.id, stream, operator, egress if rule.scope is Scope.EGRESS else "")
        window = self._windows.get(key)
        if window is None:
            window = self._windows[key] = _Window()
        return window

    def _keep(self, evidence: Evidence) -> None:
        self._kept.append(evidence)
        while self._kept and (self._kept[0].at <= evidence.at - self._longest_s or len(self._kept) > _MAX_HITS):
            self._kept.popleft()


def evidence_of(counted: Classified, at: Instant) -> Evidence:
    """Return what is kept of an attempt: no address, and the reply cleaned and bounded."""
    attempt = counted.attempt
    reply_class: ReplyClass | None = counted.reply_class
    return Evidence(
        at=at,
        stream=counted.stream,
        egress=counted.egress,
        operator=counted.operator,
        reply_class=reply_class.value if reply_class is not None else "",
        rule=counted.rule or "",
        queue_id=clean(attempt.queue_id, 30),
        recipient=hashlib.sha256(attempt.recipient.lower().encode("utf-8", "replace")).hexdigest()[:16],
        recipient_domain=clean(domain_of(attempt.recipient), 255),
        relay_host=clean(attempt.relay_host or "", 255),
        text=clean(attempt.text, TEXT_LIMIT),
    )


def _covers(rule: StopRule, operator: str) -> bool:
    if operator in _NOT_KNOWN or operator in rule.excluded_operators:
        return False
    return not rule.operators or operator in rule.operators
