"""What goes over the wire: one campaign's message to one subscriber, with the headers that Listmonk gives it.

In: a campaign and a person. Out: envelope and bytes. The body is encoded once a campaign; only a few headers differ.
"""

from __future__ import annotations

import quopri
import secrets
from collections.abc import Iterable, Mapping
from email.header import Header
from email.utils import format_datetime, formataddr, parseaddr
from typing import Any, Final, NamedTuple

import msgspec

from tests.tools.listmonk.clock import Clock
from tests.tools.listmonk.versions import Traits

_BOUNDARY: Final = "=_listmonk_alternative"
_PID: Final = 7
_ADDRESS_HEADERS: Final = ("cc", "bcc")


class Campaign(msgspec.Struct, frozen=True, kw_only=True):
    """What sending needs of a row of `campaigns`."""

    id: int
    uuid: str
    name: str
    subject: str
    from_email: str
    body: str
    altbody: str | None
    content_type: str
    headers: tuple[tuple[str, str], ...]
    messenger: str
    scheduled: bool
    """It has a `send_at`."""


class Person(NamedTuple):
    """A subscriber."""

    id: int
    uuid: str
    email: str


class Message(NamedTuple):
    """Envelope and content."""

    sender: str
    recipients: tuple[str, ...]
    message_id: str
    data: bytes


class Composer:
    """Writes messages as one version does on one host."""

    def __init__(self, traits: Traits, clock: Clock, *, hostname: str, root_url: str, unsubscribe_header: bool) -> None:
        self._traits = traits
        self._clock = clock
        dotless = traits.dotless_host_gets_a_domain and "." not in hostname
        self._hostname = "localhost.localdomain" if dotless else hostname
        self._root_url = root_url
        self._unsubscribe_header = unsubscribe_header
        self._bodies: dict[int, tuple[Campaign, bytes]] = {}

    def compose(self, campaign: Campaign, person: Person) -> Message:
        """Return the message; campaign headers override, `Return-Path` becomes the envelope sender, Cc and Bcc recipients."""
        sender = parseaddr(campaign.from_email)[1]
        recipients = [person.email]
        headers = self._standard(campaign, person, sender)
        for name, value in campaign.headers:
            lower = name.lower()
            if lower == "return-path":
                sender = parseaddr(value)[1]
                continue
            if lower in _ADDRESS_HEADERS:
                recipients += [address for _, address in map(parseaddr, value.split(",")) if address]
            if lower != "bcc":
                headers = {known: old for known, old in headers.items() if known.lower() != lower} | {name: value}
        message_id = next(value for name, value in headers.items() if name.lower() == "message-id")
        return Message(sender, tuple(recipients), message_id, _lines(headers.items()) + self._body(campaign))

    def _standard(self, campaign: Campaign, person: Person, sender: str) -> dict[str, str]:
        headers = {
            "From": _address(campaign.from_email),
            "To": person.email,
            "Subject": _text(campaign.subject),
            "Date": format_datetime(self._clock.wall()),
            "Message-Id": self._message_id(sender),
            "MIME-Version": "1.0",
            "X-Listmonk-Campaign": campaign.uuid,
            "X-Listmonk-Subscriber": person.uuid,
        }
        if self._unsubscribe_header:
            headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
            headers["List-Unsubscribe"] = f"<{self._root_url}/subscription/{campaign.uuid}/{person.uuid}>"
        return headers

    def _message_id(self, sender: str) -> str:
        if self._traits.message_id_from_sender:
            return f"<{secrets.token_hex(12)}@{sender.rpartition('@')[2] or 'localhost'}>"
        nanoseconds = int(self._clock.wall().timestamp() * 1e9)
        return f"<{nanoseconds}.{_PID}.{secrets.randbits(63)}@{self._hostname}>"

    def _body(self, campaign: Campaign) -> bytes:
        kept = self._bodies.get(campaign.id)
        if kept is None or kept[0] != campaign:
            kept = self._bodies[campaign.id] = (campaign, _body(campaign))
        return kept[1]


def headers_of(stored: Iterable[Mapping[str, Any]]) -> tuple[tuple[str, str], ...]:
    """Return name and value of each header of `campaigns.headers`, which holds objects with one or more of them."""
    return tuple((name, str(value)) for one in stored for name, value in one.items())


def _body(campaign: Campaign) -> bytes:
    if campaign.content_type == "plain":
        return _part("plain", campaign.body)
    html = _part("html", campaign.body)
    if not campaign.altbody:
        return html
    parts = b"".join(f"--{_BOUNDARY}\r\n".encode() + part + b"\r\n" for part in (_part("plain", campaign.altbody), html))
    head = f'Content-Type: multipart/alternative; boundary="{_BOUNDARY}"\r\n\r\n'.encode()
    return head + parts + f"--{_BOUNDARY}--\r\n".encode()


def _part(kind: str, text: str) -> bytes:
    head = f"Content-Type: text/{kind}; charset=UTF-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    unix = text.replace("\r\n", "\n").encode()
    return head.encode() + quopri.encodestring(unix).replace(b"\n", b"\r\n")


def _lines(headers: Iterable[tuple[str, str]]) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in headers).encode()


def _text(text: str) -> str:
    return text if text.isascii() else Header(text, "utf-8").encode(linesep="\r\n")


def _address(text: str) -> str:
    name, address = parseaddr(text)
    return formataddr((name, address)) if address else text
