"""What the daemon and the root helper say to each other: one request, one answer, in turn, over a Unix socket.

A message is four bytes, the length of what follows (big-endian), and MessagePack. Unknown fields and other versions are
refused: both ends are of one installation, and after an upgrade both are started again.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from msgspec import Struct

from pwmtad.model.target import Applied, PostfixActual, PostfixTarget, QueueListing

VERSION: Final = 1
LENGTH_BYTES: Final = 4
MAX_REQUEST: Final = 16 * 1024 * 1024
"""Bytes. 100,000 excluded domains of 100 characters each are 10 MB."""
MAX_ANSWER: Final = 64 * 1024 * 1024
"""Bytes. 200,000 messages of the queue are some 40 MB."""


class Look(Struct, frozen=True, forbid_unknown_fields=True, tag="look"):
    """Read what Postfix's files say."""


class Apply(Struct, frozen=True, forbid_unknown_fields=True, tag="apply"):
    """Make it so."""

    target: PostfixTarget


class ListQueue(Struct, frozen=True, forbid_unknown_fields=True, tag="queue"):
    """List the queue."""


class Hold(Struct, frozen=True, forbid_unknown_fields=True, tag="hold"):
    """Put messages on hold."""

    queue_ids: tuple[str, ...]


class Unhold(Struct, frozen=True, forbid_unknown_fields=True, tag="unhold"):
    """Let messages go that `Hold` holds."""

    queue_ids: tuple[str, ...]


class Restore(Struct, frozen=True, forbid_unknown_fields=True, tag="restore"):
    """Put people's own values back. From root only: it lets mail go that a halt holds."""

    release_held: bool = False


Request: TypeAlias = Look | Apply | ListQueue | Hold | Unhold | Restore


class Call(Struct, frozen=True, forbid_unknown_fields=True):
    """A request as it is sent."""

    version: int
    request: Request


class Seen(Struct, frozen=True, tag="seen"):
    """Answers Look."""

    actual: PostfixActual


class Carried(Struct, frozen=True, tag="carried"):
    """Answers Apply and Restore."""

    applied: Applied


class Listed(Struct, frozen=True, tag="listed"):
    """Answers ListQueue."""

    listing: QueueListing


class Done(Struct, frozen=True, tag="done"):
    """Answers Hold and Unhold. None: nothing failed."""

    problem: str | None = None


class Refused(Struct, frozen=True, tag="refused"):
    """Answers what is not taken, in words. The connection is closed after it."""

    problem: str


Answer: TypeAlias = Seen | Carried | Listed | Done | Refused
