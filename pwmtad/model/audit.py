"""What audits look at, and what they found."""

from __future__ import annotations

from msgspec import Struct

from pwmtad.model.names import Instant


class AuditedCampaign(Struct, frozen=True):
    """A campaign that runs or will run. Names are other people's text: cleaned and bounded."""

    id: int
    name: str
    status: str
    messenger: str
    content_type: str
    has_altbody: bool
    to_send: int
    """0 until it is picked up."""
    sent: int
    send_at: Instant | None = None


class AuditView(Struct, frozen=True):
    """One look at an instance."""

    root_url: str
    campaigns: tuple[AuditedCampaign, ...]
    messengers: frozenset[str] | None = None
    """Those that its process has loaded; None: it does not say."""


class AuditLimits(Struct, frozen=True):
    """What the stream may send."""

    at: Instant
    window_per_hour: int
    ceiling_per_day: int
    room_today: int
    """First attempts that the ceiling leaves on this UTC day."""


class AuditActing(Struct, frozen=True):
    """What the last audit of one stream found, for people and Prometheus. None: not known."""

    stream: str
    at: Instant | None = None
    """When it was last made."""
    campaigns: int | None = None
    """Running and scheduled ones."""
    without_altbody: int = 0
    without_messenger: int = 0
    too_large: int = 0
    with_excluded_domains: int | None = None
    """None without Listmonk's database."""
    excluded_subscribers: int | None = None
    """Subscribers of these campaigns at domains that must not be mailed."""
    localhost_message_ids: int = 0
    """Messages of the last 24 hours."""
    mailed_often_ratio: float | None = None
    """Share of recipients that were mailed too often within seven days; None before the second UTC day."""
    problem: str = ""
    """Why it could not be made."""
