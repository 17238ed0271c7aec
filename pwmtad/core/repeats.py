"""Who gets mail again and again: the share of recipients with more than N first attempts in seven days.

A list that only grows sends the same campaign to the same people each day; complaints follow. Memory is bounded: beyond
`max_recipients` only every second, fourth ... recipient (by hash) is followed, which leaves the share an unbiased estimate.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from zlib import crc32

from msgspec import Struct

from pwmtad.model.counters import DAY_S
from pwmtad.model.judgement import Record, RecordKind
from pwmtad.model.names import Instant

_MAILED_OFTEN: Final = 3
"""More first attempts than this to one recipient in seven days are too many: the incident had five. Own choice."""
_OFTEN_SHARE: Final = 0.05
"""Share of recipients mailed too often that is worth a finding. Own choice."""
_OFTEN_SAMPLE: Final = 20
"""Recipients below which the share means nothing (test mails to oneself)."""
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


class StreamRepeats:
    """A watch of each stream, read once a UTC day for the seven whole days before it."""

    def __init__(self) -> None:
        self.readings: dict[str, Repeats] = {}
        """By stream; since the second UTC day that is seen."""
        self._watches: dict[str, RepeatWatch] = {}
        self._day = -1

    def add(self, stream: str, recipient: str, at: Instant) -> None:
        """Count a first attempt."""
        watch = self._watches.get(stream)
        if watch is None:
            watch = self._watches[stream] = RepeatWatch()
        watch.add(recipient, at)

    def look(self, streams: Iterable[str], now: Instant) -> list[Record]:
        """Read anew if a UTC day began; return a record for each of these streams whose recipients are mailed too often."""
        today = int(now // DAY_S)
        if today <= self._day:
            return []
        first_look = self._day < 0
        self._day = today
        records = []
        for name in streams:
            seen = self._watches.get(name, RepeatWatch()).reading(today - 1, _MAILED_OFTEN)
            if first_look:
                continue
            self.readings[name] = seen
            if is_mailed_often(seen):
                reason = (
                    f"{seen.repeated} of {seen.recipients} recipients ({seen.share:.0%}) were mailed more than {seen.limit} "
                    f"times in 7 days, one of them {seen.worst} times: does the list only grow?"
                )
                records.append(Record(now, RecordKind.FINDING, name, "mailed-often", reason))
        return records


def is_mailed_often(seen: Repeats) -> bool:
    """Whether so many were mailed so often that somebody should know."""
    return seen.recipients >= _OFTEN_SAMPLE and seen.share > _OFTEN_SHARE
