"""The warmup day and what it allows.

`warmup day = floor((now - start) / 86400)` (runbook). The effective day also subtracts the days spent halted and the step-back
of each halt, and never goes below 0. The window uses the effective day; the pool uses the warmup day, because an address that
was warm does not become cold by a pause, and a smaller pool would push the same mail through fewer addresses.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from pwmtad.config import StreamSettings
from pwmtad.model.counters import DAY_S, HOUR_S
from pwmtad.model.judgement import StreamMemory
from pwmtad.model.names import Instant

GROWTH_INTERVAL_S: Final = HOUR_S
"""Between two steps up of the same kind: an hour's answers at the new rung before the next. Own choice."""


class Rungs(Struct, frozen=True):
    """What the ladders allow at one moment."""

    day: int
    effective_day: int
    pool_size: int
    """Usable egresses in rotation; for a stream without a pool, all usable ones."""
    window_per_hour: int


def warmup_day(start: Instant, now: Instant) -> int | None:
    """Return floor((now - start) / 86400) (the runbook's formula), or None for a start that lies in the future."""
    if start > now:
        return None
    return int((now - start) // DAY_S)


def halted_days(memory: StreamMemory, now: Instant) -> int:
    """Return whole days spent halted since the warmup start, the running halt included."""
    running = max(0.0, now - memory.halted_since) if memory.halted_since is not None else 0.0
    return int((memory.halted_s + running) // DAY_S)


def rungs_at(stream: StreamSettings, memory: StreamMemory, now: Instant) -> Rungs | None:
    """Return what the ladders allow now, or None while the start is unknown.

    The day never goes back (`memory.highest_day`), whatever the clock does.
    """
    return None if memory.warmup_start is None else rungs_from(stream, memory, memory.warmup_start, now)


def rungs_from(stream: StreamSettings, memory: StreamMemory, start: Instant, now: Instant) -> Rungs:
    """Return what the ladders allow now with this start."""
    day = max(warmup_day(start, now) or 0, memory.highest_day)
    effective = max(0, day - halted_days(memory, now) - memory.step_back_days)
    return Rungs(
        day=day,
        effective_day=effective,
        pool_size=len(stream.egresses_at(day)),
        window_per_hour=stream.warmup.window_ladder_per_hour.value_at(effective),
    )


def next_rung(values: tuple[int, ...], current: int, target: int) -> int:
    """Return the next of the ladder's values above `current`, at most `target`; `target` if it is not above."""
    if target <= current:
        return target
    if not current:
        return target
    return min(min((value for value in values if value > current), default=target), target)
