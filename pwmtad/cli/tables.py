"""How numbers, times and tables look on a terminal, 80 columns wide or more.

All text is put in as rich.Text, never as markup, so nothing that a remote wrote can colour, link or break a table.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final, Literal, TextIO, TypeAlias

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pwmtad.core.text import clean
from pwmtad.model.counters import MessageCounts
from pwmtad.model.names import Instant
from pwmtad.model.state import Level, QueueState

Cell: TypeAlias = str | Text
Column: TypeAlias = tuple[str, Literal["left", "right"]]
"""Header, and where the cells stand: words left, numbers right. Where the width does not suffice, words take more lines."""

_LEVEL_STYLES: Final = {Level.ERROR: "bold red", Level.UNKNOWN: "bold magenta", Level.WARNING: "yellow", Level.OK: "green"}
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86400
_TEXT_LIMIT: Final = 2000
_MIN_WIDTH: Final = 80
"""Columns; what is narrower breaks lines by itself, which is better than names of one letter a line."""


def make_console(file: TextIO | None = None, *, width: int | None = None) -> Console:
    """Return a console: colours on a terminal only (and not with NO_COLOR), 80 columns where there is none or a narrow one."""
    console = Console(file=file or sys.stdout, width=width, highlight=False, emoji=False, markup=False)
    console.width = max(console.width, _MIN_WIDTH)
    return console


def plain(text: str, style: str = "") -> Text:
    """Return text as it may be shown: without control characters, whatever it says."""
    return Text(clean(text, _TEXT_LIMIT), style)


def level_text(level: Level) -> Text:
    """Return a finding's level in its colour."""
    return Text(level.value, _LEVEL_STYLES[level])


def number(value: int | None) -> str:
    """Return `1,597`; `?` for what is not known."""
    return "?" if value is None else f"{value:,}"


def share_of(fraction: float) -> str:
    """Return `76%`; what is more than nothing is not shown as `0%`, nor less than all as `100%`."""
    percent = 100 * fraction
    if 0 < percent < 1:
        return "<1%"
    return ">99%" if 99 < percent < 100 else f"{percent:.0f}%"


def with_share(part: int, whole: int) -> str:
    """Return `1,431  70%`, the share in a column of its own width."""
    return f"{part:,} {share_of(part / whole) if whole > 0 else '-':>4}"


def of_text(used: int, limit: int | None) -> str:
    """Return `214 of 300`."""
    return f"{number(used)} of {number(limit)}"


def day_text(day: int | None) -> str:
    """Return `day 15`."""
    return "?" if day is None else f"day {day}"


def coverage_text(counts: MessageCounts) -> Text:
    """Return how much of what was judged is signed, in words."""
    judged = counts.signed + counts.unsigned
    if judged <= 0:
        return Text("no mail judged", "dim")
    if counts.unsigned <= 0:
        return Text(f"all {judged:,} signed", "green")
    return Text(f"{counts.unsigned:,} unsigned ({share_of(counts.unsigned / judged)})", "bold red")


def queue_text(queue: QueueState) -> str:
    """Return `incoming 2, active 14, ...` and what could not be counted."""
    counts = [f"{name} {number(getattr(queue, name))}" for name in ("incoming", "active", "deferred", "hold", "maildrop")]
    return ", ".join(counts) + (f" ({queue.problem})" if queue.problem else "")


def span(seconds: float) -> str:
    """Return a duration as `12 s`, `5 min`, `3 h 20 min`, `2 d 4 h`."""
    whole = max(int(seconds), 0)
    if whole < _MINUTE_S:
        return f"{whole} s"
    if whole < _HOUR_S:
        return f"{whole // _MINUTE_S} min"
    if whole < _DAY_S:
        return _two(whole // _HOUR_S, "h", whole % _HOUR_S // _MINUTE_S, "min")
    return _two(whole // _DAY_S, "d", whole % _DAY_S // _HOUR_S, "h")


def ago(at: Instant | None, now: Instant) -> str:
    """Return `5 min ago`; `never` for None, `in 2 h` for what lies ahead (a wrong clock)."""
    if at is None or at <= 0:
        return "never"
    if at > now + 1:
        return f"in {span(at - now)}"
    return "now" if now - at < 1 else f"{span(now - at)} ago"


def clock(at: Instant) -> str:
    """Return `2026-06-17 18:22:41 UTC`."""
    return datetime.fromtimestamp(max(at, 0.0), tz=UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def minute(at: Instant) -> str:
    """Return `2026-06-17 18:22 UTC`."""
    return datetime.fromtimestamp(max(at, 0.0), tz=UTC).strftime("%Y-%m-%d %H:%M UTC")


def show_head(console: Console, *, host: str, at: Instant, mode: str, summary: str) -> None:
    """Print the line that says where and when, and the tick's sentence."""
    console.print(Text.assemble(plain(host, "bold"), f"   {clock(at)}   {mode} mode"))
    console.print(plain(summary))


def show_table(console: Console, title: str, columns: Sequence[Column], rows: Iterable[Sequence[Cell]], *, empty: str) -> None:
    """Print a titled table, or the sentence `empty` in its place."""
    console.print()
    console.print(Text(title, "bold"))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for header, side in columns:
        table.add_column(Text(header), justify=side, no_wrap=side == "right", overflow="fold")
    count = 0
    for row in rows:
        table.add_row(*(plain(cell) if isinstance(cell, str) else cell for cell in row))
        count += 1
    show_indented(console, table if count else Text(empty))


def show_pairs(console: Console, rows: Iterable[tuple[str, str]]) -> None:
    """Print names with what belongs to them."""
    table = Table.grid(padding=(0, 3, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in rows:
        table.add_row(Text(name), plain(text))
    console.print()
    console.print(table)


def show_indented(console: Console, content: Table | Text, *, depth: int = 2) -> None:
    """Print under a title, `depth` columns further in, wrapped lines as well."""
    console.print(Padding(content, (0, 0, 0, depth), expand=False))


def _two(big: int, big_unit: str, small: int, small_unit: str) -> str:
    return f"{big} {big_unit} {small} {small_unit}" if small else f"{big} {big_unit}"
