"""The composition root: the one place that names concrete adapters, and the life of the daemon from start to stop."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import structlog
from msgspec import Struct
from msgspec.structs import replace

from pwmtad import __version__
from pwmtad.adapters.addresses import missing_addresses
from pwmtad.adapters.config_files import Loaded
from pwmtad.adapters.helper import HelperClient
from pwmtad.adapters.http_api import HttpApi
from pwmtad.adapters.metrics import Metrics
from pwmtad.adapters.postfix import PostfixReader
from pwmtad.adapters.stamp import read_stamp
from pwmtad.adapters.store import Keep, open_store
from pwmtad.adapters.systemd import Notifier
from pwmtad.config import diff_settings
from pwmtad.core.guard import Guard
from pwmtad.core.observe import Observer
from pwmtad.core.state import About
from pwmtad.core.wiring import parts_of, source_kinds
from pwmtad.daemon.act import Act, PostfixActor
from pwmtad.daemon.app_inputs import Mistakes, excluded_by_any, load_all, log_places, log_sources, policy_of, store_password
from pwmtad.daemon.app_listmonk import Listmonks
from pwmtad.daemon.clock import monotonic, wall_clock
from pwmtad.daemon.control import Control
from pwmtad.daemon.ingest import Ingest
from pwmtad.daemon.look import Look
from pwmtad.daemon.ports import Store
from pwmtad.daemon.queue_keeper import QueueKeeper
from pwmtad.daemon.suppression_control import SuppressionControl
from pwmtad.daemon.tick import Ticker
from pwmtad.model.counters import DAY_S, HOUR_S
from pwmtad.model.errors import PwmtadError
from pwmtad.model.ledger import Ledger
from pwmtad.model.postfix import Clone
from pwmtad.model.state import ReloadState

_LOOK_INTERVAL_S: Final = 60.0
"""How often Postfix's settings, the queue and the stamps are looked at; reading them starts three short processes."""
_STATUS_INTERVAL_S: Final = 5.0
"""How often the sentence in `systemctl status` is renewed."""
_HISTORY_S: Final = 2 * DAY_S
"""What is read from the store at start, at least: the 24 hours and the running UTC day before the newest line, which is as old
as the absence was."""
_SHORT_HISTORY_S: Final = DAY_S + HOUR_S
"""The same after an absence of less than an hour: on a busy host half of the rows, and half of the start."""
_MAX_TICK_AGE_S: Final = 30.0
"""/healthz is bad, and systemd's watchdog about to bite, when no tick has finished for so long."""
_READ_ONCE: Final = ("log", "store", "http", "postfix")
"""Tables that are read at start only. A reload that changes them says so, keeps them as they are, and takes the rest: half of
such a change (no grace time without the source that it was for) would call signed mail unsigned.
"""

_log = structlog.get_logger()


class _Stop(Exception):
    """A signal asked for the end."""


async def run(config_path: str, *, on_state: Callable[[Ticker], Awaitable[None]] | None = None) -> None:
    """Run until SIGTERM or SIGINT. Raises PwmtadError for what a person must put right first.

    `on_state` is run beside the daemon and may show its state (a terminal).
    """
    daemon = Daemon(config_path, load_all(config_path))
    await daemon.run(on_state)


class _Parts(Struct, frozen=True):
    """What runs."""

    store: Store
    observer: Observer
    ingest: Ingest
    ticker: Ticker
    act: Act
    keeper: QueueKeeper
    listmonks: Listmonks


class Daemon:
    """Everything put together. One instance a process."""

    def __init__(self, config_path: str, loaded: Loaded) -> None:
        self._config_path = config_path
        self._loaded = loaded
        self._settings = settings = loaded.settings
        self._notifier = Notifier()
        self._postfix = PostfixReader(settings.postfix.config_directory, settings.postfix.queue_directory)
        self._look = Look(
            postfix=self._postfix,
            read_stamp=read_stamp,
            clock=wall_clock,
        )
        self._clones: Sequence[Clone] | None = None
        """What master.cf said when it was last read."""
        self._hup = asyncio.Event()
        self._term = asyncio.Event()

    async def run(self, on_state: Callable[[Ticker], Awaitable[None]] | None) -> None:
        """Start all parts, run them, stop them in the order that loses nothing."""
        settings = self._settings
        started_at = wall_clock()
        self._handle_signals()
        store = open_store(
            settings.store.url,
            host=socket.gethostname(),
            password=store_password(settings.store.password_file),
            keep=Keep(minutes_s=settings.store.keep_minutes_h * HOUR_S, hours_s=settings.store.keep_hours_d * DAY_S),
        )
        await store.open()
        try:
            observed, self._clones = await self._look.take(settings)
            ledger = await _load(store, started_at, settings.dkim.lookback_s)
            guard = Guard(policy_of(self._loaded, observed.milter_accepts), ledger.judgement)
            guard.found_pool(observed.pool)  # before the first tick, which would take the whole ladder for an empty memory
            observer = self._observer(ledger, guard, started_at)
            del ledger  # as much memory as all minutes of two days; this function does not end before the daemon does
            ingest = self._ingest(store, observer)
            ticker = Ticker(
                settings=settings,
                observer=observer,
                reload=ReloadState(self._config_path, started_at, 0, 0, None),
                about=About(__version__, socket.gethostname(), started_at, 0, 0.0, log_places(settings)),
                store_state=ingest.store_state,
                clock=wall_clock,
                monotonic=monotonic,
            )
            ticker.observed = observed
            ingest.on_seen = ticker.wake
            actor = HelperClient(settings.postfix.helper_socket)
            act = self._act(actor, guard, ingest.commit)
            act.latency = observer.latency
            listmonks = Listmonks(
                guard=guard,
                store=store,
                commit=ingest.commit,
                excluded=lambda stream: self._loaded.excluded_domains.get(stream, frozenset()),
                settings=settings,
            )
            _show_acting(ticker, act, listmonks)
            keeper = QueueKeeper(
                act=act,
                actor=actor,
                sizes=self._postfix,
                guard=guard,
                stream_of=observer.correlator.stream_of,
                clock=wall_clock,
                monotonic=monotonic,
            )
            api = HttpApi(
                ticker.snapshot,
                listen=str(settings.http.listen),
                socket=settings.http.socket,
                max_tick_age_s=_MAX_TICK_AGE_S,
                now=wall_clock,
                metrics=Metrics(),
                control=Control(
                    guard=guard,
                    store=store,
                    commit=ingest.commit,
                    wake=ticker.wake,
                    clock=wall_clock,
                    mode=lambda: ticker.settings.mode,
                ),
                suppressions=SuppressionControl(guard=guard, store=store, commit=ingest.commit, clock=wall_clock),
            )
            await api.start()
            _log.info("daemon_started", version=__version__, mode=settings.mode, streams=sorted(settings.streams))
            try:
                await self._run_tasks(_Parts(store, observer, ingest, ticker, act, keeper, listmonks), on_state)
            finally:
                self._notifier.stopping()
                await api.stop()
        finally:
            await store.close()
            _log.info("daemon_stopped")

    async def _run_tasks(self, parts: _Parts, on_state: Callable[[Ticker], Awaitable[None]] | None) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(parts.ingest.run(), name="ingest")
                tasks.create_task(self._tick(parts.ticker), name="tick")
                tasks.create_task(parts.act.run(), name="act")
                tasks.create_task(parts.keeper.run(), name="keeper")
                tasks.create_task(parts.listmonks.run(), name="listmonks")
                tasks.create_task(self._look_again(parts), name="look")
                tasks.create_task(self._roll_up(parts.store), name="roll-up")
                tasks.create_task(self._reload(parts), name="reload")
                tasks.create_task(self._wait_for_end(), name="end")
                if on_state is not None:
                    tasks.create_task(_show(on_state, parts.ticker), name="terminal")
                self._notifier.ready()
        except* _Stop:
            _log.info("stop_requested")

    # -- parts

    def _observer(self, ledger: Ledger, guard: Guard, now: float) -> Observer:
        observer = Observer(
            parts=parts_of(self._settings, self._loaded.rules, self._clones),
            sources=source_kinds(self._settings),
            max_reasons_per_day=self._settings.limits.max_reasons_per_day,
            zone=self._settings.log.zone,
            now=now,
            guard=guard,
        )
        observer.load(ledger, now)
        return observer

    def _ingest(self, store: Store, observer: Observer) -> Ingest:
        return Ingest(
            sources=log_sources(self._settings),
            store=store,
            store_url=str(self._settings.store.url),
            observer=observer,
            clock=wall_clock,
            monotonic=monotonic,
            commit_interval_s=self._settings.store.commit_interval_s,
        )

    def _act(self, actor: PostfixActor, guard: Guard, commit: Callable[[], Awaitable[bool]]) -> Act:
        act = Act(
            actor=actor,
            guard=guard,
            commit=commit,
            missing_addresses=missing_addresses,
            main_cf_stamp=self._postfix.stamp,
            clock=wall_clock,
            monotonic=monotonic,
            settings=self._settings,
        )
        act.excluded = excluded_by_any(self._loaded)
        act.clones = self._clones if self._settings.postfix.read_master_cf else None
        return act

    # -- tasks

    async def _tick(self, ticker: Ticker) -> None:
        status_due = 0.0
        while True:
            ticker.tick()
            self._notifier.watchdog()
            if monotonic() >= status_due:
                self._notifier.status(ticker.summary())
                status_due = monotonic() + _STATUS_INTERVAL_S
            await ticker.pause()

    async def _look_again(self, parts: _Parts) -> None:
        ticker, observer = parts.ticker, parts.observer
        while True:
            await asyncio.sleep(_LOOK_INTERVAL_S)
            ticker.observed, clones = await self._look.take(ticker.settings)
            parts.act.clones = clones
            observer.know_milter(accepts=ticker.observed.milter_accepts)
            if self._learn_clones(clones):
                _log.info("master_cf_changed", egresses=[clone.name for clone in self._clones or ()])
                observer.reconfigure(parts_of(ticker.settings, self._loaded.rules, self._clones))

    def _learn_clones(self, clones: Sequence[Clone] | None) -> bool:
        """Take what master.cf says now; what can't be read changes nothing. Returns whether lines are attributed otherwise."""
        if clones is None or clones == self._clones:
            return False
        self._clones = clones
        return True

    async def _roll_up(self, store: Store) -> None:
        while True:
            try:
                await store.roll_up(wall_clock())
            except PwmtadError as error:
                _log.warning("roll_up_failed", error=str(error))
            await asyncio.sleep(HOUR_S)

    async def _reload(self, parts: _Parts) -> None:
        while True:
            await self._hup.wait()
            self._hup.clear()
            self._notifier.reloading()
            before = parts.ticker.settings
            await self._reload_once(parts.ticker, parts.observer, parts.act)
            if parts.ticker.settings is not before:
                parts.listmonks.reconfigure(parts.ticker.settings)
            self._notifier.ready()

    async def _reload_once(self, ticker: Ticker, observer: Observer, act: Act) -> None:
        """Parse all, validate all, then swap; a bad file changes nothing."""
        now = wall_clock()
        old = ticker.reload
        try:
            loaded = await asyncio.to_thread(load_all, self._config_path)
        except Mistakes as mistakes:
            _log.error("reload_failed", file=self._config_path, errors=mistakes.as_dicts())
            ticker.reload = ReloadState(old.file, old.loaded_at, old.reloads, old.failed_reloads + 1, str(mistakes))
            return
        changes = diff_settings(ticker.settings, loaded.settings)
        kept = {table: getattr(self._settings, table) for table in _READ_ONCE}
        loaded = replace(loaded, settings=loaded.settings.model_copy(update=kept))
        observed, clones = await self._look.take(loaded.settings)
        self._learn_clones(clones)
        self._loaded = loaded
        observer.reconfigure(parts_of(loaded.settings, loaded.rules, self._clones))
        observer.guard.reconfigure(policy_of(loaded, observed.milter_accepts))
        ticker.settings, ticker.observed = loaded.settings, observed
        act.settings, act.excluded = loaded.settings, excluded_by_any(loaded)
        act.wake()
        ticker.reload = ReloadState(old.file, now, old.reloads + 1, old.failed_reloads, None)
        restart = [change for change in changes if change.partition(".")[0] in _READ_ONCE]
        _log.info("configuration_reloaded", file=self._config_path, changes=list(changes), after_restart=restart)

    async def _wait_for_end(self) -> None:
        await self._term.wait()
        raise _Stop

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._term.set)
        loop.add_signal_handler(signal.SIGHUP, self._hup.set)


async def _load(store: Store, now: float, lookback_s: int) -> Ledger:
    """Read what the lookbacks need; they end at the newest line that was counted."""
    ledger = await store.load(now - max(_SHORT_HISTORY_S, lookback_s))
    newest = max((series.newest for series in ledger.attempts), default=0)
    if now - newest < HOUR_S:
        return ledger
    return await store.load(now - max(_HISTORY_S, lookback_s))


def _show_acting(ticker: Ticker, act: Act, listmonks: Listmonks) -> None:
    """Let people see what is done, and whoever acts know at once what was decided."""

    def wake() -> None:
        act.wake()
        listmonks.wake()

    ticker.acting = lambda: listmonks.acting(act.acting)
    ticker.governor_s = lambda: max((one.rate_delay_s for one in act.acting.streams), default=0)
    ticker.acting_findings = lambda: (*act.findings(), *listmonks.findings())
    ticker.on_news = wake


async def _show(on_state: Callable[[Ticker], Awaitable[None]], ticker: Ticker) -> None:
    await on_state(ticker)
