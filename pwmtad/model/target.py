"""What Postfix should do, what it was seen to do, what of its settings is ours, and what people's own values were before.

These values also cross the socket between the daemon and the root helper, so they are closed: unknown fields are refused.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct, field

from pwmtad.model.names import Instant
from pwmtad.model.postfix import Clone


class StreamTarget(Struct, frozen=True, forbid_unknown_fields=True):
    """What should become of one stream's mail."""

    stream: str
    egresses: tuple[str, ...]
    """All of its clones, retired ones included: what a pause defers and what the governor slows."""
    pool: tuple[str, ...] = ()
    """The egresses that the default route draws from; empty for a stream with fixed egresses."""
    paused_by: str = ""
    """What holds the stream: a halt's id, or a word for a cap; '' if it may send. It stands in Postfix's own log lines."""
    deferred: tuple[str, ...] = ()
    """Egresses that wait while others send: broken ones, and those that rest while the window is smaller than their number."""
    rate_delay_s: int = 0
    """The governor: seconds between two deliveries of one egress; 0: none."""


class PostfixTarget(Struct, frozen=True, forbid_unknown_fields=True):
    """What Postfix should do. States everything that pwmtad sets, so applying it twice is the same as once."""

    streams: tuple[StreamTarget, ...]
    exempt_senders: tuple[str, ...] = ()
    """Envelope senders `user@domain` or `@domain` that take `exempt_transport`, past pool and pause."""
    exempt_transport: str = "smtp"
    excluded_domains: tuple[str, ...] = ()
    """Recipient domains that must not be sent to: their mail stays in the queue."""
    keep_queued: bool = False
    """Whether nothing may expire: a halt stands, or its backlog is not gone yet."""


class Owned(Struct, frozen=True):
    """What the helper remembers of its own doing, durably: the base of ownership, adoption and `pwmtad restore`."""

    prior: dict[str, str | None] = field(default_factory=dict)
    """By parameter: the value that people had set before ours; None: it was not set."""
    written: dict[str, str] = field(default_factory=dict)
    """By parameter: what we wrote last."""
    deferred: tuple[str, ...] = ()
    """Entries of defer_transports that are ours."""
    pool: tuple[str, ...] = ()
    """The last pool: what a pause replaced."""
    paused: dict[str, str] = field(default_factory=dict)
    """By stream: what holds it. Streams with fixed egresses leave no trace of it in main.cf."""
    delays: dict[str, int] = field(default_factory=dict)
    """By egress that waits: the governor's pause, in seconds, that it will have again."""
    reload_due: bool = False
    """Files were changed, and Postfix was not told yet."""


class Step(Struct, frozen=True):
    """A change of main.cf under way. postconf(1) renames: it is seen wholly or not at all."""

    assignments: dict[str, str]
    removals: tuple[str, ...]
    owned: Owned
    """What is to be remembered once it is seen."""


class Remembered(Struct, frozen=True):
    """What the helper's file holds."""

    owned: Owned = field(default_factory=Owned)
    step: Step | None = None
    """None: nothing was under way."""


class PostfixActual(Struct, frozen=True):
    """What Postfix's files say now, as far as pwmtad sets it."""

    pool: tuple[str, ...] = ()
    """In rotation; while paused, the members that the pause replaced. Empty: there is no pool, or nobody knows."""
    paused_by: str = ""
    """What holds the pool, from the text that the file has."""
    paused: dict[str, str] = field(default_factory=dict)
    """By stream: what holds it, as remembered; a stream counts as held only while `ours` has all of its egresses."""
    deferred: tuple[str, ...] = ()
    """All entries of defer_transports that name transports; not the two names that stand for waiting itself."""
    ours: tuple[str, ...] = ()
    """Those of `deferred` that pwmtad put there."""
    rate_delays: dict[str, int] = field(default_factory=dict)
    """The governor by clone, in seconds; absent: none. Of an egress that waits, what it will have again."""
    keeps_queued: bool = False
    """Queue lifetimes are raised by us."""
    clones: tuple[Clone, ...] = ()
    reload_due: bool = False
    """Postfix has not been told of what the files say."""
    problem: str | None = None
    """Why this could not be read, in words; then all else means nothing."""


class Change(Struct, frozen=True):
    """One parameter that was changed. None: not set."""

    name: str
    before: str | None
    after: str | None


class Applied(Struct, frozen=True):
    """What came of a target."""

    actual: PostfixActual
    """As read back."""
    changes: tuple[Change, ...] = ()
    drift: tuple[str, ...] = ()
    """Parameters of ours that somebody else had changed since we wrote them."""
    reloaded: bool = False
    running: bool = True
    """False: Postfix is stopped; what was written holds from its next start."""
    problem: str | None = None
    """What failed or was refused, in words."""
    held: tuple[str, ...] = ()
    """`pwmtad restore`: queue ids that stay on hold, put there by pwmtad."""
    took_s: float = 0.0


MAX_DOMAINS: Final = 10
"""Recipient domains of one message that a listing tells; one with so many may have more. Own choice: campaign mail has one."""


class QueueEntry(Struct, frozen=True):
    """One message of the queue, as `postqueue -j` shows it. Addresses and texts are other people's."""

    queue_name: str
    """maildrop, hold, incoming, active or deferred."""
    queue_id: str
    arrival_at: Instant
    sender: str
    domains: tuple[str, ...]
    """Of the recipients that are left, lower-case, each once; at most MAX_DOMAINS."""
    delay_reason: str = ""
    """Of the first recipient that has one; cleaned and bounded."""


class QueueListing(Struct, frozen=True):
    """The queue at about one moment; `postqueue -j` is no snapshot."""

    entries: tuple[QueueEntry, ...] = ()
    ours: frozenset[str] = frozenset()
    """Queue ids on hold that pwmtad put there."""
    problem: str | None = None
    took_s: float = 0.0
