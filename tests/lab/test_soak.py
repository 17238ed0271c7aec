"""Halts, releases, pool changes and kill -9 at random points against a running stream: no message is lost or comes twice, and
no egress is used that ladder and configuration do not allow. `make soak` runs a thousand cycles, everybody else a hundred.
"""

from __future__ import annotations

import os
import random
import re
import time
from collections import Counter
from collections.abc import Collection
from typing import Final

import pytest

from pwmtad.model.judgement import HaltPhase
from pwmtad.model.state import State
from tests.lab import world
from tests.lab.configuration import PATH as CONFIG_PATH
from tests.lab.container import CommandFailedError
from tests.lab.lab import Lab
from tests.lab.scenes import IN_FLIGHT_S, flushed, tell, warm_up
from tests.tools.daemon import until

CYCLES: Final = int(os.environ.get("SOAK_CYCLES", "100"))
_SEED: Final = int(os.environ.get("SOAK_SEED", "20261124"))
_A_CYCLE: Final = 40
"""Messages injected for each cycle, whatever its length."""
_LADDER: Final = {0: 3, 4: 5, 8: 8, 12: 12}
_MAY_BE_RETIRED: Final = world.TRUCKING_EGRESSES[:6]
_MAY_BE_DOWN_S: Final = 30.0
"""RestartSec=5, a start, and a machine with other things to do."""
_WAYS: Final = ("halt", "release", "release", "kill", "restart", "grow", "retire", "flush", "reload postfix")


def _wanted(day: int, retired: Collection[str]) -> frozenset[str]:
    """Return the egresses that a configuration allows."""
    able = [name for name in world.TRUCKING_EGRESSES if name not in retired]
    return frozenset(able[: _LADDER[day]])


class _Pools:
    """Which egresses may be used when. A change of the configuration allows its own at once, and forbids those of the one
    before from when pwmtad says that it is in force, but for what was in flight.
    """

    def __init__(self) -> None:
        self._since: list[tuple[float, frozenset[str]]] = []
        self._until: dict[int, float] = {}
        self._checked_to = 0.0
        self.changes = 0
        self.used: set[str] = set()
        self.forbidden = Counter[str]()

    @property
    def wanted(self) -> frozenset[str]:
        return self._since[-1][1]

    def change(self, wanted: frozenset[str], at: float) -> None:
        self._since.append((at, wanted))

    def in_force(self, state: State) -> bool:
        """Whether Postfix is known to have what is wanted; remember since when."""
        desired = next(one for one in state.desired if one.stream == "trucking")
        pool = frozenset(state.acting.pool)
        if not pool <= self.wanted or tuple(state.acting.pool) != desired.pool or state.acting.problem is not None:
            return False
        last = len(self._since) - 1
        if last - 1 >= 0 and last - 1 not in self._until:
            self.changes += 1
            for number in range(last):
                self._until.setdefault(number, time.time() + IN_FLIGHT_S)  # noqa: TID251  the record's clock
        return True

    def check(self, lab: Lab) -> None:
        """Look at what reached receivers since the last time."""
        fresh = lab.reached(since=self._checked_to)
        for attempt in fresh:
            if attempt.egress not in world.EGRESSES or attempt.sender != world.TRUCKING_SENDER:
                continue
            self.used.add(attempt.egress)
            if not any(
                attempt.egress in names and since <= attempt.reached_at <= self._until.get(number, float("inf"))
                for number, (since, names) in enumerate(self._since)
            ):
                self.forbidden[attempt.egress] += 1
        self._checked_to = fresh[-1].at + 1e-6 if fresh else self._checked_to
        assert not self.forbidden, f"{dict(self.forbidden)} were used although only {sorted(self.wanted)} may be"


class _Soak:
    """The stream, and what is done to it."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.chance = random.Random(_SEED)
        self.day = 0
        self.retired: list[str] = []
        self.pools = _Pools()
        self.done = Counter[str]()
        self._blow_at = self._up_at = time.monotonic()
        self.longest_down_s = 0.0

    def begin(self) -> None:
        warm_up(self.lab)  # a pool grows only where counters cover an hour
        self.pools.change(_wanted(0, ()), 0.0)
        self.lab.configure(
            "enforce",
            day=0,
            pool_ladder=_LADDER,
            window_ladder={0: 10_000},
            trucking={"governor": False, "ceiling_per_day": 10_000_000, "spike_factor": 100, "retired": []},
            sections={"postfix": {"write_interval_s": 1}},
        )
        self.lab.start_pwmtad()
        until("the pool of day 0", lambda: set(self.lab.state().acting.pool) == self.pools.wanted)

    def cycle(self) -> None:
        """Do one thing at random, wait for a random while, and look."""
        way = self.chance.choice(_WAYS)
        if way == "grow" and self.day == max(_LADDER):
            way = "retire"
        getattr(self, f"_{way.replace(' ', '_')}")()
        self.done[way] += 1
        self.lab.pause(self.chance.uniform(0.2, 2.5))
        self._see_whether_it_runs()
        if state := self._state():
            self.pools.in_force(state)
            assert len(state.acting.pool) <= _LADDER[self.day], state.acting.pool
        self.pools.check(self.lab)

    def _state(self) -> State | None:
        """What pwmtad says; None while it is down."""
        try:
            return self.lab.state()
        except OSError:
            return None

    def _see_whether_it_runs(self) -> None:
        """It may be down for a moment after a blow, never for long."""
        now = time.monotonic()
        if self.lab.pwmtad_is() == "active":
            self._up_at = now
        since = max(self._blow_at, self._up_at)
        self.longest_down_s = max(self.longest_down_s, now - since if self._up_at < now else 0.0)
        assert now - since < _MAY_BE_DOWN_S, f"pwmtad is down for {now - since:.0f} s\n{self.lab.pwmtad_log()[-5000:]}"

    def _halt(self) -> None:
        self.lab.pwmtad("halt", "trucking", "--why", "soak")

    def _release(self) -> None:
        state = self._state()
        for halt in state.halts if state else ():
            if halt.phase is HaltPhase.ACTIVE:
                self.lab.pwmtad("release", halt.id)

    def _kill(self) -> None:
        try:
            self.lab.kill_pwmtad("KILL")
        except CommandFailedError as error:
            if "No main process to kill" not in str(error):
                raise
            # Between a death and the restart that follows; how long that takes is looked at in each cycle.
            self.done["kill of nobody"] += 1
        else:
            self._blow_at = time.monotonic()

    def _restart(self) -> None:
        self.lab.run("systemctl restart pwmtad.service")
        self._blow_at = time.monotonic()

    def _grow(self) -> None:
        self.day = min(later for later in _LADDER if later > self.day)
        self._changes()
        self.lab.set_day(self.day)
        self._reload()

    def _retire(self) -> None:
        """Other egresses are burned now: those after them take their place."""
        self.retired = self.chance.sample(_MAY_BE_RETIRED, self.chance.randrange(4))
        names = ", ".join(f'"{name}"' for name in self.retired)
        text = re.sub(r"^retired = .*$", f"retired = [{names}]", self.lab.read(CONFIG_PATH), count=1, flags=re.MULTILINE)
        self._changes()
        self.lab.write(CONFIG_PATH, text)
        self._reload()

    def _changes(self) -> None:
        """Before the file is written: one that starts in between has read it."""
        self.pools.change(_wanted(self.day, self.retired), time.time())  # noqa: TID251  the record's clock

    def _reload(self) -> None:
        # One that is down takes it when it starts.
        self.lab.run("systemctl reload pwmtad.service", check=False)

    def _flush(self) -> None:
        self.lab.flush()

    def _reload_postfix(self) -> None:
        self.lab.run("postfix reload")


@pytest.mark.timeout(300 + 12 * CYCLES)
def test_whatever_happens_no_message_is_lost_or_comes_twice_and_the_pool_is_never_above_its_ladder(lab: Lab) -> None:
    soak = _Soak(lab)
    soak.begin()
    number = CYCLES * _A_CYCLE
    job = lab.start_injecting(number, ["google.test", "comcast.test", "home.test"], rate=20)
    for _ in range(CYCLES):
        soak.cycle()
    taken = job.wait(timeout_s=60 + number / 10)
    until("pwmtad runs", lambda: lab.pwmtad_is() == "active", patience_s=_MAY_BE_DOWN_S)
    for halt in lab.state().halts:
        lab.pwmtad("release", halt.id)
    until("nothing is held", lambda: not any(one.held_by for one in lab.state().acting.streams), patience_s=60)
    until("the last configuration is in force", lambda: soak.pools.in_force(lab.state()), patience_s=60)
    lab.run("postsuper -H ALL")  # nobody else holds anything here
    until("the queue is empty", lambda: flushed(lab), patience_s=300)
    soak.pools.check(lab)
    account = lab.account(taken)
    tell(
        soak_cycles=CYCLES,
        soak_messages=len(taken),
        soak_delivered=account.delivered,
        soak_lost=len(account.lost),
        soak_twice=len(account.twice),
        soak_pool_violations=sum(soak.pools.forbidden.values()),
        soak_pool_changes_in_force=soak.pools.changes,
        soak_egresses_used=len(soak.pools.used),
        soak_longest_down_s=soak.longest_down_s,
        **{f"soak_done_{way.replace(' ', '_')}": count for way, count in sorted(soak.done.items())},
    )
    assert (account.lost, account.twice, account.bounced, account.queued) == ((), (), 0, 0)
    assert account.delivered == len(taken) == number
    assert soak.pools.changes, "the pool never changed"
