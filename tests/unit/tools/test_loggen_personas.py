"""Manners of receivers that scenarios rely on."""

from __future__ import annotations

from itertools import pairwise

from tests.tools.loggen import Audience, Mix, Scenario
from tests.tools.loggen.personas import NowAndThen
from tests.tools.loggen.pieces import Campaign
from tests.unit.tools.loggen_reading import START, STREAM


def test_what_comes_now_and_then_never_comes_sooner() -> None:
    everybody = Audience("everybody", 300, Mix.of({"google": 1.0}))
    scenario = Scenario(
        START,
        1,
        (STREAM,),
        (Campaign(START, "trucking", everybody, 60),),
        until=START + 6 * 3600,
        personas={"google": NowAndThen("google-unsolicited", 1800)},
    )
    run = scenario.play()
    assert list(run)
    times = run.truth.reply_times["google-unsolicited"]
    assert len(times) >= 8
    assert min(after - before for before, after in pairwise(times)) > 1790
