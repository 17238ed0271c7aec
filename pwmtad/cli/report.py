"""`pwmtad report`: the daily look at a mail host in one page, from the running daemon's counters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import click
from rich.console import Console
from rich.text import Text

from pwmtad.cli.client import UnreachableError, fetch_state, where_options
from pwmtad.cli.json_lines import encode
from pwmtad.cli.report_audience import render_audits, render_suppressions
from pwmtad.cli.tables import (
    Cell,
    Column,
    coverage_text,
    day_text,
    make_console,
    number,
    of_text,
    queue_text,
    show_head,
    show_pairs,
    show_table,
    with_share,
)
from pwmtad.core import state_json
from pwmtad.core.report import EgressLine, Line, Report, Sums, WarmupLine, report_of, total_of
from pwmtad.model.counters import MessageCounts
from pwmtad.model.names import NO_STREAM
from pwmtad.model.state import ReasonRow, State

_TOP = 10
"""Rows of reasons: as many as the runbook's `head` shows."""
_MIX: tuple[Column, ...] = (("sent", "right"), ("deferred", "right"), ("bounced", "right"))


@click.command(name="report")
@where_options
@click.option("--top", type=click.IntRange(1, 50), default=_TOP, show_default=True, help="Reasons of each kind to show.")
@click.option("--json", "as_json", is_flag=True, help="Print the numbers as JSON.")
def command(path: str, url: str | None, top: int, as_json: bool) -> None:
    """Show today's delivery mix, volumes, reasons, queue, pool, warmup day, DKIM coverage, suppressions and audits.

    Exit code: 0, or 2 if the daemon can't be reached.
    """
    try:
        state = fetch_state(path, url)
    except UnreachableError as error:
        click.echo(f"pwmtad: {error}", err=True)
        raise SystemExit(2) from error
    if as_json:
        click.echo(encode(state_json.plain(report_of(state))), nl=False)
    else:
        render_report(state, make_console(), top=top)


def render_report(state: State, console: Console, *, top: int = _TOP) -> None:
    """Print the page; today is the UTC day."""
    report = report_of(state)
    show_head(console, host=report.host, at=report.at, mode=report.mode, summary=report.summary)
    _mix(report, console)
    _egresses(report.egresses, console)
    _operators(report.operators, console)
    for status, title in (("deferred", "Top deferral reasons today"), ("bounced", "Top bounce reasons today")):
        _reasons([row for row in report.reasons if row.status == status], title, top, console)
    _warmup(report.warmup, console)
    _coverage(report.warmup, console)
    render_suppressions(report.suppressions, console)
    render_audits(report, console)
    show_pairs(console, [("Queue", queue_text(report.queue))])


def render_volumes(state: State, console: Console) -> None:
    """Print where mail went today: the egresses and operators that had any."""
    report = report_of(state)
    _egresses([line for line in report.egresses if line.sums.day.attempts], console)
    _operators(report.operators, console)


def _mix(report: Report, console: Console) -> None:
    lines = report.streams if len(report.streams) <= 1 else (*report.streams, total_of(report.streams))
    columns: tuple[Column, ...] = (("stream", "left"), ("attempts", "right"), *_MIX, ("last hour", "right"), ("24 h", "right"))
    rows = [
        (
            _name(line.name),
            number(line.utc_day.attempts),
            *_outcomes(line.utc_day),
            number(line.hour.attempts),
            number(line.day.attempts),
        )
        for line in lines
    ]
    show_table(
        console, "Delivery today (UTC), retries included", columns, rows, empty="no delivery attempt in the last 24 hours"
    )


def _egresses(lines: Iterable[EgressLine], console: Console) -> None:
    columns: tuple[Column, ...] = (
        ("egress", "left"),
        ("stream", "left"),
        ("pool", "left"),
        ("last hour", "right"),
        ("today", "right"),
        *_MIX,
    )
    rows = [
        (
            _name(line.sums.name, "other"),
            _name(line.stream),
            {True: "in", False: "out", None: ""}[line.in_pool],
            number(line.sums.hour.first),
            number(line.sums.utc_day.first),
            *_outcomes(line.sums.utc_day),
        )
        for line in lines
    ]
    show_table(console, "Volume by egress: first attempts, then outcomes today", columns, rows, empty="none")


def _operators(lines: Sequence[Line], console: Console) -> None:
    columns: tuple[Column, ...] = (("operator", "left"), ("attempts", "right"), *_MIX, ("last hour", "right"))
    rows = [(line.name, number(line.utc_day.attempts), *_outcomes(line.utc_day), number(line.hour.attempts)) for line in lines]
    show_table(console, "Operators today", columns, rows, empty="none")


def _reasons(rows: Sequence[ReasonRow], title: str, top: int, console: Console) -> None:
    columns: tuple[Column, ...] = (("count", "right"), ("stream", "left"), ("class", "left"), ("reason", "left"))
    cells = [(number(row.count), _name(row.stream), row.reply_class, row.reason) for row in rows[:top]]
    show_table(console, title, columns, cells, empty="none")


def _warmup(lines: Iterable[WarmupLine], console: Console) -> None:
    columns: tuple[Column, ...] = (
        ("stream", "left"),
        ("warmup", "left"),
        ("last hour", "right"),
        ("today", "right"),
        ("pool", "left"),
    )
    rows = [
        (
            line.stream,
            day_text(line.warmup_day),
            of_text(line.first_attempts_hour, line.window_per_hour),
            of_text(line.first_attempts_utc_day, line.ceiling_per_day),
            _pool(line),
        )
        for line in lines
    ]
    show_table(console, "Warmup: first attempts of what is allowed", columns, rows, empty="no streams configured")


def _pool(line: WarmupLine) -> str:
    if line.pool_allowed is None and not line.pool:
        return "fixed egresses"
    return f"{of_text(len(line.pool), line.pool_allowed)}: {' '.join(line.pool)}"


def _coverage(lines: Iterable[WarmupLine], console: Console) -> None:
    columns: tuple[Column, ...] = (
        ("stream", "left"),
        ("injected today", "right"),
        ("signed", "right"),
        ("unsigned", "right"),
        ("last hour", "left"),
    )
    rows = [(line.stream, *_signatures(line.coverage.utc_day), coverage_text(line.coverage.hour)) for line in lines]
    show_table(console, "DKIM coverage of campaign mail", columns, rows, empty="no streams configured")


def _signatures(counts: MessageCounts) -> tuple[Cell, ...]:
    unsigned = with_share(counts.unsigned, counts.signed + counts.unsigned)
    return number(counts.injected), number(counts.signed), Text(unsigned, "bold red" if counts.unsigned else "")


def _outcomes(sums: Sums) -> tuple[Cell, ...]:
    bounced = with_share(sums.bounced, sums.attempts)
    return with_share(sums.sent, sums.attempts), with_share(sums.deferred, sums.attempts), bounced


def _name(name: str, nothing: str = "no stream") -> Cell:
    """Mail of no stream stands back."""
    return Text(nothing, "dim") if name == NO_STREAM else name
