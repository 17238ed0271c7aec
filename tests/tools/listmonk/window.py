"""Listmonk's "sliding" window, which is a tumbling one. Pure: time is an argument.

In: what was pushed so far, the limit, now. Out: what was pushed, and until when the sender sleeps.

A message is counted when it is put into the queue, whatever becomes of it. The window starts with the process; it moves
only when a message is pushed after its end. So up to twice the rate may leave around a boundary, and nothing is spread.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

_SHORTEST_S: Final = 1.0


class Limit(msgspec.Struct, frozen=True):
    """A limit that holds: rate 1 or more, duration above 1 s."""

    rate: int
    duration_s: float
    extra: bool
    """Older versions do not count the first message after the end of a window: rate + 1 in each but the first."""


class Pushed(msgspec.Struct, frozen=True):
    """What the process remembers: since when it counts, and how many it counted."""

    since: float
    count: int = 0


class Step(NamedTuple):
    """After one message: what is remembered, and until when to sleep (None: not at all)."""

    pushed: Pushed
    sleep_until: float | None


def limit_of(*, enabled: bool, rate: int, duration_s: float, extra: bool) -> Limit | None:
    """Return the limit, or None: a rate of 0 or less, and a duration of a second or less, limit nothing at all."""
    if not enabled or rate <= 0 or duration_s <= _SHORTEST_S:
        return None
    return Limit(rate, duration_s, extra)


def push(pushed: Pushed, limit: Limit, now: float) -> Step:
    """Count one message that was just put into the queue."""
    end = pushed.since + limit.duration_s
    count = pushed.count
    if now >= end:
        pushed = Pushed(now)
        if limit.extra:
            return Step(pushed, None)
        count = 0
    count += 1
    if count < limit.rate:
        return Step(Pushed(pushed.since, count), None)
    # Since the "+1" was repaired, the rest of the window is still reckoned from the old start: right after a reset it
    # is negative, so that with a rate of 1 the second message of the window goes out as well.
    return Step(Pushed(pushed.since), end if end > now else None)
