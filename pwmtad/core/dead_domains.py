"""Domains that take no mail: listed for suppression after several answers that say so, and none that says otherwise.

Kept in memory only: after a restart a domain needs its answers again, and is listed again, which the suppression list bears.
"""

from __future__ import annotations

from itertools import islice
from typing import Final

from pwmtad.core.correlate import Classified
from pwmtad.core.evidence import evidence_of
from pwmtad.core.records import quote
from pwmtad.core.text import clean
from pwmtad.model.counters import DAY_S
from pwmtad.model.judgement import Record, RecordKind
from pwmtad.model.names import Instant, ReplyClass

_DEAD_DOMAIN: Final = ReplyClass.DEAD_DOMAIN
DEAD_DOMAIN_AFTER: Final = 3
"""Answers of class dead_domain before a domain is listed: one may be a DNS hiccup, and retries are hours apart. Own choice."""
_FORGET_S: Final = 7 * DAY_S
"""Answers further apart than this have nothing to do with each other: no message is retried so long (maximal_queue_lifetime is
5 days)."""
MAX_DOMAINS: Final = 10_000
"""Domains that are counted, and that are remembered as listed; the one seen longest ago goes first."""
_NAME_LIMIT: Final = 255
"""Characters of a domain name (RFC 1035 2.3.4)."""


class DeadDomains:
    """Counts by domain. Memory is bounded."""

    def __init__(self) -> None:
        self._counts: dict[str, tuple[int, Instant]] = {}
        self._listed: dict[str, None] = {}

    def see(self, counted: Classified, at: Instant) -> Record | None:
        """Take an attempt that is no notification's; return the record of a domain that is listed by it."""
        if counted.reply_class is _DEAD_DOMAIN:
            return self._dead(counted, at)
        if counted.reply_class is None and (self._counts or self._listed):
            name = _name(counted)
            self._counts.pop(name, None)
            self._listed.pop(name, None)
        return None

    def _dead(self, counted: Classified, at: Instant) -> Record | None:
        name = _name(counted)
        if not name or name in self._listed:
            return None
        count, last = self._counts.pop(name, (0, at))
        count = count + 1 if at - last <= _FORGET_S else 1
        if count < DEAD_DOMAIN_AFTER:
            self._counts[name] = (count, at)
            _bound(self._counts)
            return None
        self._listed[name] = None
        _bound(self._listed)
        subject = clean(name, _NAME_LIMIT)
        reason = f"{subject} answered {count} times that it does not take mail at all"
        line = quote(evidence_of(counted, at))
        return Record(at, RecordKind.SUPPRESS, counted.stream, counted.rule or "", reason, (line,), subject=subject)


def _name(counted: Classified) -> str:
    return counted.domain[:_NAME_LIMIT]


def _bound(table: dict[str, tuple[int, Instant]] | dict[str, None]) -> None:
    """Forget the oldest hundredth at once: a dictionary that loses its first entry one by one searches for it."""
    if len(table) > MAX_DOMAINS:
        for name in list(islice(table, MAX_DOMAINS // 100)):
            del table[name]
