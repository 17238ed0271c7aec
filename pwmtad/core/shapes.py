"""The shapes that nine of ten lines of a busy host have, told by a few comparisons of strings instead of by the grammar.

A shape is narrower than what the grammar takes for the same event, and gives what the grammar would: whatever looks only a
little different is left to it. Only for messages of ASCII, so that a digit is one of ten.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from pwmtad.core.assess import Assessor, Weighed
from pwmtad.core.attribution import Routes
from pwmtad.core.digest import (
    ATTEMPT,
    CHATTER,
    CLIENT,
    MESSAGE_ID,
    QUEUED,
    QUEUED_NULL,
    REMOVED,
    SESSION,
    SIGNED,
    SILENT,
)
from pwmtad.core.lines import Known, LineReader
from pwmtad.core.message_ids import MARK
from pwmtad.core.postfix_log import delivery
from pwmtad.model.names import Instant, SourceKind

TLS: Final = frozenset({"Untrusted", "Trusted", "Anonymous", "Verified"})
TLS_REST: Final = "TLS connection "
SMTP, QMGR, SMTPD, CLEANUP, OPENDKIM = range(5)
"""Programs that have shapes."""
_PROGRAMS: Final = {"smtp": SMTP, "qmgr": QMGR, "smtpd": SMTPD, "cleanup": CLEANUP, "opendkim": OPENDKIM}
_EDGES: Final = frozenset({"connect", "disconnect"})
_QUEUED: Final = re.compile(r'from=<([^\s<>"\[\]@]*@?[^\s<>"\[\]@]*)>, size=\d{1,19}, nrcpt=\d{1,10} \(queue active\)')
_CLIENT: Final = re.compile(r"client=[^\s,\[]+\[([^\]\s]+)\]")
_SIGNED: Final = re.compile(r"DKIM-Signature field added \(s=\S+, d=\S+\)$")
_ATTEMPT: Final = re.compile(
    r"to=<([+0-9A-Za-z.!#$%&'*/=?^_`{|}~-]+@([0-9a-z.-]*[0-9a-z]))>, "
    r"relay=(?:none|(?!none\[)([0-9A-Za-z._-]+)\[[^],]*\]:[0-9]{1,5}), (?:conn_use=[0-9]{1,9}, )?"
    r"delay=([0-9]{1,9}(?:\.[0-9]{1,5})?), delays=([0-9][0-9./]{0,59}), "
    r"dsn=([0-9]\.[0-9]{1,3}\.[0-9]{1,3}), status=(sent|deferred|bounced) \((.*)",
    re.DOTALL,
)
"""An address that can end at one place only, and whose domain is written as `text.domain_of` gives it."""
_CACHE_LIMIT: Final = 4096
"""Entries of each cache; emptied when full: clients and remotes choose some of what is in them."""
_MAX_LIVE: Final = 100_000
"""Queue ids at hand; as many as the correlator keeps open by default."""
_Shape: TypeAlias = Callable[[Known, str, str, str, Instant, str], int]
"""(tag taken apart, `tag[pid]:`, first word of the message, rest of it, time, host) -> kind."""


class Shapes:
    """Tells kinds. What is public here is what the digester's loop looks at by itself."""

    def __init__(self, kind: SourceKind, routes: Routes, assessor: Assessor) -> None:
        self._routes = routes
        self._assessor = assessor
        self._shapes: dict[str, _Shape] = {}
        if kind is not SourceKind.OPENDKIM:
            self._shapes = {"smtp": self._attempt, "qmgr": self._queue, "smtpd": self._client, "cleanup": _message_id}
        if kind is not SourceKind.POSTFIX:
            self._shapes["opendkim"] = self._signed
        self.programs: dict[str, int] = {}
        """By `tag[pid]:`, which of the programs above."""
        self.egresses: dict[str, tuple[str, str]] = {}
        """By `tag[pid]:`, what Routes.egress says of the tag."""
        self.live: set[str] = set()
        """First words of messages that were told to be a queue id and a colon, until `removed`."""
        self.senders: dict[str, int] = {}
        """By `from=<...`: QUEUED or QUEUED_NULL."""
        self.signatures: set[str] = set()
        """What follows the queue id of a signature."""
        self.more: list[Any] = []
        """Where `more` of a digest goes."""
        self.clients: dict[tuple[str, str], tuple[str, str]] = {}
        """By `tag[pid]:` and `client=...`: the stream and the process."""

    def tell(self, reader: LineReader, word: str, head: str, rest: str, at: Instant, host: str) -> int:
        """Return the kind of a message that begins with the word `head`; SILENT for what the grammar must look at."""
        known = reader.known(word)
        shape = None if known is None else self._shapes.get(known.program)
        if known is None or shape is None:
            return SILENT
        if word not in self.programs:
            _bound(self.programs)
            self.programs[word] = _PROGRAMS[known.program]
        kind = shape(known, word, head, rest, at, host)
        if kind > SESSION and kind != REMOVED:
            self.note(head)
        return kind

    def note(self, head: str) -> None:
        """Remember a queue id that was told to be one."""
        if len(self.live) >= _MAX_LIVE:
            self.live.clear()
        self.live.add(head)

    def plain(self, route: tuple[str, str], queue_id: str, rest: str) -> Weighed | None:
        """Take an attempt of smtp(8) apart whose address is plain and that has no part but the usual; None: it has."""
        found = _ATTEMPT.match(rest)
        if found is None:
            return None
        recipient, domain, relay_host, delay, delays, enhanced, status, text = found.groups()
        if text[-1:] == ")":  # absent where syslog cut the line
            text = text[:-1]
        return self._assessor.weigh(
            route, queue_id, recipient, domain, relay_host, float(delay), delays, enhanced, status, text
        )

    # -- by program

    def _attempt(self, known: Known, word: str, head: str, rest: str, at: Instant, host: str) -> int:
        if not rest.startswith("to=<"):
            return CHATTER if head in TLS and rest.startswith(TLS_REST) else SILENT
        if not is_id(head):
            return SILENT
        route = self.egresses.get(word)
        if route is None:
            _bound(self.egresses)
            route = self.egresses[word] = self._routes.egress(known.tag)
        found = self.plain(route, head[:-1], rest)
        if found is None:
            attempt = delivery(at, host, known.tag, known.pid, f"{head} {rest}")
            found = None if attempt is None else self._assessor.told(attempt)
            if found is None:
                return SILENT
        self.more.append(found)
        return ATTEMPT

    def _client(self, known: Known, word: str, head: str, rest: str, _at: Instant, _host: str) -> int:
        if not rest.startswith("client="):
            if head in _EDGES and rest.startswith("from "):
                return SESSION
            return CHATTER if head in TLS and rest.startswith(TLS_REST) else SILENT
        client = self.clients.get((word, rest))
        if client is None:
            found = _CLIENT.match(rest)
            if found is None:
                return SILENT
            _bound(self.clients)
            client = self.clients[word, rest] = (self._routes.injector(found[1], known.tag), known.session)
        if not is_id(head):
            return SILENT
        self.more.append(client)
        return CLIENT

    def _queue(self, _known: Known, _word: str, head: str, rest: str, _at: Instant, _host: str) -> int:
        if not is_id(head):
            return SILENT
        if rest == "removed":
            self.live.discard(head)
            return REMOVED
        found = _QUEUED.match(rest)
        if found is None:
            return SILENT
        kind = QUEUED if found[1] else QUEUED_NULL
        _bound(self.senders)
        self.senders[rest.partition(">, size=")[0]] = kind
        return kind

    def _signed(self, _known: Known, _word: str, head: str, rest: str, _at: Instant, _host: str) -> int:
        if rest not in self.signatures:
            if _SIGNED.match(rest) is None:
                return SILENT
            _bound(self.signatures)
            self.signatures.add(rest)
        return SIGNED if is_id(head) else SILENT


def _message_id(_known: Known, _word: str, head: str, rest: str, _at: Instant, _host: str) -> int:
    return MESSAGE_ID if rest.startswith("message-id=") and MARK not in rest and is_id(head) else SILENT


def is_id(head: str) -> bool:
    """Whether the first word of a message is a queue id and a colon. Words of letters alone are left to the grammar."""
    name = head[:-1]
    return name.isalnum() and not name.isalpha() and head[-1] == ":" and 5 <= len(name) <= 30


def _bound(cache: dict[Any, Any] | set[str]) -> None:
    """Make room for one more."""
    if len(cache) >= _CACHE_LIMIT:
        cache.clear()
