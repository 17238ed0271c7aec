"""One stream's judgement: what halts, caps and freezes it, what is remembered, and that each decision leaves one record."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pwmtad.config import DkimSettings, StreamSettings
from pwmtad.core.evidence import Fired, evidence_of
from pwmtad.core.halts import ReturnPolicy
from pwmtad.core.judge import (
    COVERAGE_RULE,
    RESET_RULE,
    SPIKE_RULE,
    START_CODE,
    UNVERIFIED_RULE,
    StreamJudge,
    Volume,
)
from pwmtad.core.records import quote, words
from pwmtad.model.counters import MessageCounts
from pwmtad.model.judgement import Effect, EvidenceLine, Halt, HaltPhase, Record, RecordKind, Scope, StopRule, StreamMemory
from pwmtad.model.names import Instant, StreamName
from tests.tools.judging import DAY, HOUR, START, attempt, block, rule, settings_of

STREAM: StreamSettings = settings_of().streams[StreamName("trucking")]
POLICY = ReturnPolicy()
HOLD = 72 * HOUR
DKIM = DkimSettings()
LINES = [EvidenceLine(START, "10 unsigned")]


def judge_of(memory: StreamMemory | None = None, halts: tuple[Halt, ...] = ()) -> StreamJudge:
    if memory is None:
        memory = StreamMemory(warmup_start=START)
    return StreamJudge("trucking", STREAM, policy=POLICY, memory=memory, halts=halts)


def fired(
    stop_rule: StopRule | None = None, at: Instant = START, *, operator: str = "google", egress: str = "out05", hits: int = 3
) -> Fired:
    found = evidence_of(block(at, 1, operator=operator, egress=egress), at)
    return Fired(stop_rule or rule(), "trucking", operator, egress, hits, hits, (found,) * min(hits, 10))


def kinds(records: list[Record]) -> list[RecordKind]:
    return [record.kind for record in records]


def only_halt(judge: StreamJudge) -> Halt:
    (halt,) = judge.halts.values()
    return halt


# -- stop rules


def test_a_rule_that_fires_halts_the_stream_and_says_why() -> None:
    judge = judge_of()
    (record,) = judge.fired(fired(), START)
    assert record.reason == "google-blocks says no: 3 times, to 3 recipients, within 1 h at google"
    assert (record.kind, record.before, record.after, record.ends_at) == (RecordKind.HALT, "none", "active", START + HOLD)
    assert len(record.evidence) == 3
    assert record.halt_id == only_halt(judge).id
    assert judge.changed_halts == {record.halt_id}


def test_a_single_piece_is_told_in_the_singular() -> None:
    (record,) = judge_of().fired(fired(hits=1), START)
    assert record.reason == "google-blocks says no: once within 1 h at google"


def test_a_flood_of_evidence_is_one_halt_and_one_record() -> None:
    judge = judge_of()
    records = [record for second in range(1000) for record in judge.fired(fired(at=START + second), START + second)]
    assert kinds(records) == [RecordKind.HALT]
    assert len(judge.halts) == 1
    assert only_halt(judge).last_evidence_at >= START + 999 - 60


def test_a_standing_halt_is_written_again_at_most_once_a_minute() -> None:
    judge = judge_of()
    judge.fired(fired(), START)
    writes = 0
    for second in range(1, 601):
        judge.changed_halts.clear()
        judge.fired(fired(), START + second)
        writes += bool(judge.changed_halts)
    assert writes == 10


@pytest.mark.parametrize(
    ("scope", "subject"), [(Scope.STREAM, "trucking"), (Scope.OPERATOR, "google"), (Scope.EGRESS, "out05")]
)
def test_a_rules_scope_decides_what_is_halted(scope: Scope, subject: str) -> None:
    judge = judge_of()
    (record,) = judge.fired(fired(rule(scope=scope)), START)
    assert (only_halt(judge).scope, only_halt(judge).subject) == (scope, subject)
    assert record.subject == ("" if scope is Scope.STREAM else subject)


def test_several_halts_stand_at_once_each_with_its_own_end() -> None:
    judge = judge_of()
    judge.fired(fired(), START)
    judge.fired(fired(rule("blocks", hold_s=None)), START + 1)
    judge.halt(SPIKE_RULE, Scope.STREAM, "trucking", "too fast", (), None, START + 2)
    assert {halt.rule for halt in judge.halts.values()} == {"google-blocks", "blocks", "spike"}
    judge.release(only_of(judge, "spike").id, "alice", START + 3)
    assert [halt.rule for halt in judge.halts.values() if halt.phase is HaltPhase.ACTIVE] == ["google-blocks", "blocks"]


def only_of(judge: StreamJudge, name: str) -> Halt:
    (halt,) = [halt for halt in judge.halts.values() if halt.rule == name]
    return halt


def test_two_egresses_that_fail_within_a_second_are_two_halts() -> None:
    judge = judge_of()
    for egress in ("out05", "out06", "out07"):
        judge.halt("bind-failed", Scope.EGRESS, egress, "no address", (), None, START)
    assert sorted(halt.subject for halt in judge.halts.values()) == ["out05", "out06", "out07"]


def test_an_alert_is_told_once_for_as_long_as_its_window() -> None:
    judge, alert = judge_of(), rule("content", effect=Effect.ALERT, hold_s=None)
    times = [second for second in range(0, 3 * HOUR, 60) if judge.fired(fired(alert), START + second)]
    assert times == [0, HOUR, 2 * HOUR]
    assert judge.halts == {}


def test_an_alert_with_a_hold_is_told_once_for_as_long_as_that() -> None:
    judge, alert = judge_of(), rule("content", effect=Effect.ALERT, hold_s=DAY)
    assert [second for second in range(0, 2 * DAY, HOUR) if judge.fired(fired(alert), START + second)] == [0, DAY]


def test_alerts_about_different_operators_or_egresses_do_not_hide_each_other() -> None:
    judge, alert = judge_of(), rule("content", effect=Effect.ALERT)
    assert judge.fired(fired(alert), START)
    assert judge.fired(fired(alert, operator="cox"), START)
    assert not judge.fired(fired(alert, egress="out06"), START)
    by_egress = rule("content-2", effect=Effect.ALERT, scope=Scope.EGRESS)
    assert judge.fired(fired(by_egress), START)
    assert judge.fired(fired(by_egress, egress="out06"), START)


def test_what_was_told_is_remembered_and_forgotten_again() -> None:
    judge, alert = judge_of(), rule("content", effect=Effect.ALERT, hold_s=None)
    judge.fired(fired(alert), START)
    assert judge.memory_changed
    again = judge_of(judge.memory)
    assert not again.fired(fired(alert), START + 60)
    again.fired(fired(alert, operator="cox"), START + HOUR)
    assert list(again.memory.told_until) == ["content/cox"]


def test_a_freeze_moves_its_end_with_each_piece_and_is_told_once_until_its_end() -> None:
    judge, freeze = judge_of(), rule("rate-limits", effect=Effect.FREEZE, hold_s=DAY)
    (record,) = judge.fired(fired(freeze), START)
    assert (record.kind, record.ends_at, record.subject) == (RecordKind.FREEZE, START + DAY, "google")
    records = [r for second in range(30, DAY, 30) for r in judge.fired(fired(freeze), START + second)]
    assert records == []
    assert judge.memory.frozen_until >= START + 2 * DAY - 90
    (record,) = judge.fired(fired(freeze), START + DAY)
    assert record.ends_at == START + 2 * DAY


def test_two_rules_that_freeze_in_turn_are_told_once_each() -> None:
    judge = judge_of()
    one, two = rule("one", effect=Effect.FREEZE, hold_s=DAY), rule("two", effect=Effect.FREEZE, hold_s=HOUR)
    records = [r for second in range(1, 600) for r in judge.fired(fired((one, two)[second % 2]), START + second)]
    assert [record.rule for record in records] == ["two", "one"]
    assert judge.memory.frozen_until >= START + DAY


def test_a_freeze_without_a_hold_lasts_a_day() -> None:
    judge = judge_of()
    judge.fired(fired(rule(effect=Effect.FREEZE, hold_s=None)), START)
    assert judge.memory.frozen_until == START + DAY


def test_a_short_freeze_right_after_another_one_is_not_lost() -> None:
    judge = judge_of(StreamMemory(warmup_start=START, frozen_until=START + 59))
    judge.fired(fired(rule(effect=Effect.FREEZE, hold_s=60)), START + 59)
    assert judge.memory.frozen_until == START + 119


# -- the way back


def probing_judge(*, scope: Scope = Scope.STREAM) -> StreamJudge:
    judge = judge_of()
    judge.fired(fired(rule(scope=scope)), START)
    assert kinds(judge.time(START + HOLD)) == [RecordKind.PHASE]
    return judge


def test_while_a_halt_probes_a_single_piece_of_evidence_is_a_relapse() -> None:
    judge, at = probing_judge(), START + HOLD + 60
    (record,) = judge.evidence(evidence_of(block(at, 9), at), [rule()], at)
    assert (record.kind, record.before, record.after, record.ends_at) == (
        RecordKind.HALT,
        "probing",
        "active",
        at + 2 * HOLD,
    )
    assert len(judge.halts) == 1


def test_evidence_for_another_rule_is_no_relapse() -> None:
    judge, at = probing_judge(), START + HOLD + 60
    assert judge.evidence(evidence_of(block(at, 9), at), [rule("blocks")], at) == []


@pytest.mark.parametrize(("scope", "operator", "egress"), [(Scope.OPERATOR, "cox", "out05"), (Scope.EGRESS, "google", "out06")])
def test_evidence_about_something_else_is_no_relapse(scope: Scope, operator: str, egress: str) -> None:
    judge, at = probing_judge(scope=scope), START + HOLD + 60
    piece = evidence_of(block(at, 9, operator=operator, egress=egress), at)
    assert judge.evidence(piece, [rule(scope=scope)], at) == []
    piece = evidence_of(block(at, 9), at)
    assert kinds(judge.evidence(piece, [rule(scope=scope)], at)) == [RecordKind.HALT]


def test_on_the_ladder_a_single_piece_of_evidence_is_none_and_the_threshold_is_a_relapse() -> None:
    judge = probing_judge()
    for _ in range(5):
        judge.answered("google", "out05")
    at = START + HOLD + 6 * HOUR
    assert judge.time(at)[0].after == "recovering"
    assert judge.evidence(evidence_of(block(at, 9), at), [rule()], at) == []
    (record,) = judge.fired(fired(at=at + 1), at + 1)
    assert (record.before, record.ends_at) == ("recovering", at + 1 + 2 * HOLD)


def test_stray_evidence_while_a_halt_stands_begins_its_quiet_time_anew() -> None:
    judge, at = judge_of(), START + HOLD - 60
    judge.fired(fired(), START)
    assert judge.evidence(evidence_of(block(at, 9), at), [rule()], at) == []
    assert judge.time(START + HOLD) == []
    assert kinds(judge.time(at + HOUR)) == [RecordKind.PHASE]


def test_probes_count_answered_attempts_of_the_halted_subject_as_far_as_they_are_asked_for() -> None:
    judge = probing_judge(scope=Scope.EGRESS)
    for _ in range(20):
        judge.answered("google", "out06")
    assert only_halt(judge).probed == 0
    for _ in range(20):
        judge.changed_halts.clear()
        judge.answered("cox", "out05")
    assert only_halt(judge).probed == 5
    assert judge.changed_halts == set()


def test_each_phase_leaves_a_record_in_words() -> None:
    judge = probing_judge()
    for _ in range(5):
        judge.answered("google", "out05")
    records = judge.time(START + HOLD + 6 * HOUR) + judge.time(START + HOLD + 30 * HOUR)
    assert [(record.before, record.after) for record in records] == [("probing", "recovering"), ("recovering", "ended")]
    assert all(record.reason and record.halt_id for record in records)
    assert judge.time(START + 30 * DAY) == []


def test_nothing_goes_on_while_evidence_could_be_missed() -> None:
    judge = judge_of()
    judge.fired(fired(), START)
    judge.unknown({"still_reading": "the log is read"}, START + HOLD)
    assert judge.time(START + HOLD + DAY) == []
    judge.unknown({START_CODE: "no stamp"}, START + HOLD + DAY)
    assert kinds(judge.time(START + HOLD + DAY)) == [RecordKind.PHASE]


def test_a_halt_that_left_active_has_its_evidence_counted_anew() -> None:
    judge = probing_judge()
    assert judge.served == {("google-blocks", "trucking")}


# -- people


def test_each_time_that_a_person_halts_is_a_halt_of_its_own() -> None:
    judge = judge_of()
    first, records = judge.halt_by_person(HOUR, "maintenance", START)
    second, _ = judge.halt_by_person(None, "wait for me", START)
    assert first != second
    assert records[0].reason == "maintenance"
    judge.time(START + 10 * DAY)
    assert [halt.id for halt in judge.halts.values() if halt.phase is HaltPhase.ACTIVE] == [second]


def test_a_release_is_told_with_who_and_what_follows() -> None:
    judge = judge_of()
    judge.fired(fired(), START)
    (record,) = judge.release(only_halt(judge).id, "alice", START + 60)
    assert record.reason == "released by alice: sending comes back slowly, by probing"
    (record,) = judge.release(only_halt(judge).id, "alice", START + 120)
    assert (record.reason, record.before, record.after) == ("released by alice: it is over", "probing", "ended")


def test_what_is_not_open_can_not_be_released() -> None:
    judge = judge_of()
    halt_id, _ = judge.halt_by_person(None, "x", START)
    judge.release(halt_id, "alice", START + 1)
    for name in (halt_id, "trucking-nothing-20260602T000000"):
        with pytest.raises(KeyError):
            judge.release(name, "alice", START + 2)


# -- days halted and steps back


def test_days_halted_are_the_union_of_all_halts_of_the_stream() -> None:
    judge = judge_of()
    judge.fired(fired(), START)
    judge.fired(fired(rule("blocks", hold_s=4 * DAY)), START + DAY)
    judge.fired(fired(rule("x", scope=Scope.EGRESS, hold_s=None)), START + DAY)
    judge.time(START + 3 * DAY)
    assert (judge.memory.halted_since, judge.memory.halted_s) == (START, 0)
    judge.time(START + 5 * DAY)
    assert (judge.memory.halted_since, judge.memory.halted_s) == (None, 5 * DAY)


def test_a_relapse_adds_its_own_days() -> None:
    judge = probing_judge()
    at = START + HOLD + DAY
    judge.evidence(evidence_of(block(at, 9), at), [rule()], at)
    judge.time(at + 2 * HOLD)
    assert judge.memory.halted_s == 3 * HOLD


def test_each_halt_and_each_relapse_of_the_stream_costs_days_but_not_a_persons_or_an_egresss() -> None:
    judge = probing_judge()
    assert judge.memory.step_back_days == 2
    at = START + HOLD + 60
    judge.evidence(evidence_of(block(at, 9), at), [rule()], at)
    assert judge.memory.step_back_days == 4
    judge.halt_by_person(None, "x", at)
    judge.fired(fired(rule("x", scope=Scope.EGRESS)), at)
    judge.fired(fired(rule("y", scope=Scope.OPERATOR)), at)
    assert judge.memory.step_back_days == 4


def test_a_release_ends_the_span_at_once() -> None:
    judge = judge_of()
    halt_id, _ = judge.halt_by_person(None, "x", START)
    judge.release(halt_id, "alice", START + DAY)
    assert (judge.memory.halted_since, judge.memory.halted_s) == (None, DAY)


def test_a_span_that_a_clock_made_negative_is_none() -> None:
    judge = judge_of()
    halt_id, _ = judge.halt_by_person(None, "x", START)
    judge.release(halt_id, "alice", START - DAY)
    assert judge.memory.halted_s == 0


def test_ended_halts_are_forgotten_when_they_can_be_no_relapse_any_more_and_are_stored() -> None:
    judge = judge_of()
    halt_id, _ = judge.halt_by_person(None, "x", START)
    judge.release(halt_id, "alice", START + 1)
    judge.forget_ended(START + 8 * DAY)
    assert judge.halts  # its end is not stored yet
    judge.changed_halts.clear()
    judge.forget_ended(START + 7 * DAY)
    assert judge.halts
    judge.forget_ended(START + 8 * DAY)
    assert judge.halts == {}


# -- volume


def volume(judge: StreamJudge, hour: int, day: int, now: Instant) -> list[Record]:
    return judge.volume(Volume(hour, day), [(now, attempt(now))], now)


def test_twice_the_window_is_borne_and_one_more_is_a_spike_until_released() -> None:
    judge = judge_of()
    assert volume(judge, 100, 100, START) == []
    (record,) = volume(judge, 101, 101, START)
    assert (record.rule, record.ends_at) == (SPIKE_RULE, None)
    assert [line.text[:48] for line in record.evidence] == ["4XkJ2l1zq9z1 to example.com by out05 via gmail-s"]
    assert "[sent]" in record.evidence[0].text
    assert record.reason == (
        "101 first attempts within an hour, and 2 times the window of 50 is the limit: something sends past the window"
    )
    assert volume(judge, 500, 500, START + 1) == []
    assert judge.time(START + 30 * DAY) == []


def test_without_a_warmup_start_there_is_no_spike_but_there_is_a_ceiling() -> None:
    judge = judge_of(StreamMemory())
    assert kinds(volume(judge, 4000, 4000, START)) == [RecordKind.CAP]


def test_after_the_window_became_smaller_what_was_sent_before_is_no_spike() -> None:
    judge = judge_of()
    judge.refresh(START + 2 * DAY)  # 150 an hour
    assert judge.memory.ladder_window == 150
    judge.fired(fired(), START + 2 * DAY)  # two days back: 50 an hour
    assert volume(judge, 150, 150, START + 2 * DAY + 1) == []  # the old limit until the next look
    judge.memory_changed = False
    judge.refresh(START + 2 * DAY + 2)
    assert (judge.memory.ladder_window, judge.memory.spike_since, judge.memory_changed) == (50, START + 2 * DAY + 2, True)
    judge.memory_changed = False
    judge.refresh(START + 2 * DAY + 3)
    assert not judge.memory_changed


def test_a_released_spike_or_coverage_halt_is_forgiven_up_to_now() -> None:
    judge = judge_of()
    volume(judge, 101, 101, START)
    judge.coverage(MessageCounts(signed=0, unsigned=10), LINES, DKIM, START)
    for halt in list(judge.halts.values()):
        judge.release(halt.id, "alice", START + 60)
    assert (judge.memory.spike_since, judge.memory.coverage_since) == (START + 60, START + 60)


def test_the_release_of_anything_else_forgives_nothing() -> None:
    judge = judge_of()
    judge.fired(fired(), START)
    judge.release(only_halt(judge).id, "alice", START + 60)
    assert (judge.memory.spike_since, judge.memory.coverage_since) == (0, 0)


def test_the_ceiling_caps_the_utc_day_with_the_message_that_reaches_it() -> None:
    judge = judge_of(StreamMemory(warmup_start=START - 20 * DAY))
    assert volume(judge, 10, 3999, START + 600) == []
    (record,) = volume(judge, 10, 4000, START + 600)
    assert (record.kind, record.rule, record.ends_at) == (RecordKind.CAP, "ceiling", START + DAY)
    assert len(record.evidence) == 1
    assert volume(judge, 10, 4001, START + 601) == []


def test_a_cap_ends_at_midnight_utc_and_is_told_once() -> None:
    judge = judge_of(StreamMemory(warmup_start=START - 20 * DAY))
    volume(judge, 10, 4000, START + 600)
    assert judge.time(START + DAY - 1) == []
    assert kinds(judge.time(START + DAY)) == [RecordKind.CAP_ENDED]
    assert judge.time(START + DAY + 1) == []


def test_lines_of_yesterday_that_come_late_cap_nothing_again() -> None:
    judge = judge_of(StreamMemory(warmup_start=START - 20 * DAY))
    volume(judge, 10, 4000, START + 600)
    judge.time(START + DAY)
    assert volume(judge, 10, 4001, START + DAY - 1) == []
    assert judge.time(START + DAY + 1) == []


# -- signatures


@pytest.mark.parametrize(
    ("signed", "unsigned", "halts"),
    [(0, 9, False), (0, 10, True), (189, 10, True), (190, 10, False), (1000, 50, False), (1000, 53, True), (0, 0, False)],
)
def test_unsigned_mail_halts_from_ten_and_more_than_a_twentieth_on(signed: int, unsigned: int, halts: bool) -> None:
    judge = judge_of()
    records = judge.coverage(MessageCounts(signed=signed, unsigned=unsigned), LINES, DKIM, START)
    assert [record.rule for record in records] == ([COVERAGE_RULE] if halts else [])


def test_the_reason_of_a_coverage_halt_has_the_numbers() -> None:
    (record,) = judge_of().coverage(MessageCounts(signed=2, unsigned=10), LINES, DKIM, START)
    assert record.reason.startswith("10 of 12 campaign messages of the last 1 h carry no DKIM signature (at most 5% are borne)")
    assert list(record.evidence) == LINES


def test_mail_that_nobody_could_verify_halts_at_the_limit() -> None:
    judge = judge_of()
    assert judge.unverified(99, 100, START) == []
    (record,) = judge.unverified(100, 100, START)
    assert (record.rule, record.ends_at) == (UNVERIFIED_RULE, None)
    assert judge.unverified(101, 100, START + 1) == []


# -- unknown


def test_each_code_has_an_edge_of_its_own() -> None:
    judge = judge_of()
    both = judge.unknown({"log_silent": "no line", "clock_jumped": "it jumped"}, START)
    assert [(record.kind, record.rule, record.reason) for record in both] == [
        (RecordKind.UNKNOWN, "clock_jumped", "it jumped"),
        (RecordKind.UNKNOWN, "log_silent", "no line"),
    ]
    (over,) = judge.unknown({"log_silent": "no line for 6 min"}, START + 60)
    assert (over.kind, over.rule, over.after) == (RecordKind.KNOWN, "clock_jumped", "log_silent")
    (last,) = judge.unknown({}, START + 120)
    assert (last.kind, last.rule, last.reason, last.before) == (
        RecordKind.KNOWN,
        "log_silent",
        "log silent: no more",
        "log_silent",
    )


def test_what_stays_unknown_is_told_once_whatever_its_sentence() -> None:
    judge = judge_of()
    records = [r for minute in range(60) for r in judge.unknown({"log_silent": f"for {minute} min"}, START + 60 * minute)]
    assert len(records) == 1


# -- the warmup start


def test_the_first_start_is_taken_without_a_word() -> None:
    judge = judge_of(StreamMemory())
    assert judge.set_start(START, START + DAY) == []
    assert (judge.memory.warmup_start, judge.memory_changed) == (START, True)


@pytest.mark.parametrize("start", [None, START + 10 * DAY])
def test_a_start_that_can_not_be_read_or_lies_in_the_future_keeps_the_last_known_state(start: Instant | None) -> None:
    memory = StreamMemory(warmup_start=START, highest_day=5, pool_size=5, window_per_hour=250)
    judge = judge_of(memory)
    assert judge.set_start(start, START + 5 * DAY) == []
    assert (judge.memory.warmup_start, judge.memory.highest_day, judge.memory_changed) == (START, 5, False)


def test_a_start_that_a_clock_put_into_the_future_is_the_same_start() -> None:
    judge = judge_of(StreamMemory(warmup_start=START, highest_day=5))
    assert judge.set_start(START, START - DAY) == []
    assert judge.memory.highest_day == 5


def test_another_start_is_a_reset_that_makes_smaller_at_once_and_says_so() -> None:
    memory = StreamMemory(
        warmup_start=START,
        highest_day=40,
        pool_size=19,
        window_per_hour=300,
        halted_s=9 * DAY,
        step_back_days=6,
        frozen_until=START + 41 * DAY,
        capped_day=20000,
    )
    judge, new = judge_of(memory), START + 40 * DAY
    found, pool = judge.set_start(new, new + HOUR)
    assert (found.kind, found.rule, found.before, found.after) == (
        RecordKind.FINDING,
        RESET_RULE,
        "2026-06-02T00:00:00+00:00",
        "2026-07-12T00:00:00+00:00",
    )
    assert (pool.kind, pool.before, pool.after) == (RecordKind.POOL, "19", "3")
    memory = judge.memory
    assert (memory.highest_day, memory.pool_size, memory.halted_s, memory.step_back_days) == (0, 3, 0, 0)
    assert (memory.frozen_until, memory.capped_day) == (START + 41 * DAY, 20000)


def test_an_earlier_start_makes_nothing_larger_at_once() -> None:
    judge = judge_of(StreamMemory(warmup_start=START, highest_day=1, pool_size=3, window_per_hour=50))
    records = judge.set_start(START - 30 * DAY, START + DAY)
    assert kinds(records) == [RecordKind.FINDING]
    assert (judge.memory.pool_size, judge.memory.window_per_hour) == (3, 50)


def test_a_halt_that_stands_at_a_reset_is_subtracted_from_the_new_warmup_only_as_far_as_it_falls_into_it() -> None:
    judge = judge_of()
    judge.fired(fired(rule(hold_s=None)), START)
    new = START + 5 * DAY
    judge.set_start(new, new + DAY)
    judge.release(only_halt(judge).id, "alice", new + 2 * DAY)
    assert judge.memory.halted_s == 2 * DAY


# -- settings, words


def test_a_reload_changes_settings_and_policy_and_keeps_halts_and_memory() -> None:
    judge = judge_of()
    judge.fired(fired(), START)
    smaller = settings_of(ceiling=300).streams[StreamName("trucking")]
    judge.reset_settings(smaller, ReturnPolicy(probe_s=60))
    assert kinds(volume(judge, 1, 300, START)) == [RecordKind.CAP]
    assert len(judge.halts) == 1


@pytest.mark.parametrize(
    ("seconds", "text"), [(72 * HOUR, "72 h"), (5400, "90 min"), (90, "90 s"), (0.5, "0.5 s"), (60, "1 min")]
)
def test_spans_are_told_in_words(seconds: float, text: str) -> None:
    assert words(seconds) == text


def test_a_quoted_line_names_the_domain_and_is_bounded() -> None:
    line = quote(evidence_of(block(START, 1), START))
    assert isinstance(line, EvidenceLine)
    assert line.text.startswith(
        "4XkJ2l1zq9z1 to example.com by out05 via gmail-smtp-in.l.google.com [reputation/google-unsolicited]"
    )
    assert len(line.text) <= 400


# -- the latch


@given(st.lists(st.integers(-20 * DAY, 20 * DAY), max_size=25))
def test_whatever_the_clock_does_a_halt_until_released_stands(moves: list[int]) -> None:
    judge, now = judge_of(), START
    judge.fired(fired(rule(hold_s=None)), START)
    for move in moves:
        now += move
        judge.time(now)
        judge.forget_ended(now)
        judge.refresh(now)
        assert only_halt(judge).phase is HaltPhase.ACTIVE
