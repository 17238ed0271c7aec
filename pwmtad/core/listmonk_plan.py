"""What is to become of the send window: is what the process may work with within the ladder, and what should be set instead?"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from msgspec import Struct

from pwmtad.core.listmonk_engine import Belief
from pwmtad.core.listmonk_hand import allowed_per_hour
from pwmtad.core.listmonk_window import (
    FLAG,
    Assignment,
    as_engine,
    assignments,
    is_window,
    limits,
    most_per_hour,
    window_for,
)
from pwmtad.model.listmonk import EngineSettings, ListmonkMemory, SendWindow, Traits, Writing

_PROBE: Final[tuple[Assignment, ...]] = ((FLAG, True),)
"""Nothing differs in what is stored, but a new process is needed: any write brings one, as soon as nothing is in work."""


class Fit(StrEnum):
    """How what may be in force compares with the ladder."""

    UNKNOWN = "unknown"
    """Never read."""
    ABOVE = "above"
    """It may let more out than it should: nothing is sent until it is put right."""
    BELOW = "below"
    """Within the ladder, and not what it should be: may be changed, when that may grow."""
    RIGHT = "right"


class WindowPlan(Struct, frozen=True):
    """What to do about the window."""

    fit: Fit
    why: str = ""
    writing: Writing | None = None
    """What to set; None: nothing, or nothing that can be set."""
    changes: tuple[Assignment, ...] = ()
    let_out: int = 0
    """Messages of one window's burst, of the largest that may be in force."""


def window_plan(belief: Belief, memory: ListmonkMemory, per_hour: int, traits: Traits) -> WindowPlan:
    """Return what to do. `per_hour`: what the ladder allows."""
    stored = belief.stored
    if stored is None or not belief.live:
        return WindowPlan(Fit.UNKNOWN, "its send window was never read")
    known = [engine for engine in belief.live if engine is not None]
    let_out = max(engine.rate for engine in known) + traits.extra
    above = _above(belief.live, per_hour, traits)
    wish = _wish_that_stays(stored, memory)
    if wish is not None and not above:
        return _left(belief, stored, wish, traits, let_out)
    window = window_for(allowed_per_hour(memory, per_hour), traits.extra)
    if window is None:
        return WindowPlan(Fit.ABOVE, f"no send window is small enough for {per_hour} an hour", let_out=let_out)
    batch = _batch(stored, window.rate, traits)
    wanted = as_engine(window, batch)
    if all(_is(engine, wanted, window) for engine in (*belief.live, stored)):
        return WindowPlan(Fit.RIGHT, let_out=let_out)
    writing = Writing(stored, window, batch, allowed_per_hour(memory, per_hour))
    if memory.writing is not None and memory.writing.window == window:
        writing = memory.writing
    changes = assignments(stored, window, batch) or _PROBE
    return WindowPlan(Fit.ABOVE if above else Fit.BELOW, above, writing, changes, let_out)


def _above(live: frozenset[EngineSettings | None], per_hour: int, traits: Traits) -> str:
    """Say why more may leave than should; '' if it can't."""
    for engine in live:
        if engine is None:
            return "it has settings that its process does not work with yet, and nobody knows with which it does"
        if not limits(engine):
            return "its send window limits nothing"
        most = most_per_hour(engine, traits.extra)
        if most > per_hour:
            return f"its send window lets up to {most:.0f} out within an hour ({engine.rate} each {engine.duration})"
    return ""


def _wish_that_stays(stored: EngineSettings, memory: ListmonkMemory) -> int | None:
    """Return what a person's smaller window, which is stored as it was set, means in an hour; None if there is none."""
    hand = memory.hand
    if hand is None:
        return None
    found = (stored.limited, stored.rate, stored.duration_s)
    return hand.per_hour if found == (hand.engine.limited, hand.engine.rate, hand.engine.duration_s) else None


def _left(belief: Belief, stored: EngineSettings, wish: int, traits: Traits, let_out: int) -> WindowPlan:
    """A person's window is left as it is; only its batch is made no larger than its rate, or a pause would drain for days."""
    batch = _batch(stored, stored.rate, traits)
    if all(engine is not None and engine.batch_size == batch for engine in (*belief.live, stored)):
        return WindowPlan(Fit.RIGHT, let_out=let_out)
    try:
        window = SendWindow(stored.rate, int(stored.duration_s))
    except ValueError:  # a rate of 1, or a window of days
        return WindowPlan(Fit.RIGHT, let_out=let_out)
    if window.duration_s != stored.duration_s:
        return WindowPlan(Fit.RIGHT, let_out=let_out)
    writing = Writing(stored, window, batch, wish)
    return WindowPlan(Fit.BELOW, "", writing, assignments(stored, window, batch) or _PROBE, let_out)


def _batch(stored: EngineSettings, rate: int, traits: Traits) -> int:
    """Return the batch size to set. A batch that is no larger than the window's rate drains within one window."""
    most = max(rate, traits.least_batch)
    return stored.batch_size if 1 <= stored.batch_size <= most else most


def _is(engine: EngineSettings | None, wanted: EngineSettings, window: SendWindow) -> bool:
    return engine is not None and is_window(engine, window) and engine.batch_size == wanted.batch_size
