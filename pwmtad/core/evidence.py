"""Evidence windows: which stop rules an attempt speaks for, and when they have enough.

Windows mean what they say: a rule of "3 in 1 h" looks at the hour that ends with its newest piece of evidence, by the lines'
own times; a piece that is exactly an hour older is out. Counting is per operator over all its MX hosts and tenants: a ban that
each of a thousand tenants tells once must show. Evidence counts only from an operator's own relays, and never from
notifications: who sends us mail that bounces could otherwise choose what an operator refuses.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from pwmtad.core.correlate import Classified
from pwmtad.core.tally import NOTIFICATIONS
from pwmtad.core.text import clean
from pwmtad.model.counters import DAY_S, MINUTE_S, AttemptSeries
from pwmtad.model.judgement import Evidence, Scope, StopRule
from pwmtad.model.names import OTHER_OPERATOR, UNKNOWN_OPERATOR, Instant, ReplyClass

TEXT_LIMIT: Final = 300
"""Characters of a quoted reply: the longest shipped sample has 260."""
MAX_HITS: Final = 10_000
"""Pieces of evidence per window, and in all of them together for the next start: as many as the largest `count` of a rule, so
that a flood costs no memory."""
_MAX_QUOTED: Final = 10
_HOUR_MINUTES: Final = 60
_ANSWER_MINUTES: Final = DAY_S // MINUTE_S + 1
"""Answers are kept for as long as a rule with a share may look back (see config.stop_rules)."""
_INFRASTRUCTURE: Final = ReplyClass.INFRASTRUCTURE
_NOT_KNOWN: Final = frozenset({OTHER_OPERATOR, UNKNOWN_OPERATOR})


class Fired(NamedTuple):
    """A rule that has enough, and on what."""

    rule: StopRule
    stream: str
    operator: str
    egress: str
    hits: int
    """Pieces of evidence in the window."""
    recipients: int
    """Different recipients among them."""
    evidence: tuple[Evidence, ...]
    """The newest pieces, oldest first, as many as the rule asks for (at most 10)."""


class Seen(NamedTuple):
    """An attempt that is evidence for these rules, and those that have enough now."""

    evidence: Evidence
    rules: tuple[StopRule, ...]
    fired: list[Fired]


class _Window:
    """The hits of one rule at one operator (and egress) within the rule's window, in the order of their times."""

    __slots__ = ("_hits", "_recipients", "_span_s", "subject")

    def __init__(self, span_s: float, subject: str) -> None:
        self.subject = subject
        """What a halt for these hits would be about."""
        self._span_s = span_s
        self._hits: deque[tuple[Instant, Evidence]] = deque()
        self._recipients: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._hits)

    @property
    def recipients(self) -> int:
        """Different recipients."""
        return len(self._recipients)

    def add(self, hit: Evidence) -> None:
        """Add a hit and drop those that are out of the window, or too many."""
        hits = self._hits
        if hits and hit.at < hits[-1][0] - self._span_s:
            # No line comes so late: the clock was set back. What came before is not older than the clock says now.
            self._hits = hits = deque((hit.at, old) for _, old in hits)
        position = len(hits)
        while position and hits[position - 1][0] > hit.at:
            position -= 1
        hits.insert(position, (hit.at, hit))
        self._recipients[hit.recipient] = self._recipients.get(hit.recipient, 0) + 1
        begin = hits[-1][0] - self._span_s
        while hits[0][0] <= begin or len(hits) > MAX_HITS:
            self._drop(hits.popleft()[1])

    def newest(self, count: int) -> tuple[Evidence, ...]:
        """Return the newest hits, oldest first."""
        return tuple(self._hits[-number][1] for number in range(min(count, len(self._hits)), 0, -1))

    def _drop(self, hit: Evidence) -> None:
        left = self._recipients[hit.recipient] - 1
        if left:
            self._recipients[hit.recipient] = left
        else:
            del self._recipients[hit.recipient]


class _Answers:
    """How often an operator answered, by minute: the denominator of rules with a share."""

    __slots__ = ("_last", "_minutes")

    def __init__(self) -> None:
        self._minutes: dict[int, int] = {}
        self._last = 0

    def add(self, minute: int, count: int) -> None:
        """Count answers; minutes that are too far away are forgotten once an hour."""
        minutes = self._minutes
        if minute in minutes:
            minutes[minute] += count
            return
        minutes[minute] = count
        last, self._last = self._last, minute
        if minute // _HOUR_MINUTES != last // _HOUR_MINUTES:
            # Old by the line before as well: one with a wrong date must not make a rule's share of nothing.
            begin, end = min(minute, last) - _ANSWER_MINUTES, max(minute, last) + _ANSWER_MINUTES
            self._minutes = {m: answers for m, answers in minutes.items() if begin <= m <= end}

    def load(self, minutes: Iterable[int], *counts: Iterable[int]) -> None:
        """Count what a store has; the next line forgets what is too far away."""
        known = self._minutes
        for minute, first, retries in zip(minutes, *counts, strict=True):
            if first or retries:
                known[minute] = known.get(minute, 0) + first + retries

    def total(self, at: Instant, span_s: float) -> int:
        """Answers within `span_s` before `at`, and in the rest of the minute in which that began."""
        begin, end = int((at - span_s) // MINUTE_S), int(at // MINUTE_S)
        return sum(self._minutes.get(minute, 0) for minute in range(begin, end + 1))


class EvidenceBook:
    """All windows of all rules. Feed it classified attempts in the order of the log."""

    def __init__(self, rules: Sequence[StopRule]) -> None:
        self._kept: deque[Evidence] = deque(maxlen=MAX_HITS)
        self._answers: dict[tuple[str, str, str], _Answers] = {}
        self._take(rules)

    def _take(self, rules: Sequence[StopRule]) -> None:
        self._rules = tuple(rules)
        self._windows: dict[tuple[str, str, str, str], _Window] = {}
        self._matching: dict[tuple[str, str, str], tuple[StopRule, ...]] = {}
        self._longest_s = max((rule.window_s for rule in self._rules), default=1)
        self._counters: dict[tuple[str, str, str], tuple[_Answers, ...]] = {}
        """By stream, operator and egress: what an answer counts for."""
        self._by_egress = any(rule.share is not None and rule.scope is Scope.EGRESS for rule in self._rules)

    def see(self, counted: Classified, at: Instant) -> Seen | None:
        """Take one attempt; return what it is evidence for, None if it is for nothing."""
        operator, reply_class = counted.operator, counted.reply_class
        if counted.column is NOTIFICATIONS or operator in _NOT_KNOWN:
            return None
        if reply_class is not _INFRASTRUCTURE:
            self._count_answers(counted.stream, operator, counted.egress, int(at // MINUTE_S), 1)
        if reply_class is None or counted.attempt.relay_host is None:
            return None
        rules = self._rules_for(operator, str(reply_class), counted.rule or "")
        if not rules:
            return None
        evidence = evidence_of(counted, at)
        self._keep(evidence)
        return Seen(evidence, rules, self._judge(evidence, rules))

    def load(self, evidence: Iterable[Evidence], since: Mapping[tuple[str, str, str], Instant]) -> None:
        """Refill the windows from the store. Nothing fires: what had to was decided when it was new.

        `since`: by (rule, stream, subject of the halt), up to when its evidence was dealt with.
        """
        for piece in evidence:
            self._keep(piece)
            for rule in self._rules_for(piece.operator, piece.reply_class, piece.rule):
                window = self._window(rule, piece.stream, piece.operator, piece.egress)
                if piece.at > since.get((rule.id, piece.stream, window.subject), piece.at - 1):
                    window.add(piece)

    def load_answers(self, attempts: Iterable[AttemptSeries]) -> None:
        """Refill the denominators from the store's counts."""
        for series in attempts:
            key = series.key
            if key.operator not in _NOT_KNOWN and key.reply_class != ReplyClass.INFRASTRUCTURE.value:
                for counter in self._counters_of(key.stream, key.operator, key.egress):
                    counter.load(series.minutes, series.first, series.retries)

    def replace_rules(self, rules: Sequence[StopRule], since: Mapping[tuple[str, str, str], Instant]) -> None:
        """Take other rules; the evidence that is still kept counts for them as well."""
        kept = list(self._kept)
        self._kept.clear()
        self._take(rules)
        self.load(kept, since)

    def forget(self, rule_id: str, stream: str, subject: str) -> None:
        """A halt that the rule set is served: the evidence for it counts anew."""
        served = [key for key, window in self._windows.items() if key[:2] == (rule_id, stream) and window.subject == subject]
        for key in served:
            del self._windows[key]

    def _judge(self, evidence: Evidence, rules: Sequence[StopRule]) -> list[Fired]:
        fired = []
        for rule in rules:
            window = self._window(rule, evidence.stream, evidence.operator, evidence.egress)
            window.add(evidence)
            if self._enough(rule, window, evidence):
                quoted = window.newest(min(rule.count, _MAX_QUOTED))
                fired.append(
                    Fired(rule, evidence.stream, evidence.operator, evidence.egress, len(window), window.recipients, quoted)
                )
        return fired

    def _enough(self, rule: StopRule, window: _Window, evidence: Evidence) -> bool:
        if len(window) < rule.count or window.recipients < rule.distinct_recipients:
            return False
        if rule.share is None:
            return True
        egress = evidence.egress if rule.scope is Scope.EGRESS else ""
        answers = self._answers.get((evidence.stream, evidence.operator, egress))
        total = answers.total(evidence.at, rule.window_s) if answers is not None else 0
        return total >= rule.min_sample and len(window) > rule.share * total

    def _count_answers(self, stream: str, operator: str, egress: str, minute: int, count: int) -> None:
        """The denominator is answers, retries included: a connection that failed does not say what the operator thinks."""
        counters = self._counters.get((stream, operator, egress))
        if counters is None:
            counters = self._counters_of(stream, operator, egress)
        for counter in counters:
            counter.add(minute, count)

    def _counters_of(self, stream: str, operator: str, egress: str) -> tuple[_Answers, ...]:
        names = ("", egress) if self._by_egress else ("",)
        counters = tuple(self._answers.setdefault((stream, operator, name), _Answers()) for name in names)
        return self._counters.setdefault((stream, operator, egress), counters)

    def _rules_for(self, operator: str, reply_class: str, reply_rule: str) -> tuple[StopRule, ...]:
        key = (operator, reply_class, reply_rule)
        rules = self._matching.get(key)
        if rules is None:
            rules = self._matching[key] = tuple(
                rule
                for rule in self._rules
                if _covers(rule, operator) and (reply_class in rule.classes or reply_rule in rule.reply_rules)
            )
        return rules

    def _window(self, rule: StopRule, stream: str, operator: str, egress: str) -> _Window:
        key = (rule.id, stream, operator, egress if rule.scope is Scope.EGRESS else "")
        window = self._windows.get(key)
        if window is None:
            subject = subject_of(rule.scope, stream, operator, egress)
            window = self._windows[key] = _Window(rule.window_s, subject)
        return window

    def _keep(self, evidence: Evidence) -> None:
        self._kept.append(evidence)
        while self._kept[0].at <= evidence.at - self._longest_s:
            self._kept.popleft()


def evidence_of(counted: Classified, at: Instant) -> Evidence:
    """Return what is kept of an attempt: no address, and the reply cleaned and bounded."""
    attempt = counted.attempt
    return Evidence(
        at=at,
        stream=counted.stream,
        egress=counted.egress,
        operator=counted.operator,
        reply_class=str(counted.reply_class or ""),
        rule=counted.rule or "",
        queue_id=clean(attempt.queue_id, 30),
        recipient=hashlib.sha256(attempt.recipient.lower().encode("utf-8", "replace")).hexdigest()[:16],
        recipient_domain=clean(counted.domain, 255),
        relay_host=clean(attempt.relay_host or "", 255),
        text=clean(attempt.text, TEXT_LIMIT),
    )


def subject_of(scope: Scope, stream: str, operator: str, egress: str) -> str:
    """Return what a halt of this scope is about."""
    if scope is Scope.STREAM:
        return stream
    return operator if scope is Scope.OPERATOR else egress


def _covers(rule: StopRule, operator: str) -> bool:
    if operator in rule.excluded_operators:
        return False
    return not rule.operators or operator in rule.operators
