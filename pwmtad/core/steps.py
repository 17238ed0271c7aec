"""From what Postfix does, what streams should look like and the plan's steps to what Postfix should do next.

The plan allows one step up a look; everything that the plan does not move stays as it is. The governor's pause is the window as
Postfix can hold it, so it moves with the plan's window.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from pwmtad.config import Settings, StreamSettings
from pwmtad.core.egress_health import unfit
from pwmtad.core.governor import allowed_per_hour, rate_delay_s, rotation
from pwmtad.core.halts import no_egress_name
from pwmtad.core.plan import plan
from pwmtad.model.judgement import Action, ActionKind, Actual, Desired
from pwmtad.model.names import StreamName
from pwmtad.model.target import PostfixActual, PostfixTarget, StreamTarget

LESS: Final = frozenset({ActionKind.HALT, ActionKind.SHRINK_POOL, ActionKind.LOWER_WINDOW})
"""What makes less of something."""


class Steps(Struct, frozen=True):
    """What to do next."""

    target: PostfixTarget
    actions: tuple[Action, ...]
    urgent: bool
    """Whether it makes less of something: that does not wait for a minute to pass."""


def next_steps(
    actual: PostfixActual,
    desired: Sequence[Desired],
    settings: Settings,
    *,
    excluded: Collection[str] = (),
    keep_queued: bool = False,
) -> Steps:
    """Return what Postfix should do next; `actual` has no problem. `excluded`: recipient domains; `keep_queued`: nothing may
    expire.
    """
    actions: list[Action] = []
    targets: list[StreamTarget] = []
    for one in desired:
        stream = settings.streams[StreamName(one.stream)]
        now = actual_stream(actual, one, stream)
        # Whoever can't enter is asked for by nobody, unless nobody can.
        taken = plan(now, replace(one, pool=_admitted(one.pool, actual) or one.pool))
        target = _target(actual, one, stream, taken)
        targets.append(target)
        actions += [action for action in taken if _changes(action, now, target)]
    pool_stream = settings.streams.get(settings.pool_stream) if settings.pool_stream is not None else None
    whole = PostfixTarget(
        streams=(*targets, *_left_out(actual, settings)),
        exempt_senders=pool_stream.exempt_senders if pool_stream is not None else (),
        exempt_transport=pool_stream.exempt_transport if pool_stream is not None else "smtp",
        excluded_domains=tuple(sorted(excluded)),
        keep_queued=keep_queued
        or any(one.paused_by for one in targets)
        or bool(actual.paused.keys() - settings.streams.keys()),
    )
    waiting = {egress for one in targets for egress in one.deferred} - set(actual.deferred)
    return Steps(whole, tuple(actions), bool(waiting) or any(action.kind in LESS for action in actions))


def _left_out(actual: PostfixActual, settings: Settings) -> tuple[StreamTarget, ...]:
    """Streams that Postfix holds and that the configuration does not have any more: leaving a stream out is no release.

    They stay as they are until they are in the configuration again, or somebody says `pwmtad restore`.
    """
    names = sorted(actual.paused.keys() - settings.streams.keys())
    known = {clone.name for clone in actual.clones}
    listed = {egress for stream in settings.streams.values() for egress in stream.egresses}
    rest = tuple(one for one in actual.ours if one in known and one not in listed)
    # Whose an egress was is not told; that they are held is what counts.
    return tuple(StreamTarget(name, rest if name == names[0] else (), paused_by=actual.paused[name]) for name in names)


def actual_stream(actual: PostfixActual, desired: Desired, stream: StreamSettings) -> Actual:
    """Return what Postfix shows of one stream, as the plan reads it."""
    return Actual(
        stream=desired.stream,
        # Somebody may have given an egress more weight by naming it twice; it is one egress all the same.
        pool=tuple(dict.fromkeys(actual.pool)) if stream.pool else (),
        window_per_hour=_actual_window(actual, desired, stream),
        sending=not held_by(actual, desired.stream, stream),
    )


def held_by(actual: PostfixActual, name: str, stream: StreamSettings) -> str:
    """Return what holds a stream in Postfix; '' if nothing does.

    Both mechanisms must be there: either alone leaks, so half a pause is none.
    """
    known = {clone.name for clone in actual.clones}
    if any(egress in known and egress not in actual.deferred for egress in stream.egresses):
        return ""
    return actual.paused_by if stream.pool else actual.paused.get(name, "")


def pause_found(actual: PostfixActual, name: str, stream: StreamSettings) -> str:
    """Return what a start must adopt: what a pause was made for, be it only half there; '' if there is no trace of one."""
    return held_by(actual, name, stream) or (actual.paused_by if stream.pool else "") or actual.paused.get(name, "")


def _changes(action: Action, now: Actual, target: StreamTarget) -> bool:
    """Whether a step of the plan comes about: some egresses rest, some can't enter, and without any a stream stays paused."""
    if action.kind in (ActionKind.HALT, ActionKind.RELEASE):
        return now.sending == bool(target.paused_by)
    return action.pool is None or set(target.pool) != set(now.pool)


def _actual_window(actual: PostfixActual, desired: Desired, stream: StreamSettings) -> int | None:
    """What the governor lets out. The pause is in whole seconds, so a window that gives this pause is this window."""
    if not stream.governor:
        return desired.window_per_hour
    known = {clone.name for clone in actual.clones}
    pool = tuple(egress for egress in dict.fromkeys(actual.pool or desired.pool) if egress in known)
    egresses = rotation(pool if stream.pool else _able(actual, desired, stream), desired.window_per_hour)
    delay = min((actual.rate_delays.get(egress, 0) for egress in egresses), default=0)
    wanted = rate_delay_s(len(egresses), desired.window_per_hour)
    if delay == wanted or not egresses:
        return desired.window_per_hour
    return allowed_per_hour(len(egresses), delay) if delay else None


def _target(actual: PostfixActual, desired: Desired, stream: StreamSettings, actions: Sequence[Action]) -> StreamTarget:
    now = actual_stream(actual, desired, stream)
    sending, window, pool = now.sending, now.window_per_hour or desired.window_per_hour, now.pool
    for action in actions:
        sending = (sending and action.kind is not ActionKind.HALT) or action.kind is ActionKind.RELEASE
        window = action.window_per_hour or window
        pool = action.pool or pool
    known = {clone.name for clone in actual.clones}
    able = _admitted(pool, actual) if stream.pool else _able(actual, desired, stream)
    if stream.pool and not able:
        # What is in the pool must not send, and nobody may take its place. Where there is no pool there is nothing to pause.
        sending = sending and not actual.pool and not actual.paused_by
        able = () if sending else now.pool or desired.pool
    using = rotation(able, window)
    rest = () if stream.pool else tuple(egress for egress in able if egress not in using)
    return StreamTarget(
        stream=desired.stream,
        egresses=tuple(egress for egress in stream.egresses if egress in known),
        pool=using if stream.pool else (),
        paused_by="" if sending else _paused_by(held_by(actual, desired.stream, stream), desired),
        deferred=(*(egress for egress in desired.broken_egresses if egress in known), *rest),
        # Counted as `_actual_window` reads it, or the window would drift from look to look.
        rate_delay_s=rate_delay_s(sum(egress in known for egress in using), window) if stream.governor else 0,
    )


def _able(actual: PostfixActual, desired: Desired, stream: StreamSettings) -> tuple[str, ...]:
    """Return what a stream with fixed egresses sends by."""
    known = {clone.name for clone in actual.clones}
    return tuple(one for one in stream.usable_egresses if one in known and one not in desired.broken_egresses)


def _admitted(pool: Sequence[str], actual: PostfixActual) -> tuple[str, ...]:
    """Return those that may be in the pool: who is in it already stays, who enters must be fit."""
    clones = {clone.name: clone for clone in actual.clones}
    return tuple(one for one in pool if one in clones and (one in actual.pool or not unfit(clones[one])))


def _paused_by(present: str, desired: Desired) -> str:
    """A pause keeps its name as long as that halt stands: nothing is written for the sake of a name."""
    stays = present and any(f"({present})" in reason for reason in desired.reasons)
    return present if stays else desired.held_by or no_egress_name(desired.stream)
