"""Mail to domains that must not be mailed: Postfix parks it, and somebody should know that it was tried.

A parked message never left, so this is no evidence for a halt; an attempt that reached such a receiver is (core/guard).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from pwmtad.core.text import clean, domain_of
from pwmtad.model import events
from pwmtad.model.counters import HOUR_S
from pwmtad.model.judgement import EvidenceLine, Record, RecordKind
from pwmtad.model.names import Instant

PARKED_RULE: Final = "excluded-domain"
_REMEMBERED: Final = 100_000
"""Queue ids whose parking was counted; beyond it counting begins anew. Own choice."""


class ParkedWatch:
    """Counts messages that Postfix parked, and tells of them at most once an hour and stream."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._untold: dict[str, int] = {}
        self._told_at: dict[str, Instant] = {}

    def see(self, event: events.LocalDeferral, stream: str, excluded: Collection[str], at: Instant) -> list[Record]:
        """Take a line of Postfix's own deferral; a message counts once, however often it is tried. Which domains are `excluded`
        is known here: Postfix says of parked mail what it says of any deferred transport.
        """
        if event.queue_id in self._seen or domain_of(event.recipient) not in excluded:
            return []
        if len(self._seen) >= _REMEMBERED:
            self._seen.clear()
        self._seen.add(event.queue_id)
        self._untold[stream] = self._untold.get(stream, 0) + 1
        if abs(at - self._told_at.get(stream, -float(HOUR_S))) < HOUR_S:  # a clock that was far ahead silences nothing
            return []
        self._told_at[stream] = at
        number, domain = self._untold.pop(stream), clean(domain_of(event.recipient), 100)
        reason = (
            f"{number} message(s) to domains that must not be mailed are parked in the queue, the last to {domain}: "
            f"whoever builds the audience does not know of the exclusion"
        )
        line = EvidenceLine(at, clean(f"{event.queue_id} to {domain}: {event.text}", 300))
        return [Record(at, RecordKind.ALERT, stream, PARKED_RULE, reason, (line,), subject=domain)]
