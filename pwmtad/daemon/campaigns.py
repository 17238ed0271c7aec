"""Brings one stream's Listmonk to what it should be: looks, decides the next step, has it carried out, looks again.

Level-triggered, as `act` is: each pass looks at everything, so a click, a restart or a lost answer needs no code of its own.
Never raises for what the outside does. In observe mode it looks once a minute and changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from pwmtad.config import ListmonkSettings, Settings
from pwmtad.core.guard import Guard
from pwmtad.core.listmonk_campaigns import running_of
from pwmtad.core.listmonk_engine import expect_restart, has_sent
from pwmtad.core.listmonk_show import shown
from pwmtad.core.listmonk_step import Pause, Rest, Resume, SetWindow, Step, View, Wait, next_step
from pwmtad.core.listmonk_window import drain_s
from pwmtad.core.listmonk_words import engine_words, listmonk_findings, window_record
from pwmtad.daemon.listmonk_acts import NOT_PAUSED, NOT_RESUMED, NOT_SET, NOT_STORED, ListmonkActs, ListmonkPort
from pwmtad.daemon.listmonk_sight import SETTINGS_RIGHT, ListmonkSight
from pwmtad.daemon.troubles import Troubles
from pwmtad.model.acting import ListmonkActing
from pwmtad.model.judgement import Desired
from pwmtad.model.listmonk import Campaign, ListmonkActual, ListmonkTarget, Outcome
from pwmtad.model.names import Instant, StreamName
from pwmtad.model.state import Finding

_BUSY_S: Final = 1.0
"""Between two passes while something is held or under way: what starts in a halt runs no longer than this."""
_CALM_S: Final = 5.0
"""Between two passes else, and between two looks at the settings in a halt; Listmonk looks for campaigns as often."""
_WATCH_S: Final = 60.0
"""Between two looks in observe mode."""
_STEPS: Final = 4
"""Steps of one pass: pause, look, pause what started meanwhile, set."""
_RETRY_S: Final = (1.0, 2.0, 5.0, 10.0)
"""After requests to pause or resume that failed in a row."""
_REFUSED_S: Final = 300.0
"""What was refused is not asked for in a loop."""
_LOST_S: Final = 2.0
"""After a write whose answer was lost; it is read again first."""
_DRAINING_S: Final = 10.0
"""Between two writes that are answered with 'needs a restart': campaigns are still in work. Each asks whether they are."""
_LONG_DRAINING_S: Final = 900.0
_BETWEEN_CHANGES_S: Final = 60.0
"""Between two restarts, when somebody changes the window again and again; nothing is sent meanwhile."""
_HALVES: Final = 3
"""Restarts in a row that may come between two keys without a pause: there are four."""
_BETWEEN_GROWTHS_S: Final = 900.0
"""Between two restarts that let more out."""
_NOT_DRAINED: Final = "listmonk_not_drained"


class Campaigns:
    """One pass at a time for one instance. Its parts are in `core`; this decides only when."""

    def __init__(
        self,
        *,
        stream: StreamName,
        port: ListmonkPort,
        guard: Guard,
        commit: Callable[[], Awaitable[bool]],
        clock: Callable[[], Instant],
        monotonic: Callable[[], float],
        jitter: Callable[[], float],
        settings: Settings,
    ) -> None:
        self.settings = settings
        self.stream = stream
        self.port = port
        self.troubles = Troubles(stream)
        self._guard = guard
        self._clock = clock
        self._monotonic = monotonic
        self._acts = ListmonkActs(stream=stream, port=port, guard=guard, commit=commit, clock=clock, troubles=self.troubles)
        self.sight = ListmonkSight(
            stream=stream,
            port=port,
            acts=self._acts,
            guard=guard,
            clock=clock,
            monotonic=monotonic,
            jitter=jitter,
            troubles=self.troubles,
        )
        self._wake = asyncio.Event()
        self._step: Step = Rest()
        self._was_sending = True
        self._failed_in_a_row = 0
        self._watch_due = self._whole_due = self._status_due = self._write_due = self._grow_due = 0.0
        self._draining_since: float | None = None
        self._restarts = self._halves = 0
        self._before = ""
        self._changes = 0
        self._changed_at: Instant | None = None

    @property
    def listmonk(self) -> ListmonkSettings:
        """The instance's part of the configuration in force."""
        return self.settings.listmonk_of(self.stream)

    @property
    def enforcing(self) -> bool:
        """Whether anything is carried out."""
        return self.settings.mode == "enforce"

    @property
    def acting(self) -> ListmonkActing:
        """What was done so far, and what is seen."""
        counted = ListmonkActing(
            str(self.stream),
            self.listmonk.url,
            reachable=self.sight.reachable,
            pauses=self._acts.pauses,
            resumes=self._acts.resumes,
            failures=self._acts.failures,
            changes=self._changes,
            drifts=self.sight.drifts,
            last_change_at=self._changed_at,
            problem=next(iter(self.troubles.values()), ""),
        )
        return shown(counted, self.sight.actual, self.sight.belief, self.sight.traits, self._acts.memory, self._step)

    def wake(self) -> None:
        """Something was decided: look at once."""
        self._wake.set()

    def findings(self) -> tuple[Finding, ...]:
        """Return what a person should know."""
        return tuple(listmonk_findings(self.acting, self.troubles, self._acts.memory, self.sight.traits, self.settings.mode))

    def reconfigure(self, settings: Settings) -> None:
        """Take a reloaded configuration; what was refused is asked for anew."""
        self.settings = settings
        self.sight.forget()
        self._watch_due = self._status_due = self._write_due = 0.0
        self.wake()

    async def run(self) -> None:
        """Pass after pass until cancelled; then let go of connections."""
        try:
            while True:
                await self.step()
                self._guard.doubts[self.stream] = self.sight.doubts()
                try:
                    async with asyncio.timeout(self._interval_s()):
                        await self._wake.wait()
                except TimeoutError:
                    pass
                self._wake.clear()
        finally:
            self._guard.doubts.pop(self.stream, None)  # its table is gone or another, or the daemon ends
            await self.port.close()

    async def step(self) -> None:
        """One pass."""
        desired = self._desired()
        if desired is None:
            return
        target = self._target(desired)
        if not self.enforcing:
            await self._watch(target)
            return
        self._notice_turn(target)
        if self._monotonic() < self.sight.retry_due:
            return
        if not target.sending and self.sight.is_own and self._monotonic() < self._whole_due:
            found = await self.sight.campaigns(target)
            if found is None or not await self._pause_first(found, target, desired):
                return
        for _ in range(_STEPS):
            found = await self.sight.look(self.listmonk, target, enforcing=True)
            if found is None:
                self._step = Wait(next(iter(self.troubles.values()), "it can't be looked at"))
                return
            self._whole_due = self._monotonic() + _CALM_S
            self._notice_restart(target)
            self._step = next_step(self._view(found, target))
            if not await self._carry_out(self._step, desired):
                return

    # -- deciding

    def _desired(self) -> Desired | None:
        now = self._clock()
        return next((one for one in self._guard.desired(now) if one.stream == self.stream), None)

    def _target(self, desired: Desired) -> ListmonkTarget:
        return ListmonkTarget(
            sending=desired.sending,
            per_hour=desired.window_per_hour,
            may_grow=desired.growth,
            reasons=desired.reasons,
            room_today=self._guard.room_today(self.stream, self._clock()),
        )

    def _view(self, actual: ListmonkActual, target: ListmonkTarget) -> View:
        return View(
            actual=actual,
            belief=self.sight.belief,
            memory=self._acts.memory,
            target=target,
            at=self._monotonic(),
            write_due=self._write_due,
            grow_due=self._grow_due,
        )

    async def _watch(self, target: ListmonkTarget) -> None:
        """Observe mode: say what would be done."""
        if self._monotonic() < max(self._watch_due, self.sight.retry_due):
            return
        self._watch_due = self._monotonic() + _WATCH_S
        found = await self.sight.look(self.listmonk, target, enforcing=False)
        self._step = Rest() if found is None else next_step(self._view(found, target))

    def _notice_turn(self, target: ListmonkTarget) -> None:
        """A halt that begins is made known at once, whatever failed before; but a token that was refused is not tried again."""
        if self._was_sending and not target.sending:
            self._whole_due = max(self._whole_due, self._monotonic() + _CALM_S) if self.sight.is_own else 0.0
            if "listmonk_forbidden" not in self.troubles:
                self.sight.retry_due = 0.0
            self._status_due = 0.0
        self._was_sending = target.sending

    def _notice_restart(self, target: ListmonkTarget) -> None:
        """A window that was set is in force from the first look at the new process on."""
        belief, memory = self.sight.belief, self._acts.memory
        if belief.restarts == self._restarts:
            return
        self._restarts = belief.restarts
        self._draining_since = None
        self.troubles.over(_NOT_DRAINED)
        self._write_due = self._monotonic() + _BETWEEN_CHANGES_S
        if memory.window is None or memory.writing is not None:
            # The restart came between two keys, or somebody was quicker; that is not gone on with for ever.
            self._halves += 1
            if self._halves <= _HALVES:
                self._write_due = 0.0
            return
        self._halves = 0
        self._grow_due = self._monotonic() + _BETWEEN_GROWTHS_S
        self._changes += 1
        self._changed_at = self._clock()
        per_hour = memory.per_hour or target.per_hour
        self._guard.record([window_record(self.stream, self._before, memory.window, per_hour, self._changed_at)])

    # -- doing

    async def _carry_out(self, step: Step, desired: Desired) -> bool:
        """Return whether to look again at once."""
        match step:
            case Pause(campaigns, why):
                return await self._pause(campaigns, why, desired)
            case Resume(campaigns):
                if self._monotonic() < self._status_due:
                    return False
                return self._asked(await self._acts.resume(campaigns))
            case SetWindow():
                await self._set(step)
                return False
            case Wait():
                return False
            case Rest():
                self._draining_since = None
                self.troubles.over(NOT_PAUSED, NOT_RESUMED, NOT_SET, NOT_STORED, _NOT_DRAINED)
                return False

    async def _pause_first(self, found: ListmonkActual, target: ListmonkTarget, desired: Desired) -> bool:
        """In a halt: pause what runs before anything else is looked at. Return whether to go on."""
        running = running_of(found)
        if not running:
            return False
        return await self._pause(running, "; ".join(target.reasons) or "the stream is held", desired)

    async def _pause(self, campaigns: tuple[Campaign, ...], why: str, desired: Desired) -> bool:
        if self._monotonic() < self._status_due:
            return False
        live = self.sight.belief.live or {None}
        drain = max(drain_s(engine) for engine in live)
        belief, traits = self.sight.belief, self.sight.traits
        spoils = traits is not None and traits.first_counts
        early = {one.id for one in campaigns if spoils and not has_sent(belief, one.id, one.sent)}
        halt_id = "" if desired.sending else desired.held_by
        return self._asked(await self._acts.pause(campaigns, why, halt_id=halt_id, drain=drain, early=early))

    def _asked(self, worst: Outcome) -> bool:
        """Requests to pause or resume were made. Return whether to look at once at what came of them."""
        if worst is Outcome.DONE:
            self._failed_in_a_row = 0
            return True
        wait_s = _REFUSED_S if worst is Outcome.FORBIDDEN else _RETRY_S[min(self._failed_in_a_row, len(_RETRY_S) - 1)]
        self._failed_in_a_row += 1
        self._status_due = self._monotonic() + wait_s
        if worst is Outcome.FORBIDDEN:
            self.sight.forget_rights()
        return worst is Outcome.UNSURE

    async def _set(self, step: SetWindow) -> None:
        traits = self.sight.traits
        if traits is None:
            return
        if SETTINGS_RIGHT in self.sight.missing:
            self._acts.failed(NOT_SET, f"can't set the send window: its API user lacks {SETTINGS_RIGHT}")
            self._write_due = self._monotonic() + _DRAINING_S
            return
        stored = self.sight.belief.stored
        self._before = engine_words(stored) if stored is not None else ""
        changed = await self._acts.write(step, traits)
        now = self._monotonic()
        if changed.needs_restart is False:
            self.sight.belief = expect_restart(self.sight.belief, now)
        waits = {
            Outcome.DONE: _DRAINING_S,
            Outcome.NOT_SENT: _LOST_S,
            Outcome.UNSURE: _LOST_S,
            Outcome.REFUSED: _REFUSED_S,
            Outcome.FORBIDDEN: _REFUSED_S,
        }
        self._write_due = now + waits[changed.outcome]
        self._watch_draining(changed.needs_restart, now)

    def _watch_draining(self, needs_restart: bool | None, now: float) -> None:
        if not needs_restart:
            return
        self._draining_since = now if self._draining_since is None else self._draining_since
        if now - self._draining_since >= _LONG_DRAINING_S:
            text = (
                "Listmonk still works through what it had fetched of paused campaigns, so the new send window is not in force; "
                "restarting it by hand would skip the recipients of that batch"
            )
            self.troubles.tell(_NOT_DRAINED, text)

    def _interval_s(self) -> float:
        if not self.enforcing:
            return _CALM_S
        busy = not self._was_sending or self.sight.belief.restart is not None or not isinstance(self._step, Rest)
        return _BUSY_S if busy else _CALM_S
