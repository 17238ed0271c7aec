"""What the store keeps and what one commit changes: everything of a commit becomes durable together or not at all."""

from __future__ import annotations

from msgspec import Struct, field

from pwmtad.model.counters import (
    AttemptBucket,
    AttemptSeries,
    DomainOperator,
    LineCounts,
    MessageBucket,
    OpenMessage,
    ReasonKey,
)
from pwmtad.model.judgement import JudgementDeltas, JudgementState
from pwmtad.model.names import Instant, QueueId
from pwmtad.model.sources import Checkpoint


class Commit(Struct, frozen=True):
    """Differences since the last commit. Counts are added to what is stored; the rest replaces it."""

    at: Instant
    checkpoints: dict[str, Checkpoint] = field(default_factory=dict)
    """By source name."""
    attempts: list[AttemptBucket] = field(default_factory=list)
    """Minute buckets, each key at most once."""
    messages: list[MessageBucket] = field(default_factory=list)
    reasons: dict[ReasonKey, int] = field(default_factory=dict)
    lines: list[LineCounts] = field(default_factory=list)
    open_put: dict[QueueId, OpenMessage] = field(default_factory=dict)
    open_removed: set[QueueId] = field(default_factory=set)
    domains_put: list[DomainOperator] = field(default_factory=list)
    domains_removed: list[str] = field(default_factory=list)
    meta: dict[str, str] = field(default_factory=dict)
    judgement: JudgementDeltas = field(default_factory=JudgementDeltas)


class Ledger(Struct, frozen=True):
    """What a start needs. Buckets of every span that overlaps [since, now], plus totals over all time."""

    checkpoints: dict[str, Checkpoint]
    attempts: list[AttemptSeries]
    """Each key at most once."""
    messages: list[MessageBucket]
    attempt_totals: list[AttemptBucket]
    """Sums over all time, with span_s = 0 and start = 0."""
    message_totals: list[MessageBucket]
    reasons: dict[ReasonKey, int]
    """Of the days from `since` on."""
    lines: list[LineCounts]
    open_messages: dict[QueueId, OpenMessage]
    """Oldest first (by opened_at)."""
    domains: list[DomainOperator]
    """Oldest first (by seen_at)."""
    meta: dict[str, str]
    judgement: JudgementState = field(default_factory=JudgementState)
