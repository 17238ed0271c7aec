"""Adds up what the correlator saw: differences for the store, totals for metrics, lookbacks for reading.

Keys come from closed sets (streams, egresses, operators, statuses, classes), so everything here is bounded by their product,
but for reasons, which are bounded by `max_reasons_per_day`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from typing import Final, TypeVar

from msgspec import Struct

from pwmtad.core.window import DaySums, RollingSum
from pwmtad.model.counters import (
    DAY_S,
    HOUR_S,
    MINUTE_S,
    AttemptBucket,
    AttemptCounts,
    AttemptKey,
    LineCounts,
    MessageBucket,
    MessageCounts,
    ReasonKey,
)
from pwmtad.model.ledger import Ledger
from pwmtad.model.names import Instant

_Key = TypeVar("_Key")
OTHER_REASONS: Final = "(other reasons)"
_TIME_LIMIT_MINUTES: Final = 2 * DAY_S // MINUTE_S
"""Lines further in the future than this are stored but enter no lookback: their clock is wrong, not early."""
_DAY_MINUTES: Final = DAY_S // MINUTE_S
_HOUR_MINUTES: Final = HOUR_S // MINUTE_S


class Column(IntEnum):
    """Which of AttemptCounts an attempt adds to."""

    FIRST = 0
    RETRIES = 1
    NOTIFICATIONS = 2


class MessageColumn(IntEnum):
    """Which of MessageCounts a message adds to."""

    INJECTED = 0
    SIGNED = 1
    UNSIGNED = 2
    EXPIRED = 3


# Members by names of their own: to look one up in its class takes as long as three other steps (own measurement, 3.11).
FIRST: Final = Column.FIRST
RETRIES: Final = Column.RETRIES
NOTIFICATIONS: Final = Column.NOTIFICATIONS
INJECTED: Final = MessageColumn.INJECTED
SIGNED: Final = MessageColumn.SIGNED
UNSIGNED: Final = MessageColumn.UNSIGNED


class Deltas(Struct, frozen=True):
    """What was added since the last commit."""

    attempts: list[AttemptBucket]
    messages: list[MessageBucket]
    reasons: dict[ReasonKey, int]
    lines: list[LineCounts]


class Reading(Struct, frozen=True):
    """Counts of one lookback."""

    attempts: dict[AttemptKey, AttemptCounts]
    messages: dict[str, MessageCounts]


class Readings(Struct, frozen=True):
    """All lookbacks at one moment."""

    at: Instant
    hour: Reading
    day: Reading
    """The last 24 hours."""
    utc_day: Reading


class Tally:
    """The counters of one daemon. Not thread-safe; no clock: `now` moves it on."""

    def __init__(self, *, max_reasons_per_day: int) -> None:
        self._max_reasons = max_reasons_per_day
        self._fresh: dict[tuple[int, AttemptKey], list[int]] = {}
        self._fresh_messages: dict[tuple[int, str], list[int]] = {}
        self._attempts: dict[tuple[int, AttemptKey], list[int]] = {}
        self._messages: dict[tuple[int, str], list[int]] = {}
        self._reason_deltas: dict[ReasonKey, int] = {}
        self._lines: dict[tuple[str, str, str], int] = {}
        self._reasons: dict[ReasonKey, int] = {}
        self._reasons_per_day: dict[int, int] = {}
        self._attempt_totals: dict[AttemptKey, list[int]] = {}
        self._message_totals: dict[str, list[int]] = {}
        self._line_totals: dict[tuple[str, str, str], int] = {}
        self._numbers: dict[tuple[AttemptKey | str, int], int] = {}
        self._keys: list[tuple[AttemptKey | str, int]] = []
        self._hour = RollingSum(_HOUR_MINUTES)
        self._day = RollingSum(_DAY_MINUTES)
        self._utc_days = DaySums()
        self._now_minute = 0
        self.on_message: Callable[[int, str, MessageColumn, int], None] | None = None
        """Told of each signature that is counted: (minute, stream, column, count)."""

    # -- adding

    def attempt(self, minute: int, key: AttemptKey, column: Column) -> None:
        """Count one attempt in the minute of its line. The hot path: totals and lookbacks follow in `_settle`."""
        cell = self._fresh.get((minute, key))
        if cell is None:
            cell = self._fresh[minute, key] = [0, 0, 0]
        cell[column] += 1

    def message(self, minute: int, stream: str, column: MessageColumn, count: int = 1) -> None:
        """Count a message of a stream; `count` is -1 where a judgement is corrected."""
        cell = self._fresh_messages.get((minute, stream))
        if cell is None:
            cell = self._fresh_messages[minute, stream] = [0, 0, 0, 0]
        cell[column] += count
        if (column is SIGNED or column is UNSIGNED) and self.on_message is not None:
            self.on_message(minute, stream, column, count)

    def _settle(self) -> None:
        """Carry what was counted since the last call into differences, totals and lookbacks."""
        fresh, self._fresh = self._fresh, {}
        for (minute, key), cell in fresh.items():
            _add_to(self._attempts, (minute, key), cell)
            _add_to(self._attempt_totals, key, cell)
            self._refill(minute * MINUTE_S, key, cell)
        fresh_messages, self._fresh_messages = self._fresh_messages, {}
        for (minute, stream), cell in fresh_messages.items():
            _add_to(self._messages, (minute, stream), cell)
            _add_to(self._message_totals, stream, cell)
            self._refill(minute * MINUTE_S, stream, cell)

    def reason(self, key: ReasonKey) -> None:
        """Count a deferral or bounce reason; beyond the limit of a day's different ones they are counted as one."""
        if key not in self._reasons:
            known = self._reasons_per_day.get(key.day, 0)
            if known >= self._max_reasons:
                key = key._replace(reason=OTHER_REASONS)
            if key not in self._reasons:
                self._reasons_per_day[key.day] = known + 1
        self._reasons[key] = self._reasons.get(key, 0) + 1
        self._reason_deltas[key] = self._reason_deltas.get(key, 0) + 1

    def lines(self, source: str, daemon: str, outcome: str, count: int) -> None:
        """Count lines read."""
        key = (source, daemon, outcome)
        self._lines[key] = self._lines.get(key, 0) + count
        self._line_totals[key] = self._line_totals.get(key, 0) + count

    def _window(self, minute: int, key: AttemptKey | str, column: int, count: int) -> None:
        # Before the first advance() there is no now: what is added waits for it.
        if self._now_minute and minute > self._now_minute + _TIME_LIMIT_MINUTES:
            return
        number = self._number((key, column))
        self._hour.add(minute, number, count)
        self._day.add(minute, number, count)
        self._utc_days.add(minute, number, count)

    def _load_window(self, minutes: Sequence[int], cell: tuple[AttemptKey | str, int], counts: Sequence[int]) -> None:
        """As `_window`, for ascending minutes of the store."""
        if not any(counts):
            return
        known = bisect_right(minutes, self._now_minute + _TIME_LIMIT_MINUTES)
        number = self._number(cell)
        for lookback in (self._hour, self._day, self._utc_days):
            lookback.load(number, minutes[:known], counts[:known])

    def _number(self, cell: tuple[AttemptKey | str, int]) -> int:
        number = self._numbers.get(cell)
        if number is None:
            number = self._numbers[cell] = len(self._keys)
            self._keys.append(cell)
        return number

    # -- time and store

    def advance(self, now: Instant) -> None:
        """Let the lookbacks rotate to `now`. Time that steps back changes nothing."""
        minute = int(now // MINUTE_S)
        if minute <= self._now_minute:
            return
        self._settle()
        self._now_minute = minute
        self._hour.advance(minute)
        self._day.advance(minute)
        self._utc_days.advance(minute)
        today = minute * MINUTE_S // DAY_S
        for day in [d for d in self._reasons_per_day if d < today - 1]:
            del self._reasons_per_day[day]
            self._reasons = {key: count for key, count in self._reasons.items() if key.day != day}

    @property
    def has_deltas(self) -> bool:
        """Whether anything was added since the last commit."""
        fresh = self._fresh or self._fresh_messages
        return bool(fresh or self._attempts or self._messages or self._reason_deltas or self._lines)

    def take_deltas(self) -> Deltas:
        """Return what was added since the last call, and start anew."""
        self._settle()
        deltas = Deltas(
            attempts=[
                AttemptBucket(MINUTE_S, minute * MINUTE_S, key, AttemptCounts(*cell))
                for (minute, key), cell in self._attempts.items()
            ],
            messages=[
                MessageBucket(MINUTE_S, minute * MINUTE_S, stream, MessageCounts(*cell))
                for (minute, stream), cell in self._messages.items()
            ],
            reasons=self._reason_deltas,
            lines=[LineCounts(*key, count=count) for key, count in self._lines.items()],
        )
        self._attempts, self._messages, self._reason_deltas, self._lines = {}, {}, {}, {}
        return deltas

    def drop_deltas(self) -> None:
        """Forget what was added: there is no store (replay)."""
        self._settle()
        self._attempts, self._messages, self._reason_deltas, self._lines = {}, {}, {}, {}

    def load(self, ledger: Ledger, now: Instant) -> None:
        """Fill totals and lookbacks from the store. Hours and days of the store are older than any lookback."""
        self.advance(now)
        for bucket in ledger.attempt_totals:
            self._attempt_totals[bucket.key] = list(bucket.counts)
        for total in ledger.message_totals:
            self._message_totals[total.stream] = list(total.counts)
        for series in ledger.attempts:
            for column, counts in enumerate((series.first, series.retries, series.notifications)):
                self._load_window(series.minutes, (series.key, column), counts)
        for row in ledger.messages:
            self._refill(row.start, row.stream, row.counts)
        self._reasons = dict(ledger.reasons)
        for key in self._reasons:
            self._reasons_per_day[key.day] = self._reasons_per_day.get(key.day, 0) + 1
        for line in ledger.lines:
            self._line_totals[line.source, line.daemon, line.outcome] = line.count

    def _refill(self, start: int, key: AttemptKey | str, counts: Sequence[int]) -> None:
        for column, count in enumerate(counts):
            if count:
                self._window(start // MINUTE_S, key, column, count)

    # -- reading

    def readings(self, now: Instant) -> Readings:
        """Return all lookbacks at `now`."""
        self._settle()
        self.advance(now)
        return Readings(
            at=now,
            hour=self._reading(self._hour.sums()),
            day=self._reading(self._day.sums()),
            utc_day=self._reading(self._utc_days.sums(now)),
        )

    def hour_by_status(self, now: Instant) -> dict[str, int]:
        """Sum the last hour's attempts of campaign and other mail (not of notifications) by status."""
        self._settle()
        self.advance(now)
        sums: dict[str, int] = {}
        for number, count in self._hour.sums().items():
            key, column = self._keys[number]
            if isinstance(key, AttemptKey) and column != NOTIFICATIONS:
                sums[key.status] = sums.get(key.status, 0) + count
        return sums

    def attempt_totals(self) -> dict[AttemptKey, AttemptCounts]:
        """Return the sums since the store began."""
        self._settle()
        return {key: AttemptCounts(*cell) for key, cell in self._attempt_totals.items()}

    def message_totals(self) -> dict[str, MessageCounts]:
        """Return the sums since the store began, by stream."""
        self._settle()
        return {stream: MessageCounts(*cell) for stream, cell in self._message_totals.items()}

    def line_totals(self) -> Mapping[tuple[str, str, str], int]:
        """Return lines read by (source, daemon, outcome) since the store began."""
        return self._line_totals

    def reasons(self, now: Instant) -> dict[ReasonKey, int]:
        """Return the reasons of the UTC day of `now`."""
        today = int(now // DAY_S)
        return {key: count for key, count in self._reasons.items() if key.day == today}

    def _reading(self, sums: Mapping[int, int]) -> Reading:
        attempts: dict[AttemptKey, list[int]] = {}
        messages: dict[str, list[int]] = {}
        for number, count in sums.items():
            key, column = self._keys[number]
            if isinstance(key, AttemptKey):
                attempts.setdefault(key, [0, 0, 0])[column] += count
            else:
                messages.setdefault(key, [0, 0, 0, 0])[column] += count
        return Reading(
            attempts={key: AttemptCounts(*cell) for key, cell in attempts.items()},
            messages={stream: MessageCounts(*cell) for stream, cell in messages.items()},
        )


def _add_to(sums: dict[_Key, list[int]], key: _Key, cell: Sequence[int]) -> None:
    known = sums.get(key)
    if known is None:
        sums[key] = list(cell)
    else:
        for column, count in enumerate(cell):
            known[column] += count
