"""All Listmonk instances: one `Campaigns` for each stream that has one, each in a task of its own.

They share nothing but the judgement and the store, so one that is down or slow keeps no other one waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pwmtad.config import ListmonkSettings, Settings
from pwmtad.daemon.campaigns import Campaigns
from pwmtad.model.acting import ListmonkActing
from pwmtad.model.names import StreamName
from pwmtad.model.state import Finding


class Instances:
    """Follows the configuration: instances come, go, or are begun anew when their table changes."""

    def __init__(self, make: Callable[[StreamName, ListmonkSettings, Settings], Campaigns], settings: Settings) -> None:
        self._make = make
        self._running: dict[StreamName, Campaigns] = {}
        self._tasks: dict[StreamName, asyncio.Task[None]] = {}
        self._settings = settings
        self._changed = asyncio.Event()
        self._changed.set()

    def acting(self) -> tuple[ListmonkActing, ...]:
        """Return what was done so far, by stream."""
        return tuple(one.acting for one in self._running.values())

    def findings(self) -> tuple[Finding, ...]:
        """Return what a person should know."""
        return tuple(finding for one in self._running.values() for finding in one.findings())

    def wake(self) -> None:
        """Something was decided: look at once."""
        for one in self._running.values():
            one.wake()

    def reconfigure(self, settings: Settings) -> None:
        """Take a reloaded configuration."""
        self._settings = settings
        self._changed.set()

    async def run(self) -> None:
        """Run them until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._changed.wait()
                self._changed.clear()
                await self._follow(tasks)

    async def _follow(self, tasks: asyncio.TaskGroup) -> None:
        """Stop those that are gone or changed, begin the new ones, and hand the rest the new settings."""
        settings = self._settings  # a reload may bring others while this waits
        wanted = {name: stream.listmonk for name, stream in settings.streams.items() if stream.listmonk is not None}
        for name in [name for name, one in self._running.items() if wanted.get(name) != one.listmonk]:
            del self._running[name]
            task = self._tasks.pop(name)
            task.cancel()
            await asyncio.wait([task])
        for name, listmonk in wanted.items():
            if name in self._running:
                self._running[name].reconfigure(settings)
            else:
                self._running[name] = self._make(name, listmonk, settings)
                self._tasks[name] = tasks.create_task(self._running[name].run(), name=f"listmonk {name}")
