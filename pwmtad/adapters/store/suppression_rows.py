"""Between suppressions and the rows of their table, and what the memory store does where the databases have SQL.

A row is in the order of the columns of migrations/sqlite/0004_suppressions.sql.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from pwmtad.core.suppress_counting import FORGET_S, MAX_COUNTING
from pwmtad.model.names import Instant
from pwmtad.model.suppression import (
    COUNTING,
    Grounds,
    Mark,
    Report,
    ReportState,
    Sighting,
    SubjectKind,
    Suppression,
    SuppressionCount,
    SuppressionDeltas,
    SuppressionKey,
    SuppressionQuery,
)

Row: TypeAlias = tuple[Any, ...]
"""Cells are str, int, float or None. Any: what a database driver takes and returns has no static type."""

_KEY: Final = 4
_SIGHTINGS, _FIRST_AT, _LAST_AT, _SUPPRESSED_AT, _SEEN, _BY, _GROUNDS, _REPORT, _DUE_AT = 1, 2, 3, 4, 5, 6, 7, 13, 20
"""Places in a row behind its key."""
_UNTOLD: Final = (ReportState.UNTOLD.value, None, 0, "", None, 0, "")

_encode_seen = msgspec.json.Encoder().encode
_decode_seen = msgspec.json.Decoder(tuple[str, ...]).decode


def suppression_rows(deltas: SuppressionDeltas) -> Iterator[tuple[Any, list[Row]]]:
    """Yield (verb, rows), to be applied in this order. Any: the caller's literals."""
    yield "remove", [_key_cells(key) for key in deltas.removed]
    yield "reset", [_key_cells(key) for key in deltas.reset]
    yield "merge", [_sighting_row(sighting) for sighting in deltas.sightings]
    yield "mark", [_mark_row(mark) for mark in deltas.marks]


def counting_arguments(since: Instant) -> Row:
    """Return the parameters of the statement that loads what is counted."""
    return since - FORGET_S, MAX_COUNTING


def query_arguments(query: SuppressionQuery) -> tuple[str, Row]:
    """Return the statement's name and its parameters."""
    kind = None if query.kind is None else query.kind.value
    common = (query.stream, kind, query.reply_class, query.counting, *(query.after or ("", "", "", "")), query.limit)
    if query.subject is not None:
        return "list_suppressions_of_subject", (query.subject, *common)
    if query.domain is not None:
        return "list_suppressions_of_domain", (query.domain, *common)
    return "list_suppressions", common


def sightings_of(rows: Iterable[Sequence[Any]]) -> tuple[Sighting, ...]:
    """Build what is counted from whole rows, without its grounds: nobody asks for them here, and there may be 50,000."""
    return tuple(
        Sighting(
            _key_of(row),
            count=row[_KEY + _SIGHTINGS],
            first_at=row[_KEY + _FIRST_AT],
            last_at=row[_KEY + _LAST_AT],
            suppressed_at=None,
            seen=_decode_seen(row[_KEY + _SEEN]),
            by=row[_KEY + _BY],
        )
        for row in rows
    )


def suppressions_of(rows: Iterable[Sequence[Any]]) -> list[Suppression]:
    """Build suppressions from whole rows. Raises `msgspec.MsgspecError` for damaged ones."""
    return [
        Suppression(
            key=_key_of(row),
            count=row[_KEY + _SIGHTINGS],
            first_at=row[_KEY + _FIRST_AT],
            last_at=row[_KEY + _LAST_AT],
            suppressed_at=row[_KEY + _SUPPRESSED_AT],
            by=row[_KEY + _BY],
            grounds=_grounds_of(row),
            report=Report(msgspec.convert(row[_KEY + _REPORT], ReportState), *row[_KEY + _REPORT + 1 : _KEY + _DUE_AT]),
            due_at=row[_KEY + _DUE_AT],
        )
        for row in rows
    ]


# -- for the memory store: a key, and the values behind it


def merged(before: Row | None, values: Row) -> Row:
    """Return what a sighting makes of a stored row; `values` as `suppression_rows` gives them, without the key."""
    domain, count, first_at, last_at, suppressed_at, *rest = values
    by, report = rest[1], _UNTOLD
    if before is not None:
        count += before[_SIGHTINGS]
        first_at, last_at = min(first_at, before[_FIRST_AT]), max(last_at, before[_LAST_AT])
        suppressed_at = before[_SUPPRESSED_AT] if before[_SUPPRESSED_AT] is not None else suppressed_at
        by, report = by or before[_BY], before[_REPORT:_DUE_AT]
    due_at = values[3] if suppressed_at is not None else None
    return (domain, count, first_at, last_at, suppressed_at, rest[0], by, *rest[2:], *report, due_at)


def marked(before: Row, values: Row) -> Row:
    """Return what a mark makes of a stored row."""
    seen_at, due_at = values[-2:]
    return (*before[:_REPORT], *values[:-2], before[_DUE_AT] if before[_LAST_AT] > seen_at else due_at)


def is_counting(values: Row | None) -> bool:
    """Whether there is one that was not seen often enough yet."""
    return values is not None and values[_SUPPRESSED_AT] is None


def counting_rows(rows: Iterable[Row], newer_than: Instant, most: int) -> list[Row]:
    """Return what a load reads, the newest at the end."""
    found = [row for row in rows if row[_KEY + _SUPPRESSED_AT] is None and row[_KEY + _LAST_AT] > newer_than]
    return sorted(found, key=lambda row: (row[_KEY + _LAST_AT], row[:_KEY]))[-most:]


def is_forgotten(values: Row, before: Instant) -> bool:
    """Whether pruning drops it."""
    return is_counting(values) and bool(values[_LAST_AT] <= before)


def matches(row: Row, query: SuppressionQuery) -> bool:
    """Whether a query hands the row out, apart from its limit."""
    kind, subject, stream, reply_class, domain = row[: _KEY + 1]
    wanted = (
        (query.kind, kind),
        (query.subject, subject),
        (query.stream, stream),
        (query.reply_class, reply_class),
        (None if query.subject is not None else query.domain, domain),
    )
    if any(want not in (None, found) for want, found in wanted):
        return False
    return (query.counting or not is_counting(row[_KEY:])) and row[:_KEY] > (query.after or ())


def due_rows(rows: Iterable[Row], stream: str, now: Instant, limit: int) -> list[Row]:
    """Return what is due, what waits longest first."""
    found = [row for row in rows if row[2] == stream and row[-1] is not None and row[-1] <= now]
    return sorted(found, key=lambda row: (row[-1], *row[:_KEY]))[:limit]


def counts_of(rows: Iterable[Row]) -> list[SuppressionCount]:
    """Return how many rows there are of each sort."""
    counts: dict[tuple[str, str, str, str], int] = {}
    for kind, _, stream, reply_class, *values in rows:
        state = COUNTING if is_counting(tuple(values)) else values[_REPORT]
        counts[stream, kind, reply_class, state] = counts.get((stream, kind, reply_class, state), 0) + 1
    return [SuppressionCount(*names, rows=count) for names, count in sorted(counts.items())]


# -- inner


def _key_cells(key: SuppressionKey) -> Row:
    return key.kind, key.subject, key.stream, key.reply_class


def _key_of(row: Sequence[Any]) -> SuppressionKey:
    kind, subject, stream, reply_class = row[:_KEY]
    return SuppressionKey(stream, kind, subject, reply_class)


def _sighting_row(sighting: Sighting) -> Row:
    key, grounds = sighting.key, sighting.grounds
    domain = key.subject if key.kind == SubjectKind.DOMAIN.value else key.subject.rpartition("@")[2]
    return (
        *_key_cells(key),
        *(domain, sighting.count, sighting.first_at, sighting.last_at, sighting.suppressed_at),
        *(_encode_seen(sighting.seen).decode(), sighting.by),
        *(grounds.queue_id, grounds.egress, grounds.operator, grounds.relay_host, grounds.rule, grounds.reply),
    )


def _mark_row(mark: Mark) -> Row:
    report = mark.report
    told = (report.state.value, report.at, report.tries, report.way, report.verified_at, report.subscribers, report.problem)
    return *_key_cells(mark.key), *told, mark.seen_at, mark.due_at


def _grounds_of(row: Sequence[Any]) -> Grounds:
    return Grounds(*row[_KEY + _GROUNDS : _KEY + _REPORT])
