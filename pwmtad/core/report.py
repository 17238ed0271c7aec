"""The daily page: a State's counts added up by stream, by egress and by operator. Pure; shown by `pwmtad report`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from msgspec import Struct

from pwmtad.core.audits import AUDIT_CODES
from pwmtad.model.audit import AuditActing
from pwmtad.model.counters import AttemptCounts, AttemptKey
from pwmtad.model.judgement import Desired
from pwmtad.model.names import Instant
from pwmtad.model.state import Coverage, Finding, MixRow, QueueState, ReasonRow, State, StreamState
from pwmtad.model.suppression import SuppressionActing


class Sums(Struct, frozen=True):
    """Attempts in one lookback. The outcomes count first attempts and retries, not notifications (NDRs)."""

    sent: int = 0
    deferred: int = 0
    """Ended without a final answer; the message stays in the queue (with soft_bounce = yes also what would have bounced)."""
    bounced: int = 0
    first: int = 0
    """First attempts of a recipient: what window and ceiling limit."""
    retries: int = 0
    notifications: int = 0

    @property
    def attempts(self) -> int:
        """All outcomes."""
        return self.sent + self.deferred + self.bounced


class Line(Struct, frozen=True):
    """Sums of everything that has this name."""

    name: str
    hour: Sums = Sums()
    day: Sums = Sums()
    """The last 24 hours."""
    utc_day: Sums = Sums()


class EgressLine(Struct, frozen=True):
    """One egress; those that sent nothing are there as well, because silence of one is news."""

    stream: str
    in_pool: bool | None
    """None: its stream has fixed egresses, or belongs to none."""
    sums: Line


class WarmupLine(Struct, frozen=True):
    """What the warmup day of a stream allows, what it used, and its DKIM coverage."""

    stream: str
    warmup_day: int | None
    warmup_problem: str | None
    pool: tuple[str, ...]
    pool_allowed: int | None
    window_per_hour: int | None
    ceiling_per_day: int
    first_attempts_hour: int
    first_attempts_utc_day: int
    coverage: Coverage


class Report(Struct, frozen=True):
    """Everything that the daily look at a mail host needs."""

    host: str
    at: Instant
    mode: str
    summary: str
    streams: tuple[Line, ...]
    egresses: tuple[EgressLine, ...]
    operators: tuple[Line, ...]
    """The one with most attempts of the UTC day first."""
    reasons: tuple[ReasonRow, ...]
    queue: QueueState
    warmup: tuple[WarmupLine, ...]
    suppressions: tuple[SuppressionActing, ...] = ()
    audits: tuple[AuditActing, ...] = ()
    audit_findings: tuple[Finding, ...] = ()
    """What is wrong with campaigns, in words."""


_COLUMNS: Final = {"sent": "sent", "bounced": "bounced"}
"""Status -> outcome; any other counted status means that the message stays in the queue."""


def report_of(state: State) -> Report:
    """Return the page's numbers."""
    streams = _grouped(state.mix, lambda key: key.stream)
    egresses = _grouped(state.mix, lambda key: f"{key.stream}\n{key.egress}")
    operators = _grouped(state.mix, lambda key: key.operator)
    names = [stream.name for stream in state.streams]
    desired = {one.stream: one for one in state.desired}
    return Report(
        host=state.host,
        at=state.at,
        mode=state.mode,
        summary=state.summary,
        streams=tuple(streams.get(name, Line(name)) for name in (*names, *(n for n in sorted(streams) if n not in names))),
        egresses=tuple(_egress_lines(state.streams, egresses)),
        operators=tuple(sorted(operators.values(), key=lambda line: (-line.utc_day.attempts, -line.day.attempts, line.name))),
        reasons=state.reasons,
        queue=state.queue,
        warmup=tuple(_warmup(stream, desired.get(stream.name)) for stream in state.streams),
        suppressions=state.acting.suppressions,
        audits=state.acting.audits,
        audit_findings=tuple(finding for finding in state.findings if finding.code in AUDIT_CODES),
    )


def total_of(lines: Iterable[Line]) -> Line:
    """Add lines up."""
    hour = day = utc_day = Sums()
    for line in lines:
        hour, day, utc_day = _plus(hour, line.hour), _plus(day, line.day), _plus(utc_day, line.utc_day)
    return Line("all", hour, day, utc_day)


def _warmup(stream: StreamState, desired: Desired | None) -> WarmupLine:
    """What is measured against what should be now: halts make that less than the ladders of the warmup day."""
    return WarmupLine(
        stream=stream.name,
        warmup_day=stream.warmup_day,
        warmup_problem=stream.warmup_problem,
        pool=stream.pool,
        pool_allowed=len(desired.pool) if desired is not None and desired.pool else stream.pool_allowed,
        window_per_hour=stream.window_per_hour if desired is None else desired.window_per_hour,
        ceiling_per_day=stream.ceiling_per_day,
        first_attempts_hour=stream.first_attempts_hour,
        first_attempts_utc_day=stream.first_attempts_utc_day,
        coverage=stream.coverage,
    )


def _egress_lines(streams: Iterable[StreamState], found: dict[str, Line]) -> Iterable[EgressLine]:
    """In the order of the configuration; then what else was seen."""
    rest = dict(found)
    for stream in streams:
        for egress in stream.egresses:
            line = rest.pop(f"{stream.name}\n{egress}", Line(egress))
            in_pool = egress in stream.pool if stream.pool_allowed is not None or stream.pool else None
            yield EgressLine(stream.name, in_pool, _named(line, egress))
    for key in sorted(rest):
        stream_name, _, egress = key.partition("\n")
        yield EgressLine(stream_name, None, _named(rest[key], egress))


def _named(line: Line, name: str) -> Line:
    return Line(name, line.hour, line.day, line.utc_day)


def _grouped(mix: Iterable[MixRow], name_of: Callable[[AttemptKey], str]) -> dict[str, Line]:
    lines: dict[str, Line] = {}
    for row in mix:
        name = name_of(row.key)
        before = lines.get(name, Line(name))
        lines[name] = Line(
            name,
            _plus(before.hour, _sums(row.key.status, row.hour)),
            _plus(before.day, _sums(row.key.status, row.day)),
            _plus(before.utc_day, _sums(row.key.status, row.utc_day)),
        )
    return lines


def _sums(status: str, counts: AttemptCounts) -> Sums:
    outcome = {_COLUMNS.get(status, "deferred"): counts.first + counts.retries}
    return Sums(first=counts.first, retries=counts.retries, notifications=counts.notifications, **outcome)


def _plus(one: Sums, other: Sums) -> Sums:
    return Sums(
        one.sent + other.sent,
        one.deferred + other.deferred,
        one.bounced + other.bounced,
        one.first + other.first,
        one.retries + other.retries,
        one.notifications + other.notifications,
    )
