"""The tick's own time."""

from __future__ import annotations

from pathlib import Path

from pwmtad.daemon.tick import Ticker
from tests.unit.daemon.test_reload import NOW, Running


def test_a_state_is_as_old_as_its_tick_however_late_somebody_asks(tmp_path: Path) -> None:
    # /healthz compares this time with the clock: a state of the moment of asking would hide that ticks have stopped.
    running = Running(tmp_path)
    clock = [NOW]
    ticker = Ticker(
        settings=running.ticker.settings,
        observer=running.observer,
        reload=running.ticker.reload,
        about=running.ticker._about,
        store_state=running.ticker._store_state,
        clock=lambda: clock[0],
        monotonic=lambda: clock[0],
    )
    ticker.tick()
    clock[0] = NOW + 3600
    assert ticker.snapshot().state.at == NOW
    ticker.tick()
    assert (ticker.state().at, ticker.state().ticks) == (NOW + 3600, 2)


def test_before_the_first_tick_the_state_is_as_old_as_the_daemon(tmp_path: Path) -> None:
    assert Running(tmp_path).ticker.state().at == NOW
