"""What to do with an instance next: one step at a time, safest first, from what is seen, believed, remembered and wanted.

Pause what runs while it must not -> wait until the process has let go of it -> set, what is smaller first -> wait for the new
process -> read back -> resume only what is ours. Nothing is ever made more from ignorance. Level-triggered: the step is asked
for anew at every look, so somebody's click in between needs no code of its own.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from msgspec import Struct

from pwmtad.core.listmonk_campaigns import ours, running_of
from pwmtad.core.listmonk_engine import Belief, has_sent, is_settled
from pwmtad.core.listmonk_plan import Fit, WindowPlan, window_plan
from pwmtad.core.listmonk_window import Assignment
from pwmtad.model.listmonk import (
    Campaign,
    ListmonkActual,
    ListmonkMemory,
    ListmonkTarget,
    PausedCampaign,
    Traits,
    Writing,
)

UNREAD_S: Final = 30.0
"""So long a window that could not be read yet is borne; then nothing is sent until it was."""


class View(Struct, frozen=True):
    """Everything that a step is decided from."""

    actual: ListmonkActual
    belief: Belief
    memory: ListmonkMemory
    target: ListmonkTarget
    at: float
    """Monotonic."""
    write_due: float = 0.0
    """When the settings may be written again; monotonic."""
    grow_due: float = 0.0
    """When they may be written again to let more out."""


class Pause(Struct, frozen=True):
    """Pause these, at once."""

    campaigns: tuple[Campaign, ...]
    why: str


class SetWindow(Struct, frozen=True):
    """Write the settings: no campaign runs."""

    writing: Writing
    changes: tuple[Assignment, ...]
    grows: bool
    why: str


class Resume(Struct, frozen=True):
    """Resume these: they are ours and still paused."""

    campaigns: tuple[PausedCampaign, ...]


class Wait(Struct, frozen=True):
    """Something is under way, or can't be done now."""

    why: str


class Rest(Struct, frozen=True):
    """All is as it should be."""


Step: TypeAlias = Pause | SetWindow | Resume | Wait | Rest


def next_step(view: View) -> Step:
    """Return what to do next."""
    traits = view.actual.traits
    running = running_of(view.actual)
    if traits is None or not traits.supported:
        return _unread(view, running)
    plan = window_plan(view.belief, view.memory, view.target.per_hour, traits)
    holds = _holds(view, plan)
    if holds and running:
        return Pause(running, holds)
    if view.belief.restart is not None:
        return Wait("Listmonk restarts")
    change = _change(view, plan, running, traits)
    if change is not None:
        return change
    return Wait(holds) if holds else _resume(view)


def _unread(view: View, running: tuple[Campaign, ...]) -> Step:
    """Neither version nor settings are known, or it is too old: less is always possible, nothing else is."""
    traits = view.actual.traits
    if not view.target.sending and running:
        return Pause(running, _reasons(view.target))
    return Wait(view.actual.blind if traits is None else f"{traits.name} is not supported: version 3 and later are")


def _holds(view: View, plan: WindowPlan) -> str:
    """Say why nothing may be sent now; '' if something may."""
    target = view.target
    if not target.sending:
        return _reasons(target)
    if plan.fit is Fit.ABOVE:
        return plan.why
    if plan.fit is Fit.UNKNOWN and view.belief.first_at is not None and view.at - view.belief.first_at >= UNREAD_S:
        return plan.why
    if target.room_today is not None and target.room_today < plan.let_out:
        return f"the day's ceiling leaves room for {target.room_today}, less than one window lets out"
    return ""


def _reasons(target: ListmonkTarget) -> str:
    return "; ".join(target.reasons) or "the stream is held"


def _change(view: View, plan: WindowPlan, running: tuple[Campaign, ...], traits: Traits) -> Step | None:
    """Return the next step towards another window; None if none is wanted now."""
    if plan.writing is None or view.actual.engine is None:
        return None
    if plan.fit is Fit.ABOVE:  # nothing runs
        return SetWindow(plan.writing, plan.changes, False, plan.why) if view.at >= view.write_due else Wait(plan.why)
    if not _may_grow(view):
        return None
    if running:
        silent = [one for one in running if not has_sent(view.belief, one.id, one.sent)]
        if silent and traits.first_counts:
            return None  # pausing it now would make Listmonk skip or repeat recipients
        return Pause(running, f"its send window is set for {plan.writing.per_hour} an hour")
    why = f"the ladder allows {plan.writing.per_hour} an hour"
    return SetWindow(plan.writing, plan.changes, True, why) if view.at >= view.write_due else Wait(why)


def _may_grow(view: View) -> bool:
    target = view.target
    allowed = target.sending and target.may_grow and view.at >= view.grow_due
    return allowed and view.actual.complete and is_settled(view.belief, view.at)


def _resume(view: View) -> Step:
    """Resume what is ours. Whoever can't see everything resumes nothing.

    Nor what has not drained: up to v4.1 it would be marked finished, and its rest lost (#2313). Since then it would go on
    fetching and drop whatever it fetches, at the rate, until its last recipient: it runs for hours, and nothing is sent
    of this or any other campaign (facts of v5 and v6, pipe.go; seen with the stand-in).
    """
    mine = ours(view.memory)
    if not mine:
        return Rest()
    if view.actual.engine is None or not view.actual.complete or view.actual.blind:
        return Wait(view.actual.blind or "the list of campaigns changed while it was read")
    if not is_settled(view.belief, view.at):
        return Wait("it was looked at for too short a time")
    ready = tuple(one for one in mine if view.at - view.belief.waiting.get(one.id, view.at) >= one.drain_s)
    return Resume(ready) if ready else Wait("Listmonk still works through what it had fetched of paused campaigns")
