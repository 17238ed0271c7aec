"""A syslog line or a journal entry -> event: finds the timestamp, host, tag and pid, and hands the message to its grammar.

The reader keeps small caches (last second, known tags) but the result depends only on the line and, for traditional
timestamps, on the order of lines (year, DST). Unknown timestamps are not fatal: `at` is then None.
"""

from __future__ import annotations

import re
from datetime import UTC, tzinfo
from typing import Final, NamedTuple

from pwmtad.core.opendkim_log import opendkim
from pwmtad.core.postfix_log import HANDLERS, Handler, anything
from pwmtad.core.timestamps import Rfc3339, Traditional
from pwmtad.model import events
from pwmtad.model.events import AnyEvent
from pwmtad.model.names import Instant
from pwmtad.model.sources import JournalEntry

_TAG: Final = re.compile(r"([^\s\[\]:]{1,128})(?:\[(\d{1,10})\])?:$")
# A line whose timestamp has an unknown shape: at most six words, then the tag. Nothing remote-controlled stands that early.
_UNKNOWN_PREFIX: Final = re.compile(
    r"(?:<\d{1,3}>)?(?:\S+ +){0,6}?((?:postfix|opendkim)[^\s\[\]:]{0,120}\[\d{1,10}\]:) ?(.*)", re.DOTALL
)
_SUPPRESSED: Final = re.compile(r"Suppressed (\d{1,10}) messages from (\S+)")
_RSYSLOG_INPUTS: Final = ("imuxsock", "imjournal")
_RSYSLOG_LOST: Final = re.compile(r"begins to drop messages|lost (\d{1,10}) messages|(\d{1,10}) messages lost")
_TAG_CACHE_LIMIT: Final = 4096
"""Entries; a tag with its pid. Postfix starts a new smtp process every 100 deliveries, so the cache must be bounded."""


class Known(NamedTuple):
    """What is known of a tag with its pid."""

    tag: str
    pid: int | None
    handler: Handler
    program: str
    """The program of Postfix that has a grammar of its own, or `opendkim`; else empty."""
    session: str
    """`tag[pid]`: what tells one process from another."""


class LineReader:
    """Turns lines into events. One reader per source: it remembers the year of traditional timestamps."""

    __slots__ = ("_grammars", "_rfc3339", "_traditional", "tags")

    def __init__(self, *, zone: tzinfo = UTC, now: Instant = 0.0, year: int | None = None) -> None:
        self._rfc3339 = Rfc3339()
        self._traditional = Traditional(zone=zone, now=now, year=year)
        self._grammars: dict[str, tuple[Handler, str]] = {}
        self.tags: dict[str, Known] = {}
        """By `tag[pid]:`, as far as `known` was asked for it."""

    def set_now(self, now: Instant) -> None:
        """Move the moment that decides the year of traditional timestamps."""
        self._traditional.set_now(now)

    def line(self, line: str) -> AnyEvent:
        """Read one line of a syslog file. Never raises; what has no meaning is `Other` or `Unparsed`."""
        if line[10:11] == "T":
            words = line.split(" ", 3)
            at = self._rfc3339.read(words[0])
            if at is not None and len(words) == 4:
                known = self.known(words[2])
                if known is not None:
                    return known[2](at, words[1], known[0], known[1], words[3])
        else:
            at = self._traditional.read(line)
            if at is not None:
                words = line[16:].split(" ", 2)
                if len(words) == 3:
                    known = self.known(words[1])
                    if known is not None:
                        return known[2](at, words[0], known[0], known[1], words[2])
        return self._unusual(line, at)

    def entry(self, entry: JournalEntry) -> AnyEvent:
        """Read one journal entry: the journal has taken the line apart already."""
        word = entry.tag + ":"  # as a file's line has it: one cache for both
        known = self.known(word)
        if known is None:
            return events.Unparsed(entry.at, entry.host, entry.tag, entry.pid, entry.message)
        return known[2](entry.at, entry.host, known[0], entry.pid, entry.message)

    def bare(self, message: str, *, source: str = "postfix") -> AnyEvent:
        """Read a message body without its syslog prefix (`QUEUEID: to=<...> ...`)."""
        if source == "opendkim":
            return opendkim(None, "", "opendkim", None, message)
        for handler in _BARE_ORDER:
            event = handler(None, "", "postfix", None, message)
            if not isinstance(event, events.Other | events.Warned):
                return event
        return anything(None, "", "postfix", None, message)

    def known(self, word: str) -> Known | None:
        """Take `tag[pid]:` apart and find its grammar; None if it is no tag."""
        known = self.tags.get(word)
        if known is not None:
            return known
        found = _TAG.match(word)
        if found is None:
            return None
        tag, pid = found.groups()
        grammar = self._grammars.get(tag)
        if grammar is None:
            if len(self._grammars) >= _TAG_CACHE_LIMIT:
                self._grammars.clear()
            grammar = self._grammars[tag] = _grammar_of(tag)
        handler, program = grammar
        number = int(pid) if pid else None
        known = Known(tag, number, handler, program, f"{tag}[{number}]")
        if len(self.tags) >= _TAG_CACHE_LIMIT:
            self.tags.clear()
        self.tags[word] = known
        return known

    @property
    def second(self) -> tuple[str, str, int]:
        """What RFC 3339 timestamps of the last second read begin and end with, and that second in microseconds."""
        return self._rfc3339.second

    def begin(self, line: str, words: list[str]) -> Instant | None:
        """Read the timestamp of a line of ASCII that was split into its first words; None: see `line` for what it is.

        Where a traditional timestamp is three words, `words` is changed to what it is with one.
        """
        if not line.isascii():
            return None
        if line[10:11] == "T":
            return self._rfc3339.read(words[0])
        at = self._traditional.read(line)
        if at is not None:
            words[:] = (line[:15], *line[16:].split(" ", 3))
        return at

    def _unusual(self, line: str, at: Instant | None) -> AnyEvent:
        found = _UNKNOWN_PREFIX.match(line)
        if found is not None and (known := self.known(found[1])) is not None:
            return known[2](at, "", known[0], known[1], found[2])
        return events.Unparsed(at, "", "", None, line)


def handler_for(tag: str) -> Handler:
    """Choose the grammar by the tag: Postfix's are `postfix/smtp`, `postfix/out05/smtp`, `postfix-out06/smtp`, or any
    `name/program` with a program of Postfix (a syslog_name may be anything).
    """
    head, slash, program = tag.rpartition("/")
    if slash and (handler := HANDLERS.get(program)) is not None:
        return handler
    if tag == "opendkim":
        return opendkim
    if tag == "systemd-journald":
        return _journald
    if tag == "rsyslogd":
        return _rsyslogd
    if tag.startswith("postfix") or head.startswith("postfix"):
        return anything
    return _unknown


def _grammar_of(tag: str) -> tuple[Handler, str]:
    handler = handler_for(tag)
    if handler is opendkim:
        return handler, "opendkim"
    program = tag.rpartition("/")[2]
    return handler, program if HANDLERS.get(program) is handler else ""


def daemon_of(tag: str) -> str:
    """`postfix`, `opendkim` or `other`: the label under which unparsed lines are counted."""
    handler = handler_for(tag)
    if handler is opendkim:
        return "opendkim"
    return "other" if handler in (_unknown, _journald, _rsyslogd) else "postfix"


def _journald(at: Instant | None, host: str, tag: str, pid: int | None, message: str) -> AnyEvent:
    if (found := _SUPPRESSED.match(message)) is not None:
        return events.Suppressed(at, host, tag, pid, int(found[1]), found[2])
    return events.Other(at, host, tag, pid, None, message)


def _rsyslogd(at: Instant | None, host: str, tag: str, pid: int | None, message: str) -> AnyEvent:
    if message.startswith(_RSYSLOG_INPUTS) and (found := _RSYSLOG_LOST.search(message)) is not None:
        return events.Suppressed(at, host, tag, pid, int(found[1] or found[2] or 0), None)
    return events.Other(at, host, tag, pid, None, message)


def _unknown(at: Instant | None, host: str, tag: str, pid: int | None, message: str) -> AnyEvent:
    return events.Unparsed(at, host, tag, pid, message)


_BARE_ORDER: Final = tuple(
    HANDLERS[name] for name in ("smtp", "qmgr", "smtpd", "cleanup", "pickup", "bounce", "postsuper", "master")
)
