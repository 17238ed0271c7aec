"""What a start makes of a pause that it finds: an empty memory resumes nothing, and what is known goes on as it is."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pwmtad.core.egress_health import HEALTHY_S
from pwmtad.core.halts import ADOPTED_RULE, ceiling_day, ceiling_name, no_egress_name
from pwmtad.core.judge import BIND_RULE, CEILING_RULE
from pwmtad.model import events
from pwmtad.model.judgement import Desired, HaltPhase, Record, RecordKind
from pwmtad.model.names import Instant
from tests.tools.judging import DAY, EGRESSES, HOUR, START, Run, attempt, block, rule, settings_of

UNKNOWN = "trucking-google-blocks-20260511T031241"
TODAY = int(START // DAY)


def wish(run: Run, now: Instant, stream: str = "trucking") -> Desired:
    return next(one for one in run.guard.desired(now) if one.stream == stream)


def bind_fails(run: Run, at: Instant, egress: str = "out05") -> None:
    event = events.BindFailed(at, "mail", f"postfix/{egress}/smtp", 1, "192.0.2.94", "bind 192.0.2.94: Cannot assign")
    run.guard.signal(event, "trucking", egress, at)


# -- unknown pauses


def test_a_pause_that_nobody_remembers_becomes_a_halt_that_only_a_person_ends() -> None:
    run = Run()
    run.guard.adopt("trucking", UNKNOWN, START)
    run.look(START)
    (record,) = run.kinds(RecordKind.ADOPT)
    assert (record.rule, record.halt_id, record.ends_at, record.stream) == (ADOPTED_RULE, UNKNOWN, None, "trucking")
    for day in range(0, 90, 10):
        run.look(START + day * DAY)
        found = wish(run, START + day * DAY)
        assert (found.sending, found.held_by) == (False, UNKNOWN)
    assert wish(run, START, "healthcare").sending
    run.guard.release(UNKNOWN, "alice", START + 90 * DAY)
    found = wish(run, START + 90 * DAY)
    assert (found.sending, found.held_by) == (True, "")
    assert found.probe_limit is not None  # nobody knows what it was, so it comes back slowly


def test_it_is_adopted_once_however_often_it_is_seen() -> None:
    run = Run()
    for second in range(100):
        run.guard.adopt("trucking", UNKNOWN, START + second)
        run.look(START + second)
    assert len(run.kinds(RecordKind.ADOPT)) == 1
    assert [halt.started_at for halt in run.halts()] == [START]


def test_an_adopted_halt_survives_a_restart() -> None:
    run = Run()
    run.guard.adopt("trucking", UNKNOWN, START)
    run.commit()
    run.restart(START + 60)
    run.guard.adopt("trucking", UNKNOWN, START + 60)
    run.look(START + 60)
    assert len(run.kinds(RecordKind.ADOPT)) == 0  # it was told before the restart
    assert not wish(run, START + 60).sending


def test_what_was_adopted_and_not_stored_is_adopted_again() -> None:
    run = Run()
    run.guard.adopt("trucking", UNKNOWN, START)
    run.restart(START + 60)
    assert wish(run, START + 60).sending
    run.guard.adopt("trucking", UNKNOWN, START + 60)
    assert not wish(run, START + 60).sending


def test_an_adopted_halt_costs_the_days_that_it_stood_and_no_more() -> None:
    run = Run()
    run.look(START)
    run.guard.adopt("trucking", UNKNOWN, START)
    run.look(START + 5 * DAY)
    run.guard.release(UNKNOWN, "alice", START + 5 * DAY)
    run.look(START + 5 * DAY)
    assert (run.memory.step_back_days, run.memory.halted_s) == (0, 5 * DAY)


# -- known ones


def test_a_halt_that_is_known_goes_on_as_it_is() -> None:
    run = Run(rule(count=1))
    run.see(block(START, 1), START)
    (halt,) = run.halts()
    run.commit()
    run.restart(START + 60)
    run.guard.adopt("trucking", halt.id, START + 60)
    assert run.halts() == [halt]
    assert not run.guard.has_deltas


def test_one_that_ended_while_postfix_was_not_told_is_over() -> None:
    run = Run()
    halt_id = run.guard.halt("trucking", None, "maintenance", START)
    run.guard.release(halt_id, "alice", START + HOUR)
    run.commit()
    run.restart(START + HOUR)
    run.guard.adopt("trucking", halt_id, START + HOUR + 1)
    found = wish(run, START + HOUR + 1)
    assert (found.sending, run.halts()) == (True, [])


def test_one_that_was_released_and_probes_is_let_go() -> None:
    run = Run(rule(count=1))
    run.see(block(START, 1), START)
    (halt,) = run.halts()
    run.guard.release(halt.id, "alice", START + HOUR)
    run.guard.adopt("trucking", halt.id, START + HOUR + 1)
    assert [one.phase for one in run.halts()] == [HaltPhase.PROBING]
    assert wish(run, START + HOUR + 1).sending


def test_an_unknown_pause_stands_beside_the_halts_that_are_known() -> None:
    run = Run(rule(count=1))
    run.see(block(START, 1), START)
    run.guard.adopt("trucking", UNKNOWN, START + 60)
    (known, adopted) = run.halts()
    run.guard.release(known.id, "alice", START + 2 * HOUR)
    assert (wish(run, START + 2 * HOUR).sending, wish(run, START + 2 * HOUR).held_by) == (False, adopted.id)


# -- the day's ceiling


def test_todays_ceiling_holds_though_the_memory_is_lost_and_ends_at_midnight() -> None:
    run = Run()
    name = ceiling_name("trucking", TODAY)
    assert name == "trucking-ceiling-20260602"
    run.guard.adopt("trucking", name, START + HOUR)
    run.guard.adopt("trucking", name, START + HOUR + 1)
    run.look(START + 2 * HOUR)
    (record,) = run.kinds(RecordKind.ADOPT)
    assert (record.rule, record.ends_at, record.halt_id) == (CEILING_RULE, START + DAY, "")
    found = wish(run, START + DAY - 1)
    assert (found.sending, found.held_by, found.reasons) == (False, name, ("ceiling",))
    run.look(START + DAY)
    assert wish(run, START + DAY).sending
    assert len(run.kinds(RecordKind.CAP_ENDED)) == 1
    assert run.halts() == []


def test_a_ceiling_that_is_known_is_not_told_again() -> None:
    run = Run(settings=settings_of(ceiling=60, more="warmup.window_ladder_per_hour = { 0 = 50 }\nspike_factor = 3.0"))
    run.look(START)
    for number in range(60):
        run.see(attempt(START + 20 * number, recipient=f"c{number}@example.com"), START + 20 * number)
    held = wish(run, START + 6000).held_by
    assert held == ceiling_name("trucking", TODAY)
    run.commit()
    run.guard.adopt("trucking", held, START + 6000)
    assert not run.guard.has_deltas


def test_yesterdays_ceiling_holds_nothing() -> None:
    run = Run()
    run.guard.adopt("trucking", ceiling_name("trucking", TODAY - 1), START + 1)
    assert wish(run, START + 1).sending
    run.look(START + 1)
    assert run.halts() == []


def test_the_ceiling_of_a_day_to_come_is_a_halt_so_that_somebody_can_end_it() -> None:
    run = Run()
    name = ceiling_name("trucking", TODAY + 400)
    run.guard.adopt("trucking", name, START)
    assert (wish(run, START).sending, [halt.id for halt in run.halts()]) == (False, [name])
    run.guard.release(name, "alice", START)
    assert wish(run, START).sending


def test_a_ceiling_of_tomorrow_that_is_remembered_is_a_clock_that_stepped_back() -> None:
    run = Run()
    run.guard.adopt("trucking", ceiling_name("trucking", TODAY + 1), START + DAY + 1)
    run.guard.adopt("trucking", ceiling_name("trucking", TODAY + 1), START + DAY - 60)
    assert run.halts() == []
    assert not wish(run, START + DAY - 60).sending
    assert wish(run, START + 2 * DAY).sending


@pytest.mark.parametrize(
    "name",
    [
        "trucking-ceiling-2026611",
        "trucking-ceiling-20261341",
        "trucking-ceiling-20260602x",
        "trucking-ceiling-",
        "healthcare-ceiling-20260602",
        "trucking",
        "",
    ],
)
def test_what_only_looks_like_a_ceiling_is_none(name: str) -> None:
    assert ceiling_day("trucking", name) is None


@given(st.integers(0, 80_000))
def test_a_ceiling_tells_its_day(day: int) -> None:
    assert ceiling_day("trucking", ceiling_name("trucking", day)) == day


# -- no egress


def test_a_pause_for_want_of_an_egress_is_asked_anew() -> None:
    run = Run()
    name = no_egress_name("trucking")
    run.guard.broken = {"trucking": EGRESSES}
    run.guard.adopt("trucking", name, START)
    found = wish(run, START)
    assert (found.sending, found.held_by, run.halts()) == (False, name, [])
    run.guard.broken = {"trucking": EGRESSES[1:]}
    assert (wish(run, START).sending, wish(run, START).held_by, wish(run, START).pool) == (True, "", EGRESSES[:1])


def test_a_halt_goes_before_a_ceiling_and_a_ceiling_before_the_want_of_an_egress() -> None:
    run = Run()
    run.guard.broken = {"trucking": EGRESSES}
    run.guard.adopt("trucking", ceiling_name("trucking", TODAY), START)
    assert wish(run, START).held_by == ceiling_name("trucking", TODAY)
    first = run.guard.halt("trucking", None, "one", START)
    run.guard.halt("trucking", None, "two", START + 1)
    assert wish(run, START + 1).held_by == first


# -- failed binds whose address is back


def test_a_failed_bind_is_over_when_its_address_was_well_for_long_enough() -> None:
    run = Run()
    bind_fails(run, START)
    assert "out05" in wish(run, START).broken_egresses
    run.guard.healed("trucking", "out05", START - 1, START + HEALTHY_S)  # it failed since
    run.guard.healed("trucking", "out05", START, START + HEALTHY_S - 1)  # too soon
    run.guard.healed("trucking", "out06", START, START + HEALTHY_S)  # another one
    assert "out05" in wish(run, START).broken_egresses
    run.guard.healed("trucking", "out05", START, START + HEALTHY_S)
    assert wish(run, START + HEALTHY_S).broken_egresses == ()
    (record,) = [one for one in run.guard.take_news() if one.kind is RecordKind.RELEASE]
    assert record.reason == "released by its address, which is back: sending comes back slowly, by probing"


def test_binds_that_fail_again_and_again_are_tried_ever_more_rarely() -> None:
    run, now, rests = Run(), START, []
    for _ in range(10):
        bind_fails(run, now)
        begin = now
        while "out05" in wish(run, now).broken_egresses:
            now += 60
            run.guard.healed("trucking", "out05", now - HEALTHY_S, now)
        rests.append((now - begin) / HEALTHY_S)
        now += 60
    assert rests == [1, 2, 4, 8, 16, 32, 64, 128, 128, 128]


def test_halts_for_other_reasons_do_not_heal() -> None:
    run = Run()
    halt_id = run.guard.halt("trucking", None, "maintenance", START)
    run.guard.healed("trucking", "trucking", START, START + DAY)
    assert [halt.id for halt in run.halts()] == [halt_id]
    assert BIND_RULE not in {halt.rule for halt in run.halts()}


# -- the pool that was found


def test_an_empty_memory_climbs_from_the_pool_that_was_found() -> None:
    run = Run()
    run.guard.seed_pool("trucking", 3)
    sizes = []
    for hour in range(7):
        run.look(START + 40 * DAY + hour * HOUR)
        sizes.append(run.memory.pool_size)
    assert sizes == [5, 8, 12, 16, 19, 19, 19]


def test_a_pool_that_was_found_larger_than_its_ladder_is_not_taken_over() -> None:
    run = Run()
    run.guard.found_pool(EGRESSES)
    run.look(START)
    assert (run.memory.pool_size, wish(run, START).pool) == (3, EGRESSES[:3])


def test_a_pool_that_was_found_while_growth_is_frozen_stays_as_it_is() -> None:
    run = Run()
    run.unknown = {"log_silent": "x"}
    run.guard.found_pool([*EGRESSES[:4], "smtp"])
    run.look(START + 40 * DAY)
    assert (run.memory.pool_size, run.kinds(RecordKind.POOL)) == (4, [])


def test_what_is_remembered_counts_and_not_what_was_found() -> None:
    run = Run()
    run.look(START + 9 * DAY)
    run.guard.found_pool(EGRESSES[:1])
    run.look(START + 9 * DAY + 1)
    assert run.memory.pool_size == 8


def test_without_a_pool_stream_no_pool_is_found() -> None:
    config = settings_of()
    fixed = {"healthcare": config.streams["healthcare"]}  # type: ignore[index]
    run = Run(settings=config.model_copy(update={"streams": fixed}))
    run.guard.found_pool(EGRESSES)
    run.look(START)
    assert run.guard.streams["healthcare"].memory.pool_size == 0


def test_what_was_done_outside_is_stored_and_told_like_any_decision() -> None:
    run = Run()
    done = Record(START, RecordKind.ACTION, "trucking", "postfix", "held (a halt)")
    run.guard.record([done])
    assert run.guard.has_deltas
    run.commit()
    assert run.store.records == run.guard.take_news() == [done]


# -- restarts anywhere

names = st.sampled_from([UNKNOWN, "trucking-x", ceiling_name("trucking", TODAY), ceiling_name("trucking", TODAY - 3)])
events_of_a_life = st.lists(
    st.tuples(st.sampled_from(["wait", "commit", "crash", "lose", "look"]), st.floats(0, 4 * HOUR)), max_size=20
)


@settings(deadline=None)
@given(names, events_of_a_life)
def test_as_long_as_postfix_shows_a_pause_no_restart_resumes(name: str, life: list[tuple[str, float]]) -> None:
    """Before each decision a pass adopts what Postfix shows, which changes only by what was decided."""
    run, now, shown, let_go = Run(), START, name, False
    for what, passed in life:
        now += passed
        match what:
            case "commit":
                run.commit()
            case "crash":
                run.restart(now)
            case "lose":
                run = Run()
            case "look":
                run.look(now)
            case _:
                pass
        if not let_go:
            run.guard.adopt("trucking", shown, now)
        day = ceiling_day("trucking", name)
        over = day is not None and day < int(now // DAY)
        found = wish(run, now)
        assert found.sending == (let_go or over)
        if found.sending:
            let_go = True
        else:
            shown = found.held_by
            assert shown == name
