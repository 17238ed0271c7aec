"""First attempts and signatures of one stream, as the judgement needs them: since a release forgave, and whatever clocks do.

Both count whole minutes, so that a restart, which has minute counts only, finds what it would have had without one: what was
released in a minute is counted from the next minute on.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

from pwmtad.core.tally import SIGNED, UNSIGNED, MessageColumn
from pwmtad.core.window import DaySums, RollingSum
from pwmtad.model.counters import DAY_S, HOUR_S, MINUTE_S, MessageCounts
from pwmtad.model.judgement import EvidenceLine, StreamMemory
from pwmtad.model.names import Instant

_HOUR_MINUTES: Final = HOUR_S // MINUTE_S - 1
"""The running minute and the 59 before it: never more than an hour, so two windows that Listmonk empties exactly an hour apart
are not taken for one."""
_LINES: Final = 5
_NO_MINUTE: Final = -1
_MAX_LOOKBACK_MINUTES: Final = 7 * 24 * 60
"""The longest `dkim.lookback_s`."""


class StreamCounts:
    """Counts of one stream. Fed in the order of the log."""

    def __init__(self) -> None:
        self._hour = RollingSum(_HOUR_MINUTES)
        self._days = DaySums()
        self._signatures: dict[int, list[int]] = {}
        """By minute: signed, unsigned."""
        self._minute = 0
        self._line_minute = 0
        self._running = _NO_MINUTE
        """The minute of the newest first attempt; those in it are added up here until time, or anything else, goes on."""
        self._fresh = self._hour_before = self._day_before = 0
        self._since: tuple[Instant, Instant] = (0.0, 0.0)
        self._spike_from = self._coverage_from = -1

    def load(self, minute: int, count: int) -> None:
        """Count first attempts that the store has, in any order; `advance` and `forgive` come before."""
        self._settle()
        if minute >= self._spike_from:
            self._hour.add(minute, 0, count)
        self._days.add(minute, 0, count)

    def load_series(self, minutes: Sequence[int], counts: Sequence[int]) -> None:
        """As `load`, for many ascending minutes."""
        self._settle()
        begin = bisect_left(minutes, max(self._spike_from, self._minute - _HOUR_MINUTES))
        for minute, count in zip(minutes[begin:], counts[begin:], strict=True):
            self._hour.add(minute, 0, count)
        self._days.load(0, minutes, counts)

    def first(self, at: Instant) -> tuple[int, int]:
        """Count a first attempt; return how many there are now within the hour and on the UTC day of `at`."""
        minute = int(at // MINUTE_S)
        if minute != self._running:
            self._settle()
            if minute < self._line_minute - _HOUR_MINUTES:
                self._set_back(minute)
            self._line_minute = minute
            self.advance(at)
            if not max(self._minute - _HOUR_MINUTES, self._spike_from) <= minute:  # too late for the hour
                self.load(minute, 1)
                return self.hour(), self.utc_day(at)
            self._hour_before, self._day_before = self.hour(), self.utc_day(at)
            self._running = minute
        self._fresh += 1
        return self._hour_before + self._fresh, self._day_before + self._fresh

    def _settle(self) -> None:
        """Carry the running minute into the sums."""
        minute, fresh = self._running, self._fresh
        self._running, self._fresh = _NO_MINUTE, 0
        if fresh:
            self.load(minute, fresh)

    def message(self, minute: int, column: MessageColumn, count: int) -> None:
        """Count what a message's signature was judged to be; -1 takes a judgement back."""
        if (column is not SIGNED and column is not UNSIGNED) or minute < self._coverage_from:
            return
        counts = self._signatures.get(minute)
        if counts is None:
            counts = self._signatures[minute] = [0, 0]
        counts[column is UNSIGNED] += count

    def advance(self, now: Instant) -> None:
        """Move on; time that steps back changes nothing here."""
        minute = int(now // MINUTE_S)
        if minute > self._minute:
            self._settle()
            new_hour = minute // _HOUR_MINUTES > self._minute // _HOUR_MINUTES
            self._minute = minute
            self._hour.advance(minute)
            self._days.advance(minute)
            if new_hour:  # seven days are 10,000 minutes: to go through them takes 0.3 ms
                for old in [m for m in self._signatures if m < minute - _MAX_LOOKBACK_MINUTES]:
                    del self._signatures[old]

    def forgive(self, memory: StreamMemory) -> None:
        """Begin anew where the memory says so; the day's ceiling forgives nothing."""
        since = (memory.spike_since, memory.coverage_since)
        if since == self._since:
            return
        self._settle()
        if since[0] != self._since[0]:
            self._spike_from = self._after(since[0])
            self._hour = RollingSum(_HOUR_MINUTES)
            self._hour.advance(self._minute)
        if since[1] != self._since[1]:
            self._coverage_from = self._after(since[1])
            self._signatures = {m: counts for m, counts in self._signatures.items() if m >= self._coverage_from}
        self._since = since

    def hour(self) -> int:
        """First attempts within the last 60 minutes."""
        return self._hour.sums().get(0, 0) + self._fresh

    def utc_day(self, now: Instant) -> int:
        """First attempts of the UTC day of `now`."""
        same_day = self._fresh and self._running * MINUTE_S // DAY_S == now // DAY_S
        return self._days.sums(now).get(0, 0) + (self._fresh if same_day else 0)

    def coverage(self, lookback_s: int) -> MessageCounts:
        """Signed and unsigned messages within the lookback, to the minute."""
        begin = self._minute - max(1, lookback_s // MINUTE_S)
        signed = unsigned = 0
        # By the lookback's minutes, not by those that are kept: every tick asks, and seven days of them took it 0.8 ms.
        for minute in range(begin + 1, self._minute + 1):
            counts = self._signatures.get(minute)
            if counts is not None:
                signed += counts[0]
                unsigned += counts[1]
        return MessageCounts(signed=signed, unsigned=unsigned)

    def unsigned_lines(self) -> list[EvidenceLine]:
        """The newest minutes in which messages were queued that nobody signed, in words, oldest first."""
        found = sorted(minute for minute, counts in self._signatures.items() if counts[1] > 0 and minute <= self._minute)
        return [
            EvidenceLine(
                float(minute * MINUTE_S), f"{unsigned} unsigned and {signed} signed messages were queued in this minute"
            )
            for minute in found[-_LINES:]
            for signed, unsigned in [self._signatures[minute]]
        ]

    def _after(self, since: Instant) -> int:
        """The minute after `since`; one from the future is of a clock that was set back, and forgives nothing."""
        minute = int(since // MINUTE_S)
        return minute + 1 if minute <= self._minute else -1

    def _set_back(self, minute: int) -> None:
        """No line comes so late: the clock was set back. The hour goes on with what it has, as of now."""
        kept = self.hour()
        self._minute, self._spike_from, self._coverage_from = minute, -1, -1
        self._hour = RollingSum(_HOUR_MINUTES)
        self._hour.advance(minute)
        self._hour.add(minute, 0, kept)
