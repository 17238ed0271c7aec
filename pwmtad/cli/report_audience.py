"""The part of `pwmtad report` about whom is mailed: suppressions, and what is wrong with campaigns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.text import Text

from pwmtad.cli.tables import Cell, Column, level_text, number, share_of, show_table
from pwmtad.core.report import Report
from pwmtad.model.audit import AuditActing
from pwmtad.model.names import ReplyClass
from pwmtad.model.suppression import COUNTING, HELD_BACK, MANUAL, ReportState, SubjectKind, SuppressionActing, SuppressionCount


def render_suppressions(streams: Sequence[SuppressionActing], console: Console) -> None:
    """Print how many are suppressed, for what, and what Listmonk does not do yet; nothing before it was counted."""
    counted = [one for one in streams if one.waiting is not None]
    if not counted:
        return
    columns: tuple[Column, ...] = (
        ("stream", "left"),
        ("hard bounce", "right"),
        ("full", "right"),
        ("domains", "right"),
        ("by people", "right"),
        ("untold", "right"),
        ("not in force", "right"),
        ("held", "right"),
    )
    rows = [_suppressed(one) for one in counted]
    show_table(console, "Suppressions: pwmtad suppressions list", columns, rows, empty="none")


def _suppressed(one: SuppressionActing) -> tuple[Cell, ...]:
    suppressed = [count for count in one.counts if count.state not in (COUNTING, HELD_BACK)]
    classes = (ReplyClass.HARD_BOUNCE.value, ReplyClass.MAILBOX_FULL.value)
    domains = [count for count in suppressed if count.reply_class == ReplyClass.DEAD_DOMAIN.value]
    bad = _sum(count for count in suppressed if count.state in (ReportState.FAILED.value, ReportState.LEFT.value))
    held = _sum(count for count in one.counts if count.state == HELD_BACK)
    return (
        one.stream,
        *(number(_sum(count for count in suppressed if count.reply_class == name)) for name in classes),
        number(_sum(count for count in domains if count.kind == SubjectKind.DOMAIN.value)),
        number(_sum(count for count in suppressed if count.reply_class == MANUAL)),
        number(one.waiting),
        Text(number(bad), "bold red" if bad else ""),
        Text(number(held), "yellow" if held else ""),
    )


def _sum(counts: Iterable[SuppressionCount]) -> int:
    return sum(count.rows for count in counts)


def render_audits(report: Report, console: Console) -> None:
    """Print what is wrong with campaigns and lists; nothing where no stream is looked at."""
    if not report.audits:
        return
    columns: tuple[Column, ...] = (
        ("stream", "left"),
        ("campaigns", "right"),
        ("no text", "right"),
        ("too large", "right"),
        ("excluded", "right"),
        ("mailed often", "right"),
    )
    rows = [_audited(one) for one in report.audits]
    show_table(console, "Campaigns that run or are scheduled", columns, rows, empty="none")
    if report.audit_findings:
        told = [(level_text(finding.level), finding.text) for finding in report.audit_findings]
        show_table(console, "Audits", (("level", "left"), ("what, and what to do", "left")), told, empty="none")


def _audited(one: AuditActing) -> tuple[Cell, ...]:
    known = one.campaigns is not None
    often = "?" if one.mailed_often_ratio is None else share_of(one.mailed_often_ratio)
    counts = (one.without_altbody, one.too_large)
    return (
        one.stream,
        number(one.campaigns),
        *(number(count if known else None) for count in counts),
        number(one.excluded_subscribers),
        often,
    )
