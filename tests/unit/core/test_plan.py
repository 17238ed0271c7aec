"""Steps from what is to what should be: what reduces risk first, at most one step up, and nothing where nothing differs."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from pwmtad.core.plan import plan
from pwmtad.model.judgement import Action, ActionKind, Actual, Desired

NAMES = ("out05", "out06", "out07", "out08")
POOLS = st.lists(st.sampled_from(NAMES), unique=True).map(tuple)
WINDOWS = st.integers(1, 300)
UP = {ActionKind.RELEASE, ActionKind.RAISE_WINDOW, ActionKind.GROW_POOL}

actuals = st.builds(
    Actual, stream=st.just("trucking"), pool=POOLS, window_per_hour=st.one_of(st.none(), WINDOWS), sending=st.booleans()
)
wishes = st.builds(
    Desired,
    stream=st.just("trucking"),
    day=st.just(3),
    effective_day=st.just(3),
    pool=POOLS,
    window_per_hour=WINDOWS,
    sending=st.booleans(),
    probe_limit=st.none(),
    growth=st.booleans(),
)


def want(
    pool: tuple[str, ...] = ("out05", "out06"), window: int = 150, *, sending: bool = True, growth: bool = True
) -> Desired:
    return Desired("trucking", 3, 3, pool, window, sending, None, growth=growth, reasons=("a", "b") if not sending else ())


def have(pool: tuple[str, ...] = ("out05", "out06"), window: int | None = 150, *, sending: bool = True) -> Actual:
    return Actual("trucking", pool, window, sending)


def kinds(actual: Actual, desired: Desired) -> list[ActionKind]:
    return [action.kind for action in plan(actual, desired)]


def carried_out(actual: Actual, action: Action) -> Actual:
    match action.kind:
        case ActionKind.HALT:
            return replace(actual, sending=False)
        case ActionKind.RELEASE:
            return replace(actual, sending=True)
        case ActionKind.SHRINK_POOL | ActionKind.GROW_POOL:
            assert action.pool
            return replace(actual, pool=action.pool)
        case ActionKind.LOWER_WINDOW | ActionKind.RAISE_WINDOW:
            assert action.window_per_hour
            return replace(actual, window_per_hour=action.window_per_hour)


def as_actual(desired: Desired) -> Actual:
    return Actual(desired.stream, desired.pool, desired.window_per_hour, desired.sending)


def test_a_halt_comes_before_everything_and_gives_its_reasons() -> None:
    steps = plan(have(("out05", "out09"), 300), want(sending=False))
    assert [step.kind for step in steps] == [ActionKind.HALT, ActionKind.SHRINK_POOL, ActionKind.LOWER_WINDOW]
    assert steps[0].reason == "a; b"


def test_a_release_opens_with_the_lower_window_and_nothing_larger() -> None:
    assert kinds(have(window=300, sending=False), want()) == [ActionKind.LOWER_WINDOW, ActionKind.RELEASE]
    assert kinds(have(("out05",), 50, sending=False), want()) == [ActionKind.RELEASE]
    assert kinds(have(("out05",), 50), want()) == [ActionKind.RAISE_WINDOW]
    assert kinds(have(("out05",), 150), want()) == [ActionKind.GROW_POOL]


def test_nothing_is_raised_while_the_stream_is_held() -> None:
    assert kinds(have(("out05",), 50), want(sending=False)) == [ActionKind.HALT]
    assert kinds(have(("out05",), 50, sending=False), want(sending=False)) == []


def test_nothing_is_raised_while_growth_is_frozen_but_all_is_lowered() -> None:
    assert kinds(have(("out05",), 50), want(growth=False)) == []
    assert kinds(have(("out05", "out06", "out07"), 300), want(growth=False)) == [
        ActionKind.SHRINK_POOL,
        ActionKind.LOWER_WINDOW,
    ]
    assert kinds(have(sending=False), want(growth=False)) == [ActionKind.RELEASE]


def test_a_window_that_is_not_set_is_set() -> None:
    assert plan(have(window=None), want())[0] == Action(
        ActionKind.LOWER_WINDOW, "trucking", "150 messages an hour", window_per_hour=150
    )


def test_a_broken_egress_leaves_before_another_one_comes() -> None:
    actual, desired = have(("out05", "out06")), want(("out06", "out07"))
    assert [step.pool for step in plan(actual, desired)] == [("out06",)]
    assert [step.pool for step in plan(have(("out06",)), desired)] == [("out06", "out07")]


def test_a_pool_of_nothing_but_retired_egresses_is_swapped_for_no_larger_one() -> None:
    (step,) = plan(have(("out02",)), want(("out05", "out06", "out07")))
    assert (step.kind, step.pool) == (ActionKind.SHRINK_POOL, ("out05",))


def test_a_pool_that_is_not_set_is_set_whole() -> None:
    (step,) = plan(have(()), want())
    assert (step.kind, step.pool, step.reason) == (ActionKind.SHRINK_POOL, ("out05", "out06"), "the pool is not set")


def test_the_order_within_a_pool_means_nothing() -> None:
    assert kinds(have(("out06", "out05")), want(("out05", "out06"))) == []


def test_a_stream_with_fixed_egresses_has_no_pool_steps() -> None:
    assert kinds(have(("out05",)), want(())) == []
    assert kinds(have(()), want(())) == []


@given(wishes)
def test_where_nothing_differs_the_plan_is_empty(desired: Desired) -> None:
    assert plan(as_actual(desired), desired) == ()


@given(actuals, wishes)
def test_a_plan_is_ordered_and_has_at_most_one_step_up_at_its_end(actual: Actual, desired: Desired) -> None:
    found = kinds(actual, desired)
    assert found == sorted(found, key=tuple(ActionKind).index)
    assert not UP.intersection(found[:-1])


@given(actuals, wishes)
def test_no_plan_empties_a_pool_or_sets_a_window_of_0(actual: Actual, desired: Desired) -> None:
    for action in plan(actual, desired):
        assert action.pool is None or action.pool
        assert action.window_per_hour is None or action.window_per_hour > 0


@given(actuals, wishes)
def test_no_step_on_the_way_is_riskier_than_both_ends(actual: Actual, desired: Desired) -> None:
    state = actual
    for action in plan(actual, desired):
        state = carried_out(state, action)
        assert state.sending <= (actual.sending or desired.sending)
        if state.window_per_hour is not None:
            assert state.window_per_hour <= max(actual.window_per_hour or 0, desired.window_per_hour)
        assert set(state.pool) <= set(actual.pool) | set(desired.pool)
        assert len(state.pool) <= max(len(actual.pool), len(desired.pool))


@given(actuals, wishes)
def test_a_step_carried_out_is_not_asked_for_again(actual: Actual, desired: Desired) -> None:
    for action in plan(actual, desired):
        assert action not in plan(carried_out(actual, action), desired)


@given(actuals, wishes)
def test_plans_carried_out_again_and_again_arrive(actual: Actual, desired: Desired) -> None:
    assume(desired.pool)
    state = actual
    for _ in range(6):
        for action in plan(state, desired):
            state = carried_out(state, action)
    assert plan(state, desired) == ()
    assert state.sending == desired.sending
    assert set(state.pool) <= set(desired.pool)
    assert state.window_per_hour is not None
    assert state.window_per_hour <= desired.window_per_hour
    if desired.sending and desired.growth:
        assert replace(state, pool=tuple(sorted(state.pool))) == replace(as_actual(desired), pool=tuple(sorted(desired.pool)))


@given(actuals, wishes)
def test_what_is_held_or_frozen_never_becomes_larger(actual: Actual, desired: Desired) -> None:
    assume(not (desired.sending and desired.growth))
    state = actual
    for _ in range(4):
        for action in plan(state, desired):
            after = carried_out(state, action)
            if state.window_per_hour is not None:
                assert (after.window_per_hour or 0) <= state.window_per_hour
            assert len(after.pool) <= len(state.pool) or not state.pool
            state = after
