"""The only place that reads clocks. Everything else gets the time as an argument, so an old log replays like a live one."""

from __future__ import annotations

import time

from pwmtad.model.names import Instant


def wall_clock() -> Instant:
    """Return the moment, UTC. May step; for records and for comparing with times in logs."""
    return time.time()


def monotonic() -> float:
    """Return seconds that never step; for durations and deadlines."""
    return time.monotonic()
