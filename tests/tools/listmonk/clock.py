"""The stand-in's clock. With a `speed` of 60, a minute of windows, scans and restarts passes in a second.

In: the running loop's time, so that a loop with virtual time makes everything virtual. Out: seconds and moments.
"""

from __future__ import annotations

import asyncio
import math
import time
from datetime import UTC, datetime, timedelta
from typing import Final

_MOST_S: Final = 10.0
"""Of a fast clock, between two looks at it: whoever works looks at it each 5 s (engine._SCAN_INTERVAL_S)."""


class Clock:
    """Starts now, or at another moment. Made inside a running loop.

    A fast one does not count how long the machine stood still: two seconds of that would be more than a pause takes to drain,
    and more windows than a test has people.
    """

    def __init__(self, speed: float = 1.0, began: datetime | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._speed = speed
        self._most_s = _MOST_S if speed > 1 else math.inf
        self._seen_at = self._loop.time()
        self._now = 0.0
        wall_clock = time.time  # noqa: TID251  (a tool's own clock; nothing of pwmtad)
        self._wall = began or datetime.fromtimestamp(wall_clock(), UTC)

    def now(self) -> float:
        """Return seconds since the clock was made; never steps."""
        at = self._loop.time()
        self._now += min((at - self._seen_at) * self._speed, self._most_s)
        self._seen_at = at
        return self._now

    def wall(self) -> datetime:
        """Return the moment, UTC."""
        return self._wall + timedelta(seconds=self.now())

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(max(0.0, seconds) / self._speed)

    async def sleep_until(self, moment: float) -> None:
        """Wait until `now()` has reached the moment, never a little less."""
        while (rest := moment - self.now()) > 0:
            await self.sleep(rest)
