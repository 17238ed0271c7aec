"""The sending engine of one process: a scan every 5 s, one feeder that obeys the window, workers that send.

In: a store, messengers, a clock. Out: mail. What it remembers (the window, the queue, stopped pipes) ends with the process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from tests.tools.listmonk.clock import Clock
from tests.tools.listmonk.database import DATABASE_ERRORS
from tests.tools.listmonk.govalues import as_bool, as_duration, as_int
from tests.tools.listmonk.message import Campaign, Person
from tests.tools.listmonk.pipe import Pipe
from tests.tools.listmonk.versions import Traits
from tests.tools.listmonk.window import Limit, Pushed, limit_of, push

_SCAN_INTERVAL_S: Final = 5.0
_WORKER_PAUSE_S: Final = 1.0


class Store(Protocol):
    """Where campaigns and people are: sending_store.SendingStore."""

    async def pick_up(self, sent: Mapping[int, int], now: datetime) -> Iterable[Campaign]: ...
    async def next_people(self, campaign: int, limit: int, now: datetime) -> Iterable[Person]: ...
    async def end(self, campaign: int, sent: int, last: int, now: datetime) -> None: ...
    async def status(self, campaign: int) -> str: ...
    async def set_status(self, campaign: int, status: str, now: datetime) -> None: ...


class Messengers(Protocol):
    """What sends: messengers.Messengers."""

    @property
    def names(self) -> Iterable[str]: ...
    async def send(self, campaign: Campaign, person: Person) -> bool: ...


class Tuning(msgspec.Struct, frozen=True):
    """Settings of the engine, as they were when the process started."""

    concurrency: int
    message_rate: int
    batch_size: int
    max_send_errors: int
    limit: Limit | None


class _Queued(NamedTuple):
    pipe: Pipe
    person: Person


def tuning_of(settings: Mapping[str, Any], traits: Traits) -> Tuning:
    """Read the engine's settings as the real one does: whatever is wrong is 0, and 0 has a default or no meaning."""
    concurrency, message_rate, batch_size, max_send_errors, rate = (
        as_int(settings.get(f"app.{name}"))
        for name in ("concurrency", "message_rate", "batch_size", "max_send_errors", "message_sliding_window_rate")
    )
    return Tuning(
        concurrency=concurrency if concurrency >= 1 else 1,
        message_rate=message_rate if message_rate >= 1 else 1,
        batch_size=batch_size if batch_size >= 1 else 1000,
        max_send_errors=max_send_errors,
        limit=limit_of(
            enabled=as_bool(settings.get("app.message_sliding_window")),
            rate=rate,
            duration_s=as_duration(settings.get("app.message_sliding_window_duration")),
            extra=traits.extra_per_window,
        ),
    )


class Engine:
    """See the module. `say` gets lines for the log."""

    def __init__(
        self,
        tuning: Tuning,
        traits: Traits,
        store: Store,
        messengers: Messengers,
        clock: Clock,
        say: Callable[[str], None],
    ) -> None:
        self.pipes: dict[int, Pipe] = {}
        self._tuning = tuning
        self._traits = traits
        self._store = store
        self._messengers = messengers
        self._clock = clock
        self._say = say
        self._queue: asyncio.Queue[_Queued] = asyncio.Queue(2 * tuning.concurrency * tuning.message_rate)
        self._to_feed: asyncio.Queue[Pipe] = asyncio.Queue()
        self._pushed = Pushed(clock.now())
        self._group = asyncio.TaskGroup()
        self._busy: set[asyncio.Task[None]] = set()
        self._closing = asyncio.Event()

    def stop_campaign(self, campaign: int) -> None:
        """Drop what is queued of it. A campaign that is in no pipe has nothing to stop."""
        if campaign in self.pipes:
            self.pipes[campaign].stop()

    async def run(self, grace_s: float) -> None:
        """Work until `close`; then messages in transmission have `grace_s` (of real time) to get through."""
        async with self._group as group:
            producers = [group.create_task(self._scan()), group.create_task(self._feed())]
            workers = {group.create_task(self._work()) for _ in range(self._tuning.concurrency)}
            await self._closing.wait()
            for task in (*producers, *(workers - self._busy)):
                task.cancel()
            if self._busy:
                await asyncio.wait(self._busy, timeout=grace_s)
            for task in workers:
                task.cancel()

    def close(self) -> None:
        """End `run`. Whatever is queued is forgotten, and no pipe is cleaned up: the database is closed by then."""
        self._closing.set()

    async def _scan(self) -> None:
        while True:
            await self._clock.sleep(_SCAN_INTERVAL_S)
            sent = {number: pipe.take_sent() for number, pipe in self.pipes.items()}
            try:
                campaigns = await self._store.pick_up(sent, self._clock.wall())
                for campaign in campaigns:
                    await self._start(campaign)
            except DATABASE_ERRORS as error:
                self._say(f"error fetching campaigns: {error}")

    async def _start(self, campaign: Campaign) -> None:
        if campaign.messenger not in self._messengers.names:
            await self._store.set_status(campaign.id, "cancelled", self._clock.wall())
            self._say(f"unknown messenger {campaign.messenger} on campaign {campaign.name}")
            return
        pipe = Pipe(campaign, max_errors=self._tuning.max_send_errors, drained=self._drained)
        self.pipes[campaign.id] = pipe
        self._say(f"start processing campaign ({campaign.name})")
        self._to_feed.put_nowait(pipe)

    async def _feed(self) -> None:
        while True:
            pipe = await self._to_feed.get()
            try:
                more = await self._feed_batch(pipe)
            except DATABASE_ERRORS as error:
                self._say(f"error processing campaign batch ({pipe.campaign.name}): {error}")
                if self._traits.query_error_hangs:
                    continue
                pipe.stop()
                more = False
            if more:
                self._to_feed.put_nowait(pipe)
            else:
                pipe.release_one()

    async def _feed_batch(self, pipe: Pipe) -> bool:
        """Queue one batch to its end, stopped or not, and sleep as the window says. Return whether there may be more."""
        people = list(await self._store.next_people(pipe.campaign.id, self._tuning.batch_size, self._clock.wall()))
        for person in people:
            pipe.queue_one()
            await self._queue.put(_Queued(pipe, person))
            if self._tuning.limit is not None:
                await self._keep_to(self._tuning.limit)
        return bool(people)

    async def _keep_to(self, limit: Limit) -> None:
        self._pushed, until = push(self._pushed, limit, self._clock.now())
        if until is not None:
            rest = until - self._clock.now()
            self._say(f"messages exceeded ({limit.rate}) for the window ({limit.duration_s:g}s). Sleeping for {rest:.0f}s.")
            await self._clock.sleep_until(until)

    async def _work(self) -> None:
        me = asyncio.current_task()
        assert me is not None
        done = 0
        while not self._closing.is_set():
            pipe, person = await self._queue.get()
            if not pipe.stopped:
                if done >= self._tuning.message_rate:
                    await self._clock.sleep(_WORKER_PAUSE_S)
                    done = 0
                done += 1
                self._busy.add(me)
                try:
                    await self._send(pipe, person)
                finally:
                    self._busy.discard(me)
            pipe.release_one()

    async def _send(self, pipe: Pipe, person: Person) -> None:
        if await self._messengers.send(pipe.campaign, person):
            pipe.sent_one(person.id, self._clock.now())
            return
        self._say(f"error sending message in campaign {pipe.campaign.name}: subscriber {person.id}")
        if pipe.failed_one():
            self._say(f"error count exceeded {self._tuning.max_send_errors}. pausing campaign {pipe.campaign.name}")

    def _drained(self, pipe: Pipe) -> None:
        if not self._closing.is_set():
            self._group.create_task(self._clean_up(pipe))

    async def _clean_up(self, pipe: Pipe) -> None:
        campaign = pipe.campaign
        try:
            await self._store.end(campaign.id, pipe.take_sent(), pipe.last_sent, self._clock.wall())
            status = await self._end_status(pipe)
            if status:
                await self._store.set_status(campaign.id, status, self._clock.wall())
                self._say(f"campaign ({campaign.name}) {status}")
            else:
                self._say(f"stop processing campaign ({campaign.name})")
        except DATABASE_ERRORS as error:
            self._say(f"error updating campaign ({campaign.name}): {error}")
        finally:
            del self.pipes[campaign.id]

    async def _end_status(self, pipe: Pipe) -> str:
        if pipe.failed:
            return "paused"
        if pipe.stopped and not self._traits.fast_resume_finishes:
            return ""
        if pipe.campaign.scheduled and self._traits.scheduled_never_finishes:
            return ""
        return "finished" if await self._store.status(pipe.campaign.id) == "running" else ""
