"""Values for tests of what is decided about Listmonk."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from pwmtad.core.listmonk_engine import Belief, see
from pwmtad.core.listmonk_step import View
from pwmtad.core.listmonk_versions import traits_of
from pwmtad.core.listmonk_window import as_engine, window_for
from pwmtad.model.listmonk import (
    Campaign,
    EngineSettings,
    Holding,
    ListmonkActual,
    ListmonkMemory,
    ListmonkTarget,
    PausedCampaign,
    SendWindow,
)

NOW = 1_780_000_000.0
SERVER = NOW + 3600  # Listmonk's clock may differ
FRESH = EngineSettings(False, 10_000, 3600.0, 1000, "1h")
SENDING = ListmonkTarget(sending=True, per_hour=300, may_grow=True, room_today=1000)
HALTED = ListmonkTarget(sending=False, per_hour=300, may_grow=False, reasons=("google-blocks (x)",))


def ours(per_hour: int = 300, extra: int = 0, batch: int = 2) -> EngineSettings:
    """Return the settings that pwmtad makes for so many an hour."""
    return as_engine(window(per_hour, extra), batch)


def window(per_hour: int = 300, extra: int = 0) -> SendWindow:
    """Return the send window for so many an hour."""
    found = window_for(per_hour, extra)
    assert found is not None
    return found


def campaign(number: int = 12, status: str = "running", *, updated_at: float = SERVER, sent: int = 0) -> Campaign:
    """Return a campaign."""
    return Campaign(number, f"uuid-{number}", f"News {number}", status, updated_at, to_send=1000, sent=sent)


def held(number: int = 12, holding: Holding = Holding.OURS, **changes: Any) -> PausedCampaign:
    """Return a campaign that is ours and was seen paused."""
    made = PausedCampaign(number, f"uuid-{number}", f"News {number}", holding, NOW, 90.0, SERVER, SERVER)
    return replace(made, **changes)


def actual(
    *campaigns: Campaign, engine: EngineSettings | None = None, version: str = "v6.2.0", **changes: Any
) -> ListmonkActual:
    """Return a whole look."""
    made = ListmonkActual(campaigns, True, traits_of(version), False, "https://lists.example.org", engine or ours())
    return replace(made, **changes)


def looked_at(seen: ListmonkActual, *, since: float = 100.0, looks: int = 3) -> Belief:
    """Return what is believed after some looks at the same, since some seconds before 0."""
    belief = Belief()
    for number in range(looks):
        belief = see(belief, seen, -since + number)
    return belief


def view(seen: ListmonkActual, target: ListmonkTarget = SENDING, memory: ListmonkMemory | None = None, **changes: Any) -> View:
    """Return everything that a step is decided from, at 0."""
    made = View(seen, looked_at(seen), memory if memory is not None else ListmonkMemory(), target, 0.0)
    return replace(made, **changes)
