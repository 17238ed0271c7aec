"""Builders and generators for the store's tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from hypothesis import strategies as st
from msgspec.structs import replace

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
from pwmtad.model.judgement import (
    Evidence,
    EvidenceLine,
    Halt,
    HaltPhase,
    JudgementDeltas,
    Record,
    RecordKind,
    Scope,
    StreamMemory,
)
from pwmtad.model.ledger import Commit, Ledger
from pwmtad.model.listmonk import EngineSettings, HandWindow, Holding, ListmonkMemory, PausedCampaign, SendWindow, Writing
from pwmtad.model.names import Instant, QueueId
from pwmtad.model.sources import FileCheckpoint, JournalCheckpoint

DAWN = 1_700_006_400.0  # 2023-11-15 00:00:00 UTC: the first second of a day makes roll-ups easy to follow
GOOGLE = AttemptKey("trucking", "out05", "google", "sent", "")
YAHOO = AttemptKey("trucking", "out05", "yahoo", "deferred", "rate_limit")


class Reader(Protocol):
    async def load(self, since: Instant) -> Ledger: ...

    async def records(self, *, limit: int, halt_id: str | None = None) -> list[Record]: ...


class Shelf(NamedTuple):
    """One place where a store may keep things; `make` and `reader` may be called many times for it."""

    kind: str
    make: Callable[..., Store]
    reader: Callable[[], Reader]


def attempts(minute: float, key: AttemptKey = GOOGLE, first: int = 1, retries: int = 0) -> AttemptBucket:
    return AttemptBucket(MINUTE_S, int(minute) // MINUTE_S * MINUTE_S, key, AttemptCounts(first, retries))


def checkpoint(offset: int) -> FileCheckpoint:
    return FileCheckpoint("/var/log/mail.log", 2049, 2**63 + 5, offset, b"\xff\x00head", b"tail\n")


LINE = EvidenceLine(DAWN - 3, "4Zy1 to example.org by out05: 550-5.7.1 likely unsolicited mail")


def halt(name: str = "trucking-google-blocks", at: float = DAWN, **changes: Any) -> Halt:
    made = Halt(
        id=name,
        stream="trucking",
        scope=Scope.STREAM,
        subject="trucking",
        rule="google-blocks",
        reason="Gmail refuses mail as unsolicited: 3 within 1 h at google",
        evidence=(LINE,),
        started_at=at,
        hold_s=259_200,
        hold_until=at + 259_200,
        phase=HaltPhase.ACTIVE,
        phase_at=at,
        last_evidence_at=at,
    )
    return replace(made, **changes)


def ended(name: str, at: float) -> Halt:
    """Return a halt that ended at `at`."""
    return halt(name, at - 90_000, phase=HaltPhase.ENDED, phase_at=at, ended_at=at, ended_by="expiry")


def piece(at: float = DAWN, **changes: Any) -> Evidence:
    names = ("trucking", "out05", "google", "reputation", "google-unsolicited")
    made = Evidence(at, *names, "4Zy1", "0123456789abcdef", "example.org", "mx.example.net", "550-5.7.1 no")
    return replace(made, **changes)


def record(reason: str = "Gmail refuses mail", at: float = DAWN, **changes: Any) -> Record:
    made = Record(at, RecordKind.HALT, "trucking", "google-blocks", reason, (LINE,), "none", "active", "trucking-google-blocks")
    return replace(made, ends_at=at + 259_200, **changes)


def listmonk(at: float = DAWN, *, name: str = "News of November", **changes: Any) -> ListmonkMemory:
    """Return what is remembered of an instance with two paused campaigns and a change under way."""
    before = EngineSettings(True, 10_000, 3600.0, 1000, "1h")
    held = PausedCampaign(12, "0e2b9c5e-3b0f-4ba0-8f0b-5bb0a4a1f0a1", name, Holding.OURS, at, 93.5, at + 0.25, at + 5.25)
    made = ListmonkMemory(
        root_url="https://lists.example.org",
        campaigns=(held, replace(held, id=14, holding=Holding.ASKED, first_at=None, last_at=None)),
        window=SendWindow(2, 25),
        per_hour=300,
        hand=HandWindow(before, None),
        writing=Writing(before, SendWindow(2, 172), 2, 50),
    )
    return replace(made, **changes)


def full_judgement(at: float = DAWN) -> JudgementDeltas:
    """Return something of everything that is judged."""
    memory = StreamMemory(warmup_start=at, unknown=("log_silent",), told_until={"rate-limits": at + 60.5}, halted_since=at)
    evidence, records = (piece(at), piece(at + 0.25)), (record(at=at),)
    return JudgementDeltas((halt(at=at),), {"trucking": memory}, evidence, records, {"trucking": listmonk(at)})


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
        judgement=full_judgement(at),
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
moments = st.integers(0, 500 * 24).map(lambda hour: DAWN + hour * HOUR_S + 0.125)
lines = st.lists(st.builds(EvidenceLine, at=moments, text=hostile_text), max_size=3).map(tuple)
halts = st.builds(
    halt,
    st.sampled_from(["a", "b", "c"]),
    moments,
    evidence=lines,
    reason=hostile_text,
    phase=st.sampled_from(HaltPhase),
    hold_until=st.none() | moments,
    ended_at=st.none() | moments,
    ended_by=hostile_text,
)
records = st.builds(
    record,
    hostile_text,
    moments,
    kind=st.sampled_from(RecordKind),
    evidence=lines,
    before=hostile_text,
    halt_id=st.sampled_from(["", "a", "b"]),
    subject=hostile_text,
)
memories = st.builds(
    StreamMemory,
    warmup_start=st.none() | moments,
    unknown=st.lists(hostile_text, max_size=2).map(tuple),
    told_until=st.dictionaries(hostile_text, moments, max_size=2),
)
judgements = st.builds(
    JudgementDeltas,
    halts=st.lists(halts, max_size=3, unique_by=lambda one: one.id).map(tuple),
    memories=st.dictionaries(st.sampled_from(["trucking", "healthcare"]), memories),
    evidence=st.lists(st.builds(piece, moments, text=hostile_text, recipient_domain=hostile_text), max_size=4).map(tuple),
    records=st.lists(records, max_size=4).map(tuple),
    listmonk=st.dictionaries(st.sampled_from(["trucking", "healthcare"]), st.builds(listmonk, moments, name=hostile_text)),
)
commits = st.builds(
    Commit,
    at=st.just(DAWN),
    judgement=judgements,
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
SMALL_KEEP = Keep(minutes_s=2 * HOUR_S, hours_s=3 * DAY_S, reasons_days=5, records_s=10 * DAY_S, records_min=2)
