"""The judgement of one stream: evidence and counters in, halts, caps, freezes and records out.

Everything here is level-triggered but for evidence itself: each look asks the whole state again, and a halt that stands is not
set twice. Nothing sends, pauses or writes; `desire` says what follows, `plan` how.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from pwmtad.config import DkimSettings, StreamSettings
from pwmtad.core.evidence import Fired
from pwmtad.core.halts import MANUAL_RULE, ReturnPolicy, begin_halt, more_evidence, open_halts, release, standing, step
from pwmtad.core.text import clean
from pwmtad.core.warmup import rungs_at
from pwmtad.model.counters import DAY_S, HOUR_S, MessageCounts
from pwmtad.model.judgement import (
    Effect,
    Evidence,
    EvidenceLine,
    Halt,
    HaltPhase,
    Record,
    RecordKind,
    Scope,
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
_QUOTE_LIMIT: Final = 400
_NOTE_INTERVAL_S: Final = 60.0
"""A standing halt whose ground persists is written again at most so often."""


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
        self.changed_halts: set[str] = set()
        self.memory_changed = False
        self.attempts_since_phase: dict[str, int] = {}
        """Attempts per halt id since its phase began; only while probing. Lost at a restart: probing then takes longer."""

    # -- warmup

    def set_start(self, start: Instant | None) -> None:
        """Take the warmup start as it was read; None (unreadable) keeps the last known one. Another start is a reset."""
        if start is None or start == self.memory.warmup_start:
            return
        halted_since = self.memory.halted_since
        self.memory = StreamMemory(warmup_start=start, capped_day=self.memory.capped_day, halted_since=halted_since)
        self.memory_changed = True

    # -- evidence

    def fired(self, fired: Fired, at: Instant) -> list[Record]:
        """A stop rule has enough."""
        rule = fired.rule
        lines = [quote(piece) for piece in fired.evidence]
        reason = f"{rule.title}: {len(fired.evidence)} within {words(rule.window_s)} at {fired.operator}"
        match rule.effect:
            case Effect.HALT:
                subject = {Scope.STREAM: self.name, Scope.OPERATOR: fired.operator, Scope.EGRESS: fired.egress}[rule.scope]
                return self.halt(rule.id, rule.scope, subject, reason, lines, rule.hold_s, at)
            case Effect.FREEZE:
                return self._freeze(rule.id, reason, lines, at + (rule.hold_s or DAY_S), at)
            case Effect.ALERT:
                return [Record(at, RecordKind.ALERT, self.name, rule.id, reason, tuple(lines), subject=fired.operator)]

    def evidence(self, piece: Evidence, rules: Sequence[str], at: Instant) -> list[Record]:
        """A piece of evidence for these rules while one of their halts is on its way back: one is enough for a relapse."""
        records = []
        for halt in open_halts(self.halts.values()):
            if halt.rule in rules and halt.phase in (HaltPhase.PROBING, HaltPhase.RECOVERING):
                if halt.phase is HaltPhase.RECOVERING:
                    continue  # on the ladder the rule's own threshold counts again
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
        """Set the latch, or tighten the one that the rule has set already."""
        for halt in open_halts(self.halts.values()):
            if halt.rule == rule and halt.subject == subject:
                if halt.phase is HaltPhase.ACTIVE:
                    if at - halt.last_evidence_at >= _NOTE_INTERVAL_S:
                        self._put(more_evidence(halt, lines, at, self.policy))
                    return []
                return self._relapse(halt, lines, at)
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
        return [self._halt_record(halt, at)]

    def release(self, halt_id: str, by: str, now: Instant) -> list[Record]:
        """A person ends a hold. Raises KeyError for an id that is not open."""
        halt = self.halts[halt_id]
        after = release(halt, by, now)
        if after == halt:
            raise KeyError(halt_id)
        self._put(after)
        self._sum_up_span(now)
        reason = f"released by {by}; sending comes back by {after.phase.value}"
        return [Record(now, RecordKind.RELEASE, self.name, halt.rule, reason, (), halt.phase.value, after.phase.value, halt.id)]

    # -- levels: asked at every look

    def volume(self, volume: Volume, now: Instant) -> list[Record]:
        """The spike rule and the day's ceiling."""
        records = []
        rungs = rungs_at(self.settings, self.memory, now)
        if rungs is not None and volume.hour > self.settings.spike_factor * rungs.window_per_hour:
            reason = (
                f"{volume.hour} first attempts within an hour, {self.settings.spike_factor:g} times the window of "
                f"{rungs.window_per_hour} is the limit: something sends past the window"
            )
            records += self.halt(SPIKE_RULE, Scope.STREAM, self.name, reason, (), None, now)
        today = int(now // DAY_S)
        if volume.utc_day >= self.settings.ceiling_per_day and self.memory.capped_day < today:
            self.memory.capped_day = today
            self.memory_changed = True
            reason = f"{volume.utc_day} first attempts this UTC day reach the ceiling of {self.settings.ceiling_per_day}"
            ends = float((today + 1) * DAY_S)
            records.append(Record(now, RecordKind.CAP, self.name, CEILING_RULE, reason, ends_at=ends))
        return records

    def coverage(self, counts: MessageCounts, dkim: DkimSettings, now: Instant) -> list[Record]:
        """Signed against sent: enough unsigned mail in the lookback halts the stream until somebody mended it."""
        judged = counts.signed + counts.unsigned
        if counts.unsigned < dkim.min_unsigned or counts.unsigned <= dkim.max_unsigned_share * judged:
            return []
        reason = (
            f"{counts.unsigned} of {judged} campaign messages of the last {words(dkim.lookback_s)} carry no DKIM signature "
            f"(at most {dkim.max_unsigned_share:.0%} are borne): check that OpenDKIM signs for this stream's injectors"
        )
        return self.halt(COVERAGE_RULE, Scope.STREAM, self.name, reason, (), None, now)

    def unverified(self, count: int, limit: int, now: Instant) -> list[Record]:
        """Messages that left while nobody could tell whether they are signed."""
        if count < limit:
            return []
        reason = (
            f"{count} campaign messages were queued while OpenDKIM's log could not be read: nobody knows if they are signed"
        )
        return self.halt(UNVERIFIED_RULE, Scope.STREAM, self.name, reason, (), None, now)

    def unknown(self, codes: dict[str, str], now: Instant) -> list[Record]:
        """What is not known now: growth is frozen while there is anything."""
        now_unknown = tuple(sorted(codes))
        if now_unknown == self.memory.unknown:
            return []
        before, self.memory.unknown = self.memory.unknown, now_unknown
        self.memory_changed = True
        kind = RecordKind.UNKNOWN if now_unknown else RecordKind.KNOWN
        reason = "; ".join(codes[code] for code in now_unknown) or "everything is known again"
        rule = now_unknown[0] if now_unknown else before[0]
        return [Record(now, kind, self.name, rule, reason, (), ", ".join(before), ", ".join(now_unknown))]

    def time(self, now: Instant) -> list[Record]:
        """Let halts, caps and spans go on."""
        records = []
        for halt in open_halts(self.halts.values()):
            after = step(halt, now, attempts_since_phase=self.attempts_since_phase.get(halt.id, 0), policy=self.policy)
            if after is not halt:
                self._put(after)
                records.append(self._phase_record(halt, after, now))
        self._sum_up_span(now)
        if 0 <= self.memory.capped_day < int(now // DAY_S):
            self.memory.capped_day = -1
            self.memory_changed = True
            records.append(Record(now, RecordKind.CAP_ENDED, self.name, CEILING_RULE, "a new UTC day began"))
        return records

    def attempted(self, operator: str, egress: str) -> None:
        """An attempt was made: probes count them."""
        for halt in self.halts.values():
            if halt.phase is HaltPhase.PROBING and halt.subject in (self.name, operator, egress):
                self.attempts_since_phase[halt.id] = self.attempts_since_phase.get(halt.id, 0) + 1

    # -- inner

    def _relapse(self, halt: Halt, lines: Sequence[EvidenceLine], at: Instant) -> list[Record]:
        after = more_evidence(halt, lines, at, self.policy)
        self._put(after)
        self._step_back(after)
        return [self._halt_record(after, at, before=halt.phase.value)]

    def _step_back(self, halt: Halt) -> None:
        """Each halt of a stream costs warmup days, but not one that a person made."""
        if halt.scope is Scope.STREAM and halt.rule != MANUAL_RULE:
            self.memory.step_back_days += self.policy.step_back_days
            self.memory_changed = True

    def _put(self, halt: Halt) -> None:
        before = self.halts.get(halt.id)
        if before is not None and before.phase is not halt.phase:
            self.attempts_since_phase.pop(halt.id, None)
        self.halts[halt.id] = halt
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

    def _freeze(self, rule: str, reason: str, lines: Sequence[EvidenceLine], until: Instant, at: Instant) -> list[Record]:
        news = self.memory.frozen_until < at or self.memory.frozen_rule != rule
        # A flood of rate limits moves the end with each; writing it once a minute is enough.
        if news or until - self.memory.frozen_until > HOUR_S / 60:
            self.memory.frozen_until = max(until, self.memory.frozen_until)
            self.memory.frozen_rule = rule
            self.memory_changed = True
        if not news:
            return []
        return [Record(at, RecordKind.FREEZE, self.name, rule, reason, tuple(lines), ends_at=until)]

    def _halt_record(self, halt: Halt, at: Instant, before: str = "none") -> Record:
        return Record(
            at=at,
            kind=RecordKind.HALT,
            stream=self.name,
            rule=halt.rule,
            reason=halt.reason,
            evidence=halt.evidence,
            before=before,
            after=halt.phase.value,
            halt_id=halt.id,
            ends_at=halt.hold_until,
            subject=halt.subject if halt.scope is not Scope.STREAM else "",
        )

    def _phase_record(self, before: Halt, after: Halt, now: Instant) -> Record:
        reasons = {
            HaltPhase.PROBING: f"the hold is over and all was quiet: up to {self.policy.probe_per_hour} messages an hour",
            HaltPhase.RECOVERING: "the probes met no block: the ladder counts again, from the effective day",
            HaltPhase.ENDED: "a day on the ladder brought no new evidence",
            HaltPhase.ACTIVE: before.reason,
        }
        return Record(
            now,
            RecordKind.PHASE,
            self.name,
            before.rule,
            reasons[after.phase],
            (),
            before.phase.value,
            after.phase.value,
            before.id,
            after.hold_until if after.phase is HaltPhase.ACTIVE else None,
        )

    def forget_ended(self, now: Instant) -> None:
        """Drop halts that ended too long ago to matter for a relapse; the store keeps their records."""
        for halt in list(self.halts.values()):
            if halt.ended_at is not None and now - halt.ended_at > self.policy.relapse_s:
                del self.halts[halt.id]

    def reset_settings(self, settings: StreamSettings, policy: ReturnPolicy) -> None:
        """A reload: the latch and the memory stay."""
        self.settings = settings
        self.policy = policy


def quote(piece: Evidence) -> EvidenceLine:
    """Return a piece of evidence as a line for people; the recipient only as a domain."""
    text = (
        f"{piece.queue_id} to {piece.recipient_domain} by {piece.egress} via {piece.relay_host} "
        f"[{piece.reply_class}/{piece.rule}]: {piece.text}"
    )
    return EvidenceLine(piece.at, clean(text, _QUOTE_LIMIT))


def words(seconds: float) -> str:
    """Return a span in words: `72 h`, `30 min`."""
    if seconds >= HOUR_S and seconds % HOUR_S == 0:
        return f"{int(seconds // HOUR_S)} h"
    if seconds >= 60 and seconds % 60 == 0:
        return f"{int(seconds // 60)} min"
    return f"{seconds:g} s"


def memory_of(judge: StreamJudge) -> StreamMemory:
    """Return a copy of the memory, for the store."""
    return replace(judge.memory)
