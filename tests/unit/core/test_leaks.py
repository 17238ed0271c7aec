"""A halt is proved by what happens after it: deliveries that begin then are an alarm, those that end then are not."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from pwmtad.core.correlate import Classified
from pwmtad.core.leaks import LEAK_RULE, LeakWatch
from pwmtad.core.tally import Column
from pwmtad.model.judgement import Record, RecordKind
from pwmtad.model.names import NO_STREAM, Instant, ReplyClass
from tests.tools.judging import START, Run, attempt

HALT = "trucking-google-blocks-20260602T000000"
SETTLED_S = 5
SECOND = 1.0


def taking(seconds: float, counted: Classified | None = None) -> Classified:
    """An attempt that spent so long in the hands of smtp(8): half of it in connecting, half in transmission."""
    counted = counted if counted is not None else attempt()
    return replace(counted, attempt=replace(counted.attempt, delays=f"9000/20/{seconds / 2}/{seconds / 2}"))


def held(at: Instant = START) -> LeakWatch:
    watch = LeakWatch()
    watch.hold("trucking", HALT, at)
    return watch


def numbers(records: list[Record]) -> list[int]:
    return [int(record.reason.split()[0]) for record in records]


def test_mail_that_leaves_while_its_stream_is_held_is_an_alarm_with_the_line() -> None:
    (record,) = held().see(taking(0.5), START + 60)
    assert (record.kind, record.stream, record.rule) == (RecordKind.ALERT, "trucking", LEAK_RULE)
    assert (record.halt_id, record.subject, record.at) == (HALT, "out05", START + 60)
    assert f"1 delivery attempt(s) began while trucking is held by {HALT}" in record.reason
    assert "example.com by out05 via gmail-smtp-in.l.google.com [sent]" in record.evidence[0].text
    assert "alice" not in record.evidence[0].text


def test_a_refusal_is_a_leak_as_well() -> None:
    refused = attempt(reply_class=ReplyClass.REPUTATION, reply_rule="google-unsolicited")
    assert len(held().see(taking(1, refused), START + 60)) == 1


def test_what_began_before_the_hold_may_end_after_it() -> None:
    watch = held()
    assert watch.see(taking(600), START + 600) == []  # data_done_timeout
    assert watch.see(taking(600), START + 600 + SETTLED_S) == []
    assert watch.leaking == {}
    assert len(watch.see(taking(600), START + 601 + SETTLED_S)) == 1
    assert watch.leaking == {"trucking": START + 601 + SETTLED_S}


def test_the_reload_has_a_few_seconds_to_settle() -> None:
    watch = held()
    assert watch.see(taking(0.2), START + SETTLED_S) == []
    assert len(watch.see(taking(0.2), START + SETTLED_S + 1)) == 1


def test_nothing_is_said_of_other_streams_of_exempt_mail_or_without_a_connection() -> None:
    watch = held()
    others = [
        attempt(stream="healthcare", egress="hc1"),
        attempt(stream=NO_STREAM, egress="none"),
        attempt(relay=None),
    ]
    for other in others:
        assert watch.see(other, START + 60) == []
    assert watch.leaking == {}


def test_the_first_moment_of_a_hold_counts_however_often_it_is_confirmed() -> None:
    watch = held()
    watch.hold("trucking", "another-name", START + 100)
    (record,) = watch.see(taking(1), START + 50)
    assert record.halt_id == HALT


def test_what_may_send_again_leaks_nothing() -> None:
    watch = held()
    watch.see(taking(1), START + 60)
    watch.let_go("trucking")
    assert watch.leaking == {}
    assert watch.see(taking(1), START + 200) == []
    watch.let_go("trucking")


def test_a_hold_after_another_one_is_watched_from_its_own_begin() -> None:
    watch = held()
    watch.let_go("trucking")
    watch.hold("trucking", "second", START + 1000)
    assert watch.see(taking(1), START + 1003) == []
    assert [record.halt_id for record in watch.see(taking(1), START + 1010)] == ["second"]


def test_a_flood_is_told_once_a_minute_with_its_number() -> None:
    watch, told = held(), list[Record]()
    for tenth in range(10 * 150):
        told += watch.see(taking(0.1), START + 10 + tenth / 10)
    assert [record.at for record in told] == [START + 10, START + 70, START + 130]
    assert numbers(told) == [1, 600, 600]


def test_a_clock_that_was_far_ahead_silences_no_leak() -> None:
    watch = held()
    watch.see(taking(1), START + 90_000)
    assert len(watch.see(taking(1), START + 60)) == 1


def test_delays_that_make_no_sense_count_as_no_time() -> None:
    for delays in ("", "1/2", "1/2/3..4/5", "/"):
        counted = attempt()
        watch = held()
        odd = replace(counted, attempt=replace(counted.attempt, delays=delays))
        assert watch.see(odd, START + SETTLED_S) == []
        assert len(watch.see(odd, START + SETTLED_S + 1)) == 1


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(-600, 2000), st.floats(0, 700), st.sampled_from(["trucking", "healthcare", NO_STREAM])), max_size=60
    )
)
def test_exactly_what_began_after_the_hold_is_counted(seen: list[tuple[float, float, str]]) -> None:
    watch, told, leaks = held(), list[Record](), 0
    for ends, took, stream in sorted(seen):
        counted = taking(round(took, 2), attempt(stream=stream))
        told += watch.see(counted, START + ends)
        leaks += stream == "trucking" and ends - round(took, 2) > SETTLED_S + 1e-6
    assert sum(numbers(told)) <= leaks
    assert bool(told) == bool(leaks) == bool(watch.leaking)
    moments = [record.at for record in told]
    assert all(later - earlier >= 60 for earlier, later in pairwise(moments))
    final = watch.see(taking(0), START + 9000)
    assert sum(numbers(told)) + numbers(final)[0] == leaks + 1


# -- through the guard


def test_the_guard_tells_of_leaks_but_not_of_notifications() -> None:
    run = Run()
    run.guard.leaks.hold("trucking", HALT, START)
    run.see(replace(taking(1), column=Column.NOTIFICATIONS), START + 60)
    assert run.kinds(RecordKind.ALERT) == []
    run.see(replace(taking(1), column=Column.RETRIES), START + 60)
    assert [record.rule for record in run.kinds(RecordKind.ALERT)] == [LEAK_RULE]
