"""`pwmtad suppressions list|export|add|remove`: who is not to be mailed any more, for people and for what builds audiences."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Final, TextIO, TypeVar

import click

from pwmtad.cli.client import RefusedError, UnreachableError, socket_option
from pwmtad.cli.halt import who
from pwmtad.cli.json_lines import encode
from pwmtad.cli.suppression_rows import as_csv_text, fetch_all, give_orders, given_subjects, show_rows, write_whole
from pwmtad.cli.tables import make_console
from pwmtad.core import state_json
from pwmtad.core.subjects import domain_subject, subject_of, written
from pwmtad.core.text import clean
from pwmtad.model.control import MAX_WHY_CHARS
from pwmtad.model.names import ReplyClass
from pwmtad.model.suppression import COUNTING, HELD_BACK, MANUAL, ReportState, SubjectKind, SuppressRequest, UnsuppressRequest

_CLASSES: Final = (ReplyClass.HARD_BOUNCE.value, ReplyClass.MAILBOX_FULL.value, ReplyClass.DEAD_DOMAIN.value, MANUAL)
_STATES: Final = (COUNTING, HELD_BACK, *(state.value for state in ReportState))
_ONLY: Final = {"addresses": SubjectKind.ADDRESS.value, "domains": SubjectKind.DOMAIN.value}
_Command = TypeVar("_Command", bound=Callable[..., Any])


@click.group(name="suppressions")
def command() -> None:
    """Show, export, add and take back suppressions: recipients and domains that are not to be mailed any more."""


def _filters(decorated: _Command) -> _Command:
    for option in (
        click.option("--stream", help="Of this stream only."),
        click.option("--class", "reply_class", type=click.Choice(_CLASSES), help="For this reason only."),
        click.option("--domain", help="Addresses of this domain, and the domain itself."),
    ):
        decorated = option(decorated)
    return decorated


def _from_file(decorated: _Command) -> _Command:
    text = "One a line, `#` with a space before it begins a comment; `-` is standard input."
    return click.option("--file", "-f", type=click.File("r", encoding="utf-8"), help=text)(decorated)


@command.command(name="list")
@click.argument("subject", required=False)
@_filters
@click.option("--state", type=click.Choice(_STATES), help="By how far Listmonk was told.")
@click.option("--counting", is_flag=True, help="Also those that were not refused often enough yet, or are held back.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="Rows to show; --json has all.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per suppression.")
@socket_option
def list_command(
    subject: str | None,
    stream: str | None,
    reply_class: str | None,
    domain: str | None,
    state: str | None,
    counting: bool,
    limit: int,
    as_json: bool,
    path: str,
) -> None:
    """List suppressions, or tell whether SUBJECT is one: exactly this address, or a domain as `@example.org`.

    Exit code: 0; with SUBJECT 1 if it is not suppressed; 2 the daemon can't be reached.
    """
    query = _query(stream, reply_class, domain) | _subject(subject)
    rows = (
        row for row in fetch_all(path, query, counting=counting or state in (COUNTING, HELD_BACK)) if state in (None, row.state)
    )
    with _told():
        shown = list(rows if as_json else islice(rows, limit + 1))
    if as_json:
        for row in shown:
            click.echo(encode(state_json.plain(row)), nl=False)
    else:
        show_rows(shown[:limit], make_console(), more=len(shown) > limit)
    if subject is not None and not any(row.suppressed_at is not None for row in shown):
        raise SystemExit(1)


@command.command(name="export")
@_filters
@click.option("--only", type=click.Choice(list(_ONLY)), help="Only one sort.")
@click.option("--csv", "as_csv", is_flag=True, help="With the grounds, for a spreadsheet.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per suppression.")
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="Write this file, whole or not at all.")
@socket_option
def export_command(
    stream: str | None,
    reply_class: str | None,
    domain: str | None,
    only: str | None,
    as_csv: bool,
    as_json: bool,
    output: Path | None,
    path: str,
) -> None:
    """Write all suppressions: one a line, each once, domains as `@example.org`.

    Nothing is written before all of it was read: what is there is complete. Exit code: 0, 2 if it could not be read or written.
    """
    if as_csv and as_json:
        raise click.UsageError("--csv and --json exclude each other")
    query = _query(stream, reply_class, domain) | ({} if only is None else {"kind": _ONLY[only]})
    with _told():
        rows = list(fetch_all(path, query, counting=False))
    if as_json:
        data = b"".join(encode(state_json.plain(row)) for row in rows)
    elif as_csv:
        data = as_csv_text(rows).encode()
    else:
        data = "".join(f"{line}\n" for line in dict.fromkeys(written(row.kind, row.subject) for row in rows)).encode()
    if output is None:
        click.echo(data, nl=False)
    else:
        write_whole(data, output)


@command.command(name="add")
@click.argument("subjects", nargs=-1)
@_from_file
@click.option("--stream", help="In this stream only.")
@click.option("--why", required=True, help="The reason, for the record and for whoever looks next.")
@socket_option
def add_command(subjects: tuple[str, ...], file: TextIO | None, stream: str | None, why: str, path: str) -> None:
    """Suppress addresses and domains (`@example.org`). In enforce mode Listmonk blocklists them.

    Exit code: 0, 1 refused (the text says why), 2 the daemon can't be reached.
    """
    if not why.strip() or len(why) > MAX_WHY_CHARS:
        raise click.BadParameter(f"give a reason of at most {MAX_WHY_CHARS} characters", param_hint="--why")
    given = given_subjects(subjects, file)
    give_orders(path, given, lambda batch: SuppressRequest(batch, by=who(), why=why, stream=stream), "suppressed already")


@command.command(name="remove")
@click.argument("subjects", nargs=-1)
@_from_file
@click.option("--stream", help="In this stream only.")
@socket_option
def remove_command(subjects: tuple[str, ...], file: TextIO | None, stream: str | None, path: str) -> None:
    """Forget suppressions, whatever they were for. Who is blocklisted in Listmonk stays so until you enable him there.

    Exit code: 0, 1 refused or not suppressed (the text says which), 2 the daemon can't be reached.
    """
    given = given_subjects(subjects, file)
    if give_orders(path, given, lambda batch: UnsuppressRequest(batch, by=who(), stream=stream), "not suppressed"):
        raise SystemExit(1)


@contextmanager
def _told() -> Iterator[None]:
    """Tell why the daemon does not answer, and end."""
    try:
        yield
    except (UnreachableError, RefusedError) as error:
        click.echo(f"pwmtad: {error}", err=True)
        raise SystemExit(2) from error


def _query(stream: str | None, reply_class: str | None, domain: str | None) -> dict[str, str]:
    named = {"stream": stream, "class": reply_class}
    if domain is not None:
        named["domain"] = domain_subject(domain.strip().removeprefix("@"))
        if named["domain"] is None:
            raise click.BadParameter(f"{clean(domain, 100)!r} is no domain", param_hint="--domain")
    return {name: value for name, value in named.items() if value is not None}


def _subject(text: str | None) -> dict[str, str]:
    if text is None:
        return {}
    found = subject_of(text)
    if found is None:
        raise click.BadParameter(f"{clean(text, 100)!r} is neither an address nor a domain", param_hint="SUBJECT")
    return {"kind": found[0].value, "subject": found[1]}
