"""The benches measure what they say: their lines mean what is measured, and their cuts lose nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from io import StringIO

from bench.latency import Writer
from bench.live import histogram
from bench.rest import OPERATORS, lines, relays_and_rules
from bench.tables import allocators, sizes
from bench.weeks import SOAKS, START, slices, unit_environment
from pwmtad.core.latency import written_at
from pwmtad.core.lines import LineReader
from pwmtad.core.tally import Tally
from pwmtad.model import events
from pwmtad.model.counters import ReasonKey
from tests.tools.loggen import Stream, egresses


def _line(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC).isoformat(timespec='microseconds')} mta postfix/qmgr[7]: x\n"


def test_slices_hold_every_line_once_and_quiet_ones_are_there_too() -> None:
    log = [_line(START + second) for second in (0.0, 59.9, 60.0, 185.0)]
    cut = list(slices(log, 60, START + 86_400))
    assert [end - START for end, _ in cut] == [60, 120, 180, 240]
    assert [len(batch) for _, batch in cut] == [2, 1, 0, 1]
    assert [line for _, batch in cut for line in batch] == [line.rstrip("\n") for line in log]


def test_tables_are_found_with_what_they_hold() -> None:
    tally = Tally(max_reasons_per_day=100_000)
    before = sizes("tally", tally)
    for number in range(50_000):
        tally.reason(ReasonKey(1, "campaigns", "deferred", "content", f"reason {number}"))
    found = sizes("tally", tally)
    assert before == {}
    assert {name: entries for name, (_, entries) in found.items()} == {"tally._reasons": 50_000, "tally._reason_deltas": 50_000}
    (size, _), (shared, _) = found.values()
    assert size > 50_000 * 150 > shared  # a key counts once


def test_what_an_allocator_keeps_is_told() -> None:
    held = allocators()
    assert held["rss"] > held["arenas"] > held["free there"] > 0
    assert held["heap"] > held["free in it"] > 0


def test_a_soak_keeps_memory_as_the_unit_says() -> None:
    assert unit_environment() == {
        "MALLOC_ARENA_MAX": "1",
        "MALLOC_MMAP_THRESHOLD_": "131072",
        "MALLOC_TRIM_THRESHOLD_": "131072",
    }


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
