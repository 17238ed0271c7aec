"""Suppressions between the daemon and a person: all pages, requests in bites, a table, a spreadsheet, a file that is whole."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, TextIO

import click
import msgspec
from rich.console import Console
from rich.text import Text

from pwmtad.cli.client import RefusedError, UnreachableError, fetch_suppressions, order_suppressions
from pwmtad.cli.halt import clean_lines
from pwmtad.cli.tables import Column, clock, number, show_table
from pwmtad.core import state_json
from pwmtad.core.subjects import subject_of, written
from pwmtad.core.text import clean
from pwmtad.model.suppression import (
    COUNTING,
    HELD_BACK,
    MAX_PAGE,
    MAX_SUBJECTS,
    ReportState,
    ShownSuppression,
    SuppressRequest,
    UnsuppressRequest,
)

_MAX_BYTES: Final = 12_000
"""Of the subjects of one request; the daemon takes 16 KiB."""
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet takes a cell that begins so for a formula, and a subscriber chooses his own address."""
_FIELDS: Final = (
    "subject", "kind", "class", "stream", "count", "first_at", "last_at", "suppressed_at", "by", "operator", "rule", "reply",
    "state", "verified_at",
)  # fmt: skip
_STYLES: Final = {ReportState.FAILED.value: "bold red", ReportState.LEFT.value: "yellow", COUNTING: "dim", HELD_BACK: "yellow"}


def fetch_all(path: str, query: Mapping[str, str], *, counting: bool) -> Iterator[ShownSuppression]:
    """Yield all rows, page by page. Raises UnreachableError, RefusedError."""
    wanted = [*query.items(), ("limit", str(MAX_PAGE)), ("counting", str(int(counting)))]
    after: tuple[str, ...] = ()
    while True:
        page = fetch_suppressions(path, [*wanted, *(("after", part) for part in after)])
        yield from page
        if len(page) < MAX_PAGE:
            return
        after = page[-1].place


def given_subjects(subjects: tuple[str, ...], file: TextIO | None) -> list[str]:
    """Return what was named and what the file holds. Raises click.UsageError if one of them is no address or domain."""
    lines = file.read().splitlines() if file is not None else []
    given = [*subjects, *(line.partition(" #")[0].strip() for line in lines if not line.startswith("#"))]
    found = [subject for subject in given if subject]
    if not found:
        raise click.UsageError("name at least one address or domain, or a file of them (--file)")
    wrong = [subject for subject in found if subject_of(subject) is None]
    if wrong:
        raise click.UsageError(f"{clean(wrong[0], 100)!r} is neither an address nor a domain such as @example.org")
    return found


def give_orders(
    path: str,
    subjects: Sequence[str],
    request: Callable[[tuple[str, ...]], SuppressRequest | UnsuppressRequest],
    nothing_to_do: str,
) -> list[str]:
    """Send requests and tell what came of them; return the subjects for which there was nothing to do."""
    unchanged: list[str] = []
    changed, stored = 0, True
    for batch in _bites(subjects):
        try:
            answer = order_suppressions(path, request(batch))
        except (RefusedError, UnreachableError) as error:
            before = f" ({changed} of them were changed)" if changed else ""
            click.echo(f"pwmtad: {error}{before}", err=True)
            raise SystemExit(1 if isinstance(error, RefusedError) else 2) from error
        click.echo(clean_lines(answer.text))
        unchanged += answer.unchanged
        changed, stored = changed + answer.changed, stored and answer.stored
    for subject in unchanged:
        click.echo(f"{nothing_to_do}: {clean(subject, 400)}", err=True)
    if not stored:
        click.echo("The store fails (pwmtad status): this holds only until the daemon restarts.", err=True)
    return unchanged


def _bites(subjects: Iterable[str]) -> Iterator[tuple[str, ...]]:
    bite: list[str] = []
    size = 0
    for subject in subjects:
        length = len(msgspec.json.encode(subject)) + 1
        if bite and (len(bite) >= MAX_SUBJECTS or size + length > _MAX_BYTES):
            yield tuple(bite)
            bite, size = [], 0
        bite.append(subject)
        size += length
    yield tuple(bite)


def show_rows(rows: Sequence[ShownSuppression], console: Console, *, more: bool) -> None:
    """Print a table."""
    columns: tuple[Column, ...] = (
        ("recipient", "left"),
        ("class", "left"),
        ("seen", "right"),
        ("last (UTC)", "right"),
        ("stream", "left"),
        ("Listmonk", "left"),
    )
    cells = [
        (
            written(row.kind, row.subject),
            f"{row.reply_class} ({row.by})" if row.by else row.reply_class,
            number(row.count),
            clock(row.last_at)[:10],
            row.stream,
            Text(clean(f"{row.state}: {row.problem}" if row.problem else row.state, 300), _STYLES.get(row.state, "")),
        )
        for row in rows
    ]
    show_table(console, "Suppressions", columns, cells, empty="none")
    if more:
        console.print(Text("\nThere are more: --limit N, --json, or pwmtad suppressions export"))


def as_csv_text(rows: Iterable[ShownSuppression]) -> str:
    """Return a spreadsheet. What a spreadsheet would take for a formula gets an apostrophe before it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_FIELDS)
    for row in rows:
        plain = state_json.plain(row)
        writer.writerow([_cell(plain[field]) for field in _FIELDS])
    return text.getvalue()


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def write_whole(data: bytes, output: Path) -> None:
    """Write a file under its name only when it is complete; a new one is for its owner alone. Exits with 2 if it can't."""
    part = output.with_name(f"{output.name}.part")
    try:
        mode = output.stat().st_mode & 0o777 if output.exists() else 0o600
        part.unlink(missing_ok=True)
        part.touch(mode=0o600, exist_ok=False)
        part.write_bytes(data)
        part.chmod(mode)
        part.replace(output)
    except OSError as error:
        click.echo(f"pwmtad: can't write {output}: {error.strerror or error}", err=True)
        raise SystemExit(2) from error
