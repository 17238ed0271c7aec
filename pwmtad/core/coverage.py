"""DKIM coverage: which messages of a stream are signed, which are not, and which went past the milter that signs.

Only what is known of one message at a time: which messages are open is the correlator's. A signature may come before its
message is queued or after it, from a source that is slower; who has none when the grace time is over is unsigned.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from heapq import heappop, heappush
from math import inf
from typing import Final

from msgspec import Struct

from pwmtad.core.tally import INJECTED, SIGNED, UNSIGNED, Tally
from pwmtad.core.text import clean
from pwmtad.model import events
from pwmtad.model.counters import MINUTE_S, OpenMessage
from pwmtad.model.events import Event
from pwmtad.model.names import Instant

SESSION_EDGES: Final = ("connect from ", "disconnect from ")
_SESSION_S: Final = 300.0
"""smtpd_timeout's default: a process that was idle for so long has a new session, and has tried the milter again."""
_MAX_SESSIONS: Final = 1000
"""smtpd processes remembered as being without their milter; default_process_limit is 100."""
_JUDGED_SIGNED: Final = 1
_JUDGED_UNSIGNED: Final = 2
_NEVER_JUDGED: Final = 3


class Unfiltered(Struct, frozen=True, gc=False):
    """A stream's message that reached qmgr from a session whose milter could not be reached: nobody signed it."""

    at: Instant
    stream: str
    queue_id: str
    text: str


class Coverage:
    """Counts signed and unsigned messages into the tally; remembers who waits for a signature."""

    def __init__(self, tally: Tally, *, grace_s: float | None, most: int) -> None:
        """`grace_s`: how long a signature may come after the message was queued; None: nobody signs, nothing is judged.

        `most`: so many may wait; the oldest goes unjudged.
        """
        self._tally = tally
        self.grace_s = grace_s
        self._most = most
        # A heap: after a step back of the clock the first line to come is not the first to be due.
        self._pending: list[tuple[Instant, str]] = []
        self.deadline: Instant = inf
        """When the grace time of the oldest message without a signature is over; far away if there is none."""

    def __len__(self) -> int:
        return len(self._pending)

    def queued(self, queue_id: str, message: OpenMessage, at: Instant) -> None:
        """A stream's message reached the active queue for the first time."""
        minute = int(at // MINUTE_S)
        self._tally.message(minute, message.stream, INJECTED)
        if self.grace_s is None:
            message.judged = _NEVER_JUDGED
        elif message.signed:
            message.judged = _JUDGED_SIGNED
            self._tally.message(minute, message.stream, SIGNED)
        else:
            heappush(self._pending, (at, queue_id))
            if len(self._pending) > self._most:
                heappop(self._pending)
            self._set_deadline()

    def signed(self, message: OpenMessage) -> bool:
        """A message that was not known to be signed is; return whether it was judged by that."""
        message.signed = True
        queued_at = message.queued_at
        if queued_at is None or not message.stream or message.null_sender or self.grace_s is None:
            return False
        if message.judged == _NEVER_JUDGED:
            return False
        minute = int(queued_at // MINUTE_S)
        if message.judged == _JUDGED_UNSIGNED:
            self._tally.message(minute, message.stream, UNSIGNED, -1)
        message.judged = _JUDGED_SIGNED
        self._tally.message(minute, message.stream, SIGNED)
        return True

    def awaits(self, message: OpenMessage) -> bool:
        """Whether it is not known yet if the message is signed, and matters."""
        return (
            not message.judged
            and message.queued_at is not None
            and bool(message.stream)
            and not message.null_sender
            and self.grace_s is not None
        )

    def judge(self, watermark: Instant, opened: Mapping[str, OpenMessage]) -> Iterator[tuple[str, OpenMessage]]:
        """Count as unsigned what was queued more than the grace time before `watermark` and has no signature; yield each."""
        if self.grace_s is None:
            return
        limit = watermark - self.grace_s
        while self._pending and self._pending[0][0] <= limit:
            queued_at, queue_id = heappop(self._pending)
            message = opened.get(queue_id)
            if message is not None and message.queued_at == queued_at and not message.judged:
                message.judged = _JUDGED_UNSIGNED
                self._tally.message(int(queued_at // MINUTE_S), message.stream, UNSIGNED)
                yield queue_id, message
        self._set_deadline()

    def unverified(self, before: Instant, opened: Mapping[str, OpenMessage]) -> dict[str, int]:
        """Count by stream the messages queued before `before` of which nobody knows whether they are signed."""
        counts: dict[str, int] = {}
        for queued_at, queue_id in self._pending:
            message = opened.get(queue_id)
            if queued_at <= before and message is not None and message.queued_at == queued_at and not message.judged:
                counts[message.stream] = counts.get(message.stream, 0) + 1
        return counts

    def restart(self, opened: Mapping[str, OpenMessage], *, grace_s: float | None, most: int) -> None:
        """Find out anew who waits: after a start, and where the grace time was given or taken away."""
        self.grace_s, self._most = grace_s, most
        self._pending = sorted(
            (message.queued_at, queue_id)
            for queue_id, message in opened.items()
            if message.queued_at is not None and self.awaits(message)
        )
        self._set_deadline()

    def _set_deadline(self) -> None:
        self.deadline = self._pending[0][0] + self.grace_s if self._pending and self.grace_s is not None else inf


class BlindSessions:
    """The smtpd processes whose session has no milter: what they take now goes past it. Bounded."""

    def __init__(self) -> None:
        self._since: dict[str, tuple[Instant, str]] = {}

    def __len__(self) -> int:
        return len(self._since)

    def begin(self, event: events.MilterUnreachable, at: Instant) -> None:
        """A milter can't be reached. smtpd decides once per connection: what it takes in this session goes past the milter,
        unless it is refused.
        """
        if len(self._since) >= _MAX_SESSIONS:
            self._since.clear()
        self._since[session_of(event)] = (at, clean(f"milter {event.milter}: {event.text}", 200))

    def end(self, session: str) -> None:
        """An smtpd process began or ended a session: the next one finds out anew whether the milter is there."""
        self._since.pop(session, None)

    def why(self, session: str, at: Instant) -> str:
        """Return why no milter sees what this session takes; empty if one does."""
        since = self._since.get(session)
        return since[1] if since is not None and 0 <= at - since[0] <= _SESSION_S else ""


def session_of(event: Event) -> str:
    """Return what tells one smtpd process from another."""
    return f"{event.tag}[{event.pid}]"
