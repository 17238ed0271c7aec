"""Keeps the queue: puts a backlog on hold before it fills the active queue, and lets it go as the window has room.

Looks at the sizes of the queue's directories, which is cheap, and lists messages only when something waits or is on hold.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import Final, Protocol

import structlog
from msgspec.structs import replace

from pwmtad.config import Settings
from pwmtad.core.backlog import Flow, Lifetimes, Moves, by_stream, moves, parked, put_off, waiting
from pwmtad.core.guard import Guard
from pwmtad.core.steps import held_by
from pwmtad.daemon.act import Act, PostfixActor
from pwmtad.model.acting import StreamActing
from pwmtad.model.judgement import Desired, Record, RecordKind
from pwmtad.model.names import Instant, StreamName
from pwmtad.model.state import QueueState
from pwmtad.model.target import QueueEntry

_INTERVAL_S: Final = 5.0
"""Between two looks. A Postfix at full speed takes some 300 messages a second, so a blast brings 1,500 meanwhile: less than a
tenth of the active queue. Own choice."""
_LISTING_SHARE: Final = 10.0
"""Listing a queue reads every file of it: it may take a tenth of the time at most. Own choice."""
_FEW: Final = 20
"""A queue below this needs no listing: it is the daily business of retries."""
_LIST_S: Final = 600.0
"""A queue that is not empty is listed at least so often: a single parked message would expire otherwise. Own choice."""
_RULE: Final = "backlog"
_log = structlog.get_logger()


class QueueSizes(Protocol):
    """Counts queue files by directory."""

    async def queue(self) -> QueueState:
        """Return the sizes; failures are in the value."""
        ...


class QueueKeeper:
    """One look at a time."""

    def __init__(
        self,
        *,
        act: Act,
        actor: PostfixActor,
        sizes: QueueSizes,
        guard: Guard,
        stream_of: Callable[[str], str | None],
        clock: Callable[[], Instant],
        monotonic: Callable[[], float],
    ) -> None:
        """`stream_of`: the stream whose injector submitted a message, by queue id; '' nobody's, None not known."""
        self._act = act
        self._actor = actor
        self._sizes = sizes
        self._guard = guard
        self._stream_of = stream_of
        self._clock = clock
        self._monotonic = monotonic
        self._lifetimes = Lifetimes()
        self._looked = False
        self._list_due = 0.0
        self._listed_at = 0.0
        self._problem: str | None = None
        self._held_by_us = True
        """Until the first listing nobody knows."""
        self._put_off: frozenset[str] = frozenset()
        """Messages that wait for a site and not for us, by queue id, as of the last listing."""
        self._oldest_held_at: Instant | None = None
        """Arrival of the oldest message on hold that will come back, as of the last listing; None: there is none."""
        self._was_held: set[str] = set(act.settings.streams)
        """Streams that Postfix held, and whose mail was not made due since; at a start, any may be one."""

    async def run(self) -> None:
        """Look after look until cancelled."""
        while True:
            await self.step()
            await asyncio.sleep(_INTERVAL_S)

    async def step(self) -> None:
        """One look: sizes, perhaps a listing, perhaps moves."""
        act = self._act
        if not act.enforcing or act.actual is None:
            return
        now = self._clock()
        if not self._looked and act.actual.keeps_queued:
            self._lifetimes.found_raised(now)
        self._looked = True
        self._was_held |= {name for name in self._settings.streams if self._held_in_postfix(name)}
        desired = {one.stream: one for one in self._guard.desired(now)}
        held = not all(one.sending for one in desired.values())
        oldest_at: Instant | None = None  # not listed: not known
        if self._needs_listing(await self._sizes.queue(), held=held):
            oldest_at = await self._list(desired, now)
        act.keep_queued = self._lifetimes.look(held=held, oldest_at=oldest_at, now=now, oldest_held_at=self._oldest_held_at)

    def _needs_listing(self, sizes: QueueState, *, held: bool) -> bool:
        if self._monotonic() < self._list_due:
            return False
        counts = [sizes.incoming, sizes.active, sizes.deferred]
        if None in counts:
            return True
        queued = sum(count or 0 for count in counts)
        long_ago = bool(queued) and self._monotonic() - self._listed_at >= _LIST_S
        waits = self._act.actual is not None and self._act.actual.keeps_queued
        return queued >= _FEW or long_ago or held or waits or self._held_by_us

    async def _list(self, desired: Mapping[str, Desired], now: Instant) -> Instant | None:
        """List the queue, move what must be moved; return the oldest arrival (`inf`: nothing), None if it can't be listed."""
        listing = await self._actor.queue()
        self._listed_at = self._monotonic()
        self._list_due = self._listed_at + listing.took_s * _LISTING_SHARE
        if listing.problem is not None:
            self._tell(listing.problem)
            return None
        self._held_by_us = bool(listing.ours)
        excluded = self._act.excluded
        out = {entry.queue_id for entry in parked(listing.entries, excluded)}
        mine = by_stream(listing, self._owner)
        self._put_off = put_off(listing.entries, self._put_off)
        returning: list[Instant] = []
        problem: str | None = None
        for name, one in desired.items():
            queued, held = mine.get(name, ([], []))
            kept_out = [entry for entry in (*queued, *held) if entry.queue_id in out]
            queued = [entry for entry in queued if entry.queue_id not in out]
            held = [entry for entry in held if entry.queue_id not in out]
            returning += [entry.arrival_at for entry in held]
            flow = self._flow(one)
            moved = moves(flow, queued, held, put_off=self._put_off)
            to_park = tuple(entry.queue_id for entry in kept_out if entry.queue_name == "deferred")
            failed = await self._move(name, replace(moved, hold=(*moved.hold, *to_park)), now)
            if flow.resumed and failed is None:
                self._was_held.discard(name)
            problem = failed or problem
            self._show(name, queued, held, len(kept_out))
        self._tell(problem)
        self._oldest_held_at = min(returning, default=None)
        return _oldest(desired, mine)

    def _flow(self, desired: Desired) -> Flow:
        stream = self._settings.streams[StreamName(desired.stream)]
        leaking = desired.stream in self._guard.leaks.leaking
        return Flow(
            stream=desired.stream,
            sending=desired.sending,
            window_per_hour=desired.window_per_hour,
            hold_all=leaking or not stream.pool,
            resumed=self._has_resumed(desired.stream),
        )

    def _held_in_postfix(self, name: str) -> bool:
        actual = self._act.actual
        return actual is not None and bool(held_by(actual, name, self._settings.streams[StreamName(name)]))

    def _has_resumed(self, name: str) -> bool:
        """Whether a pause is over, in Postfix and not only by decision, and the governor is in force there."""
        actual = self._act.actual
        if name not in self._was_held or actual is None or actual.reload_due or self._held_in_postfix(name):
            return False
        return any(one.stream == name and one.rate_delay_s > 0 for one in self._act.acting.streams)

    @property
    def _settings(self) -> Settings:
        return self._act.settings

    def _owner(self, entry: QueueEntry) -> str | None:
        """The stream whose mail this is. What is nobody's takes the host's default route, which is the pool: a script's blast
        waits like any other; exempt senders and notifications do not.
        """
        name = self._settings.pool_stream
        if name is not None and _is_exempt(entry.sender, self._settings.streams[name].exempt_senders):
            return None
        submitted = self._stream_of(entry.queue_id)
        if submitted:
            return submitted
        return name if entry.sender else None

    async def _move(self, stream: str, moved: Moves, now: Instant) -> str | None:
        problem: str | None = None
        if moved.hold:
            problem = await self._actor.hold(moved.hold)
            self._held_by_us = True
            self._record(stream, f"{len(moved.hold)} messages put on hold", problem, now)
        if moved.release:
            failed = await self._actor.unhold(moved.release)
            self._record(stream, f"{len(moved.release)} messages let go, the oldest first", failed, now)
            problem = failed or problem
        if moved.due:
            # By way of hold: what is let go from there is tried soon. Should this end in between, it comes back like all else.
            failed = await self._actor.hold(moved.due) or await self._actor.unhold(moved.due)
            self._held_by_us = True
            self._record(stream, f"{len(moved.due)} messages that waited for the pause are tried now", failed, now)
            problem = failed or problem
        return problem

    def _record(self, stream: str, text: str, problem: str | None, now: Instant) -> None:
        if problem is None:
            self._guard.record([Record(now, RecordKind.BACKLOG, stream, _RULE, text)])

    def _show(self, stream: str, queued: Sequence[QueueEntry], held: Sequence[QueueEntry], parked_count: int) -> None:
        seen = waiting(queued, held, parked_count)
        shown = {one.stream: one for one in self._act.acting.streams}
        one = shown.get(stream, StreamActing(stream))
        shown[stream] = replace(
            one, queued=seen.queued, held_messages=seen.held, parked_messages=seen.parked, oldest_at=seen.oldest_at
        )
        self._act.acting = replace(self._act.acting, streams=tuple(shown.values()))

    def _tell(self, problem: str | None) -> None:
        if problem is not None and problem != self._problem:  # once, not at every look
            _log.error("queue_not_kept", problem=problem)
        self._problem = problem


def _is_exempt(sender: str, exempt: Sequence[str]) -> bool:
    address = sender.lower()
    return any(address == one.lower() or (one.startswith("@") and address.endswith(one.lower())) for one in exempt)


def _oldest(
    desired: Mapping[str, Desired],
    mine: Mapping[str, tuple[Sequence[QueueEntry], Sequence[QueueEntry]]],
) -> Instant:
    """The oldest arrival of what is the streams' and may still leave; `inf` for none."""
    return min((entry.arrival_at for name in desired for entries in mine.get(name, ((), ())) for entry in entries), default=inf)
