"""Holds back hard bounces of an operator that says of too many recipients that they don't exist: then it is the one in error.

Gmail answered 550 5.1.1 to mail for existing users for hours on 2020-12-14 and 15 (Google Workspace status, incident report of
2020-12-15): whoever believed it lost a good part of a list. Level-triggered: asked at each hard bounce, by what the newest
attempts came to. Mail to servers that belong to no known operator is not held back: they are thousands, and don't err together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from operator import add
from typing import Final

from msgspec import Struct

from pwmtad.config import SuppressionSettings
from pwmtad.core.correlate import Classified
from pwmtad.core.tally import Column
from pwmtad.model.counters import DAY_S, MINUTE_S, AttemptSeries
from pwmtad.model.names import OTHER_OPERATOR, UNKNOWN_OPERATOR, Instant, ReplyClass

GAVE_UP: Final = frozenset({"bounced", "softbounce"})
"""Postfix gave up, or would have without soft_bounce=yes. A 5xx greeting is deferred: it names nobody."""
_NO_OPERATOR: Final = frozenset({OTHER_OPERATOR, UNKNOWN_OPERATOR})
_DAY_MINUTES: Final = DAY_S // MINUTE_S


class HardShare(Struct, frozen=True):
    """What the newest attempts at an operator came to."""

    hard: float
    attempts: int


class BounceBrake:
    """Attempts and hard bounces by stream and operator, in minutes of the last day, as the store has them. No clock."""

    def __init__(self, settings: SuppressionSettings) -> None:
        self.settings = settings
        self._minutes: dict[tuple[str, str], dict[int, list[int]]] = {}
        """By minute, in the order of the log: attempts, and of those hard bounces."""

    def load(self, attempts: Iterable[AttemptSeries]) -> None:
        """Count what the store has."""
        for series in attempts:
            key = series.key
            if key.operator in _NO_OPERATOR:
                continue
            minutes = self._minutes.setdefault((key.stream, key.operator), {})
            hard = key.reply_class == ReplyClass.HARD_BOUNCE.value and key.status.lower() in GAVE_UP
            counts = list(map(add, series.first, series.retries)) if hard else series.first
            for minute, count in zip(series.minutes, counts, strict=True):
                if not count:
                    continue
                cell = minutes.get(minute)
                if cell is None:
                    minutes[minute] = [count, count if hard else 0]
                else:
                    cell[0] += count
                    cell[1] += count if hard else 0
        # What came of each answer stands in a series of its own: only now they can be put into the order of the log.
        self._minutes = {name: dict(sorted(m.items())[-_DAY_MINUTES:]) for name, m in self._minutes.items()}

    def see(self, counted: Classified, at: Instant) -> None:
        """Count an attempt: the first one of a recipient, or the one that it was given up for."""
        hard = counted.reply_class is ReplyClass.HARD_BOUNCE and counted.attempt.status.lower() in GAVE_UP
        if hard or counted.column is Column.FIRST:
            self._add(counted.stream, counted.operator, int(at // MINUTE_S), 1, int(hard))

    def share(self, stream: str, operator: str, at: Instant) -> HardShare:
        """Return what the newest attempts came to: as many as are asked for, none older than a day. Of the minute that has more
        than are wanted, its average counts.
        """
        hard, wanted = 0.0, self.settings.hard_bounce_sample
        oldest = int(at // MINUTE_S) - _DAY_MINUTES
        minutes = self._minutes.get((stream, operator), {})
        for minute in reversed(minutes):
            if not wanted:
                break
            if minute <= oldest:
                continue
            attempts, of_those_hard = minutes[minute]
            taken = min(attempts, wanted)
            hard += of_those_hard * taken / attempts
            wanted -= taken
        return HardShare(hard, self.settings.hard_bounce_sample - wanted)

    def holds(self, stream: str, operator: str, at: Instant) -> bool:
        """Tell whether an operator's hard bounces are not believed now.

        It is enough that the share of a whole sample is exceeded, however few attempts are known: after a day of silence, or
        with an empty store, the first ones may be those of an operator in error.
        """
        return self.share(stream, operator, at).hard > self.settings.hard_bounce_ratio * self.settings.hard_bounce_sample

    def held(self, at: Instant) -> Iterator[tuple[str, str, HardShare]]:
        """Yield the streams and operators that are not believed now."""
        for stream, operator in sorted(self._minutes):
            if self.holds(stream, operator, at):
                yield stream, operator, self.share(stream, operator, at)

    def _add(self, stream: str, operator: str, minute: int, attempts: int, hard: int) -> None:
        if operator in _NO_OPERATOR:
            return
        minutes = self._minutes.setdefault((stream, operator), {})
        cell = minutes.get(minute)
        if cell is not None:
            cell[0] += attempts
            cell[1] += hard
            return
        # Old by the line before as well: one with a wrong date must not make an operator believed.
        too_old = min(minute, next(reversed(minutes), minute)) - _DAY_MINUTES
        minutes[minute] = [attempts, hard]
        while len(minutes) > _DAY_MINUTES or next(iter(minutes)) <= too_old:
            del minutes[next(iter(minutes))]
