"""Listmonk's subscribers, as far as suppression and audits look at them."""

from __future__ import annotations

from msgspec import Struct

BLOCKLISTED = "blocklisted"
"""The one status that keeps campaigns away; `disabled` does not (facts of campaigns.sql:349)."""


class Subscriber(Struct, frozen=True):
    """One subscriber."""

    id: int
    uuid: str
    email: str
    """Lower case."""
    status: str
    """As Listmonk says it: `enabled`, `disabled`, `blocklisted`."""


class DomainFound(Struct, frozen=True):
    """The subscribers of a domain that are mailed."""

    subscribers: tuple[Subscriber, ...]
    """Some of them."""
    total: int


class BounceSettings(Struct, frozen=True):
    """What Listmonk does with a reported hard bounce, by its settings as stored."""

    root_url: str
    webhook: bool
    """`bounce.enabled` and `bounce.webhooks_enabled`. Its process may still work with others."""
    action: str
    """Of `bounce.actions`, type hard; '' where it has none: then a report is passed over."""
    count: int

    @property
    def blocklists(self) -> bool:
        """Whether the webhook ends as a blocklisted subscriber, at the first report."""
        return self.webhook and self.action == "blocklist" and self.count <= 1

    @property
    def deletes(self) -> bool:
        """Whether a report would cost the subscriber and its history."""
        return self.action == "delete"


class BounceReport(Struct, frozen=True):
    """What the webhook is told of a subscriber."""

    subscriber_uuid: str
    created_at: float
    meta: dict[str, str | int]


class Found(Struct, frozen=True):
    """What a look-up by address gave."""

    subscribers: tuple[Subscriber, ...]
    unasked: frozenset[str] = frozenset()
    """Addresses that could not be asked for."""


class ListedDomain(Struct, frozen=True):
    """How many subscribers of one domain a campaign would mail."""

    campaign: int
    domain: str
    subscribers: int
