"""The governor: whoever injects, and however much at once, no more leaves than the window, and exempt mail never waits for it.

`GOVERNOR_MESSAGES=29000` is the size of the incident; CI injects fewer, and makes the active queue smaller by as much.
"""

from __future__ import annotations

import os
from typing import Final

import pytest

from pwmtad.core.governor import rate_delay_s
from tests.lab import world
from tests.lab.lab import Lab
from tests.lab.scenes import acting, begin, exempt_mail_leaves, findings, last_write_at, tell
from tests.tools.daemon import until

_MESSAGES: Final = int(os.environ.get("GOVERNOR_MESSAGES", "6000"))
_ACTIVE_LIMIT: Final = min(20_000, _MESSAGES * 2 // 3)
"""qmgr_message_active_limit: 20,000 by default, so a blast of 29,000 fills it; behind a full queue all mail waits."""
_WATCHED_S: Final = 40


def _active(lab: Lab) -> int:
    """Return how many messages are in the active queue."""
    return int(lab.run("find /var/spool/postfix/active -type f | wc -l").out)


@pytest.mark.timeout(900)
def test_i1_a_blast_on_day_0_leaves_no_faster_than_the_window_and_an_exempt_mail_behind_it_leaves_within_seconds(
    lab: Lab,
) -> None:
    lab.set_postfix(qmgr_message_active_limit=str(_ACTIVE_LIMIT))
    begin(lab, day=0)  # the runbook's own ladder: three egresses, 50 an hour
    until("the governor is set", lambda: acting(lab, "trucking").rate_delay_s == rate_delay_s(3, 50))
    began = last_write_at(lab)
    # A script on the host that nobody told of pwmtad, not Listmonk.
    domains = ["google.test", "yahoo.test", "hotmail.test"]
    job = lab.start_injecting(_MESSAGES, domains, client=world.LOCAL, sender="script@lab.test", connections=20)
    most_active, waits = 0, []
    while len(job.taken()) < _MESSAGES:
        assert lab.state().at < began + 600, "Postfix takes it too slowly"
        waits.append(exempt_mail_leaves(lab, patience_s=60))
        most_active = max(most_active, _active(lab))
        lab.pause(1)
    taken = job.wait()
    waits += [exempt_mail_leaves(lab, patience_s=60) for _ in range(3)]
    until("the backlog is on hold", lambda: acting(lab, "trucking").held_messages >= _MESSAGES - 150, patience_s=120)
    assert findings(lab, "backlog")
    until("it was watched", lambda: lab.state().at >= began + _WATCHED_S, patience_s=_WATCHED_S + 30)
    seen_s = lab.state().at - began
    ours = {message.id for message in taken}
    left = [attempt for attempt in lab.reached() if attempt.id in ours or attempt.egress in world.TRUCKING_EGRESSES]
    allowed = 3 * (int(seen_s) // rate_delay_s(3, 50) + 1)
    tell(
        i1_injected=_MESSAGES,
        i1_watched_s=round(seen_s),
        i1_left=len(left),
        i1_governor_allows=allowed,
        i1_exempt_s=[min(waits), max(waits)],
        i1_most_active=most_active,
    )
    assert len(left) <= allowed
    assert most_active < _ACTIVE_LIMIT
    assert max(waits) < 20


@pytest.mark.timeout(300)
def test_what_leaves_keeps_to_the_window_second_by_second_and_nothing_leaves_twice(lab: Lab) -> None:
    window = 2400
    delay_s = rate_delay_s(3, window)
    begin(lab, window_ladder={0: window})
    until("the governor is set", lambda: acting(lab, "trucking").rate_delay_s == delay_s)
    began = last_write_at(lab)
    taken = lab.inject(600, ["google.test", "comcast.test", "home.test"], connections=20)
    until("it was watched", lambda: lab.state().at >= began + _WATCHED_S, patience_s=_WATCHED_S + 30)
    left = sorted(one.reached_at - began for one in lab.reached() if one.egress in world.TRUCKING_EGRESSES)
    curve = [sum(at <= second for at in left) for second in range(10, _WATCHED_S + 1, 10)]
    allowed = [3 * (second // delay_s + 1) for second in range(10, _WATCHED_S + 1, 10)]
    tell(governor_delay_s=delay_s, governor_left_by_10_s=curve, governor_allows=allowed)
    assert all(there <= most for there, most in zip(curve, allowed, strict=True))
    assert curve[-1] >= allowed[-1] // 2, "less leaves than the window has room for"
    assert lab.account(taken).twice == lab.account(taken).lost == ()
