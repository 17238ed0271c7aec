"""What people see of one Listmonk. Pure: what is known in, a row out."""

from __future__ import annotations

import math

from msgspec.structs import replace

from pwmtad.core.listmonk_engine import Belief
from pwmtad.core.listmonk_step import Pause, Resume, SetWindow, Step, Wait
from pwmtad.core.listmonk_window import usual_per_hour
from pwmtad.core.listmonk_words import engine_words
from pwmtad.core.text import clean
from pwmtad.model.acting import ListmonkActing
from pwmtad.model.listmonk import CampaignStatus, Holding, ListmonkActual, ListmonkMemory, Traits

_LIMIT = 200


def shown(
    counted: ListmonkActing,
    actual: ListmonkActual | None,
    belief: Belief,
    traits: Traits | None,
    memory: ListmonkMemory,
    step: Step,
) -> ListmonkActing:
    """Return `counted` with what is seen now. `actual` is None while nothing can be seen."""
    stored = belief.stored
    usual = usual_per_hour(stored, traits.extra) if stored is not None and traits is not None else math.inf
    unsure = sum(held.holding is Holding.UNSURE for held in memory.campaigns)
    return replace(
        counted,
        version=traits.name if traits is not None else "",
        window=engine_words(stored) if stored is not None else "",
        window_per_hour=None if math.isinf(usual) else math.floor(usual),
        in_force=stored is not None and belief.live == {stored} and belief.restart is None,
        running=_count(actual, CampaignStatus.RUNNING),
        scheduled=_count(actual, CampaignStatus.SCHEDULED),
        held=len(memory.campaigns) - unsure,
        unsure=unsure,
        doing=clean(doing_words(step), _LIMIT),
    )


def doing_words(step: Step) -> str:
    """Return what is under way, in words; '' if nothing is."""
    match step:
        case Pause(campaigns, why):
            return f"pauses {len(campaigns)} campaign(s): {why}"
        case SetWindow(writing):
            return f"sets its send window for {writing.per_hour} an hour"
        case Resume(campaigns):
            return f"resumes {len(campaigns)} campaign(s)"
        case Wait(why):
            return why
        case _:
            return ""


def _count(actual: ListmonkActual | None, status: CampaignStatus) -> int | None:
    return None if actual is None else sum(one.status == status for one in actual.campaigns)
