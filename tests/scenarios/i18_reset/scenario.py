from __future__ import annotations

import re

from tests.scenarios.harness import DAY_S, HOUR_S, START, Case, Outcome
from tests.tools.loggen import Audience, Scenario
from tests.tools.loggen.pieces import Campaign, CronMail, Reload
from tests.tools.loggen.scenarios import CLEAN_MIX, TRUCKING

RETIRED = {"out02", "out03", "out04"}
_DAYS = 13
_RESET = START + 8 * DAY_S

_HOST = Scenario(
    START,
    18,
    (TRUCKING,),
    (
        *(
            Campaign(START + day * DAY_S + 10 * HOUR_S, "trucking", Audience(f"day{day}", 30, CLEAN_MIX), 30)
            for day in range(_DAYS)
        ),
        CronMail(START + 60, every_s=1800),
        Reload(_RESET, TRUCKING.egresses[3:6]),
    ),
    until=START + _DAYS * DAY_S,
    pool=TRUCKING.egresses[:3],
)


def _check(outcome: Outcome) -> None:
    pools = [decision["reason"] for decision in outcome.decisions if decision["kind"] == "pool"]
    assert pools
    assert not RETIRED & set(re.findall(r"out\d\d", " ".join(pools)))
    assert set(outcome.summary["by_egress"]) >= RETIRED


CASES = {"before": Case(_HOST, config="before.toml"), "after": Case(_HOST, config="after.toml", check=_check)}
