"""A campaign through Listmonk and the real Postfix to receivers of all kinds, one of which turns: who got what, and once.

`CAMPAIGN_MESSAGES=5000` takes five minutes, because the largest window that nineteen egresses may have lets 68,400 an hour
out. CI sends fewer.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.lab import world
from tests.lab.campaign_account import Account, Stage, figures
from tests.lab.lab import Lab
from tests.lab.listmonk_host import SENDER, TABLE, listmonk
from tests.lab.receivers.personas import accepts, blocks_after, says
from tests.lab.scenes import IN_FLIGHT_S, PROMPT, begin, flushed, halted, release, restarted, settled, tell, warm_up
from tests.tools.daemon import until
from tests.tools.listmonk.program import Program
from tests.unit.adapters.conftest import PostgresCluster

_MESSAGES: Final = int(os.environ.get("CAMPAIGN_MESSAGES", "1200"))
_WINDOW: Final = 3600 * len(world.TRUCKING_EGRESSES)
_EXCLUDED: Final = "yahoo.com"
"""A domain that must not be mailed, and whose subscribers somebody left in the list."""
_USUAL: Final = (
    "google.test", "hotmail.test", "gmail.com", "comcast.test", "google.test", "m365-1.test", "home.test", "google.test",
    "apple.test", "small1.test",
)  # fmt: skip
_PATIENCE_S: Final = 120 + _MESSAGES / 10


@pytest.fixture(scope="module")
def cluster() -> Iterator[PostgresCluster]:
    with tempfile.TemporaryDirectory(prefix="pwmtad-lc-") as folder:
        made = PostgresCluster(Path(folder))
        made.start()
        yield made
        made.stop()


def _people() -> list[str]:
    """Of a hundred one is unknown at Google and one at Comcast, two have full mailboxes at Cox, two are excluded."""
    people = []
    for number in range(_MESSAGES):
        name, domain = f"reader{number}", _USUAL[number % len(_USUAL)]
        match number % 100:
            case 11:
                name, domain = f"nobody{number}", "google.test"
            case 13:
                name, domain = f"nobody{number}", "comcast.test"
            case 21 | 22:
                domain = "cox.test"
            case 31 | 32:
                domain = _EXCLUDED
            case _:
                pass
        people.append(f"{name}@{domain}")
    return people


def _configured() -> dict[str, Any]:
    return {
        **PROMPT,
        "window_ladder": {0: _WINDOW},
        "pool_ladder": {0: len(world.TRUCKING_EGRESSES)},
        "trucking": {**PROMPT["trucking"], "excluded_domains": [_EXCLUDED]},
        "sections": {**PROMPT["sections"], "streams.trucking.listmonk": TABLE},
    }


def _window_is_set(lab: Lab) -> bool:
    found = lab.state().acting.listmonk
    return bool(found) and found[0].in_force and found[0].doing == "" and (found[0].window_per_hour or 0) > _WINDOW // 2


def _per_hour(lab: Lab) -> float:
    return lab.state().acting.listmonk[0].window_per_hour or math.inf


def _paused(lists: Program, campaign: int) -> None:
    until("the campaign is paused", lambda: lists.status(campaign) == "paused")
    until("Listmonk has let go of it", lambda: not lists.state()["pipes"], patience_s=60)


def _in_one_place(account: Account) -> Stage | None:
    """The counts of a moment in which each that was sent is in one place: what waits is tried again every few seconds, and a
    listing that is made meanwhile misses what goes from deferred to active.
    """
    stage = account.stage()
    placed = stage.delivered + stage.bounced + stage.deferred + stage.on_hold + stage.under_way
    return stage if stage.sent == placed else None


@pytest.mark.timeout(900)
@pytest.mark.parametrize("version", ["6.2"])
def test_google_turns_in_a_campaign_and_after_the_release_everybody_has_it_once_or_is_listed_with_the_reason(
    lab: Lab, cluster: PostgresCluster, version: str
) -> None:
    people = _people()
    lab.set_pool(*world.TRUCKING_EGRESSES)
    lab.set_postfix(minimal_backoff_time="5s", maximal_backoff_time="10s", queue_run_delay="5s")
    lab.become("cox", says("mailbox-full"))
    lab.become("google", blocks_after(_MESSAGES // 20))
    bounces = ("bounce.enabled=true", "bounce.webhooks_enabled=true", "app.message_rate=100")
    with listmonk(lab, cluster, version, *bounces) as lists:
        warm_up(lab)
        begin(lab, **_configured())
        until("the window is set", lambda: _window_is_set(lab), patience_s=90)
        account = Account(lab, lists, people)
        campaign = lists.campaign(lists.subscribers(people), status="running", from_email=SENDER)

        halt = halted(lab, "google-blocks", patience_s=_PATIENCE_S)
        lab.pause(IN_FLIGHT_S)  # what had begun ends; from here on nothing may
        stopped = len(lab.reached(where=lambda one: one.sender == world.TRUCKING_SENDER))
        _paused(lists, campaign)
        # Google unsolicited: those between the third block and the pause; all others wait.
        at_halt = until("each that was sent is in one place", lambda: _in_one_place(account))
        assert at_halt is not None
        tell(**figures("halted", at_halt))
        assert 0 < at_halt.sent < _MESSAGES
        assert at_halt.sent == at_halt.injected
        lab.flush()
        lab.pause(IN_FLIGHT_S)
        assert len(lab.reached(where=lambda one: one.sender == world.TRUCKING_SENDER)) == stopped
        assert lists.sent() == at_halt.sent

        lab.become("google", accepts())
        release(lab, halt.id)
        until("it probes with a handful an hour", lambda: _per_hour(lab) <= 10, patience_s=120)  # a change a minute
        tell(**figures("probing", account.stage()))
        assert lab.pwmtad("release", halt.id).code == 0  # a person has seen enough
        restarted(lab, lab.kill_pwmtad)  # and does not wait a quarter of an hour for the next change of the window
        settled(lab)
        until("Listmonk has sent all", lambda: lists.status(campaign) == "finished", patience_s=_PATIENCE_S + 120)
        excluded = {name for name in people if name.endswith(f"@{_EXCLUDED}")}
        until(
            "only what is kept out waits, and all else has its fate",
            lambda: (
                (flushed(lab) or set(account.waiting()) <= excluded)
                and {*account.delivered(), *account.bounced(), *account.waiting()} == set(people)
            ),
            patience_s=_PATIENCE_S,
        )

        tell(**figures("ended", account.stage()))
        delivered, bounced, waiting = account.delivered(), account.bounced(), account.waiting()
        assert set(delivered.values()) == {1}
        fates = Counter([*delivered, *bounced, *waiting])
        assert fates == dict.fromkeys(people, 1), "each in one place"
        assert set(waiting) == excluded
        why = Counter(_reason(name, text) for name, text in bounced.items())
        tell(**{f"campaign_not_delivered_{reason.replace(' ', '_')}": count for reason, count in why.items()})
        assert set(why) == {"blocked by google", "unknown", "mailbox full"}
        assert why["unknown"] == len([name for name in people if name.startswith("nobody")])
        assert why["mailbox full"] == len([name for name in people if name.endswith("@cox.test")])
        assert why["blocked by google"] <= at_halt.bounced
        unknown = {name for name in people if name.startswith("nobody")}
        until("those are blocklisted, and only those", lambda: lists.blocklisted() == unknown)
        assert lab.reached(where=lambda one: one.recipient in excluded) == []


def _reason(name: str, text: str) -> str:
    if name.startswith("nobody"):
        return "unknown"
    if "5.2.2" in text:
        return "mailbox full"
    return "blocked by google" if "unsolicited" in text else text
