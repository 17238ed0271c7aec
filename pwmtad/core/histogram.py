"""How often a number fell between bounds. Without a clock and without units."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from pwmtad.model.state import Distribution


class Histogram:
    """Counts values by bounds, as Prometheus does: a value equal to a bound is below it."""

    def __init__(self, bounds: Sequence[float]) -> None:
        """`bounds` ascend; what is above the last one is counted, too."""
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(self._bounds) + 1)
        self._sum = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def reading(self) -> Distribution:
        """Return what was counted so far."""
        return Distribution(self._bounds, tuple(self._counts), self._sum)
