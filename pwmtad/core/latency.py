"""How late lines are counted, judged and acted on, measured from the moment that they were written.

That moment is the line's own time, so only lines with fractions of a second tell it: RFC 3339 as rsyslog writes it, and the
journal's. Of the lines that were read together the oldest is measured: none of them waited longer. A backlog that was there at
start says nothing about latency; falling behind later does.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from pwmtad.core.histogram import Histogram
from pwmtad.core.timestamps import Rfc3339
from pwmtad.model.names import Instant
from pwmtad.model.sources import Batch, JournalEntry
from pwmtad.model.state import Distribution

BOUNDS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
"""Own choice: around the targets of 0.1 s (verdict) and 1 s (last delivery)."""
_OLD_S: Final = 3600.0
"""A line that is older than this when it is read is no news that came late: somebody appended an old log."""
_MAX_WAITING: Final = 1000
"""Batches and decisions between two ticks or passes; each is a number. There are never so many while ticks come."""


class Stage(StrEnum):
    """What had happened with a line when its age was taken."""

    EVENT = "event"
    """It was read, parsed and counted."""
    VERDICT = "verdict"
    """A tick had judged it, and whoever acts was told."""
    ACTION = "action"
    """For a line that brought a hold about: Postfix's helper was told what to do."""


class Latency:
    """Collects ages by stage, since the process started. Not thread-safe; no clock."""

    def __init__(self) -> None:
        self._live: set[str] = set()
        """Sources that were at their end once."""
        self._waiting: list[Instant] = []
        self._decided: list[tuple[Instant, Instant]] = []
        """Of decisions that nothing was done about yet: the deciding line's time, and when it was decided."""
        self._stages = {stage: Histogram(BOUNDS_S) for stage in Stage}

    def counted(self, batch: Batch, now: Instant) -> None:
        """A batch was counted, and it is `now`."""
        if batch.records and batch.source in self._live:
            written = written_at(batch.records[0])
            if written is not None and self._add(Stage.EVENT, written, now) and len(self._waiting) < _MAX_WAITING:
                self._waiting.append(written)
        if batch.caught_up:
            self._live.add(batch.source)

    def judged(self, now: Instant) -> None:
        """A tick has finished: everything that was counted before is judged."""
        for written in self._waiting:
            self._add(Stage.VERDICT, written, now)
        self._waiting.clear()

    def decided(self, at: Instant, now: Instant) -> None:
        """A hold was decided on a line of the time `at`."""
        if self._live and len(self._decided) < _MAX_WAITING:
            self._decided.append((at, now))

    def issued(self, planned_at: Instant, now: Instant) -> None:
        """What was planned at `planned_at` is carried out from `now` on."""
        for at, decided_at in self._decided:
            if decided_at <= planned_at:
                self._add(Stage.ACTION, at, now)
        self.nothing_to_issue(planned_at)

    def nothing_to_issue(self, planned_at: Instant) -> None:
        """Who acts has found at `planned_at` that all is as it should be, or may not act."""
        self._decided = [decision for decision in self._decided if decision[1] > planned_at]

    def readings(self) -> dict[str, Distribution]:
        """Return the distributions (seconds) by stage."""
        return {stage.value: histogram.reading() for stage, histogram in self._stages.items()}

    def _add(self, stage: Stage, written: Instant, now: Instant) -> bool:
        age_s = now - written
        if age_s > _OLD_S:
            return False
        self._stages[stage].add(max(0.0, age_s))  # the host's clock may have been set back since
        return True


def written_at(record: str | JournalEntry) -> Instant | None:
    """Return when a line was written; None where its own time says only the second, or nothing."""
    if isinstance(record, JournalEntry):
        return record.at
    text = record[:40].partition(" ")[0]
    return Rfc3339().read(text) if text[19:20] == "." else None
