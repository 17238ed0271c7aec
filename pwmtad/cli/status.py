"""`pwmtad status`: what the running daemon sees now, and what a person should do about it."""

from __future__ import annotations

from typing import Final

import click
from rich.console import Console
from rich.text import Text

from pwmtad.cli.client import UnreachableError, fetch_state, where_options
from pwmtad.cli.json_lines import encode
from pwmtad.cli.tables import (
    Column,
    ago,
    coverage_text,
    day_text,
    level_text,
    make_console,
    number,
    of_text,
    plain,
    queue_text,
    share_of,
    show_head,
    show_pairs,
    show_table,
    span,
)
from pwmtad.core import state_json
from pwmtad.model.state import Finding, Level, SourceState, State

EXIT_OK, EXIT_FINDINGS, EXIT_UNREACHABLE = 0, 1, 2
_ORDER: Final = (Level.ERROR, Level.UNKNOWN, Level.WARNING, Level.OK)


@click.command(name="status")
@where_options
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def command(path: str, url: str | None, as_json: bool) -> None:
    """Show what the running daemon sees now.

    Exit code: 0 all well, 1 a finding of level error, 2 the daemon can't be reached.
    """
    try:
        state = fetch_state(path, url)
    except UnreachableError as error:
        click.echo(f"pwmtad: {error}", err=True)
        raise SystemExit(EXIT_UNREACHABLE) from error
    if as_json:
        click.echo(encode(state_json.plain(state)), nl=False)
    else:
        render_status(state, make_console())
    raise SystemExit(exit_code(state))


def exit_code(state: State) -> int:
    """Return 1 if any finding is an error."""
    return EXIT_FINDINGS if any(finding.level is Level.ERROR for finding in state.findings) else EXIT_OK


def render_status(state: State, console: Console) -> None:
    """Print the page."""
    show_head(console, host=state.host, at=state.at, mode=state.mode, summary=state.summary)
    _findings(state, console)
    _streams(state, console)
    _sources(state, console)
    _parts(state, console)


def _findings(state: State, console: Console) -> None:
    columns: tuple[Column, ...] = (("level", "left"), ("what, and what to do", "left"))
    worst_first = sorted(state.findings, key=lambda finding: _ORDER.index(finding.level))
    rows = [(level_text(finding.level), _finding_text(finding)) for finding in worst_first]
    show_table(console, "Findings", columns, rows, empty="none")


def _finding_text(finding: Finding) -> Text:
    about = "" if finding.subject in finding.text else f"{finding.subject}: "
    return Text.assemble(plain(about, "bold"), plain(finding.text))


def _streams(state: State, console: Console) -> None:
    columns: tuple[Column, ...] = (
        ("stream", "left"),
        ("warmup", "left"),
        ("last hour", "right"),
        ("today (UTC)", "right"),
        ("pool", "left"),
        ("DKIM, 24 h", "left"),
    )
    rows = [
        (
            stream.name,
            day_text(stream.warmup_day),
            of_text(stream.first_attempts_hour, stream.window_per_hour),
            of_text(stream.first_attempts_utc_day, stream.ceiling_per_day),
            "fixed" if stream.pool_allowed is None and not stream.pool else of_text(len(stream.pool), stream.pool_allowed),
            coverage_text(stream.coverage.day),
        )
        for stream in state.streams
    ]
    show_table(console, "Streams", columns, rows, empty="none configured: all mail is counted, none is held")


def _sources(state: State, console: Console) -> None:
    columns: tuple[Column, ...] = (
        ("log", "left"),
        ("where", "left"),
        ("state", "left"),
        ("last line", "left"),
        ("lines", "right"),
        ("unparsed", "right"),
    )
    rows = [
        (
            source.name,
            source.where,
            _source_state(source),
            ago(source.last_line_at, state.at),
            number(source.lines),
            number(source.unparsed),
        )
        for source in state.sources
    ]
    show_table(console, "Logs", columns, rows, empty="none")


def _source_state(source: SourceState) -> Text:
    if source.error is not None:
        return Text("unreadable", "bold red")
    if source.caught_up:
        return Text("caught up", "green")
    return Text("reading" if source.progress is None else f"{share_of(source.progress)} read", "yellow")


def _parts(state: State, console: Console) -> None:
    store, reload = state.store, state.reload
    stored = f"{store.url}, stored {ago(store.last_commit_at, state.at)}"
    loaded = f"{reload.file}, loaded {ago(reload.loaded_at, state.at)}"
    if reload.error is not None:
        loaded += ", LAST RELOAD REFUSED"
    rows = [
        ("Postfix queue", queue_text(state.queue)),
        (
            "Open messages",
            number(state.open_messages) + (f", {number(state.evicted_messages)} evicted" if state.evicted_messages else ""),
        ),
        ("Store", stored if store.error is None else f"{stored}; FAILING: {store.error}"),
        ("Configuration", loaded),
        ("Daemon", f"pwmtad {state.version}, up {span(state.at - state.started_at)}"),
    ]
    show_pairs(console, rows)
