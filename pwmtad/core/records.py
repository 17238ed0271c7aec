"""Words for records: what is quoted as evidence, and the records of a halt's life."""

from __future__ import annotations

from typing import Final

from pwmtad.core.evidence import Fired
from pwmtad.core.halts import ReturnPolicy
from pwmtad.core.text import clean
from pwmtad.model.counters import HOUR_S
from pwmtad.model.judgement import Evidence, EvidenceLine, Halt, HaltPhase, Record, RecordKind, Scope
from pwmtad.model.names import Instant

_QUOTE_LIMIT: Final = 400
"""Characters of a quoted piece of evidence: a reply (300) and what it answered."""


def quote(piece: Evidence) -> EvidenceLine:
    """Return a piece of evidence as a line for people; the recipient only as a domain."""
    judged = f"{piece.reply_class}/{piece.rule}" if piece.reply_class else "sent"
    text = (
        f"{piece.queue_id} to {piece.recipient_domain} by {piece.egress} via {piece.relay_host or 'no relay'} "
        f"[{judged}]: {piece.text}"
    )
    return EvidenceLine(piece.at, clean(text, _QUOTE_LIMIT))


def words(seconds: float) -> str:
    """Return a span in words: `72 h`, `30 min`."""
    if seconds >= HOUR_S and seconds % HOUR_S == 0:
        return f"{int(seconds // HOUR_S)} h"
    if seconds >= 60 and seconds % 60 == 0:
        return f"{int(seconds // 60)} min"
    return f"{seconds:g} s"


def fired_reason(fired: Fired) -> str:
    """Return what a stop rule found, as a sentence."""
    rule = fired.rule
    times = "once" if fired.hits == 1 else f"{fired.hits} times, to {fired.recipients} recipients,"
    return f"{rule.title}: {times} within {words(rule.window_s)} at {fired.operator}"


def halt_record(halt: Halt, at: Instant, before: str = "none") -> Record:
    """Return the record of a halt that begins, or of a relapse."""
    return Record(
        at=at,
        kind=RecordKind.HALT,
        stream=halt.stream,
        rule=halt.rule,
        reason=halt.reason,
        evidence=halt.evidence,
        before=before,
        after=halt.phase.value,
        halt_id=halt.id,
        ends_at=halt.hold_until,
        subject=_subject(halt),
    )


def phase_record(before: Halt, after: Halt, now: Instant, policy: ReturnPolicy) -> Record:
    """Return the record of a phase that time brought."""
    reasons = {
        HaltPhase.PROBING: f"the hold is over and all was quiet: up to {policy.probe_per_hour} messages an hour",
        HaltPhase.RECOVERING: "the probes met no block: the ladder counts again, from the effective day",
        HaltPhase.ENDED: f"{words(policy.recover_s)} on the ladder, and the rule did not fire again",
    }
    return Record(
        at=now,
        kind=RecordKind.PHASE,
        stream=before.stream,
        rule=before.rule,
        reason=reasons[after.phase],
        before=before.phase.value,
        after=after.phase.value,
        halt_id=before.id,
        subject=_subject(before),
    )


def release_record(before: Halt, after: Halt, by: str, now: Instant) -> Record:
    """Return the record of a halt that a person released."""
    how = "sending comes back slowly, by probing" if after.phase is HaltPhase.PROBING else "it is over"
    return Record(
        at=now,
        kind=RecordKind.RELEASE,
        stream=before.stream,
        rule=before.rule,
        reason=f"released by {by}: {how}",
        before=before.phase.value,
        after=after.phase.value,
        halt_id=before.id,
        subject=_subject(before),
    )


def _subject(halt: Halt) -> str:
    """The operator or egress that a halt is about; '' for a halt of the whole stream."""
    return halt.subject if halt.scope is not Scope.STREAM else ""
