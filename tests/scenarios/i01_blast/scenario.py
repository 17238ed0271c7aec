from __future__ import annotations

from collections.abc import Mapping

from tests.scenarios.harness import HOUR_S, START, Case
from tests.tools.loggen import Audience, Mix, Scenario
from tests.tools.loggen.personas import GMAIL_BLOCK, HEALTHY, TSS04, Persona, TurnsAfter
from tests.tools.loggen.pieces import Campaign, CronMail
from tests.tools.loggen.scenarios import TRUCKING, blast

_MIX = Mix.of({"google": 0.6, "yahoo": 0.1, "microsoft-365": 0.2, "other": 0.1})


def _quiet(seed: int, personas: Mapping[str, Persona]) -> Scenario:
    """Less mail than the window of day 0, to receivers that turn all the same."""
    return Scenario(
        START,
        seed,
        (TRUCKING,),
        (Campaign(START + HOUR_S, "trucking", Audience("quiet", 260, _MIX), 30), CronMail(START + 60)),
        until=START + 10 * HOUR_S,
        personas=personas,
        pool=TRUCKING.egresses[:3],
    )


CASES = {
    "all_at_once": Case(blast(START, count=3000, hours_after=6)),
    "gmail": Case(_quiet(11, {"google": TurnsAfter(60, GMAIL_BLOCK, HEALTHY["google"])})),
    "yahoo": Case(_quiet(12, {"yahoo": TurnsAfter(8, TSS04, HEALTHY["yahoo"])})),
}
