"""Observation: batches of lines in, counters out. Everything between the sources and the judgement, without any I/O.

One source per event: OpenDKIM also logs to mail.log, so a source delivers only the kinds of events that it was made for.
The watermark is the time up to which every source was read: coverage is judged against it, never against the clock alone,
so a slow or unreadable journal makes nothing look unsigned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, tzinfo
from math import isnan
from typing import Any, Final

from msgspec import Struct

from pwmtad.core.attribution import Routes
from pwmtad.core.classify import Classifier
from pwmtad.core.correlate import Classified, Correlator, Limits
from pwmtad.core.digest import (
    ATTEMPT,
    CLIENT,
    MESSAGE_ID,
    QUEUED,
    QUEUED_NULL,
    REMOVED,
    SESSION,
    SIGNED,
    Digest,
    is_mine,
)
from pwmtad.core.digester import Digester
from pwmtad.core.guard import Guard
from pwmtad.core.latency import Latency
from pwmtad.core.lines import LineReader, daemon_of
from pwmtad.core.policy import Context
from pwmtad.core.tally import Tally
from pwmtad.model import events
from pwmtad.model.counters import MINUTE_S
from pwmtad.model.events import AnyEvent
from pwmtad.model.ledger import Commit, Ledger
from pwmtad.model.names import Instant, SourceKind
from pwmtad.model.sources import Batch, Checkpoint, JournalEntry, SourceHealth

_LOOK_INTERVAL_S: Final = 1.0
"""Between two looks that lines bring about; a tick comes as often."""
_UNVERIFIED_S: Final = 60.0
"""A source that delivered nothing for so long can't be waited for: what is queued meanwhile counts as unverified. One that is
busy reading a backlog is waited for. Own choice: twice the grace time, and longer than journalctl takes to be started again."""
_SIGNALS: Final = frozenset({events.MilterUnreachable, events.BindFailed, events.Suppressed, events.LocalDeferral})
"""Looked up by type: this is asked for every line."""


class Parts(Struct, frozen=True):
    """What a reload may replace while counting goes on."""

    routes: Routes
    classifier: Classifier
    limits: Limits
    grace_s: float | None


class SourceReading:
    """How far one source is, and what it said about itself."""

    __slots__ = ("caught_up", "checkpoint", "health", "heard_at", "kind", "last_line_at", "reader", "watermark")

    def __init__(self, kind: SourceKind, reader: LineReader, now: Instant) -> None:
        self.kind = kind
        self.reader = reader
        self.heard_at: Instant = now
        """When it last delivered lines, or said that it is at its end."""
        self.caught_up = False
        self.watermark: Instant = 0.0
        self.last_line_at: Instant | None = None
        self.checkpoint: Checkpoint | None = None
        self.health = SourceHealth()


class Observer:
    """Counts what batches hold. `take` in the order of arrival; `commit` gives what must become durable together."""

    def __init__(
        self,
        *,
        parts: Parts,
        sources: Mapping[str, SourceKind],
        max_reasons_per_day: int,
        zone: tzinfo = UTC,
        now: Instant,
        year: int | None = None,
        guard: Guard,
    ) -> None:
        self.guard = guard
        self.latency = Latency()
        """Filled by whoever knows when a batch was counted and judged."""
        self._routes = parts.routes
        self.warmup_starts: dict[str, Instant] = {}
        self.unknown: dict[str, str] = {}
        """Codes of what is not known now, with a sentence each; set by whoever looks at the outside."""
        self.doubts: Callable[[Instant], dict[str, str]] | None = None
        """Says at each look what `unknown` holds, where nobody looks at the outside (replay)."""
        self._next_look: Instant = 0.0
        self._soonest_look: Instant = 0.0
        self.counters_since: Instant | None = None
        """The oldest line that the counters have."""
        self.gap_at: Instant | None = None
        """When a source last said that it may have missed lines."""
        self.suppressed_at: Instant | None = None
        """When journald or rsyslog last said that it dropped lines."""
        self.tally = Tally(max_reasons_per_day=max_reasons_per_day)
        self.correlator = Correlator(
            routes=parts.routes,
            classifier=parts.classifier,
            tally=self.tally,
            limits=parts.limits,
            grace_s=parts.grace_s,
        )
        self.sources = {
            name: SourceReading(kind, LineReader(zone=zone, now=now, year=year), now) for name, kind in sources.items()
        }
        self.event_counts: dict[str, int] = {}
        """Events by name, since the process started."""
        self._arrived_at: Instant | None = None
        """When the batch that is being counted arrived; None where lines have no arrival (replay)."""
        self._changed = False
        self._dirty_checkpoints: set[str] = set()
        self.tally.on_message = guard.message
        self._digesters: dict[str, Digester] = {}

    def reconfigure(self, parts: Parts) -> None:
        """Replace what a reload may replace."""
        self._routes = parts.routes
        self._digesters.clear()
        self.correlator.reconfigure(
            routes=parts.routes, classifier=parts.classifier, limits=parts.limits, grace_s=parts.grace_s
        )

    def know_milter(self, *, accepts: bool | None) -> None:
        """Take what main.cf says now of mail whose milter is gone."""
        self.guard.know_milter(accepts=accepts)

    def load(self, ledger: Ledger, now: Instant) -> None:
        """Take up where the store says the last run ended."""
        self.tally.load(ledger, now)
        self.counters_since = min((float(series.begin) for series in ledger.attempts), default=None)
        self.correlator.load(ledger)
        # The judgement goes on where the lines do: what the store has is all that was read.
        newest = max((float(series.end) for series in ledger.attempts), default=0.0)
        self.guard.load_counts(ledger, min(now, newest))
        for name, checkpoint in ledger.checkpoints.items():
            if name in self.sources:
                self.sources[name].checkpoint = checkpoint

    def take(self, batch: Batch, now: Instant) -> None:
        """Count the lines of a batch; `now` is the moment it arrived."""
        source = self.sources[batch.source]
        if batch.records:
            source.reader.set_now(now)
            self._arrived_at = now
            self.correlator.assume(now)
            self.count(batch.source, batch.records, now)
            self._changed = True
        if batch.checkpoint is not None and batch.checkpoint != source.checkpoint:
            source.checkpoint = batch.checkpoint
            self._dirty_checkpoints.add(batch.source)
        if batch.health.gaps > source.health.gaps:
            self.gap_at = now
        source.health = batch.health
        source.caught_up = batch.caught_up and batch.health.error is None
        if source.caught_up:
            source.watermark = now
        elif source.last_line_at is not None:
            source.watermark = max(min(source.watermark, now), min(source.last_line_at, now))
        if source.caught_up or (batch.records and batch.health.error is None):
            source.heard_at = now

    def take_event(self, name: str, event: AnyEvent) -> None:
        """Count one event of lines that were merged by time (replay): every source was read up to its moment."""
        source = self.sources[name]
        self.tally.lines(name, daemon_of(event.tag), "unparsed" if isinstance(event, events.Unparsed) else "parsed", 1)
        if event.at is not None:
            source.last_line_at = event.at
            for other in self.sources.values():
                other.watermark = max(other.watermark, event.at)
            if event.at >= self._due:
                self.look(event.at)
        if is_mine(source.kind, event):
            self._count_event(event.name, 1)
            self._feed(event)
        elif isinstance(event, events.Suppressed):
            self.suppressed_at = self._judged_at(event.at)  # journald speaks for all

    def watermark(self) -> Instant:
        """The time up to which every source was read."""
        return min((source.watermark for source in self.sources.values()), default=0.0)

    def look(self, now: Instant) -> None:
        """Let lookbacks rotate, judge coverage up to the watermark, and ask everything that is a level.

        Called by every tick with the clock's time, and while lines are read as their own time goes on. While a backlog is read
        the judgement's time is that of its lines, so it is judged as it would have been judged live.
        """
        self.tally.advance(now)
        self.correlator.advance(self.watermark())
        if self.doubts is not None:
            self.unknown = self.doubts(now)
        judged = self._judgement_time(now)
        if judged is None:
            return
        self._next_look = (judged // MINUTE_S + 1) * MINUTE_S
        self._soonest_look = judged + _LOOK_INTERVAL_S
        lost = any(max(source.watermark, source.heard_at) < now - _UNVERIFIED_S for source in self.sources.values())
        unverified = self.correlator.unverified(now - _UNVERIFIED_S) if lost else {}
        self.guard.look(Context(self.warmup_starts, self.unknown, unverified), judged)

    def _judgement_time(self, now: Instant) -> Instant | None:
        """`now`, or while Postfix's lines are not read to their end the time of the newest one; None before the first, unless
        a source is silent for long.
        """
        behind = [
            source
            for source in self.sources.values()
            if source.kind is not SourceKind.OPENDKIM and not source.caught_up and source.health.error is None
        ]
        newest = [source.last_line_at for source in behind if source.last_line_at is not None]
        if newest:
            return min(now, *newest)
        return None if any(now - source.heard_at < _UNVERIFIED_S for source in behind) else now

    @property
    def changed(self) -> bool:
        """Whether a commit would write anything."""
        return self._changed or self.guard.has_deltas or self.tally.has_deltas or bool(self._dirty_checkpoints)

    def commit(self, at: Instant) -> Commit:
        """Return everything since the last call. It belongs together: counters and the checkpoints they account for."""
        counted = self.tally.take_deltas()
        state = self.correlator.take_deltas()
        checkpoints = {
            name: checkpoint for name in self._dirty_checkpoints if (checkpoint := self.sources[name].checkpoint) is not None
        }
        self._changed = False
        self._dirty_checkpoints = set()
        return Commit(
            at=at,
            checkpoints=checkpoints,
            attempts=counted.attempts,
            messages=counted.messages,
            reasons=counted.reasons,
            lines=counted.lines,
            open_put=state.open_put,
            open_removed=state.open_removed,
            domains_put=state.domains_put,
            domains_removed=state.domains_removed,
            judgement=self.guard.take_deltas(),
        )

    def drop_deltas(self) -> None:
        """Forget what a commit would write: there is no store (replay)."""
        self.tally.drop_deltas()
        self.correlator.drop_deltas()
        self.guard.take_deltas()
        self._changed = False
        self._dirty_checkpoints.clear()

    def count(self, name: str, records: Sequence[str] | Sequence[JournalEntry], now: Instant) -> None:
        """Count lines of one source, in order. Lines whose time is after `now` are counted but move no time on."""
        self.count_digest(name, self.digester(name)(self.sources[name].reader, records), now)

    def digester(self, name: str) -> Digester:
        """Return what makes digests of a source's lines, until the next reload."""
        digester = self._digesters.get(name)
        if digester is None:
            digester = Digester(self.sources[name].kind, self._routes, self.correlator.assessor)
            self._digesters[name] = digester
        return digester

    def count_digest(self, name: str, digest: Digest, now: Instant) -> None:
        """As `count`, where the lines were digested elsewhere (replay)."""
        source = self.sources[name]
        times = digest.times
        if self.counters_since is None and source.kind is not SourceKind.OPENDKIM:
            self.counters_since = next((at for at in times if not isnan(at)), None)
        more = iter(digest.more)
        due = self._due
        correlator, see, arrived = self.correlator, self.guard.see, self._arrived_at
        for kind, at, queue_id in zip(digest.kinds, times, digest.ids, strict=True):
            # A line from the future must not move halts and caps on.
            if due <= at <= now:
                source.last_line_at = at
                source.watermark = max(source.watermark, at)
                self.look(at)
                due = self._due
            if kind == ATTEMPT:
                counted = correlator.attempt(next(more), at)
                see(counted, at if arrived is None or at < arrived else arrived)
            elif kind == REMOVED:
                correlator.removed(queue_id, at)
            elif kind == SIGNED:
                correlator.signed(queue_id, at)
            elif kind > MESSAGE_ID:
                self._count_kind(kind, at, queue_id, more)
                due = self._due
        source.last_line_at = next((at for at in reversed(times) if not isnan(at)), source.last_line_at)
        self._add_up(name, digest)

    def _count_kind(self, kind: int, at: Instant, queue_id: str, more: Iterator[Any]) -> None:
        correlator = self.correlator
        if QUEUED <= kind <= QUEUED_NULL:
            unfiltered = correlator.queued(queue_id, at, null_sender=kind == QUEUED_NULL)
            if unfiltered is not None:
                self.guard.unfiltered(unfiltered.stream, queue_id, unfiltered.text, self._judged_at(at))
        elif kind == CLIENT:
            stream, session = next(more)
            correlator.client(queue_id, at, stream, session)
        elif kind == SESSION:
            if correlator.watches_sessions:
                correlator.session(queue_id)
        else:
            self._take(next(more))

    def _take(self, event: AnyEvent) -> None:
        if isinstance(event, events.MessageId):
            self._message_id(event)
        else:
            self._feed(event)

    @property
    def _due(self) -> Instant:
        """When the next line brings a look about: each minute of the log, and when the grace time of a message without a
        signature is over; but not sooner than a second after the last look.
        """
        deadline, minute = self.correlator.deadline, self._next_look
        soonest = self._soonest_look
        due = deadline if deadline < minute else minute
        return due if due > soonest else soonest

    def _add_up(self, name: str, digest: Digest) -> None:
        """Carry a batch's counts of events and lines on."""
        for event_name, count in digest.events.items():
            self._count_event(event_name, count)
        for (daemon, outcome), count in digest.lines.items():
            self.tally.lines(name, daemon, outcome, count)
        for daemon, event_name, count in digest.counted_kinds():
            if count:
                self._count_event(event_name, count)
                self.tally.lines(name, daemon, "parsed", count)

    def _count_event(self, name: str, count: int) -> None:
        self.event_counts[name] = self.event_counts.get(name, 0) + count

    def _feed(self, event: AnyEvent) -> None:
        counted = self.correlator.feed(event)
        guard = self.guard
        if counted is not None:
            if isinstance(counted, Classified):
                guard.see(counted, self._judged_at(event.at))
            else:
                guard.unfiltered(counted.stream, counted.queue_id, counted.text, self._judged_at(counted.at))
        elif type(event) in _SIGNALS:
            self._signal(guard, event)

    def _message_id(self, event: events.MessageId) -> None:
        stream = self.correlator.stream_of(event.queue_id)
        if stream:
            self.guard.localhost_ids.see(stream, event.message_id, self._judged_at(event.at))

    def _signal(self, guard: Guard, event: AnyEvent) -> None:
        if isinstance(event, events.Suppressed):
            self.suppressed_at = self._judged_at(event.at)
            return
        if isinstance(event, events.LocalDeferral):
            guard.deferred_here(event, self.correlator.stream_of(event.queue_id), self._judged_at(event.at))
            return
        egress, stream = self._routes.egress(event.tag)
        guard.signal(event, stream, egress, self._judged_at(event.at))

    def _judged_at(self, at: Instant | None) -> Instant:
        """The moment of a line, as far as it may move the judgement: without one of its own it is its arrival (in a replay the
        line before), and a moment after its arrival is a wrong clock, which must neither end a day nor empty a lookback.
        """
        if self._arrived_at is None:
            return self.correlator.last_at if at is None else at
        return self._arrived_at if at is None else min(at, self._arrived_at)
