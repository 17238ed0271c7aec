"""Several log files in the order of their times, each read once, and the year where timestamps tell none.

A traditional timestamp has no year. Where none is given, it is told by a file's end: that is at most a day after the file was
last written. `--year` is the year of the first line of all; which file that is in is told by the largest gap, if the files
are laid round the circle of a year: files from December and January are ten days of one winter, not eleven months of one year.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, tzinfo
from itertools import pairwise
from math import inf
from typing import Final, NamedTuple, TypeAlias

from msgspec import Struct

from pwmtad.adapters.journal import entry_from_json
from pwmtad.cli.log_files import check_readable, last_bytes, line_lists
from pwmtad.core.timestamps import Rfc3339, Traditional
from pwmtad.model.counters import DAY_S
from pwmtad.model.names import Instant

_LEAP_YEAR: Final = 2000
"""Any year that has every day."""
_YEAR_S: Final = 366 * DAY_S
_OVERLAP_S: Final = 60.0
"""Lines of several processes are seconds out of order where a file was rotated; what overlaps by more is two logs."""
_Stamp: TypeAlias = Instant | str | None
"""A moment; or the 15 characters of a timestamp without a year; or none."""


class LogFile(Struct, frozen=True):
    """A file with what its first and last lines tell."""

    path: str
    first: Instant | None
    """The time of its first line that has one; None if none of the first MiB has."""
    last: Instant | None
    year: int | None
    """Of its first line, for traditional timestamps; None where nothing tells it."""
    is_journal: bool
    """It holds entries as `journalctl -o json` writes them."""


class _Edges(NamedTuple):
    path: str
    first: _Stamp
    last: _Stamp
    lines: tuple[str, str]
    is_journal: bool


def in_order(
    paths: Iterable[str], *, zone: tzinfo, now: Instant, year: int | None, on_note: Callable[[str], None]
) -> tuple[LogFile, ...]:
    """Return the files, oldest first; those without any time come last. Raises UnreadableLogError.

    A file that is given twice, or that holds the same lines as another one (unpacked and packed), is left out; `on_note` is
    told.
    """
    found: dict[tuple[str, str], _Edges] = {}
    for path in paths:
        check_readable(path)
        edges = _edges(path)
        twin = found.setdefault(edges.lines if edges.first is not None else (path, ""), edges)
        if twin is not edges:
            on_note(f"{path} holds the same lines as {twin.path}: read once")
    kept = list(found.values())
    files = [_dated(edges, zone, now) for edges in kept] if year is None else _dated_from(kept, zone, year)
    return tuple(sorted(files, key=lambda file: inf if file.first is None else file.first))


def year_of(path: str, *, zone: tzinfo, now: Instant) -> int | None:
    """Return the year of a file's first line that has a time; None if none of the first MiB has. Raises UnreadableLogError."""
    first, _ = _first_stamp(next(line_lists(path), []))
    return _dated(_edges(path), zone, now).year if isinstance(first, str) else _year_of(first, zone)


def is_sequence(files: Sequence[LogFile]) -> bool:
    """Whether each file ends before the next one begins; else their lines must be merged."""
    return all(
        before.last is None or after.first is None or before.last <= after.first + _OVERLAP_S
        for before, after in pairwise(files)
    )


def _edges(path: str) -> _Edges:
    head: list[str] = next(line_lists(path), [])
    first, first_line = _first_stamp(head)
    tail = last_bytes(path).decode("utf-8", "replace").split("\n") if first is not None else []
    last, last_line = _first_stamp(reversed(tail[1:]))  # the first one may be the end of a line
    if last is None:
        last, last_line = first, first_line
    return _Edges(path, first, last, (first_line, last_line), is_journal=first_line.startswith("{"))


def _first_stamp(lines: Iterable[str]) -> tuple[_Stamp, str]:
    for line in lines:
        stamp = _stamp(line)
        if stamp is not None:
            return stamp, line
    return None, ""


def _stamp(line: str) -> _Stamp:
    if line.startswith("{"):
        entry = entry_from_json(line.encode())
        return None if entry is None else entry[1].at
    at = Rfc3339().read(line.partition(" ")[0])
    if at is not None:
        return at
    return line[:15] if _traditional(line[:15], UTC, year=_LEAP_YEAR) is not None else None


def _traditional(stamp: str, zone: tzinfo, *, year: int | None = None, now: Instant = 0.0) -> Instant | None:
    return Traditional(zone=zone, now=now, year=year).read(stamp)


def _dated(edges: _Edges, zone: tzinfo, now: Instant) -> LogFile:
    """The end of a file is at most a day after it was last written, and its begin is before its end."""
    written = min(os.path.getmtime(edges.path), now)
    last = _traditional(edges.last, zone, now=written) if isinstance(edges.last, str) else edges.last
    first = (
        _traditional(edges.first, zone, now=written if last is None else last) if isinstance(edges.first, str) else edges.first
    )
    return LogFile(edges.path, first, last, _year_of(first, zone), edges.is_journal)


def _dated_from(found: Sequence[_Edges], zone: tzinfo, year: int) -> list[LogFile]:
    """As `_dated`, where `year` is that of the first line of all files that tell none."""
    dated = [_with_year(edges, zone, year) for edges in found if not isinstance(edges.first, str)]
    circle = sorted((_place(edges) for edges in found if isinstance(edges.first, str)), key=lambda place: place[0])
    gaps = [start - (circle[number - 1][1] - (0 if number else _YEAR_S)) for number, (start, _, _) in enumerate(circle)]
    begin = gaps.index(max(gaps)) if gaps else 0
    before = -1.0
    for start, _, edges in circle[begin:] + circle[:begin]:
        year += start < before
        before = start
        dated.append(_with_year(edges, zone, year))
    return dated


def _place(edges: _Edges) -> tuple[Instant, Instant, _Edges]:
    """Begin and end on the circle of a year; a file that crosses New Year ends beyond it."""
    start = _traditional(str(edges.first), UTC, year=_LEAP_YEAR) or 0.0
    end = _traditional(edges.last, UTC, year=_LEAP_YEAR) if isinstance(edges.last, str) else None
    if end is None:
        end = start
    return start, end + _YEAR_S if end < start - DAY_S else end, edges


def _with_year(edges: _Edges, zone: tzinfo, year: int) -> LogFile:
    reader = Traditional(zone=zone, now=0.0, year=year)
    first = reader.read(edges.first) if isinstance(edges.first, str) else edges.first
    last = reader.read(edges.last) if isinstance(edges.last, str) else edges.last
    return LogFile(edges.path, first, last, year, edges.is_journal)


def _year_of(at: Instant | None, zone: tzinfo) -> int | None:
    return None if at is None else datetime.fromtimestamp(at, zone).year
