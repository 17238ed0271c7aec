"""The life of a halt: active -> probing -> recovering -> ended. Pure steps from halt to halt.

A halt is a latch. Only a person, or its rule's own expiry with quiet evidence, leads out of `active`; what follows is slow: a
handful of messages, then the ladder from the effective day. Evidence on the way back doubles the hold.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from pwmtad.model.counters import DAY_S, HOUR_S
from pwmtad.model.judgement import EvidenceLine, Halt, HaltPhase, Scope
from pwmtad.model.names import Instant

MANUAL_RULE: Final = "manual"
_MAX_HOLD_S: Final = 30 * DAY_S
"""Longer than this receivers forget an address and warmup starts anew (SendGrid, MailWizz: about 30 days)."""
_MAX_QUOTED: Final = 10
"""Evidence lines of one halt: more would prove nothing more."""


class ReturnPolicy(Struct, frozen=True):
    """How slowly a stream comes back. Own choices: no vendor documents any (the field falls off a cliff at expiry)."""

    probe_per_hour: int = 10
    """Messages an hour while probing: a handful, and enough to see three blocks."""
    probe_s: int = 6 * HOUR_S
    """Least time of probing; deferred answers to the first probes come within it."""
    probe_min_attempts: int = 5
    """Without so many attempts nothing was probed, and probing goes on."""
    recover_s: int = DAY_S
    """A day on the ladder without evidence ends the halt."""
    relapse_s: int = 7 * DAY_S
    """The same rule within this time after the end is a relapse."""
    relapse_factor: int = 2
    step_back_days: int = 2
    """Each halt costs so many warmup days besides those spent halted: about one rung of the runbook's ladder."""


def halt_id(stream: str, rule: str, at: Instant) -> str:
    """Return a name that people can type and Postfix can carry in a reply text: letters, digits, `-`."""
    return f"{stream}-{rule}-{datetime.fromtimestamp(at, tz=UTC):%Y%m%dT%H%M%S}"


def begin_halt(
    *,
    stream: str,
    scope: Scope,
    subject: str,
    rule: str,
    reason: str,
    evidence: Iterable[EvidenceLine],
    hold_s: int | None,
    at: Instant,
    earlier: Iterable[Halt],
    policy: ReturnPolicy,
) -> Halt:
    """Return a new active halt. If the same rule halted the same subject not long ago, it is a relapse: a longer hold."""
    relapses = 0
    for halt in earlier:
        same = halt.rule == rule and halt.subject == subject and halt.stream == stream
        if same and halt.ended_at is not None and at - halt.ended_at < policy.relapse_s:
            relapses = max(relapses, halt.relapses + 1)
    hold = lengthened(hold_s, relapses, policy)
    return Halt(
        id=halt_id(stream, rule, at),
        stream=stream,
        scope=scope,
        subject=subject,
        rule=rule,
        reason=reason,
        evidence=tuple(evidence)[-_MAX_QUOTED:],
        started_at=at,
        hold_s=hold,
        hold_until=None if hold is None else at + hold,
        phase=HaltPhase.ACTIVE,
        phase_at=at,
        last_evidence_at=at,
        relapses=relapses,
    )


def lengthened(hold_s: int | None, relapses: int, policy: ReturnPolicy) -> int | None:
    """Return the hold after so many relapses."""
    if hold_s is None:
        return None
    return min(hold_s * int(policy.relapse_factor**relapses), max(_MAX_HOLD_S, hold_s))


def more_evidence(halt: Halt, evidence: Iterable[EvidenceLine], at: Instant, policy: ReturnPolicy) -> Halt:
    """The halt's rule fired again, or a probe met what it was halted for: relapse, or a longer quiet time to wait for."""
    if halt.phase is HaltPhase.ACTIVE:
        return replace(halt, last_evidence_at=max(at, halt.last_evidence_at))
    hold = None if halt.hold_s is None else min(halt.hold_s * policy.relapse_factor, max(_MAX_HOLD_S, halt.hold_s))
    return replace(
        halt,
        phase=HaltPhase.ACTIVE,
        phase_at=at,
        hold_s=hold,
        hold_until=None if hold is None else at + hold,
        last_evidence_at=at,
        relapses=halt.relapses + 1,
        evidence=(*halt.evidence, *evidence)[-_MAX_QUOTED:],
        held_until_phase=None,
    )


def step(halt: Halt, now: Instant, *, attempts_since_phase: int, policy: ReturnPolicy) -> Halt:
    """Return the halt as time has made it: at most one phase further. A clock that steps back changes nothing.

    `attempts_since_phase`: attempts of the halted subject since the phase began.
    """
    match halt.phase:
        case HaltPhase.ACTIVE:
            if halt.hold_until is None or halt.hold_s is None or now < halt.hold_until:
                return halt
            # Quiet: stragglers of mail that was in flight may still bring evidence while nothing is sent.
            if now - halt.last_evidence_at < min(HOUR_S, halt.hold_s):
                return halt
            return replace(halt, phase=HaltPhase.PROBING, phase_at=now, held_until_phase=now)
        case HaltPhase.PROBING:
            if now - halt.phase_at < policy.probe_s or attempts_since_phase < policy.probe_min_attempts:
                return halt
            return replace(halt, phase=HaltPhase.RECOVERING, phase_at=now)
        case HaltPhase.RECOVERING:
            if now - halt.phase_at < policy.recover_s:
                return halt
            return replace(halt, phase=HaltPhase.ENDED, phase_at=now, ended_at=now, ended_by="expiry")
        case HaltPhase.ENDED:
            return halt


def release(halt: Halt, by: str, now: Instant) -> Halt:
    """A person ends the hold. The way back is as slow as after expiry, but for a halt that a person made."""
    if halt.phase is HaltPhase.ENDED:
        return halt
    if halt.rule == MANUAL_RULE or halt.phase is not HaltPhase.ACTIVE:
        until = now if halt.held_until_phase is None else halt.held_until_phase
        return replace(halt, phase=HaltPhase.ENDED, phase_at=now, ended_at=now, ended_by=by, held_until_phase=until)
    return replace(halt, phase=HaltPhase.PROBING, phase_at=now, ended_by=by, held_until_phase=now)


def standing(halts: Iterable[Halt]) -> list[Halt]:
    """Return the halts that hold their subject now."""
    return [halt for halt in halts if halt.phase is HaltPhase.ACTIVE]


def open_halts(halts: Iterable[Halt]) -> list[Halt]:
    """Return the halts that are not ended."""
    return [halt for halt in halts if halt.phase is not HaltPhase.ENDED]
