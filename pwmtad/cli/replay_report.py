"""The plain-language report of a replay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pwmtad.cli.replay_run import Summary
from pwmtad.model.judgement import Record, RecordKind

_SHOWN_EVIDENCE = 3
_SUPPRESSED_SHOWN = 10


def print_report(records: Sequence[Record], summary: Summary, console: Console) -> None:
    """Print what was read, what would have been decided, and on what grounds."""
    span = ""
    if summary.first_at is not None and summary.last_at is not None:
        span = f" ({moment(summary.first_at)} to {moment(summary.last_at)} UTC)"
    console.print(
        f"{summary.lines:,} lines{span}, {summary.attempts:,} attempts: {summary.sent:,} sent, {summary.deferred:,} deferred, "
        f"{summary.bounced:,} bounced; {summary.unparsed:,} lines not understood.",
        highlight=False,
    )
    if not summary.coverage_judged:
        console.print("No line of OpenDKIM was found: whether mail was signed is [bold]not known[/]. Give --journal.")
    console.print()
    told = [record for record in records if record.kind is not RecordKind.SUPPRESS]
    for record in told:
        _tell(record, console)
    if not told:
        console.print("Nothing would have been decided.")
    _suppressions([record for record in records if record.kind is RecordKind.SUPPRESS], console)
    console.print()
    if summary.halts:
        console.print(
            f"[bold]{summary.halts} halt{'s' if summary.halts > 1 else ''}[/]; "
            f"{summary.attempts_after_first_halt:,} attempts came after the first one: those would not have been made.",
            highlight=False,
        )
    else:
        console.print("[bold]No halt.[/]")
    console.print()
    _table("Egress", summary.by_egress, console)
    _table("Operator", summary.by_operator, console)


def _tell(record: Record, console: Console) -> None:
    colour = {RecordKind.HALT: "red", RecordKind.CAP: "red", RecordKind.UNKNOWN: "yellow"}.get(record.kind, "cyan")
    change = f" {record.before or 'none'} -> {record.after}" if record.after else ""
    console.print(
        f"{moment(record.at)}  [{colour}]{record.kind.value}[/]{escape(change)}  {escape(record.stream)}: "
        f"{escape(record.reason)} [dim]({escape(record.rule)})[/]",
        highlight=False,
    )
    for line in record.evidence[-_SHOWN_EVIDENCE:]:
        console.print(f"    [dim]{moment(line.at)}[/]  {escape(line.text)}", highlight=False, overflow="ellipsis", no_wrap=True)
    if record.kind is RecordKind.HALT:
        end = "until somebody releases it" if record.ends_at is None else f"until {moment(record.ends_at)}"
        console.print(f"    held {end}", highlight=False)


def _suppressions(records: Sequence[Record], console: Console) -> None:
    if not records:
        return
    names = ", ".join(escape(record.subject) for record in records[:_SUPPRESSED_SHOWN])
    more = f" and {len(records) - _SUPPRESSED_SHOWN} more" if len(records) > _SUPPRESSED_SHOWN else ""
    console.print(f"\n{len(records)} domains listed for suppression: {names}{more}.", highlight=False)


def _table(title: str, rows: Mapping[str, Mapping[str, int]], console: Console) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column(title)
    for name in ("sent", "deferred", "bounced"):
        table.add_column(name, justify="right")
    for name, counts in sorted(rows.items(), key=lambda item: -sum(item[1].values()))[:30]:
        table.add_row(escape(name), *(f"{counts.get(status, 0):,}" for status in ("sent", "deferred", "bounced")))
    console.print(table)
    console.print()


def moment(at: float) -> str:
    """Return a moment as people read logs: UTC, to the second."""
    return f"{datetime.fromtimestamp(at, tz=UTC):%Y-%m-%d %H:%M:%S}"
