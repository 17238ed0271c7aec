"""The part of the composition root that concerns Listmonk: window and pauses, suppressions, audits, one of each an instance.

In: the guard's judgement, the store, the configuration. Out: what was done and found, for the ticker. Of a stream without a
Listmonk there is what its log alone tells.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection
from typing import Protocol

from msgspec.structs import replace

from pwmtad.adapters.listmonk import ListmonkInstance
from pwmtad.adapters.listmonk.audience import ListmonkAudience
from pwmtad.adapters.listmonk.auditing import ListmonkAudits
from pwmtad.config import Settings
from pwmtad.core.guard import Guard
from pwmtad.daemon.auditors import Auditors
from pwmtad.daemon.audits import Audit
from pwmtad.daemon.campaigns import Campaigns
from pwmtad.daemon.clock import monotonic, wall_clock
from pwmtad.daemon.instances import Instances
from pwmtad.daemon.suppress import DueStore, Suppress
from pwmtad.daemon.suppressors import CountingStore, Suppressors
from pwmtad.model.acting import Acting
from pwmtad.model.names import StreamName
from pwmtad.model.state import Finding


class SuppressionStore(DueStore, CountingStore, Protocol):
    """What is read of the store."""


class Listmonks:
    """All that talks to Listmonk. They share the judgement and the store, and nothing else."""

    def __init__(
        self,
        *,
        guard: Guard,
        store: SuppressionStore,
        commit: Callable[[], Awaitable[bool]],
        excluded: Callable[[StreamName], Collection[str]],
        settings: Settings,
    ) -> None:
        """`excluded`: a stream's recipient domains that must not be mailed, as loaded last."""
        self._guard = guard
        self._store = store
        self._commit = commit
        self._excluded = excluded
        self._instances = Instances(self._campaigns, settings)
        self._suppressors = Suppressors(self._suppress, store, guard, wall_clock, settings)
        self._auditors = Auditors(self._audit, guard, wall_clock, settings)

    def acting(self, acting: Acting) -> Acting:
        """Add to what was done to the host what was done here."""
        return replace(
            acting,
            listmonk=self._instances.acting(),
            suppressions=self._suppressors.acting(),
            audits=self._auditors.acting(),
        )

    def findings(self) -> tuple[Finding, ...]:
        """Return what a person should know."""
        return (*self._instances.findings(), *self._suppressors.findings(), *self._auditors.findings())

    def wake(self) -> None:
        """Something was decided: look at once."""
        self._instances.wake()

    def reconfigure(self, settings: Settings) -> None:
        """Take a reloaded configuration."""
        for one in (self._instances, self._suppressors, self._auditors):
            one.reconfigure(settings)

    async def run(self) -> None:
        """Run them until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._instances.run(), name="listmonk")
            tasks.create_task(self._suppressors.run(), name="suppressions")
            tasks.create_task(self._auditors.run(), name="audits")

    # -- one of each for an instance

    def _campaigns(self, name: StreamName, settings: Settings) -> Campaigns:
        return Campaigns(
            stream=name,
            port=ListmonkInstance.of(settings.listmonk_of(name), random.random),
            guard=self._guard,
            commit=self._commit,
            clock=wall_clock,
            monotonic=monotonic,
            jitter=random.random,
            settings=settings,
        )

    def _suppress(self, name: StreamName, settings: Settings) -> Suppress:
        return Suppress(
            stream=name,
            port=ListmonkAudience.of(settings.listmonk_of(name), random.random),
            store=self._store,
            guard=self._guard,
            commit=self._commit,
            clock=wall_clock,
            monotonic=monotonic,
            jitter=random.random,
            settings=settings,
        )

    def _audit(self, name: StreamName, settings: Settings) -> Audit:
        return Audit(
            stream=name,
            port=ListmonkAudits.of(settings.listmonk_of(name), random.random),
            guard=self._guard,
            excluded=self._excluded,
            clock=wall_clock,
            settings=settings,
        )
