"""Delivery lines made of the shipped rules' own samples: one attempt for each recipient, as smtp(8) logs it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

from pwmtad.adapters.config_files import load_rules_or_fail
from pwmtad.core.reply import parse_reply
from pwmtad.model.names import Instant, ReplyClass
from pwmtad.model.replies import ReplyRule, RuleSet, Sample

RULES: Final[RuleSet] = load_rules_or_fail(())
ABOUT_US: Final = frozenset(ReplyClass) - {ReplyClass.HARD_BOUNCE, ReplyClass.MAILBOX_FULL, ReplyClass.DEAD_DOMAIN}
SENT: Final = "250 2.0.0 OK  1665519620 a1-20020a05si123 - gsmtp"


class Shape(NamedTuple):
    """How a reply of one rule looks in the log."""

    rule: ReplyRule
    sample: Sample

    @property
    def status(self) -> str:
        """Postfix gives up for 5xx replies to a command, and for its own 5.x.x sentences."""
        reply = parse_reply(self.sample.reply)
        if not reply.said:
            return "bounced" if (self.sample.enhanced_status or "").startswith("5.") else "deferred"
        return "bounced" if reply.code is not None and reply.code >= 500 and not reply.greeting else "deferred"


def shapes(*classes: ReplyClass) -> list[Shape]:
    """Return all samples of rules of these classes, in the order of the files."""
    return [Shape(rule, sample) for rule in RULES.rules if rule.reply_class in classes for sample in rule.samples]


def queue_id(number: int) -> str:
    """Return a long queue id."""
    digits = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz"
    text = ""
    for _ in range(6):
        number, digit = divmod(number, len(digits))
        text = digits[digit] + text
    return f"4XkJ{text}z9z1"


def attempt_line(
    at: Instant,
    number: int,
    recipient: str,
    *,
    reply: str = SENT,
    relay: str | None = "gmail-smtp-in.l.google.com",
    status: str = "sent",
    enhanced: str = "2.0.0",
    egress: str = "out05",
) -> str:
    """Return one delivery line."""
    where = "none" if relay is None else f"{relay}[192.0.2.26]:25"
    moment = datetime.fromtimestamp(at, UTC).isoformat()
    return (
        f"{moment} mail postfix/{egress}/smtp[77]: {queue_id(number)}: to=<{recipient}>, relay={where}, delay=1.2, "
        f"delays=0.1/0/0.6/0.5, dsn={enhanced}, status={status} ({reply})"
    )


def shape_line(at: Instant, number: int, recipient: str, shape: Shape) -> str:
    """Return a delivery line with this reply."""
    reply = parse_reply(shape.sample.reply)
    enhanced = reply.enhanced or shape.sample.enhanced_status or ("5.0.0" if shape.status == "bounced" else "4.0.0")
    return attempt_line(
        at, number, recipient, reply=shape.sample.reply, relay=shape.sample.relay, status=shape.status, enhanced=enhanced
    )


def spread(found: Sequence[Shape], recipients: Iterable[str]) -> list[tuple[str, Shape]]:
    """Give each recipient a shape, all of them in turn."""
    return [(recipient, found[number % len(found)]) for number, recipient in enumerate(recipients)]
