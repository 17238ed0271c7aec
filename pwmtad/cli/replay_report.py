"""The plain-language report of a replay: what was read, what would have been decided and why, and what that would have held.

All text is put in as rich.Text, never as markup: replies are a stranger's words.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from rich.console import Console
from rich.text import Text

from pwmtad.cli.replay_summary import ByStatus, Summary
from pwmtad.cli.tables import Column, number, plain, show_table, with_share
from pwmtad.model.judgement import Record, RecordKind
from pwmtad.model.names import NO_STREAM, Instant

_SHOWN_EVIDENCE: Final = 3
"""Lines quoted of a decision: as many as the shipped rules ask for at Gmail. `--json` has them all."""
_EVIDENCE_ROWS: Final = 4
"""Rows of a quoted line at 80 columns: who, over what, and what a reply begins with."""
_SUPPRESSED_SHOWN: Final = 10
_ROWS_SHOWN: Final = 30
_QUIET_S: Final = 600
"""OpenDKIM says nothing while no mail comes in: a journal that begins so much later than mail.log is not worth a word."""
_STYLES: Final = {
    RecordKind.HALT: "bold red",
    RecordKind.CAP: "bold red",
    RecordKind.FREEZE: "yellow",
    RecordKind.ALERT: "yellow",
    RecordKind.FINDING: "yellow",
    RecordKind.UNKNOWN: "magenta",
}
_COUNTS: Final[tuple[Column, ...]] = (("attempts", "right"), ("sent", "right"), ("deferred", "right"), ("bounced", "right"))


def print_report(records: Sequence[Record], summary: Summary, console: Console, *, config: str | None) -> None:
    """Print the report; `config` is the file that the log was judged by, None without one."""
    _print_head(summary, console, config)
    told = [record for record in records if record.kind is not RecordKind.SUPPRESS]
    console.print()
    console.print(Text("What would have been decided", "bold"))
    for record in told:
        _print_decision(record, console)
    if not told:
        console.print("  nothing")
    _print_suppressions([record for record in records if record.kind is RecordKind.SUPPRESS], console)
    _print_counts(summary, console)
    console.print()
    for sentence, style in conclusion(records, summary):
        _print_wrapped(sentence, console, style=style)


def conclusion(records: Sequence[Record], summary: Summary) -> Iterator[tuple[str, str]]:
    """Yield the sentences that matter most, each with its style; they stand last, where a terminal shows them."""
    halts = [record for record in records if record.kind is RecordKind.HALT]
    caps = sum(record.kind is RecordKind.CAP for record in records)
    capped = f", {_counted(caps, 'capped day')}" if caps else ""
    if not halts:
        yield f"No halt{capped}.", "bold"
        return
    first = halts[0]
    before = summary.attempts - summary.attempts_after_first_halt
    after = _counted(summary.attempts_after_first_halt, "attempt")
    what = f" of {first.subject}" if first.subject else ""
    yield (
        f"{_counted(len(halts), 'halt')}{capped}. The first halt{what}: "
        f"{moment(first.at)} UTC, rule {first.rule}, after {_counted(before, 'attempt')}.",
        "bold red",
    )
    if summary.stopped_at is not None:
        yield "Reading stopped there (--until-first-halt): what came after it is not counted here.", ""
    elif first.subject or len(summary.by_stream) > 1:
        yield f"{after} came after it, those that it would not have held included.", ""
    else:
        yield f"{after} came after it: those would not have been made.", "bold"


def moment(at: Instant) -> str:
    """Return a moment as people read logs: UTC, to the second."""
    return f"{datetime.fromtimestamp(at, tz=UTC):%Y-%m-%d %H:%M:%S}"


def _print_head(summary: Summary, console: Console, config: str | None) -> None:
    if summary.first_at is None or summary.last_at is None:
        _print_wrapped("No line with a time was found: is this a log of Postfix?", console, style="bold red")
    else:
        console.print(Text(f"{moment(summary.first_at)} to {moment(summary.last_at)} UTC", "bold"))
    unparsed = f"{number(summary.unparsed)} of them not understood" if summary.unparsed else "all of them understood"
    _print_wrapped(f"{_counted(summary.lines, 'line')}, {unparsed}; {_counted(summary.attempts, 'attempt')}.", console)
    judged = "as one stream by the shipped rules (no -c)" if config is None else f"by {config}"
    _print_wrapped(f"Judged {judged}.", console)
    for sentence in _reservations(summary):
        _print_wrapped(sentence, console, style="yellow")


def _reservations(summary: Summary) -> Iterator[str]:
    """What the report can't tell, and why."""
    if summary.coverage_from is None:
        yield (
            "Whether mail was signed is not known: no line tells of a DKIM signature. Give OpenDKIM's journal with --journal; "
            "SyslogSuccess must be on (opendkim.conf)."
        )
    elif summary.first_at is not None and summary.coverage_from > summary.first_at + _QUIET_S:
        yield f"Whether mail was signed is known only from {moment(summary.coverage_from)} on, where the journal begins."
    stray = sum(summary.by_stream.get(NO_STREAM, {}).values())
    if stray:
        yield (
            f"{_counted(stray, 'attempt')} left through no egress of any stream, so nothing judged them: does the "
            f"configuration list all egresses, with the syslog_name that they log by?"
        )


def _print_decision(record: Record, console: Console) -> None:
    subject = f" {record.subject}" if record.subject else ""
    change = f"  {record.before or 'none'} -> {record.after}" if record.after and record.kind in _STEPS else ""
    kind = record.kind.value.replace("_", " ")
    head = Text.assemble(
        f"  {moment(record.at)}  ",
        (kind.upper() if record.kind in (RecordKind.HALT, RecordKind.CAP) else kind, _STYLES.get(record.kind, "cyan")),
        plain(f"  {record.stream}{subject}{change}"),
        plain(f"  ({record.rule})", "dim"),
    )
    console.print(head)
    _print_wrapped(record.reason, console, indent=6)
    for line in record.evidence[-_SHOWN_EVIDENCE:]:
        _print_wrapped(f"{moment(line.at)[11:]} {line.text}", console, indent=8, rows=_EVIDENCE_ROWS, style="dim")
    end = _end_of(record)
    if end:
        _print_wrapped(end, console, indent=6)


_STEPS: Final = frozenset({RecordKind.WINDOW, RecordKind.POOL, RecordKind.PHASE, RecordKind.FINDING})


def _end_of(record: Record) -> str:
    match record.kind:
        case RecordKind.HALT if record.ends_at is None:
            return "Held until somebody releases it."
        case RecordKind.HALT if record.ends_at is not None:
            return f"Held until {moment(record.ends_at)}, and longer while evidence comes."
        case RecordKind.CAP | RecordKind.FREEZE if record.ends_at is not None:
            return f"Until {moment(record.ends_at)}."
        case _:
            return ""


def _print_suppressions(records: Sequence[Record], console: Console) -> None:
    if not records:
        return
    names = ", ".join(record.subject for record in records[:_SUPPRESSED_SHOWN])
    more = f" and {number(len(records) - _SUPPRESSED_SHOWN)} more (--json has all)" if len(records) > _SUPPRESSED_SHOWN else ""
    console.print()
    _print_wrapped(f"{_counted(len(records), 'domain')} listed for suppression: {names}{more}.", console)


def _print_counts(summary: Summary, console: Console) -> None:
    _table("Egress", summary.by_egress, console)
    _table("Operator", summary.by_operator, console)
    classes = sorted(summary.by_class.items(), key=lambda item: -item[1])
    refused = [(name.replace("_", " "), number(count)) for name, count in classes]
    show_table(console, "What was not sent, by class", (("class", "left"), ("attempts", "right")), refused, empty="nothing")
    if summary.coverage_from is None:
        return
    columns: tuple[Column, ...] = (("stream", "left"), ("injected", "right"), ("signed", "right"), ("unsigned", "right"))
    rows = [
        (stream, *(number(counts.get(name, 0)) for name in ("injected", "signed", "unsigned")))
        for stream, counts in sorted(summary.messages.items())
        if stream != NO_STREAM
    ]
    empty = "no message came from an injector of a stream"
    show_table(console, "DKIM signatures, by message", columns, rows, empty=empty)


def _table(title: str, parts: Mapping[str, ByStatus], console: Console) -> None:
    shown = sorted(parts.items(), key=lambda item: -sum(item[1].values()))
    rows = []
    for name, counts in shown[:_ROWS_SHOWN]:
        whole = sum(counts.values())
        rows.append(
            (name, number(whole), *(with_share(counts.get(status, 0), whole) for status in ("sent", "deferred", "bounced")))
        )
    more = f", the {_ROWS_SHOWN} with the most attempts" if len(shown) > _ROWS_SHOWN else ""
    show_table(console, f"By {title.lower()}{more}", ((title.lower(), "left"), *_COUNTS), rows, empty="no attempt")


def _print_wrapped(text: str, console: Console, *, indent: int = 0, rows: int | None = None, style: str = "") -> None:
    """Print a paragraph; beyond so many rows it ends in an ellipsis."""
    lines = textwrap.wrap(plain(text).plain, console.width - indent, max_lines=rows, placeholder=" ...", break_on_hyphens=False)
    for line in lines:
        console.print(Text(" " * indent + line, style), overflow="crop", no_wrap=True)


def _counted(count: int, name: str) -> str:
    return f"{number(count)} {name}{'' if count == 1 else 's'}"
