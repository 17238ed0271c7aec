"""Audits of campaigns that run or will run: what will hurt, told before it does. Nothing is changed by them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from pwmtad.core.guard import Guard
from pwmtad.core.repeats import Repeats, is_mailed_often
from pwmtad.core.text import clean
from pwmtad.model.audience import ListedDomain
from pwmtad.model.audit import AuditActing, AuditedCampaign, AuditLimits, AuditView
from pwmtad.model.counters import DAY_S, HOUR_S
from pwmtad.model.names import Instant
from pwmtad.model.state import Finding, Level

NO_ALTBODY: Final = "campaign_without_altbody"
NO_MESSENGER: Final = "campaign_messenger_missing"
TOO_LARGE: Final = "campaign_too_large"
EXCLUDED: Final = "campaign_excluded_domains"
LOCALHOST: Final = "message_id_localhost"
MAILED_OFTEN: Final = "mailed_often"
NOT_AUDITED: Final = "campaigns_not_audited"
AUDIT_CODES: Final = frozenset({NO_ALTBODY, NO_MESSENGER, TOO_LARGE, EXCLUDED, LOCALHOST, MAILED_OFTEN, NOT_AUDITED})
_TEXT_TYPES: Final = frozenset({"plain"})
"""Content types that are text already; Listmonk makes no text part of the others by itself."""
_NAMED: Final = 5
_LIMIT: Final = 900
"""Characters of a finding: five campaigns with names of 80, and a reason for each."""


class Audited(Struct, frozen=True):
    """What one look at an instance gave."""

    without_altbody: tuple[AuditedCampaign, ...]
    without_messenger: tuple[AuditedCampaign, ...]
    too_large: tuple[tuple[AuditedCampaign, str], ...]
    """With the reason."""
    excluded: tuple[ListedDomain, ...] | None
    """None: Listmonk's database is not read."""
    campaigns: int = 0


def audit(view: AuditView, limits: AuditLimits, sizes: Mapping[int, int], excluded: Sequence[ListedDomain] | None) -> Audited:
    """Look at campaigns. `sizes`: recipients by campaign, where Listmonk's database is read."""
    large = [(one, why) for one in view.campaigns if (why := _why_too_large(one, limits, sizes.get(one.id)))]
    return Audited(
        without_altbody=tuple(one for one in view.campaigns if one.content_type not in _TEXT_TYPES and not one.has_altbody),
        without_messenger=tuple(
            one for one in view.campaigns if view.messengers is not None and one.messenger not in view.messengers
        ),
        too_large=tuple(large),
        excluded=None if excluded is None else tuple(excluded),
        campaigns=len(view.campaigns),
    )


def _why_too_large(one: AuditedCampaign, limits: AuditLimits, size: int | None) -> str:
    """Say by what a campaign is more than the stream may send; '' if it is not, or its size is not known."""
    to_send = max(one.to_send, size or 0)
    left = to_send - one.sent
    if left <= 0:
        return ""
    a_day = min(limits.ceiling_per_day, 24 * limits.window_per_hour)
    today = int(limits.at // DAY_S)
    if one.send_at is not None and one.status != "running" and int(one.send_at // DAY_S) > today:
        if left <= a_day:
            return ""
        return f"{left:,} to send, {a_day:,} a day: {_days(left, a_day)} days"
    hours_left = (float((today + 1) * DAY_S) - max(limits.at, one.send_at or 0.0)) / HOUR_S
    room = min(limits.room_today, math.ceil(hours_left * limits.window_per_hour))
    if left <= room:
        return ""
    days = 1 + _days(left - room, a_day)
    above = f", above the ceiling of {limits.ceiling_per_day:,} a day" if left > limits.ceiling_per_day else ""
    return f"{left:,} to send{above}, {room:,} today, {a_day:,} a day: {days} days"


def _days(count: int, a_day: int) -> int:
    return math.ceil(count / max(a_day, 1))


class LogSight(Struct, frozen=True):
    """What the log tells of one stream."""

    localhost_ids: int = 0
    """Messages of the last 24 hours with a Message-ID at localhost."""
    repeats: Repeats | None = None
    """None before the second UTC day."""


def log_sight(guard: Guard, stream: str, now: Instant) -> LogSight:
    """Return what the log tells of one stream."""
    return LogSight(guard.localhost_ids.count(stream, now), guard.repeats.readings.get(stream))


def audit_findings(stream: str, audited: Audited | None, sight: LogSight, problem: str = "") -> Iterable[Finding]:
    """Yield what a person should know."""
    if audited is not None:
        yield from _campaign_findings(stream, audited)
    if sight.localhost_ids:
        text = (
            f"{stream}: {sight.localhost_ids:,} message(s) of the last 24 h have a Message-ID at localhost: give Listmonk's "
            f"host a full name (in Docker, `hostname:`), or upgrade it to 6.2"
        )
        yield Finding(Level.WARNING, LOCALHOST, text, stream)
    often = sight.repeats
    if often is not None and is_mailed_often(often):
        text = (
            f"{stream}: {often.repeated:,} of {often.recipients:,} recipients ({often.share:.0%}) were mailed more than "
            f"{often.limit} times in the seven days up to yesterday, one of them {often.worst} times: does the list only grow?"
        )
        yield Finding(Level.WARNING, MAILED_OFTEN, text, stream)
    if problem:
        yield _finding(Level.WARNING, NOT_AUDITED, f"{stream}: campaigns can't be audited: {problem}", stream)


def _campaign_findings(stream: str, audited: Audited) -> Iterable[Finding]:
    if audited.without_altbody:
        text = (
            f"{stream}: no plain text beside the HTML in {_named(audited.without_altbody)}: a mark of spam to filters. Add an "
            f"alternate plain text body (altbody)"
        )
        yield _finding(Level.WARNING, NO_ALTBODY, text, stream)
    if audited.without_messenger:
        text = (
            f"{stream}: Listmonk has not loaded the messenger of {_named(audited.without_messenger)}: it cancels a campaign "
            f"like that for good as soon as it picks it up"
        )
        yield _finding(Level.ERROR, NO_MESSENGER, text, stream)
    if audited.too_large:
        what = "; ".join(f"{_name(one)}: {why}" for one, why in audited.too_large[:_NAMED])
        more = len(audited.too_large) - _NAMED
        text = f"{stream}: more than may be sent: {what}" + (f"; and {more} more campaigns" if more > 0 else "")
        yield _finding(Level.WARNING, TOO_LARGE, text, stream)
    if audited.excluded:
        yield _finding(Level.ERROR, EXCLUDED, f"{stream}: {_excluded_words(audited.excluded)}", stream)


def _excluded_words(found: Sequence[ListedDomain]) -> str:
    total = sum(one.subscribers for one in found)
    domains: dict[str, int] = {}
    for one in found:
        domains[one.domain] = max(domains.get(one.domain, 0), one.subscribers)
    largest = sorted(domains, key=lambda domain: (-domains[domain], domain))
    shown = ", ".join(largest[:_NAMED]) + (f" and {len(largest) - _NAMED} more" if len(largest) > _NAMED else "")
    campaigns = ", ".join(str(number) for number in sorted({one.campaign for one in found})[:_NAMED])
    return (
        f"{total:,} recipient(s) of campaign(s) {campaigns} are at domains that must not be mailed: take {shown} off the lists"
    )


def acting_of(
    stream: str, audited: Audited | None, sight: LogSight, at: Instant | None = None, problem: str = ""
) -> AuditActing:
    """Return the numbers."""
    ratio = None if sight.repeats is None else sight.repeats.share
    acting = AuditActing(
        stream, at, localhost_message_ids=sight.localhost_ids, mailed_often_ratio=ratio, problem=clean(problem, _LIMIT)
    )
    if audited is None:
        return acting
    excluded = audited.excluded
    return replace(
        acting,
        campaigns=audited.campaigns,
        without_altbody=len(audited.without_altbody),
        without_messenger=len(audited.without_messenger),
        too_large=len(audited.too_large),
        with_excluded_domains=None if excluded is None else len({one.campaign for one in excluded}),
        excluded_subscribers=None if excluded is None else sum(one.subscribers for one in excluded),
    )


def _finding(level: Level, code: str, text: str, stream: str) -> Finding:
    return Finding(level, code, clean(text, _LIMIT), stream)


def _name(one: AuditedCampaign) -> str:
    return f"{one.id} ({one.name})"


def _named(campaigns: Sequence[AuditedCampaign]) -> str:
    shown = ", ".join(_name(one) for one in campaigns[:_NAMED])
    more = len(campaigns) - _NAMED
    return f"campaign(s) {shown}" + (f" and {more} more" if more > 0 else "")
