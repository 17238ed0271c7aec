"""What should be: never above the ladder, never 0, never an empty pool, and never more because things got worse."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from pwmtad.config import StreamSettings
from pwmtad.core.desire import desire, grow
from pwmtad.core.halts import ReturnPolicy
from pwmtad.core.judge import START_CODE, StreamJudge
from pwmtad.model.judgement import Desired, Halt, HaltPhase, Record, RecordKind, Scope, StreamMemory
from pwmtad.model.names import Instant, StreamName
from tests.tools.judging import DAY, EGRESSES, HOUR, START, settings_of

STREAM: StreamSettings = settings_of().streams[StreamName("trucking")]
FIXED: StreamSettings = settings_of().streams[StreamName("healthcare")]
POLICY = ReturnPolicy()


def judge_of(memory: StreamMemory, *halts: Halt, settings: StreamSettings = STREAM, name: str = "trucking") -> StreamJudge:
    return StreamJudge(name, settings, policy=POLICY, memory=memory, halts=halts)


def memory_at(day: int, *, window: int, pool: int) -> StreamMemory:
    return StreamMemory(warmup_start=START, highest_day=day, window_per_hour=window, pool_size=pool)


def halt(
    subject: str = "trucking", *, scope: Scope = Scope.STREAM, phase: HaltPhase = HaltPhase.ACTIVE, rule: str = "google-blocks"
) -> Halt:
    return Halt(
        id=f"{subject}-{rule}-{phase}",
        stream="trucking",
        scope=scope,
        subject=subject,
        rule=rule,
        reason="no",
        evidence=(),
        started_at=START,
        hold_s=None,
        hold_until=None,
        phase=phase,
        phase_at=START,
        last_evidence_at=START,
    )


def moves(records: list[Record]) -> list[tuple[RecordKind, str, str]]:
    return [(record.kind, record.before, record.after) for record in records]


# -- what should be


def test_on_day_9_eight_egresses_and_300_an_hour_are_right() -> None:
    wish = desire(judge_of(memory_at(9, window=300, pool=8)), START + 9 * DAY)
    assert (wish.pool, wish.window_per_hour, wish.sending, wish.growth) == (EGRESSES[:8], 300, True, True)
    assert (wish.day, wish.effective_day, wish.probe_limit, wish.reasons) == (9, 9, None, ())


def test_the_window_is_the_remembered_rung_but_never_above_the_ladder() -> None:
    assert desire(judge_of(memory_at(9, window=50, pool=8)), START + 9 * DAY).window_per_hour == 50
    assert desire(judge_of(memory_at(0, window=300, pool=8)), START).window_per_hour == 50


def test_an_active_halt_of_the_stream_stops_it_and_is_named() -> None:
    wish = desire(judge_of(memory_at(9, window=300, pool=8), halt()), START + 9 * DAY)
    assert (wish.sending, wish.growth, wish.reasons) == (False, False, ("google-blocks (trucking-google-blocks-active)",))


def test_a_probing_stream_sends_a_handful_and_does_not_grow() -> None:
    wish = desire(judge_of(memory_at(9, window=300, pool=8), halt(phase=HaltPhase.PROBING)), START + 9 * DAY)
    assert (wish.sending, wish.growth, wish.window_per_hour, wish.probe_limit) == (True, False, 10, 10)


def test_a_probe_is_never_more_than_the_window() -> None:
    narrow = settings_of(more="warmup.window_ladder_per_hour = { 0 = 4, 9 = 300 }").streams[StreamName("trucking")]
    wish = desire(judge_of(memory_at(1, window=4, pool=3), halt(phase=HaltPhase.PROBING), settings=narrow), START + DAY)
    assert (wish.window_per_hour, wish.probe_limit) == (4, 4)


def test_while_one_halt_probes_another_one_still_stops() -> None:
    halts = (halt(phase=HaltPhase.PROBING), halt(rule="spike"))
    wish = desire(judge_of(memory_at(9, window=300, pool=8), *halts), START + 9 * DAY)
    assert (wish.sending, wish.window_per_hour) == (False, 10)


def test_a_recovering_stream_is_on_the_ladder_and_may_grow() -> None:
    wish = desire(judge_of(memory_at(9, window=150, pool=8), halt(phase=HaltPhase.RECOVERING)), START + 9 * DAY)
    assert (wish.sending, wish.growth, wish.window_per_hour) == (True, True, 150)


def test_a_halted_operator_is_held_alone() -> None:
    wish = desire(judge_of(memory_at(9, window=300, pool=8), halt("google", scope=Scope.OPERATOR)), START + 9 * DAY)
    assert (wish.sending, wish.growth, wish.held_operators) == (True, True, ("google",))


def test_a_halted_or_broken_egress_leaves_the_pool_and_the_next_one_takes_its_place() -> None:
    judge = judge_of(memory_at(0, window=50, pool=3), halt("out06", scope=Scope.EGRESS))
    wish = desire(judge, START, broken=["out05"])
    assert (wish.pool, wish.broken_egresses) == (("out07", "out08", "out09"), ("out05", "out06"))


def test_with_every_egress_broken_nothing_is_sent_and_the_pool_is_not_emptied() -> None:
    wish = desire(judge_of(memory_at(0, window=50, pool=3)), START, broken=EGRESSES)
    assert (wish.sending, wish.pool, wish.reasons) == (False, EGRESSES[:3], ("no egress can be used",))


def test_a_stream_with_fixed_egresses_has_no_pool_and_stops_when_none_can_be_used() -> None:
    judge = judge_of(memory_at(0, window=50, pool=0), settings=FIXED, name="healthcare")
    assert desire(judge, START).pool == ()
    assert desire(judge, START, broken=["hc1"]).sending
    assert not desire(judge, START, broken=["hc1", "hc2"]).sending


def test_the_ceilings_day_is_over_at_midnight_and_not_when_the_clock_steps_back() -> None:
    memory = memory_at(9, window=300, pool=8)
    memory.capped_day = int((START + 9 * DAY) // DAY)
    judge = judge_of(memory)
    for now, sending in ((START + 9 * DAY, False), (START + 10 * DAY - 1, False), (START + 10 * DAY, True), (START, False)):
        wish = desire(judge, now)
        assert wish.sending is sending
        assert wish.reasons == (() if sending else ("ceiling",))


def test_a_warmup_day_that_was_never_known_counts_as_day_0() -> None:
    wish = desire(judge_of(StreamMemory()), START + 9 * DAY)
    assert (wish.day, wish.effective_day, wish.window_per_hour, wish.pool) == (None, None, 50, EGRESSES[:3])
    assert (wish.growth, wish.sending, wish.reasons) == (False, True, ("the warmup start is not known",))
    assert grow(judge_of(StreamMemory()), START) == []


# -- growth


def test_what_is_remembered_of_nothing_is_taken_as_the_ladders_say() -> None:
    judge = judge_of(StreamMemory(warmup_start=START))
    records = grow(judge, START + 9 * DAY)
    assert moves(records) == [(RecordKind.POOL, "", "8"), (RecordKind.WINDOW, "", "300")]
    assert records[0].reason == "warmup day 9: 8 egresses in rotation (out05, out06, out07, out08, out09, out10, out11, out12)"
    assert judge.memory_changed
    assert grow(judge, START + 9 * DAY + 1) == []


def test_one_step_up_a_look_and_an_hour_between_two_of_a_kind() -> None:
    judge = judge_of(memory_at(0, window=50, pool=3))
    now = START + 30 * DAY
    assert moves(grow(judge, now)) == [(RecordKind.POOL, "3", "5")]
    assert moves(grow(judge, now + 1)) == [(RecordKind.WINDOW, "50", "150")]
    assert grow(judge, now + 2) == []
    assert moves(grow(judge, now + HOUR)) == [(RecordKind.POOL, "5", "8")]


def test_after_a_long_absence_the_ladders_are_climbed_rung_by_rung() -> None:
    judge = judge_of(memory_at(0, window=50, pool=3))
    begin, seen = START + 40 * DAY, []
    for second in range(0, 8 * HOUR, 60):
        seen += moves(grow(judge, begin + second))
    assert [after for kind, _, after in seen if kind is RecordKind.WINDOW] == ["150", "250", "300"]
    assert [after for kind, _, after in seen if kind is RecordKind.POOL] == ["5", "8", "12", "16", "19"]


def test_a_window_comes_down_in_the_look_in_which_the_pool_grows() -> None:
    judge = judge_of(memory_at(0, window=1000, pool=3))
    assert moves(grow(judge, START + 30 * DAY)) == [(RecordKind.POOL, "3", "5"), (RecordKind.WINDOW, "1000", "300")]


def test_a_stream_that_was_set_back_does_not_get_a_larger_pool_than_one_that_was_not() -> None:
    better, worse = judge_of(memory_at(0, window=50, pool=3)), judge_of(memory_at(0, window=50, pool=3))
    worse.memory.step_back_days = 30
    for judge in (better, worse):
        grow(judge, START + 30 * DAY)
    assert is_not_more(desire(worse, START + 30 * DAY), desire(better, START + 30 * DAY))


def test_a_window_that_is_too_large_comes_down_at_once_and_the_pool_does_not() -> None:
    judge = judge_of(memory_at(9, window=300, pool=8))
    judge.memory.step_back_days = 9
    assert moves(grow(judge, START + 9 * DAY)) == [(RecordKind.WINDOW, "300", "50")]
    assert judge.memory.pool_size == 8


@pytest.mark.parametrize("why", ["unknown", "frozen", "probing", "halted"])
def test_nothing_grows_in_doubt_but_all_may_shrink(why: str) -> None:
    memory = memory_at(0, window=50, pool=3)
    halts = []
    match why:
        case "unknown":
            memory.unknown = ("log_silent",)
        case "frozen":
            memory.frozen_until = START + 40 * DAY
        case "probing":
            halts = [halt(phase=HaltPhase.PROBING)]
        case _:
            halts = [halt()]
    judge = judge_of(memory, *halts)
    assert grow(judge, START + 30 * DAY) == []
    judge.memory.window_per_hour = 1000
    assert moves(grow(judge, START + 30 * DAY)) == [(RecordKind.WINDOW, "1000", "300")]


def test_growth_goes_on_when_the_freeze_is_over() -> None:
    memory = memory_at(0, window=50, pool=3)
    memory.frozen_until = START + 30 * DAY
    judge = judge_of(memory)
    assert grow(judge, START + 30 * DAY - 1) == []
    assert moves(grow(judge, START + 30 * DAY)) == [(RecordKind.POOL, "3", "5")]


def test_the_day_is_remembered_only_while_all_is_known() -> None:
    judge = judge_of(memory_at(3, window=150, pool=3))
    judge.memory.unknown = ("clock_jumped",)
    grow(judge, START + 300 * DAY)
    assert judge.memory.highest_day == 3
    judge.memory.unknown = ()
    grow(judge, START + 4 * DAY)
    assert (judge.memory.highest_day, judge.memory_changed) == (4, True)


def test_a_stream_with_fixed_egresses_has_no_pool_to_grow() -> None:
    judge = judge_of(StreamMemory(warmup_start=START), settings=FIXED, name="healthcare")
    assert moves(grow(judge, START + 9 * DAY)) == [(RecordKind.WINDOW, "", "300")]


def test_retired_egresses_never_return_even_where_the_pool_was_larger_before() -> None:
    fresh = settings_of(more='retired = ["out05", "out06", "out07"]').streams[StreamName("trucking")]
    judge = judge_of(memory_at(40, window=300, pool=19))
    judge.reset_settings(fresh, POLICY)
    judge.set_start(START + 40 * DAY, START + 40 * DAY)
    grow(judge, START + 40 * DAY)
    wish = desire(judge, START + 40 * DAY)
    assert (wish.pool, wish.window_per_hour) == (("out08", "out09", "out10"), 50)


# -- properties

memories = st.builds(
    StreamMemory,
    warmup_start=st.one_of(st.none(), st.just(START)),
    highest_day=st.integers(0, 40),
    pool_size=st.sampled_from([0, 1, 3, 5, 8, 12, 16, 19]),
    window_per_hour=st.sampled_from([0, 1, 50, 150, 250, 300, 1000]),
    frozen_until=st.sampled_from([0.0, START + 5 * DAY, START + 50 * DAY]),
    capped_day=st.sampled_from([-1, int(START // DAY), int(START // DAY) + 5]),
    halted_since=st.one_of(st.none(), st.floats(START, START + 40 * DAY)),
    halted_s=st.floats(0, 30 * DAY),
    step_back_days=st.integers(0, 20),
    unknown=st.sampled_from([(), ("log_silent",), (START_CODE,)]),
    window_grown_at=st.floats(START, START + 40 * DAY),
    pool_grown_at=st.floats(START, START + 40 * DAY),
)
phases = st.sampled_from([HaltPhase.ACTIVE, HaltPhase.PROBING, HaltPhase.RECOVERING])
halts_of_any_kind = st.lists(
    st.one_of(
        st.builds(halt, phase=phases),
        st.builds(halt, st.sampled_from(EGRESSES), scope=st.just(Scope.EGRESS), phase=phases),
        st.builds(halt, st.sampled_from(["google", "cox"]), scope=st.just(Scope.OPERATOR), phase=phases),
    ),
    max_size=4,
)
moments = st.floats(START - 3 * DAY, START + 60 * DAY)
RETIRED = settings_of(more='retired = ["out07", "out09"]').streams[StreamName("trucking")]


def copied(memory: StreamMemory, *halts: Halt) -> StreamJudge:
    return judge_of(replace(memory), *halts, settings=RETIRED)


@given(memories, halts_of_any_kind, moments, st.sets(st.sampled_from(EGRESSES)))
def test_no_wish_is_above_the_ladder_or_0_or_an_empty_pool(
    memory: StreamMemory, halts: list[Halt], now: Instant, broken: set[str]
) -> None:
    judge = copied(memory, *halts)
    grow(judge, now)
    wish = desire(judge, now, broken=broken)
    ladder = RETIRED.warmup.window_ladder_per_hour
    assert 0 < wish.window_per_hour <= ladder.value_at(wish.effective_day or 0)
    assert wish.pool
    assert not {"out07", "out09"} & set(wish.pool)
    able = set(RETIRED.usable_egresses) - broken - {one.subject for one in halts if one.phase is HaltPhase.ACTIVE}
    assert not able or set(wish.pool) <= able
    assert able or not wish.sending


@given(memories, halts_of_any_kind, moments)
def test_one_look_makes_at_most_one_thing_larger_and_none_in_doubt(
    memory: StreamMemory, halts: list[Halt], now: Instant
) -> None:
    judge = copied(memory, *halts)
    before = (memory.window_per_hour, memory.pool_size)
    may_grow = desire(judge, now).growth
    grow(judge, now)
    after = (judge.memory.window_per_hour, judge.memory.pool_size)
    larger = [new > old for old, new in zip(before, after, strict=True) if old]
    assert sum(larger) <= (1 if may_grow else 0)
    assert after[1] >= before[1]
    assert after == before or judge.memory_changed


def is_not_more(worse: Desired, better: Desired) -> bool:
    return (
        worse.window_per_hour <= better.window_per_hour
        and len(worse.pool) <= len(better.pool)
        and worse.sending <= better.sending
        and worse.growth <= better.growth
    )


def worse_memory(
    memory: StreamMemory, halted: float, step_back: int, frozen: bool, unknown: bool, capped: bool
) -> StreamMemory:
    return replace(
        memory,
        halted_s=memory.halted_s + halted,
        step_back_days=memory.step_back_days + step_back,
        frozen_until=START + 100 * DAY if frozen else memory.frozen_until,
        unknown=("log_silent",) if unknown else memory.unknown,
        capped_day=10**6 if capped else memory.capped_day,
    )


@given(
    memories,
    halts_of_any_kind,
    halts_of_any_kind,
    moments,
    st.builds(
        dict,
        halted=st.floats(0, 9 * DAY),
        step_back=st.integers(0, 9),
        frozen=st.booleans(),
        unknown=st.booleans(),
        capped=st.booleans(),
    ),
    st.integers(1, 5),
)
def test_worse_counters_never_give_more(
    memory: StreamMemory, halts: list[Halt], more: list[Halt], now: Instant, harm: dict[str, float | bool], looks: int
) -> None:
    better = copied(memory, *halts)
    worse = copied(worse_memory(memory, **harm), *halts, *(replace(one, id=f"more-{one.id}") for one in more))  # type: ignore[arg-type]
    for look in range(looks):
        grow(better, now + look * HOUR)
        grow(worse, now + look * HOUR)
        assert is_not_more(desire(worse, now + look * HOUR), desire(better, now + look * HOUR))


@given(memories, halts_of_any_kind, moments)
def test_the_same_input_twice_moves_once(memory: StreamMemory, halts: list[Halt], now: Instant) -> None:
    judge = copied(memory, *halts)
    first = grow(judge, now)
    second = grow(judge, now)
    assert not {record.kind for record in first} & {record.kind for record in second}


@given(st.lists(st.floats(-3 * DAY, 3 * DAY), max_size=40))
def test_whatever_the_clock_does_day_and_pool_only_grow(passed: list[float]) -> None:
    judge, now = copied(memory_at(0, window=50, pool=3)), START
    day = pool = 0
    for seconds in passed:
        now += seconds
        grow(judge, now)
        wish = desire(judge, now)
        assert (wish.day or 0) >= day
        assert len(wish.pool) >= pool
        day, pool = wish.day or 0, len(wish.pool)
