from __future__ import annotations

import json
import re
from collections.abc import Iterator

from tests.scenarios.harness import HOUR_S, START, Case, Outcome, at_of
from tests.tools.loggen import HostConfig
from tests.tools.loggen.scenarios import unsigned_campaign

_GRACE_S = 30
_UNTIL = START + 10.5 * HOUR_S
_QUEUED = re.compile(r"(\S+) mta postfix/qmgr\[\d+\]: (\w+): from=<news@mailer\.example>.*\(queue active\)")


def _check(outcome: Outcome) -> None:
    """The halt comes with the first line that is read when the grace time of the tenth unsigned message is over."""
    queued: dict[str, float] = {}
    for line in outcome.lines():
        if found := _QUEUED.match(line):
            queued.setdefault(found[2], at_of({"at": found[1]}))
    due = sorted(queued.values())[9] + _GRACE_S
    assert at_of(outcome.halts()[0]) == min(at for at in _times(outcome) if at >= due)
    messages = outcome.summary["messages"]["trucking"]
    assert messages["injected"] == outcome.truth.count("injected", "trucking") == len(queued)
    assert messages["signed"] == outcome.truth.count("signed", "trucking") == 0
    last = max(_times(outcome))
    assert messages["unsigned"] == sum(at <= last - _GRACE_S for at in queued.values())


def _times(outcome: Outcome) -> Iterator[float]:
    for line in outcome.lines():
        yield at_of({"at": line.partition(" ")[0]})
    for line in (outcome.mail_log.parent / "journal.json").read_text(encoding="utf-8").splitlines():
        yield int(json.loads(line)["__REALTIME_TIMESTAMP"]) / 1e6


CASES = {
    "mail_log": Case(unsigned_campaign(START).but(until=_UNTIL), check=_check),
    "journal": Case(
        unsigned_campaign(START, host=HostConfig(opendkim_log="journal")).but(until=_UNTIL), check=_check, config="journal.toml"
    ),
}
