"""One task for each stream that has a Listmonk, following the configuration: they come, go, or begin anew with their table."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

from pwmtad.config import ListmonkSettings, Settings
from pwmtad.model.names import StreamName


class Work(Protocol):
    """What is done for one stream."""

    @property
    def listmonk(self) -> ListmonkSettings:
        """The table that it was begun with, or has taken since."""
        ...

    def reconfigure(self, settings: Settings) -> None:
        """Take a reloaded configuration whose table for this stream is the same."""
        ...

    async def run(self) -> None:
        """Work until cancelled."""
        ...


_Work = TypeVar("_Work", bound=Work)


class PerListmonk(Generic[_Work]):
    """They share nothing, so one whose Listmonk is down or slow keeps no other one waiting."""

    def __init__(self, make: Callable[[StreamName, Settings], _Work], settings: Settings) -> None:
        self._make = make
        self._settings = settings
        self._running: dict[StreamName, _Work] = {}
        self._tasks: dict[StreamName, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()
        self._changed.set()

    def __iter__(self) -> Iterator[_Work]:
        """Iterate over those that run now."""
        return iter(tuple(self._running.values()))

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
        for name in wanted:
            if name in self._running:
                self._running[name].reconfigure(settings)
                continue
            one = self._running[name] = self._make(name, settings)
            self._tasks[name] = tasks.create_task(one.run(), name=f"{type(one).__name__} {name}")
