"""Brings Postfix to what it should be: looks, plans the next steps, has them carried out, and records what came of it.

Level-triggered: each pass looks at everything, so a missed one, a restart or somebody's edit needs no code of its own. Never
raises for what the outside does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from typing import Final, Protocol

import structlog
from msgspec.structs import replace

from pwmtad.config import Settings
from pwmtad.core.acts import acting_findings, applied_records, egress_findings
from pwmtad.core.egress_health import HEALTHY_S, EgressHealth, Sight
from pwmtad.core.guard import Guard
from pwmtad.core.halts import open_halts
from pwmtad.core.latency import Latency
from pwmtad.core.steps import LESS, Steps, held_by, next_steps, pause_found
from pwmtad.model.acting import Acting, StreamActing
from pwmtad.model.judgement import Scope
from pwmtad.model.names import Instant, StreamName
from pwmtad.model.postfix import Clone
from pwmtad.model.state import Finding
from pwmtad.model.target import Applied, PostfixActual, PostfixTarget, QueueListing

_INTERVAL_S: Final = 1.0
"""Between two passes that nothing wakes; a tick comes as often."""
_LOOK_S: Final = 60.0
"""Postfix's files are read again at least so often; a changed main.cf is noticed by its stamp at once."""
_RETRY_S: Final = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""After failures in a row."""
_HALT_RETRY_S: Final = 5.0
"""The same at most while a stream must not send: mail leaves until the helper is back. Own choice."""
_COMMIT_S: Final = 0.5
"""A halt is stored before it is acted on; a store that is slower than this must not keep mail leaving."""
_log = structlog.get_logger()


class PostfixActor(Protocol):
    """Does what only root may. Failures are in the values, as words."""

    async def look(self) -> PostfixActual:
        """Read what Postfix's files say."""
        ...

    async def apply(self, target: PostfixTarget) -> Applied:
        """Make it so; where nothing differs nothing is written."""
        ...

    async def queue(self) -> QueueListing:
        """List the queue."""
        ...

    async def hold(self, queue_ids: Sequence[str]) -> str | None:
        """Put messages on hold; return what failed."""
        ...

    async def unhold(self, queue_ids: Sequence[str]) -> str | None:
        """Let messages go that `hold` holds; return what failed."""
        ...


class Act:
    """One pass at a time. Its parts are in `core`; this decides only when."""

    def __init__(
        self,
        *,
        actor: PostfixActor,
        guard: Guard,
        commit: Callable[[], Awaitable[bool]],
        missing_addresses: Callable[[Iterable[str]], Collection[str] | None],
        main_cf_stamp: Callable[[], object],
        clock: Callable[[], Instant],
        monotonic: Callable[[], float],
        settings: Settings,
    ) -> None:
        self.settings = settings
        self.excluded: frozenset[str] = frozenset()
        """Recipient domains of all streams that must not be mailed."""
        self.keep_queued: bool | None = None
        """Whether a backlog still needs raised queue lifetimes; set by whoever looks at the queue. None: nobody has yet."""
        self.clones: Sequence[Clone] | None = None
        """The clones as the daemon itself read them: what is looked at while nothing is carried out."""
        self.acting = Acting()
        self.latency = Latency()
        """Told when a hold is carried out; whoever puts the daemon together shares the observer's."""
        self.actual: PostfixActual | None = None
        """As read last; None: not known."""
        self._actor = actor
        self._guard = guard
        self._commit = commit
        self._missing_addresses = missing_addresses
        self._main_cf_stamp = main_cf_stamp
        self._clock = clock
        self._monotonic = monotonic
        self._health = EgressHealth()
        self._broken: dict[str, dict[str, str]] = {}
        """By stream: egresses that can't be used, with what is wrong."""
        self._wake = asyncio.Event()
        self._stamp: object = None
        self._look_due = 0.0
        self._failed_at = float("-inf")
        self._failures_in_row = 0
        self._applied: PostfixTarget | None = None
        self._written_at = float("-inf")
        self._asked_at = float("-inf")
        """When the helper was last told what Postfix should do."""
        self._urgent: dict[object, float] = {}
        """When each urgent reason was last acted on: somebody who undoes a halt every second gets no fight."""
        self._failed_key: object | None = None
        """The urgent reason that was last tried in vain."""

    @property
    def enforcing(self) -> bool:
        """Whether anything is carried out."""
        return self.settings.mode == "enforce" and self.settings.postfix.read_master_cf

    def wake(self) -> None:
        """Something was judged: look at once."""
        self._wake.set()

    def findings(self) -> tuple[Finding, ...]:
        """Return what of acting a person should know."""
        return (*acting_findings(self.acting, self.settings.mode), *egress_findings(self._broken))

    async def run(self) -> None:
        """Pass after pass until cancelled."""
        while True:
            await self.step()
            try:
                async with asyncio.timeout(_INTERVAL_S):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()

    async def step(self) -> None:
        """One pass: look, plan, carry out, record."""
        now = self._clock()
        if not self.enforcing:
            self.latency.nothing_to_issue(now)
            self._forget()
            self._see_egresses(self.clones, now)
            return
        await self._look()
        if self.actual is None:
            return
        self._see_egresses(self.actual.clones, now)
        self._adopt(self.actual, now)
        planned_at = self._clock()
        steps = self._plan(self.actual, planned_at)
        if not steps.urgent:
            self.latency.nothing_to_issue(planned_at)
        if self._is_due(steps):
            await self._carry_out(steps, planned_at)
        self._show(steps)

    # -- looking

    async def _look(self) -> None:
        """Read Postfix's files if they changed, if it was long ago, or if they are not known."""
        stamp = self._main_cf_stamp()
        if self.actual is not None and stamp == self._stamp and self._monotonic() < self._look_due:
            return
        if self.actual is None and self._rests():
            return
        actual = await self._actor.look()
        if actual.problem is not None:
            self.actual = None
            self._failed(actual.problem)
            self.acting = replace(self.acting, reachable=False)
            return
        if self.actual is None:
            # At first, and after a time of blindness, nothing that was believed holds.
            self._applied = None
        elif actual != self.actual:
            self._applied = None
        self.actual = actual
        self._stamp = stamp
        self._look_due = self._monotonic() + _LOOK_S
        self.acting = replace(self.acting, reachable=True)

    def _see_egresses(self, seen: Sequence[Clone] | None, now: Instant) -> None:
        """Find out which egresses can be used, and let failed binds rest whose address is back."""
        if seen is None:
            return
        clones = {clone.name: clone for clone in seen}
        streams = {str(name): stream.usable_egresses for name, stream in self.settings.streams.items()}
        wanted = {egress for egresses in streams.values() for egress in egresses}
        addresses = [
            address
            for name, clone in clones.items()
            if name in wanted
            for address in (clone.bind_address, clone.bind_address6)
            if address
        ]
        sight = Sight(clones, self._missing_addresses(addresses))
        self._guard.record(self._health.look(streams, sight, now))
        self._guard.broken = self._broken = {name: self._health.broken(egresses) for name, egresses in streams.items()}
        for name, judge in self._guard.streams.items():
            for halt in open_halts(judge.halts.values()):
                if halt.scope is Scope.EGRESS and self._health.well_for(halt.subject, now) >= HEALTHY_S:
                    self._guard.healed(name, halt.subject, now - HEALTHY_S, now)

    def _adopt(self, actual: PostfixActual, now: Instant) -> None:
        """What Postfix shows is true, whatever the memory says: an empty one resumes nothing."""
        for name, stream in self.settings.streams.items():
            found = pause_found(actual, name, stream)
            if found:
                self._guard.adopt(name, found, now)
        self._guard.found_pool(actual.pool)

    # -- doing

    def _plan(self, actual: PostfixActual, now: Instant) -> Steps:
        desired = self._guard.desired(now)
        keep = actual.keeps_queued if self.keep_queued is None else self.keep_queued
        return next_steps(actual, desired, self.settings, excluded=self.excluded, keep_queued=keep)

    def _is_due(self, steps: Steps) -> bool:
        """Whether to act now: what makes less at once, the rest some time after the last write; failures ever more rarely."""
        now, interval_s = self._monotonic(), self.settings.postfix.write_interval_s
        key = _urgent_key(steps)
        news = key is not None and now - self._urgent.get(key, float("-inf")) >= interval_s
        # What failed rests before it is tried again; a halt that is new does not wait for the rest of something else.
        if self._rests() and not (news and key != self._failed_key):
            return False
        if steps.target == self._applied:
            # That a stopped Postfix runs again is seen by applying, and by nothing else.
            return self.acting.postfix_running is False and now - self._asked_at >= interval_s
        return news or now - self._written_at >= interval_s

    async def _carry_out(self, steps: Steps, planned_at: Instant) -> None:
        await self._store_first()
        if steps.urgent:
            self.latency.issued(planned_at, self._clock())
        applied = await self._actor.apply(steps.target)
        self._asked_at = self._monotonic()
        self._remember_urgent(_urgent_key(steps), failed=applied.problem is not None)
        now = self._clock()
        self._guard.record(applied_records(applied, steps, now) if self._is_news(applied) else [])
        if applied.changes:
            self._written_at = self._monotonic()
        self._stamp = self._main_cf_stamp()
        if applied.actual.problem is None:
            self.actual = applied.actual
            self._watch_held(applied, now)
        acting, read = self.acting, applied.actual.problem is None
        self.acting = replace(
            acting,
            reachable=read,
            postfix_running=applied.running if read else acting.postfix_running,
            last_write_at=now if applied.changes else acting.last_write_at,
            writes=acting.writes + bool(applied.changes),
            drifts=acting.drifts + bool(applied.drift),
            last_took_s=applied.took_s if applied.changes else acting.last_took_s,
        )
        if applied.problem is not None:
            self._applied = None
            self._failed(applied.problem)
            return
        self._applied = steps.target
        self._failures_in_row = 0
        self.acting = replace(self.acting, problem=None)

    def _remember_urgent(self, key: object | None, *, failed: bool) -> None:
        """What was done needs no doing again for a while; what failed is tried again after a rest, as urgent as before."""
        now, interval_s = self._asked_at, self.settings.postfix.write_interval_s
        self._failed_key = key if failed else None
        self._urgent = {old: at for old, at in self._urgent.items() if now - at < interval_s}
        if key is not None and not failed:
            self._urgent[key] = now

    async def _store_first(self) -> None:
        """A halt is stored before it is acted on, if the store can do it soon."""
        try:
            async with asyncio.timeout(_COMMIT_S):
                await asyncio.shield(self._commit())
        except TimeoutError:
            _log.warning("acting_before_the_store", seconds=_COMMIT_S)

    def _is_news(self, applied: Applied) -> bool:
        return bool(applied.changes or applied.drift) or applied.problem != self.acting.problem

    def _failed(self, problem: str) -> None:
        if problem != self.acting.problem:  # once, not at every try
            _log.error("postfix_not_set", problem=problem)
        self._failed_at = self._monotonic()
        self._failures_in_row += 1
        self.acting = replace(self.acting, problem=problem, failures=self.acting.failures + 1)

    def _rests(self) -> bool:
        """Whether the last failure is too recent to try again."""
        if not self._failures_in_row:
            return False
        rest_s = _RETRY_S[min(self._failures_in_row, len(_RETRY_S)) - 1]
        if not all(one.sending for one in self._guard.desired(self._clock())):
            rest_s = min(rest_s, _HALT_RETRY_S)
        return self._monotonic() < self._failed_at + rest_s

    # -- showing

    def _watch_held(self, applied: Applied, now: Instant) -> None:
        """From now on no delivery of a stream may begin that is held, as read back, by a Postfix that was told."""
        for name, stream in self.settings.streams.items():
            held = "" if applied.actual.reload_due else held_by(applied.actual, name, stream)
            if held:
                self._guard.leaks.hold(name, held, now)
            else:
                self._guard.leaks.let_go(name)

    def _show(self, steps: Steps) -> None:
        actual = self.actual
        if actual is None:
            return
        before = {one.stream: one for one in self.acting.streams}
        shown = []
        configured = [target for target in steps.target.streams if target.stream in self.settings.streams]
        for target in configured:
            one = before.get(target.stream, StreamActing(target.stream))
            delays = [actual.rate_delays.get(egress, 0) for egress in target.pool or target.egresses]
            stream = self.settings.streams[StreamName(target.stream)]
            shown.append(
                replace(
                    one,
                    held_by=held_by(actual, target.stream, stream),
                    rate_delay_s=min(delays, default=0),
                    leaking_at=self._guard.leaks.leaking.get(target.stream),
                )
            )
        self.acting = replace(self.acting, streams=tuple(shown), pool=actual.pool, keeps_queued=actual.keeps_queued)

    def _forget(self) -> None:
        """Observe mode: nothing is carried out, and nothing is believed when that ends."""
        self.actual = None
        self._applied = None
        if self.acting.reachable is not None:
            self.acting = Acting()


def _urgent_key(steps: Steps) -> object | None:
    """Return what makes these steps urgent; the same key again within a minute is somebody's quarrel, not news."""
    if not steps.urgent:
        return None
    less = [action for action in steps.actions if action.kind in LESS]
    waiting = tuple((stream.stream, stream.deferred) for stream in steps.target.streams)
    return tuple((action.kind, action.stream, action.reason) for action in less), waiting
