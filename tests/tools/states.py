"""A day in the life of a host with two streams, as the daemon would show it: sample data for everything that shows a State."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from pwmtad.model.acting import Acting, ListmonkActing, StreamActing
from pwmtad.model.audit import AuditActing
from pwmtad.model.counters import AttemptCounts, AttemptKey, MessageCounts
from pwmtad.model.judgement import Desired, EvidenceLine, Halt, HaltPhase, Record, RecordKind, Scope
from pwmtad.model.state import (
    Coverage,
    Distribution,
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
from pwmtad.model.suppression import SuppressionActing, SuppressionCount

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


HALTED_AT = datetime(2026, 6, 17, 3, 12, 41, tzinfo=UTC).timestamp()
HALT_ID = "trucking-google-blocks-20260617T031241"
_EVIDENCE = tuple(
    EvidenceLine(
        HALTED_AT - ago_s,
        f"4XkJ2l{number}zq9z1 to example.{domain} by out0{number} via gmail-smtp-in.l.google.com "
        "[reputation/google-unsolicited]: host gmail-smtp-in.l.google.com[192.0.2.26] said: 550-5.7.1 [203.0.113.9] "
        "Gmail has detected that this message is likely unsolicited mail",
    )
    for number, domain, ago_s in ((5, "org", 1803.0), (6, "net", 641.0), (7, "com", 0.0))
)


def sample_halt() -> Halt:
    """Return the halt of one stream at 03:12, after the third Gmail block."""
    return Halt(
        id=HALT_ID,
        stream="trucking",
        scope=Scope.STREAM,
        subject="trucking",
        rule="google-blocks",
        reason="Gmail refuses mail as unsolicited or for the reputation of address or domain: 3 times, to 3 recipients, within "
        "1 h at google",
        evidence=_EVIDENCE,
        started_at=HALTED_AT,
        hold_s=259_200,
        hold_until=HALTED_AT + 259_200,
        phase=HaltPhase.ACTIVE,
        phase_at=HALTED_AT,
        last_evidence_at=HALTED_AT,
    )


def sample_records() -> list[Record]:
    """Return what was decided that night, as the store hands it out."""
    halt = sample_halt()
    return [
        Record(
            HALTED_AT - 5000, RecordKind.FREEZE, "trucking", "rate-limits",
            "an operator says that mail comes too fast: 5 times, to 5 recipients, within 1 h at microsoft-consumer",
            (EvidenceLine(HALTED_AT - 5000, "4XkJ2l5zq9z2 to example.org: 451 4.7.650 throttled \x1b[31m[bold]red[/bold]"),),
            ends_at=HALTED_AT - 5000 + 86_400, subject="microsoft-consumer", id=70,
        ),
        Record(
            HALTED_AT, RecordKind.HALT, "trucking", "google-blocks", halt.reason, halt.evidence, "none", "active", HALT_ID,
            ends_at=halt.hold_until, id=71,
        ),
        Record(
            HALTED_AT + 3600, RecordKind.UNKNOWN, "healthcare", "log_silent",
            "14 messages are queued, and no line was logged for 61 min", (), "", "log_silent", id=72,
        ),
    ]  # fmt: skip


def sample_state() -> State:
    """Return the sample: day 15 of one stream's warmup, halted; another whose stamp can't be read, a backlog."""
    return State(
        version="0.1.0",
        mode="observe",
        host="mail.example.org",
        at=AT,
        started_at=AT - 3 * 86400 - 5 * 3600,
        summary="observe: trucking would be halted (google-blocks); last hour 212 sent, 96 deferred, 11 bounced; 1 finding: "
        "hc1 has no syslog_name of its own",
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
                frozen_until=AT + 31_359,
                frozen_rule="rate-limits",
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
                unknown=("warmup_start",),
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
        halts=(msgspec.structs.replace(sample_halt(), evidence=()),),
        desired=(
            Desired(
                stream="trucking",
                day=15,
                effective_day=13,
                pool=tuple(f"out{number:02}" for number in range(5, 17)),
                window_per_hour=250,
                sending=False,
                probe_limit=None,
                growth=False,
                reasons=(f"google-blocks ({HALT_ID})",),
            ),
            Desired(
                stream="healthcare",
                day=None,
                effective_day=None,
                pool=(),
                window_per_hour=50,
                sending=True,
                probe_limit=None,
                growth=False,
                reasons=("the warmup start is not known",),
            ),
        ),
        acting=Acting(
            reachable=True,
            postfix_running=True,
            last_write_at=AT - 3600,
            writes=14,
            failures=1,
            drifts=2,
            last_took_s=0.21,
            keeps_queued=True,
            streams=(
                StreamActing("trucking", HALT_ID, 173, queued=250, held_messages=1420, parked_messages=3, oldest_at=AT - 9000),
                StreamActing("healthcare", rate_delay_s=73),
            ),
            listmonk=(
                ListmonkActing(
                    "trucking",
                    "http://127.0.0.1:9000",
                    reachable=True,
                    version="v6.2.0",
                    window="2 each 30s",
                    window_per_hour=240,
                    in_force=True,
                    running=0,
                    scheduled=1,
                    held=2,
                    unsure=1,
                    doing="google-blocks",
                    pauses=7,
                    resumes=4,
                    changes=3,
                    failures=2,
                    drifts=1,
                    last_change_at=AT - 90_000,
                ),
                ListmonkActing(
                    "healthcare",
                    "https://lists.example.org",
                    reachable=False,
                    doing="no answer",
                    problem="no answer from https://lists.example.org within 10 s",
                    failures=1,
                ),
            ),
            suppressions=(
                SuppressionActing(
                    "trucking",
                    way="webhook",
                    waiting=4,
                    reported=118,
                    verified=112,
                    failures=1,
                    counts=(
                        SuppressionCount("trucking", "address", "hard_bounce", "untold", 4),
                        SuppressionCount("trucking", "address", "hard_bounce", "verified", 2310),
                        SuppressionCount("trucking", "address", "mailbox_full", "counting", 41),
                        SuppressionCount("trucking", "address", "mailbox_full", "verified", 77),
                        SuppressionCount("trucking", "address", "manual", "verified", 12),
                        SuppressionCount("trucking", "domain", "dead_domain", "left", 1),
                        SuppressionCount("trucking", "domain", "dead_domain", "verified", 163),
                    ),
                ),
                SuppressionActing("healthcare", problem="suppressions wait to be told: no answer"),
            ),
            audits=(
                AuditActing(
                    "trucking",
                    at=AT - 120,
                    campaigns=3,
                    without_altbody=1,
                    without_messenger=0,
                    too_large=1,
                    with_excluded_domains=1,
                    excluded_subscribers=1204,
                    localhost_message_ids=0,
                    mailed_often_ratio=0.071,
                ),
                AuditActing("healthcare", at=AT - 60, localhost_message_ids=96, problem="no answer"),
            ),
        ),
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
        decisions={("trucking", "halt"): 1, ("trucking", "freeze"): 1, ("healthcare", "unknown"): 1},
    )
    return Snapshot(
        state=state,
        totals=totals,
        ready=False,
        not_ready=("opendkim: still reading, 42% done",),
        tick_durations=(0.0011, 0.0021),
        tick_intervals=Distribution((0.1, 1.0), (3, 40, 2), 44.1),
        latencies={
            "event": Distribution((0.01, 0.1), (7, 2, 0), 0.09),
            "verdict": Distribution((0.01, 0.1), (6, 2, 1), 0.24),
            "action": Distribution((0.01, 0.1), (0, 1, 0), 0.031),
        },
    )


def healthy_snapshot() -> Snapshot:
    """Return the sample without anything to complain about."""
    snapshot = sample_snapshot()
    state = msgspec.structs.replace(
        snapshot.state,
        findings=(),
        halts=(),
        desired=tuple(
            msgspec.structs.replace(desired, sending=True, growth=True, reasons=()) for desired in snapshot.state.desired
        ),
        acting=Acting(),
        streams=tuple(
            msgspec.structs.replace(stream, frozen_until=None, frozen_rule="", unknown=()) for stream in snapshot.state.streams
        ),
        sources=tuple(
            msgspec.structs.replace(source, caught_up=True, progress=None, watermark=AT) for source in snapshot.state.sources
        ),
    )
    return msgspec.structs.replace(snapshot, state=state, ready=True, not_ready=())
