"""Counter keys and counts: what is added up, by what, and for how long it is kept."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from msgspec import Struct

from pwmtad.model.names import Instant

MINUTE_S = 60
HOUR_S = 3600
DAY_S = 86400


class AttemptKey(NamedTuple):
    """Attempts are counted by these. Labels come from closed sets (configuration and rules), so keys are bounded.

    `reply_class` is the empty string for attempts that were sent or that have no class.
    """

    stream: str
    egress: str
    operator: str
    status: str
    reply_class: str


class AttemptCounts(NamedTuple):
    """Disjoint counts of recipients' attempts.

    `first`: first attempt of a (queue id, recipient); `retries`: later ones; `notifications`: attempts of messages with
    the null sender (NDRs), which are volume of the egress but not of a campaign.
    """

    first: int = 0
    retries: int = 0
    notifications: int = 0


class MessageCounts(NamedTuple):
    """Counts of messages of one stream, for DKIM coverage and loss.

    `injected`: reached qmgr from an injector of the stream; `signed` and `unsigned`: of those, judged after the grace
    time; `expired`: given up by qmgr for age.
    """

    injected: int = 0
    signed: int = 0
    unsigned: int = 0
    expired: int = 0


class ReasonKey(NamedTuple):
    """A deferral or bounce reason for the report: `reason` is cleaned, with digits masked, at most 120 characters."""

    day: int
    """Days since the epoch, UTC."""
    stream: str
    status: str
    reply_class: str
    reason: str


class AttemptBucket(NamedTuple):
    """`counts` of `key` in the span that starts at `start` (epoch seconds, a multiple of `span_s`)."""

    span_s: int
    start: int
    key: AttemptKey
    counts: AttemptCounts


class AttemptSeries(Struct, frozen=True):
    """Buckets of one key, oldest first, a column each: a start takes in hundreds of thousands, and what is alike for all of one
    key is looked up once.
    """

    key: AttemptKey
    minutes: list[int]
    """In which they begin, since the epoch."""
    spans: list[int]
    first: list[int]
    retries: list[int]
    notifications: list[int]

    @property
    def begin(self) -> int:
        """When the oldest begins."""
        return self.minutes[0] * MINUTE_S

    @property
    def newest(self) -> int:
        """When the newest begins."""
        return self.minutes[-1] * MINUTE_S

    @property
    def end(self) -> int:
        """When the last one ends."""
        newest = dict(zip(self.spans, self.minutes, strict=True))  # of each span
        return max(minute * MINUTE_S + span_s for span_s, minute in newest.items())


class MessageBucket(NamedTuple):
    """As AttemptBucket, for the messages of a stream."""

    span_s: int
    start: int
    stream: str
    counts: MessageCounts


class OpenMessage(Struct, omit_defaults=True, array_like=True):
    """What the correlator remembers of a queue id between its first line and `removed`. Mutable, and only there."""

    opened_at: Instant
    stream: str = ""
    """The stream whose injector submitted it; empty if none or not seen yet."""
    null_sender: bool = False
    queued_at: Instant | None = None
    signed: bool = False
    judged: int = 0
    """DKIM coverage: 0 not judged, 1 counted as signed, 2 counted as unsigned, 3 never: queued while nobody signed."""
    closed: bool = False
    """`removed` was seen, but coverage is not judged yet: the signing line may come from a slower source."""
    recipient: str = ""
    """The first recipient that had an attempt; nearly all campaign mail has just one."""
    others: set[str] | None = None
    """Further recipients that had an attempt."""
    unfiltered: str = ""
    """Why no milter saw it, if its session could not reach the milter."""


class DomainOperator(NamedTuple):
    """The operator last seen behind a recipient domain."""

    domain: str
    operator: str
    seen_at: Instant


class LineCounts(Struct, frozen=True):
    """Lines read, by source and by outcome, since the store began."""

    source: str
    daemon: str
    """`postfix`, `opendkim`, or `other`."""
    outcome: str
    """`parsed` or `unparsed`."""
    count: int


Counted: TypeAlias = tuple[AttemptKey, AttemptCounts]
