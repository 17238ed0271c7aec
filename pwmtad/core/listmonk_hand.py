"""A window that a person set: one above the ladder is lowered again, one below it stays.

With an empty memory nobody knows who set what is there, so a lower one counts as a person's wish: nothing is ever raised from
ignorance. A person gives the window back by setting a larger one.
"""

from __future__ import annotations

import math

from msgspec import Struct
from msgspec.structs import replace

from pwmtad.core.listmonk_window import as_engine, is_window, usual_per_hour, window_for
from pwmtad.model.listmonk import EngineSettings, HandWindow, ListmonkMemory, Writing


class Noticed(Struct, frozen=True):
    """What was found out about the stored window."""

    memory: ListmonkMemory
    news: HandWindow | None = None
    """Set by somebody else, and not seen before."""
    first: bool = False
    """Nothing was ever set by us: this is how it was found."""


def notice(memory: ListmonkMemory, stored: EngineSettings, per_hour: int, extra: int) -> Noticed:
    """Compare what is stored with what we set. `per_hour`: what the ladder allows now."""
    writing = memory.writing
    if writing is not None and is_window(stored, writing.window):
        memory = replace(memory, window=writing.window, per_hour=writing.per_hour, writing=None)
    if writing is not None and _is_half_done(stored, writing):
        return Noticed(memory)
    if memory.window is not None and is_window(stored, memory.window):
        # A window that was too large is dealt with: the same again is news.
        dealt_with = memory.hand is not None and memory.hand.per_hour is None
        return Noticed(replace(memory, hand=None) if dealt_with else memory)
    if memory.hand is not None and _same(memory.hand.engine, stored):
        return Noticed(memory)
    hand = HandWindow(stored, _wish(stored, per_hour, extra))
    first = memory.window is None and memory.hand is None
    return Noticed(replace(memory, hand=hand, writing=None), hand, first)


def allowed_per_hour(memory: ListmonkMemory, per_hour: int) -> int:
    """Return what the ladder allows and no person made smaller."""
    wish = memory.hand.per_hour if memory.hand is not None else None
    return per_hour if wish is None else min(per_hour, wish)


def _wish(stored: EngineSettings, per_hour: int, extra: int) -> int | None:
    ours = window_for(per_hour, extra)
    usual = usual_per_hour(stored, extra)
    if ours is None or usual >= usual_per_hour(as_engine(ours, stored.batch_size), extra):
        return None
    return max(1, math.floor(usual))


def _is_half_done(stored: EngineSettings, writing: Writing) -> bool:
    before, window = writing.before, writing.window
    return (
        stored.limited in (before.limited, True)
        and stored.rate in (before.rate, window.rate)
        and stored.duration_s in (before.duration_s, window.duration_s)
    )


def _same(one: EngineSettings, other: EngineSettings) -> bool:
    return (one.limited, one.rate, one.duration_s) == (other.limited, other.rate, other.duration_s)
