"""A day in the life of a host with two streams, as the daemon would show it: sample data for everything that shows a State."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from pwmtad.model.counters import AttemptCounts, AttemptKey, MessageCounts
from pwmtad.model.state import (
    Coverage,
    Finding,
    Level,
    MixRow,
    QueueState,
    ReasonRow,
    ReloadState,
    Snapshot,
    SourceState,
    State,
    StoreState,
    StreamState,
    Totals,
)

AT = datetime(2026, 6, 17, 18, 22, 41, tzinfo=UTC).timestamp()
"""The moment of the sample."""

_KEYS = (
    # stream, egress, operator, status, class, first attempts today, retries today
    ("trucking", "out05", "google", "sent", "", 212, 9),
    ("trucking", "out05", "google", "bounced", "reputation", 41, 0),
    ("trucking", "out05", "microsoft-365", "sent", "", 388, 21),
    ("trucking", "out05", "microsoft-365", "deferred", "dead_domain", 61, 240),
    ("trucking", "out06", "google", "sent", "", 198, 4),
    ("trucking", "out06", "google", "deferred", "rate_limit", 22, 31),
    ("trucking", "out06", "comcast", "sent", "", 164, 0),
    ("trucking", "out06", "other", "bounced", "hard_bounce", 37, 0),
    ("trucking", "out06", "unknown", "deferred", "infrastructure", 18, 92),
    ("trucking", "out07", "microsoft-consumer", "sent", "", 301, 12),
    ("trucking", "out07", "other", "sent", "", 122, 0),
    ("trucking", "out07", "other", "deferred", "greylist", 33, 30),
    ("healthcare", "hc1", "microsoft-365", "sent", "", 96, 2),
    ("healthcare", "hc1", "microsoft-365", "deferred", "dead_domain", 24, 88),
    ("healthcare", "hc1", "other", "bounced", "mailbox_full", 3, 0),
    ("none", "none", "google", "sent", "", 12, 0),
)
_REASONS = (
    ("trucking", "deferred", "dead_domain",
     "451 4.4.4 Mail received as unauthenticated, incoming to a recipient domain configured in a hosted tenant", 301),
    ("healthcare", "deferred", "dead_domain",
     "451 4.4.4 Mail received as unauthenticated, incoming to a recipient domain configured in a hosted tenant", 112),
    ("trucking", "deferred", "infrastructure", "connect to *: Connection timed out", 110),
    ("trucking", "deferred", "greylist", "450 4.2.0 Recipient address rejected: Greylisted, see *", 63),
    ("trucking", "deferred", "rate_limit", "421-4.7.28 Gmail has detected an unusual rate of unsolicited mail from *", 53),
    ("trucking", "bounced", "reputation",
     "550-5.7.1 Gmail has detected that this message is likely unsolicited mail. To reduce the amount of spam sent to", 41),
    ("trucking", "bounced", "hard_bounce", "550 5.1.1 [bold]User unknown[/bold] in virtual mailbox table", 37),
    ("healthcare", "bounced", "mailbox_full", "552 5.2.2 Over quota", 3),
)  # fmt: skip


def sample_state() -> State:
    """Return the sample: day 15 of one stream's warmup, another whose stamp can't be read, a backlog."""
    return State(
        version="0.1.0",
        mode="observe",
        host="mail.example.org",
        at=AT,
        started_at=AT - 3 * 86400 - 5 * 3600,
        summary="observe: last hour 212 sent, 96 deferred, 11 bounced; 1 finding: hc1 has no syslog_name of its own",
        findings=(
            Finding(
                Level.ERROR,
                "egress_without_syslog_name",
                "hc1 has no syslog_name of its own, so its lines can't be told from others: add "
                "`-o syslog_name=postfix/$service_name` to it in master.cf and reload Postfix",
                "hc1",
            ),
            Finding(
                Level.UNKNOWN,
                "warmup_start_unknown",
                "can't read /etc/postfix/hc-warmup-start: No such file or directory",
                "healthcare",
            ),
            Finding(
                Level.WARNING,
                "short_queue_ids",
                "short queue ids are used again within seconds, so lines of two messages may be taken for one: "
                "set enable_long_queue_ids = yes and reload Postfix",
                "enable_long_queue_ids",
            ),
        ),
        sources=(
            SourceState("mail.log", "/var/log/mail.log", True, 1_284_551, 12, AT - 2, AT, 1, 0, 3, None),
            SourceState(
                "opendkim", "journal:opendkim.service", False, 48_201, 0, AT - 95, AT - 95, 0, 0, 0, None, progress=0.42
            ),
        ),
        streams=(
            StreamState(
                name="trucking",
                warmup_day=15,
                warmup_problem=None,
                pool=("out05", "out06", "out07"),
                pool_allowed=12,
                egresses=("out05", "out06", "out07", "out08"),
                window_per_hour=300,
                ceiling_per_day=4000,
                first_attempts_hour=214,
                first_attempts_utc_day=1597,
                coverage=Coverage(
                    hour=MessageCounts(214, 200, 2, 0),
                    day=MessageCounts(1812, 1790, 22, 1),
                    utc_day=MessageCounts(1597, 1585, 12, 0),
                ),
            ),
            StreamState(
                name="healthcare",
                warmup_day=None,
                warmup_problem="can't read /etc/postfix/hc-warmup-start: No such file or directory",
                pool=(),
                pool_allowed=None,
                egresses=("hc1",),
                window_per_hour=None,
                ceiling_per_day=1000,
                first_attempts_hour=11,
                first_attempts_utc_day=123,
                coverage=Coverage(hour=MessageCounts(11, 0, 11, 0), day=MessageCounts(140, 90, 50, 0), utc_day=MessageCounts()),
            ),
        ),
        mix=tuple(
            MixRow(
                AttemptKey(stream, egress, operator, status, reply_class),
                hour=AttemptCounts(first // 8, retries // 8, 0),
                day=AttemptCounts(first + first // 4, retries + retries // 4, 1),
                utc_day=AttemptCounts(first, retries, 1 if egress == "out07" else 0),
            )
            for stream, egress, operator, status, reply_class, first, retries in _KEYS
        ),
        reasons=tuple(ReasonRow(*row) for row in _REASONS),
        queue=QueueState(incoming=2, active=14, deferred=1846, hold=0, maildrop=None, problem="no permission to read maildrop"),
        store=StoreState("sqlite:/var/lib/pwmtad/pwmtad.db", AT - 0.4, 277_000, 0, None),
        reload=ReloadState("/etc/pwmtad/pwmtad.toml", AT - 7200, 1, 0, None),
        open_messages=1893,
        evicted_messages=0,
        events={"attempt": 5121, "queued": 3991, "removed": 1740, "signed": 1675, "unparsed": 12},
        ticks=277_201,
        tick_s=0.0021,
    )


def sample_snapshot() -> Snapshot:
    """Return the sample with totals, as the daemon hands it to the faces; the journal is not read to its end yet."""
    state = sample_state()
    totals = Totals(
        attempts={row.key: AttemptCounts(*(3 * count for count in row.utc_day)) for row in state.mix},
        messages={stream.name: stream.coverage.day for stream in state.streams} | {"none": MessageCounts(expired=7)},
        lines={
            ("mail.log", "postfix", "parsed"): 1_280_000,
            ("mail.log", "postfix", "unparsed"): 10,
            ("mail.log", "other", "unparsed"): 2,
            ("mail.log", "other", "parsed"): 4_539,
            ("opendkim", "opendkim", "parsed"): 48_201,
        },
    )
    return Snapshot(
        state=state,
        totals=totals,
        ready=False,
        not_ready=("opendkim: still reading, 42% done",),
        tick_durations=(0.0011, 0.0021),
    )


def healthy_snapshot() -> Snapshot:
    """Return the sample without anything to complain about."""
    snapshot = sample_snapshot()
    state = msgspec.structs.replace(
        snapshot.state,
        findings=(),
        sources=tuple(
            msgspec.structs.replace(source, caught_up=True, progress=None, watermark=AT) for source in snapshot.state.sources
        ),
    )
    return msgspec.structs.replace(snapshot, state=state, ready=True, not_ready=())
