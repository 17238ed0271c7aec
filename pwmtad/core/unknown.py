"""What is not known now. Unknown is not healthy: while there is anything here, nothing grows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct

from pwmtad.core.observe import SourceReading
from pwmtad.model.counters import HOUR_S
from pwmtad.model.names import Instant
from pwmtad.model.observed import Observed

_ACTIVE_SILENCE_S: Final = 300.0
"""With mail in incoming/ or active/ Postfix logs within this time: its own timeouts for one command are at most 300 s
(smtp_mail_timeout and others), and the queue manager goes on with other mail meanwhile."""
_DEFERRED_SILENCE_S: Final = 5000.0
"""With deferred mail only: maximal_backoff_time (4,000 s) plus two scans of the deferred queue (queue_run_delay, 300 s) and
some time to deliver. The governor or a halt does not silence it: error(8) logs, too."""
_SUPPRESSED_S: Final = float(HOUR_S)
"""Counters of the last hour miss the lines that journald or rsyslog dropped for as long as they cover that moment."""
CLOCK_JUMP_S: Final = 60.0
"""Between two ticks, more than this between wall clock and monotonic clock is a jump, not drift. Own choice."""


class Moments(Struct, frozen=True):
    """When what happened that makes counters doubtful for a while; None: it did not."""

    started_at: Instant
    counters_since: Instant | None
    """The oldest line that the counters have; None: none yet."""
    suppressed_at: Instant | None
    clock_jumped_at: Instant | None
    gap_at: Instant | None


def unknown_codes(
    *, sources: Mapping[str, SourceReading], observed: Observed, moments: Moments, now: Instant
) -> dict[str, str]:
    """Return code -> sentence for everything that is not known at `now`."""
    codes = dict(_source_codes(sources))
    if "source_unreadable" not in codes and "still_reading" not in codes:
        codes.update(_silence(sources, observed, now))
    codes.update(_doubts(moments, now))
    return codes


def _source_codes(sources: Mapping[str, SourceReading]) -> Iterable[tuple[str, str]]:
    for name, source in sources.items():
        if source.health.error is not None:
            yield "source_unreadable", f"{name} can't be read: {source.health.error}"
        elif not source.caught_up:
            yield "still_reading", f"{name} is still being read"


def _silence(sources: Mapping[str, SourceReading], observed: Observed, now: Instant) -> Iterable[tuple[str, str]]:
    queue = observed.queue
    moving = (queue.incoming or 0) + (queue.active or 0)
    waiting = queue.deferred or 0
    newest = max((source.last_line_at for source in sources.values() if source.last_line_at is not None), default=None)
    silent_s = now - newest if newest is not None else now
    limit = _ACTIVE_SILENCE_S if moving else _DEFERRED_SILENCE_S
    if (moving or waiting) and silent_s > limit:
        count = moving or waiting
        since = "ever" if newest is None else f"for {silent_s / 60:.0f} min"
        yield "log_silent", f"{count} messages are queued, and no line was logged {since}"


def _doubts(moments: Moments, now: Instant) -> Iterable[tuple[str, str]]:
    if moments.suppressed_at is not None and 0 <= now - moments.suppressed_at < _SUPPRESSED_S:
        yield "lines_suppressed", "lines were dropped before they were written (rate limit of journald or rsyslog)"
    if moments.clock_jumped_at is not None and 0 <= now - moments.clock_jumped_at < HOUR_S:
        yield "clock_jumped", "the clock was set by more than a minute within the last hour"
    if moments.gap_at is not None and 0 <= now - moments.gap_at < HOUR_S:
        yield "log_gap", "lines of the last hour may have been missed: the log rotated further than could be followed"
    if moments.counters_since is None or now - moments.counters_since < HOUR_S:
        yield "counters_cold", "the counters do not cover an hour yet"
