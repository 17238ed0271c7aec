"""What to tell Listmonk of a suppression, by what it shows of the subscriber now.

Level-triggered: each look compares whom it is about with how that subscriber stands, so a lost answer, a restart and a report
that came twice need no code of their own. Nothing is told of somebody who is blocklisted already.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from pwmtad.core.text import clean
from pwmtad.model.audience import BLOCKLISTED, BounceReport, BounceSettings, DomainFound, Subscriber
from pwmtad.model.counters import DAY_S
from pwmtad.model.listmonk import Outcome
from pwmtad.model.names import Instant
from pwmtad.model.suppression import MANUAL, Mark, Report, ReportState, Suppression, Way

LOOKS_S: Final = (2.0, 5.0, 15.0)
"""After a report to each look at what came of it; Listmonk's queue of reports has one consumer. Own choice."""
_FAILED_S: Final = float(DAY_S)
_ROOT_LIMIT: Final = 300
_TEXT_LIMIT: Final = 200
_PAGE: Final = 50
"""Subscribers of a domain that are blocklisted at once; a page has no more."""


class Settle(Struct, frozen=True):
    """Nothing to tell; note how it stands."""

    mark: Mark


class Tell(Struct, frozen=True):
    """Tell Listmonk of one subscriber."""

    row: Suppression
    subscriber: Subscriber
    way: Way


class TellDomain(Struct, frozen=True):
    """Blocklist these subscribers of a domain."""

    row: Suppression
    ids: tuple[int, ...]
    total: int
    """All that are left."""


Step: TypeAlias = Settle | Tell | TellDomain


def bounce_settings(settings: Mapping[str, Any]) -> BounceSettings:
    """Read what decides about reported hard bounces; what is missing or wrong is off."""
    actions = settings.get("bounce.actions")
    hard = actions.get("hard") if isinstance(actions, Mapping) else None
    found: Mapping[str, Any] = hard if isinstance(hard, Mapping) else {}
    action, count, root_url = found.get("action"), found.get("count"), settings.get("app.root_url")
    return BounceSettings(
        root_url=clean(root_url.rstrip("/"), _ROOT_LIMIT) if isinstance(root_url, str) else "",
        webhook=settings.get("bounce.enabled") is True and settings.get("bounce.webhooks_enabled") is True,
        action=clean(action, _TEXT_LIMIT) if isinstance(action, str) else "",
        count=count if type(count) is int else 0,
    )


def way_for(choice: str, bounces: BounceSettings) -> Way:
    """Return how hard bounces are told: by the webhook only where that blocklists, unless it was chosen."""
    if choice == "webhook":
        return Way.WEBHOOK
    return Way.WEBHOOK if choice == "auto" and bounces.blocklists else Way.BLOCKLIST


def next_step(row: Suppression, subscriber: Subscriber | None, way: Way, now: Instant) -> Step:
    """Return what to do about a suppressed address."""
    report = row.report
    if subscriber is None:
        # Told of and gone: `bounce.actions` deletes. Nobody is left to be mailed.
        state = ReportState.VERIFIED if report.state in (ReportState.SENT, ReportState.VERIFIED) else ReportState.UNKNOWN
        return _settle(row, state, now)
    if subscriber.status == BLOCKLISTED:
        return _settle(row, ReportState.VERIFIED, now)
    if row.key.reply_class == MANUAL:
        way = Way.BLOCKLIST  # a person's wish is no bounce
    if report.state is not ReportState.SENT:
        return Tell(row, subscriber, way)
    if report.tries < len(LOOKS_S):
        return Settle(_mark(row, replace(report, tries=report.tries + 1), now + LOOKS_S[report.tries]))
    if report.way == Way.WEBHOOK.value:
        return Tell(row, subscriber, Way.BLOCKLIST)
    return _failed(row, now, f"told, and the subscriber is still {clean(subscriber.status, _TEXT_LIMIT)}")


def next_domain_step(row: Suppression, found: DomainFound, most: int, now: Instant) -> Step:
    """Return what to do about a suppressed domain. `most`: subscribers that are blocklisted without a person."""
    report = row.report
    if not found.total:
        state = ReportState.VERIFIED if report.subscribers else ReportState.UNKNOWN
        return _settle(row, state, now)
    under_way = report.state is ReportState.SENT
    if found.total > most and row.key.reply_class != MANUAL and not under_way:
        text = (
            f"{found.total} subscribers, more than suppression.max_domain_subscribers ({most}); to suppress it all the same: "
            f"pwmtad suppressions add @{row.key.subject}"
        )
        return Settle(_mark(row, replace(report, state=ReportState.LEFT, at=now, problem=text), None))
    ids = tuple(one.id for one in found.subscribers[:_PAGE])
    if under_way and report.tries > report.subscribers // _PAGE + len(LOOKS_S):
        return _failed(row, now, f"told, and {found.total} subscribers are still mailed")
    return TellDomain(row, ids, found.total)


def unasked(row: Suppression, now: Instant) -> Mark:
    """Return what to note of a row whose name can't be put into a question to the API."""
    return _failed(row, now, "its name can't be asked for by the API: set database_url").mark


def told(step: Tell | TellDomain, outcome: Outcome, text: str, now: Instant) -> Mark | None:
    """Return what to note of a report; None: it was not made, and the row stays as it is."""
    row = step.row
    again = row.report.state is ReportState.SENT
    if outcome in (Outcome.NOT_SENT, Outcome.FORBIDDEN):
        return None
    if isinstance(step, TellDomain):
        if outcome is Outcome.REFUSED:
            return _failed(row, now, text).mark
        subscribers, tries = (row.report.subscribers, row.report.tries + 1) if again else (step.total, 1)
        report = Report(ReportState.SENT, now, tries, Way.BLOCKLIST.value, subscribers=subscribers)
        return _mark(row, report, now + LOOKS_S[0])
    if outcome is Outcome.REFUSED:
        if step.way is Way.BLOCKLIST:
            return _failed(row, now, text).mark
        # Whatever the webhook dislikes, blocklisting is left.
        return _mark(row, Report(ReportState.SENT, now, len(LOOKS_S), step.way.value, problem=clean(text, _TEXT_LIMIT)), now)
    return _mark(row, Report(ReportState.SENT, now, 0, step.way.value), now + LOOKS_S[0])


def report_of(step: Tell) -> BounceReport:
    """Return what the webhook is told: whose bounce, and the evidence."""
    row = step.row
    grounds = row.grounds
    return BounceReport(
        subscriber_uuid=step.subscriber.uuid,
        created_at=row.last_at,
        meta={
            "by": "pwmtad",
            "class": row.key.reply_class,
            "stream": row.key.stream,
            "operator": grounds.operator,
            "rule": grounds.rule,
            "queue_id": grounds.queue_id,
            "egress": grounds.egress,
            "relay": grounds.relay_host,
            "reply": grounds.reply,
            "count": row.count,
        },
    )


def _settle(row: Suppression, state: ReportState, now: Instant) -> Settle:
    verified = now if state is ReportState.VERIFIED else None
    return Settle(_mark(row, replace(row.report, state=state, at=now, verified_at=verified, problem=""), None))


def _failed(row: Suppression, now: Instant, text: str) -> Settle:
    report = replace(row.report, state=ReportState.FAILED, at=now, verified_at=None, problem=clean(text, _TEXT_LIMIT))
    return Settle(_mark(row, report, now + _FAILED_S))


def _mark(row: Suppression, report: Report, due_at: Instant | None) -> Mark:
    return Mark(row.key, row.last_at, report, due_at)
