"""Halts, releases, pool changes and kill -9 at random points against a running stream: no message is lost or comes twice, and
no egress above the ladder is ever used. `make soak` runs a thousand cycles, everybody else a hundred.
"""

from __future__ import annotations

import os
import random
from typing import Final

import pytest

from pwmtad.model.judgement import HaltPhase
from tests.lab import world
from tests.lab.lab import Lab
from tests.tools.daemon import until

CYCLES: Final = int(os.environ.get("SOAK_CYCLES", "100"))
_SEED: Final = int(os.environ.get("SOAK_SEED", "20261124"))
_LADDER: Final = {0: 3, 4: 5, 8: 8, 12: 12}
_POOLS: Final = {day: world.TRUCKING_EGRESSES[:size] for day, size in _LADDER.items()}


def _act(lab: Lab, chance: random.Random, allowed: set[str], day: int) -> int:
    """Do one thing at random; return the warmup day from now on."""
    match chance.choice(["halt", "release", "release", "kill", "restart", "grow", "flush", "reload postfix"]):
        case "halt":
            lab.pwmtad("halt", "trucking", "--why", "soak")
        case "release":
            for halt in lab.state().halts if lab.pwmtad_is() == "active" else ():
                if halt.phase is HaltPhase.ACTIVE:
                    lab.pwmtad("release", halt.id)
        case "kill":
            lab.kill_pwmtad("KILL")
        case "restart":
            lab.run("systemctl restart pwmtad.service")
        case "grow" if day < max(_LADDER):
            day = min(later for later in _LADDER if later > day)
            allowed.update(_POOLS[day])
            lab.set_day(day)
            lab.reload_pwmtad()
        case "flush":
            lab.flush()
        case "reload postfix":
            lab.run("postfix reload")
        case _:
            pass
    return day


@pytest.mark.timeout(60 + 12 * CYCLES)
def test_whatever_happens_no_message_is_lost_or_comes_twice_and_the_pool_is_never_above_its_ladder(lab: Lab) -> None:
    chance = random.Random(_SEED)
    lab.configure(
        "enforce",
        day=0,
        pool_ladder=_LADDER,
        window_ladder={0: 10_000},
        trucking={"governor": False, "ceiling_per_day": 10_000_000},
        sections={"postfix": {"write_interval_s": 1}},
    )
    lab.start_pwmtad()
    allowed, day = set(_POOLS[0]), 0
    until("the pool of day 0", lambda: set(lab.state().acting.pool) == allowed)
    job = lab.start_injecting(CYCLES * 40, ["google.test", "comcast.test", "home.test"], rate=20)
    try:
        for _ in range(CYCLES):
            day = _act(lab, chance, allowed, day)
            lab.pause(chance.uniform(0.2, 2.5))
            used = {attempt.egress for attempt in lab.reached() if attempt.egress in world.TRUCKING_EGRESSES}
            assert used <= allowed, f"{sorted(used - allowed)} sent on day {day}"
    finally:
        taken = job.wait()
    until("pwmtad runs", lambda: lab.pwmtad_is() == "active", patience_s=30)
    for halt in lab.state().halts:
        lab.pwmtad("release", halt.id)
    until("nothing is held", lambda: not any(one.held_by for one in lab.state().acting.streams), patience_s=60)
    lab.run("postsuper -H ALL")  # nobody else holds anything here
    until("the queue is empty", lambda: _flushed(lab), patience_s=300)
    account = lab.account(taken)
    assert (account.lost, account.twice, account.bounced, account.queued) == ((), (), 0, 0)
    assert account.delivered == len(taken) == CYCLES * 40


def _flushed(lab: Lab) -> bool:
    lab.flush()
    return lab.queue_is_empty()
