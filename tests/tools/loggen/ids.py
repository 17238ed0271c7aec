"""Queue ids as Postfix makes them (src/global/mail_queue.h), and pids."""

from __future__ import annotations

from collections import deque
from random import Random
from typing import Final, Protocol

ALPHABET: Final = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz"
"""Base 52 of long ids; inode numbers use the first 51, so that `z` can separate."""

_PAIRS: Final = tuple(a + b for a in ALPHABET for b in ALPHABET)
_MICRO: Final = 1_000_000
_LONG_HEAD: Final = 11
"""Six digits of seconds, four of microseconds, `z`; the inode follows. The time may hold a `z` as well."""


def _digits(number: int, base: int) -> str:
    text = ""
    while True:
        number, digit = divmod(number, base)
        text = ALPHABET[digit] + text
        if not number:
            return text


class QueueIds(Protocol):
    """Gives out queue ids that no message in the queue has."""

    def new(self, when: float) -> str:
        """A queue id for a message that arrives at `when`."""
        ...

    def release(self, queue_id: str, when: float) -> None:
        """The queue file is gone at `when`: its inode is free from then on."""
        ...


class LongIds:
    """`4jYS5G4dRNzJB4C`: seconds (six digits since 1982), microseconds, `z`, inode."""

    def __init__(self, first_inode: int) -> None:
        self._inode = first_inode
        self._free: deque[tuple[float, str]] = deque()
        self._second = -1
        self._head = ""

    def new(self, when: float) -> str:
        """See QueueIds."""
        second = int(when)
        if second != self._second:
            self._second, self._head = second, _digits(second, 52)
        high, low = divmod(int((when - second) * _MICRO), 2704)
        if self._free and self._free[0][0] < when:
            inode = self._free.popleft()[1]
        else:
            self._inode += 1
            inode = _digits(self._inode, 51)
        return f"{self._head}{_PAIRS[high]}{_PAIRS[low]}z{inode}"

    def release(self, queue_id: str, when: float) -> None:
        """See QueueIds."""
        self._free.append((when, queue_id[_LONG_HEAD:]))


class ShortIds:
    """`731D420C053`: five hex digits of microseconds, then the inode. Some are given out again (`reuse_share`)."""

    def __init__(self, first_inode: int, rng: Random, reuse_share: float) -> None:
        self._inode = first_inode
        self._free: deque[tuple[float, str]] = deque()
        self._random = rng.random
        self._reuse_share = reuse_share

    def new(self, when: float) -> str:
        """See QueueIds."""
        if self._free and self._free[0][0] < when:
            old = self._free.popleft()[1]
            if self._random() < self._reuse_share:
                return old
            inode = old[5:]
        else:
            self._inode += 1
            inode = f"{self._inode:X}"
        return f"{int(when % 1 * _MICRO):05X}{inode}"

    def release(self, queue_id: str, when: float) -> None:
        """See QueueIds."""
        self._free.append((when, queue_id))


class Pids:
    """Process ids that climb and wrap, as the kernel gives them."""

    def __init__(self, first: int) -> None:
        self._next = first

    def new(self) -> int:
        """The next one."""
        self._next = self._next + 3 if self._next < 4_190_000 else 600
        return self._next
