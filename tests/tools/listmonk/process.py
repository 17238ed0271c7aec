"""One run of the process: what it read when it started, and what it forgets when it ends.

In: options, the database, the clock, the truth. Out: an engine, a bounce queue and everything that the API needs.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any, Final, NoReturn

import asyncpg

from tests.tools.listmonk.auth import Gate
from tests.tools.listmonk.bounces import BounceQueue
from tests.tools.listmonk.campaigns_store import CampaignsStore
from tests.tools.listmonk.clock import Clock
from tests.tools.listmonk.database import DATABASE_ERRORS, install, open_database, read_settings
from tests.tools.listmonk.engine import Engine, Tuning, tuning_of
from tests.tools.listmonk.govalues import as_bool
from tests.tools.listmonk.message import Composer
from tests.tools.listmonk.messengers import Messengers
from tests.tools.listmonk.options import Options
from tests.tools.listmonk.people_store import PeopleStore
from tests.tools.listmonk.sending_store import SendingStore
from tests.tools.listmonk.settings_keys import known
from tests.tools.listmonk.shapes import WrongTypeError, decode
from tests.tools.listmonk.truth import Truth
from tests.tools.listmonk.users import first_user
from tests.tools.listmonk.versions import Traits

_LOG_LINES: Final = 5000
_FATAL: Final = ("smtp", "messengers", "bounce.actions", "bounce.mailboxes", "privacy.domain_blocklist")
"""Keys whose wrong JSON type ends the process when it starts. Which of the real one's many are such: own choice."""


class FatalError(Exception):
    """The process can't start."""


class Process:
    """See the module. `number` counts runs, from 1."""

    def __init__(self, options: Options, traits: Traits, clock: Clock, truth: Truth, number: int) -> None:
        self.traits = traits
        self.clock = clock
        self.truth = truth
        self.number = number
        self.options = options
        self.gate = Gate(traits, options.admin)
        self.needs_restart = False
        self.settings: dict[str, Any] = {}
        """As read when the process started; the engine knows no others."""
        self.log: deque[str] = deque(maxlen=_LOG_LINES)
        self.ended = asyncio.Event()
        self.why = ""
        """Why it ended."""
        self._group = asyncio.TaskGroup()
        self._timers: list[asyncio.Task[None]] = []
        self.pool: asyncpg.Pool
        self.messengers: Messengers
        self.tuning: Tuning
        self.engine: Engine
        self.bounces: BounceQueue
        self.campaigns: CampaignsStore
        self.people: PeopleStore

    async def boot(self) -> None:
        """Read everything and build what works with it. Raises FatalError."""
        try:
            self.pool = await open_database(self.options.database)
        except DATABASE_ERRORS as error:
            raise FatalError(f"error connecting to DB: {error}") from None
        try:
            await install(self.pool, self.traits.version, self.options.fresh_settings())
            await first_user(self.pool, self.traits, self.options)
            self.settings = await read_settings(self.pool)
            await self.gate.load(self.pool)
            self._build()
        except DATABASE_ERRORS as error:
            self.pool.terminate()
            raise FatalError(str(error)) from None
        except BaseException:
            self.pool.terminate()
            raise

    def say(self, line: str) -> None:
        """Add a line to the log, which starts empty with each run."""
        self.log.append(f"{self.clock.wall():%Y/%m/%d %H:%M:%S} {line}")

    async def work(self, grace_s: float) -> None:
        """Send and record until the end; then messages in transmission have `grace_s` to get through."""
        try:
            async with self._group as group:
                helpers = [group.create_task(self.bounces.run()), group.create_task(self._close_engine())]
                await self.engine.run(grace_s)
                self._cancel_timers(helpers)
        finally:
            self.messengers.close()
            self.pool.terminate()

    def end(self, why: str) -> None:
        """End it now."""
        if not self.ended.is_set():
            self.why = why
            self.ended.set()

    def end_after(self, seconds: float, why: str) -> None:
        """End it in a while; until then it works on. Too late for one that has ended."""
        if self.ended.is_set():
            return
        self._timers.append(self._group.create_task(self._end_after(seconds, why)))

    async def _end_after(self, seconds: float, why: str) -> None:
        await self.clock.sleep(seconds)
        self.end(why)

    async def _close_engine(self) -> None:
        await self.ended.wait()
        self.engine.close()

    def _cancel_timers(self, helpers: list[asyncio.Task[None]]) -> None:
        for task in (*helpers, *self._timers):
            task.cancel()

    def _build(self) -> None:
        settings = self.settings
        self._check_types()
        self.say(f"main.go:106: {self.traits.version} (0000000 2026-01-01T00:00:00+0000, linux/amd64)")
        composer = Composer(
            self.traits,
            self.clock,
            hostname=self.options.hostname,
            root_url=str(settings["app.root_url"]),
            unsubscribe_header=as_bool(settings["privacy.unsubscribe_header"]),
        )
        blocks = decode(known(self.traits.version)["smtp"].shape, settings["smtp"], "smtp")
        self.messengers = Messengers(
            blocks, composer, self.clock, self.truth.note, source=self.options.source, start=self.number
        )
        self.tuning = tuning_of(settings, self.traits)
        store = SendingStore(self.pool, self.traits)
        self.engine = Engine(self.tuning, self.traits, store, self.messengers, self.clock, self.say)
        self.people = PeopleStore(self.pool)
        self.campaigns = CampaignsStore(self.pool, self.traits)
        self.bounces = BounceQueue(self.people, settings["bounce.actions"], self.say)

    def _check_types(self) -> None:
        keys = known(self.traits.version)
        for name in _FATAL:
            try:
                decode(keys[name].shape, self.settings.get(name), name)
            except WrongTypeError as error:
                _die(str(error))
        if not any(block.get("enabled") for block in self.settings["smtp"] or ()):
            _die("no SMTP server is enabled")


def _die(why: str) -> NoReturn:
    raise FatalError(why)


def stored_domains(settings: Mapping[str, Any], key: str) -> list[str]:
    """Return a list of domains as it was read when the process started."""
    return [str(domain) for domain in settings.get(key) or ()]
