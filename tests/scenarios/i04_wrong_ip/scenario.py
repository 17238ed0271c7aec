from __future__ import annotations

from tests.scenarios.harness import HOUR_S, START, Case, Outcome
from tests.tools.loggen import Audience, Scenario
from tests.tools.loggen.pieces import BindFailure, Campaign, CronMail
from tests.tools.loggen.scenarios import CLEAN_MIX, TRUCKING


def _host(*, enforced: bool) -> Scenario:
    return Scenario(
        START,
        4,
        (TRUCKING,),
        (
            Campaign(START + 9 * HOUR_S, "trucking", Audience("list", 300, CLEAN_MIX), 200),
            CronMail(START + 8 * HOUR_S),
            BindFailure(START + 9.5 * HOUR_S, "out03", enforced=enforced),
        ),
        until=START + 11 * HOUR_S,
        pool=TRUCKING.egresses[:3],
    )


def _check(outcome: Outcome) -> None:
    """The halt comes with the first line that tells of it."""
    first = next(line for line in outcome.lines() if "Cannot assign requested address" in line)
    assert outcome.halts()[0]["at"] == first.partition(" ")[0]


CASES = {
    "sent_anyway": Case(_host(enforced=False), check=_check),
    "enforced": Case(_host(enforced=True), check=_check),
}
