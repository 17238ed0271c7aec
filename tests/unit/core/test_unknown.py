"""What is not known is said, and said for no longer than it is not known."""

from __future__ import annotations

from datetime import UTC

import pytest

from pwmtad.core.lines import LineReader
from pwmtad.core.observe import SourceReading
from pwmtad.core.unknown import Moments, unknown_codes
from pwmtad.model.names import Instant, SourceKind
from pwmtad.model.observed import Observed
from pwmtad.model.sources import SourceHealth
from pwmtad.model.state import Finding, Level, QueueState
from tests.tools.judging import DAY, HOUR, START

NOW = START + 10 * DAY


def source(
    kind: SourceKind = SourceKind.POSTFIX, *, read_to: Instant = NOW, error: str | None = None, line: Instant | None = NOW
) -> SourceReading:
    reading = SourceReading(kind, LineReader(zone=UTC, now=NOW, year=None), NOW)
    reading.watermark = read_to
    reading.health = SourceHealth(error=error)
    reading.last_line_at = line
    return reading


def codes(
    *sources: SourceReading,
    queue: QueueState | None = None,
    started: Instant = NOW - DAY,
    since: Instant | None = NOW - DAY,
    suppressed: Instant | None = None,
    jumped: Instant | None = None,
    gap: Instant | None = None,
    findings: tuple[Finding, ...] = (),
) -> dict[str, str]:
    return unknown_codes(
        sources={f"source{number}": one for number, one in enumerate(sources or (source(),))},
        observed=Observed(queue=queue if queue is not None else QueueState(0, 0, 0, 0, 0), findings=findings),
        moments=Moments(started, since, suppressed, jumped, gap),
        now=NOW,
    )


def test_a_log_that_is_read_and_counters_that_are_warm_leave_nothing_unknown() -> None:
    assert codes() == {}


def test_a_source_that_can_not_be_read_is_told_with_its_reason() -> None:
    assert codes(source(error="permission denied")) == {"source_unreadable": "source0 can't be read: permission denied"}


def test_postfixs_settings_that_can_not_be_read_are_not_known_and_other_findings_are_no_doubt() -> None:
    unread = Finding(Level.UNKNOWN, "postfix_unreadable", "postconf did not end", "/etc/postfix")
    other = Finding(Level.ERROR, "egress_missing", "no such service", "out05")
    assert codes(findings=(unread, other)) == {"postfix_unreadable": "postconf did not end"}


def test_two_sources_that_can_not_be_read_are_both_told() -> None:
    told = codes(source(error="gone"), source(SourceKind.OPENDKIM, error="no journal"))["source_unreadable"]
    assert told == "source0 can't be read: gone; source1 can't be read: no journal"


@pytest.mark.parametrize(("behind", "told"), [(0, False), (60, False), (61, True), (DAY, True)])
def test_a_source_is_still_read_when_it_is_more_than_a_minute_behind(behind: int, told: bool) -> None:
    assert ("still_reading" in codes(source(read_to=NOW - behind))) is told


@pytest.mark.parametrize(
    ("queue", "silent", "told"),
    [
        (QueueState(incoming=1, active=0, deferred=0), 301, True),
        (QueueState(incoming=0, active=3, deferred=9), 301, True),
        (QueueState(incoming=0, active=3, deferred=0), 300, False),
        (QueueState(incoming=0, active=0, deferred=9), 5000, False),
        (QueueState(incoming=0, active=0, deferred=9), 5001, True),
        (QueueState(incoming=0, active=0, deferred=0, hold=500), DAY, False),
        (QueueState(problem="no permission"), DAY, False),
    ],
)
def test_silence_is_no_health_while_mail_is_queued(queue: QueueState, silent: int, told: bool) -> None:
    assert ("log_silent" in codes(source(line=NOW - silent), queue=queue)) is told


def test_lines_of_the_signer_do_not_break_postfixs_silence() -> None:
    found = codes(source(line=NOW - HOUR), source(SourceKind.OPENDKIM, line=NOW), queue=QueueState(active=1))
    assert found == {"log_silent": "1 messages are queued, and no line was logged for 60 min"}


def test_before_the_first_line_silence_is_counted_from_the_start() -> None:
    queue = QueueState(active=1)
    assert codes(source(line=None), queue=queue, started=NOW - 100, since=NOW - DAY) == {}
    assert "log_silent" in codes(source(line=None), queue=queue, started=NOW - 400, since=NOW - DAY)


def test_silence_is_not_asked_for_while_lines_are_still_read() -> None:
    assert "log_silent" not in codes(source(read_to=NOW - HOUR, line=NOW - HOUR), queue=QueueState(active=1))


@pytest.mark.parametrize(
    ("code", "moment"), [("lines_suppressed", "suppressed"), ("clock_jumped", "jumped"), ("log_gap", "gap")]
)
def test_what_makes_counters_doubtful_does_so_for_an_hour(code: str, moment: str) -> None:
    def at(when: Instant) -> dict[str, str]:
        return codes(**{moment: when})  # type: ignore[arg-type]

    assert list(at(NOW)) == [code]
    assert list(at(NOW - HOUR + 1)) == [code]
    assert at(NOW - HOUR) == {}
    assert list(at(NOW + DAY)) == [code]  # the clock was set back since


def test_counters_are_cold_until_they_cover_an_hour() -> None:
    assert list(codes(started=NOW - 60, since=NOW - HOUR + 1)) == ["counters_cold"]
    assert codes(started=NOW - 60, since=NOW - HOUR) == {}


def test_an_hour_in_which_nothing_was_logged_is_covered_as_well() -> None:
    assert codes(started=NOW - HOUR, since=None) == {}
    assert list(codes(started=NOW - HOUR + 1, since=None)) == ["counters_cold"]
    assert codes(started=NOW - HOUR, since=NOW - 5) == {}
