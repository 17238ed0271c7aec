"""The judgement of all streams: routes evidence, counts and signals to each stream's judge and gathers what followed.

Its state (halts, memories, evidence, records) is committed together with the counters that it was judged from.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from pwmtad.core.correlate import Classified
from pwmtad.core.dead_domains import DeadDomains
from pwmtad.core.desire import desire, grow
from pwmtad.core.evidence import MAX_HITS, EvidenceBook, evidence_of
from pwmtad.core.excluded import ParkedWatch
from pwmtad.core.judge import BIND_RULE, EXCLUDED_RULE, MILTER_RULE, START_CODE, StreamJudge, Volume
from pwmtad.core.leaks import LeakWatch
from pwmtad.core.message_ids import LocalhostIds
from pwmtad.core.policy import Context, Policy
from pwmtad.core.records import quote
from pwmtad.core.repeats import StreamRepeats
from pwmtad.core.stream_counts import StreamCounts
from pwmtad.core.suppress import SuppressionBook
from pwmtad.core.tally import FIRST, NOTIFICATIONS, MessageColumn
from pwmtad.core.text import clean
from pwmtad.model import events
from pwmtad.model.counters import MINUTE_S
from pwmtad.model.judgement import (
    Desired,
    Evidence,
    EvidenceLine,
    JudgementDeltas,
    JudgementState,
    Record,
    RecordKind,
    Scope,
)
from pwmtad.model.ledger import Ledger
from pwmtad.model.listmonk import ListmonkMemory
from pwmtad.model.names import Instant

_QUOTED: Final = 3
"""First attempts that show what a spike or a full day was made of."""
_REASON_LIMIT: Final = 300
"""Characters of a reason that a person or a log line gives."""


class Guard:
    """Judges. Not thread-safe; no clock."""

    def __init__(self, policy: Policy, state: JudgementState | None = None) -> None:
        self._stored = state if state is not None else JudgementState()
        self._judges: dict[str, StreamJudge] = {}
        """Of every stream that was ever configured: a halt must not be forgotten because a reload left its stream out."""
        self._counts: dict[str, StreamCounts] = {}
        self._latest: dict[str, deque[tuple[Instant, Classified]]] = {}
        """The newest first attempts of each stream: what a spike is shown by."""
        self.streams: dict[str, StreamJudge] = {}
        """Those configured now."""
        self.broken: Mapping[str, Collection[str]] = {}
        """By stream: egresses that can't be used, set by whoever looks at the host."""
        self.doubts: dict[str, Mapping[str, str]] = {}
        """By stream: codes of what is not known of its Listmonk, with a sentence each, set by whoever looks at it."""
        self.leaks = LeakWatch()
        self.localhost_ids = LocalhostIds()
        self.repeats = StreamRepeats()
        self._parked = ParkedWatch()
        self._kept_out: frozenset[str] = frozenset()
        """Recipient domains that Postfix parks, whatever the stream."""
        self._policy = policy
        self._set_streams(policy)
        self._book = EvidenceBook(policy.stop_rules)
        self._book.load(self._stored.evidence, self._dealt_with())
        self.attempts = 0
        """Attempts seen, of all streams and of none."""
        self.attempts_at_first_halt: int | None = None
        self._dead = DeadDomains()
        self.suppressions = SuppressionBook(policy.settings.suppression, policy.own_domains, self._stored.counting)
        self._evidence: deque[Evidence] = deque(maxlen=MAX_HITS)
        self._records: list[Record] = []
        self._news: deque[Record] = deque()
        self._listmonk = dict(self._stored.listmonk)
        # All that a reload may ask for; the rest was taken over, and would only keep what is forgotten elsewhere in memory.
        self._stored = JudgementState(halts=self._stored.halts, memories=self._stored.memories)
        self._changed_listmonk: set[str] = set()

    # -- feeding

    def see(self, counted: Classified, at: Instant) -> None:
        """Take one delivery attempt."""
        self.attempts += 1
        judge = self.streams.get(counted.stream)
        if judge is None:
            return
        if counted.column is NOTIFICATIONS:
            return  # who sends us mail that bounces must not be able to bring anything about
        if counted.column is FIRST:
            self._count_first(judge, counted, at)
        if judge.probing and counted.attempt.relay_host is not None:
            judge.answered(counted.operator, counted.egress)
        self._add(self.suppressions.see(counted, at))
        if counted.stream in self.leaks.held:
            self._add(self.leaks.see(counted, at))
        seen = self._book.see(counted, at)
        if seen is not None:
            self._evidence.append(seen.evidence)
            self._add(judge.evidence(seen.evidence, seen.rules, at))
            for one in seen.fired:
                self._add(judge.fired(one, at))
        listed = self._dead.see(counted, at)
        if listed is not None:
            self._add([listed])
        if self._excludes and self._is_excluded(counted):
            self._excluded(judge, counted, at)

    def message(self, minute: int, stream: str, column: MessageColumn, count: int) -> None:
        """Take one count of a message's signature."""
        counts = self._counts.get(stream)
        if counts is not None:
            counts.message(minute, column, count)

    def signal(self, event: events.AnyEvent, stream: str, egress: str, at: Instant) -> None:
        """Take a line that needs no count: a bind failure, a milter that can't be reached."""
        if isinstance(event, events.BindFailed):
            self._bind_failed(event, stream, egress, at)
        elif isinstance(event, events.MilterUnreachable) and self._policy.milter_accepts:
            line = EvidenceLine(at, clean(f"{event.tag}: milter {event.milter}: {event.text}", _REASON_LIMIT))
            reason = "the milter that signs can't be reached, and milter_default_action=accept lets mail pass without it"
            for judge in self.streams.values():
                self._add(judge.halt(MILTER_RULE, Scope.STREAM, judge.name, reason, [line], None, at))

    def deferred_here(self, event: events.LocalDeferral, stream: str | None, at: Instant) -> None:
        """Take a deferral that is Postfix's own: somebody should know of parked mail. What is nobody's takes the pool."""
        name = stream if stream in self.streams else self._policy.settings.pool_stream
        if name in self.streams:
            self._add(self._parked.see(event, name, self._kept_out, at))

    def unfiltered(self, stream: str, queue_id: str, text: str, at: Instant) -> None:
        """A stream's message reached qmgr from a session whose milter could not be reached: it is unsigned for sure."""
        judge = self.streams.get(stream)
        if judge is not None:
            line = EvidenceLine(at, clean(f"{queue_id} was queued after: {text}", _REASON_LIMIT))
            reason = "mail is let through while the milter that signs can't be reached"
            self._add(judge.halt(MILTER_RULE, Scope.STREAM, stream, reason, [line], None, at))

    # -- looking

    def look(self, context: Context, now: Instant) -> None:
        """Ask everything that is a level rather than an event."""
        settings = self._policy.settings
        for name, judge in self.streams.items():
            start, counts = context.warmup_starts.get(name), self._counts[name]
            self._add(judge.set_start(start, now))
            # First what is not known: nothing goes on before that is asked.
            self._add(judge.unknown({**_with_start(context.unknown, start, now), **self.doubts.get(name, {})}, now))
            self._add(judge.time(now))
            self._forget_served(judge)
            judge.refresh(now)
            counts.advance(now)
            counts.forgive(judge.memory)
            self._add(judge.volume(Volume(counts.hour(), counts.utc_day(now)), self._latest[name], now))
            covered = counts.coverage(settings.dkim.lookback_s)
            if covered.unsigned:
                self._add(judge.coverage(covered, counts.unsigned_lines(), settings.dkim, now))
            self._add(judge.unverified(context.unverified.get(name, 0), settings.dkim.unverified_limit, now))
            self._add(grow(judge, now))
            judge.forget_ended(now)
        self._add(self.repeats.look(self.streams, now))

    def desired(self, now: Instant) -> list[Desired]:
        """Return what each stream should look like now."""
        return [desire(judge, now, broken=self.broken.get(name, ())) for name, judge in self.streams.items()]

    # -- acting

    def record(self, records: Sequence[Record]) -> None:
        """Take records of what was done, seen or refused outside."""
        self._add(records)

    def adopt(self, stream: str, name: str, now: Instant) -> None:
        """Postfix was found with this stream held by `name`."""
        self._add(self.streams[stream].adopt(name, now))

    def healed(self, stream: str, egress: str, since: Instant, now: Instant) -> None:
        """An egress has been without a fault since a moment."""
        judge = self.streams[stream]
        self._add(judge.healed(egress, since, now))
        self._forget_served(judge)

    def found_pool(self, pool: Collection[str]) -> None:
        """Postfix was found with this pool."""
        for name, stream in self._policy.settings.streams.items():
            if stream.pool:
                self.seed_pool(name, sum(egress in pool for egress in stream.usable_egresses))

    def seed_pool(self, stream: str, size: int) -> None:
        """Postfix was found with so many of the stream's egresses in rotation: an empty memory climbs from there, but begins
        with no more than its ladder allows.
        """
        self.streams[stream].pool_found = size

    def listmonk(self, stream: str) -> ListmonkMemory:
        """Return what is remembered of a stream's Listmonk; an empty memory if nothing is."""
        return self._listmonk.get(stream, ListmonkMemory())

    def remember_listmonk(self, stream: str, memory: ListmonkMemory) -> None:
        """Remember it; durable with the next commit."""
        if memory != self.listmonk(stream):
            self._listmonk[stream] = memory
            self._changed_listmonk.add(stream)

    def room_today(self, stream: str, now: Instant) -> int:
        """Return how many first attempts the ceiling leaves on this UTC day."""
        ceiling = self.streams[stream].settings.ceiling_per_day
        return max(0, ceiling - self._counts[stream].utc_day(now))

    # -- people

    def halt(self, stream: str, hold_s: int | None, why: str, now: Instant) -> str:
        """A person halts a stream. Returns the halt's id. Raises KeyError for an unknown stream."""
        reason = clean(why, _REASON_LIMIT) or "no reason given"
        halt_id, records = self.streams[stream].halt_by_person(hold_s, reason, now)
        self._add(records)
        return halt_id

    def release(self, halt_id: str, by: str, now: Instant) -> None:
        """A person releases a halt. Raises KeyError for an id that is not open."""
        judge = next((judge for judge in self._judges.values() if halt_id in judge.halts), None)
        if judge is None:
            raise KeyError(halt_id)
        self._add(judge.release(halt_id, clean(by, 60), now))
        self._forget_served(judge)
        counts = self._counts[judge.name]
        counts.advance(now)
        counts.forgive(judge.memory)

    # -- store

    def load_counts(self, ledger: Ledger, now: Instant) -> None:
        """Fill the windows from the store's buckets."""
        for name, judge in self._judges.items():
            self._counts[name].advance(now)
            self._counts[name].forgive(judge.memory)
        for series in ledger.attempts:
            counts = self._counts.get(series.key.stream)
            if counts is not None:
                counts.load_series(series.minutes, series.first)
        for row in ledger.messages:
            self.message(row.start // MINUTE_S, row.stream, MessageColumn.SIGNED, row.counts.signed)
            self.message(row.start // MINUTE_S, row.stream, MessageColumn.UNSIGNED, row.counts.unsigned)
        self._book.load_answers(ledger.attempts)
        self.suppressions.load(ledger.attempts)

    @property
    def has_deltas(self) -> bool:
        """Whether a commit would write anything."""
        return bool(self._records or self._evidence or self._changed_listmonk or self.suppressions.has_deltas) or any(
            judge.changed_halts or judge.memory_changed for judge in self._judges.values()
        )

    def take_deltas(self) -> JudgementDeltas:
        """Return what changed since the last call."""
        judges = self._judges
        halts = [judge.halts[i] for judge in judges.values() for i in sorted(judge.changed_halts)]
        memories = {
            name: replace(judge.memory, told_until=dict(judge.memory.told_until))
            for name, judge in judges.items()
            if judge.memory_changed
        }
        listmonk = {name: self._listmonk[name] for name in sorted(self._changed_listmonk)}
        deltas = JudgementDeltas(
            tuple(halts), memories, tuple(self._evidence), tuple(self._records), listmonk, self.suppressions.take_deltas()
        )
        self._changed_listmonk.clear()
        for judge in judges.values():
            judge.changed_halts = set()
            judge.memory_changed = False
        self._evidence.clear()
        self._records = []
        return deltas

    def take_news(self) -> list[Record]:
        """Return the records since the last call, for the log or the terminal."""
        news = list(self._news)
        self._news.clear()
        return news

    def reconfigure(self, policy: Policy) -> None:
        """Take a reloaded configuration; halts, memories, counts and evidence stay, also of streams that it leaves out."""
        if policy.milter_accepts is None:
            policy = replace(policy, milter_accepts=self._policy.milter_accepts)
        self._policy = policy
        self._set_streams(policy)
        self._book.replace_rules(policy.stop_rules, self._dealt_with())
        self.suppressions.reconfigure(policy.settings.suppression, policy.own_domains)

    def know_milter(self, *, accepts: bool | None) -> None:
        """Take what main.cf says now of mail whose milter is gone; None (it can't be read) keeps what was known."""
        if accepts is not None:
            self._policy = replace(self._policy, milter_accepts=accepts)

    # -- inner

    def _set_streams(self, policy: Policy) -> None:
        self._kept_out = frozenset().union(*policy.excluded_domains.values())
        excluded_operators = any(stream.excluded_operators for stream in policy.settings.streams.values())
        self._excludes = excluded_operators or bool(policy.excluded_domains)
        for name, stream in policy.settings.streams.items():
            judge = self._judges.get(name)
            if judge is not None:
                judge.reset_settings(stream, policy.returning)
                continue
            self._judges[name] = StreamJudge(
                name,
                stream,
                policy=policy.returning,
                memory=self._stored.memories.get(name),
                halts=[halt for halt in self._stored.halts if halt.stream == name],
            )
            self._counts[name] = StreamCounts()
            self._latest[name] = deque(maxlen=_QUOTED)
        self.streams = {name: self._judges[name] for name in policy.settings.streams}

    def _dealt_with(self) -> dict[tuple[str, str, str], Instant]:
        """By (rule, stream, subject): the end of its last halt, up to which the evidence was dealt with."""
        ends: dict[tuple[str, str, str], Instant] = {}
        for judge in self._judges.values():
            for halt in judge.halts.values():
                if halt.held_until_phase is not None:
                    key = (halt.rule, judge.name, halt.subject)
                    ends[key] = max(halt.held_until_phase, ends.get(key, halt.held_until_phase))
        return ends

    def _forget_served(self, judge: StreamJudge) -> None:
        for rule, subject in judge.served:
            self._book.forget(rule, judge.name, subject)
        judge.served.clear()

    def _add(self, records: Sequence[Record]) -> None:
        if not records:
            return
        self._records.extend(records)
        self._news.extend(records)
        if self.attempts_at_first_halt is None and any(record.kind is RecordKind.HALT for record in records):
            self.attempts_at_first_halt = self.attempts

    def _count_first(self, judge: StreamJudge, counted: Classified, at: Instant) -> None:
        hour, utc_day = self._counts[judge.name].first(at)
        self.repeats.add(judge.name, counted.attempt.recipient, at)
        latest = self._latest[judge.name]
        latest.append((at, counted))
        if not judge.is_calm(hour, utc_day, at):
            self._add(judge.volume(Volume(hour, utc_day), latest, at))

    def _is_excluded(self, counted: Classified) -> bool:
        if counted.operator in self.streams[counted.stream].settings.excluded_operators:
            return True
        listed = self._policy.excluded_domains.get(counted.stream)
        return listed is not None and counted.domain in listed

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
        line = EvidenceLine(at, clean(f"{event.tag}: {event.text}", _REASON_LIMIT))
        self._add(judge.halt(BIND_RULE, Scope.EGRESS, egress, reason, [line], None, at))


def _with_start(unknown: dict[str, str], start: Instant | None, now: Instant) -> dict[str, str]:
    if start is not None and start <= now:
        return unknown
    why = "can't be read" if start is None else "lies in the future"
    return {**unknown, START_CODE: f"the warmup start {why}: the last known one stays, and nothing grows"}
