"""The stand-in: starts the process, serves it, ends it, starts it again, and keeps what really happened.

In: options, and what a test wants to happen. Out: a Listmonk at `url`. Restarts happen inside one Python process, yet all that
the real one forgets is forgotten: the window, the queue, stopped pipes, tokens, the log, `needs_restart`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from tests.tools.listmonk.call import View
from tests.tools.listmonk.campaigns_store import CampaignsStore
from tests.tools.listmonk.clock import Clock
from tests.tools.listmonk.database import install, open_database
from tests.tools.listmonk.face import Face
from tests.tools.listmonk.faults import Faults
from tests.tools.listmonk.options import Options
from tests.tools.listmonk.people_store import PeopleStore
from tests.tools.listmonk.process import FatalError, Process
from tests.tools.listmonk.truth import Started, Truth
from tests.tools.listmonk.versions import parse_version, traits_of

_GRACE_S: Final = 10.0
"""What messages in transmission have left when the process ends in order. The real one allows 3 s for everything."""
_FATAL_PAUSE_S: Final = 1.0
_WRONG: Final = "wrong_instance"
"""Schema of the other instance's tables."""


class Standin:
    """See the module. Made inside a running loop; `run` serves until `stop`."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.traits = traits_of(parse_version(options.version))
        self.clock = Clock(options.speed)
        self.truth = Truth(options.truth)
        self.faults = Faults()
        self.process: Process | None = None
        """The run that serves now; None while the port is closed."""
        self.ready = asyncio.Event()
        """Set while a process serves."""
        self._host, _, port = options.listen.rpartition(":")
        self._port = int(port)
        self._face: Face | None = None
        self._wrong: View | None = None
        self._may_run = asyncio.Event()
        self._may_run.set()
        self._stopped = asyncio.Event()

    @property
    def url(self) -> str:
        """Where it listens, once it was ready."""
        return f"http://{self._host}:{self._port}"

    async def run(self) -> None:
        """Serve, run after run, until `stop`. Raises FatalError with `exit_on_fatal` when it can't start."""
        why = "first"
        try:
            while not self._stopped.is_set():
                why = await self._one_run(why)
                if why != "stop":
                    await self.clock.sleep(self.options.boot_s)
                    await self._may_run.wait()
        finally:
            self.truth.close()

    def stop(self) -> None:
        """End `run`."""
        self._stopped.set()
        self._may_run.set()
        if self.process is not None:
            self.process.end("stop")

    def down(self) -> None:
        """End the process, and start none until `up`."""
        self._may_run.clear()
        if self.process is not None:
            self.process.end("down")

    def up(self) -> None:
        """Start it again after `down`."""
        self._may_run.set()

    def crash(self) -> None:
        """End the process as `kill -9` does: nothing gets through any more. It starts again by itself."""
        if self.process is not None:
            self.process.end("crash")

    async def close_port(self) -> None:
        """Refuse connections and drop those that are open, while the process works on."""
        if self._face is not None:
            await self._face.close(abruptly=True)
            self._face = None

    async def open_port(self) -> None:
        """Listen again after `close_port`."""
        if self._face is None and self.process is not None:
            self._face = await self._open_face(self.process)

    async def show_wrong_instance(self) -> None:
        """From now on another instance's data stands behind the URL: other settings, no campaigns, nobody."""
        if self._wrong is None:
            pool = await open_database(self.options.database, _WRONG)
            fresh = {
                **self.options.fresh_settings(),
                "app.site_name": "Another instance",
                "app.root_url": "http://other.example",
            }
            await install(pool, self.traits.version, fresh, _WRONG)
            self._wrong = View(pool, CampaignsStore(pool, self.traits), PeopleStore(pool))

    async def show_own_instance(self) -> None:
        """End `show_wrong_instance`."""
        if self._wrong is not None:
            self._wrong.pool.terminate()
            self._wrong = None

    async def _one_run(self, why: str) -> str:
        process = Process(self.options, self.traits, self.clock, self.truth, len(self.truth.starts) + 1)
        self.truth.note(Started(self.clock.wall().timestamp(), why))
        try:
            await process.boot()
        except FatalError:
            if self.options.exit_on_fatal:
                raise
            await self.clock.sleep(_FATAL_PAUSE_S)
            return "fatal"
        async with asyncio.TaskGroup() as group:
            work = group.create_task(process.work(_GRACE_S))
            async with self._serving(process):
                await process.ended.wait()
                if process.why == "crash":
                    work.cancel()
        return process.why

    @asynccontextmanager
    async def _serving(self, process: Process) -> AsyncIterator[None]:
        self._face = await self._open_face(process)
        self.process = process
        self.ready.set()
        try:
            yield
        finally:
            self.ready.clear()
            self.process = None
            if self._face is not None:
                await self._face.close(abruptly=process.why == "crash")
                self._face = None

    async def _open_face(self, process: Process) -> Face:
        own = View(process.pool, process.campaigns, process.people)
        face = Face(process, self.faults, lambda: (self._wrong or own, self._wrong is None))
        self._port = await face.open(self._host, self._port)
        return face


@asynccontextmanager
async def running(options: Options) -> AsyncIterator[Standin]:
    """Run a stand-in for as long as the block; it is ready when the block begins."""
    standin = Standin(options)
    run = asyncio.create_task(standin.run())
    ready = asyncio.create_task(standin.ready.wait())
    try:
        await asyncio.wait([run, ready], return_when=asyncio.FIRST_COMPLETED)
        if not run.done():
            yield standin
    finally:
        ready.cancel()
        standin.stop()
        await run
        await standin.show_own_instance()
