"""Syslog timestamps -> Instant. RFC 3339 as rsyslog writes it by default; traditional (RFC 3164) as postlogd does.

A traditional timestamp has no year and no zone and is local time. The year is either given for the first line and then
follows the months (a log is written forwards), or is the one that puts the line nearest to `now`, at most a day ahead. At the
end of DST an hour occurs twice: the later reading is taken once the log has gone past the first.
"""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import Final

from pwmtad.model.names import Instant

_ZONES: Final = ("+", "-", "Z")
_MONTHS: Final = {
    name: number
    for number, name in enumerate(("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), start=1)
}
_FUTURE_LIMIT: Final = 86400.0
"""Seconds. A line may be ahead of `now` by a wrong clock or zone, but not by more than this (else it belongs to last year)."""
_STEP_BACK: Final = 60.0
"""Seconds. Lines come in order but for seconds; where an hour occurs twice, a step back by more is its second time."""
_YEARS_BACK: Final = 8
"""Years to look back for a 29 February: there is one in any eight (1896 to 1904)."""
_LATEST: Final = 253_402_214_400.0
"""The last day of the year 9999. A moment after it, or before the epoch, is no date that could be printed, or no log's."""
_YEAR_BACK_MONTHS: Final = 6
"""From December to January is a new year; from March to February is a line out of order."""


class Rfc3339:
    """Reads `2026-11-24T02:51:29.499469+00:00`. Keeps the last second read: a busy log has many lines in one."""

    __slots__ = ("second",)

    def __init__(self) -> None:
        self.second = ("", "", 0)
        """What timestamps in the last second read begin with (up to the dot) and end with (the zone); its microseconds."""

    def read(self, text: str) -> Instant | None:
        """Return the moment, or None if `text` is no RFC 3339 timestamp."""
        fraction, zone = text[20:26], text[26:]
        if text[19:20] == "." and fraction.isdigit() and fraction.isascii() and zone[:1] in _ZONES:  # six digits, as rsyslog
            begin, end, base_us = self.second
            if text[:20] != begin or zone != end:
                base = _moment(text[:19] + zone)
                if base is None:
                    return None
                base_us = int(base) * 1_000_000
                self.second = (text[:20], zone, base_us)
            # One division of whole numbers is exact; a sum of two roundings is not.
            return (base_us + int(fraction)) / 1_000_000
        return _moment(text)


def _moment(text: str) -> Instant | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if moment.tzinfo is None else _in_range(moment.timestamp())


def _in_range(instant: Instant) -> Instant | None:
    return instant if 0 <= instant <= _LATEST else None


class Traditional:
    """Reads `Nov 24 02:51:29`. `year` is that of the first line, or None to choose by `now`."""

    __slots__ = ("_base", "_last", "_month", "_now", "_text", "_year", "_zone")

    def __init__(self, *, zone: tzinfo, now: Instant, year: int | None = None) -> None:
        self._zone = zone
        self._now = now
        self._year = year
        self._month = 0
        self._text = ""
        self._base: Instant | None = None
        self._last: Instant | None = None

    def set_now(self, now: Instant) -> None:
        """Move the moment by which the year is chosen."""
        self._now = now

    def read(self, text: str) -> Instant | None:
        """Return the moment of the first 15 characters, or None if they are no traditional timestamp."""
        stamp = text[:15]
        if stamp == self._text and self._base is not None:
            return self._base
        month = _MONTHS.get(stamp[:3])
        if month is None or stamp[3:4] != " " or stamp[6:7] != " " or stamp[9:10] != ":" or stamp[12:13] != ":":
            return None
        try:
            day, hour, minute, second = int(stamp[4:6]), int(stamp[7:9]), int(stamp[10:12]), int(stamp[13:15])
            instant = _in_range(self._resolve(month, day, hour, minute, min(second, 59)))  # :60 is a leap second
        except ValueError:
            return None
        if instant is None:
            return None
        self._text, self._base, self._last = stamp, instant, instant
        return instant

    def _resolve(self, month: int, day: int, hour: int, minute: int, second: int) -> Instant:
        if self._year is not None:
            if self._month - month > _YEAR_BACK_MONTHS:
                self._year += 1
            elif month - self._month > _YEAR_BACK_MONTHS and self._month:
                # Out of order across the turn of the year: this one line is still of the old year.
                return self._in_year(self._year - 1, month, day, hour, minute, second)
            self._month = month
            return self._in_year(self._year, month, day, hour, minute, second)
        now = datetime.fromtimestamp(self._now, tz=UTC)
        limit = self._now + _FUTURE_LIMIT
        for year in range(now.year + 1, now.year - _YEARS_BACK - 1, -1):
            try:
                instant = self._in_year(year, month, day, hour, minute, second)
            except ValueError:  # 29 February of a common year
                continue
            if instant <= limit:
                return instant
        raise ValueError("no such day")

    def _in_year(self, year: int, month: int, day: int, hour: int, minute: int, second: int) -> Instant:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=self._zone)
        instant = moment.timestamp()
        if self._last is not None and self._last - instant > _STEP_BACK:
            later = moment.replace(fold=1).timestamp()
            if later > instant and self._last - later < _STEP_BACK:
                return later
        return instant
