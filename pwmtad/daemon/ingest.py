"""Ingest: from the sources through the observer into the store, exactly once.

One consumer counts batches in the order they arrive; counters are committed together with the checkpoints they account for.
Sources wait while it is busy (a bounded queue): nothing is dropped. At the log's end commits go on beside the counting, and one
that fails is kept as it is and given to the store again; counting goes on meanwhile, in memory, because a halt must not wait
for a disk.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing, suppress
from typing import Final

import structlog

from pwmtad.core.observe import Observer
from pwmtad.daemon.ports import LogSource, Store
from pwmtad.model.errors import StoreError
from pwmtad.model.ledger import Commit
from pwmtad.model.names import Instant
from pwmtad.model.sources import Batch
from pwmtad.model.state import StoreState

_QUEUE_SIZE: Final = 2
"""Batches between a source and the consumer; each holds up to 1 MiB of lines. More would only use memory."""
_RETRY_S: Final = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds between tries of a commit that fails; the last repeats. Own choice: a full disk is looked at by people."""
_LAST_COMMIT_S: Final = 10.0
"""How long a stop waits for its last commit. What is not committed is read again: nothing is lost."""

_STORE_FIRST_S: Final = 1.0
"""How long a batch of a backlog waits for a commit that is under way, which takes milliseconds. Own choice: a tick."""

_log = structlog.get_logger()


class Ingest:
    """Owns the order of counting and committing."""

    def __init__(
        self,
        *,
        sources: Sequence[LogSource],
        store: Store,
        store_url: str,
        observer: Observer,
        clock: Callable[[], Instant],
        monotonic: Callable[[], float],
        commit_interval_s: float,
        store_first_s: float = _STORE_FIRST_S,
    ) -> None:
        self._sources = sources
        self._store = store
        self._store_url = store_url
        self._observer = observer
        self._clock = clock
        self._monotonic = monotonic
        self._interval_s = commit_interval_s
        self._store_first_s = store_first_s
        self.on_seen: Callable[[], None] = _nothing
        """Called after a batch was counted: wakes the tick."""
        self._queue: asyncio.Queue[Batch] = asyncio.Queue(_QUEUE_SIZE)
        self._kept: Commit | None = None
        self._committing = asyncio.Lock()
        self._tries = 0
        self._due = 0.0
        self._last_commit_at: Instant | None = None
        self._commits = 0
        self._errors = 0
        self._error: str | None = None

    async def run(self) -> None:
        """Read and count until cancelled; then commit what was counted."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for source in self._sources:
                    tasks.create_task(self._pump(source), name=f"source {source.name}")
                tasks.create_task(self._consume(), name="ingest")
                tasks.create_task(self._commit_when_due(), name="commits")
        finally:
            await self._commit_last()

    async def _pump(self, source: LogSource) -> None:
        async with aclosing(source.batches(self._observer.sources[source.name].checkpoint)) as batches:
            async for batch in batches:
                await self._queue.put(batch)
        raise RuntimeError(f"source {source.name} ended, which a source never does")

    async def _consume(self) -> None:
        while True:
            batch = await self._queue.get()
            now = self._clock()
            self._observer.take(batch, now)
            self._observer.latency.counted(batch, self._clock())
            if batch.records:
                self.on_seen()
            if not batch.caught_up:
                # In a backlog nothing is urgent, and counting leaves the store's thread no time: sqlite3 lets the GIL go at
                # each row and waits 5 ms for it (sys.getswitchinterval). Without this a commit took 20 s, and what waited
                # for the next one 100 MiB. But a store that hangs must not keep a halt from being seen.
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._store_first_s), self._committing:
                        pass

    async def _commit_when_due(self) -> None:
        """Not in `_consume`: a busy disk took half a second for a commit, and a lock of another process may take five."""
        self._due = self._monotonic() + self._interval_s
        while True:
            await asyncio.sleep(max(0.0, self._due - self._monotonic()) + 0.001)
            if self._monotonic() >= self._due:
                await self.commit()

    async def commit(self) -> bool:
        """Write what changed since the last commit; return whether the store has everything up to this call."""
        async with self._committing:
            kept = self._kept is not None
            done = await self._commit_once()
            return await self._commit_once() if done and kept else done

    async def _commit_once(self) -> bool:
        commit = self._kept
        if commit is None and self._observer.changed:
            commit = self._observer.commit(self._clock())
        self._due = self._monotonic() + self._interval_s
        if commit is None:
            return True
        self._kept = commit  # if this is cancelled, the next try must offer the same one: the store may have taken it
        try:
            await self._store.commit(commit)
        except StoreError as error:
            self._keep(commit, error)
            return False
        if self._error is not None:
            _log.info("store_recovered", url=self._store_url, tries=self._tries)
        self._kept, self._tries, self._error = None, 0, None
        self._commits += 1
        self._last_commit_at = commit.at
        return True

    def _keep(self, commit: Commit, error: StoreError) -> None:
        self._kept = commit
        self._errors += 1
        self._due = self._monotonic() + _RETRY_S[min(self._tries, len(_RETRY_S) - 1)]
        self._tries += 1
        if self._error != str(error):  # once, not at every try
            _log.error("commit_failed", url=self._store_url, error=str(error), retryable=error.retryable)
        self._error = str(error)

    async def _commit_last(self) -> None:
        try:
            async with asyncio.timeout(_LAST_COMMIT_S):
                await self.commit()
        except TimeoutError:
            _log.warning("last_commit_timed_out", url=self._store_url, seconds=_LAST_COMMIT_S)

    def store_state(self) -> StoreState:
        """Return the store's condition as the last commit found it."""
        return StoreState(
            url=self._store_url,
            last_commit_at=self._last_commit_at,
            commits=self._commits,
            errors=self._errors,
            error=self._error,
        )


def _nothing() -> None:
    return
