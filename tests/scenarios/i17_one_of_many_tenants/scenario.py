from __future__ import annotations

import re

from tests.scenarios.harness import HOUR_S, START, Case, Outcome
from tests.tools.loggen import Audience, Mix, Scenario
from tests.tools.loggen.personas import HEALTHY, During, always
from tests.tools.loggen.pieces import Campaign, CronMail
from tests.tools.loggen.scenarios import TRUCKING

_BANNED_AT = START + 10.5 * HOUR_S


def _check(outcome: Outcome) -> None:
    """Five different tenants, each at its own host."""
    quoted = [line["text"] for line in outcome.halts()[0]["evidence"]]
    hosts = {found[1] for text in quoted if (found := re.search(r" via (\S+)", text))}
    assert len(hosts) == len({text.partition(" to ")[2].partition(" ")[0] for text in quoted}) == 5


CASES = {
    "banned": Case(
        Scenario(
            START,
            17,
            (TRUCKING,),
            (
                Campaign(
                    START + 9 * HOUR_S,
                    "trucking",
                    Audience("list", 1000, Mix.of({"microsoft-365": 1.0}, {"microsoft-365": 1000}), in_turn=True),
                    260,
                ),
                CronMail(START + 8 * HOUR_S, every_s=1800),
            ),
            until=START + 14 * HOUR_S,
            personas={
                "microsoft-365": During(_BANNED_AT, float("inf"), always("microsoft-banned-ip"), HEALTHY["microsoft-365"])
            },
        ),
        check=_check,
    )
}
