"""What the running process may work with. Nobody tells: GET shows what is stored, and a process reads that once, at its start.

So this keeps every set of settings that may be in force, until a new process is known to have begun: the restart that
followed our own change, or `needs_restart` that was there and is gone. Pure; `at` is monotonic.
"""

from __future__ import annotations

import math
from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace

from pwmtad.core.listmonk_campaigns import running_of
from pwmtad.model.listmonk import EngineSettings, ListmonkActual

OLD_ANSWERS_S: Final = 1.0
"""So long after a change the old process still answers (it ends half a second after its answer)."""
GONE_AFTER_S: Final = 5.0
"""After that it is gone, also when no poll met a closed port: half a second, and 3 s at most to end (facts, section 2)."""
GOOD_LOOKS: Final = 2
SETTLE_S: Final = 6.0
"""After the first look: a change that another run of pwmtad made just before its end has been taken up by then."""
WATCHED_S: Final = 30.0
"""Looks that follow each other so soon miss nobody who resumes and pauses again."""
MAX_KEPT: Final = 20


class Restart(Struct, frozen=True):
    """A new process is awaited."""

    since: float
    seen_down: bool = False
    good: int = 0
    """Looks that went well since."""


class Belief(Struct, frozen=True):
    """What is believed of the running process; empty at the start of the daemon."""

    first_at: float | None = None
    last_at: float | None = None
    """When it was looked at last; None: the last look failed."""
    looks: int = 0
    stored: EngineSettings | None = None
    """As last read; None: never."""
    live: frozenset[EngineSettings | None] = frozenset()
    """What it may work with. None among them: anything. Empty: never looked."""
    needs_restart: bool = False
    restart: Restart | None = None
    restarts: int = 0
    """Restarts after changes of ours that were seen to be over."""
    began: dict[int, int] = field(default_factory=dict)
    """By running campaign: `sent` when it was first seen running."""
    waiting: dict[int, float] = field(default_factory=dict)
    """By campaign that does not run: since when; long ago if a new process has begun since."""


def see(belief: Belief, actual: ListmonkActual, at: float) -> Belief:
    """Take a look that went well."""
    belief = replace(
        belief,
        first_at=at if belief.first_at is None else belief.first_at,
        last_at=at,
        looks=belief.looks + 1,
        began=_began(belief, actual),
        waiting=_waiting(belief, actual, at),
    )
    engine = actual.engine
    if engine is None:
        return belief
    live = belief.live
    if not live:
        live = frozenset({engine, None}) if actual.needs_restart else frozenset({engine})
    elif belief.needs_restart and not actual.needs_restart:
        live = frozenset({engine})
    elif engine not in live:
        live = live | {engine} if len(live) < MAX_KEPT else frozenset({engine, None})
    belief = replace(belief, stored=engine, live=live, needs_restart=actual.needs_restart)
    return _await(belief, engine, at) if belief.restart is not None else belief


def _await(belief: Belief, engine: EngineSettings, at: float) -> Belief:
    restart = belief.restart
    if restart is None or at - restart.since < OLD_ANSWERS_S:
        return belief
    if not restart.seen_down and at - restart.since < GONE_AFTER_S:
        return belief
    if belief.needs_restart:
        return replace(belief, restart=None)  # stored after all while campaigns were in work: it has not restarted
    if restart.good + 1 < GOOD_LOOKS:
        return replace(belief, restart=replace(restart, good=restart.good + 1))
    return replace(
        belief,
        live=frozenset({engine}),
        restart=None,
        restarts=belief.restarts + 1,
        # Nothing was in work, else there had been no restart; what was paused since drains in the new process.
        waiting={number: -math.inf if since <= restart.since else since for number, since in belief.waiting.items()},
    )


def miss(belief: Belief) -> Belief:
    """Take a look that failed. While Listmonk restarts for us, nobody else can click in it either."""
    if belief.restart is None:
        return replace(belief, last_at=None)
    return replace(belief, restart=replace(belief.restart, seen_down=True, good=0))


def expect_restart(belief: Belief, at: float) -> Belief:
    """A change was answered with a restart."""
    return replace(belief, restart=Restart(at))


def is_watched(belief: Belief, at: float) -> bool:
    """Tell whether the last look was a short time ago."""
    return belief.last_at is not None and at - belief.last_at <= WATCHED_S


def is_settled(belief: Belief, at: float) -> bool:
    """Tell whether enough was seen for anything that makes more."""
    return belief.first_at is not None and belief.looks >= GOOD_LOOKS and at - belief.first_at >= SETTLE_S


def has_sent(belief: Belief, campaign: int, sent: int) -> bool:
    """Tell whether a running campaign has sent anything since it was first seen running."""
    return sent > belief.began.get(campaign, sent)


def _began(belief: Belief, actual: ListmonkActual) -> dict[int, int]:
    return {one.id: belief.began.get(one.id, one.sent) for one in running_of(actual)}


def _waiting(belief: Belief, actual: ListmonkActual, at: float) -> dict[int, float]:
    running = {one.id for one in running_of(actual)}
    return {one.id: belief.waiting.get(one.id, at) for one in actual.campaigns if one.id not in running}
