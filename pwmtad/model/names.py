"""Names and closed sets that everything shares; the glossary in docs/GLOSSARY.md explains each."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NewType, TypeAlias

Instant: TypeAlias = float
"""A moment as seconds since the epoch, UTC. Becomes an aware datetime where a person or a record sees it."""

QueueId = NewType("QueueId", str)
StreamName = NewType("StreamName", str)
EgressName = NewType("EgressName", str)
OperatorName = NewType("OperatorName", str)
RuleId = NewType("RuleId", str)

NO_STREAM: Final = StreamName("none")
"""Mail that leaves through no stream's egress: counted, never halted."""
NO_EGRESS: Final = EgressName("none")
"""The tag names no egress that master.cf or the configuration knows."""
OTHER_OPERATOR: Final = OperatorName("other")
"""The relay belongs to no operator that the rules know."""
UNKNOWN_OPERATOR: Final = OperatorName("unknown")
"""There was no relay (`relay=none`) and the recipient's domain was never seen before."""


class ReplyClass(StrEnum):
    """What a remote reply says, and about whom. The table in docs/rules.md gives examples and what each feeds."""

    REPUTATION = "reputation"
    RATE_LIMIT = "rate_limit"
    AUTHENTICATION = "authentication"
    CONTENT = "content"
    HARD_BOUNCE = "hard_bounce"
    MAILBOX_FULL = "mailbox_full"
    DEAD_DOMAIN = "dead_domain"
    GREYLIST = "greylist"
    INFRASTRUCTURE = "infrastructure"
    UNCLASSIFIED = "unclassified"


class AttemptStatus(StrEnum):
    """The `status=` word of a delivery line, as Postfix prints it (lower-cased), plus qmgr's two."""

    SENT = "sent"
    DEFERRED = "deferred"
    BOUNCED = "bounced"
    SOFTBOUNCE = "softbounce"
    DELIVERABLE = "deliverable"
    UNDELIVERABLE = "undeliverable"
    EXPIRED = "expired"
    FORCE_EXPIRED = "force-expired"


class SourceKind(StrEnum):
    """Which events a source may deliver. One source per event, never both (facts: opendkim logs to both places)."""

    POSTFIX = "postfix"
    OPENDKIM = "opendkim"
    BOTH = "both"
