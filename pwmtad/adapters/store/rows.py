"""Between the nouns of `pwmtad.model` and the rows of the tables: one translation for every kind of store.

A row is a tuple in the order of the columns in statements/*.sql. Queue-id state is msgpack, checkpoints are JSON (a person
may want to read those). Text is made storable here: whatever a remote managed to get into a name, a commit must not fail
for it, or the same log line would stop the daemon again after each restart.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import msgspec

from pwmtad.model.counters import (
    DAY_S,
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
from pwmtad.model.ledger import Commit, Ledger
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
)
"""What a load reads; `load_NAME` is the statement."""

MAX_KEY_CHARS: Final = 512
"""Longest text in a key. A PostgreSQL index row holds 2,704 bytes (a third of a page) and UTF-8 takes up to 4 a character;
a domain has at most 253 (RFC 1035 s2.3.4), a reason 120."""

_encode_state = msgspec.msgpack.Encoder(order="deterministic").encode  # equal sets must give equal bytes
_decode_state = msgspec.msgpack.Decoder(OpenMessage).decode
_encode_checkpoint = msgspec.json.Encoder().encode
_decode_checkpoint = msgspec.json.Decoder(Checkpoint).decode


class Change(NamedTuple):
    """Rows for one table. `add` adds the counts of each row to the stored ones, `put` replaces, `remove` has keys only.

    `verb_table` is the statement's name.
    """

    verb: Literal["add", "put", "remove"]
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
        Change("put", "checkpoints", [(name, _encode_checkpoint(c).decode()) for name, c in commit.checkpoints.items()]),
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
        case _:
            return ()


def ledger_of(rows: Fetched) -> Ledger:
    """Build the ledger from the rows of all `LOADED` tables. Raises `msgspec.MsgspecError` for damaged state."""
    return Ledger(
        checkpoints={source: _decode_checkpoint(text) for source, text in rows["checkpoints"]},
        attempts=_attempt_buckets(rows["attempts"]),
        messages=_message_buckets(rows["messages"]),
        attempt_totals=_attempt_buckets(rows["attempt_totals"]),
        message_totals=_message_buckets(rows["message_totals"]),
        reasons={ReasonKey(*key): count for *key, count in rows["reasons"]},
        lines=[LineCounts(*row) for row in rows["lines"]],
        open_messages={QueueId(queue_id): _decode_state(state) for queue_id, state in rows["open_messages"]},
        domains=[DomainOperator(*row) for row in rows["domains"]],
        meta={name: value for name, value in rows["meta"]},  # noqa: C416  (to mypy a row is no pair)
    )


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


def _attempt_buckets(rows: Iterable[Any]) -> list[AttemptBucket]:
    keys: dict[Row, AttemptKey] = {}  # few keys, many buckets: sharing them saves most of the memory and time
    buckets = []
    for row in rows:
        labels = row[2:7]
        key = keys.get(labels)
        if key is None:
            key = keys[labels] = AttemptKey(*labels)
        buckets.append(AttemptBucket(row[0], row[1], key, AttemptCounts(*row[7:])))
    return buckets


def _message_buckets(rows: Iterable[Sequence[Any]]) -> list[MessageBucket]:
    return [MessageBucket(span_s, start, stream, MessageCounts(*counts)) for span_s, start, stream, *counts in rows]
