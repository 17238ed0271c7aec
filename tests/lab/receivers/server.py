"""SMTP as a receiver speaks it (RFC 5321, with PIPELINING), and a house of receivers that each have a persona."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections import Counter
from collections.abc import Callable, Mapping
from random import Random
from typing import Final, NamedTuple

from typing_extensions import override

from tests.lab import world
from tests.lab.receivers.personas import Persona, Step, unfolded
from tests.lab.receivers.record import Attempt, Writer
from tests.tools.loggen.replies import ACCEPTS, BY_ID

_EHLO: Final = ("PIPELINING", "SIZE 35882577", "8BITMIME", "ENHANCEDSTATUSCODES", "SMTPUTF8")
_READY: Final = 220
_OK: Final = 250
_CLOSING: Final = 421
_ADDRESS: Final = re.compile(rb"(?:FROM|TO):\s*<(.*)>", re.IGNORECASE | re.DOTALL)
_HEADERS: Final = 16_384
_LAB_ID: Final = re.compile(rb"^X-Lab-Id:[ \t]*(\S+)", re.IGNORECASE | re.MULTILINE)
_QUEUE_ID: Final = re.compile(rb"^Received:(?:[^\n]|\n[ \t])*?\bid ([0-9A-Za-z]+)", re.MULTILINE)
_SIGNATURE: Final = re.compile(rb"^DKIM-Signature:(?:[^\n]|\n[ \t])*?\bd=([^;\s]+)", re.IGNORECASE | re.MULTILINE)


class Answer(NamedTuple):
    """What is said, when, and what becomes of the connection."""

    text: str
    persona: str = ""
    delay_s: float = 0.0
    ending: str = "say"

    @property
    def code(self) -> int:
        """Reply code; 0 if nothing is said."""
        return int(self.text[:3]) if self.ending == "say" and self.text[:3].isdigit() else 0


_LOST: Final = Answer("", ending="drop")


class House:
    """One receiver: its persona, and what it has seen since it got it."""

    def __init__(self, receiver: world.Receiver) -> None:
        self.receiver = receiver
        self.become(Persona())

    def become(self, persona: Persona) -> None:
        """Change the persona, with an empty memory."""
        self.persona = persona
        self.seen = Counter[str]()
        self._taken = Counter[int]()
        self._known = dict[tuple[str, str], float]()
        self._random = Random(self.receiver.name)

    def answer(self, phase: str, session: Session) -> Answer:
        """Return what the persona says at a phase."""
        self.seen[phase] += 1
        delay_s, waited = 0.0, ""
        for number, step in enumerate(self.persona.steps):
            if step.phase != phase or not self._applies(number, step, session):
                continue
            delay_s += step.delay_s
            if step.reply or step.ending != "say":
                return Answer(session.filled(step.reply), step.name, delay_s, step.ending)
            waited = step.name
        return Answer(self._yes(phase, session), waited, delay_s)

    def _applies(self, number: int, step: Step, session: Session) -> bool:
        if step.sources and session.source not in step.sources:
            return False
        if step.unsigned_only and session.signed:
            return False
        if self.seen[step.phase] <= step.after or (step.count and self._taken[number] >= step.count):
            return False
        if step.greylist_s:
            first = self._known.setdefault((session.sender, session.recipient), time.monotonic())
            if time.monotonic() - first >= step.greylist_s:
                return False
        if step.share < 1.0 and self._random.random() >= step.share:
            return False
        self._taken[number] += 1
        return True

    def _yes(self, phase: str, session: Session) -> str:
        if phase == "greeting":
            return f"220 {session.host} ESMTP"
        if phase == "mail":
            return "250 2.1.0 OK"
        if phase == "rcpt":
            if session.recipient.startswith("nobody"):
                return session.filled(unfolded(BY_ID[self.receiver.unknown_user].text))
            return "250 2.1.5 OK"
        return ACCEPTS[self.receiver.accepts].text.replace("{token}", secrets.token_hex(8))


class Session(asyncio.Protocol):
    """One connection."""

    _count = 0

    def __init__(self, houses: Mapping[str, House], writer: Writer) -> None:
        self._houses = houses
        self._writer = writer
        self._test = writer.test
        self._buffer = bytearray()
        self._waiting = False
        self._in_data = False
        self._transport: asyncio.Transport | None = None
        self._recipients: list[tuple[str, float]] = []
        self._undecided = False
        self._may_name = False
        Session._count += 1
        self.number = Session._count
        self.source = self.address = self.host = self.helo = self.sender = self.recipient = ""
        self.id = self.queue_id = self.signed = ""

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet, or do not."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.began_at = time.time()  # noqa: TID251  the record's own clock
        self.source = transport.get_extra_info("peername")[0]
        self.address = transport.get_extra_info("sockname")[0]
        self.house = self._houses[self.address]
        self.host = self.house.receiver.hosts[0][0]
        answer = self.house.answer("greeting", self)
        if answer.code == _READY:
            self._give(answer)
        else:
            self._give(answer, lambda: self._write_down("greeting", answer), ends=True)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        """Write down what was under way: the sender may have been killed."""
        del exc
        self._transport = None
        self._abandon()

    @override
    def data_received(self, data: bytes) -> None:
        """Take what came and answer what is complete."""
        self._buffer += data
        self._pump()

    def filled(self, reply: str) -> str:
        """Return a reply with its blanks filled in."""
        values = {
            "ip": self.source, "token": secrets.token_hex(8), "label": f"{self.host}[{self.address}]", "rcpt": self.recipient,
            "domain": self.recipient.rpartition("@")[2],
        }  # fmt: skip
        return reply.format(**values) if "{" in reply else reply

    def _pump(self) -> None:
        while not self._waiting and self._transport is not None:
            if self._in_data:
                if not self._take_body():
                    return
                continue
            end = self._buffer.find(b"\n")
            if end < 0:
                return
            line = bytes(self._buffer[:end]).rstrip(b"\r")
            del self._buffer[: end + 1]
            self._command(line)

    def _take_body(self) -> bool:
        if self._buffer.startswith(b".\r\n"):
            end, rest = 0, 3
        else:
            end = self._buffer.find(b"\r\n.\r\n")
            rest = end + 5
        if end < 0:
            return False
        self._read_headers(bytes(self._buffer[: min(end, _HEADERS)]))
        del self._buffer[:rest]
        self._in_data = False
        answer = self.house.answer("body", self)

        def decided() -> None:
            self._write_down("body", answer)
            self._forget()

        self._give(answer, decided)
        return True

    def _read_headers(self, text: bytes) -> None:
        head = text.partition(b"\r\n\r\n")[0]
        for name, pattern in (("id", _LAB_ID), ("queue_id", _QUEUE_ID), ("signed", _SIGNATURE)):
            found = pattern.search(head)
            setattr(self, name, found[1].decode("utf-8", "replace") if found is not None else "")

    def _command(self, line: bytes) -> None:
        verb = line[:4].upper()
        if verb in {b"EHLO", b"HELO"}:
            self.helo = line[5:].decode("utf-8", "replace").strip()
            said = (self.host, *_EHLO) if verb == b"EHLO" else (self.host,)
            self._give(Answer("\n".join([*(f"250-{one}" for one in said[:-1]), f"250 {said[-1]}"])))
        elif verb == b"MAIL":
            self._mail(line)
        elif verb == b"RCPT":
            self._rcpt(line)
        elif verb == b"DATA":
            self._data()
        elif verb == b"RSET":
            self._abandon()
            self._give(Answer("250 2.0.0 flushed"))
        elif verb == b"NOOP":
            self._give(Answer("250 2.0.0 OK"))
        elif verb == b"QUIT":
            self._give(Answer("221 2.0.0 closing connection"), ends=True)
        else:
            self._give(Answer("502 5.5.1 Unrecognized command"))

    def _mail(self, line: bytes) -> None:
        self._abandon()
        self.sender = _address(line)
        answer = self.house.answer("mail", self)
        self._may_name = answer.code == _OK
        self._give(answer, None if answer.code == _OK else lambda: self._write_down("mail", answer))

    def _rcpt(self, line: bytes) -> None:
        if not self._may_name:
            # With PIPELINING it comes before the sender knows that MAIL FROM was refused (RFC 2920 3.1).
            self._give(Answer("503 5.5.1 MAIL first"))
            return
        reached_at = time.time()  # noqa: TID251
        self.recipient = _address(line)
        recipient = self.recipient
        answer = self.house.answer("rcpt", self)
        if answer.code == _OK:
            self._recipients.append((recipient, reached_at))
            self._undecided = True
            self._give(answer)
        else:
            self._give(answer, lambda: self._write_one("rcpt", answer, recipient, reached_at))

    def _data(self) -> None:
        if not self._recipients:
            self._give(Answer("554 5.5.1 no valid recipients"))
            return
        self._in_data = True
        self._give(Answer("354 go ahead"))

    def _abandon(self) -> None:
        """The sender gives up what it began."""
        if self._undecided:
            self._write_down("lost", _LOST)
        self._forget()

    def _forget(self) -> None:
        self._recipients = []
        self._undecided = self._may_name = False
        self.sender = self.id = self.queue_id = self.signed = ""

    def _write_down(self, phase: str, answer: Answer) -> None:
        for recipient, reached_at in self._recipients or [("", self.began_at)]:
            self._write_one(phase, answer, recipient, reached_at)
        self._undecided = False

    def _write_one(self, phase: str, answer: Answer, recipient: str, reached_at: float) -> None:
        attempt = Attempt(
            at=time.time(), monotonic=time.monotonic(), reached_at=reached_at, session=self.number,  # noqa: TID251
            source=self.source, helo=self.helo, receiver=self.house.receiver.name, address=self.address,
            sender=self.sender, recipient=recipient, phase=phase, code=answer.code, text=answer.text[:200],
            persona=answer.persona or self.house.persona.name, id=self.id, queue_id=self.queue_id, signed=self.signed,
        )  # fmt: skip
        if self._test == self._writer.test:
            self._writer.add(attempt)

    def _give(self, answer: Answer, decided: Callable[[], None] | None = None, *, ends: bool = False) -> None:
        """Say it, now or later. `decided` is called just before, and never if the sender has left meanwhile."""
        if answer.delay_s > 0:
            self._waiting = True
            later = answer._replace(delay_s=0.0)
            asyncio.get_running_loop().call_later(answer.delay_s, self._give_late, later, decided, ends)
            return
        transport = self._transport
        if transport is None:
            return
        if decided is not None:
            decided()
        if answer.ending == "hang":
            self._waiting = True
            return
        if answer.ending == "say":
            transport.write(answer.text.replace("\n", "\r\n").encode() + b"\r\n")
        if ends or answer.ending == "drop" or answer.code == _CLOSING:
            transport.close()
            self._transport = None

    def _give_late(self, answer: Answer, decided: Callable[[], None] | None, ends: bool) -> None:
        self._waiting = False
        self._give(answer, decided, ends=ends)
        self._pump()


def _address(line: bytes) -> str:
    found = _ADDRESS.search(line)
    return found[1].decode("utf-8", "replace") if found is not None else line[5:].decode("utf-8", "replace")
