"""A Listmonk in memory for tests of what decides: its settings, its process, its campaigns, and the clicks of other people.

It behaves as the facts say where it matters to a controller (what is stored is not what is in force, a pause drains, a restart
needs idle pipes), loses answers on demand, and knows the truth: who paused what, and what its process really works with. The
stand-in (tests/tools/listmonk) does the same by HTTP, and the contract tests hold the adapter to that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from pwmtad.core.listmonk_versions import traits_of
from pwmtad.core.listmonk_window import BATCH, DURATION, FLAG, RATE, Assignment, engine_of, limits
from pwmtad.model.listmonk import (
    Campaign,
    CampaignStatus,
    Changed,
    EngineSettings,
    Failure,
    ListmonkActual,
    Outcome,
    Rights,
    Traits,
    Trouble,
)

FRESH: dict[str, bool | int | str] = {FLAG: False, RATE: 10_000, DURATION: "1h", BATCH: 1000}
"""What a new installation has."""
SCAN_S = 5.0
RESTART_AFTER_S = 0.5
BOOT_S = 2.0


class FakeCampaign(Struct):
    """One campaign, and the truth about it."""

    id: int
    status: str
    updated_at: float
    send_at: float | None = None
    sent: int = 0
    paused_by: str = ""
    """Who paused it: pwmtad or a person."""
    drained_at: float = 0.0
    """Until then its pipe is there though it is paused."""
    in_work: bool = False
    finished_early: bool = False
    """We resumed it before it had drained."""


class FakeListmonk:
    """Fulfils `ListmonkPort`. `now` is the world's clock."""

    def __init__(self, now: Callable[[], float], version: str = "v6.2.0", **settings: bool | int | str) -> None:
        self.now = now
        self.version = version
        self.root_url = "https://lists.example.org"
        self.stored: dict[str, bool | int | str] = {**FRESH, **dict(self._named(settings))}
        self.live = dict(self.stored)
        self.campaigns: dict[int, FakeCampaign] = {}
        self.needs_restart = False
        self.restart_at: float | None = None
        self.up_at = 0.0
        self.restarts = 0
        self.missing: tuple[str, ...] = ()
        self.complete = True
        self.trouble: Failure | None = None
        """What every look answers with while it is set."""
        self.blind = ""
        """Why settings can't be read."""
        self.loses: list[str] = []
        """Of the next changes: the answer is lost 'before' or 'after' they are carried out; '' is well."""
        self.refuses: Changed | None = None
        """What every change is answered with."""
        self.writes: list[tuple[Assignment, ...]] = []
        self.resumed: list[tuple[int, str]] = []
        """By us: campaign, and who had paused it."""
        self.looks = 0
        self.busy = asyncio.Event()
        self._scan_at = 0.0

    # -- the outside

    @property
    def traits(self) -> Traits:
        return traits_of(self.version)

    @property
    def engine(self) -> EngineSettings:
        """What the process really works with."""
        found = engine_of(self.live)
        assert found is not None
        return found

    def add(self, number: int, status: str = "running", *, send_at: float | None = None, by: str = "") -> FakeCampaign:
        """A campaign appears."""
        self.campaigns[number] = FakeCampaign(number, status, self.now(), send_at, paused_by=by)
        return self.campaigns[number]

    def status(self, number: int) -> str:
        return self.campaigns[number].status

    def advance(self) -> None:
        """Let the process do what is due."""
        now = self.now()
        if self.restart_at is not None and now >= self.restart_at:
            self.boot()
        if now < self.up_at:
            return
        for one in self.campaigns.values():
            if one.in_work and one.status != "running" and now >= one.drained_at:
                one.in_work = False
                one.updated_at = one.drained_at
        if now >= self._scan_at:
            self._scan_at = now + SCAN_S
            self._scan()

    def _scan(self) -> None:
        now = self.now()
        for one in self.campaigns.values():
            if one.status == "scheduled" and one.send_at is not None and one.send_at <= now:
                one.status = "running"
            if one.status == "running":
                one.sent += one.in_work
                one.in_work = True
                one.updated_at = now

    def boot(self) -> None:
        """A new process: it reads what is stored, and forgets all else."""
        self.restarts += 1
        self.restart_at = None
        self.live = dict(self.stored)
        self.needs_restart = False
        self.up_at = self.now() + BOOT_S
        for one in self.campaigns.values():
            one.in_work = False

    def click(self, number: int, status: str) -> bool:
        """A person clicks; False if Listmonk refuses, or is not there."""
        return not self._is_down() and self._change(number, status, "a person")

    def type_in(self, **settings: bool | int | str) -> None:
        """A person saves settings."""
        self.stored.update(self._named(settings))
        self._settings_changed()

    @staticmethod
    def _named(settings: dict[str, bool | int | str]) -> list[tuple[str, bool | int | str]]:
        names = {"flag": FLAG, "rate": RATE, "duration": DURATION, "batch": BATCH}
        return [(names[key], value) for key, value in settings.items()]

    # -- the port

    async def look(self, *, whole: bool) -> ListmonkActual | Failure:
        self.looks += 1
        await asyncio.sleep(0)
        if self.trouble is not None:
            return self.trouble
        if self._is_down():
            return Failure(Trouble.UNREACHABLE, "no answer: connection refused")
        campaigns = tuple(
            Campaign(one.id, f"uuid-{one.id}", f"News {one.id}", one.status, one.updated_at, one.send_at, 1000, one.sent)
            for one in self.campaigns.values()
            if one.status in ("running", "paused", "scheduled")
        )
        if not whole:
            return ListmonkActual(campaigns, self.complete)
        actual = ListmonkActual(
            campaigns, self.complete, self.traits, self.needs_restart, self.root_url, engine_of(self.stored), self.blind
        )
        return replace(actual, engine=None, root_url="") if self.blind else actual

    async def rights(self, traits: Traits, *, probe: bool) -> Rights | Failure:  # noqa: ARG002  (ListmonkPort)
        return Rights(self.missing)

    async def set_status(self, campaign: int, status: CampaignStatus) -> Changed:
        lost = self._lost()
        if lost == "before" or self._is_down():
            return Changed(Outcome.UNSURE if lost else Outcome.NOT_SENT, "no answer")
        if self.refuses is not None:
            return self.refuses
        before = self.campaigns[campaign].paused_by
        if not self._change(campaign, status.value, "pwmtad"):
            return Changed(Outcome.REFUSED, "400 wrong transition") if not lost else Changed(Outcome.UNSURE, "no answer")
        if status is CampaignStatus.RUNNING:
            self.resumed.append((campaign, before))
        return Changed(Outcome.UNSURE, "no answer") if lost else Changed(Outcome.DONE)

    async def set_window(self, changes: Sequence[Assignment], traits: Traits) -> Changed:  # noqa: ARG002  (ListmonkPort)
        for key, value in changes:
            assert type(value) is type(FRESH[key]), f"{key} = {value!r} has another JSON type"
            assert key != RATE or (type(value) is int and value >= 2), "a rate of 0 is unlimited"
        self.writes.append(tuple(changes))
        needs_restart: bool | None = None
        for key, value in changes:
            lost = self._lost()
            if lost == "before" or self._is_down():
                return Changed(Outcome.UNSURE if lost else Outcome.NOT_SENT, "no answer", needs_restart)
            if self.refuses is not None:
                return self.refuses
            self.stored[key] = value
            waits = self._settings_changed()
            if lost:
                return Changed(Outcome.UNSURE, "no answer", needs_restart)
            needs_restart = waits if needs_restart is not False else False
        return Changed(Outcome.DONE, needs_restart=needs_restart)

    async def close(self) -> None:
        pass

    # -- inside

    def _is_down(self) -> bool:
        self.advance()
        return self.now() < self.up_at

    def _lost(self) -> str:
        return self.loses.pop(0) if self.loses else ""

    def _settings_changed(self) -> bool:
        """Restart soon, or say that a restart is needed."""
        if any(one.in_work for one in self.campaigns.values()):
            self.needs_restart = True
            return True
        if self.restart_at is None:
            self.restart_at = self.now() + RESTART_AFTER_S
        return False

    def _change(self, number: int, status: str, by: str) -> bool:
        one = self.campaigns[number]
        allowed = {"running": ("paused", "draft"), "paused": ("running",), "scheduled": ("draft", "paused")}
        if one.status not in allowed.get(status, (one.status,)):
            return False
        one.updated_at = self.now()
        if status == "paused":
            one.paused_by = by
            one.drained_at = self.now() + self._drain_s()
        if status == "running":
            if one.in_work and by == "pwmtad":
                one.finished_early = True  # its rest is marked finished up to v4.1, and dropped for hours since
            if one.send_at is not None and self.version >= "v5":
                status = "scheduled"
        one.status = status
        return True

    def _drain_s(self) -> float:
        engine = self.engine
        return -(-engine.batch_size // engine.rate) * engine.duration_s if limits(engine) else 2.0
