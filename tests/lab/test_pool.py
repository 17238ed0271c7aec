"""The pool, seen from the receivers: which addresses mail comes from on which warmup day."""

from __future__ import annotations

from typing import Any, Final

import pytest

from tests.lab import world
from tests.lab.lab import Lab
from tests.lab.scenes import PROMPT, begin, warm_up
from tests.tools.daemon import until

_LADDER: Final = {0: 3, 4: 5, 8: 8}


def _used(lab: Lab, count: int = 150) -> set[str]:
    """Return the egresses that so many messages leave from, of those injected now."""
    ours = {message.id for message in lab.inject(count, ["google.test", "comcast.test"])}
    until("all of it left", lambda: ours <= {one.id for one in lab.delivered()})
    return {one.egress for one in lab.delivered() if one.id in ours}


@pytest.mark.timeout(200)
def test_mail_leaves_from_as_many_addresses_as_the_warmup_day_allows_and_from_no_others(lab: Lab) -> None:
    warm_up(lab)  # a pool grows only where counters cover an hour
    begin(lab, **{**PROMPT, "pool_ladder": _LADDER})
    assert _used(lab) == set(world.TRUCKING_EGRESSES[:3])
    lab.set_day(4)
    lab.reload_pwmtad()
    until("five egresses", lambda: len(lab.state().acting.pool) == 5)
    assert _used(lab) == set(world.TRUCKING_EGRESSES[:5])


@pytest.mark.timeout(200)
def test_a_pool_of_five_becomes_one_of_eight_on_day_8_and_stays_so_after_a_reload(lab: Lab) -> None:
    warm_up(lab)
    lab.set_pool(*world.TRUCKING_EGRESSES[:5])
    begin(lab, day=8, **{**PROMPT, "pool_ladder": _LADDER})
    until("eight egresses", lambda: len(lab.state().acting.pool) == 8)
    assert _used(lab) == set(world.TRUCKING_EGRESSES[:8])
    lab.reload_pwmtad()
    until("it was reloaded", lambda: lab.state().reload.reloads)
    assert _used(lab) == set(world.TRUCKING_EGRESSES[:8])


@pytest.mark.timeout(200)
def test_i18_burned_egresses_that_are_retired_never_send_again_and_warmup_begins_anew_with_fresh_ones(lab: Lab) -> None:
    warm_up(lab)
    configured: dict[str, Any] = {**PROMPT, "pool_ladder": _LADDER}
    begin(lab, day=8, **configured)
    burned = world.TRUCKING_EGRESSES[:3]
    assert set(burned) <= set(lab.state().acting.pool)
    trucking = {**PROMPT["trucking"], "retired": list(burned)}
    lab.configure("enforce", day=0, **configured | {"trucking": trucking})
    lab.reload_pwmtad()
    fresh = set(world.TRUCKING_EGRESSES[3:6])
    until("three fresh egresses", lambda: set(lab.state().acting.pool) == fresh)
    assert _used(lab) == fresh
    lab.set_pool(*burned)  # the old cron job still runs
    until("the burned ones are out again", lambda: set(lab.state().acting.pool) == fresh and lab.state().acting.drifts)
    assert _used(lab) == fresh
