"""Between single buckets, as tests write them, and the columns that a start reads."""

from __future__ import annotations

from collections.abc import Iterable

from pwmtad.model.counters import MINUTE_S, AttemptBucket, AttemptCounts, AttemptKey, AttemptSeries


def series_of(buckets: Iterable[AttemptBucket]) -> list[AttemptSeries]:
    """Return the buckets as a store loads them."""
    found: dict[AttemptKey, list[tuple[int, ...]]] = {}
    for span_s, start, key, counts in buckets:
        found.setdefault(key, []).append((start // MINUTE_S, span_s, *counts))
    return [AttemptSeries(key, *map(list, zip(*sorted(rows), strict=True))) for key, rows in found.items()]


def buckets_of(attempts: Iterable[AttemptSeries]) -> list[AttemptBucket]:
    """Return what was loaded as single buckets, by span, start and key."""
    return sorted(
        AttemptBucket(span_s, minute * MINUTE_S, series.key, AttemptCounts(*counts))
        for series in attempts
        for minute, span_s, *counts in zip(
            series.minutes, series.spans, series.first, series.retries, series.notifications, strict=True
        )
    )
