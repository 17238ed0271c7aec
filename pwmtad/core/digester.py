"""Lines -> digests: by their shapes where they have one, by the grammar where not.

The result is the grammar's: a test holds both against each other. Nothing here depends on other lines but the year of
traditional timestamps, so digests can be made elsewhere than where they are counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast

from pwmtad.core.assess import Assessor
from pwmtad.core.attribution import Routes
from pwmtad.core.coverage import SESSION_EDGES
from pwmtad.core.digest import (
    ATTEMPT,
    CHATTER,
    CLIENT,
    EVENT,
    MESSAGE_ID,
    NO_TIME,
    REMOVED,
    SESSION,
    SIGNED,
    SILENT,
    Digest,
    is_mine,
)
from pwmtad.core.lines import LineReader, daemon_of
from pwmtad.core.message_ids import MARK
from pwmtad.core.shapes import CLEANUP, OPENDKIM, QMGR, SMTP, SMTPD, TLS, TLS_REST, Shapes, is_id
from pwmtad.model import events
from pwmtad.model.events import AnyEvent
from pwmtad.model.names import SourceKind
from pwmtad.model.sources import JournalEntry

_MATTER: Final = frozenset(
    {
        events.Attempt, events.LocalDeferral, events.Client, events.Pickup, events.Queued, events.Removed, events.Expired,
        events.Notification, events.MilterReject, events.MilterUnreachable, events.BindFailed, events.Signed,
    }
)  # fmt: skip
"""Events that change what is known of a queue id, or that the judgement is told of."""
_WORDS: Final = 5
"""Timestamp, host, tag, first word of the message, rest of it."""
_ONE: Final = ", nrcpt=1 (queue active)"
_ONE_LENGTH: Final = len(_ONE)
_SIZE_LENGTH: Final = _ONE_LENGTH + 20
"""More characters than a size and the rest have (postfix_log allows 19 digits)."""


class Digester:
    """Makes digests of one source's lines, for the routes and rules of now."""

    def __init__(self, kind: SourceKind, routes: Routes, assessor: Assessor) -> None:
        self._kind = kind
        self._shapes = Shapes(kind, routes, assessor)
        self._made = _empty()

    def __call__(self, reader: LineReader, records: Sequence[str] | Sequence[JournalEntry]) -> Digest:
        """Digest lines, or entries of the journal, in order."""
        self._made = made = _empty()
        self._shapes.more = made.more
        if records and not isinstance(records[0], str):
            self._entries(reader, cast("Sequence[JournalEntry]", records))
        else:
            self._lines(reader, cast("Sequence[str]", records))
        return made

    # One loop instead of a call for each line: 1.2 instead of 1.7 us a line that is no attempt (own measurement).
    def _lines(self, reader: LineReader, lines: Sequence[str]) -> None:  # noqa: C901
        made, shapes = self._made, self._shapes
        add_kind, add_time, add_id, add_more = made.kinds.append, made.times.append, made.ids.append, made.more.append
        live, programs, senders, signatures, egresses, clients = (
            shapes.live, shapes.programs, shapes.senders, shapes.signatures, shapes.egresses, shapes.clients
        )  # fmt: skip
        second, zone, base_us = reader.second
        for line in lines:
            try:
                stamp, host, word, head, rest = line.split(" ", _WORDS - 1)
            except ValueError:
                stamp = host = word = head = rest = ""
            fraction = stamp[20:26]
            if stamp[:20] != second or stamp[26:] != zone or not fraction.isdigit() or not line.isascii():
                self._begin(reader, line)
                second, zone, base_us = reader.second
                continue
            at = (base_us + int(fraction)) / 1_000_000  # as Rfc3339.read does it
            program, kind = programs.get(word), SILENT
            if head not in live:
                if program == SMTP:
                    if head in TLS and rest.startswith(TLS_REST):
                        kind = CHATTER
                elif program == SMTPD:
                    client = clients.get((word, rest))
                    if client is not None and is_id(head):
                        shapes.note(head)
                        add_more(client)
                        kind = CLIENT
            elif program == QMGR:
                if rest == "removed":
                    live.remove(head)
                    kind = REMOVED
                else:
                    sender, _, size = rest.partition(">, size=")
                    if size[-_ONE_LENGTH:] == _ONE and size[:-_ONE_LENGTH].isdigit() and len(size) < _SIZE_LENGTH:
                        kind = senders.get(sender, SILENT)
            elif program == SMTP:
                route = egresses.get(word)
                if route is not None and rest.startswith("to=<"):
                    found = shapes.plain(route, head[:-1], rest)
                    if found is not None:
                        add_more(found)
                        kind = ATTEMPT
            elif program == OPENDKIM:
                if rest in signatures:
                    kind = SIGNED
            elif program == CLEANUP and rest.startswith("message-id=") and MARK not in rest:
                kind = MESSAGE_ID
            if kind or (kind := shapes.tell(reader, word, head, rest, at, host)):
                add_kind(kind)
                add_time(at)
                add_id(head[:-1] if kind != SESSION else word[:-1])
            else:
                self._event(reader.line(line))

    def _begin(self, reader: LineReader, line: str) -> None:
        """Take the first line of a second, or one that has another timestamp than those around it, or none."""
        words = line.split(" ", _WORDS - 1)
        at = reader.begin(line, words)
        kind = SILENT
        if at is not None and len(words) == _WORDS:
            _, host, word, head, rest = words
            kind = self._shapes.tell(reader, word, head, rest, at, host)
            if kind:
                self._made.kinds.append(kind)
                self._made.times.append(at)
                self._made.ids.append(head[:-1] if kind != SESSION else word[:-1])
        if not kind:
            self._event(reader.line(line))

    def _entries(self, reader: LineReader, entries: Sequence[JournalEntry]) -> None:
        made = self._made
        for entry in entries:
            word = f"{entry.tag}:" if entry.pid is None else f"{entry.tag}[{entry.pid}]:"  # as a file's line has it
            head, _, rest = entry.message.partition(" ")
            kind = SILENT
            if entry.message.isascii():
                kind = self._shapes.tell(reader, word, head, rest, entry.at, entry.host)
            if not kind:
                self._event(reader.entry(entry))
                continue
            made.kinds.append(kind)
            made.times.append(entry.at)
            made.ids.append(head[:-1] if kind != SESSION else word[:-1])

    def _event(self, event: AnyEvent) -> None:
        """Take what the grammar made of a line."""
        made = self._made
        mine = is_mine(self._kind, event)
        matters = isinstance(event, events.Suppressed) or (mine and _matters(event))  # journald speaks for all
        made.kinds.append(EVENT if matters else SILENT)
        made.times.append(NO_TIME if event.at is None else event.at)
        made.ids.append("")
        if matters:
            made.more.append(event)
        line = (daemon_of(event.tag), "unparsed" if isinstance(event, events.Unparsed) else "parsed")
        made.lines[line] = made.lines.get(line, 0) + 1
        if mine:
            made.events[event.name] = made.events.get(event.name, 0) + 1


def _matters(event: AnyEvent) -> bool:
    if isinstance(event, events.MessageId):
        return MARK in event.message_id
    return type(event) in _MATTER or (isinstance(event, events.Other) and event.text.startswith(SESSION_EDGES))


def _empty() -> Digest:
    return Digest(bytearray(), [], [], [], {}, {})
