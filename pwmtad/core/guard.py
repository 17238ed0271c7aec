"""The judgement of all streams: routes evidence, counts and signals to each stream's judge and gathers what followed.

Its state (halts, memories, evidence, records) is committed together with the counters that it was judged from.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from copy import copy
from typing import Final

from msgspec import Struct, field

from pwmtad.config import Settings
from pwmtad.core.correlate import Classified
from pwmtad.core.desire import desire, grow
from pwmtad.core.evidence import EvidenceBook, evidence_of
from pwmtad.core.halts import MANUAL_RULE, ReturnPolicy
from pwmtad.core.judge import BIND_RULE, EXCLUDED_RULE, MILTER_RULE, StreamJudge, Volume, quote
from pwmtad.core.repeats import RepeatWatch
from pwmtad.core.tally import Column, MessageColumn
from pwmtad.core.text import clean, domain_of
from pwmtad.core.window import DaySums, RollingSum
from pwmtad.model import events
from pwmtad.model.counters import DAY_S, HOUR_S, MINUTE_S, MessageCounts
from pwmtad.model.judgement import (
    Desired,
    Evidence,
    EvidenceLine,
    JudgementDeltas,
    JudgementState,
    Record,
    RecordKind,
    Scope,
    StopRule,
)
from pwmtad.model.ledger import Ledger
from pwmtad.model.names import Instant, ReplyClass

DEAD_DOMAIN_AFTER: Final = 3
"""Answers of class dead_domain before a domain is listed: one may be a DNS hiccup, and retries are hours apart. Own choice."""
_HOUR_MINUTES: Final = HOUR_S // MINUTE_S - 1
"""The running minute and the 59 before it: never more than an hour, so two windows that Listmonk empties exactly an hour apart
are not taken for one."""
MAILED_OFTEN: Final = 3
"""More first attempts than this to one recipient in seven days are too many: the incident had five. Own choice."""
_OFTEN_SHARE: Final = 0.05
"""Share of recipients mailed too often that is worth a finding. Own choice."""
_OFTEN_SAMPLE: Final = 20
"""Recipients below which the share means nothing (test mails to oneself)."""
_MAX_DOMAINS: Final = 10_000
"""Dead domains that are counted at the same time; the one seen longest ago goes first."""


class Policy(Struct, frozen=True):
    """What a reload may replace."""

    settings: Settings
    stop_rules: tuple[StopRule, ...]
    returning: ReturnPolicy = field(default_factory=ReturnPolicy)
    excluded_domains: dict[str, frozenset[str]] = field(default_factory=dict)
    """By stream: the content of its `excluded_domains_file`."""
    milter_accepts: bool | None = None
    """Whether Postfix lets mail pass when the milter is gone (milter_default_action=accept); None if not known."""


class Context(Struct, frozen=True):
    """What a look needs besides what was fed."""

    warmup_starts: dict[str, Instant]
    unknown: dict[str, str]
    """Codes of what is not known now, with a sentence each."""
    unverified: dict[str, int]
    """By stream: messages queued while OpenDKIM's log could not be read."""


class _StreamWindow:
    """First attempts and coverage of one stream, for judging: emptied when a person releases a halt."""

    def __init__(self, lookback_minutes: int) -> None:
        self.hour = RollingSum(_HOUR_MINUTES)
        self.days = DaySums()
        self.coverage = RollingSum(lookback_minutes)

    def forgive(self, now_minute: int, lookback_minutes: int) -> None:
        """Start counting anew what a release forgave; the day's ceiling stays."""
        self.hour = RollingSum(_HOUR_MINUTES)
        self.hour.advance(now_minute)
        self.coverage = RollingSum(lookback_minutes)
        self.coverage.advance(now_minute)


class Guard:
    """Judges. Not thread-safe; no clock."""

    def __init__(self, policy: Policy, state: JudgementState | None = None) -> None:
        state = state if state is not None else JudgementState()
        self._policy = policy
        self._book = EvidenceBook(policy.stop_rules)
        self._book.load(state.evidence)
        self.streams: dict[str, StreamJudge] = {
            name: StreamJudge(
                name,
                stream,
                policy=policy.returning,
                memory=state.memories.get(name),
                halts=[halt for halt in state.halts if halt.stream == name],
            )
            for name, stream in policy.settings.streams.items()
        }
        self._windows = {name: _StreamWindow(self._lookback_minutes) for name in self.streams}
        self._repeats = {name: RepeatWatch() for name in self.streams}
        self._repeats_day = -1
        self.attempts = 0
        """Attempts seen, of all streams and of none."""
        self.attempts_at_first_halt: int | None = None
        self._dead: dict[str, int] = {}
        self._listed: set[str] = set()
        self._evidence: list[Evidence] = []
        self._records: list[Record] = []
        self._news: deque[Record] = deque()
        self._minute = 0

    # -- feeding

    def see(self, counted: Classified, at: Instant) -> None:
        """Take one delivery attempt."""
        self.attempts += 1
        judge = self.streams.get(counted.stream)
        if judge is None:
            return
        if counted.column is Column.FIRST:
            self._count_first(judge, at)
            self._repeats[counted.stream].add(counted.attempt.recipient, at)
        judge.attempted(counted.operator, counted.egress)
        evidence, fired = self._book.see(counted, at)
        if evidence is not None:
            self._evidence.append(evidence)
            rules = [
                rule.id
                for rule in self._book.rules
                if evidence.reply_class in rule.classes or evidence.rule in rule.reply_rules
            ]
            self._add(judge.evidence(evidence, rules, at))
        for one in fired:
            self._add(judge.fired(one, at))
        if counted.reply_class is ReplyClass.DEAD_DOMAIN and counted.column is not Column.NOTIFICATIONS:
            self._dead_domain(counted, at)
        if self._is_excluded(counted):
            self._excluded(judge, counted, at)

    def message(self, minute: int, stream: str, column: MessageColumn, count: int) -> None:
        """Take one count of a message's signature."""
        window = self._windows.get(stream)
        if window is not None and column in (MessageColumn.SIGNED, MessageColumn.UNSIGNED):
            window.coverage.add(minute, column, count)

    def signal(self, event: events.AnyEvent, stream: str, egress: str, at: Instant) -> None:
        """Take a line that needs no count: a bind failure, a milter that can't be reached."""
        if isinstance(event, events.BindFailed):
            self._bind_failed(event, stream, egress, at)
        elif isinstance(event, events.MilterUnreachable) and self._policy.milter_accepts:
            line = EvidenceLine(at, clean(f"{event.tag}: milter {event.milter}: {event.text}", 300))
            reason = "the milter that signs can't be reached, and milter_default_action=accept lets mail pass without it"
            for judge in self.streams.values():
                self._add(judge.halt(MILTER_RULE, Scope.STREAM, judge.name, reason, [line], None, at))

    def unfiltered(self, stream: str, queue_id: str, text: str, at: Instant) -> None:
        """A stream's message reached qmgr from a session whose milter could not be reached: it is unsigned for sure."""
        judge = self.streams.get(stream)
        if judge is not None:
            line = EvidenceLine(at, clean(f"{queue_id} was queued after: {text}", 300))
            reason = "mail is let through while the milter that signs can't be reached"
            self._add(judge.halt(MILTER_RULE, Scope.STREAM, stream, reason, [line], None, at))

    # -- looking

    def look(self, context: Context, now: Instant) -> None:
        """Ask everything that is a level rather than an event."""
        self._minute = max(self._minute, int(now // MINUTE_S))
        for name, judge in self.streams.items():
            judge.set_start(context.warmup_starts.get(name))
            self._add(judge.time(now))
            self._add(judge.unknown(context.unknown, now))
            self._look_at_counts(judge, now)
            unverified = context.unverified.get(name, 0)
            self._add(judge.unverified(unverified, self._policy.settings.dkim.unverified_limit, now))
            self._add(grow(judge, now))
            judge.forget_ended(now)
        self._look_at_repeats(now)

    def _look_at_repeats(self, now: Instant) -> None:
        """Once a UTC day, for the seven days before it."""
        today = int(now // DAY_S)
        if today <= self._repeats_day:
            return
        first_look = self._repeats_day < 0
        self._repeats_day = today
        for name, watch in self._repeats.items():
            seen = watch.reading(now - 1, MAILED_OFTEN)
            if first_look or seen.recipients < _OFTEN_SAMPLE or seen.share <= _OFTEN_SHARE:
                continue
            reason = (
                f"{seen.repeated} of {seen.recipients} recipients ({seen.share:.0%}) were mailed more than {seen.limit} times "
                f"in 7 days, one of them {seen.worst} times: does the list only grow?"
            )
            self._add([Record(now, RecordKind.FINDING, name, "mailed-often", reason)])

    def _look_at_counts(self, judge: StreamJudge, now: Instant) -> None:
        window = self._windows[judge.name]
        window.hour.advance(self._minute)
        window.coverage.advance(self._minute)
        window.days.advance(self._minute)
        self._add(judge.volume(self._volume(window, now), now))
        sums = window.coverage.sums()
        counts = MessageCounts(signed=sums.get(MessageColumn.SIGNED, 0), unsigned=sums.get(MessageColumn.UNSIGNED, 0))
        self._add(judge.coverage(counts, self._policy.settings.dkim, now))

    def desired(self, now: Instant, broken: Mapping[str, Collection[str]] | None = None) -> list[Desired]:
        """Return what each stream should look like now; `broken`: egresses that can't be used, by stream."""
        out = broken if broken is not None else {}
        return [desire(judge, now, broken=out.get(name, ())) for name, judge in self.streams.items()]

    # -- people

    def halt(self, stream: str, hold_s: int | None, why: str, now: Instant) -> str:
        """A person halts a stream. Returns the halt's id. Raises KeyError for an unknown stream."""
        judge = self.streams[stream]
        reason = clean(why, 300) or "no reason given"
        self._add(judge.halt(MANUAL_RULE, Scope.STREAM, stream, reason, (), hold_s, now))
        return next(h.id for h in judge.halts.values() if h.rule == MANUAL_RULE and h.ended_at is None)

    def release(self, halt_id: str, by: str, now: Instant) -> None:
        """A person releases a halt. Raises KeyError for an id that is not open."""
        for judge in self.streams.values():
            if halt_id in judge.halts:
                self._add(judge.release(halt_id, clean(by, 60), now))
                self._windows[judge.name].forgive(int(now // MINUTE_S), self._lookback_minutes)
                return
        raise KeyError(halt_id)

    # -- store

    def load_counts(self, ledger: Ledger, now: Instant) -> None:
        """Fill the windows from the store's buckets."""
        minute = self._minute = int(now // MINUTE_S)
        for window in self._windows.values():
            window.hour.advance(minute)
            window.coverage.advance(minute)
        for bucket in ledger.attempts:
            if bucket.key.stream in self._windows and bucket.counts.first:
                window = self._windows[bucket.key.stream]
                window.hour.add(bucket.start // MINUTE_S, 0, bucket.counts.first)
                window.days.add(bucket.start // MINUTE_S, 0, bucket.counts.first)
        for row in ledger.messages:
            self.message(row.start // MINUTE_S, row.stream, MessageColumn.SIGNED, row.counts.signed)
            self.message(row.start // MINUTE_S, row.stream, MessageColumn.UNSIGNED, row.counts.unsigned)

    @property
    def has_deltas(self) -> bool:
        """Whether a commit would write anything."""
        return bool(self._records or self._evidence) or any(
            judge.changed_halts or judge.memory_changed for judge in self.streams.values()
        )

    def take_deltas(self) -> JudgementDeltas:
        """Return what changed since the last call."""
        halts = [judge.halts[i] for judge in self.streams.values() for i in sorted(judge.changed_halts) if i in judge.halts]
        memories = {name: copy(judge.memory) for name, judge in self.streams.items() if judge.memory_changed}
        deltas = JudgementDeltas(tuple(halts), memories, tuple(self._evidence), tuple(self._records))
        for judge in self.streams.values():
            judge.changed_halts = set()
            judge.memory_changed = False
        self._evidence, self._records = [], []
        return deltas

    def take_news(self) -> list[Record]:
        """Return the records since the last call, for the log or the terminal."""
        news = list(self._news)
        self._news.clear()
        return news

    def add_records(self, records: Sequence[Record]) -> None:
        """Add records that others made (desired state that changed)."""
        self._add(records)

    def reconfigure(self, policy: Policy) -> None:
        """Take a reloaded configuration; halts, memories and evidence stay. New streams begin, gone ones are let go."""
        self._policy = policy
        self._book.replace_rules(policy.stop_rules)
        for name, stream in policy.settings.streams.items():
            if str(name) in self.streams:
                self.streams[name].reset_settings(stream, policy.returning)
            else:
                self.streams[name] = StreamJudge(name, stream, policy=policy.returning)
                self._windows[name] = _StreamWindow(self._lookback_minutes)
                self._repeats[name] = RepeatWatch()
        for gone in set(self.streams) - set(policy.settings.streams):
            del self.streams[gone], self._windows[gone], self._repeats[gone]

    # -- inner

    @property
    def _lookback_minutes(self) -> int:
        return max(1, self._policy.settings.dkim.lookback_s // MINUTE_S)

    def _add(self, records: Sequence[Record]) -> None:
        self._records.extend(records)
        self._news.extend(records)
        if self.attempts_at_first_halt is None and any(record.kind is RecordKind.HALT for record in records):
            self.attempts_at_first_halt = self.attempts

    def _volume(self, window: _StreamWindow, now: Instant) -> Volume:
        return Volume(hour=window.hour.sums().get(0, 0), utc_day=window.days.sums(now).get(0, 0))

    def _count_first(self, judge: StreamJudge, at: Instant) -> None:
        window = self._windows[judge.name]
        minute = int(at // MINUTE_S)
        if minute > self._minute:
            self._minute = minute
            window.hour.advance(minute)
        window.hour.add(minute, 0, 1)
        window.days.add(minute, 0, 1)
        self._add(judge.volume(self._volume(window, at), at))

    def _dead_domain(self, counted: Classified, at: Instant) -> None:
        domain = domain_of(counted.attempt.recipient)
        if not domain or domain in self._listed:
            return
        count = self._dead.pop(domain, 0) + 1
        if count < DEAD_DOMAIN_AFTER:
            self._dead[domain] = count
            if len(self._dead) > _MAX_DOMAINS:
                del self._dead[next(iter(self._dead))]
            return
        if len(self._listed) < _MAX_DOMAINS:
            self._listed.add(domain)
        name = clean(domain, 255)
        reason = f"{name} answered {count} times that it does not take mail at all"
        line = quote(evidence_of(counted, at))
        self._add([Record(at, RecordKind.SUPPRESS, counted.stream, counted.rule or "", reason, (line,), subject=name)])

    def _is_excluded(self, counted: Classified) -> bool:
        if counted.column is Column.NOTIFICATIONS:
            return False  # who sends us mail from there must not be able to halt a stream with it
        if counted.operator in self.streams[counted.stream].settings.excluded_operators:
            return True
        listed = self._policy.excluded_domains.get(counted.stream)
        return listed is not None and domain_of(counted.attempt.recipient) in listed

    def _excluded(self, judge: StreamJudge, counted: Classified, at: Instant) -> None:
        evidence = evidence_of(counted, at)
        reason = (
            f"mail to {evidence.recipient_domain} ({counted.operator}) was attempted, which this stream must never mail: "
            f"the exclusion leaks"
        )
        self._add(judge.halt(EXCLUDED_RULE, Scope.STREAM, judge.name, reason, [quote(evidence)], None, at))

    def _bind_failed(self, event: events.BindFailed, stream: str, egress: str, at: Instant) -> None:
        judge = self.streams.get(stream)
        if judge is None:
            return
        address = clean(event.address, 45)
        reason = f"{egress} can't use its address {address}: it is not up on this host, and mail may leave from another one"
        line = EvidenceLine(at, clean(f"{event.tag}: {event.text}", 300))
        self._add(judge.halt(BIND_RULE, Scope.EGRESS, egress, reason, [line], None, at))
