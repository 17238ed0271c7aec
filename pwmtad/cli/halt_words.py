"""What becomes of a halt, and how to end it: the same sentences in `pwmtad status` and `pwmtad explain`."""

from __future__ import annotations

from collections.abc import Iterator

from pwmtad.cli.tables import ago, minute
from pwmtad.core.halts import ReturnPolicy
from pwmtad.model.judgement import Halt, HaltPhase
from pwmtad.model.names import Instant


def hold_words(halt: Halt, now: Instant) -> Iterator[str]:
    """Yield how long an open halt goes on, and the command that ends it."""
    policy = ReturnPolicy()
    match halt.phase:
        case HaltPhase.ACTIVE:
            yield _holds(halt, now)
        case HaltPhase.PROBING:
            yield f"probing since {minute(halt.phase_at)}: {policy.probe_per_hour} messages an hour; evidence doubles the hold"
        case HaltPhase.RECOVERING:
            yield f"recovering since {minute(halt.phase_at)}: on the ladder of the effective day; evidence doubles the hold"
        case HaltPhase.ENDED:
            yield f"ended {ago(halt.ended_at, now)} by {halt.ended_by}"
            return
    yield f"to end it: pwmtad release {halt.id}"


def _holds(halt: Halt, now: Instant) -> str:
    if halt.hold_until is None:
        return f"holds since {minute(halt.phase_at)} ({ago(halt.phase_at, now)}), until it is released"
    if halt.hold_until <= now:
        return f"holds since {minute(halt.phase_at)}: its time is over, but all was not quiet or not known yet"
    return f"holds until {minute(halt.hold_until)} ({ago(halt.hold_until, now)}), longer while evidence comes"
