from __future__ import annotations

import re
from collections import Counter

from tests.scenarios.harness import HOUR_S, START, Case, Outcome
from tests.tools.loggen import Audience, Mix, Scenario
from tests.tools.loggen.pieces import Campaign, CronMail
from tests.tools.loggen.scenarios import TRUCKING

_DEAD = re.compile(r"/smtp\[\d+\]: \w+: to=<[^@]+@(dead-365\d+\.example)>, .* ATTR5 ")


def _check(outcome: Outcome) -> None:
    answers = Counter(found[1] for line in outcome.lines() if (found := _DEAD.search(line)))
    assert sum(answers.values()) > 2000
    listed = [decision["subject"] for decision in outcome.decisions if decision["kind"] == "suppress"]
    assert sorted(listed) == sorted(domain for domain, count in answers.items() if count >= 3)
    assert len(listed) > 150


CASES = {
    "thousands": Case(
        Scenario(
            START,
            16,
            (TRUCKING,),
            (
                Campaign(
                    START + 9 * HOUR_S,
                    "trucking",
                    Audience("list", 400, Mix.of({"dead-365": 0.6, "luxsci": 0.2, "google": 0.2})),
                    250,
                ),
                CronMail(START + 8 * HOUR_S, every_s=1800),
            ),
            until=START + 18 * HOUR_S,
        ),
        check=_check,
    )
}
