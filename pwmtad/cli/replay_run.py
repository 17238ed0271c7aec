"""Drives the core over log files in time order: no store, no root, no Postfix."""

from __future__ import annotations

import heapq
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import tzinfo
from typing import Any, Final

from msgspec import Struct
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from pwmtad.adapters.journal import entry_from_json
from pwmtad.cli.log_files import chunks, open_log
from pwmtad.core.guard import Guard
from pwmtad.core.lines import LineReader
from pwmtad.core.observe import Observer, Parts
from pwmtad.core.wiring import OPENDKIM_SOURCE, POSTFIX_SOURCE
from pwmtad.daemon.clock import wall_clock
from pwmtad.model.events import AnyEvent
from pwmtad.model.judgement import Record, RecordKind
from pwmtad.model.names import Instant, SourceKind

_FAR_FUTURE: Final = 4e11
"""`now` for batches: old logs are judged by their own time alone."""
_SIGNATURE: Final = b"DKIM-Signature field added"


class Summary(Struct, frozen=True):
    """The last line of a replay. Attempts are recipients' attempts of smtp(8), retries and notifications included."""

    lines: int
    attempts: int
    sent: int
    deferred: int
    bounced: int
    unparsed: int
    by_egress: dict[str, dict[str, int]]
    by_operator: dict[str, dict[str, int]]
    by_class: dict[str, int]
    messages: dict[str, dict[str, int]]
    halts: int
    attempts_after_first_halt: int
    first_at: Instant | None
    last_at: Instant | None
    coverage_judged: bool

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, moments as numbers."""
        return {name: getattr(self, name) for name in self.__struct_fields__}


class Replay:
    """One run over some files."""

    def __init__(
        self,
        *,
        mail_logs: Sequence[str],
        journals: Sequence[str],
        parts: Parts,
        guard: Guard,
        starts: dict[str, Instant],
        zone: tzinfo,
        year: int | None,
        max_reasons_per_day: int,
    ) -> None:
        self._journals = tuple(journals)
        self._guard = guard
        self._zone, self._year = zone, year
        self._now = wall_clock()
        self._logs = self._in_order(mail_logs)
        self._judged = bool(self._journals) or any(_holds(file, _SIGNATURE) for file in self._logs)
        if not self._judged:
            # Without a single signing line nobody can tell unsigned mail from a log that never had them.
            parts = Parts(parts.routes, parts.classifier, parts.limits, None)
        kinds = {POSTFIX_SOURCE: SourceKind.POSTFIX if self._journals else SourceKind.BOTH}
        if self._journals:
            kinds[OPENDKIM_SOURCE] = SourceKind.OPENDKIM
        self._observer = Observer(
            parts=parts,
            sources=kinds,
            max_reasons_per_day=max_reasons_per_day,
            zone=zone,
            now=self._now,
            year=year,
            guard=guard,
        )
        self._observer.warmup_starts = dict(starts)
        self._halts = 0

    def run(self, *, on_record: Callable[[Record], None], until_first_halt: bool, progress: bool) -> Summary:
        """Read everything; hand out each record as soon as its lines were read. Returns the summary."""
        with ExitStack() as stack:
            advance = stack.enter_context(_bar([*self._logs, *self._journals])) if progress else _ignore
            if self._journals or until_first_halt:
                self._run_merged(on_record, until_first_halt, advance)
            else:
                self._run_log(on_record, advance)
        self._finish(on_record, stopped=until_first_halt and self._halts > 0)
        return self._summary()

    def _run_log(self, on_record: Callable[[Record], None], advance: Callable[[int], None]) -> None:
        """One source: whole chunks, the fast path."""
        for file in self._logs:
            with open_log(file) as stream:
                for lines in chunks(stream, advance):
                    self._observer.count(POSTFIX_SOURCE, lines, _FAR_FUTURE)
                    self._observer.drop_deltas()
                    self._hand_out(on_record)

    def _run_merged(self, on_record: Callable[[Record], None], until_first_halt: bool, advance: Callable[[int], None]) -> None:
        streams = [self._log_events(advance), *(self._journal_events(file, advance) for file in self._journals)]
        merged = heapq.merge(*streams, key=lambda item: (item[0], item[1]))
        for count, (_, _, name, event) in enumerate(merged, start=1):
            self._observer.take_event(name, event)
            if count % 4096 == 0:
                self._observer.drop_deltas()
            self._hand_out(on_record)
            if until_first_halt and self._halts:
                return

    def _log_events(self, advance: Callable[[int], None]) -> Iterator[tuple[Instant, int, str, AnyEvent]]:
        reader = self._observer.sources[POSTFIX_SOURCE].reader
        at = 0.0
        for file in self._logs:
            with open_log(file) as stream:
                for lines in chunks(stream, advance):
                    for line in lines:
                        event = reader.line(line)
                        at = max(at, event.at or at)  # merging needs an order; counting uses the line's own time
                        yield at, 1, POSTFIX_SOURCE, event

    def _journal_events(self, file: str, advance: Callable[[int], None]) -> Iterator[tuple[Instant, int, str, AnyEvent]]:
        reader = self._observer.sources[OPENDKIM_SOURCE].reader
        with open_log(file) as stream:
            for lines in chunks(stream, advance):
                for line in lines:
                    entry = entry_from_json(line.encode())
                    event = reader.line(line) if entry is None else reader.entry(entry[1])
                    yield event.at or 0.0, 0, OPENDKIM_SOURCE, event

    def _hand_out(self, on_record: Callable[[Record], None]) -> None:
        for record in self._guard.take_news():
            self._halts += record.kind is RecordKind.HALT
            on_record(record)

    def _finish(self, on_record: Callable[[Record], None], *, stopped: bool) -> None:
        """Judge what waits for the grace time at the end of the log, unless it was left early."""
        last = self._last_at()
        if last is None or stopped:
            return
        for source in self._observer.sources.values():
            source.watermark = max(source.watermark, last)
        self._observer.look(last)
        self._hand_out(on_record)

    def _last_at(self) -> Instant | None:
        times = [s.last_line_at for s in self._observer.sources.values() if s.last_line_at is not None]
        return max(times, default=None)

    def _in_order(self, files: Sequence[str]) -> tuple[str, ...]:
        """Oldest first, by the first timestamp in each file; a file without one keeps its place at the end."""
        return tuple(sorted(files, key=self._first_time))

    def _first_time(self, file: str) -> Instant:
        reader = LineReader(zone=self._zone, now=self._now, year=self._year)
        with open_log(file) as stream:
            for lines in chunks(stream):
                for line in lines:
                    at = reader.line(line).at
                    if at is not None:
                        return at
                break  # no timestamp within the first MiB
        return _FAR_FUTURE

    def _summary(self) -> Summary:
        tally = self._observer.tally
        by_status: dict[str, int] = {}
        by_egress: dict[str, dict[str, int]] = {}
        by_operator: dict[str, dict[str, int]] = {}
        by_class: dict[str, int] = {}
        for key, counts in tally.attempt_totals().items():
            number = sum(counts)
            status = "deferred" if key.status == "softbounce" else key.status
            for sums in (by_status, by_egress.setdefault(key.egress, {}), by_operator.setdefault(key.operator, {})):
                sums[status] = sums.get(status, 0) + number
            if key.reply_class:
                by_class[key.reply_class] = by_class.get(key.reply_class, 0) + number
        lines = tally.line_totals()
        first_halt = self._guard.attempts_at_first_halt
        return Summary(
            lines=sum(lines.values()),
            attempts=sum(by_status.values()),
            sent=by_status.get("sent", 0),
            deferred=by_status.get("deferred", 0),
            bounced=by_status.get("bounced", 0),
            unparsed=sum(count for key, count in lines.items() if key[2] == "unparsed"),
            by_egress=by_egress,
            by_operator=by_operator,
            by_class=by_class,
            messages={stream: counts._asdict() for stream, counts in tally.message_totals().items()},
            halts=self._halts,
            attempts_after_first_halt=0 if first_halt is None else self._guard.attempts - first_halt,
            first_at=self._first_time(self._logs[0]) if self._logs else None,
            last_at=self._last_at(),
            coverage_judged=self._judged,
        )


def _ignore(_count: int) -> None:
    return


class _bar:
    """A progress bar on standard error, by bytes; the size of a .gz is taken as five times its own."""

    def __init__(self, files: Sequence[str]) -> None:
        total = sum(os.path.getsize(file) * (5 if file.endswith(".gz") else 1) for file in files if file != "-")
        self._progress = Progress(
            TextColumn("reading"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"), TransferSpeedColumn(),
            TimeRemainingColumn(), console=Console(stderr=True), transient=True,
        )  # fmt: skip
        self._task: TaskID = self._progress.add_task("reading", total=total)

    def __enter__(self) -> Callable[[int], None]:
        self._progress.start()
        return lambda count: self._progress.advance(self._task, count)

    def __exit__(self, *_exception: object) -> None:
        self._progress.stop()


def _holds(file: str, needle: bytes) -> bool:
    """Whether a file holds `needle`, which is shorter than a chunk and has no line break."""
    with open_log(file) as stream:
        tail = b""
        while data := stream.read(1 << 22):
            if needle in tail + data[: len(needle)] or needle in data:
                return True
            tail = data[-len(needle) :]
    return False
