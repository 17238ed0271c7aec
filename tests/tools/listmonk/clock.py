"""The stand-in's clock. With a `speed` of 60, a minute of windows, scans and restarts passes in a second.

In: the running loop's time, so that a loop with virtual time makes everything virtual. Out: seconds and moments.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta


class Clock:
    """Starts now, or at another moment. Made inside a running loop."""

    def __init__(self, speed: float = 1.0, began: datetime | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._speed = speed
        self._origin = self._loop.time()
        wall_clock = time.time  # noqa: TID251  (a tool's own clock; nothing of pwmtad)
        self._wall = began or datetime.fromtimestamp(wall_clock(), UTC)

    def now(self) -> float:
        """Return seconds since the clock was made; never steps."""
        return (self._loop.time() - self._origin) * self._speed

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
