"""The judgement of one stream: evidence and counters in, halts, caps, freezes and records out.

Everything here is level-triggered but for evidence itself: each look asks the whole state again, and a halt that stands is not
set twice. Nothing sends, pauses or writes; `desire` says what follows, `plan` how.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from pwmtad.config import DkimSettings, StreamSettings
from pwmtad.core.correlate import Classified
from pwmtad.core.egress_health import HEALTHY_S
from pwmtad.core.evidence import Fired, evidence_of, subject_of
from pwmtad.core.halts import (
    MANUAL_RULE,
    ReturnPolicy,
    adopted_halt,
    begin_halt,
    ceiling_day,
    more_evidence,
    no_egress_name,
    open_halts,
    release,
    standing,
    step,
)
from pwmtad.core.records import fired_reason, halt_record, phase_record, quote, release_record, words
from pwmtad.core.warmup import Rungs, rungs_at, rungs_from
from pwmtad.model.counters import DAY_S, MINUTE_S, MessageCounts
from pwmtad.model.judgement import (
    Effect,
    Evidence,
    EvidenceLine,
    Halt,
    HaltPhase,
    Record,
    RecordKind,
    Scope,
    StopRule,
    StreamMemory,
)
from pwmtad.model.names import Instant

SPIKE_RULE: Final = "spike"
CEILING_RULE: Final = "ceiling"
COVERAGE_RULE: Final = "dkim-coverage"
MILTER_RULE: Final = "dkim-milter"
UNVERIFIED_RULE: Final = "dkim-unverified"
EXCLUDED_RULE: Final = "excluded-operator"
BIND_RULE: Final = "bind-failed"
START_CODE: Final = "warmup_start"
"""Unknown, but nothing that evidence could hide behind: halts go on all the same."""
RESET_RULE: Final = "warmup-reset"
_MOST_RESTS: Final = 7
"""Doublings of an egress's rest: from ten minutes to about a day."""
_NOTE_INTERVAL_S: Final = float(MINUTE_S)
"""A standing halt whose ground persists, or a freeze whose end moves, is written again at most so often."""


class Volume(Struct, frozen=True):
    """First attempts of a stream."""

    hour: int
    """The last 60 minutes."""
    utc_day: int


class StreamJudge:
    """Judges one stream. Its memory and halts are plain values that the store keeps."""

    def __init__(
        self,
        name: str,
        settings: StreamSettings,
        *,
        policy: ReturnPolicy,
        memory: StreamMemory | None = None,
        halts: Sequence[Halt] = (),
    ) -> None:
        self.name = name
        self.settings = settings
        self.policy = policy
        self.memory = memory if memory is not None else StreamMemory()
        self.halts: dict[str, Halt] = {halt.id: halt for halt in halts}
        self._sort()
        self.changed_halts: set[str] = set()
        self.memory_changed = False
        self.served: set[tuple[str, str]] = set()
        """(rule, subject) of halts that left `active` since somebody looked here: their evidence counts anew."""
        self.pool_found = 0
        """How many of its egresses Postfix had in rotation when nothing was remembered; 0: none, or not known."""
        self._spike_limit: float | None = None
        self._refreshed = False

    # -- warmup

    def set_start(self, start: Instant | None, now: Instant) -> list[Record]:
        """Take the warmup start as it was read. None (unreadable) or one in the future keeps the last known state.

        Another start is a reset: day 0, the pool of that day, and nothing of the former warmup is subtracted. What was larger
        becomes small at once; what was smaller grows from where it is.
        """
        memory = self.memory
        if start is None or start > now or start == memory.warmup_start:
            return []
        self.memory_changed = True
        former, memory.warmup_start = memory.warmup_start, start
        if former is None:
            return []
        memory.highest_day = memory.step_back_days = 0
        memory.halted_s = 0.0
        if memory.halted_since is not None:
            memory.halted_since = max(memory.halted_since, start)
        rungs = rungs_from(self.settings, memory, start, now)
        reason = f"the warmup start was changed: this is day {rungs.day}, and halts of the former warmup count no more"
        records = [Record(now, RecordKind.FINDING, self.name, RESET_RULE, reason, (), _date(former), _date(start))]
        before, size = memory.pool_size, rungs.pool_size
        if before > size:
            memory.pool_size = size
            reason = f"warmup day {rungs.day}: {size} egresses in rotation, after a reset"
            records.append(Record(now, RecordKind.POOL, self.name, RESET_RULE, reason, (), str(before), str(size)))
        return records

    def refresh(self, now: Instant) -> Rungs | None:
        """Find out what the ladders allow, and from when on an hour's first attempts are a spike.

        Where the ladder's window became smaller (a step-back, a reset), what was sent while it was larger is no spike.
        """
        self._refreshed = True
        memory, rungs = self.memory, rungs_at(self.settings, self.memory, now)
        self._spike_limit = None if rungs is None else self.settings.spike_factor * rungs.window_per_hour
        if rungs is not None and rungs.window_per_hour != memory.ladder_window:
            if rungs.window_per_hour < memory.ladder_window:
                memory.spike_since = now
            memory.ladder_window = rungs.window_per_hour
            self.memory_changed = True
        return rungs

    # -- evidence

    def fired(self, fired: Fired, at: Instant) -> list[Record]:
        """A stop rule has enough."""
        rule = fired.rule
        if rule.effect is Effect.FREEZE:
            return self._freeze(fired, at)
        if rule.effect is Effect.ALERT:
            key = f"{rule.id}/{fired.operator}" + (f"/{fired.egress}" if rule.scope is Scope.EGRESS else "")
            return self._tell(RecordKind.ALERT, key, fired, at, at + max(rule.window_s, rule.hold_s or 0))
        subject = subject_of(rule.scope, self.name, fired.operator, fired.egress)
        if self._stands(rule.id, subject, at):
            return []
        lines = [quote(piece) for piece in fired.evidence]
        return self.halt(rule.id, rule.scope, subject, fired_reason(fired), lines, rule.hold_s, at)

    def evidence(self, piece: Evidence, rules: Sequence[StopRule], at: Instant) -> list[Record]:
        """A piece of evidence for these rules. While one of their halts probes, one is enough for a relapse; while it stands,
        the quiet time begins anew; on the ladder the rule's own threshold counts again.
        """
        records = []
        ids = [rule.id for rule in rules]
        for halt in self._open:
            if halt.rule not in ids or halt.subject != subject_of(halt.scope, self.name, piece.operator, piece.egress):
                continue
            if halt.phase is HaltPhase.ACTIVE:
                self._note(halt, at)
            elif halt.phase is HaltPhase.PROBING:
                records += self._relapse(halt, [quote(piece)], at)
        return records

    def halt(
        self,
        rule: str,
        scope: Scope,
        subject: str,
        reason: str,
        lines: Sequence[EvidenceLine],
        hold_s: int | None,
        at: Instant,
    ) -> list[Record]:
        """Set the latch, unless the rule has set it already; on the way back it is a relapse."""
        if self._stands(rule, subject, at):
            return []
        for halt in open_halts(self.halts.values()):
            if halt.rule == rule and halt.subject == subject:
                return self._relapse(halt, lines, at)
        return [halt_record(self._begin(rule, scope, subject, reason, lines, hold_s, at), at)]

    def halt_by_person(self, hold_s: int | None, why: str, now: Instant) -> tuple[str, list[Record]]:
        """A person halts the stream. Each time is a halt of its own: a shorter one never cuts a longer one short."""
        halt = self._begin(MANUAL_RULE, Scope.STREAM, self.name, why, (), hold_s, now)
        return halt.id, [halt_record(halt, now)]

    def release(self, halt_id: str, by: str, now: Instant) -> list[Record]:
        """A person ends a hold. Raises KeyError for an id that is not open."""
        halt = self.halts[halt_id]
        after = release(halt, by, now)
        if after == halt:
            raise KeyError(halt_id)
        self._put(after)
        if halt.rule == SPIKE_RULE:
            self.memory.spike_since = now
            self.memory_changed = True
        if halt.rule == COVERAGE_RULE:
            self.memory.coverage_since = now
            self.memory_changed = True
        self._sum_up_span(now)
        return [release_record(halt, after, by, now)]

    def adopt(self, name: str, now: Instant) -> list[Record]:
        """Postfix was found held by `name`. What is known goes on as it is; what nobody remembers becomes a halt.

        Empty memory resumes nothing: neither a lost store nor a lost day's ceiling lets mail go.
        """
        if name in self.halts or name == no_egress_name(self.name):
            return []
        day = ceiling_day(self.name, name)
        if day is not None and day <= self.memory.capped_day:
            return []
        if day is None or day > int(now // DAY_S):
            # A day that is still to come would hold the stream until then, and nobody could release it.
            halt = adopted_halt(self.name, name, now)
            self._put(halt)
            return [replace(halt_record(halt, now), kind=RecordKind.ADOPT)]
        self.memory.capped_day = day
        self.memory.cap_standing = True
        self.memory_changed = True
        reason = (
            f"Postfix was found paused by {name}: the ceiling of that UTC day was reached, though the store does not know it"
        )
        return [Record(now, RecordKind.ADOPT, self.name, CEILING_RULE, reason, ends_at=float((day + 1) * DAY_S))]

    def healed(self, egress: str, since: Instant, now: Instant) -> list[Record]:
        """An egress has been without a fault since a moment: halts for a failed bind before it are over.

        Where binds fail again and again though the address is there, each try comes later than the one before.
        """
        records = []
        for halt in standing(self.halts.values()):
            rest_s = HEALTHY_S * 2 ** min(halt.relapses, _MOST_RESTS)
            over = halt.last_evidence_at <= since and now - halt.last_evidence_at >= rest_s
            if halt.rule == BIND_RULE and halt.subject == egress and over:
                records += self.release(halt.id, "its address, which is back", now)
        return records

    # -- levels: asked at every look

    def is_calm(self, hour: int, utc_day: int, now: Instant) -> bool:
        """Whether `volume` would have nothing to say: asked at every first attempt."""
        limit = self._spike_limit
        return (
            self._refreshed
            and (limit is None or hour <= limit or self._was_noted(SPIKE_RULE, now))
            and (utc_day < self.settings.ceiling_per_day or self.memory.capped_day >= now // DAY_S)
        )

    def volume(self, volume: Volume, latest: Iterable[tuple[Instant, Classified]], now: Instant) -> list[Record]:
        """The spike rule and the day's ceiling. Asked at every first attempt: cheap while nothing is wrong.

        `latest`: some of the newest first attempts, to be quoted.
        """
        if not self._refreshed:
            self.refresh(now)
        records = []
        limit = self._spike_limit
        if limit is not None and volume.hour > limit and not self._stands(SPIKE_RULE, self.name, now):
            reason = (
                f"{volume.hour} first attempts within an hour, and {self.settings.spike_factor:g} times the window of "
                f"{self.memory.ladder_window} is the limit: something sends past the window"
            )
            records += self.halt(SPIKE_RULE, Scope.STREAM, self.name, reason, _quotes(latest), None, now)
        today = int(now // DAY_S)
        if volume.utc_day >= self.settings.ceiling_per_day and self.memory.capped_day < today:
            self.memory.capped_day = today
            self.memory.cap_standing = True
            self.memory_changed = True
            reason = f"{volume.utc_day} first attempts this UTC day reach the ceiling of {self.settings.ceiling_per_day}"
            ends = float((today + 1) * DAY_S)
            lines = tuple(_quotes(latest))
            records.append(Record(now, RecordKind.CAP, self.name, CEILING_RULE, reason, lines, ends_at=ends))
        return records

    def coverage(self, counts: MessageCounts, lines: Sequence[EvidenceLine], dkim: DkimSettings, now: Instant) -> list[Record]:
        """Signed against sent: enough unsigned mail in the lookback halts the stream until somebody mended it."""
        judged = counts.signed + counts.unsigned
        if counts.unsigned < dkim.min_unsigned or counts.unsigned <= dkim.max_unsigned_share * judged:
            return []
        reason = (
            f"{counts.unsigned} of {judged} campaign messages of the last {words(dkim.lookback_s)} carry no DKIM signature "
            f"(at most {dkim.max_unsigned_share:.0%} are borne): check that OpenDKIM signs for this stream's injectors"
        )
        return self.halt(COVERAGE_RULE, Scope.STREAM, self.name, reason, lines, None, now)

    def unverified(self, count: int, limit: int, now: Instant) -> list[Record]:
        """Messages that left while nobody could tell whether they are signed."""
        if count < limit:
            return []
        reason = (
            f"{count} campaign messages were queued while OpenDKIM's log could not be read: nobody knows if they are signed"
        )
        return self.halt(UNVERIFIED_RULE, Scope.STREAM, self.name, reason, (), None, now)

    def unknown(self, codes: dict[str, str], now: Instant) -> list[Record]:
        """What is not known now: growth is frozen while there is anything. Each code has an edge of its own."""
        before, after = self.memory.unknown, tuple(sorted(codes))
        if after == before:
            return []
        self.memory.unknown = after
        self.memory_changed = True
        edges = [(RecordKind.UNKNOWN, code, codes[code]) for code in after if code not in before]
        edges += [(RecordKind.KNOWN, code, f"{code.replace('_', ' ')}: no more") for code in before if code not in after]
        return [
            Record(now, kind, self.name, code, reason, (), ", ".join(before), ", ".join(after)) for kind, code, reason in edges
        ]

    def time(self, now: Instant) -> list[Record]:
        """Let halts, caps and spans go on. A halt does not go on while evidence could be missed: nothing resumes blindly."""
        records = []
        if not any(code != START_CODE for code in self.memory.unknown):
            for halt in open_halts(self.halts.values()):
                after = step(halt, now, policy=self.policy)
                if after is not halt:
                    self._put(after)
                    records.append(phase_record(halt, after, now, self.policy))
        self._sum_up_span(now)
        if self.memory.cap_standing and self.memory.capped_day < int(now // DAY_S):
            self.memory.cap_standing = False
            self.memory_changed = True
            records.append(Record(now, RecordKind.CAP_ENDED, self.name, CEILING_RULE, "a new UTC day began"))
        return records

    def answered(self, operator: str, egress: str) -> None:
        """An attempt was answered: probes count them, as far as the policy asks for them."""
        for halt in self.probing:
            probing = halt.probed < self.policy.probe_min_attempts
            if probing and halt.subject == subject_of(halt.scope, self.name, operator, egress):
                self._put(replace(halt, probed=halt.probed + 1))

    def forget_ended(self, now: Instant) -> None:
        """Drop halts that ended too long ago to matter for a relapse; the store keeps their records."""
        for halt in list(self.halts.values()):
            if halt.ended_at is not None and now - halt.ended_at > self.policy.relapse_s and halt.id not in self.changed_halts:
                del self.halts[halt.id]

    def reset_settings(self, settings: StreamSettings, policy: ReturnPolicy) -> None:
        """A reload: the latch and the memory stay."""
        self.settings = settings
        self.policy = policy

    # -- inner

    def _stands(self, rule: str, subject: str, at: Instant) -> bool:
        """Whether the rule's halt of the subject stands already; if so, its ground persists."""
        for halt in self._standing:
            if halt.rule == rule and halt.subject == subject:
                self._note(halt, at)
                return True
        return False

    def _sort(self) -> None:
        """Keep at hand what is asked for at every attempt: halts by what they do; those that ended do nothing."""
        self._open = tuple(open_halts(self.halts.values()))
        self._standing = tuple(standing(self._open))
        self.probing = tuple(halt for halt in self._open if halt.phase is HaltPhase.PROBING)

    def _was_noted(self, rule: str, now: Instant) -> bool:
        """Whether `_stands` would say yes of the whole stream, and change nothing."""
        for halt in self._standing:
            if halt.rule == rule and halt.subject == self.name:
                return now - halt.last_evidence_at < _NOTE_INTERVAL_S
        return False

    def _note(self, halt: Halt, at: Instant) -> None:
        if at - halt.last_evidence_at >= _NOTE_INTERVAL_S:
            self._put(more_evidence(halt, (), at, self.policy))

    def _begin(
        self,
        rule: str,
        scope: Scope,
        subject: str,
        reason: str,
        lines: Sequence[EvidenceLine],
        hold_s: int | None,
        at: Instant,
    ) -> Halt:
        halt = begin_halt(
            stream=self.name,
            scope=scope,
            subject=subject,
            rule=rule,
            reason=reason,
            evidence=lines,
            hold_s=hold_s,
            at=at,
            earlier=self.halts.values(),
            policy=self.policy,
        )
        self._put(halt)
        self._step_back(halt)
        return halt

    def _relapse(self, halt: Halt, lines: Sequence[EvidenceLine], at: Instant) -> list[Record]:
        after = more_evidence(halt, lines, at, self.policy)
        self._put(after)
        self._step_back(after)
        return [halt_record(after, at, before=halt.phase.value)]

    def _step_back(self, halt: Halt) -> None:
        """Each halt of a stream costs warmup days, but not one that a person made."""
        if halt.scope is Scope.STREAM and halt.rule != MANUAL_RULE:
            self.memory.step_back_days += self.policy.step_back_days
            self.memory_changed = True

    def _put(self, halt: Halt) -> None:
        before = self.halts.get(halt.id)
        if before is not None and before.phase is HaltPhase.ACTIVE and halt.phase is not HaltPhase.ACTIVE:
            self.served.add((halt.rule, halt.subject))
        self.halts[halt.id] = halt
        self._sort()
        self.changed_halts.add(halt.id)
        if halt.phase is HaltPhase.ACTIVE and halt.scope is Scope.STREAM and self.memory.halted_since is None:
            self.memory.halted_since = halt.phase_at
            self.memory_changed = True

    def _sum_up_span(self, now: Instant) -> None:
        """When the last standing halt of the whole stream has gone, its span is over."""
        since = self.memory.halted_since
        if since is None or any(halt.scope is Scope.STREAM for halt in standing(self.halts.values())):
            return
        self.memory.halted_s += max(0.0, now - since)
        self.memory.halted_since = None
        self.memory_changed = True

    def _freeze(self, fired: Fired, at: Instant) -> list[Record]:
        memory, rule = self.memory, fired.rule
        until = at + (rule.hold_s or DAY_S)
        # A flood of rate limits moves the end with each.
        if memory.frozen_until <= at or until - memory.frozen_until >= _NOTE_INTERVAL_S:
            memory.frozen_until = max(until, memory.frozen_until)
            memory.frozen_rule = rule.id
            self.memory_changed = True
        return self._tell(RecordKind.FREEZE, rule.id, fired, at, until)

    def _tell(self, kind: RecordKind, key: str, fired: Fired, at: Instant, until: Instant) -> list[Record]:
        """Record what a rule found, once for as long as the record holds."""
        told = self.memory.told_until
        if at < told.get(key, at):
            return []
        self.memory.told_until = {name: end for name, end in told.items() if end > at} | {key: until}
        self.memory_changed = True
        lines = tuple(quote(piece) for piece in fired.evidence)
        ends = until if kind is RecordKind.FREEZE else None
        return [Record(at, kind, self.name, fired.rule.id, fired_reason(fired), lines, ends_at=ends, subject=fired.operator)]


def _quotes(latest: Iterable[tuple[Instant, Classified]]) -> list[EvidenceLine]:
    return [quote(evidence_of(counted, at)) for at, counted in latest]


def _date(at: Instant) -> str:
    return datetime.fromtimestamp(at, tz=UTC).isoformat()
