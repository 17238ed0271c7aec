"""From what is and what should be to ordered steps: halt > shrink > lower > release > raise > grow, at most one step up.

Every step states a target; where nothing differs the plan is empty. A release is a step up as well: it opens with the pool and
the window that are there (or lower), and what may be larger follows at the next looks.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pwmtad.model.judgement import Action, ActionKind, Actual, Desired

_ORDER: Final = tuple(ActionKind)
_UP: Final = frozenset({ActionKind.RELEASE, ActionKind.RAISE_WINDOW, ActionKind.GROW_POOL})


def plan(actual: Actual, desired: Desired) -> tuple[Action, ...]:
    """Return the steps that lead one stream from `actual` to `desired`, safest first."""
    steps = sorted(_steps(actual, desired), key=lambda action: _ORDER.index(action.kind))
    first_up = next((number for number, action in enumerate(steps) if action.kind in _UP), len(steps))
    return tuple(steps[: first_up + 1])


def _steps(actual: Actual, desired: Desired) -> Iterable[Action]:
    if actual.sending and not desired.sending:
        yield Action(ActionKind.HALT, desired.stream, "; ".join(desired.reasons))
    # Nothing is made larger while the stream is held, or while growth is frozen.
    may_grow = actual.sending and desired.sending and desired.growth
    yield from _window_steps(actual, desired, may_grow)
    yield from _pool_steps(actual, desired, may_grow)
    if not actual.sending and desired.sending:
        yield Action(ActionKind.RELEASE, desired.stream, "nothing holds the stream any more")


def _window_steps(actual: Actual, desired: Desired, may_grow: bool) -> Iterable[Action]:
    target, current = desired.window_per_hour, actual.window_per_hour
    reason = f"{target} messages an hour"
    if current is None or target < current:
        yield Action(ActionKind.LOWER_WINDOW, desired.stream, reason, window_per_hour=target)
    elif current < target and may_grow:
        yield Action(ActionKind.RAISE_WINDOW, desired.stream, reason, window_per_hour=target)


def _pool_steps(actual: Actual, desired: Desired, may_grow: bool) -> Iterable[Action]:
    if not desired.pool:
        return  # fixed egresses
    kept = tuple(member for member in actual.pool if member in desired.pool)
    if not kept or len(kept) < len(actual.pool):
        # What must not be there leaves first. Where nothing would be left it is a swap, of no more than there were.
        reason = "egresses that must not be used leave the pool" if actual.pool else "the pool is not set"
        pool = kept or desired.pool[: len(actual.pool) or None]
        yield Action(ActionKind.SHRINK_POOL, desired.stream, reason, pool=pool)
    elif len(kept) < len(desired.pool) and may_grow:
        yield Action(ActionKind.GROW_POOL, desired.stream, f"{len(desired.pool)} egresses", pool=desired.pool)
