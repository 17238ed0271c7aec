"""Commits take turns, and one that was cancelled is owed: it must be given again before another is taken.

A cancelled caller can't know whether its commit became durable. If its next one repeats the same lines, they could count twice;
if it goes on after them, they could be missing. So the same one is taken again (the store knows whether it is done already), or
none at all: then a restart goes on from the stored checkpoint, which is always right.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from pwmtad.adapters.store.rows import Change, changes_of
from pwmtad.model.errors import StoreError
from pwmtad.model.ledger import Commit


class Given(NamedTuple):
    """A commit as it was given, and what it changes; the caller may alter its parts later, but not this."""

    commit: Commit
    changes: list[Change]

    def is_again(self, other: Given) -> bool:
        """Tell whether both are the same commit."""
        return self.commit is other.commit or self.changes == other.changes


class CommitOrder:
    """The turns of one open store."""

    def __init__(self, store: str) -> None:
        self._store = store
        self._lock = asyncio.Lock()
        self._owed: Given | None = None

    def forget(self) -> None:
        """Begin anew: whoever opens the store loads what it holds."""
        self._owed = None

    @asynccontextmanager
    async def turn(self, commit: Commit) -> AsyncIterator[tuple[Given, bool]]:
        """Give the block its turn: the commit, and whether it is the cancelled one again. Raises `StoreError` for another."""
        given = Given(commit, changes_of(commit))  # now: the caller may change an OpenMessage as soon as we await
        try:
            async with self._lock:
                again = self._owed is not None
                if self._owed is not None and not given.is_again(self._owed):
                    raise unsure(self._store)
                try:
                    yield given, again
                except asyncio.CancelledError:
                    raise
                except BaseException:
                    self._owed = None  # its caller is told
                    raise
                self._owed = None
        except asyncio.CancelledError:
            self._owed = self._owed or given
            raise


def unsure(store: str) -> StoreError:
    """Return the refusal of a commit that is not the one that is owed."""
    return StoreError(
        f"store {store}: whoever gave the commit before this one does not know whether it is stored, so this one may count "
        "lines again or leave some out. Restart pwmtad: it goes on from the stored checkpoint.",
        retryable=False,
    )
