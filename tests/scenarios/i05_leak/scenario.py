from __future__ import annotations

from tests.scenarios.harness import HOUR_S, START, Case, Outcome
from tests.tools.loggen import Audience, Mix, Scenario
from tests.tools.loggen.pieces import Campaign, CronMail
from tests.tools.loggen.scenarios import TRUCKING

_HOST = Scenario(
    START,
    5,
    (TRUCKING,),
    (
        Campaign(
            START + 9 * HOUR_S,
            "trucking",
            Audience("list", 150, Mix.of({"google": 0.5, "comcast": 0.1, "other": 0.35, "yahoo": 0.05})),
            100,
        ),
        CronMail(START + 8 * HOUR_S),
    ),
    until=START + 11 * HOUR_S,
)


def _check_operator(outcome: Outcome) -> None:
    _check(outcome, ".yahoodns.net[")


def _check_domain(outcome: Outcome) -> None:
    _check(outcome, "@comcast.net>")


def _check(outcome: Outcome, mark: str) -> None:
    """The halt comes with the first attempt, which went well."""
    first = next(line for line in outcome.lines() if mark in line and " status=" in line)
    assert outcome.halts()[0]["at"] == first.partition(" ")[0]


CASES = {
    "operator": Case(_HOST, config="operator.toml", check=_check_operator),
    "domain": Case(_HOST, config="domain.toml", check=_check_domain),
}
