"""How lines reach the judgement: at which moment, and what sources that are behind and wrong clocks must not bring about."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pwmtad.config import Settings
from pwmtad.core.attribution import Routes
from pwmtad.core.classify import Classifier
from pwmtad.core.correlate import Limits
from pwmtad.core.guard import Guard
from pwmtad.core.observe import Observer, Parts
from pwmtad.core.policy import Policy
from pwmtad.core.wiring import OPENDKIM_SOURCE, POSTFIX_SOURCE, stream_routes
from pwmtad.model.judgement import HaltPhase, RecordKind, StopRule
from pwmtad.model.names import Instant, SourceKind, StreamName
from pwmtad.model.sources import Batch, SourceHealth
from tests.tools.judging import DAY, HOUR, START, rule, settings_of
from tests.unit.config.test_stop_rules import RULES

MINUTE = 60
SIGNED = "DKIM-Signature field added (s=mail, d=example.org)"
GMAIL = (
    "host gmail-smtp-in.l.google.com[192.0.2.26] said: 550-5.7.1 [192.0.2.94      12] Our system has detected that this "
    "message is likely 550-5.7.1 unsolicited mail. To reduce the amount of spam sent to Gmail, 550 5.7.1 this message has been "
    "blocked. (in reply to end of DATA command)"
)


def settings() -> Settings:
    return settings_of(more='injector_clients = ["172.18.0.5"]')


def observer_of(*rules: StopRule, now: Instant = START, journal: bool = False) -> Observer:
    chosen = settings()
    kinds = {POSTFIX_SOURCE: SourceKind.POSTFIX, OPENDKIM_SOURCE: SourceKind.OPENDKIM}
    observer = Observer(
        parts=Parts(
            routes=Routes([stream_routes(chosen, StreamName(name)) for name in chosen.streams], None),
            classifier=Classifier(RULES),
            limits=Limits(),
            grace_s=30.0,
        ),
        sources=kinds if journal else {POSTFIX_SOURCE: SourceKind.BOTH},
        max_reasons_per_day=100,
        now=now,
        guard=Guard(Policy(settings=chosen, stop_rules=rules)),
    )
    observer.warmup_starts = {"trucking": START, "healthcare": START}
    return observer


def stamp(at: Instant) -> str:
    return datetime.fromtimestamp(at, tz=UTC).isoformat()


def block(at: Instant, number: int) -> str:
    head = f"{stamp(at)} mail postfix/out05/smtp[7]: 4XkJ2l1zq{number:04}: to=<r{number}@example.com>, "
    return (
        head + f"relay=gmail-smtp-in.l.google.com[192.0.2.26]:25, delay=1, delays=0/0/0/1, dsn=5.7.1, status=bounced ({GMAIL})"
    )


def sent(at: Instant, number: int) -> str:
    head = f"{stamp(at)} mail postfix/out05/smtp[7]: 4XkJ2l1zq{number:04}: to=<r{number}@example.com>, "
    return head + "relay=mx.example.com[192.0.2.26]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 OK)"


def campaign(at: Instant, number: int) -> list[str]:
    queue_id = f"4XkJ2l1zq{number:04}"
    return [
        f"{stamp(at)} mail postfix/smtpd[5]: {queue_id}: client=listmonk[172.18.0.5]",
        f"{stamp(at)} mail postfix/qmgr[6]: {queue_id}: from=<news@example.org>, size=900, nrcpt=1 (queue active)",
    ]


def batch(*lines: str, source: str = POSTFIX_SOURCE, caught_up: bool = True, error: str | None = None, gaps: int = 0) -> Batch:
    return Batch(source, list(lines), None, caught_up, SourceHealth(error=error, gaps=gaps))


def halted(observer: Observer) -> list[str]:
    return [halt.rule for halt in observer.guard.streams["trucking"].halts.values() if halt.phase is HaltPhase.ACTIVE]


def test_the_third_block_in_the_log_halts_before_any_look() -> None:
    observer = observer_of(rule())
    observer.take(batch(*(block(START + second, second) for second in range(3))), START + 3)
    assert halted(observer) == ["google-blocks"]


def test_a_line_from_the_future_neither_empties_the_hour_nor_the_day() -> None:
    observer = observer_of()
    observer.look(START)
    observer.take(batch(*(sent(START + 1, number) for number in range(60))), START + 2)
    observer.take(batch(sent(START + 365 * DAY, 900)), START + 3)
    observer.look(START + 4)
    observer.take(batch(*(sent(START + 5, 100 + number) for number in range(45))), START + 6)
    assert halted(observer) == ["spike"]


def test_evidence_from_the_future_is_of_now() -> None:
    observer = observer_of(rule(count=1))
    observer.take(batch(block(START + 365 * DAY, 1)), START + 3)
    (halt,) = observer.guard.streams["trucking"].halts.values()
    assert halt.started_at == START + 3


def test_a_log_without_times_is_judged_by_its_arrival() -> None:
    observer = observer_of(rule(count=1))
    line = block(START, 1).partition("postfix/")[2]
    observer.take(batch(sent(START - DAY, 1)), START - DAY)
    observer.take(batch(f"32 Foo 99:00:00 mail postfix/{line}"), START + 3)
    assert [halt.started_at for halt in observer.guard.streams["trucking"].halts.values()] == [START + 3]


def test_a_backlog_that_both_sources_are_busy_with_is_not_unverified_mail() -> None:
    now = START + DAY
    observer = observer_of(now=now, journal=True)
    lines = [line for number in range(300) for line in campaign(START + number, number)]
    observer.take(batch(*lines), now)
    for second in range(50):
        signing = f"{stamp(START + second)} mail opendkim[9]: 4XkJ2l1zq{second:04}: {SIGNED}"
        observer.take(batch(signing, source=OPENDKIM_SOURCE, caught_up=False), now + second)
        observer.look(now + second)
    assert halted(observer) == []


@pytest.mark.parametrize("error", ["journalctl: no such unit", None])
def test_mail_that_is_queued_while_the_journal_says_nothing_for_a_minute_is_unverified(error: str | None) -> None:
    observer = observer_of(journal=True)
    observer.take(batch(source=OPENDKIM_SOURCE), START)
    for second in range(100):
        observer.take(batch(*campaign(START + second, second)), START + second)
        if error is not None:
            observer.take(batch(source=OPENDKIM_SOURCE, error=error, caught_up=False), START + second)
        observer.look(START + second)
    assert halted(observer) == []
    observer.take(batch(), START + 99 + MINUTE)
    observer.look(START + 99 + MINUTE)
    assert halted(observer) == ["dkim-unverified"]


def test_a_clock_that_is_set_back_leaves_the_signatures_their_time() -> None:
    observer = observer_of()
    observer.take(batch(), START + DAY)
    observer.take(batch(*(line for number in range(20) for line in campaign(START, number))), START)
    observer.look(START)
    assert halted(observer) == []
    observer.take(batch(), START + 31)
    observer.look(START + 31)
    assert halted(observer) == ["dkim-coverage"]


def test_a_source_that_is_behind_is_never_ahead_of_the_clock() -> None:
    observer = observer_of()
    observer.take(batch(), START + DAY)
    observer.take(batch(sent(START - 10, 1), caught_up=False), START)
    assert observer.watermark() == START
    observer.take(batch(caught_up=False), START + 5)
    assert observer.watermark() == START


def test_the_counters_begin_with_the_first_line_that_postfix_wrote() -> None:
    observer = observer_of(now=START + DAY, journal=True)
    observer.take(batch(f"{stamp(START)} mail opendkim[9]: starting", source=OPENDKIM_SOURCE), START + DAY)
    assert observer.counters_since is None
    observer.take(batch(sent(START + HOUR, 1), sent(START + 5 * HOUR, 2)), START + DAY)
    assert observer.counters_since == START + HOUR


def test_suppressed_lines_are_noticed_in_whatever_source_they_are_told() -> None:
    line = "mail systemd-journald[1]: Suppressed 4711 messages from postfix@-.service"
    for source in (POSTFIX_SOURCE, OPENDKIM_SOURCE):
        observer = observer_of(journal=True)
        observer.take(batch(f"{stamp(START - 5)} {line}", source=source), START)
        assert observer.suppressed_at == START - 5


def test_a_gap_is_noticed_when_it_is_told() -> None:
    observer = observer_of()
    observer.take(batch(gaps=1), START + 7)
    assert observer.gap_at == START + 7


def test_what_is_unknown_reaches_the_judgement_with_the_next_look() -> None:
    observer = observer_of()
    observer.unknown = {"log_gap": "lines may have been missed"}
    observer.look(START)
    assert observer.guard.take_news() == []  # nothing was read yet: whether there is a backlog is not known
    observer.take(batch(), START)
    observer.look(START)
    assert {record.rule for record in observer.guard.take_news() if record.kind is RecordKind.UNKNOWN} == {"log_gap"}


def test_a_source_that_says_nothing_does_not_keep_the_judgement_from_looking() -> None:
    observer = observer_of()
    observer.unknown = {"log_silent": "no line"}
    observer.look(START + 61)
    assert {record.rule for record in observer.guard.take_news() if record.kind is RecordKind.UNKNOWN} == {"log_silent"}


def test_a_backlog_is_judged_by_the_time_of_its_lines_though_the_clock_ticks() -> None:
    observer = observer_of(now=START + 3 * DAY)
    lines = [sent(START + HOUR + 10 * number, number) for number in range(101)]
    for number, line in enumerate(lines):
        observer.take(batch(line, caught_up=False), START + 3 * DAY + number)
        observer.look(START + 3 * DAY + number)
    halts = [record for record in observer.guard.take_news() if record.kind is RecordKind.HALT]
    assert [(halt.rule, halt.at) for halt in halts] == [("spike", START + HOUR + 1000)]


def test_a_replay_has_no_arrival_and_takes_every_line_at_its_word() -> None:
    observer = observer_of(rule(count=1))
    line = block(START, 1).partition("postfix/")[2]
    observer.count(POSTFIX_SOURCE, [sent(START + HOUR, 1), f"32 Foo 99:00:00 mail postfix/{line}"], 4e11)
    observer.count(POSTFIX_SOURCE, [block(START + 300 * DAY, 2)], 4e11)
    (halt,) = observer.guard.streams["trucking"].halts.values()
    assert halt.started_at == START + HOUR


def test_lines_that_were_merged_by_time_are_looked_at_as_their_time_goes_on() -> None:
    observer = observer_of()
    reader = observer.sources[POSTFIX_SOURCE].reader
    for number in range(12):
        for line in campaign(START + number, number):
            observer.take_event(POSTFIX_SOURCE, reader.line(line))
    assert halted(observer) == []
    observer.take_event(POSTFIX_SOURCE, reader.line(sent(START + 45, 1)))
    assert halted(observer) == ["dkim-coverage"]
