"""Builders and generators for the store's tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from hypothesis import strategies as st

from pwmtad.adapters.store import Keep, Store
from pwmtad.model.counters import (
    DAY_S,
    HOUR_S,
    MINUTE_S,
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
from pwmtad.model.sources import FileCheckpoint, JournalCheckpoint

DAWN = 1_700_006_400.0  # 2023-11-15 00:00:00 UTC: the first second of a day makes roll-ups easy to follow
GOOGLE = AttemptKey("trucking", "out05", "google", "sent", "")
YAHOO = AttemptKey("trucking", "out05", "yahoo", "deferred", "rate_limit")


class Reader(Protocol):
    async def load(self, since: Instant) -> Ledger: ...


class Shelf(NamedTuple):
    """One place where a store may keep things; `make` and `reader` may be called many times for it."""

    kind: str
    make: Callable[..., Store]
    reader: Callable[[], Reader]


def attempts(minute: float, key: AttemptKey = GOOGLE, first: int = 1, retries: int = 0) -> AttemptBucket:
    return AttemptBucket(MINUTE_S, int(minute) // MINUTE_S * MINUTE_S, key, AttemptCounts(first, retries))


def checkpoint(offset: int) -> FileCheckpoint:
    return FileCheckpoint("/var/log/mail.log", 2049, 2**63 + 5, offset, b"\xff\x00head", b"tail\n")


def full_commit(at: float = DAWN) -> Commit:
    """Return a commit that has something of everything."""
    return Commit(
        at=at,
        checkpoints={"mail.log": checkpoint(4096), "opendkim": JournalCheckpoint("s=abc;i=1f")},
        attempts=[attempts(at, GOOGLE, 3, 1), attempts(at, YAHOO, 1), attempts(at + 60, GOOGLE, 2)],
        messages=[MessageBucket(MINUTE_S, int(at), "trucking", MessageCounts(5, 4, 1, 0))],
        reasons={ReasonKey(int(at // DAY_S), "trucking", "deferred", "rate_limit", "TSS04 # messages"): 7},
        lines=[LineCounts("mail.log", "postfix", "parsed", 100), LineCounts("mail.log", "other", "unparsed", 2)],
        open_put={
            QueueId("4Zy1"): OpenMessage(at, "trucking", queued_at=at + 1, recipient="a@example.org", others={"b@example.org"}),
            QueueId("4Zy0"): OpenMessage(at - 1, null_sender=True),
        },
        domains_put=[DomainOperator("example.org", "google", at), DomainOperator("example.net", "yahoo", at - 5)],
        meta={"timezone": "UTC"},
    )


keys = st.builds(
    AttemptKey,
    stream=st.sampled_from(["trucking", "healthcare"]),
    egress=st.sampled_from(["out05", "out06"]),
    operator=st.sampled_from(["google", "yahoo"]),
    status=st.just("sent"),
    reply_class=st.just(""),
)
counts = st.integers(0, 2**40)
starts = st.integers(0, 200 * DAY_S // MINUTE_S).map(lambda minute: int(DAWN) + minute * MINUTE_S)
attempt_buckets = st.lists(
    st.builds(AttemptBucket, st.just(MINUTE_S), starts, keys, st.builds(AttemptCounts, counts, counts, counts)),
    max_size=12,
    unique_by=lambda bucket: (bucket.start, bucket.key),
)
message_buckets = st.lists(
    st.builds(
        MessageBucket,
        st.just(MINUTE_S),
        starts,
        st.sampled_from(["trucking", "healthcare"]),
        st.builds(MessageCounts, counts, counts, counts, counts),
    ),
    max_size=6,
    unique_by=lambda bucket: (bucket.start, bucket.stream),
)
queue_ids = st.sampled_from(["Q1", "Q2", "Q3"]).map(QueueId)
hostile_text = st.text(st.characters(codec=None, exclude_categories=()), max_size=8)
open_messages = st.builds(
    OpenMessage,
    opened_at=st.integers(0, 3).map(float),
    recipient=hostile_text,
    others=st.none() | st.sets(hostile_text, max_size=3),
    judged=st.integers(0, 2),
)
reason_keys = st.builds(
    ReasonKey,
    day=st.integers(0, 60).map(lambda day: int(DAWN // DAY_S) + day),
    stream=st.just("trucking"),
    status=st.sampled_from(["deferred", "bounced"]),
    reply_class=st.just(""),
    reason=hostile_text,
)
commits = st.builds(
    Commit,
    at=st.just(DAWN),
    checkpoints=st.dictionaries(st.sampled_from(["mail.log", "opendkim"]), st.integers(0, 2**40).map(checkpoint)),
    attempts=attempt_buckets,
    messages=message_buckets,
    reasons=st.dictionaries(reason_keys, counts, max_size=4),
    lines=st.lists(
        st.builds(LineCounts, st.just("mail.log"), st.sampled_from(["postfix", "other"]), st.just("parsed"), counts)
    ),
    open_put=st.dictionaries(queue_ids, open_messages),
    open_removed=st.sets(queue_ids),
    domains_put=st.lists(
        st.builds(DomainOperator, hostile_text, st.sampled_from(["google", "yahoo"]), st.integers(0, 3).map(float)), max_size=3
    ),
    domains_removed=st.lists(hostile_text, max_size=2),
    meta=st.dictionaries(st.sampled_from(["a", "b"]), hostile_text),
)
SMALL_KEEP = Keep(minutes_s=2 * HOUR_S, hours_s=3 * DAY_S, reasons_days=5)
