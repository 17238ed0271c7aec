from __future__ import annotations

from tests.scenarios.harness import DAY_S, HOUR_S, START, Case
from tests.tools.loggen import Audience, Scenario
from tests.tools.loggen.pieces import Campaign, CronMail
from tests.tools.loggen.scenarios import CLEAN_MIX, TRUCKING

_DAYS = 5

CASES = {
    "five_days": Case(
        Scenario(
            START,
            19,
            (TRUCKING,),
            (
                *(
                    Campaign(START + day * DAY_S + 10 * HOUR_S, "trucking", Audience("everybody", 120, CLEAN_MIX), 120)
                    for day in range(_DAYS)
                ),
                *(
                    Campaign(START + day * DAY_S + 14 * HOUR_S, "trucking", Audience(f"new{day}", 30, CLEAN_MIX), 60)
                    for day in range(_DAYS)
                ),
                CronMail(START + 60, every_s=3600, local=True),
            ),
            until=START + (_DAYS + 0.1) * DAY_S,
        )
    )
}
