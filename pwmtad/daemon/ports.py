"""What the daemon needs from the outside, as Protocols. Adapters fulfil them; tests fulfil them with fakes."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol

from pwmtad.model.judgement import Record
from pwmtad.model.ledger import Commit, Ledger
from pwmtad.model.names import Instant
from pwmtad.model.sources import Batch, Checkpoint


class LogSource(Protocol):
    """A stream of log lines that never ends by itself and never drops a line it can still read."""

    @property
    def name(self) -> str:
        """Stable name: the key of its checkpoint."""
        ...

    def batches(self, checkpoint: Checkpoint | None) -> AsyncGenerator[Batch, None]:
        """Deliver everything after `checkpoint`, then follow. An empty batch that is `caught_up` is a sign of life
        (at least one a second). What can't be read is told in `Batch.health.error`, and retried; it is no exception.
        """
        ...


class Store(Protocol):
    """Durable counters. Errors are `StoreError` with a sentence for people; nothing stored is ever lost by one."""

    async def open(self) -> None:
        """Connect, check integrity, migrate."""
        ...

    async def load(self, since: Instant) -> Ledger:
        """Read what a start needs."""
        ...

    async def commit(self, commit: Commit) -> None:
        """All or nothing."""
        ...

    async def records(self, *, limit: int, halt_id: str | None = None) -> list[Record]:
        """Return the newest `limit` records, oldest first; those of one halt if `halt_id` is given."""
        ...

    async def roll_up(self, now: Instant) -> None:
        """Minute buckets older than 48 h become hours, hours older than 90 d become days; old reasons go."""
        ...

    async def close(self) -> None:
        """Finish and let go."""
        ...
