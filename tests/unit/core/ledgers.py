"""A store for tests of the core: adds what each commit brings, and gives it back as a start finds it."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from operator import add
from typing import TypeVar

from pwmtad.core.correlate import StateDeltas
from pwmtad.core.tally import Deltas
from pwmtad.model.counters import (
    AttemptBucket,
    AttemptCounts,
    AttemptKey,
    DomainOperator,
    LineCounts,
    MessageBucket,
    MessageCounts,
    OpenMessage,
    ReasonKey,
)
from pwmtad.model.ledger import Ledger
from pwmtad.model.names import QueueId
from tests.tools.counts import series_of

_Key = TypeVar("_Key")
_Counts = TypeVar("_Counts", bound=tuple[int, ...])


class Book:
    """Everything that was committed."""

    def __init__(self) -> None:
        self.attempts: dict[tuple[int, AttemptKey], AttemptCounts] = {}
        self.messages: dict[tuple[int, str], MessageCounts] = {}
        self.reasons: dict[ReasonKey, int] = {}
        self.lines: dict[tuple[str, str, str], int] = {}
        self.open: dict[QueueId, OpenMessage] = {}
        self.domains: dict[str, DomainOperator] = {}

    def commit(self, counted: Deltas, state: StateDeltas | None = None) -> None:
        """Add one commit."""
        for bucket in counted.attempts:
            _add(self.attempts, (bucket.start, bucket.key), bucket.counts, AttemptCounts._make)
        for row in counted.messages:
            _add(self.messages, (row.start, row.stream), row.counts, MessageCounts._make)
        for key, count in counted.reasons.items():
            self.reasons[key] = self.reasons.get(key, 0) + count
        for line in counted.lines:
            name = (line.source, line.daemon, line.outcome)
            self.lines[name] = self.lines.get(name, 0) + line.count
        if state is not None:
            self.open.update(state.open_put)
            for queue_id in state.open_removed:
                del self.open[queue_id]  # nothing is removed that was not put
            for domain in state.domains_put:
                self.domains[domain.domain] = domain
            for name_ in state.domains_removed:
                self.domains.pop(name_, None)

    def ledger(self) -> Ledger:
        """Return it as the store would, at a start."""
        attempt_totals: dict[AttemptKey, AttemptCounts] = {}
        for (_, key), counts in self.attempts.items():
            _add(attempt_totals, key, counts, AttemptCounts._make)
        message_totals: dict[str, MessageCounts] = {}
        for (_, stream), sums in self.messages.items():
            _add(message_totals, stream, sums, MessageCounts._make)
        return Ledger(
            checkpoints={},
            attempts=series_of(AttemptBucket(60, start, key, counts) for (start, key), counts in self.attempts.items()),
            messages=[MessageBucket(60, start, stream, counts) for (start, stream), counts in self.messages.items()],
            attempt_totals=[AttemptBucket(0, 0, key, counts) for key, counts in attempt_totals.items()],
            message_totals=[MessageBucket(0, 0, stream, counts) for stream, counts in message_totals.items()],
            reasons=dict(self.reasons),
            lines=[LineCounts(*name, count=count) for name, count in self.lines.items()],
            open_messages={
                # A copy that shares nothing, as what comes out of a file.
                queue_id: deepcopy(message)
                for queue_id, message in sorted(self.open.items(), key=lambda item: item[1].opened_at)
            },
            domains=sorted(self.domains.values(), key=lambda row: row.seen_at),
            meta={},
        )


def _add(into: dict[_Key, _Counts], key: _Key, counts: _Counts, make: Callable[[tuple[int, ...]], _Counts]) -> None:
    known = into.get(key)
    into[key] = counts if known is None else make(tuple(map(add, known, counts)))
