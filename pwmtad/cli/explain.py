"""`pwmtad explain [ID]`: why something was decided, on what grounds, what was done, when it ends, and how to undo it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pwmtad.cli.client import RefusedError, UnreachableError, fetch_records, fetch_state, socket_option
from pwmtad.cli.halt_words import hold_words
from pwmtad.cli.json_lines import encode
from pwmtad.cli.tables import clock, make_console, minute, plain, show_indented
from pwmtad.core import state_json
from pwmtad.model.judgement import Record, RecordKind
from pwmtad.model.state import State

_LIMIT: Final = 20
_MOST: Final = 1000
"""As many records as the daemon hands out at once."""
_COLOURS: Final = {
    RecordKind.HALT: "bold red",
    RecordKind.CAP: "bold red",
    RecordKind.UNKNOWN: "yellow",
    RecordKind.FREEZE: "yellow",
    RecordKind.ALERT: "yellow",
    RecordKind.ADOPT: "bold red",
    RecordKind.ACTION_FAILED: "bold red",
    RecordKind.EGRESS_OUT: "yellow",
    RecordKind.DRIFT: "yellow",
}
_ACTED_ON: Final = frozenset({RecordKind.HALT, RecordKind.CAP, RecordKind.POOL, RecordKind.WINDOW})
"""Kinds that enforce mode would carry out."""
_STEPS: Final = frozenset({RecordKind.PHASE, RecordKind.RELEASE, RecordKind.POOL, RecordKind.WINDOW})
"""Kinds that lead from one value to another."""


@click.command(name="explain")
@click.argument("halt_id", metavar="[ID]", required=False)
@click.option("--limit", type=click.IntRange(1, _MOST), default=_LIMIT, show_default=True, help="Newest decisions to show.")
@click.option("--all", "everything", is_flag=True, help="Dead recipient domains as well: on an old list there are many.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per decision, of every kind.")
@socket_option
def command(halt_id: str | None, limit: int, everything: bool, as_json: bool, path: str) -> None:
    """Explain the decisions of one halt, or the newest ones of all; the newest come last. Times are UTC.

    Exit code: 0 explained, 1 there is nothing of that ID, 2 the daemon can't be reached.
    """
    picking = halt_id is None and not everything and not as_json
    try:
        records = fetch_records(path, limit=_MOST if picking else limit, halt_id=halt_id)
        state = fetch_state(path, None)
    except (UnreachableError, RefusedError) as error:
        click.echo(f"pwmtad: {error}", err=True)
        raise SystemExit(2) from error
    if as_json:
        for record in records:
            click.echo(encode(state_json.plain(record)), nl=False)
    else:
        shown = [record for record in records if record.kind is not RecordKind.SUPPRESS][-limit:] if picking else records
        render_records(shown, state, make_console(), halt_id)
    if halt_id is not None and not records:
        raise SystemExit(1)


def render_records(records: Sequence[Record], state: State, console: Console, halt_id: str | None = None) -> None:
    """Print records as paragraphs, oldest first."""
    if not records:
        ids = ", ".join(halt.id for halt in state.halts) or "none"
        console.print(plain("No decision yet." if halt_id is None else f"No record of a halt {halt_id}. Open halts: {ids}"))
    for number, record in enumerate(records):
        if number:
            console.print()
        console.print(_head(record))
        show_indented(console, plain(_sentence(record.reason)))
        if record.evidence:
            show_indented(console, _lines(record), depth=4)
        for sentence in _what_now(record, state):
            show_indented(console, plain(sentence))


def _head(record: Record) -> Text:
    """When, what and where; how it was before only where that says something."""
    relapse = record.kind is RecordKind.HALT and record.before != "none"
    change = f"  {record.before or 'none'} -> {record.after}" if record.kind in _STEPS or relapse else ""
    subject = f" {record.subject}" if record.subject else ""
    return Text.assemble(
        plain(clock(record.at), "bold"), "  ", plain(record.kind.value, _COLOURS.get(record.kind, "cyan")),
        plain(f"  {record.stream}{subject}  rule {record.rule}{change}"),
    )  # fmt: skip


def _lines(record: Record) -> Table:
    """The lines that proved it, each with its time; with the date where that is another one."""
    day = clock(record.at)[:10]
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold", style="dim")
    for line in record.evidence:
        at = clock(line.at).removesuffix(" UTC")
        table.add_row(Text(at.removeprefix(f"{day} ")), plain(line.text))
    return table


def _what_now(record: Record, state: State) -> Iterator[str]:
    """What was done, when it ends, and how to undo it."""
    enforced = state.mode == "enforce"
    if record.kind in _ACTED_ON and not enforced:
        yield "Observe mode: nothing was done."
    match record.kind:
        case RecordKind.HALT | RecordKind.ADOPT:
            yield from _halt_now(record, state)
        case RecordKind.CAP if record.ends_at is not None:
            what = "Nothing leaves" if enforced else "Nothing should leave"
            yield f"{what} until {minute(record.ends_at)}; it ends by itself."
        case RecordKind.FREEZE if record.ends_at is not None:
            yield f"Pool and window do not grow until {minute(record.ends_at)}; it ends by itself."
        case RecordKind.ALERT | RecordKind.FINDING | RecordKind.SUPPRESS:
            yield "Nothing is held for it; a person should look at it."
        case RecordKind.UNKNOWN:
            yield "Pool and window do not grow, and no halt ends by itself, while this is so."
        case _:
            return


def _halt_now(record: Record, state: State) -> Iterator[str]:
    """A halt as it is today: its record tells only how it began."""
    halt = next((halt for halt in state.halts if halt.id == record.halt_id), None)
    if halt is None:
        yield "It is over."
        return
    for words in hold_words(halt, state.at):
        yield _sentence(words) if not words.endswith(halt.id) else words[0].upper() + words[1:]  # a command to copy


def _sentence(words: str) -> str:
    """Return words with a capital and a full stop; what ends in a sign of its own keeps that."""
    text = words[:1].upper() + words[1:]
    return text if text.endswith((".", "?", "!", ":")) else f"{text}."
