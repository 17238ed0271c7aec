"""Time: a heap of future actions, and lines put in order before they are handed out.

An action may log lines from its own time on, never before it. So all lines older than the next action are final: they are
sorted in batches (cheap, because nearly sorted) and memory holds only what is under way.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from operator import itemgetter
from typing import Final, TypeAlias

from tests.tools.loggen.model import Entry

Action: TypeAlias = Callable[[float], None]

_BATCH: Final = 1024
_time: Final = itemgetter(0)


class Engine:
    """Runs actions in order of time and hands out their lines in order of time."""

    def __init__(self, until: float) -> None:
        self._until = until
        self._actions: list[tuple[float, int, Action]] = []
        self._count = 0
        self._pending: list[Entry] = []
        self._flush_at = _BATCH
        self._handed_out = float("-inf")
        self.log = self._pending.append
        """Log an entry: (time, place, `tag[pid]: text`, note)."""

    def at(self, when: float, action: Action) -> None:
        """Call `action(when)` when its time comes; those of one time in the order they were asked for."""
        self._count += 1
        heappush(self._actions, (when, self._count, action))

    def batches(self) -> Iterator[list[Entry]]:
        """All entries, in order of time, until nothing is left to happen or `until`; they come in batches for speed."""
        actions, pending = self._actions, self._pending
        while actions and actions[0][0] < self._until:
            when, _, action = heappop(actions)
            if len(pending) >= self._flush_at:
                yield self._final(when)
            action(when)
        yield self._final(self._until)

    def _final(self, before: float) -> list[Entry]:
        """Take out what is older than `before`, in order."""
        pending = self._pending
        pending.sort(key=_time)
        cut = bisect_left(pending, before, key=_time)
        ready = pending[:cut]
        del pending[:cut]
        self._flush_at = len(pending) * 2 + _BATCH
        if ready and ready[0][0] < self._handed_out:
            raise AssertionError("an action logged a line into the past")
        self._handed_out = before
        return ready
