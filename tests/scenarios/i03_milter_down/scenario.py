from __future__ import annotations

import re

from tests.scenarios.harness import HOUR_S, START, Case, Outcome, at_of
from tests.tools.loggen import Audience, HostConfig, Scenario
from tests.tools.loggen.pieces import Campaign, CronMail, MilterDown, Noise
from tests.tools.loggen.scenarios import CLEAN_MIX, TRUCKING

_DOWN = START + 10 * HOUR_S
_CLIENT = re.compile(r"\S+ mta postfix/smtpd\[\d+\]: (\w+): client=unknown\[172\.18\.0\.5\]")
_SIGNED = re.compile(r"\S+ mta opendkim\[\d+\]: (\w+): DKIM-Signature field added")
_QUEUED = re.compile(r"(\S+) mta postfix/qmgr\[\d+\]: (\w+): from=<news@mailer\.example>.*\(queue active\)")


def _host(action: str) -> Scenario:
    return Scenario(
        START,
        3,
        (TRUCKING,),
        (
            Campaign(START + 9.5 * HOUR_S, "trucking", Audience("list", 400, CLEAN_MIX), 280),
            CronMail(START + 9 * HOUR_S),
            Noise(START + 9 * HOUR_S),
            MilterDown(_DOWN, _DOWN + HOUR_S / 2),
        ),
        until=START + 11.5 * HOUR_S,
        host=HostConfig(milter_default_action=action),
    )


def _check(outcome: Outcome) -> None:
    """The halt comes with the line that puts the first unsigned message into the queue."""
    lines = list(outcome.lines())
    ours = {found[1] for line in lines if (found := _CLIENT.match(line))}
    signed = {found[1] for line in lines if (found := _SIGNED.match(line))}
    first = next(found[1] for line in lines if (found := _QUEUED.match(line)) and found[2] in ours - signed)
    assert outcome.halts()[0]["at"] == first
    assert at_of(outcome.halts()[0]) > _DOWN


CASES = {"accepted": Case(_host("accept"), check=_check), "tempfail": Case(_host("tempfail"))}
