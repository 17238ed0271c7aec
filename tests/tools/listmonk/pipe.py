"""One campaign in work: what was queued of it, what was sent, whether it was told to stop.

In: the life of each message. Out: when the pipe is drained. It ends only when every message that was queued has left the queue,
so a pause "takes" at once and yet may take hours.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from tests.tools.listmonk.message import Campaign

_RATE_WINDOW_S: Final = 60.0


class Pipe:
    """See the module. `drained` is called once."""

    def __init__(self, campaign: Campaign, *, max_errors: int, drained: Callable[[Pipe], None]) -> None:
        self.campaign = campaign
        self.stopped = False
        """Messages still in the queue will be dropped."""
        self.failed = False
        """Stopped by itself, after too many errors."""
        self.last_sent = 0
        """Highest id of a subscriber who got the message; 0 for none."""
        self._sent = 0
        self._errors = 0
        self._max_errors = max_errors
        self.open = 1
        """Messages that are queued or in work, and one for the pipe itself until everybody was fetched."""
        self._drained = drained
        self._recent: deque[float] = deque()

    def stop(self) -> None:
        """Drop what is queued from now on."""
        self.stopped = True

    def queue_one(self) -> None:
        """A message goes into the queue."""
        self.open += 1

    def release_one(self) -> None:
        """A message (or, at last, the pipe itself) is done with: sent, refused or dropped."""
        self.open -= 1
        if self.open == 0:
            self._drained(self)

    def sent_one(self, subscriber: int, now: float) -> None:
        """A message was accepted."""
        self.last_sent = max(self.last_sent, subscriber)
        self._sent += 1
        self._recent.append(now)

    def failed_one(self) -> bool:
        """A message was refused or failed. Return whether that was one too many: then the pipe has stopped."""
        self._errors += 1
        if self.stopped or self._max_errors < 1 or self._errors < self._max_errors:
            return False
        self.failed = self.stopped = True
        return True

    def take_sent(self) -> int:
        """Return how many were sent since the last call."""
        sent, self._sent = self._sent, 0
        return sent

    def rate(self, now: float) -> int:
        """Return how many were sent in the last minute."""
        while self._recent and self._recent[0] <= now - _RATE_WINDOW_S:
            self._recent.popleft()
        return len(self._recent)
