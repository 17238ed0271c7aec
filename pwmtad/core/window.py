"""Sums over the last hour, the last 24 hours and the running UTC day, that rotate when they are read.

Exact to the minute: a count leaves a lookback when its minute is more than the lookback ago, so never early and at most
a minute late. Counts of a future minute (a log with a wrong clock) wait until their minute comes.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from typing import Final

from pwmtad.model.counters import DAY_S, MINUTE_S
from pwmtad.model.names import Instant

_OPEN_MINUTES: Final = 3
"""Minutes kept as dictionaries, because lines still come for them; older ones are packed into arrays."""
_DAY_MINUTES: Final = DAY_S // MINUTE_S
_DAYS_KEPT: Final = 3
"""UTC days: the running one, and two for lines that come late around midnight."""


class RollingSum:
    """Sums per key number over the running minute and the `minutes` before it."""

    __slots__ = ("_future", "_minutes", "_now", "_open", "_order", "_packed", "_sums")

    def __init__(self, minutes: int) -> None:
        self._minutes = minutes
        self._now = 0
        self._sums: dict[int, int] = {}
        self._open: dict[int, dict[int, int]] = {}
        self._packed: dict[int, array[int]] = {}
        self._order: deque[int] = deque()
        self._future: dict[int, dict[int, int]] = {}

    def add(self, minute: int, key: int, count: int) -> None:
        """Add `count` (it may be negative: a correction) of `key` in `minute`."""
        if minute > self._now:
            slot = self._future.setdefault(minute, {})
            slot[key] = slot.get(key, 0) + count
        elif minute >= self._now - self._minutes:
            self._sums[key] = self._sums.get(key, 0) + count
            self._store(minute, key, count)

    def load(self, key: int, minutes: Sequence[int], counts: Sequence[int]) -> None:
        """Add what a store has of one key, by ascending minutes, as `add` would; what is long ago is packed at once."""
        begin = bisect_left(minutes, self._now - self._minutes)
        recent = bisect_left(minutes, self._now - _OPEN_MINUTES, begin)
        for minute, count in zip(minutes[recent:], counts[recent:], strict=True):
            self.add(minute, key, count)
        counts = counts[begin:recent]
        self._sums[key] = self._sums.get(key, 0) + sum(counts)
        fresh = False
        for minute, count in zip(minutes[begin:recent], counts, strict=True):
            if not count:
                continue
            packed = self._packed.get(minute)
            if packed is None:
                if minute in self._open:
                    self._store(minute, key, count)
                    continue
                packed = self._packed[minute] = array("q")
                fresh = True
            packed.extend((key, count))
        if fresh:
            self._order = deque(sorted({*self._packed, *self._open}))

    def advance(self, now_minute: int) -> None:
        """Move on to `now_minute`; a step back of the clock moves nothing."""
        if now_minute <= self._now:
            return
        self._now = now_minute
        for minute in sorted(m for m in self._future if m <= now_minute):
            for key, count in self._future.pop(minute).items():
                self.add(minute, key, count)
        while self._order and self._order[0] < now_minute - self._minutes:
            self._drop(self._order.popleft())
        for minute in [m for m in self._open if m < now_minute - _OPEN_MINUTES]:
            self._pack(minute)

    def sums(self) -> dict[int, int]:
        """Return the sums by key number; keys with 0 may be absent. Not to be changed."""
        return self._sums

    def _store(self, minute: int, key: int, count: int) -> None:
        slot = self._open.get(minute)
        if slot is None:
            packed = self._packed.get(minute)
            if packed is not None:
                packed.extend((key, count))
                return
            slot = self._open[minute] = {}
            self._insert(minute)
        slot[key] = slot.get(key, 0) + count

    def _insert(self, minute: int) -> None:
        """Keep `_order` ascending; nearly always `minute` is the newest."""
        if not self._order or minute > self._order[-1]:
            self._order.append(minute)
            return
        position = len(self._order)
        while position > 0 and self._order[position - 1] > minute:
            position -= 1
        self._order.insert(position, minute)

    def _pack(self, minute: int) -> None:
        self._packed[minute] = array("q", [number for pair in self._open.pop(minute).items() for number in pair])

    def _drop(self, minute: int) -> None:
        opened = self._open.pop(minute, None)
        if opened is not None:
            pairs = list(opened.items())
        else:
            packed = self._packed.pop(minute)
            pairs = list(zip(packed[::2], packed[1::2], strict=True))
        for key, count in pairs:
            rest = self._sums.get(key, 0) - count
            if rest:
                self._sums[key] = rest
            else:
                self._sums.pop(key, None)


class DaySums:
    """Sums per key number and UTC day."""

    __slots__ = ("_days",)

    def __init__(self) -> None:
        self._days: dict[int, dict[int, int]] = {}

    def add(self, minute: int, key: int, count: int) -> None:
        """Add `count` of `key` to the day of `minute`."""
        day = minute * MINUTE_S // DAY_S
        slot = self._days.setdefault(day, {})
        slot[key] = slot.get(key, 0) + count

    def load(self, key: int, minutes: Sequence[int], counts: Sequence[int]) -> None:
        """Add what a store has of one key, by ascending minutes."""
        begin = 0
        while begin < len(minutes):
            day = minutes[begin] // _DAY_MINUTES
            end = bisect_left(minutes, (day + 1) * _DAY_MINUTES, begin)
            slot = self._days.setdefault(day, {})
            slot[key] = slot.get(key, 0) + sum(counts[begin:end])
            begin = end

    def advance(self, now_minute: int) -> None:
        """Forget days that are over for good."""
        today = now_minute * MINUTE_S // DAY_S
        for day in [d for d in self._days if d <= today - _DAYS_KEPT]:
            del self._days[day]

    def sums(self, now: Instant) -> dict[int, int]:
        """Return the sums of the UTC day of `now`. Not to be changed."""
        return self._days.get(int(now // DAY_S), {})
