"""What was not seen often enough yet to suppress anybody, in as little memory as it takes: a busy host has tens of thousands.

Bounded by age and by number. Here is what is needed to count on; what people are shown of it, its grounds above all, is on its
way to the store, and asked for there.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from heapq import merge
from itertools import islice
from typing import Final, NamedTuple, TypeAlias

from pwmtad.model.counters import DAY_S
from pwmtad.model.names import Instant
from pwmtad.model.suppression import Sighting, SubjectKind, SuppressionKey

FORGET_S: Final = 60 * DAY_S
"""What was counted longer ago has nothing to do with today: two campaigns of a list that is mailed once a month. Own choice."""
MAX_COUNTING: Final = 50_000
"""Addresses and domains that are counted at once; the one seen longest ago goes first. 10 MB (own measurement). Own choice."""
_ADDRESS: Final = SubjectKind.ADDRESS.value
_DOMAIN: Final = SubjectKind.DOMAIN.value


class Counted(NamedTuple):
    """What is known of one key."""

    last_at: Instant
    """When it counted last."""
    seen: tuple[str, ...]
    """What was counted: days since the epoch, or hashes of recipients."""


_Entry: TypeAlias = tuple[Instant, *tuple[str, ...]]
"""A `Counted` as one tuple instead of two: a third of what an entry takes."""


class _Table(NamedTuple):
    """Of one stream, kind and class."""

    reply_class: str
    rows: dict[str, _Entry]
    """By subject, the newest at the end."""


class Counting:
    """By stream and kind: a table for each class."""

    def __init__(self, rows: Iterable[Sighting]) -> None:
        self._addresses: dict[str, list[_Table]] = {}
        self._domains: dict[str, list[_Table]] = {}
        self._size = 0
        self._last_at: Instant | None = None
        for row in rows:  # the store hands out nothing that is to be forgotten
            self.put_back(row.key, Counted(row.last_at, row.seen))

    def __len__(self) -> int:
        return self._size

    def pop(self, key: SuppressionKey) -> Counted | None:
        """Take it out, if it is there."""
        entry = self._table(key).pop(key.subject, None)
        if entry is None:
            return None
        self._size -= 1
        last_at, *seen = entry
        return Counted(last_at, tuple(seen))

    def put(self, key: SuppressionKey, counted: Counted) -> None:
        """Put one in that is not there and counted just now; who was seen long ago may go for it."""
        self.put_back(key, counted)
        now, last = counted.last_at, self._last_at
        self._last_at = now
        if last is not None and now // DAY_S != last // DAY_S:
            # Old by the line before as well: one with a wrong date must not make everybody forgotten.
            self._forget(min(now, last) - FORGET_S)

    def put_back(self, key: SuppressionKey, counted: Counted) -> None:
        """Put one in that is not there, as it was before."""
        # Days are few, and are the same text in ten thousands of entries; hashes are not.
        seen = map(sys.intern, counted.seen) if key.kind == _ADDRESS else counted.seen
        self._table(key)[key.subject] = (counted.last_at, *seen)
        self._size += 1
        if self._size > MAX_COUNTING:
            self._drop_oldest(MAX_COUNTING // 100)

    def taken(self, stream: str, address: str, domain: str) -> Sequence[SuppressionKey]:
        """Mail was taken: return what is counted about this recipient or its domain, and forget it. Asked for most lines."""
        found: list[SuppressionKey] = []
        for table in self._addresses.get(stream, ()):
            if table.rows.pop(address, None) is not None:
                self._size -= 1
                found.append(SuppressionKey(stream, _ADDRESS, address, table.reply_class))
        for table in self._domains.get(stream, ()):
            if table.rows.pop(domain, None) is not None:
                self._size -= 1
                found.append(SuppressionKey(stream, _DOMAIN, domain, table.reply_class))
        return found

    def _table(self, key: SuppressionKey) -> dict[str, _Entry]:
        stream, kind, _, reply_class = key
        tables = (self._addresses if kind == _ADDRESS else self._domains).setdefault(stream, [])
        for table in tables:
            if table.reply_class == reply_class:
                return table.rows
        tables.append(_Table(reply_class, {}))
        return tables[-1].rows

    def _tables(self) -> list[dict[str, _Entry]]:
        return [table.rows for kind in (self._addresses, self._domains) for tables in kind.values() for table in tables]

    def _drop_oldest(self, number: int) -> None:
        """Drop so many at once: a dictionary that loses its first entry one by one searches for it."""
        tables = self._tables()
        oldest = merge(
            *([(entry[0], n, subject) for subject, entry in islice(table.items(), number)] for n, table in enumerate(tables))
        )
        for _, n, subject in islice(oldest, number):
            del tables[n][subject]
            self._size -= 1

    def _forget(self, before: Instant) -> None:
        """Drop what counted last before a moment, as the store does: nothing else would, where the number is never reached."""
        for table in self._tables():
            for subject in [subject for subject, entry in table.items() if entry[0] < before]:
                del table[subject]
                self._size -= 1
