"""The benches measure what they say: their lines mean what is measured, and their cuts lose nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from io import StringIO

from bench.latency import Writer
from bench.live import histogram
from bench.rest import OPERATORS, lines, relays_and_rules
from bench.weeks import SOAKS, START, slices
from pwmtad.core.latency import written_at
from pwmtad.core.lines import LineReader
from pwmtad.model import events
from tests.tools.loggen import Stream, egresses


def _line(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC).isoformat(timespec='microseconds')} mta postfix/qmgr[7]: x\n"


def test_slices_hold_every_line_once_and_quiet_ones_are_there_too() -> None:
    log = [_line(START + second) for second in (0.0, 59.9, 60.0, 185.0)]
    cut = list(slices(log, 60, START + 86_400))
    assert [end - START for end, _ in cut] == [60, 120, 180, 240]
    assert [len(batch) for _, batch in cut] == [2, 1, 0, 1]
    assert [line for _, batch in cut for line in batch] == [line.rstrip("\n") for line in log]


def test_slices_end_with_the_soak() -> None:
    log = [_line(START + second) for second in range(0, 200, 5)]
    assert [end - START for end, _ in slices(log, 10, START + 30)] == [10, 20, 30]


def test_a_slice_of_each_soak_can_be_told_by_the_time_of_its_lines() -> None:
    for plan in SOAKS.values():
        assert next(slices([_line(START)], plan.slice_s, START + 60))[0] == START + plan.slice_s


def test_at_rest_every_egress_has_had_every_answer_of_forty_operators() -> None:
    relays, rules = relays_and_rules()
    assert len(set(relays)) == OPERATORS
    assert rules.count("[[operator]]") < OPERATORS
    reader = LineReader(now=START)
    attempts = [reader.line(line.rstrip("\n")) for line in lines(relays, 3600)]
    cells = {(event.tag, event.relay_host, event.status) for event in attempts if isinstance(event, events.Attempt)}
    assert len(cells) == len(attempts) == 20 * OPERATORS * 3


def test_lines_that_decide_something_are_attempts_with_the_time_at_which_they_are_written() -> None:
    log = StringIO()
    writer = Writer(log)
    at = [writer.dead(7), writer.tss04(Stream("s01", egresses(range(51, 52), "s01")))]
    written = log.getvalue().splitlines()
    reader = LineReader(now=at[0])
    dead, tss04 = (reader.line(line) for line in written)
    assert isinstance(dead, events.Attempt)
    assert isinstance(tss04, events.Attempt)
    assert dead.recipient.endswith("@dead-7.example")
    assert "ATTR5" in dead.text
    assert "[TSS04]" in tss04.text
    assert all(abs((written_at(line) or 0.0) - moment) < 1e-5 for line, moment in zip(written, at, strict=True))


def test_a_histogram_is_shown_by_ascending_bounds() -> None:
    page = {
        'x_bucket{le="+Inf",stage="event"}': 4.0,
        'x_bucket{le="0.5",stage="event"}': 3.0,
        'x_bucket{le="0.05",stage="event"}': 1.0,
        'x_bucket{le="0.05",stage="verdict"}': 9.0,
        'xy_bucket{le="0.05",stage="event"}': 9.0,
    }
    assert histogram(page, "x", stage="event") == "<= 0.05 s: 1, <= 0.5 s: 3, <= +Inf s: 4"
