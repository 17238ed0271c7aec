"""Reads what `postqueue -j` prints: one JSON object a line for each message. Addresses and reasons are other people's text.

Input is bytes as they come; output is entries, bounded in number and size, whatever the queue holds.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec
from msgspec import Struct

from pwmtad.core.text import clean, domain_of
from pwmtad.model.target import MAX_DOMAINS, QueueEntry

_MAX_LINE: Final = 1024 * 1024
"""Bytes of a line that are kept: a message to a thousand recipients that all wait has some 300 KB."""
_ADDRESS: Final = 320
"""Characters of an address: 64 + 1 + 255 (RFC 5321 s4.5.3.1)."""
_REASON: Final = 200
_HEAD: Final = re.compile(
    rb'\{"queue_name": "(\w{1,20})", "queue_id": "(\w{1,60})", "arrival_time": (\d{1,15}), "message_size": \d{1,20}'
    rb'(?:, "forced_expire": \w{4,5})?, "sender": "((?:[^"\\]|\\.){0,2000})"'
)
"""The begin of a line that is too long to be kept whole (showq_json.c)."""


class _Recipient(Struct):
    address: str = ""
    delay_reason: str = ""


class _Message(Struct):
    queue_name: str
    queue_id: str
    arrival_time: float
    sender: str = ""
    recipients: list[_Recipient] = []


class QueueReader:
    """Takes output piece by piece. `cut` says whether there were more messages than `max_entries`."""

    def __init__(self, max_entries: int) -> None:
        self.entries: list[QueueEntry] = []
        self.cut = False
        self.unread = 0
        """Lines that could not be understood."""
        self._max_entries = max_entries
        self._rest = bytearray()
        self._too_long = False
        self._decoder = msgspec.json.Decoder(_Message)

    def take(self, chunk: bytes) -> None:
        """Take the next piece of output."""
        *whole, rest = chunk.split(b"\n")
        for piece in whole:
            self._keep(piece)
            self._line()
        self._keep(rest)

    def _keep(self, piece: bytes) -> None:
        room = _MAX_LINE - len(self._rest)
        self._rest += piece[:room]
        self._too_long = self._too_long or len(piece) > room

    def _line(self) -> None:
        line, too_long = bytes(self._rest), self._too_long
        self._rest.clear()
        self._too_long = False
        if not line:
            return
        if len(self.entries) >= self._max_entries:
            self.cut = True
            return
        entry = self._head(line) if too_long else self._whole(line)
        if entry is None:
            self.unread += 1
        else:
            self.entries.append(entry)

    def _whole(self, line: bytes) -> QueueEntry | None:
        try:
            message = self._decoder.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return self._head(line)
        domains = dict.fromkeys(domain_of(one.address[:_ADDRESS]) for one in message.recipients)
        return QueueEntry(
            queue_name=clean(message.queue_name, 20),
            queue_id=clean(message.queue_id, 60),
            arrival_at=message.arrival_time,
            sender=clean(message.sender, _ADDRESS),
            domains=tuple(clean(domain, 255) for domain in list(domains)[:MAX_DOMAINS] if domain),
            delay_reason=clean(next((one.delay_reason for one in message.recipients if one.delay_reason), ""), _REASON),
        )

    def _head(self, line: bytes) -> QueueEntry | None:
        found = _HEAD.match(line)
        if found is None:
            return None
        name, queue_id, arrival, sender = (part.decode("utf-8", "replace") for part in found.groups())
        return QueueEntry(name, queue_id, float(arrival), clean(sender, _ADDRESS), ())
