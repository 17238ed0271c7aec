from __future__ import annotations

import re
from zoneinfo import ZoneInfo

from tests.scenarios.harness import DAY_S, HOUR_S, START, Case, Outcome
from tests.tools.loggen import Audience, Scenario, Traditional
from tests.tools.loggen.pieces import Campaign, CronMail
from tests.tools.loggen.scenarios import CLEAN_MIX, TRUCKING

_NIGHT = 1_792_872_000.0
"""2026-10-24 20:00 UTC; Berlin's clocks are set back at 01:00 UTC."""
_WINTER = 1_766_966_400.0
"""2025-12-29 00:00 UTC."""


def _steady(start: float, hours: float, per_hour: int, seed: int) -> Scenario:
    count = int(hours * per_hour)
    return Scenario(
        start,
        seed,
        (TRUCKING,),
        (
            Campaign(start + 60, "trucking", Audience("steady", count, CLEAN_MIX), per_hour),
            CronMail(start + 30, every_s=1800, local=True),
        ),
        until=start + hours * HOUR_S,
        pool=TRUCKING.egresses[:3],
    )


def _days_ascend(outcome: Outcome) -> None:
    days = [int(day) for decision in outcome.decisions for day in re.findall(r"warmup day (\d+)", decision["reason"])]
    assert days == sorted(days)


CASES = {
    "dst_end": Case(
        _steady(_NIGHT, 10, 80, 20).but(style=Traditional(ZoneInfo("Europe/Berlin"))),
        ("--timezone", "Europe/Berlin", "--year", "2026"),
        config="dst_end.toml",
    ),
    "year_end": Case(
        _steady(_WINTER, 24 * 6, 8, 21).but(style=Traditional()), ("--year", "2025"), config="year_end.toml", check=_days_ascend
    ),
    "clock_stepped_back": Case(
        _steady(START + 3.75 * DAY_S, 14, 60, 22).but(clock_steps=((START + 4 * DAY_S + HOUR_S / 2, -HOUR_S),)),
        config="clock_stepped_back.toml",
        check=_days_ascend,
    ),
}
