"""Suppressions of all streams: one `Suppress` for each Listmonk, and the counts that people and Prometheus see."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import structlog
from msgspec.structs import replace

from pwmtad.config import Settings
from pwmtad.core.guard import Guard
from pwmtad.core.suppress_words import as_shown, count_findings, held_back_findings
from pwmtad.daemon.per_listmonk import PerListmonk
from pwmtad.daemon.suppress import Suppress
from pwmtad.model.errors import StoreError
from pwmtad.model.names import Instant, StreamName
from pwmtad.model.state import Finding
from pwmtad.model.suppression import ReportState, SuppressionActing, SuppressionCount

_COUNT_S: Final = 10.0
_ROWS_A_SECOND: Final = 1000.0
"""Counting 100,000 rows takes 0.1 s of the store's thread (SQLite, own measurement): the more, the less often."""
_WAITING: Final = (ReportState.UNTOLD.value, ReportState.SENT.value)
_log = structlog.get_logger()


class CountingStore(Protocol):
    """What is read of the store."""

    async def count_suppressions(self) -> list[SuppressionCount]:
        """Return how many rows there are of each sort. Raises StoreError."""
        ...


class Suppressors:
    """See the module."""

    def __init__(
        self,
        make: Callable[[StreamName, Settings], Suppress],
        store: CountingStore,
        guard: Guard,
        clock: Callable[[], Instant],
        settings: Settings,
    ) -> None:
        self._settings = settings
        self._guard = guard
        self._clock = clock
        self._store = store
        self._each = PerListmonk(make, settings)
        self._counts: Sequence[SuppressionCount] | None = None

    def acting(self) -> tuple[SuppressionActing, ...]:
        """Return what was done so far, and what there is, by stream; also of streams without a Listmonk."""
        running = {str(one.stream): one.acting for one in self._each}
        return tuple(self._with_counts(running.get(name, SuppressionActing(name))) for name in self._settings.streams)

    def findings(self) -> tuple[Finding, ...]:
        """Return what a person should know."""
        own = (finding for one in self._each for finding in one.findings())
        held = held_back_findings(self._guard.suppressions.held_back(self._clock()))
        return (*own, *count_findings(self._counts or ()), *held)

    def reconfigure(self, settings: Settings) -> None:
        """Take a reloaded configuration."""
        self._settings = settings
        self._each.reconfigure(settings)

    async def run(self) -> None:
        """Run them until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._each.run(), name="suppress")
            tasks.create_task(self._count_again(), name="suppression counts")

    async def count(self) -> None:
        """Count the rows; those of before stay while the store can't be read."""
        try:
            self._counts = as_shown(await self._store.count_suppressions())
        except StoreError as error:
            _log.warning("suppressions_not_counted", error=str(error))

    async def _count_again(self) -> None:
        while True:
            await self.count()
            rows = sum(count.rows for count in self._counts or ())
            await asyncio.sleep(max(_COUNT_S, rows / _ROWS_A_SECOND))

    def _with_counts(self, acting: SuppressionActing) -> SuppressionActing:
        if self._counts is None:
            return acting
        own = tuple(count for count in self._counts if count.stream == acting.stream)
        return replace(acting, counts=own, waiting=sum(count.rows for count in own if count.state in _WAITING))
