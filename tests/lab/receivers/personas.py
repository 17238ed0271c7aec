"""How a receiver behaves: a persona is a value that travels as JSON. Replies come from tests/tools/loggen/replies.py by name.

A persona is a list of steps. At each phase of an attempt (greeting, mail, rcpt, body) the steps of that phase are asked in
order, and the first that applies answers; if none does, the receiver says yes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, Final

from tests.tools.loggen.model import LOST, REFUSED, UNREACHED
from tests.tools.loggen.replies import BY_ID

PHASES: Final = ("greeting", "mail", "rcpt", "body")
_PHASE_OF: Final = {"MAIL FROM command": "mail", "RCPT TO command": "rcpt", "end of DATA command": "body"}


@dataclass(frozen=True, slots=True)
class Step:
    """What is done at one phase, and to whom. Fields that say nothing restrict nothing."""

    phase: str
    reply: str = ""
    """The reply as it goes over the wire, lines joined by a line feed; a `str.format` template as in loggen. '': say yes."""
    name: str = ""
    ending: str = "say"
    """say; drop: close without a word; hang: say nothing, ever."""
    after: int = 0
    """The first so many attempts that come to this phase are spared."""
    count: int = 0
    """It applies to so many attempts and no more; 0: without end."""
    share: float = 1.0
    """It applies to this share of them, drawn by a generator that always begins the same."""
    delay_s: float = 0.0
    """Seconds before the answer. A step that only waits (reply '') leaves the answer to the steps behind it."""
    greylist_s: float = 0.0
    """It applies to a sender and recipient until so long after they were first seen."""
    sources: tuple[str, ...] = ()
    """It applies only to attempts from these addresses."""
    unsigned_only: bool = False
    """It applies only to messages without a DKIM signature (at the body)."""


@dataclass(frozen=True, slots=True)
class Persona:
    """A named behaviour."""

    name: str = "accepts"
    steps: tuple[Step, ...] = ()

    def __add__(self, other: Persona) -> Persona:
        """Both: this one's steps are asked first."""
        return Persona(f"{self.name} + {other.name}", self.steps + other.steps)

    def only_from(self, *sources: str) -> Persona:
        """Behave so only towards these addresses."""
        return replace(self, steps=tuple(replace(step, sources=sources) for step in self.steps))

    def only_unsigned(self) -> Persona:
        """Behave so only towards messages without a DKIM signature."""
        return replace(self, steps=tuple(replace(step, unsigned_only=True) for step in self.steps))

    @classmethod
    def of(cls, value: dict[str, Any]) -> Persona:
        """Read what `dataclasses.asdict` made of a persona."""
        steps = (Step(**(step | {"sources": tuple(step["sources"])})) for step in value["steps"])
        return cls(value["name"], tuple(steps))


def accepts() -> Persona:
    """Take everything (but recipients that begin with `nobody`)."""
    return Persona()


def says(reply: str, *, phase: str = "", after: int = 0, count: int = 0, share: float = 1.0) -> Persona:
    """Answer with a reply of loggen, by its id, or with a literal one (`450 4.2.1 busy`, lines joined by a line feed), which is
    given at RCPT TO unless a phase is named. Raises ValueError for a reply that no receiver can give.
    """
    known = BY_ID.get(reply)
    if known is None:
        if not re.match(r"\d{3}[ -]", reply):
            raise ValueError(f"neither the id of a reply nor a reply: {reply!r}")
        return Persona(
            "says",
            (
                Step(
                    phase or "rcpt",
                    reply.replace("{", "{{").replace("}", "}}"),
                    "literal",
                    after=after,
                    count=count,
                    share=share,
                ),
            ),
        )
    if known.how == UNREACHED:
        raise ValueError(f"{reply}: happens without any receiver")
    if known.how == LOST:
        return (
            drops("greeting", after=after, count=count) if reply == "lost-greeting" else hangs("body", after=after, count=count)
        )
    where = phase or ("greeting" if known.how == REFUSED else _PHASE_OF[known.phase])
    text = known.text if known.varies else known.text.replace("{", "{{").replace("}", "}}")
    return Persona(reply, (Step(where, unfolded(text), reply, after=after, count=count, share=share),))


def blocks_after(accepted: int, reply: str = "google-unsolicited") -> Persona:
    """Accept so many messages, then answer with this reply for ever."""
    return says(reply, after=accepted)


def greylists(seconds: float) -> Persona:
    """Defer each sender and recipient until so long after they first came."""
    greylisted = says("greylisted")
    return replace(greylisted, name="greylists", steps=tuple(replace(step, greylist_s=seconds) for step in greylisted.steps))


def slow(seconds: float, phase: str = "body") -> Persona:
    """Answer late at a phase."""
    return Persona("slow", (Step(phase, delay_s=seconds, name="slow"),))


def drops(phase: str = "body", *, after: int = 0, count: int = 0, share: float = 1.0) -> Persona:
    """Close the connection instead of an answer. At `body` the sender can't know whether the message was taken; it was not."""
    return Persona("drops", (Step(phase, ending="drop", name="drops", after=after, count=count, share=share),))


def hangs(phase: str = "greeting", *, after: int = 0, count: int = 0) -> Persona:
    """Never answer."""
    return Persona("hangs", (Step(phase, ending="hang", name="hangs", after=after, count=count),))


def unfolded(text: str) -> str:
    """Return a reply as Postfix logs it (lines joined by spaces, each with its code) as the lines it was sent in."""
    code = text[:3]
    lines = re.split(rf" (?={code}[- ]\d\.\d+\.\d+ )", text)
    marked = [f"{code}-{line[4:]}" for line in lines[:-1]] + [f"{code} {lines[-1][4:]}"]
    return "\n".join(marked)
