"""Who gets mail again and again: the share of recipients with more than N first attempts in seven days.

A list that only grows sends the same campaign to the same people each day; complaints follow. Memory is bounded: beyond
`max_recipients` only every second, fourth ... recipient (by hash) is followed, which leaves the share an unbiased estimate.
"""

from __future__ import annotations

from typing import Final
from zlib import crc32

from msgspec import Struct

from pwmtad.model.counters import DAY_S
from pwmtad.model.names import Instant

DAYS: Final = 7
_MAX_RECIPIENTS: Final = 200_000
"""Per stream; about 20 MB. Seven days at the runbook's ceiling are 28,000."""


class Repeats(Struct, frozen=True):
    """A reading over seven UTC days."""

    recipients: int
    """Followed recipients (all of them unless there are very many)."""
    repeated: int
    """Of those, mailed more than `limit` times."""
    limit: int
    worst: int
    """Most first attempts to one recipient."""

    @property
    def share(self) -> float:
        """Share of recipients mailed too often; 0 without any."""
        return self.repeated / self.recipients if self.recipients else 0.0


class RepeatWatch:
    """Counts first attempts per recipient and UTC day."""

    def __init__(self, max_recipients: int = _MAX_RECIPIENTS) -> None:
        self._max = max_recipients
        self._days: dict[int, dict[int, int]] = {}
        self._size = 0
        self._mask = 0

    def add(self, recipient: str, at: Instant) -> None:
        """Count a first attempt."""
        number = crc32(recipient.lower().encode("utf-8", "replace"))
        if number & self._mask:
            return
        day = self._days.setdefault(int(at // DAY_S), {})
        if number not in day:
            self._size += 1
        day[number] = day.get(number, 0) + 1
        while self._size > self._max:
            self._thin_out()

    def reading(self, last_day: int, limit: int) -> Repeats:
        """Return how many recipients had more than `limit` first attempts in the seven UTC days that end with `last_day` (days
        since the epoch); forgets what is older.
        """
        for day in [day for day in self._days if day <= last_day - DAYS]:
            self._size -= len(self._days.pop(day))
        counts: dict[int, int] = {}
        for day_counts in [day_counts for day, day_counts in self._days.items() if day <= last_day]:
            for number, count in day_counts.items():
                counts[number] = counts.get(number, 0) + count
        repeated = sum(1 for count in counts.values() if count > limit)
        return Repeats(len(counts), repeated, limit, max(counts.values(), default=0))

    def _thin_out(self) -> None:
        self._mask = self._mask * 2 + 1
        self._size = 0
        for day, counts in self._days.items():
            kept = {number: count for number, count in counts.items() if not number & self._mask}
            self._days[day] = kept
            self._size += len(kept)
