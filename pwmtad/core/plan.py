"""From what is and what should be to ordered steps: halt > shrink > lower > release > raise > grow, at most one step up.

Every step states a target; where nothing differs the plan is empty.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pwmtad.model.judgement import Action, ActionKind, Actual, Desired

_ORDER: Final = tuple(ActionKind)
_UP: Final = frozenset({ActionKind.RAISE_WINDOW, ActionKind.GROW_POOL})


def plan(actual: Actual, desired: Desired) -> tuple[Action, ...]:
    """Return the steps that lead one stream from `actual` to `desired`, safest first."""
    steps = sorted(_steps(actual, desired), key=lambda action: _ORDER.index(action.kind))
    chosen: list[Action] = []
    for action in steps:
        if action.kind in _UP and any(earlier.kind in _UP for earlier in chosen):
            continue  # the other one follows at the next look
        chosen.append(action)
    return tuple(chosen)


def _steps(actual: Actual, desired: Desired) -> Iterable[Action]:
    name, reasons = desired.stream, "; ".join(desired.reasons)
    if actual.sending and not desired.sending:
        yield Action(ActionKind.HALT, name, reasons)
    yield from _window_steps(actual, desired)
    yield from _pool_steps(actual, desired)
    if not actual.sending and desired.sending:
        yield Action(ActionKind.RELEASE, name, "nothing holds the stream any more")


def _window_steps(actual: Actual, desired: Desired) -> Iterable[Action]:
    target, current = desired.window_per_hour, actual.window_per_hour
    if current == target:
        return
    if current is None or target < current:
        yield Action(ActionKind.LOWER_WINDOW, desired.stream, f"{target} messages an hour", window_per_hour=target)
    elif desired.sending:  # while halted nothing is raised
        yield Action(ActionKind.RAISE_WINDOW, desired.stream, f"{target} messages an hour", window_per_hour=target)


def _pool_steps(actual: Actual, desired: Desired) -> Iterable[Action]:
    if not desired.pool or set(actual.pool) == set(desired.pool):
        return
    kept = tuple(member for member in actual.pool if member in desired.pool)
    if len(kept) < len(actual.pool):
        # What must not be there goes first; if nothing would be left, the swap is one step.
        pool = kept or desired.pool
        yield Action(ActionKind.SHRINK_POOL, desired.stream, "egresses that must not be used leave", pool=pool)
    if set(desired.pool) - set(actual.pool) and kept and desired.sending:
        yield Action(ActionKind.GROW_POOL, desired.stream, f"{len(desired.pool)} egresses", pool=desired.pool)
    elif not actual.pool:
        yield Action(ActionKind.SHRINK_POOL, desired.stream, "the pool was empty or not set", pool=desired.pool)
