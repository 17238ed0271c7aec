"""Whose pause is it? What we paused, what we may resume, and what nobody can tell any more.

Only what Listmonk itself confirmed is ours: it refuses to pause what does not run, so a pause that it granted was not somebody
else's. Whatever is in doubt (an answer that was lost, a campaign that somebody changed while it was ours) is never resumed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from pwmtad.model.listmonk import (
    Campaign,
    CampaignStatus,
    Holding,
    ListmonkActual,
    ListmonkMemory,
    Outcome,
    PausedCampaign,
)
from pwmtad.model.names import Instant

FIRST_LOOK_S: Final = 30.0
"""A pause that is first seen later than this after it was asked for may have been resumed and paused again by a person."""
RESTART_S: Final = 20.0
"""So long before the first look of this run the last good one of the run before may be: a crash takes 5 s (RestartSec=) and a
start, and in a halt there are 5 s between two whole looks. Own choice, below what holds for two looks of one run
(listmonk_engine.WATCHED_S)."""
_SEEN_S: Final = 2.0
"""How often `seen_at` is renewed, and stored."""
MAX_HELD: Final = 2000
"""Campaigns remembered. Own choice: far above what runs at once; the rest stays paused and has to be resumed by a person."""


class Settled(Struct, frozen=True):
    """What a look says of the campaigns that are remembered."""

    memory: ListmonkMemory
    given_up: tuple[PausedCampaign, ...] = ()
    """Not known any more whose pause it is."""


def running_of(actual: ListmonkActual) -> tuple[Campaign, ...]:
    """Return the campaigns that run."""
    return tuple(one for one in actual.campaigns if one.status == CampaignStatus.RUNNING)


def settle(
    memory: ListmonkMemory, actual: ListmonkActual, now: Instant, *, watched: bool = True, is_first: bool = False
) -> Settled:
    """Compare what is remembered with what is seen. A campaign that is not paused any more is nobody's.

    `watched`: the look before this one was seconds ago, so nobody has resumed and paused again meanwhile without being seen.
    `is_first`: it is the first look of this run of pwmtad, which goes by what is stored of the last one before it.
    """
    seen = {one.id: one for one in actual.campaigns}
    kept: list[PausedCampaign] = []
    given_up: list[PausedCampaign] = []
    for held in memory.campaigns:
        campaign = seen.get(held.id)
        if campaign is None:
            kept += [] if actual.complete else [held]
        elif campaign.status == CampaignStatus.PAUSED and campaign.uuid == held.uuid:
            after = _seen_paused(held, campaign, now, watched=watched or (is_first and _was_just_seen(held, now)))
            kept.append(after)
            if after.holding is Holding.UNSURE and held.holding is not Holding.UNSURE:
                given_up.append(after)
    return Settled(_with(memory, kept), tuple(given_up))


def _seen_paused(held: PausedCampaign, campaign: Campaign, now: Instant, *, watched: bool) -> PausedCampaign:
    changed = campaign.updated_at != held.last_at
    match held.holding:
        case Holding.OURS if held.first_at is None:
            if not 0 <= now - held.asked_at <= FIRST_LOOK_S:
                return replace(held, holding=Holding.UNSURE)
            return replace(held, first_at=campaign.updated_at, last_at=campaign.updated_at, seen_at=now)
        case Holding.OURS if changed:
            # Until it has drained Listmonk writes its counts; after that whoever changed it is a person.
            if watched and held.first_at is not None and campaign.updated_at <= held.first_at + held.drain_s:
                return replace(held, last_at=campaign.updated_at, seen_at=now)
            return replace(held, holding=Holding.UNSURE)
        case Holding.OURS if held.seen_at is not None and now - held.asked_at <= held.drain_s + FIRST_LOOK_S:
            return replace(held, seen_at=now) if not 0 <= now - held.seen_at < _SEEN_S else held
        case Holding.RELEASING:
            # The answer was lost. If nothing has touched the campaign since, the request did not arrive.
            return replace(held, holding=Holding.UNSURE if changed else Holding.OURS)
        case Holding.ASKED:
            return replace(held, holding=Holding.UNSURE)
        case _:
            return held


def _was_just_seen(held: PausedCampaign, now: Instant) -> bool:
    return held.seen_at is not None and 0 <= now - held.seen_at <= RESTART_S


def unseen(memory: ListmonkMemory) -> ListmonkMemory:
    """A look failed: whoever looks next, also after a restart, does not know what was clicked meanwhile."""
    return _with(memory, [replace(held, seen_at=None) if held.seen_at is not None else held for held in memory.campaigns])


def ask(memory: ListmonkMemory, campaigns: Iterable[Campaign], now: Instant, drain_s: float) -> ListmonkMemory:
    """Remember that these running campaigns are about to be paused."""
    asked = {
        one.id: PausedCampaign(one.id, one.uuid, one.name, Holding.ASKED, now, drain_s)
        for one in campaigns
        if one.status == CampaignStatus.RUNNING
    }
    others = [held for held in memory.campaigns if held.id not in asked]
    return _with(memory, [*others, *asked.values()])


def paused(memory: ListmonkMemory, outcomes: Mapping[int, Outcome]) -> ListmonkMemory:
    """Take what became of the requests to pause, by campaign."""
    kept = []
    for held in memory.campaigns:
        outcome = outcomes.get(held.id, Outcome.UNSURE)
        if held.holding is not Holding.ASKED or outcome is Outcome.UNSURE:
            kept.append(held)
        elif outcome is Outcome.DONE:
            kept.append(replace(held, holding=Holding.OURS))
        # Else nothing was changed. A refusal says that it did not run any more: somebody else's pause, or finished.
    return _with(memory, kept)


def ours(memory: ListmonkMemory) -> tuple[PausedCampaign, ...]:
    """Return what may be resumed: ours, and seen paused since."""
    return tuple(held for held in memory.campaigns if held.holding is Holding.OURS and held.first_at is not None)


def release(memory: ListmonkMemory, campaigns: Iterable[PausedCampaign]) -> ListmonkMemory:
    """Remember that these are about to be resumed. Stored before it is done, so that none is ever resumed twice."""
    ids = {one.id for one in campaigns}
    return _with(memory, [replace(held, holding=Holding.RELEASING) if held.id in ids else held for held in memory.campaigns])


def keep(memory: ListmonkMemory, campaigns: Iterable[PausedCampaign]) -> ListmonkMemory:
    """Take `release` back: nothing was asked for."""
    before = {one.id: one for one in campaigns}
    return _with(memory, [before.get(held.id, held) for held in memory.campaigns])


def released(memory: ListmonkMemory, outcomes: Mapping[int, Outcome]) -> ListmonkMemory:
    """Take what became of the requests to resume, by campaign."""
    kept = []
    for held in memory.campaigns:
        outcome = outcomes.get(held.id, Outcome.UNSURE)
        if held.holding is not Holding.RELEASING or outcome is Outcome.UNSURE:
            kept.append(held)
        elif outcome in (Outcome.NOT_SENT, Outcome.FORBIDDEN):
            kept.append(replace(held, holding=Holding.OURS))
        # Else it runs, or is not paused any more. If it is seen paused again, that is a person's pause.
    return _with(memory, kept)


def unsure(memory: ListmonkMemory) -> tuple[PausedCampaign, ...]:
    """Return what a person has to decide."""
    return tuple(held for held in memory.campaigns if held.holding is Holding.UNSURE)


def _with(memory: ListmonkMemory, campaigns: Iterable[PausedCampaign]) -> ListmonkMemory:
    chosen = tuple(sorted(campaigns, key=lambda held: held.id))[-MAX_HELD:]
    return memory if chosen == memory.campaigns else replace(memory, campaigns=chosen)
