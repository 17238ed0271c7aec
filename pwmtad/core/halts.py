"""The life of a halt: active -> probing -> recovering -> ended. Pure steps from halt to halt.

A halt is a latch. Only a person, or its rule's own expiry with quiet evidence, leads out of `active`; what follows is slow: a
handful of messages, then the ladder from the effective day. Evidence on the way back doubles the hold. A clock that steps back
makes every phase longer and none shorter.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from itertools import chain, count
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from pwmtad.model.counters import DAY_S, HOUR_S
from pwmtad.model.judgement import EvidenceLine, Halt, HaltPhase, Scope
from pwmtad.model.names import Instant

MANUAL_RULE: Final = "manual"
ADOPTED_RULE: Final = "adopted"
"""A pause was found in Postfix that the store does not know."""
_MAX_HOLD_S: Final = 30 * DAY_S
"""Longer than this receivers forget an address and warmup starts anew (SendGrid, MailWizz: about 30 days)."""
_MAX_DOUBLINGS: Final = 32
"""More than enough to get from any hold to the longest."""
_MAX_QUOTED: Final = 10
"""Evidence lines of one halt: more would prove nothing more."""
_LAST_MOMENT: Final = 253_402_300_799.0
"""9999-12-31T23:59:59Z: the last that a calendar with four digits has."""


class ReturnPolicy(Struct, frozen=True):
    """How slowly a stream comes back. Own choices: no vendor documents any (the field falls off a cliff at expiry)."""

    probe_per_hour: int = 10
    """Messages an hour while probing: a handful, and enough to see three blocks."""
    probe_s: int = 6 * HOUR_S
    """Least time of probing; deferred answers to the first probes come within it."""
    probe_min_attempts: int = 5
    """Without so many answered attempts nothing was probed, and probing goes on."""
    recover_s: int = DAY_S
    """A day on the ladder without the rule firing again ends the halt."""
    relapse_s: int = 7 * DAY_S
    """The same rule within this time after the end is a relapse."""
    relapse_factor: int = 2
    step_back_days: int = 2
    """Each halt costs so many warmup days besides those spent halted: about one rung of the runbook's ladder."""


def halt_id(stream: str, rule: str, at: Instant, taken: Collection[str]) -> str:
    """Return a name that people can type and Postfix can carry in a reply text: letters, digits, `-` and `_`.

    Two egresses can fail within a second, so a name that is `taken` gets a number.
    """
    moment = datetime.fromtimestamp(min(max(at, 0.0), _LAST_MOMENT), tz=UTC)
    name = f"{stream}-{rule}-{moment:%Y%m%dT%H%M%S}"
    return next(found for found in chain((name,), (f"{name}-{number}" for number in count(2))) if found not in taken)


def ceiling_name(stream: str, day: int) -> str:
    """Return what holds a stream whose ceiling was reached on that UTC day (days since the epoch)."""
    return f"{stream}-ceiling-{datetime.fromtimestamp(day * DAY_S, tz=UTC):%Y%m%d}"


def ceiling_day(stream: str, name: str) -> int | None:
    """Return the UTC day of a `ceiling_name` of this stream; None if it is none."""
    try:
        moment = datetime.strptime(name, f"{stream}-ceiling-%Y%m%d").replace(tzinfo=UTC)
    except ValueError:
        return None
    day = int(moment.timestamp() // DAY_S)
    return day if name == ceiling_name(stream, day) else None  # strptime(3) also takes fewer digits


def no_egress_name(stream: str) -> str:
    """Return what holds a stream that has no egress which can be used."""
    return f"{stream}-no-egress"


def adopted_halt(stream: str, name: str, at: Instant) -> Halt:
    """Return a halt for a pause that was found in Postfix and that nobody remembers: it holds until a person releases it."""
    return Halt(
        id=name,
        stream=stream,
        scope=Scope.STREAM,
        subject=stream,
        rule=ADOPTED_RULE,
        reason=f"Postfix was found paused by {name}, which the store does not know: nobody knows why, so it stays",
        evidence=(),
        started_at=at,
        hold_s=None,
        hold_until=None,
        phase=HaltPhase.ACTIVE,
        phase_at=at,
        last_evidence_at=at,
    )


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
    """Return a new active halt. If the same rule halted the same subject not long ago, it is a relapse: a longer hold.

    `earlier`: the stream's other halts, open or ended. What a person says holds as it was said.
    """
    relapses = 0
    earlier = tuple(earlier)
    for halt in earlier:
        same = halt.rule == rule != MANUAL_RULE and halt.subject == subject
        if same and halt.ended_at is not None and at - halt.ended_at < policy.relapse_s:
            relapses = max(relapses, halt.relapses + 1)
    hold = lengthened(hold_s, relapses, policy)
    return Halt(
        id=halt_id(stream, rule, at, {halt.id for halt in earlier}),
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
    return min(hold_s * int(policy.relapse_factor ** min(relapses, _MAX_DOUBLINGS)), max(_MAX_HOLD_S, hold_s))


def more_evidence(halt: Halt, evidence: Iterable[EvidenceLine], at: Instant, policy: ReturnPolicy) -> Halt:
    """The halt's rule fired again, or a probe met what it was halted for: relapse, or a longer quiet time to wait for."""
    if halt.phase is HaltPhase.ACTIVE:
        return replace(halt, last_evidence_at=max(at, halt.last_evidence_at))
    hold = lengthened(halt.hold_s, 1, policy)
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
        probed=0,
        ended_by="",
    )


def step(halt: Halt, now: Instant, *, policy: ReturnPolicy) -> Halt:
    """Return the halt as time has made it: at most one phase further. A clock that steps back changes nothing."""
    in_phase_s = now - halt.phase_at
    if halt.phase is HaltPhase.ACTIVE and _is_served(halt, now):
        return replace(halt, phase=HaltPhase.PROBING, phase_at=now, held_until_phase=now)
    if halt.phase is HaltPhase.PROBING and in_phase_s >= policy.probe_s and halt.probed >= policy.probe_min_attempts:
        return replace(halt, phase=HaltPhase.RECOVERING, phase_at=now)
    if halt.phase is HaltPhase.RECOVERING and in_phase_s >= policy.recover_s:
        return replace(halt, phase=HaltPhase.ENDED, phase_at=now, ended_at=now, ended_by=halt.ended_by or "expiry")
    return halt


def _is_served(halt: Halt, now: Instant) -> bool:
    """Whether the hold is over and all is quiet: mail that was in flight may still bring evidence while nothing is sent."""
    if halt.hold_s is None or halt.hold_until is None or now < halt.hold_until:
        return False
    return now - halt.last_evidence_at >= min(HOUR_S, halt.hold_s)


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
