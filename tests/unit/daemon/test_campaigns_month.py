"""Thirty days of warmup in simulated time: the stand-in's engine, the judgement and what acts, with accidents at random.

A Listmonk that sends on while it can't be asked is none of them: there only Postfix can hold, and does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest

from pwmtad.core.listmonk_versions import traits_of
from pwmtad.core.listmonk_window import BATCH, DURATION, FLAG, RATE, Assignment, engine_of
from pwmtad.daemon.campaigns import Campaigns
from pwmtad.model.listmonk import (
    Campaign,
    CampaignStatus,
    Changed,
    Failure,
    Holding,
    ListmonkActual,
    Outcome,
    Rights,
    Traits,
    Trouble,
)
from tests.tools.judging import DAY, EGRESSES, HOUR, START, Run, attempt, settings_of
from tests.tools.listmonk.simulated import SimulatedListmonk, run_virtually
from tests.unit.daemon.listmonk_world import NAME, TABLE

LADDER = ((0, 50), (2, 150), (4, 250), (7, 300))
CEILING = 4000
CALM_S, BUSY_S = 20.0, 4.0
"""Between two passes: fewer than the daemon makes, so worse."""


class SimulatedPort:
    """ListmonkPort over the simulated engine. Requests fail while it is down, and answers get lost at random."""

    def __init__(self, version: str, listmonk: SimulatedListmonk, chance: Random) -> None:
        self.traits = traits_of(version)
        self.listmonk = listmonk
        self.chance = chance
        self.down = False
        self.needs_restart = False
        self.starts = listmonk.starts
        self.ours: set[int] = set()
        """Paused by us and by nobody else since."""

    async def look(self, *, whole: bool) -> ListmonkActual | Failure:
        if self.down or self.chance.random() < 0.01:
            return Failure(Trouble.UNREACHABLE, "no answer")
        if self.listmonk.starts != self.starts:
            self.starts, self.needs_restart = self.listmonk.starts, False
        rows = self.listmonk.store.rows
        campaigns = tuple(
            Campaign(number, f"uuid-{number}", "", row.status, 0.0, to_send=row.to_send, sent=row.sent)
            for number, row in rows.items()
            if row.status in ("running", "paused", "scheduled")
        )
        engine = engine_of(self.listmonk.settings) if whole else None
        return ListmonkActual(campaigns, True, self.traits if whole else None, self.needs_restart, "x", engine)

    async def rights(self, traits: Traits, *, probe: bool) -> Rights | Failure:  # noqa: ARG002  (ListmonkPort)
        return Rights()

    async def set_status(self, campaign: int, status: CampaignStatus) -> Changed:
        if self.down:
            return Changed(Outcome.NOT_SENT, "no answer")
        pausing = status is CampaignStatus.PAUSED
        if not pausing:
            assert campaign in self.ours, f"{campaign} is not ours to resume"
        done = self.listmonk.pause(campaign) if pausing else self.listmonk.resume(campaign)
        if not done:
            return Changed(Outcome.REFUSED, "400")
        (self.ours.add if pausing else self.ours.discard)(campaign)
        return Changed(Outcome.DONE)

    async def set_window(self, changes: Sequence[Assignment], traits: Traits) -> Changed:
        if self.down:
            return Changed(Outcome.NOT_SENT, "no answer")
        needs: bool | None = None
        for part in [dict([one]) for one in changes] if traits.by_key else [dict(changes)]:
            waits = await self.listmonk.put(part)
            self.needs_restart = waits
            needs = waits if needs is not False else False
        lost = self.chance.random() < 0.2
        return Changed(Outcome.UNSURE, "no answer", needs) if lost else Changed(Outcome.DONE, needs_restart=needs)

    async def close(self) -> None:
        pass


class Month:
    """The simulation. Counts what left, by the second."""

    def __init__(self, version: str, seed: int) -> None:
        self.chance = Random(seed)
        self.settings = settings_of(egresses=EGRESSES[:3], more=TABLE, ceiling=CEILING).model_copy(update={"mode": "enforce"})
        self.run = Run(settings=self.settings)
        fresh: dict[str, Any] = {
            FLAG: False, RATE: 10_000, DURATION: "1h", BATCH: 1000, "app.concurrency": 10, "app.message_rate": 10,
            "app.max_send_errors": 1000,
        }  # fmt: skip
        self.listmonk = SimulatedListmonk(version.removeprefix("v"), fresh)
        self.port = SimulatedPort(version, self.listmonk, self.chance)
        self.seen = 0
        self.allowed: list[tuple[float, int]] = []
        """Since when, and how much an hour."""
        self.begin()

    def now(self) -> float:
        return START + asyncio.get_running_loop().time()

    def begin(self) -> None:
        self.campaigns = Campaigns(
            stream=NAME, port=self.port, guard=self.run.guard, commit=self._commit, clock=self.now, monotonic=self.now,
            jitter=self.chance.random, settings=self.settings,
        )  # fmt: skip

    async def _commit(self) -> bool:
        self.run.commit()
        return True

    def count(self) -> None:
        """Postfix attempts what left Listmonk, and the judgement sees it."""
        left = self.listmonk.left
        for one in left[self.seen :]:
            self.run.see(attempt(START + one.at, recipient=f"p{one.person}@example.org"), START + one.at)
        self.seen = len(left)

    async def tick(self) -> float:
        """One pass of the daemon; return how long it may sleep."""
        self.count()
        self.run.look(self.now())
        desired = next(one for one in self.run.guard.desired(self.now()) if one.stream == NAME)
        if not self.allowed or self.allowed[-1][1] != desired.window_per_hour:
            self.allowed.append((self.now() - START, desired.window_per_hour))
        if not any(row.status in ("running", "paused") for row in self.listmonk.store.rows.values()):
            first = 10_000 * len(self.listmonk.store.rows) + 1
            self.listmonk.add(range(first, first + 3000))
        await self.campaigns.step()
        return BUSY_S if self.campaigns.acting.doing else CALM_S

    async def accident(self) -> None:
        """Something happens, some times a day."""
        self._click("resume")
        what = self.chance.choice(["crash", "down", "restart", "pause", "halt"])
        if what == "crash":
            await self.listmonk.restart()
        elif what == "down":
            self.port.down = True
            await self.listmonk.crash()
        elif what == "restart":
            self.run.commit()  # a second ago at the latest; what was counted since is read again from the log
            self.run.restart(self.now())
            self.begin()
        elif what == "halt":
            self.run.guard.halt("trucking", self.chance.randint(60, 3 * HOUR), "a test", self.now())
        else:
            self._click(what)

    def _click(self, what: str) -> None:
        """A person pauses what runs, or resumes what pwmtad leaves to people."""
        unsure = {held.id for held in self.run.guard.listmonk(NAME).campaigns if held.holding is Holding.UNSURE}
        for number, row in self.listmonk.store.rows.items():
            if what == "pause" and row.status == "running" and self.listmonk.pause(number):
                self.port.ours.discard(number)
            elif what == "resume" and row.status == "paused" and (number not in self.port.ours or number in unsure):
                self.listmonk.resume(number)

    async def days(self, count: int) -> None:
        """Let so many days pass."""
        self.listmonk.start()
        next_accident = 3600.0
        loop = asyncio.get_running_loop()
        while loop.time() < count * DAY:
            await asyncio.sleep(await self.tick())
            if loop.time() > next_accident:
                if self.port.down:
                    self.port.down = False
                    self.listmonk.start()
                await self.accident()
                next_accident = loop.time() + self.chance.uniform(600, 4 * HOUR)
                for halt in self.run.halts():
                    if halt.hold_until is not None and halt.hold_until < self.now():
                        self.run.guard.release(halt.id, "alice", self.now())
        await self.listmonk.crash()

    def most_over(self) -> float:
        """Return how far any hour was above what the ladder allowed at its most within it."""
        times = [one.at for one in self.listmonk.left]
        worst, first = -1e9, 0
        for last, at in enumerate(times):
            while times[first] <= at - HOUR:
                first += 1
            worst = max(worst, last - first + 1 - self._allowed_between(at - HOUR, at))
        return worst

    def _allowed_between(self, begin: float, end: float) -> int:
        values = [value for since, value in self.allowed if begin < since <= end]
        before = [value for since, value in self.allowed if since <= begin]
        return max([*values, *before[-1:]], default=LADDER[0][1])

    def by_day(self) -> dict[int, int]:
        found: dict[int, int] = {}
        for one in self.listmonk.left:
            found[int(one.at // DAY)] = found.get(int(one.at // DAY), 0) + 1
        return found


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("version", "days"), [("v6.2.0", 30), ("v6.0.0", 3), ("v4.1.0", 3)])
def test_a_warmup_never_exceeds_an_hours_ladder_nor_a_days_ceiling_whatever_happens(version: str, days: int) -> None:
    async def month() -> Month:
        made = Month(version, seed=20260602)
        await made.days(days)
        return made

    done = run_virtually(month)
    assert done.most_over() <= 0
    sent = done.by_day()
    assert max(sent.values()) <= CEILING
    assert sum(sent.values()) > 500 * days, "hardly anything was sent at all"
