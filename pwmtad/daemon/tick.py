"""The tick: look at all counters, say what they mean, serve the result. Short enough to read at a glance.

Level-triggered: what was seen may wake a tick early, but a tick looks at the whole state every time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

import structlog
from msgspec.structs import replace

from pwmtad.config import Settings
from pwmtad.core.histogram import Histogram
from pwmtad.core.observe import Observer
from pwmtad.core.state import About, Inputs, build_state, build_summary
from pwmtad.core.unknown import CLOCK_JUMP_S, Moments, unknown_codes
from pwmtad.model.acting import Acting
from pwmtad.model.judgement import RecordKind
from pwmtad.model.names import Instant
from pwmtad.model.observed import Observed
from pwmtad.model.state import Finding, ReloadState, Snapshot, State, StoreState, Totals

TICK_INTERVAL_S: Final = 1.0
"""Own choice: lookbacks are exact to the minute and evidence wakes a tick at once, so more often brings nothing."""

_INTERVAL_BOUNDS_S: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.5, 5.0, 10.0, 30.0)
"""Own choice: a tick comes each second at least; half a minute without one is the end (systemd's watchdog)."""
_HOLDS: Final = frozenset({RecordKind.HALT, RecordKind.CAP})
"""Decisions that must reach Postfix at once."""
_LOUD: Final = frozenset(
    {
        RecordKind.HALT,
        RecordKind.CAP,
        RecordKind.UNKNOWN,
        RecordKind.ALERT,
        RecordKind.FREEZE,
        RecordKind.ADOPT,
        RecordKind.ACTION_FAILED,
        RecordKind.DRIFT,
        RecordKind.EGRESS_OUT,
    }
)
_log = structlog.get_logger()


class Ticker:
    """Runs ticks and hands out snapshots. Holds what a reload replaces."""

    def __init__(
        self,
        *,
        settings: Settings,
        observer: Observer,
        reload: ReloadState,
        about: About,
        store_state: Callable[[], StoreState],
        clock: Callable[[], Instant],
        monotonic: Callable[[], float],
    ) -> None:
        self.settings = settings
        self.observed = Observed()
        self.acting: Callable[[], Acting] = Acting
        """What was done to the host so far."""
        self.governor_s: Callable[[], float] = _nothing_held
        """The longest delay between two mails of an egress; asked at every tick."""
        self.acting_findings: Callable[[], tuple[Finding, ...]] = tuple
        self.on_news: Callable[[], None] = _nothing
        """Called when something was decided."""
        self.reload = reload
        self._observer = observer
        self._about = about
        self._store_state = store_state
        self._clock = clock
        self._monotonic = monotonic
        self._ticks = 0
        self._last_tick_s = 0.0
        self._ticked_at: Instant = about.started_at
        self._durations: deque[float] = deque(maxlen=4096)
        self._intervals = Histogram(_INTERVAL_BOUNDS_S)
        self._last_look: tuple[Instant, float] | None = None
        self._jumped_at: Instant | None = None
        self._wake = asyncio.Event()
        self._snapshot: tuple[int, State] | None = None
        self._decisions: dict[tuple[str, str], int] = {}
        """Records by (stream, kind)."""

    def wake(self) -> None:
        """Lines were counted: look at once."""
        self._wake.set()

    async def pause(self) -> None:
        """Wait for the next tick's time, or for something that was seen."""
        try:
            async with asyncio.timeout(TICK_INTERVAL_S):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()

    def tick(self) -> None:
        """Look at everything once."""
        begun = self._monotonic()
        now = self._clock()
        self._notice_jump(now, begun)
        self._observer.warmup_starts = self.observed.warmup_starts
        self._observer.unknown = unknown_codes(
            sources=self._observer.sources,
            observed=self.observed,
            moments=Moments(
                started_at=self._about.started_at,
                counters_since=self._observer.counters_since,
                suppressed_at=self._observer.suppressed_at,
                clock_jumped_at=self._jumped_at,
                gap_at=self._observer.gap_at,
            ),
            now=now,
            governor_s=self.governor_s(),
        )
        self._observer.look(now)
        self._tell_news(now)
        self._ticks += 1
        self._ticked_at = now
        self._last_tick_s = self._monotonic() - begun
        self._durations.append(self._last_tick_s)
        self._observer.latency.judged(now + self._last_tick_s)

    def _notice_jump(self, now: Instant, monotonic_now: float) -> None:
        if self._last_look is not None:
            self._intervals.add(monotonic_now - self._last_look[1])
            drift = (now - self._last_look[0]) - (monotonic_now - self._last_look[1])
            if abs(drift) > CLOCK_JUMP_S:
                self._jumped_at = now
                _log.warning("clock_jumped", seconds=round(drift))
        self._last_look = (now, monotonic_now)

    def _tell_news(self, now: Instant) -> None:
        """Log each decision once, in the words that `explain` uses."""
        news = self._observer.guard.take_news()
        if news:
            self.on_news()
        for record in news:
            key = (record.stream, record.kind.value)
            self._decisions[key] = self._decisions.get(key, 0) + 1
            if record.kind in _HOLDS:
                self._observer.latency.decided(record.at, now)
            level = _log.warning if record.kind in _LOUD else _log.info
            level(
                f"{record.kind.value}_decided",
                stream=record.stream,
                rule=record.rule,
                reason=record.reason,
                before=record.before or None,
                after=record.after or None,
                halt=record.halt_id or None,
                mode=self.settings.mode,
                evidence=[line.text for line in record.evidence[-3:]],
            )

    def state(self) -> State:
        """Return the state as of the last tick; built when somebody asks, and once per tick."""
        if self._snapshot is None or self._snapshot[0] != self._ticks:
            state = build_state(self._inputs())
            self._snapshot = (self._ticks, state)
        return self._snapshot[1]

    def summary(self) -> str:
        """Return the state's sentence as of the last tick, without what else a state has: it is said every few seconds."""
        return build_summary(self._inputs())

    def _inputs(self) -> Inputs:
        return Inputs(
            about=replace(self._about, ticks=self._ticks, tick_s=self._last_tick_s),
            settings=self.settings,
            observer=self._observer,
            observed=self.observed,
            store=self._store_state(),
            reload=self.reload,
            acting=self.acting(),
            acting_findings=self.acting_findings(),
            now=self._ticked_at,  # not the moment of asking: /healthz must see that ticks have stopped
        )

    def snapshot(self) -> Snapshot:
        """Return what the faces serve now."""
        state = self.state()
        not_ready = tuple(_not_ready(state))
        durations = tuple(self._durations)
        self._durations.clear()
        return Snapshot(
            state=state,
            totals=Totals(
                attempts=self._observer.tally.attempt_totals(),
                messages=self._observer.tally.message_totals(),
                lines=dict(self._observer.tally.line_totals()),
                decisions=dict(self._decisions),
            ),
            ready=not not_ready,
            not_ready=not_ready,
            tick_durations=durations,
            tick_intervals=self._intervals.reading(),
            latencies=self._observer.latency.readings(),
        )


def _nothing() -> None:
    return


def _nothing_held() -> float:
    return 0.0


def _not_ready(state: State) -> list[str]:
    """Why the counters are not the truth now."""
    reasons = [f"{source.name}: {source.error}" for source in state.sources if source.error is not None]
    reasons += [
        f"{source.name}: still reading" + ("" if source.progress is None else f", {source.progress:.0%} done")
        for source in state.sources
        if not source.caught_up and source.error is None
    ]
    if state.store.error is not None:
        reasons.append(f"store: {state.store.error}")
    return reasons
