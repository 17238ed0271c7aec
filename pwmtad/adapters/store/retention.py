"""How long which detail is kept: minute buckets become hours, hours become days; old reasons, evidence and records go. Pure
arithmetic.

A roll-up is done in small steps, each its own transaction and each moving what one coarse bucket covers, so that a commit
never waits for more than one step, and a crash between steps loses nothing.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from msgspec import Struct

from pwmtad.core.evidence import MAX_HITS
from pwmtad.core.suppress_counting import FORGET_S
from pwmtad.model.counters import DAY_S, HOUR_S, MINUTE_S
from pwmtad.model.names import Instant

BUCKET_TABLES: Final = ("attempts", "messages")
PRUNED_TABLES: Final = ("evidence", "halts", "records", "suppressions")
PRUNE_ROWS: Final = 5000
"""Rows that one step of pruning removes. Own measurement: 20 ms of CPU in SQLite, so a commit never waits long."""

EVIDENCE_S: Final = 72 * HOUR_S
"""Three times the longest window that a stop rule may have (config.stop_rules)."""
EVIDENCE_ROWS: Final = MAX_HITS
"""More would not be looked at."""
ENDED_HALTS_S: Final = 30 * DAY_S
"""Loaded that long after their end: four times as long as a relapse counts (core.halts)."""
_RECORDS_S: Final = 400 * DAY_S
"""Own choice: a year and a bit, so that last year's season can be looked at in this one. Ended halts stay as long."""
_RECORDS_MIN: Final = 1000
"""The newest records stay whatever the clock says: one that ran away must not erase why something was halted."""


class Keep(Struct, frozen=True):
    """How long detail is kept.

    48 h of minutes: the longest rule looks back hours, and today's and yesterday's UTC day stay exact. 90 d of hours: the
    warmup ladder and its step-backs. 35 d of reasons: a month's report, with a few days to spare. Days are kept for good.
    Records: see above.
    """

    minutes_s: int = 48 * HOUR_S
    hours_s: int = 90 * DAY_S
    reasons_days: int = 35
    records_s: int = _RECORDS_S
    records_min: int = _RECORDS_MIN


DEFAULT_KEEP: Final = Keep()


class Merge(NamedTuple):
    """Buckets of `fine_s` that start before `before` (a multiple of `coarse_s`) become buckets of `coarse_s`."""

    fine_s: int
    coarse_s: int
    before: int


def merges(keep: Keep, now: Instant) -> tuple[Merge, Merge]:
    """What to merge at `now`: only coarse buckets that are old enough as a whole, so each is made once."""
    return (
        Merge(MINUTE_S, HOUR_S, _floor(now - keep.minutes_s, HOUR_S)),
        Merge(HOUR_S, DAY_S, _floor(now - keep.hours_s, DAY_S)),
    )


def prune_arguments(keep: Keep, table: str, now: Instant) -> tuple[float | int, ...]:
    """Return the parameters of the statement `prune_TABLE`: what is too old, and what is spared or too many by number."""
    match table:
        case "evidence":
            return now - EVIDENCE_S, EVIDENCE_ROWS, PRUNE_ROWS
        case "halts":
            return now - keep.records_s, PRUNE_ROWS
        case "suppressions":  # only what was not seen often enough: a suppression is kept until a person takes it back
            return now - FORGET_S, PRUNE_ROWS
        case _:
            return now - keep.records_s, keep.records_min, PRUNE_ROWS


def coarse_span(merge: Merge, fine_start: int) -> tuple[int, int]:
    """Return [start, end) of the coarse bucket that takes the fine bucket starting at `fine_start`."""
    start = _floor(fine_start, merge.coarse_s)
    return start, start + merge.coarse_s


def first_reason_day(keep: Keep, now: Instant) -> int:
    """Return the oldest day (since the epoch, UTC) whose reasons are kept."""
    return int(now // DAY_S) - keep.reasons_days


def _floor(at: float, span_s: int) -> int:
    return int(at // span_s) * span_s
