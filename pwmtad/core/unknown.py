"""What is not known now. Unknown is not healthy: while there is anything here, nothing grows and no halt goes on by itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct

from pwmtad.core.observe import SourceReading
from pwmtad.model.counters import HOUR_S
from pwmtad.model.names import Instant, SourceKind
from pwmtad.model.observed import Observed
from pwmtad.model.state import Level

_ACTIVE_SILENCE_S: Final = 300.0
"""With mail in incoming/ or active/ Postfix logs within this time: its own timeouts for one command are at most 300 s
(smtp_mail_timeout and others), and the queue manager goes on with other mail meanwhile. Behind the governor mail waits there in
silence for as long as its pause is."""
_DEFERRED_SILENCE_S: Final = 5000.0
"""With deferred mail only: maximal_backoff_time (4,000 s) plus two scans of the deferred queue (queue_run_delay, 300 s) and
some time to deliver. A halt does not silence it: error(8) logs, too."""
_BEHIND_S: Final = 60.0
"""A source that was read up to less than this ago is read: with steady writing not every batch is at the end. Own choice."""
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
    *, sources: Mapping[str, SourceReading], observed: Observed, moments: Moments, now: Instant, governor_s: float = 0.0
) -> dict[str, str]:
    """Return code -> sentence for everything that is not known at `now`. `governor_s`: the longest pause of an egress now."""
    codes = _joined((*_source_codes(sources, now), *_unread(observed)))
    if not {"source_unreadable", "still_reading"} & codes.keys():
        codes.update(_silence(sources, observed, moments.started_at, now, governor_s))
    codes.update(_doubts(moments, now))
    return codes


def _source_codes(sources: Mapping[str, SourceReading], now: Instant) -> Iterable[tuple[str, str]]:
    for name, source in sources.items():
        if source.health.error is not None:
            yield "source_unreadable", f"{name} can't be read: {source.health.error}"
        elif now - source.watermark > _BEHIND_S:
            yield "still_reading", f"{name} is not read to its end yet"


def _unread(observed: Observed) -> Iterable[tuple[str, str]]:
    """Postfix's settings that can't be read: whose lines are whose, and what is in the pool, is then only remembered."""
    return ((finding.code, finding.text) for finding in observed.findings if finding.level is Level.UNKNOWN)


def _joined(found: Iterable[tuple[str, str]]) -> dict[str, str]:
    codes: dict[str, str] = {}
    for code, sentence in found:
        codes[code] = f"{codes[code]}; {sentence}" if code in codes else sentence
    return codes


def _silence(
    sources: Mapping[str, SourceReading], observed: Observed, started_at: Instant, now: Instant, governor_s: float
) -> Iterable[tuple[str, str]]:
    queue = observed.queue
    moving = (queue.incoming or 0) + (queue.active or 0)
    waiting = queue.deferred or 0
    postfix = [source for source in sources.values() if source.kind is not SourceKind.OPENDKIM]
    silent_s = now - max((source.last_line_at for source in postfix if source.last_line_at is not None), default=started_at)
    limit = _ACTIVE_SILENCE_S + governor_s if moving else _DEFERRED_SILENCE_S
    if (moving or waiting) and silent_s > limit:
        yield "log_silent", f"{moving or waiting} messages are queued, and no line was logged for {silent_s / 60:.0f} min"


def _doubts(moments: Moments, now: Instant) -> Iterable[tuple[str, str]]:
    """Counters cover an hour: what they missed is out of them an hour later. After a clock that is set back, later still."""
    if _within_an_hour(moments.suppressed_at, now):
        yield "lines_suppressed", "lines were dropped before they were written (rate limit of journald or rsyslog)"
    if _within_an_hour(moments.clock_jumped_at, now):
        yield "clock_jumped", "the clock was set by more than a minute within the last hour"
    if _within_an_hour(moments.gap_at, now):
        yield "log_gap", "lines of the last hour may have been missed: the log rotated further than could be followed"
    since = moments.started_at if moments.counters_since is None else min(moments.counters_since, moments.started_at)
    if _within_an_hour(since, now):
        yield "counters_cold", "the counters do not cover an hour yet"


def _within_an_hour(at: Instant | None, now: Instant) -> bool:
    return at is not None and now - at < HOUR_S
