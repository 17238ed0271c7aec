"""Acting on Postfix: what is done when, what is refused, and what a restart or somebody else's edit changes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from pwmtad.core.egress_health import HEALTHY_S
from pwmtad.core.leaks import LEAK_RULE
from pwmtad.model.judgement import HaltPhase, RecordKind
from tests.tools.judging import EGRESSES, attempt, block, settings_of
from tests.unit.daemon.acting_world import World

POOL = "sender_dependent_default_transport_maps"


def pool(world: World) -> str:
    return world.postfix.values.get(POOL, "")


async def halted() -> World:
    world = World()
    await world.settle()
    world.guard.halt("trucking", 3600, "a test", world.now)
    await world.passes(2)
    return world


async def test_observing_changes_nothing() -> None:
    world = World(mode="observe")
    await world.passes(100)
    assert world.postfix.values == {}
    assert world.postfix.looks == 0
    assert world.act.acting.reachable is None


async def test_the_first_pass_sets_the_pool_and_the_governor_in_one_write() -> None:
    world = World()
    await world.passes()
    assert pool(world) == "randmap:{out05,out06,out07,out08,out09}"
    assert world.postfix.values["out05_transport_rate_delay"] == "73s"
    assert len(world.postfix.writes) == 1
    record = world.records(RecordKind.ACTION)[0]
    assert record.stream == "trucking"
    assert any(line.text.startswith(f"{POOL}: (not set) -> randmap:") for line in record.evidence)


async def test_nothing_is_written_while_nothing_differs() -> None:
    world = World()
    await world.settle()
    writes, looks = len(world.postfix.writes), world.postfix.looks
    await world.passes(600)
    assert len(world.postfix.writes) == writes
    assert world.postfix.looks - looks <= 11  # once a minute


async def test_a_pool_that_is_there_grows_rung_by_rung_whatever_the_day() -> None:
    world = World()
    world.now += 40 * 86_400
    world.postfix.values[POOL] = "randmap:{out05,out06,out07}"
    world.begin()
    sizes = []
    for _ in range(7 * 60):
        await world.passes(every_s=60)
        sizes.append(pool(world).count("out"))
    assert list(dict.fromkeys(sizes)) == [5, 8, 12, 16, 19]
    assert sizes.index(8) >= 60


async def test_a_halt_pauses_the_pool_and_defers_every_egress_at_once_and_is_stored_first() -> None:
    world = World()
    await world.settle()
    await world.passes()
    halt_id = world.guard.halt("trucking", 3600, "a test", world.now)
    await world.act.step()
    assert world.postfix.actual().paused_by == halt_id
    assert set(EGRESSES) <= set(world.postfix.values["defer_transports"].split())
    assert world.postfix.values["maximal_queue_lifetime"] == "100d"
    assert halt_id in [record.halt_id for record in world.run.store.records]
    assert world.act.acting.streams[0].held_by == halt_id


async def test_a_store_that_fails_or_hangs_does_not_keep_mail_leaving() -> None:
    world = World()
    await world.settle()
    world.store_works = False
    world.guard.halt("trucking", 3600, "a test", world.now)
    await world.act.step()
    assert world.postfix.actual().paused_by != ""


async def test_a_released_halt_probes_with_a_handful_and_then_climbs() -> None:
    world = World()
    await world.settle()
    for number in range(3):
        world.run.see(block(world.now, number), world.now)
    world.guard.halt("trucking", 3600, "a test", world.now)
    await world.passes(2)
    manual = next(halt for halt in world.run.halts() if halt.rule == "manual")
    world.guard.release(manual.id, "alice", world.now)
    await world.settle()
    assert pool(world).startswith("randmap:")
    assert "defer_transports" not in world.postfix.values


async def test_while_probing_no_more_egresses_than_messages_an_hour_are_in_rotation() -> None:
    world = World(settings_of())
    world.now += 40 * 86_400  # 19 egresses
    await world.settle()
    for _ in range(30):
        await world.passes(2, every_s=1900)
    assert pool(world).count("out") == 19
    halt_id = world.guard.halt("trucking", None, "a test", world.now)
    halt = world.guard.streams["trucking"].halts[halt_id]
    world.guard.streams["trucking"].halts[halt_id] = replace(halt, rule="spike")
    await world.passes(2)
    world.guard.release(halt_id, "alice", world.now)
    await world.passes(3, every_s=61)
    assert world.guard.streams["trucking"].halts[halt_id].phase is HaltPhase.PROBING
    assert pool(world).count("out") == 10
    assert world.postfix.values["out05_transport_rate_delay"] == "3601s"


async def test_what_makes_more_waits_a_minute_after_the_last_write() -> None:
    world = await halted()
    halt = world.run.halts()[0]
    written = len(world.postfix.writes)
    world.guard.release(halt.id, "alice", world.now)
    await world.passes(30)
    assert len(world.postfix.writes) == written
    await world.passes(40)
    assert pool(world).startswith("randmap:")


# -- restarts


async def test_a_restart_in_a_halt_changes_nothing() -> None:
    world = await halted()
    before, writes = dict(world.postfix.values), len(world.postfix.writes)
    world.restart()
    await world.passes(100)
    assert world.postfix.values == before
    assert len(world.postfix.writes) == writes


async def test_a_daemon_that_lost_its_store_resumes_nothing_and_says_so() -> None:
    world = await halted()
    halt = world.run.halts()[0]
    before = dict(world.postfix.values)
    world.restart(forget=True)
    await world.passes(100, every_s=120)
    assert world.postfix.values == before
    adopted = world.run.halts()[0]
    assert (adopted.id, adopted.rule, adopted.hold_until) == (halt.id, "adopted", None)
    assert [record.halt_id for record in world.records(RecordKind.ADOPT)] == [halt.id]


async def test_a_stream_with_fixed_egresses_stays_held_though_the_store_is_lost() -> None:
    world = World()
    await world.settle()
    halt_id = world.guard.halt("healthcare", None, "a test", world.now)
    await world.passes(2)
    assert {"hc1", "hc2"} <= set(world.postfix.values["defer_transports"].split())
    world.restart(forget=True)
    world.postfix.edit("defer_transports", "hc1")  # half a pause is a pause for whoever must adopt it
    await world.passes(100, every_s=120)
    assert {"hc1", "hc2"} <= set(world.postfix.values["defer_transports"].split())
    assert [halt.id for halt in world.run.halts("healthcare")] == [halt_id]
    assert pool(world).startswith("randmap:")


async def test_a_release_that_postfix_did_not_hear_of_is_carried_out_after_a_restart() -> None:
    world = await halted()
    world.guard.release(world.run.halts()[0].id, "alice", world.now)
    world.restart()
    await world.settle()
    assert pool(world).startswith("randmap:")


# -- other people


async def test_somebody_who_undoes_a_halt_is_corrected_at_once_and_then_once_a_minute() -> None:
    world = await halted()
    await world.passes(70)
    corrections = []
    for second in range(180):
        if not pool(world).startswith("randmap:"):
            world.postfix.edit(POOL, "randmap:{out05}")
        before = len(world.postfix.writes)
        await world.passes()
        if len(world.postfix.writes) > before:
            corrections.append(second)
    assert corrections[0] == 0
    assert 3 <= len(corrections) <= 4
    assert world.act.acting.drifts >= 3
    assert world.records(RecordKind.DRIFT)


async def test_a_retired_egress_that_somebody_puts_into_the_pool_leaves_it_at_once() -> None:
    world = World(settings_of(more='retired = ["out05"]'))
    await world.settle()
    world.postfix.edit(POOL, "randmap:{out05,out06,out07}")
    await world.passes()
    assert pool(world) == "randmap:{out06,out07}"


async def test_what_people_defer_stays_deferred_after_a_halt() -> None:
    world = World()
    world.postfix.values["defer_transports"] = "uucp"
    await world.settle()
    halt_id = world.guard.halt("trucking", 60, "a test", world.now)
    await world.passes(2)
    world.guard.release(halt_id, "alice", world.now)
    await world.settle()
    assert world.postfix.values["defer_transports"] == "uucp"


# -- egresses


async def test_an_egress_whose_address_is_gone_leaves_the_pool_at_once_and_is_back_when_it_was_well_for_a_while() -> None:
    world = World()
    await world.settle()
    world.gone = {"192.0.2.6"}
    await world.passes()
    assert "out06" not in pool(world)
    assert "out06" in world.postfix.values["defer_transports"].split()
    found = [finding for finding in world.act.findings() if finding.code == "egress_out"]
    assert [finding.subject for finding in found] == ["out06"]
    assert "its address 192.0.2.6 is not on this host" in found[0].text
    world.gone = set()
    await world.passes(int(HEALTHY_S) - 10)
    assert "out06" not in pool(world)
    for _ in range(70):
        await world.passes(every_s=60)
    assert "out06" in pool(world)
    assert "defer_transports" not in world.postfix.values
    assert world.act.findings() == ()
    kinds = [record.kind for record in world.records(RecordKind.EGRESS_OUT, RecordKind.EGRESS_BACK)]
    assert kinds == [RecordKind.EGRESS_OUT, RecordKind.EGRESS_BACK]


async def test_a_clone_that_left_master_cf_leaves_the_pool() -> None:
    world = World()
    await world.settle()
    del world.postfix.clones["out06"]
    world.postfix.stamp += 1
    await world.passes(2)
    assert "out06" not in pool(world)
    assert pool(world).startswith("randmap:")


async def test_without_any_usable_egress_the_stream_is_held_and_no_empty_pool_is_written() -> None:
    world = World()
    await world.settle()
    world.gone = {f"192.0.2.{number}" for number in range(1, 30)}
    await world.passes(3)
    assert world.postfix.actual().paused_by == "trucking-no-egress"


async def test_addresses_that_can_not_be_told_change_nothing() -> None:
    world = World()
    await world.settle()
    before = dict(world.postfix.values)
    world.gone = None
    await world.passes(100)
    assert world.postfix.values == before


async def test_an_egress_that_lacks_an_option_does_not_enter_the_pool() -> None:
    world = World()
    world.postfix.clones["out06"] = type(world.postfix.clones["out06"])(name="out06", bind_address="192.0.2.6")
    await world.settle()
    assert pool(world).startswith("randmap:")
    assert "out06" not in pool(world)


# -- failures


async def test_a_helper_that_does_not_answer_is_told_once_and_asked_ever_more_rarely() -> None:
    world = World()
    world.postfix.problem = "the helper does not answer"
    await world.passes(600)
    assert world.postfix.looks < 25
    assert world.act.acting.reachable is False
    assert "postfix_not_as_it_should_be" in [finding.code for finding in world.act.findings()]
    world.postfix.problem = None
    await world.passes(70)
    assert pool(world).startswith("randmap:")
    assert world.act.findings() == ()


async def test_a_halt_does_not_wait_long_for_a_helper_that_was_away_for_long() -> None:
    world = World()
    await world.settle()
    world.postfix.problem = "the helper does not answer"
    world.postfix.stamp += 1
    await world.passes(600)
    assert world.act.acting.reachable is False
    world.guard.halt("trucking", None, "a test", world.now)
    await world.passes(20)
    world.postfix.problem = None
    await world.passes(6)
    assert world.postfix.actual().paused_by != ""
    assert world.act.acting.reachable is True


async def test_a_helper_that_goes_away_in_the_middle_is_not_called_reachable() -> None:
    world = await halted()
    world.guard.release(world.run.halts()[0].id, "alice", world.now)
    world.now += 61
    await world.act.step()
    world.guard.halt("trucking", None, "a test", world.now)
    world.postfix.problem = "the helper does not answer"
    await world.act.step()
    assert world.act.acting.reachable is False
    assert world.act.acting.postfix_running is True


async def test_a_write_that_is_refused_is_recorded_once_and_tried_again() -> None:
    world = World()
    world.postfix.refuses = "main.cf is a symbolic link"
    await world.passes(300)
    assert len(world.records(RecordKind.ACTION_FAILED)) == 1
    world.postfix.refuses = None
    await world.passes(70)
    assert pool(world).startswith("randmap:")


async def test_a_halt_that_fails_right_after_a_write_is_tried_again_within_seconds() -> None:
    world = World()
    await world.settle()
    world.guard.halt("healthcare", None, "a test", world.now)
    await world.passes()
    written = len(world.postfix.writes)
    world.postfix.refuses = "the disk is full"
    world.guard.halt("trucking", None, "a test", world.now)
    for down_s in (1, 5, 300):
        await world.passes(down_s)
        assert len(world.postfix.writes) == written
    world.postfix.refuses = None
    await world.passes(5)
    assert world.postfix.actual().paused_by != ""


async def test_a_halt_is_tried_again_at_once_after_its_first_failure_whatever_was_written_before() -> None:
    world = await halted()
    world.guard.release(world.run.halts()[0].id, "alice", world.now)
    await world.passes(70)
    world.guard.halt("healthcare", None, "a test", world.now)
    await world.passes()
    world.postfix.refuses = "main.cf is locked"
    world.guard.halt("trucking", None, "another", world.now)
    await world.passes()
    world.postfix.refuses = None
    await world.passes(2)
    assert world.postfix.actual().paused_by != ""


def standing_problem() -> World:
    """A world where all can be done but one thing, for good: there is no transport for exempt senders."""
    return World(settings_of(more='exempt_senders = ["cron@example.org"]'))


async def test_a_standing_problem_of_something_else_does_not_delay_a_halt() -> None:
    world = standing_problem()
    await world.passes(300)
    failures = world.act.acting.failures
    for _ in range(70):
        await world.passes()
        if world.act.acting.failures > failures:
            break
    assert world.act.acting.problem is not None
    assert world.act.acting.failures == failures + 1, "it rests now"
    world.guard.halt("trucking", None, "a test", world.now)
    await world.act.step()
    assert world.postfix.actual().paused_by != ""
    assert world.act.acting.streams[0].held_by == world.postfix.actual().paused_by


async def test_a_standing_problem_of_something_else_does_not_hide_that_a_halt_leaks() -> None:
    world = standing_problem()
    await world.passes(10)
    world.guard.halt("trucking", None, "a test", world.now)
    await world.passes(10)
    assert world.act.acting.problem is not None
    assert "halt_leaks" not in {finding.code for finding in world.act.findings()}
    world.run.see(attempt(world.now), world.now)
    await world.passes()
    assert "halt_leaks" in {finding.code for finding in world.act.findings()}
    assert [record.stream for record in world.records(RecordKind.ALERT) if record.rule == LEAK_RULE] == ["trucking"]


async def test_a_stream_that_is_let_go_while_something_else_is_a_problem_leaks_no_more() -> None:
    world = standing_problem()
    await world.passes(10)
    halt_id = world.guard.halt("trucking", None, "a test", world.now)
    await world.passes(10)
    world.guard.release(halt_id, "alice", world.now)
    await world.passes(70)
    assert world.postfix.actual().paused_by == ""
    world.run.see(attempt(world.now), world.now)
    await world.passes()
    assert "halt_leaks" not in {finding.code for finding in world.act.findings()}


async def test_a_stopped_postfix_is_said_and_what_was_set_holds() -> None:
    world = World()
    world.postfix.running = False
    await world.passes(2)
    assert "postfix_stopped" in [finding.code for finding in world.act.findings()]
    await world.passes(200)
    assert "postfix_stopped" in [finding.code for finding in world.act.findings()]
    world.postfix.running = True
    await world.passes(61)
    assert world.act.findings() == ()


async def test_leaving_enforce_mode_changes_nothing_and_believes_nothing() -> None:
    world = await halted()
    before = dict(world.postfix.values)
    world.act.settings = world.settings.model_copy(update={"mode": "observe"})
    await world.passes(100)
    assert world.postfix.values == before
    assert world.act.actual is None


_STEPS = ("pass", "minute", "halt", "release", "restart", "forget", "lose pool", "lose defer", "gone", "here")


def happen(world: World, what: str) -> None:
    """Let something happen to the host, the daemon, or by a person."""
    match what:
        case "minute":
            world.now += 61
        case "halt":
            world.guard.halt("trucking", 600, "a test", world.now)
        case "release":
            for halt in [halt for halt in world.run.halts() if halt.phase is HaltPhase.ACTIVE]:
                world.guard.release(halt.id, "alice", world.now)
        case "restart" | "forget":
            world.restart(forget=what == "forget")
        case "lose pool" | "lose defer":
            world.postfix.edit(POOL if what == "lose pool" else "defer_transports", None)
        case "gone" | "here":
            world.gone = {"192.0.2.6", "192.0.2.7"} if what == "gone" else set()
        case _:
            pass


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(_STEPS), max_size=30))
@pytest.mark.timeout(300)
async def test_whatever_happens_what_is_held_has_both_locks_and_the_pool_is_never_above_its_ladder(steps: list[str]) -> None:
    world = World()
    await world.settle()
    for step in steps:
        happen(world, step)
        await world.passes()
        desired = next(one for one in world.guard.desired(world.now) if one.stream == "trucking")
        assert pool(world).count("out") <= len(desired.pool)
    await world.passes(3, every_s=61)
    desired = next(one for one in world.guard.desired(world.now) if one.stream == "trucking")
    if desired.sending:
        assert pool(world).startswith("randmap:")
    else:
        assert world.postfix.actual().paused_by != ""
        assert set(EGRESSES) <= set(world.postfix.values.get("defer_transports", "").split())


async def test_a_halted_stream_that_a_reload_leaves_out_stays_held_also_after_a_restart() -> None:
    world = World()
    await world.settle()
    world.guard.halt("healthcare", None, "a test", world.now)
    await world.passes(2)
    left = {name: stream for name, stream in world.settings.streams.items() if name != "healthcare"}
    world.settings = world.settings.model_copy(update={"streams": left})
    world.run.policy = replace(world.run.policy, settings=world.settings)
    world.guard.reconfigure(world.run.policy)
    world.begin()
    await world.passes(200)
    world.restart()
    await world.passes(200)
    assert {"hc1", "hc2"} <= set(world.postfix.values["defer_transports"].split())
    assert world.postfix.values["maximal_queue_lifetime"] == "100d"
    assert pool(world).startswith("randmap:")
