"""What the daemon does to the host, as people, scripts and Prometheus see it."""

from __future__ import annotations

from msgspec import Struct

from pwmtad.model.audit import AuditActing
from pwmtad.model.names import Instant
from pwmtad.model.suppression import SuppressionActing


class StreamActing(Struct, frozen=True):
    """One stream in Postfix's hands."""

    stream: str
    held_by: str = ""
    """What holds it in Postfix, as read back; '' if nothing does."""
    rate_delay_s: int = 0
    """The governor's pause between two deliveries of an egress."""
    queued: int | None = None
    """Its messages in Postfix's hands when the queue was last listed; None: not listed, because nothing waits."""
    held_messages: int = 0
    """Its messages on hold by pwmtad."""
    parked_messages: int = 0
    """Its messages to domains that must not be mailed, on hold or to be."""
    oldest_at: Instant | None = None
    """Arrival of the oldest of them."""
    leaking_at: Instant | None = None
    """When mail was last seen to leave although the stream is held."""


class ListmonkActing(Struct, frozen=True):
    """One stream's Listmonk; counts since the process started."""

    stream: str
    url: str
    reachable: bool | None = None
    """Whether the last look went well; None: none was taken yet."""
    version: str = ""
    window: str = ""
    """The send window as stored: `2 each 25s`; '' if it was never read."""
    window_per_hour: int | None = None
    """What it lets out within an hour, while there is enough to send; None: no limit, or not known."""
    in_force: bool = False
    """Whether the running process is known to work with just that."""
    running: int | None = None
    """Campaigns; None: not known."""
    scheduled: int | None = None
    held: int = 0
    """Campaigns that pwmtad keeps paused."""
    unsure: int = 0
    """Paused ones of which nobody knows whether by pwmtad."""
    doing: str = ""
    """What is under way or waited for; '' if all is as it should be."""
    problem: str = ""
    """The first of what is wrong, in words."""
    pauses: int = 0
    """Campaigns that were paused."""
    resumes: int = 0
    changes: int = 0
    """Windows that were set, each with one restart of Listmonk."""
    failures: int = 0
    drifts: int = 0
    """Changes by somebody else that were noticed."""
    last_change_at: Instant | None = None
    """When the window was last set."""


class Acting(Struct, frozen=True):
    """What was done so far; counts since the process started."""

    reachable: bool | None = None
    """Whether the root helper answers; None: it was not asked (observe mode)."""
    postfix_running: bool | None = None
    pool: tuple[str, ...] = ()
    """The egresses in rotation, as read back; while paused, those that the pause replaced."""
    last_write_at: Instant | None = None
    writes: int = 0
    """Changes of main.cf, each with one reload."""
    failures: int = 0
    drifts: int = 0
    """Corrections of what somebody else had changed."""
    last_took_s: float = 0.0
    problem: str | None = None
    """What failed or was refused last, in words; None: all is as it should be."""
    keeps_queued: bool = False
    """Queue lifetimes are raised."""
    streams: tuple[StreamActing, ...] = ()
    listmonk: tuple[ListmonkActing, ...] = ()
    suppressions: tuple[SuppressionActing, ...] = ()
    audits: tuple[AuditActing, ...] = ()
