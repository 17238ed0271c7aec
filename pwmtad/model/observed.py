"""What was read of the outside besides logs: Postfix's settings and queue, the warmup stamps."""

from __future__ import annotations

from msgspec import Struct, field

from pwmtad.model.names import Instant
from pwmtad.model.postfix import Clone
from pwmtad.model.state import Finding, QueueState


class Observed(Struct, frozen=True):
    """One look at the outside. It may be minutes old; `at` says how old."""

    at: Instant = 0.0
    pool: tuple[str, ...] = ()
    """Members of the randmap pool in main.cf; empty if there is none or it can't be read."""
    queue: QueueState = field(default_factory=lambda: QueueState(problem="not looked at yet"))
    warmup_starts: dict[str, Instant] = field(default_factory=dict)
    """By stream."""
    warmup_problems: dict[str, str] = field(default_factory=dict)
    """By stream: why its start is not known, in words."""
    milter_accepts: bool | None = None
    """Whether mail passes when a milter can't be reached (milter_default_action=accept); None if not known."""
    findings: tuple[Finding, ...] = ()


class PostfixView(Struct, frozen=True):
    """What Postfix is set up to do, as its files say (not what the running daemons have read)."""

    clones: tuple[Clone, ...] | None = None
    """The smtp services of master.cf; None if it was not or could not be read."""
    pool: tuple[str, ...] = ()
    """Members of the randmap pool; empty if there is none."""
    milter_accepts: bool | None = None
    findings: tuple[Finding, ...] = ()
    """What is wrong, could not be read, or is missing in Postfix's own settings."""


class StampReading(Struct, frozen=True):
    """A warmup stamp file: either the start, or why there is none, in words."""

    start: Instant | None
    problem: str = ""
