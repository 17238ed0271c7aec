from __future__ import annotations

from tests.scenarios.harness import HOUR_S, START, Case
from tests.tools.loggen import Audience, Scenario
from tests.tools.loggen.personas import HEALTHY, TSS04, TurnsAfter
from tests.tools.loggen.pieces import Campaign, CronMail, Noise
from tests.tools.loggen.scenarios import BLAST_MIX, TRUCKING

CASES = {
    "whole": Case(
        Scenario(
            START,
            14,
            (TRUCKING,),
            (
                Campaign(START + 2 * HOUR_S, "trucking", Audience("list", 500, BLAST_MIX), 250),
                CronMail(START + 60),
                Noise(START),
            ),
            until=START + 8 * HOUR_S,
            personas={"yahoo": TurnsAfter(20, TSS04, HEALTHY["yahoo"])},
        )
    )
}
