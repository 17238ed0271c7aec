"""Between the nouns of `pwmtad.model` and the rows of the tables: one translation for every kind of store.

A row is a tuple in the order of the columns in statements/*.sql. Queue-id state is msgpack, because there is much of it;
checkpoints, halts and memories are JSON, because a person may want to read them at night, without this program. Text is made
storable here: whatever a remote managed to get into a name, a commit must not fail for it, or the same log line would stop
the daemon again after each restart.
"""

from __future__ import annotations

import gc
import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import msgspec

from pwmtad.adapters.store.retention import ENDED_HALTS_S, EVIDENCE_ROWS, EVIDENCE_S
from pwmtad.adapters.store.suppression_rows import counting_arguments, sightings_of, suppression_rows
from pwmtad.model.counters import (
    DAY_S,
    MINUTE_S,
    AttemptBucket,
    AttemptCounts,
    AttemptKey,
    AttemptSeries,
    DomainOperator,
    LineCounts,
    MessageBucket,
    MessageCounts,
    OpenMessage,
    ReasonKey,
)
from pwmtad.model.judgement import (
    Evidence,
    EvidenceLine,
    Halt,
    JudgementDeltas,
    JudgementState,
    Record,
    RecordKind,
    StreamMemory,
)
from pwmtad.model.ledger import Commit, Ledger
from pwmtad.model.listmonk import ListmonkMemory
from pwmtad.model.names import Instant, QueueId
from pwmtad.model.sources import Checkpoint

Row: TypeAlias = tuple[Any, ...]
"""Cells are str, int, float or bytes. Any: what a database driver takes and returns has no static type."""
Fetched: TypeAlias = Mapping[str, Iterable[Sequence[Any]]]
"""Rows by table, as `LOADED` names them."""

LOADED: Final = (
    "checkpoints",
    "attempts",
    "messages",
    "attempt_totals",
    "message_totals",
    "reasons",
    "lines",
    "open_messages",
    "domains",
    "meta",
    "halts",
    "memories",
    "evidence",
    "listmonk",
    "suppressions",
)
"""What a load reads; `load_NAME` is the statement."""

MAX_KEY_CHARS: Final = 512
"""Longest text in a key. A PostgreSQL index row holds 2,704 bytes (a third of a page) and UTF-8 takes up to 4 a character;
a domain has at most 253 (RFC 1035 s2.3.4), a reason 120."""
MAX_TEXT_CHARS: Final = 2000
"""Longest text of a record or halt: a reason names egresses or quotes two lines at most."""
MAX_LINES: Final = 20
"""Evidence lines of one record or halt that are kept, the newest: twice what the judgement quotes."""

_encode_state = msgspec.msgpack.Encoder(order="deterministic").encode  # equal sets must give equal bytes
_decode_state = msgspec.msgpack.Decoder(OpenMessage).decode
_encode_json = msgspec.json.Encoder(order="deterministic").encode
_decode_checkpoint = msgspec.json.Decoder(Checkpoint).decode
_decode_halt = msgspec.json.Decoder(Halt).decode
_decode_memory = msgspec.json.Decoder(StreamMemory).decode
_decode_listmonk = msgspec.json.Decoder(ListmonkMemory).decode
_decode_lines = msgspec.json.Decoder(tuple[EvidenceLine, ...]).decode


class Change(NamedTuple):
    """Rows for one table. `add` adds the counts of each row to the stored ones, `put` replaces, `append` has no key: the store
    numbers the rows; `remove` has keys only. Suppressions have verbs of their own: `reset` removes what is only counted yet,
    `merge` adds to what is stored, `mark` notes what became of a report.

    `verb_table` is the statement's name.
    """

    verb: Literal["add", "put", "append", "remove", "reset", "merge", "mark"]
    table: str
    rows: list[Row]


def changes_of(commit: Commit) -> list[Change]:
    """Everything `commit` changes, to be applied in this order. Removals go first: a queue id may be used again."""
    attempts = [(b.span_s, b.start, *map(storable, b.key), *b.counts) for b in commit.attempts]
    messages = [(b.span_s, b.start, storable(b.stream), *b.counts) for b in commit.messages]
    changes = (
        Change("remove", "open_messages", [(storable(queue_id),) for queue_id in commit.open_removed]),
        Change("put", "open_messages", [_open_row(*item) for item in commit.open_put.items()]),
        Change("remove", "domains", [(storable(domain),) for domain in commit.domains_removed]),
        Change("put", "domains", [(storable(d), storable(o), seen_at) for d, o, seen_at in commit.domains_put]),
        Change("add", "attempts", attempts),
        Change("add", "messages", messages),
        Change("add", "attempt_totals", _sums((row[2:7], row[7:]) for row in attempts)),
        Change("add", "message_totals", _sums((row[2:3], row[3:]) for row in messages)),
        Change("add", "reasons", [(k.day, *map(storable, k[1:]), count) for k, count in commit.reasons.items()]),
        Change("add", "lines", [_line_row(counts) for counts in commit.lines]),
        Change("put", "meta", [(storable(name), storable(value, None)) for name, value in commit.meta.items()]),
        *_judgement_changes(commit.judgement),
        Change("put", "checkpoints", [(name, _encode_json(c).decode()) for name, c in commit.checkpoints.items()]),
    )
    return [change for change in changes if change.rows]


def storable(text: str, max_chars: int | None = MAX_KEY_CHARS) -> str:
    """Return `text` as every store can keep it: no NUL (PostgreSQL), no lone surrogates (UTF-8), bounded."""
    if text.isascii() and "\0" not in text and len(text) <= MAX_KEY_CHARS:
        return text
    return text[:max_chars].replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def add(left: Row | None, right: Row) -> Row:
    """Return the sum of two rows of counts, column by column."""
    return right if left is None else tuple(map(operator.add, left, right))


def load_arguments(table: str, since: Instant) -> Row:
    """Return the parameters of the statement `load_TABLE`."""
    match table:
        case "attempts" | "messages":
            return (since,)
        case "reasons":
            return (int(since // DAY_S),)
        case "halts":
            return (since - ENDED_HALTS_S,)
        case "evidence":
            return (since - EVIDENCE_S, EVIDENCE_ROWS)
        case "suppressions":
            return counting_arguments(since)
        case _:
            return ()


def ledger_of(rows: Fetched) -> Ledger:
    """Build the ledger from the rows of all `LOADED` tables. Raises `msgspec.MsgspecError` for damaged state."""
    with _no_collection():
        return _ledger_of(rows)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Half a million rows are tuples that refer to nothing but text and numbers: to search them for cycles again and again
    takes a quarter of a start after a busy day.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _ledger_of(rows: Fetched) -> Ledger:
    return Ledger(
        checkpoints={source: _decode_checkpoint(text) for source, text in rows["checkpoints"]},
        attempts=_attempt_series(rows["attempts"]),
        messages=_message_buckets(rows["messages"]),
        attempt_totals=[
            AttemptBucket(row[0], row[1], AttemptKey(*row[2:7]), AttemptCounts(*row[7:])) for row in rows["attempt_totals"]
        ],
        message_totals=_message_buckets(rows["message_totals"]),
        reasons={ReasonKey(*key): count for *key, count in rows["reasons"]},
        lines=[LineCounts(*row) for row in rows["lines"]],
        open_messages={QueueId(queue_id): _decode_state(state) for queue_id, state in rows["open_messages"]},
        domains=[DomainOperator(*row) for row in rows["domains"]],
        meta={name: value for name, value in rows["meta"]},  # noqa: C416  (to mypy a row is no pair)
        judgement=JudgementState(
            halts=tuple(_decode_halt(state) for (state,) in rows["halts"]),
            memories={stream: _decode_memory(state) for stream, state in rows["memories"]},
            evidence=tuple(Evidence(*row) for row in rows["evidence"]),
            listmonk={stream: _decode_listmonk(state) for stream, state in rows["listmonk"]},
            counting=sightings_of(rows["suppressions"]),
        ),
    )


def records_of(rows: Iterable[Sequence[Any]]) -> list[Record]:
    """Build records from the rows of `newest_records`. Raises `msgspec.MsgspecError` for damaged ones."""
    return [
        Record(
            at=at,
            kind=msgspec.convert(kind, RecordKind),
            stream=stream,
            rule=rule,
            reason=reason,
            evidence=_decode_lines(lines),
            before=before,
            after=after,
            halt_id=halt_id,
            ends_at=ends_at,
            subject=subject,
            id=number,
        )
        for number, at, kind, stream, rule, reason, before, after, halt_id, ends_at, subject, lines in rows
    ]


def _judgement_changes(judged: JudgementDeltas) -> Iterable[Change]:
    memories = [(storable(stream), _state_text(memory)) for stream, memory in judged.memories.items()]
    listmonk = [(storable(stream), _state_text(memory)) for stream, memory in judged.listmonk.items()]
    yield Change("put", "halts", [_halt_row(halt) for halt in judged.halts])
    yield Change("put", "memories", memories)
    yield Change("put", "listmonk", listmonk)
    yield Change("append", "evidence", [_evidence_row(piece) for piece in judged.evidence])
    yield Change("append", "records", [_record_row(record) for record in judged.records])
    for verb, rows in suppression_rows(judged.suppressions):
        yield Change(verb, "suppressions", [tuple(map(_storable_cell, row)) for row in rows])


def _halt_row(halt: Halt) -> Row:
    halt = msgspec.structs.replace(halt, evidence=halt.evidence[-MAX_LINES:])
    return (
        *map(storable, (halt.id, halt.stream, halt.scope.value, halt.subject, halt.rule, halt.phase.value)),
        *(halt.started_at, halt.hold_until, halt.ended_at),
        *(storable(halt.ended_by), storable(halt.reason, MAX_TEXT_CHARS), _state_text(halt)),
    )


def _evidence_row(piece: Evidence) -> Row:
    names = (piece.stream, piece.egress, piece.operator, piece.reply_class, piece.rule)
    about = (piece.queue_id, piece.recipient, piece.recipient_domain, piece.relay_host)
    return piece.at, *map(storable, names), *map(storable, about), storable(piece.text, MAX_TEXT_CHARS)


def _record_row(record: Record) -> Row:
    return (
        record.at,
        *map(storable, (record.kind.value, record.stream, record.rule)),
        *(storable(text, MAX_TEXT_CHARS) for text in (record.reason, record.before, record.after)),
        *(storable(record.halt_id), record.ends_at, storable(record.subject)),
        _state_text(record.evidence[-MAX_LINES:]),
    )


def _state_text(value: object) -> str:
    return _encode_json(_storable_parts(msgspec.to_builtins(value))).decode()


def _storable_parts(value: Any) -> Any:
    match value:
        case str():
            return storable(value, MAX_TEXT_CHARS)
        case list() | tuple():
            return [_storable_parts(item) for item in value]
        case dict():
            return {storable(key): _storable_parts(item) for key, item in value.items()}
        case _:
            return value


def _storable_cell(cell: Any) -> Any:
    return storable(cell, MAX_TEXT_CHARS) if isinstance(cell, str) else cell


def _open_row(queue_id: QueueId, message: OpenMessage) -> Row:
    try:
        state = _encode_state(message)
    except UnicodeEncodeError:
        others = message.others and {storable(recipient) for recipient in message.others}
        recipient, stream = storable(message.recipient), storable(message.stream)
        state = _encode_state(msgspec.structs.replace(message, stream=stream, recipient=recipient, others=others))
    return storable(queue_id), message.opened_at, state


def _sums(counted: Iterable[tuple[Row, Row]]) -> list[Row]:
    sums: dict[Row, Row] = {}
    for key, counts in counted:
        sums[key] = add(sums.get(key), counts)
    return [key + counts for key, counts in sums.items()]


def _line_row(counts: LineCounts) -> Row:
    return storable(counts.source), storable(counts.daemon), storable(counts.outcome), counts.count


def _attempt_series(rows: Iterable[Any]) -> list[AttemptSeries]:
    """Sort rows by key; they come by span, then by start."""
    cells: dict[Row, list[int]] = {}
    last = minute = -1
    for span_s, start, stream, egress, operator_, status, reply_class, first, retries, notifications in rows:
        if start != last:  # one number for all rows of a minute, which costs less memory than one each
            last, minute = start, start // MINUTE_S
        labels = (stream, egress, operator_, status, reply_class)
        known = cells.get(labels)
        if known is None:
            known = cells[labels] = []
        known += (minute, span_s, first, retries, notifications)
    return [AttemptSeries(AttemptKey(*labels), *_columns(flat)) for labels, flat in cells.items()]


def _columns(flat: list[int]) -> Iterable[list[int]]:
    """Return minutes, spans and the three counts, by minute."""
    columns = [flat[number::5] for number in range(5)]
    if len(set(columns[1])) > 1:  # hours and days stand behind minutes, and are older
        columns = [list(column) for column in zip(*sorted(zip(*columns, strict=True)), strict=True)]
    return columns


def _message_buckets(rows: Iterable[Sequence[Any]]) -> list[MessageBucket]:
    return [MessageBucket(span_s, start, stream, MessageCounts(*counts)) for span_s, start, stream, *counts in rows]
