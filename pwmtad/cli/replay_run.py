"""Drives the core over log files in the order of their times: no store, no root, no Postfix, no clock but that of the lines."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from datetime import tzinfo
from typing import Final, TypeAlias

from msgspec.structs import replace

from pwmtad.adapters.journal import entry_from_json
from pwmtad.cli.log_files import holds, line_lists
from pwmtad.cli.log_order import LogFile, is_sequence
from pwmtad.cli.progress import reading_bar
from pwmtad.cli.replay_digests import Digests
from pwmtad.cli.replay_summary import Summary, summary_of
from pwmtad.core.guard import Guard
from pwmtad.core.lines import LineReader
from pwmtad.core.observe import Observer, Parts
from pwmtad.core.unknown import Moments, unknown_codes
from pwmtad.core.wiring import OPENDKIM_SOURCE, POSTFIX_SOURCE
from pwmtad.model.events import AnyEvent
from pwmtad.model.judgement import Record, RecordKind
from pwmtad.model.names import Instant, SourceKind
from pwmtad.model.observed import Observed

_NO_ARRIVAL: Final = 4e11
"""`now` of whole chunks: after any line, so that old logs are judged by their own time alone."""
_SIGNATURE: Final = b"DKIM-Signature field added"
_FORGET_EVERY: Final = 4096
"""Events between two times that differences for a store, which is not there, are forgotten."""
_OPENDKIM: Final = "opendkim"
_Item: TypeAlias = tuple[Instant, int, str, AnyEvent]
"""Time and rank to merge by, the source, the event."""


class Replay:
    """One run over some files, oldest first."""

    def __init__(
        self,
        *,
        mail_logs: Sequence[LogFile],
        journals: Sequence[LogFile],
        parts: Parts,
        guard: Guard,
        starts: dict[str, Instant],
        zone: tzinfo,
        now: Instant,
        max_reasons_per_day: int,
        signs: bool = False,
    ) -> None:
        """`journals` hold OpenDKIM's lines, which are then not taken from `mail_logs`.

        `signs`: OpenDKIM's lines are known to be there, even if not one of them tells of a signature.
        """
        self._mail_logs, self._journals = tuple(mail_logs), tuple(journals)
        self._parts, self._guard, self._zone, self._now = parts, guard, zone, now
        self._coverage_from: Instant | None = None
        kinds = {POSTFIX_SOURCE: SourceKind.POSTFIX if journals else SourceKind.BOTH}
        if journals:
            kinds[OPENDKIM_SOURCE] = SourceKind.OPENDKIM
        elif parts.grace_s is not None and (signs or any(holds(file.path, _SIGNATURE) for file in mail_logs)):
            self._coverage_from = self._first_at()
        self._observer = Observer(
            # Where nobody tells of signatures, unsigned mail can't be told from a log that never had them.
            parts=parts if self._coverage_from is not None else replace(parts, grace_s=None),
            sources=kinds,
            max_reasons_per_day=max_reasons_per_day,
            zone=zone,
            now=now,
            guard=guard,
        )
        self._observer.warmup_starts = dict(starts)
        self._observer.doubts = self._doubts
        self._halts = 0
        self._first_halt_at: Instant | None = None

    def run(self, *, on_record: Callable[[Record], None], until_first_halt: bool, progress: bool) -> Summary:
        """Read everything; hand out each record as soon as its lines were read. Raises UnreadableLogError."""
        files = [*self._mail_logs, *self._journals]
        chunks_suffice = not (self._journals or until_first_halt or any(file.is_journal for file in files))
        with ExitStack() as stack:
            advance = stack.enter_context(reading_bar([file.path for file in files])) if progress else None
            if chunks_suffice and is_sequence(self._mail_logs):
                self._run_chunks(on_record, advance)
            else:
                self._run_merged(on_record, until_first_halt, advance)
        stopped_at = self._first_halt_at if until_first_halt else None
        if stopped_at is None:
            self._finish(on_record)
        return summary_of(
            self._observer.tally,
            halts=self._halts,
            attempts_after_first_halt=self._attempts_after_first_halt(),
            first_at=self._first_at(),
            last_at=self._last_at(),
            coverage_from=self._coverage_from,
            stopped_at=stopped_at,
        )

    # -- reading

    def _run_chunks(self, on_record: Callable[[Record], None], advance: Callable[[int], None] | None) -> None:
        """One file after the other, in whole chunks: the fast path."""
        digests = Digests(self._observer.digester(POSTFIX_SOURCE), self._reader)
        with digests.of(self._mail_logs, advance) as made:
            for digest in made:
                self._observer.count_digest(POSTFIX_SOURCE, digest, _NO_ARRIVAL)
                self._observer.drop_deltas()
                self._hand_out(on_record)

    def _run_merged(
        self, on_record: Callable[[Record], None], until_first_halt: bool, advance: Callable[[int], None] | None
    ) -> None:
        """All sources side by side in the order of time, one event after the other."""
        streams = [
            *self._streams(POSTFIX_SOURCE, 1, self._mail_logs, advance),
            # At the same moment what was signed comes first.
            *self._streams(OPENDKIM_SOURCE, 0, self._journals, advance),
        ]
        for number, (_, _, name, event) in enumerate(heapq.merge(*streams, key=lambda item: item[:2]), start=1):
            if self._coverage_from is None and name == OPENDKIM_SOURCE and event.tag == _OPENDKIM:
                self._judge_coverage_from(event.at)
            self._observer.take_event(name, event)
            if number % _FORGET_EVERY == 0:
                self._observer.drop_deltas()
            self._hand_out(on_record)
            if until_first_halt and self._first_halt_at is not None:
                return

    def _streams(
        self, name: str, rank: int, files: Sequence[LogFile], advance: Callable[[int], None] | None
    ) -> list[Iterator[_Item]]:
        """Files that follow each other are one stream, so that only one of them is open; others are merged by time."""
        groups = [files] if is_sequence(files) else [[file] for file in files]
        return [self._items(name, rank, group, advance) for group in groups]

    def _items(self, name: str, rank: int, files: Iterable[LogFile], advance: Callable[[int], None] | None) -> Iterator[_Item]:
        at = 0.0
        for file in files:
            reader = self._reader(file)
            for lines in line_lists(file.path, advance):
                for line in lines:
                    entry = entry_from_json(line.encode()) if file.is_journal else None
                    event = reader.line(line) if entry is None else reader.entry(entry[1])
                    if event.at is not None and event.at > at:
                        at = event.at  # merging needs an order; counting uses the line's own time
                    yield at, rank, name, event

    def _reader(self, file: LogFile) -> LineReader:
        return LineReader(zone=self._zone, now=self._now, year=file.year)

    # -- judging

    def _judge_coverage_from(self, at: Instant | None) -> None:
        """The journal begins: it may be younger than mail.log, and what was before it is neither signed nor unsigned."""
        if at is not None and self._parts.grace_s is not None:
            self._coverage_from = at
            self._observer.reconfigure(self._parts)

    def _doubts(self, now: Instant) -> dict[str, str]:
        """What the lines themselves tell is not known."""
        moments = Moments(
            started_at=0.0,
            counters_since=None,
            suppressed_at=self._observer.suppressed_at,
            clock_jumped_at=None,
            gap_at=None,
        )
        return unknown_codes(sources={}, observed=Observed(), moments=moments, now=now)

    def _hand_out(self, on_record: Callable[[Record], None]) -> None:
        for record in self._guard.take_news():
            if record.kind is RecordKind.HALT:
                self._halts += 1
                if self._first_halt_at is None:
                    self._first_halt_at = record.at
            on_record(record)

    def _finish(self, on_record: Callable[[Record], None]) -> None:
        """Judge what waits for the grace time at the end of the log."""
        last = self._last_at()
        if last is None:
            return
        for source in self._observer.sources.values():
            source.watermark = max(source.watermark, last)
        self._observer.look(last)
        self._hand_out(on_record)

    # -- summing up

    def _attempts_after_first_halt(self) -> int:
        first = self._guard.attempts_at_first_halt
        return 0 if first is None else self._guard.attempts - first

    def _first_at(self) -> Instant | None:
        return min((file.first for file in self._mail_logs if file.first is not None), default=None)

    def _last_at(self) -> Instant | None:
        times = [source.last_line_at for source in self._observer.sources.values() if source.last_line_at is not None]
        return max(times, default=None)
