"""`pwmtad status`: what the running daemon sees now, and what a person should do about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import click
from rich.console import Console
from rich.text import Text

from pwmtad.cli.client import UnreachableError, fetch_state, where_options
from pwmtad.cli.halt_words import hold_words
from pwmtad.cli.json_lines import encode
from pwmtad.cli.tables import (
    Cell,
    Column,
    ago,
    coverage_text,
    day_text,
    level_text,
    make_console,
    minute,
    number,
    of_text,
    plain,
    queue_text,
    share_of,
    show_head,
    show_indented,
    show_pairs,
    show_table,
    span,
)
from pwmtad.core import state_json
from pwmtad.core.halts import standing
from pwmtad.model.acting import ListmonkActing, StreamActing
from pwmtad.model.judgement import Desired, HaltPhase
from pwmtad.model.state import Finding, Level, SourceState, State, StreamState

_COLOURS: Final = {True: "bold red", False: "yellow"}
EXIT_OK, EXIT_FINDINGS, EXIT_UNREACHABLE = 0, 1, 2
_ORDER: Final = (Level.ERROR, Level.UNKNOWN, Level.WARNING, Level.OK)


@click.command(name="status")
@where_options
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def command(path: str, url: str | None, as_json: bool) -> None:
    """Show what the running daemon sees now.

    Exit code: 0 all well, 1 something is halted or a finding is an error, 2 the daemon can't be reached.
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
    """Return 1 if any finding is an error, or a halt stands."""
    wrong = any(finding.level is Level.ERROR for finding in state.findings) or standing(state.halts)
    return EXIT_FINDINGS if wrong else EXIT_OK


def render_status(state: State, console: Console) -> None:
    """Print the page."""
    show_head(console, host=state.host, at=state.at, mode=state.mode, summary=state.summary)
    render_standing(state, console)
    _sources(state, console)
    _parts(state, console)


def render_standing(state: State, console: Console) -> None:
    """Print what stands: halts, findings, and what each stream may and did."""
    _halts(state, console)
    _findings(state, console)
    _streams(state, console)
    _volumes(state, console)
    _acting(state, console)
    _listmonk(state, console)


def _halts(state: State, console: Console) -> None:
    if not state.halts:
        return
    console.print()
    console.print(Text("Halts", "bold"))
    if state.mode != "enforce":
        show_indented(console, Text("observe mode: nothing is held; this is what enforce mode would hold", "yellow"))
    for halt in state.halts:
        stands = halt.phase is HaltPhase.ACTIVE
        head = Text.assemble(plain(halt.id, "bold"), plain(f"   rule {halt.rule}   "), (halt.phase.value, _COLOURS[stands]))
        show_indented(console, head)
        for line in (halt.reason, *hold_words(halt, state.at)):
            show_indented(console, plain(line), depth=4)


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
        ("may send", "left"),
        ("warmup", "left"),
        ("counts as", "left"),
        ("window/h", "right"),
        ("pool", "right"),
    )
    judged = {desired.stream: desired for desired in state.desired}
    rows = [_stream_row(stream, judged.get(stream.name)) for stream in state.streams]
    show_table(console, "Streams", columns, rows, empty="none configured: all mail is counted, none is held")


def _stream_row(stream: StreamState, desired: Desired | None) -> Sequence[Cell]:
    return (
        stream.name,
        _may_send(stream, desired),
        day_text(stream.warmup_day),
        day_text(None if desired is None else desired.effective_day),
        number(_window(stream, desired)),
        _pool(stream, desired),
    )


def _may_send(stream: StreamState, desired: Desired | None) -> Text:
    """Whether it may send, and what keeps it from growing."""
    if desired is None:
        return Text("?")
    if not desired.sending:
        why = ", ".join(reason.partition(" (")[0] for reason in desired.reasons)
        return Text.assemble(("no", "bold red"), plain(f": {why}"))
    if desired.probe_limit is not None:
        return Text.assemble(("probing", "yellow"), f": {desired.probe_limit} an hour")
    held = f"; not to {', '.join(desired.held_operators)}" if desired.held_operators else ""
    if desired.growth:
        return Text.assemble(("yes", "green"), plain(held))
    return Text.assemble(("yes", "yellow"), plain(f"{held}; {_why_frozen(stream)}"))


def _why_frozen(stream: StreamState) -> str:
    if stream.unknown:
        return f"no growth, unknown: {', '.join(stream.unknown)}"
    if stream.frozen_until is not None:
        return f"no growth until {minute(stream.frozen_until)}: {stream.frozen_rule}"
    return "no growth"


def _window(stream: StreamState, desired: Desired | None) -> int | None:
    return stream.window_per_hour if desired is None else desired.window_per_hour


def _pool(stream: StreamState, desired: Desired | None) -> str:
    """What is in rotation, of what should be."""
    if stream.pool_allowed is None and not stream.pool:
        return "fixed"
    return of_text(len(stream.pool), stream.pool_allowed if desired is None else len(desired.pool))


def _volumes(state: State, console: Console) -> None:
    columns: tuple[Column, ...] = (
        ("stream", "left"),
        ("last hour", "right"),
        ("today (UTC)", "right"),
        ("DKIM, 24 h", "left"),
    )
    judged = {desired.stream: desired for desired in state.desired}
    rows = [
        (
            stream.name,
            of_text(stream.first_attempts_hour, _window(stream, judged.get(stream.name))),
            of_text(stream.first_attempts_utc_day, stream.ceiling_per_day),
            coverage_text(stream.coverage.day),
        )
        for stream in state.streams
    ]
    if rows:
        show_table(console, "Volume: first attempts, and what they may be", columns, rows, empty="")


def _acting(state: State, console: Console) -> None:
    """What Postfix is held to, as read back; nothing where nothing was ever done."""
    columns: tuple[Column, ...] = (
        ("stream", "left"),
        ("in Postfix", "left"),
        ("one mail an egress", "left"),
        ("queued", "right"),
        ("on hold", "right"),
        ("parked", "right"),
    )
    rows = [
        (
            one.stream,
            _in_postfix(one),
            f"every {span(one.rate_delay_s)}" if one.rate_delay_s else "no pause",
            number(one.queued),
            number(one.held_messages),
            number(one.parked_messages),
        )
        for one in state.acting.streams
    ]
    if rows:
        show_table(console, "Postfix", columns, rows, empty="")


def _listmonk(state: State, console: Console) -> None:
    """What each Listmonk works with, and what is done to it; nothing where no stream has one."""
    columns: tuple[Column, ...] = (
        ("stream", "left"),
        ("Listmonk", "left"),
        ("send window", "left"),
        ("running", "right"),
        ("paused by us", "right"),
        ("now", "left"),
    )
    rows = [
        (
            one.stream,
            _in_listmonk(one),
            _send_window(one),
            number(one.running),
            number(one.held) + (f" + {one.unsure} ?" if one.unsure else ""),
            one.doing or "as it should be",
        )
        for one in state.acting.listmonk
    ]
    if rows:
        show_table(console, "Listmonk", columns, rows, empty="")


def _in_listmonk(one: ListmonkActing) -> Text:
    if one.reachable is None:
        return Text("not asked yet", "yellow")
    if not one.reachable:
        return Text("NOT REACHED", "bold red")
    return Text.assemble(plain(one.version or "?"), *((" ", ("!", "bold red")) if one.problem else ()))


def _send_window(one: ListmonkActing) -> str:
    if not one.window:
        return "?"
    return one.window if one.in_force else f"{one.window} (not in force)"


def _in_postfix(one: StreamActing) -> Text:
    if one.leaking_at is not None:
        return Text("LEAKING", "bold red")
    return Text("held", "bold red") if one.held_by else Text("sends", "green")


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
