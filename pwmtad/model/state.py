"""What the daemon knows at one moment, as people, scripts and Prometheus see it."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from pwmtad.model.acting import Acting
from pwmtad.model.counters import AttemptCounts, AttemptKey, MessageCounts
from pwmtad.model.judgement import Desired, Halt
from pwmtad.model.names import Instant


class Level(StrEnum):
    """How much a finding matters. UNKNOWN is not healthy: it may hold or shrink, never grow."""

    OK = "ok"
    UNKNOWN = "unknown"
    WARNING = "warning"
    ERROR = "error"


class Finding(Struct, frozen=True):
    """Something a person should know, and what to do about it. `code` is constant; it is also a metric label."""

    level: Level
    code: str
    text: str
    subject: str = ""
    """The stream, egress, source or file it is about."""


class SourceState(Struct, frozen=True):
    """One log source."""

    name: str
    where: str
    """Path, or `journal:UNIT`."""
    caught_up: bool
    lines: int
    """Since the store began."""
    unparsed: int
    last_line_at: Instant | None
    """The newest line's own time."""
    watermark: Instant
    """Up to this time everything was read."""
    cut_lines: int
    gaps: int
    rotations: int
    error: str | None
    progress: float | None = None
    """Share of a backlog that was read (0 to 1); None if caught up or not known."""


class MixRow(Struct, frozen=True):
    """Attempts of one key in the lookbacks that people ask for."""

    key: AttemptKey
    hour: AttemptCounts
    day: AttemptCounts
    """The last 24 hours."""
    utc_day: AttemptCounts


class Coverage(Struct, frozen=True):
    """Messages of a stream, by lookback."""

    hour: MessageCounts
    day: MessageCounts
    utc_day: MessageCounts


class StreamState(Struct, frozen=True):
    """One stream: what its warmup day allows and what it did."""

    name: str
    warmup_day: int | None
    """None: the start is not known; `warmup_problem` says why."""
    warmup_problem: str | None
    pool: tuple[str, ...]
    """Egresses in rotation now as Postfix shows it; empty if not known or the stream has fixed egresses."""
    pool_allowed: int | None
    """How many egresses the ladder allows today; None if there is no pool or the day is not known."""
    egresses: tuple[str, ...]
    window_per_hour: int | None
    ceiling_per_day: int
    first_attempts_hour: int
    first_attempts_utc_day: int
    coverage: Coverage
    unknown: tuple[str, ...] = ()
    """Codes of what is not known now; while there is any, nothing grows."""
    frozen_until: Instant | None = None
    """Until when a rule keeps the stream from growing; None: no rule does."""
    frozen_rule: str = ""


class ReasonRow(Struct, frozen=True):
    """A deferral or bounce reason of the running UTC day."""

    stream: str
    status: str
    reply_class: str
    reason: str
    count: int


class QueueState(Struct, frozen=True):
    """Files per queue directory; None where they could not be counted, `problem` says why."""

    incoming: int | None = None
    active: int | None = None
    deferred: int | None = None
    hold: int | None = None
    maildrop: int | None = None
    problem: str | None = None


class StoreState(Struct, frozen=True):
    """The store's condition."""

    url: str
    """Without secrets."""
    last_commit_at: Instant | None
    commits: int
    errors: int
    error: str | None


class ReloadState(Struct, frozen=True):
    """The configuration in force."""

    file: str
    loaded_at: Instant
    reloads: int
    failed_reloads: int
    error: str | None
    """Of the last reload, if it failed: the configuration in force is then the one before."""


class State(Struct, frozen=True):
    """Everything at one moment."""

    version: str
    mode: str
    host: str
    at: Instant
    started_at: Instant
    summary: str
    """The tick's sentence, also in `systemctl status`."""
    findings: tuple[Finding, ...]
    sources: tuple[SourceState, ...]
    streams: tuple[StreamState, ...]
    mix: tuple[MixRow, ...]
    """Rows with any count in the lookbacks."""
    reasons: tuple[ReasonRow, ...]
    """Most frequent first, bounded."""
    queue: QueueState
    store: StoreState
    reload: ReloadState
    open_messages: int
    evicted_messages: int
    events: dict[str, int]
    """Events by name since the process started."""
    ticks: int
    tick_s: float
    """Duration of the last finished tick."""
    halts: tuple[Halt, ...] = ()
    """Those that are not ended, without their evidence: that quotes replies, and stands in the records."""
    desired: tuple[Desired, ...] = ()
    """What each stream should look like now."""
    acting: Acting = Acting()
    """What was done to the host."""


class Distribution(Struct, frozen=True):
    """Values by size: `counts[i]` are at most `bounds[i]` and above the bound before; the last count is of those above all."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    sum: float


class Totals(Struct, frozen=True):
    """Sums for /metrics, since the store began where nothing else is said."""

    attempts: dict[AttemptKey, AttemptCounts]
    messages: dict[str, MessageCounts]
    lines: dict[tuple[str, str, str], int]
    """By (source, daemon, outcome)."""
    decisions: dict[tuple[str, str], int] = {}
    """Records by (stream, kind), since the process started."""


class Snapshot(Struct, frozen=True):
    """What the faces serve: taken at the end of a tick; `totals` are as fresh as the last line read."""

    state: State
    totals: Totals
    ready: bool
    not_ready: tuple[str, ...]
    """Why not, in words."""
    tick_durations: tuple[float, ...] = ()
    """Durations (s) of the ticks since the last snapshot that was taken for a scrape; for a histogram."""
    tick_intervals: Distribution | None = None
    """Seconds from the beginning of a tick to that of the next, since the process started."""
    latencies: dict[str, Distribution] = {}
    """By stage (core.latency): age (s) of lines, since the process started."""
