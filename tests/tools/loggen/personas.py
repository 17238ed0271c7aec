"""How receivers behave. A persona is a value; `begin` gives it a fresh memory for one run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Final, Protocol

from tests.tools.loggen.model import Answer, Egress, Message, Recipient, Reply
from tests.tools.loggen.receivers import RECEIVERS
from tests.tools.loggen.replies import ACCEPTS, BY_ID

_SLOTS = 1000


class Persona(Protocol):
    """A receiver's behaviour."""

    def begin(self, rng: Random, accept: Reply) -> Answer:
        """Start with an empty memory; `accept` is what this receiver says when all is well."""
        ...


@dataclass(frozen=True, slots=True)
class Accepts:
    """Takes everything."""

    def begin(self, rng: Random, accept: Reply) -> Answer:
        """See Persona."""
        del rng
        return lambda _now, _egress, _message, _recipient: accept


@dataclass(frozen=True, slots=True)
class Shares:
    """Gives each reply in its share (of 1000) and accepts the rest; retries have shares of their own."""

    first: Mapping[str, float]
    retry: Mapping[str, float] = field(default_factory=dict)

    def begin(self, rng: Random, accept: Reply) -> Answer:
        """See Persona."""
        random = rng.random
        first, retry = self._table(self.first, accept), self._table(self.retry, accept)

        def answer(_now: float, _egress: Egress, message: Message, _recipient: Recipient) -> Reply:
            return (retry if message.tries else first)[int(random() * _SLOTS)]

        return answer

    @staticmethod
    def _table(shares: Mapping[str, float], accept: Reply) -> list[Reply]:
        table: list[Reply] = []
        for reply_id, share in shares.items():
            table.extend([BY_ID[reply_id]] * round(share * _SLOTS))
        return table + [accept] * (_SLOTS - len(table))


@dataclass(frozen=True, slots=True)
class TurnsAfter:
    """Behaves like `before` for the first `count` attempts (of one egress, if `per_egress`), then like `then`."""

    count: int
    then: Persona
    before: Persona = field(default_factory=Accepts)
    per_egress: bool = False

    def begin(self, rng: Random, accept: Reply) -> Answer:
        """See Persona."""
        before, then = self.before.begin(rng, accept), self.then.begin(rng, accept)
        seen: dict[str, int] = {}

        def answer(now: float, egress: Egress, message: Message, recipient: Recipient) -> Reply:
            who = egress.name if self.per_egress else ""
            number = seen[who] = seen.get(who, 0) + 1
            return (before if number <= self.count else then)(now, egress, message, recipient)

        return answer


@dataclass(frozen=True, slots=True)
class During:
    """Behaves like `then` from `at` until `until` (epoch seconds), else like `otherwise`."""

    at: float
    until: float
    then: Persona
    otherwise: Persona = field(default_factory=Accepts)

    def begin(self, rng: Random, accept: Reply) -> Answer:
        """See Persona."""
        otherwise, then = self.otherwise.begin(rng, accept), self.then.begin(rng, accept)

        def answer(now: float, egress: Egress, message: Message, recipient: Recipient) -> Reply:
            return (then if self.at <= now < self.until else otherwise)(now, egress, message, recipient)

        return answer


@dataclass(frozen=True, slots=True)
class NowAndThen:
    """Gives this reply at most once in `every_s`, to whoever comes then; behaves like `otherwise` to everybody else."""

    reply_id: str
    every_s: float
    otherwise: Persona = field(default_factory=Accepts)

    def begin(self, rng: Random, accept: Reply) -> Answer:
        """See Persona."""
        otherwise, reply = self.otherwise.begin(rng, accept), BY_ID[self.reply_id]
        due = float("-inf")

        def answer(now: float, egress: Egress, message: Message, recipient: Recipient) -> Reply:
            nonlocal due
            if now < due:
                return otherwise(now, egress, message, recipient)
            due = now + self.every_s
            return reply

        return answer


@dataclass(frozen=True, slots=True)
class Greylists:
    """Defers a message that is younger than `delay_s`, then behaves like `then`."""

    delay_s: float = 300.0
    then: Persona = field(default_factory=Accepts)

    def begin(self, rng: Random, accept: Reply) -> Answer:
        """See Persona."""
        then, greylisted = self.then.begin(rng, accept), BY_ID["greylisted"]

        def answer(now: float, egress: Egress, message: Message, recipient: Recipient) -> Reply:
            if now - message.born < self.delay_s:
                return greylisted
            return then(now, egress, message, recipient)

        return answer


@dataclass(frozen=True, slots=True)
class Unsigned:
    """Behaves like `then` towards messages without a DKIM signature, like `otherwise` towards signed ones."""

    then: Persona
    otherwise: Persona = field(default_factory=Accepts)

    def begin(self, rng: Random, accept: Reply) -> Answer:
        """See Persona."""
        then, otherwise = self.then.begin(rng, accept), self.otherwise.begin(rng, accept)

        def answer(now: float, egress: Egress, message: Message, recipient: Recipient) -> Reply:
            return (otherwise if message.signed else then)(now, egress, message, recipient)

        return answer


@dataclass(frozen=True, slots=True)
class FromEgress:
    """Behaves like `then` towards the named egresses, like `otherwise` towards the rest."""

    names: frozenset[str]
    then: Persona
    otherwise: Persona = field(default_factory=Accepts)

    def begin(self, rng: Random, accept: Reply) -> Answer:
        """See Persona."""
        then, otherwise = self.then.begin(rng, accept), self.otherwise.begin(rng, accept)

        def answer(now: float, egress: Egress, message: Message, recipient: Recipient) -> Reply:
            return (then if egress.name in self.names else otherwise)(now, egress, message, recipient)

        return answer


def always(reply_id: str) -> Shares:
    """Nothing but this reply."""
    return Shares({reply_id: 1.0}, {reply_id: 1.0})


TSS04: Final = Shares({"yahoo-tss04": 0.9, "yahoo-tss04-greeting": 0.1}, {"yahoo-tss04": 0.75, "yahoo-tss04-greeting": 0.02})
DEAD_TENANTS: Final = always("microsoft-dead-tenant")
GMAIL_BLOCK: Final = Shares(
    {"google-unsolicited": 0.45, "google-unusual-rate": 0.45}, {"google-unsolicited": 0.05, "google-unusual-rate": 0.75}
)

HEALTHY: Final[dict[str, Persona]] = {
    "google": Shares({"google-no-such-user": 0.012, "google-over-quota": 0.004}, {"google-over-quota": 0.6}),
    "microsoft-consumer": Shares({"microsoft-mailbox-unavailable": 0.02, "microsoft-busy": 0.004}),
    "microsoft-365": Shares({"microsoft-access-denied": 0.015, "lost-greeting": 0.001}),
    "dead-365": DEAD_TENANTS,
    "yahoo": Shares({"yahoo-disabled": 0.02}),
    "comcast": Shares({"comcast-not-our-customer": 0.025, "comcast-throttled": 0.003}),
    "charter": Shares({"unknown-user": 0.02}),
    "cox": Shares({"unknown-user": 0.02}),
    "apple": Shares({"mailbox-full": 0.01, "unknown-user": 0.01}),
    "proofpoint": Shares({"unknown-user": 0.01, "mailbox-busy": 0.01}),
    "luxsci": Shares({"luxsci-too-much": 0.2}, {"luxsci-too-much": 0.1}),
    "other": Shares(
        {"unknown-user": 0.01, "greylisted": 0.04, "no-enhanced-code": 0.003, "mailbox-full": 0.004, "timed-out-data": 0.002},
        {"mailbox-busy": 0.05},
    ),
    "hostile": Shares(
        {
            "hostile-gmail-words": 0.3,
            "hostile-fake-record": 0.2,
            "hostile-fake-bounce": 0.2,
            "hostile-controls": 0.1,
            "hostile-long": 0.1,
        },
        {"hostile-fake-record": 0.3},
    ),
    "unreachable": Shares(
        {"connect-timed-out": 0.4, "connect-refused": 0.2, "no-such-domain": 0.2, "null-mx": 0.1, "name-server-failed": 0.1},
        {"connect-timed-out": 0.6, "connect-refused": 0.3, "name-server-failed": 0.1},
    ),
}
"""An ordinary day, with what even a clean list brings."""


def begin_all(personas: Mapping[str, Persona], rng: Random) -> dict[str, Answer]:
    """Start every receiver: those not named in `personas` are healthy."""
    return {
        name: personas.get(name, HEALTHY.get(name, Accepts())).begin(rng, ACCEPTS[receiver.accepts])
        for name, receiver in RECEIVERS.items()
    }
