"""What became of each recipient of a campaign: asked of Listmonk, Postfix and receivers, each for what it alone knows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Final

from tests.lab.lab import Lab
from tests.tools.listmonk.program import Program

# The first `dsn=, status=` is Postfix's own; a hostile reply may hold others.
_BOUNCED: Final = re.compile(r": to=<([^>]+)>, .*? dsn=([\d.]+), status=bounced \((.*)\)$", re.MULTILINE)
_TAKEN: Final = re.compile(r"postfix/smtpd\[\d+\]: \w+: client=\S*\[127\.0\.3\.5\]")


@dataclass(frozen=True, slots=True)
class Stage:
    """Counts of one moment."""

    sent: int
    """By Listmonk, as its own record has it."""
    injected: int
    """Messages that Postfix took from it, by Postfix's log."""
    delivered: int
    """Recipients whom a receiver took the mail for."""
    bounced: int
    deferred: int
    on_hold: int
    under_way: int
    """In incoming/ or active/."""
    not_yet_sent: int


class Account:
    """Of one campaign."""

    def __init__(self, lab: Lab, listmonk: Program, people: Iterable[str]) -> None:
        self._lab = lab
        self._listmonk = listmonk
        self.people = tuple(people)

    def delivered(self) -> Counter[str]:
        """Return how often receivers took mail for each recipient."""
        mine = set(self.people)
        return Counter(one.recipient for one in self._lab.delivered() if one.recipient in mine)

    def bounced(self) -> dict[str, str]:
        """Return enhanced status code and reply for whom Postfix gave up."""
        mine = set(self.people)
        return {name: f"{code} {text}" for name, code, text in _BOUNCED.findall(self._lab.mail_log()) if name in mine}

    def waiting(self) -> dict[str, str]:
        """Return the queue that each recipient's mail is in."""
        mine = set(self.people)
        return {
            recipient["address"]: entry["queue_name"]
            for entry in self._lab.queue()
            for recipient in entry["recipients"]
            if recipient["address"] in mine
        }

    def stage(self) -> Stage:
        """Return the counts of now."""
        queues = Counter(self.waiting().values())
        sent = self._listmonk.sent()
        return Stage(
            sent=sent,
            injected=len(_TAKEN.findall(self._lab.mail_log())),
            delivered=len(self.delivered()),
            bounced=len(self.bounced()),
            deferred=queues["deferred"],
            on_hold=queues["hold"],
            under_way=queues["incoming"] + queues["active"],
            not_yet_sent=len(self.people) - sent,
        )


def figures(name: str, stage: Stage) -> dict[str, float]:
    """Return the counts as `tell` takes them."""
    return {f"campaign_{name}_{key}": value for key, value in asdict(stage).items()}
