"""A store that forgets when the process ends: for runs that must leave nothing behind, and for tests.

It holds the same rows as the databases do, by the same translation, so it neither shares a mutable `OpenMessage` with its
caller nor keeps a text that they would change. The contract tests run against it as against them.
"""

from __future__ import annotations

from itertools import count
from operator import itemgetter
from typing import Final

from pwmtad.adapters.store.retention import (
    BUCKET_TABLES,
    DEFAULT_KEEP,
    Keep,
    Merge,
    coarse_span,
    first_reason_day,
    merges,
    prune_arguments,
)
from pwmtad.adapters.store.rows import Row, add, changes_of, ledger_of, load_arguments, records_of, storable
from pwmtad.adapters.store.suppression_rows import (
    counting_rows,
    counts_of,
    due_rows,
    is_counting,
    is_forgotten,
    marked,
    matches,
    merged,
    suppressions_of,
)
from pwmtad.model.judgement import Record
from pwmtad.model.ledger import Commit, Ledger
from pwmtad.model.names import Instant
from pwmtad.model.suppression import Suppression, SuppressionCount, SuppressionQuery

_KEY_COLUMNS: Final = {
    "checkpoints": 1,
    "attempts": 7,
    "messages": 3,
    "attempt_totals": 5,
    "message_totals": 1,
    "reasons": 5,
    "lines": 3,
    "open_messages": 1,
    "domains": 1,
    "meta": 1,
    "halts": 1,
    "memories": 1,
    "listmonk": 1,
    "suppressions": 4,
    "evidence": 1,
    "records": 1,
}
_STARTED_AT, _ENDED_AT, _STATE = 6, 8, 11
"""Columns of halts."""
_HALT_ID: Final = 8
"""Column of records, whose first is the number."""


class MemoryStore:
    """A `Store` in memory. Nothing can fail; `open` and `close` keep what is stored, as a database would."""

    def __init__(self, *, keep: Keep = DEFAULT_KEEP) -> None:
        self._keep = keep
        self._tables: dict[str, dict[Row, Row]] = {table: {} for table in _KEY_COLUMNS}
        self._numbers = {table: count(1) for table in _KEY_COLUMNS}

    async def open(self) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing: what is stored stays for the next `open`."""

    async def load(self, since: Instant) -> Ledger:
        """Return what was committed so far."""
        rows: dict[str, list[Row]] = {table: self._rows(table) for table in _KEY_COLUMNS}
        for table in BUCKET_TABLES:
            rows[table] = [row for row in rows[table] if row[0] + row[1] > since]
        for table in ("attempt_totals", "message_totals"):
            rows[table] = [(0, 0, *row) for row in rows[table]]
        (first_day,) = load_arguments("reasons", since)
        rows["reasons"] = [row for row in rows["reasons"] if row[0] >= first_day]
        rows["open_messages"] = [(row[0], row[2]) for row in sorted(rows["open_messages"], key=itemgetter(1, 0))]
        rows["domains"].sort(key=itemgetter(2, 0))
        (ended_after,) = load_arguments("halts", since)
        halts = sorted(rows["halts"], key=itemgetter(_STARTED_AT, 0))
        rows["halts"] = [row[_STATE:] for row in halts if row[_ENDED_AT] is None or row[_ENDED_AT] > ended_after]
        newer_than, most = load_arguments("evidence", since)
        evidence = sorted((row for row in rows["evidence"] if row[1] > newer_than), key=itemgetter(1, 0))
        rows["evidence"] = [row[1:] for row in evidence[-most:]]
        rows["suppressions"] = counting_rows(rows["suppressions"], *load_arguments("suppressions", since))
        return ledger_of(rows)

    async def commit(self, commit: Commit) -> None:
        """Apply `commit`; it has no await, so nobody sees half of it."""
        for verb, table, rows in changes_of(commit):
            stored, columns = self._tables[table], _KEY_COLUMNS[table]
            for row in rows:
                if verb == "append":
                    stored[next(self._numbers[table]),] = row
                    continue
                key, values = row[:columns], row[columns:]
                if verb == "add":
                    stored[key] = add(stored.get(key), values)
                elif verb == "put":
                    stored[key] = values
                elif verb == "merge":
                    stored[key] = merged(stored.get(key), values)
                elif verb == "mark":
                    stored |= {key: marked(stored[key], values)} if key in stored else {}
                elif verb == "remove" or is_counting(stored.get(key)):
                    stored.pop(key, None)

    async def records(self, *, limit: int, halt_id: str | None = None) -> list[Record]:
        """Return the newest `limit` records, oldest first; those of one halt if `halt_id` is given."""
        wanted = None if halt_id is None else storable(halt_id)
        rows = [row for row in self._rows("records") if wanted in (None, row[_HALT_ID])]
        return records_of(rows[-limit:])

    async def suppressions(self, query: SuppressionQuery) -> list[Suppression]:
        """Return a page of suppressions in the order of their keys."""
        return suppressions_of([row for row in self._rows("suppressions") if matches(row, query)][: query.limit])

    async def due_suppressions(self, stream: str, now: Instant, limit: int) -> list[Suppression]:
        """Return what a stream's Listmonk is to be told now, what waits longest first."""
        return suppressions_of(due_rows(self._rows("suppressions"), stream, now, limit))

    async def count_suppressions(self) -> list[SuppressionCount]:
        """Return how many rows there are of each sort."""
        return counts_of(self._rows("suppressions"))

    async def roll_up(self, now: Instant) -> None:
        """Merge old buckets and drop what is too old, as `retention` says."""
        for table in BUCKET_TABLES:
            for merge in merges(self._keep, now):
                self._merge(table, merge)
        first_day = first_reason_day(self._keep, now)
        reasons = self._tables["reasons"]
        self._tables["reasons"] = {key: number for key, number in reasons.items() if key[0] >= first_day}
        self._prune(now)

    def _rows(self, table: str) -> list[Row]:
        return sorted(key + values for key, values in self._tables[table].items())

    def _prune(self, now: Instant) -> None:
        before, most, _ = prune_arguments(self._keep, "evidence", now)
        evidence = sorted(self._tables["evidence"].items())[-int(most) :]
        self._tables["evidence"] = {key: row for key, row in evidence if row[0] > before}
        before, spared, _ = prune_arguments(self._keep, "records", now)
        records = sorted(self._tables["records"].items(), reverse=True)
        self._tables["records"] = {key: row for n, (key, row) in enumerate(records) if n < spared or row[0] > before}
        before, _ = prune_arguments(self._keep, "suppressions", now)
        suppressions = self._tables["suppressions"]
        self._tables["suppressions"] = {key: row for key, row in suppressions.items() if not is_forgotten(row, before)}
        before, _ = prune_arguments(self._keep, "halts", now)
        halts = self._tables["halts"]
        ended = _ENDED_AT - _KEY_COLUMNS["halts"]
        self._tables["halts"] = {key: row for key, row in halts.items() if row[ended] is None or row[ended] > before}

    def _merge(self, table: str, merge: Merge) -> None:
        stored = self._tables[table]
        old = [key for key in stored if key[0] == merge.fine_s and key[1] < merge.before]
        for key in old:
            start, _ = coarse_span(merge, key[1])
            coarse = (merge.coarse_s, start, *key[2:])
            stored[coarse] = add(stored.get(coarse), stored.pop(key))
