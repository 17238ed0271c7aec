"""What really happened: each message that was tried, each start of the process, each request. Outlives restarts.

In: events, as they happen. Out: lists for tests to look at. With a file, events are appended to it as JSON Lines and read back
at the next start, so that a `kill -9` of the whole program loses none.
"""

from __future__ import annotations

from collections import Counter, deque
from pathlib import Path
from typing import Final, TypeAlias

import msgspec

_KEPT_REQUESTS: Final = 50_000


class Started(msgspec.Struct, frozen=True, tag="start"):
    """The process began to serve. `why`: first, settings, reload, crash, down, wrong, fatal."""

    at: float
    why: str


class Sending(msgspec.Struct, frozen=True, tag="sending"):
    """A message was handed to SMTP. `outcome`: sent, refused (a reply said no), failed (no connection, or it broke)."""

    at: float
    start: int
    """In which run of the process: 1 is the first."""
    campaign: int
    """0: none (a transactional message, which bypasses the window)."""
    subscriber: int
    email: str
    outcome: str
    reply: str
    message_id: str


class Asked(msgspec.Struct, frozen=True, tag="request"):
    """A request was answered. `status` 0: the connection was dropped instead."""

    at: float
    method: str
    path: str
    status: int
    user: str


Event: TypeAlias = Started | Sending | Asked


class Truth:
    """See the module."""

    def __init__(self, path: Path | None = None) -> None:
        self.starts: list[Started] = []
        self.sendings: list[Sending] = []
        self.requests: deque[Asked] = deque(maxlen=_KEPT_REQUESTS)
        self._file = None
        if path is not None:
            for line in path.read_bytes().splitlines() if path.exists() else ():
                self._keep(msgspec.json.decode(line, type=Event))
            self._file = path.open("ab", buffering=0)

    def note(self, event: Event) -> None:
        """Keep it."""
        self._keep(event)
        if self._file is not None:
            self._file.write(msgspec.json.encode(event) + b"\n")

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def sent(self, campaign: int | None = None) -> list[Sending]:
        """Return what SMTP accepted, in order."""
        return [one for one in self.sendings if one.outcome == "sent" and campaign in (None, one.campaign)]

    def copies(self, campaign: int | None = None) -> Counter[str]:
        """Return how often each address got a message."""
        return Counter(one.email for one in self.sent(campaign))

    def _keep(self, event: Event) -> None:
        if isinstance(event, Started):
            self.starts.append(event)
        elif isinstance(event, Sending):
            self.sendings.append(event)
        else:
            self.requests.append(event)
