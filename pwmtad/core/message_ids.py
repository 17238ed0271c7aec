"""Message-IDs at localhost: a sender that does not know its own name looks like a stolen machine to filters.

Listmonk before 6.2 takes its host's name, and a container's random id ends as `localhost.localdomain`. Kept in memory only: the
next such message brings it back.
"""

from __future__ import annotations

from typing import Final

from pwmtad.core.window import RollingSum
from pwmtad.model.counters import MINUTE_S
from pwmtad.model.names import Instant

MARK: Final = "@localhost"
"""What to look for in a Message-ID before anything else is done: this is asked for every message."""
_LOOKBACK_MINUTES: Final = 24 * 60
_MAX_STREAMS: Final = 1000
"""Streams of configurations; a reload may name new ones."""


class LocalhostIds:
    """Counts a stream's messages of the last 24 hours."""

    def __init__(self) -> None:
        self._sums = RollingSum(_LOOKBACK_MINUTES)
        self._numbers: dict[str, int] = {}

    def see(self, stream: str, message_id: str, at: Instant) -> None:
        """Take a Message-ID that holds MARK, of a stream's message."""
        domain = message_id.rpartition("@")[2].rstrip(">").strip().lower()
        if domain != "localhost" and not domain.startswith("localhost."):
            return
        number = self._numbers.get(stream)
        if number is None:
            if len(self._numbers) >= _MAX_STREAMS:
                return
            number = self._numbers[stream] = len(self._numbers)
        minute = int(at // MINUTE_S)
        self._sums.advance(minute)
        self._sums.add(minute, number, 1)

    def count(self, stream: str, now: Instant) -> int:
        """Return how many there were within the last 24 hours."""
        number = self._numbers.get(stream)
        if number is None:
            return 0
        self._sums.advance(int(now // MINUTE_S))
        return self._sums.sums().get(number, 0)
