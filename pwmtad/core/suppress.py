"""Who is not to be mailed any more: counts what replies say about recipients until that is enough.

Only what a rule calls the recipient's or its domain's own fault counts (`hard_bounce`, `mailbox_full`, `dead_domain`); what
speaks of us never does, whatever its codes. An attempt speaks of its own recipient alone: a reply that names somebody else's
address suppresses nobody. What is complete lives in the store; here is what is still counted, and what is to be stored next.
An operator that calls too many of its recipients unknown is not believed (suppress_brake): those bounces are held back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final, TypeVar

from msgspec.structs import replace

from pwmtad.config import SuppressionSettings
from pwmtad.core.correlate import Classified
from pwmtad.core.subjects import address_of
from pwmtad.core.suppress_brake import GAVE_UP, BounceBrake, HardShare
from pwmtad.core.suppress_counting import FORGET_S, Counted, Counting
from pwmtad.core.suppress_words import held_back_record
from pwmtad.core.tally import Column
from pwmtad.core.text import clean
from pwmtad.model.counters import DAY_S, AttemptSeries
from pwmtad.model.judgement import Record
from pwmtad.model.names import Instant, ReplyClass
from pwmtad.model.suppression import (
    MANUAL,
    Grounds,
    Mark,
    Sighting,
    SubjectKind,
    SuppressionDeltas,
    SuppressionKey,
)

_MAX_DONE: Final = 10_000
_DONE_S: Final = float(DAY_S)
"""A domain that was suppressed is not counted again for so long: its queued messages are tried for days."""
_REPLY_LIMIT: Final = 300
_NAME_LIMIT: Final = 255
_Value = TypeVar("_Value")


class SuppressionBook:
    """Feed it attempts in the order of the log. Memory is bounded."""

    def __init__(
        self, settings: SuppressionSettings, own_domains: frozenset[str] = frozenset(), counting: Iterable[Sighting] = ()
    ) -> None:
        """`own_domains`: recipient domains of operators, which are never dead. `counting`: what the store has, oldest first."""
        self._counting = Counting(counting)
        self._done: dict[SuppressionKey, Instant] = {}
        self._removed: dict[SuppressionKey, None] = {}
        self._reset: dict[SuppressionKey, None] = {}
        self._sightings: dict[SuppressionKey, Sighting] = {}
        self._marks: list[Mark] = []
        self._brake = BounceBrake(settings)
        self._told: set[tuple[str, str]] = set()
        """Streams and operators whose hard bounces are held back, and of which that was recorded."""
        self.reconfigure(settings, own_domains)

    def reconfigure(self, settings: SuppressionSettings, own_domains: frozenset[str]) -> None:
        """Take a reloaded configuration; what was counted stays."""
        self._settings = self._brake.settings = settings
        self._own_domains = own_domains

    def load(self, attempts: Iterable[AttemptSeries]) -> None:
        """Take what the store has of the last day's attempts: by them operators are believed."""
        self._brake.load(attempts)

    # -- feeding

    def see(self, counted: Classified, at: Instant) -> Sequence[Record]:
        """Take an attempt that is no notification's; return the record if its operator is not believed any more."""
        self._brake.see(counted, at)
        reply_class = counted.reply_class
        if reply_class is None:
            self._taken(counted)
        elif not self._settings.keep:
            return ()
        elif reply_class is ReplyClass.HARD_BOUNCE:
            return self._see_hard(counted, at) if counted.attempt.status.lower() in GAVE_UP else ()
        elif reply_class is ReplyClass.MAILBOX_FULL:
            if counted.column is Column.FIRST:
                self._see_address(counted, at, _day(at), self._settings.mailbox_full_after)
        elif reply_class is ReplyClass.DEAD_DOMAIN:
            self._see_dead(counted, at)
        return ()

    def _see_hard(self, counted: Classified, at: Instant) -> Sequence[Record]:
        """Once is enough, unless the operator is not believed now, or was not when it said so first on this day."""
        address = address_of(counted.attempt.recipient)
        if address is None:
            return ()
        stream, operator = counted.stream, counted.operator
        key = _key(counted, SubjectKind.ADDRESS, address)
        before = self._counting.pop(key)
        day = _day(at)
        held = self._brake.holds(stream, operator, at)
        if not held:
            self._told.discard((stream, operator))
        if not held and (before is None or day not in before.seen):
            self._note(Sighting(key, 1, at, at, at, grounds=_grounds_of(counted)))
            return ()
        sighting = Sighting(key, 1, at, at, None, (day,), grounds=_grounds_of(counted))
        self._note(sighting)
        self._counting.put(key, Counted(at, (day,)))
        if not held or (stream, operator) in self._told:
            return ()
        self._told.add((stream, operator))
        return (held_back_record(stream, operator, self._brake.share(stream, operator, at), at),)

    def held_back(self, now: Instant) -> Iterable[tuple[str, str, HardShare]]:
        """Return the streams and operators whose hard bounces are held back now."""
        return self._brake.held(now) if self._settings.keep else ()

    def _see_dead(self, counted: Classified, at: Instant) -> None:
        """Several recipients tell of the domain; of a recipient that is alone there, as many days."""
        address = address_of(counted.attempt.recipient)
        domain = address.rpartition("@")[2] if address is not None else ""
        if not address or domain in self._own_domains:
            return
        needed = self._settings.dead_domain_after
        self._count(_key(counted, SubjectKind.DOMAIN, domain), counted, at, _hashed(address), needed)
        if counted.column is Column.FIRST:
            self._see_address(counted, at, _day(at), needed)

    def _see_address(self, counted: Classified, at: Instant, token: str, needed: int) -> None:
        address = address_of(counted.attempt.recipient)
        if address is not None:
            self._count(_key(counted, SubjectKind.ADDRESS, address), counted, at, token, needed)

    def _count(self, key: SuppressionKey, counted: Classified, at: Instant, token: str, needed: int) -> None:
        """Count one sighting, unless `token` was counted already."""
        done = self._done.get(key)
        if done is not None and abs(at - done) < _DONE_S:
            return
        before = self._counting.pop(key)
        seen = before.seen if before is not None and at - before.last_at <= FORGET_S else ()
        if before is not None and token in seen:
            self._counting.put_back(key, before)
            return
        seen = (*seen, token)
        enough = len(seen) >= needed
        sighting = Sighting(key, 1, at, at, at if enough else None, () if enough else seen, grounds=_grounds_of(counted))
        self._note(sighting)
        if not enough:
            self._counting.put(key, Counted(at, seen))
        elif key.kind == SubjectKind.DOMAIN:
            self._done[key] = at
            for oldest in _too_many(self._done, _MAX_DONE):
                del self._done[oldest]

    def _taken(self, counted: Classified) -> None:
        """Mail was taken: whatever was counted about this recipient or its domain is not so."""
        address = counted.attempt.recipient.lower().rstrip(".")
        domain = address.rpartition("@")[2]
        for key in self._counting.taken(counted.stream, address, domain):
            noted = self._sightings.get(key)
            if noted is None or noted.suppressed_at is None:
                self._sightings.pop(key, None)
                self._reset[key] = None

    # -- people and reports

    def put(self, keys: Iterable[SuppressionKey], why: str, by: str, now: Instant) -> None:
        """A person suppresses."""
        for key in keys:
            held = key._replace(reply_class=ReplyClass.HARD_BOUNCE.value)
            if self._counting.pop(held) is not None:  # a person believes what was held back
                self._sightings.pop(held, None)
                self._reset[held] = None
            self._counting.pop(key)
            grounds = Grounds(rule=MANUAL, reply=clean(why, _REPLY_LIMIT))
            self._note(Sighting(key, 1, now, now, now, by=clean(by, _NAME_LIMIT), grounds=grounds))

    def remove(self, keys: Iterable[SuppressionKey]) -> None:
        """A person takes suppressions back: counting begins anew."""
        for key in keys:
            self._counting.pop(key)
            for table in (self._done, self._reset, self._sightings):
                table.pop(key, None)
            self._removed[key] = None

    def mark(self, marks: Iterable[Mark]) -> None:
        """Note what became of reports."""
        self._marks += marks

    # -- store

    @property
    def has_deltas(self) -> bool:
        """Whether a commit would write anything."""
        return bool(self._removed or self._reset or self._sightings or self._marks)

    def take_deltas(self) -> SuppressionDeltas:
        """Return what changed since the last call."""
        deltas = SuppressionDeltas(
            tuple(self._removed), tuple(self._reset), tuple(self._sightings.values()), tuple(self._marks)
        )
        self._removed, self._reset, self._sightings, self._marks = {}, {}, {}, []
        return deltas

    def _note(self, sighting: Sighting) -> None:
        """Add to what the next commit writes."""
        key = sighting.key
        before = self._sightings.get(key)
        if before is not None:
            sighting = replace(
                sighting,
                count=before.count + sighting.count,
                first_at=min(before.first_at, sighting.first_at),
                last_at=max(before.last_at, sighting.last_at),
                suppressed_at=before.suppressed_at if before.suppressed_at is not None else sighting.suppressed_at,
                by=sighting.by or before.by,
            )
        self._sightings[key] = sighting


def _grounds_of(counted: Classified) -> Grounds:
    attempt = counted.attempt
    return Grounds(
        queue_id=clean(attempt.queue_id, 30),
        egress=counted.egress,
        operator=counted.operator,
        relay_host=clean(attempt.relay_host or "", _NAME_LIMIT),
        rule=counted.rule or "",
        reply=clean(attempt.text, _REPLY_LIMIT),
    )


def _day(at: Instant) -> str:
    return str(int(at // DAY_S))


def _hashed(address: str) -> str:
    """Enough to count different ones; the addresses themselves are not what a domain is suppressed for."""
    return hashlib.sha256(address.encode("utf-8", "replace")).hexdigest()[:16]


def _key(counted: Classified, kind: SubjectKind, subject: str) -> SuppressionKey:
    reply_class = counted.reply_class.value if counted.reply_class is not None else ""
    return SuppressionKey(counted.stream, kind.value, subject, reply_class)


def _too_many(table: dict[SuppressionKey, _Value], limit: int) -> list[SuppressionKey]:
    """Return the oldest hundredth where there are too many: a dictionary that loses its first entry one by one searches."""
    return list(islice(table, limit // 100)) if len(table) > limit else []
