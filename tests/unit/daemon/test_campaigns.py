"""Acting on Listmonk: what is done when, in which order, and what clicks, restarts and failures change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pwmtad.core.listmonk_window import RATE
from pwmtad.model.judgement import RecordKind
from pwmtad.model.listmonk import Changed, Failure, Holding, Outcome, Trouble
from tests.unit.daemon.listmonk_world import NOW, World

VERSIONS = ("v3.0.0", "v4.1.0", "v5.1.0", "v6.0.0", "v6.2.0")


async def settled(version: str = "v6.2.0", **more: object) -> World:
    """A world whose window is set, with campaign 12 running and 13 paused by a person."""
    world = World(version, **more)  # type: ignore[arg-type]
    world.listmonk.add(12)
    world.listmonk.add(13, "paused", by="a person")
    await world.settle()
    return world


# -- the first start


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_first_start_pauses_drains_sets_restarts_reads_back_and_resumes(version: str) -> None:
    world = World(version)
    world.listmonk.add(12)
    await world.passes()
    assert world.listmonk.status(12) == "paused"
    await world.settle()
    assert world.has_window(300)
    assert world.listmonk.restarts == 1
    assert world.listmonk.status(12) == "running"
    kinds = [record.reason.partition(" ")[0] for record in world.records(RecordKind.ACTION)]
    assert kinds == ["paused", "send", "resumed"]


async def test_observing_only_looks_once_a_minute_and_says_what_would_be_done() -> None:
    world = World(mode="observe")
    world.listmonk.add(12)
    await world.passes(200)
    assert world.listmonk.looks == 4
    assert world.listmonk.writes == []
    assert world.listmonk.status(12) == "running"
    assert world.campaigns.acting.doing == "pauses 1 campaign(s): its send window limits nothing"
    assert world.memory.root_url == ""
    assert not world.campaigns.enforcing


async def test_while_nothing_differs_nothing_is_written() -> None:
    world = await settled()
    writes, restarts = len(world.listmonk.writes), world.listmonk.restarts
    await world.passes(720, every_s=5)
    assert (len(world.listmonk.writes), world.listmonk.restarts) == (writes, restarts)


async def test_i12_a_warmup_changes_the_window_once_a_rung_and_never_more() -> None:
    world = World()
    world.now = NOW - 8 * 86_400
    world.begin()
    world.listmonk.add(12)
    windows = []
    for _ in range(9 * 24 * 12):
        await world.passes(every_s=1)
        await world.passes(every_s=299)
        windows.append(world.listmonk.engine)
        assert not world.is_too_fast() or world.listmonk.status(12) == "paused"
    assert len(dict.fromkeys(windows)) <= 5
    assert world.has_window(300)
    assert world.campaigns.acting.changes == world.listmonk.restarts == 4


# -- halts


async def test_a_halt_pauses_what_runs_and_leaves_what_is_scheduled_until_it_starts() -> None:
    world = await settled()
    world.listmonk.add(14, "scheduled", send_at=world.now + 30)
    await world.halted()
    assert [world.listmonk.status(number) for number in (12, 13, 14)] == ["paused", "paused", "scheduled"]
    await world.passes(45)
    assert world.listmonk.status(14) == "paused"
    assert {held.id for held in world.memory.campaigns} == {12, 14}


async def test_a_halt_is_carried_out_in_the_very_next_pass_and_stored_first() -> None:
    world = await settled()
    halt = world.run.guard.halt("trucking", 3600, "a test", world.now)
    await world.campaigns.step()
    assert world.listmonk.status(12) == "paused"
    stored = world.run.store.state().listmonk["trucking"]
    assert [(held.id, held.holding) for held in stored.campaigns] == [(12, Holding.OURS)]
    record = world.records(RecordKind.ACTION)[-1]
    assert record.halt_id == halt
    assert record.reason.startswith("paused 1 campaign: 12 (News 12); manual")


@pytest.mark.parametrize("version", VERSIONS)
async def test_i13_after_a_release_what_a_human_had_paused_is_still_paused(version: str) -> None:
    world = await settled(version)
    halt = await world.halted()
    await world.released(halt)
    assert [world.listmonk.status(number) for number in (12, 13)] == ["running", "paused"]
    assert not world.listmonk.campaigns[12].finished_early


async def test_a_human_who_resumes_in_a_halt_is_overruled_and_at_the_release_it_goes_on() -> None:
    world = await settled()
    halt = await world.halted()
    await world.passes(5)
    assert world.listmonk.click(12, "running")
    await world.passes(2)
    assert world.listmonk.status(12) == "paused"
    await world.released(halt)
    assert world.listmonk.status(12) == "running"


async def test_a_human_who_pauses_just_before_us_keeps_it_paused() -> None:
    world = await settled()
    halt = world.run.guard.halt("trucking", 3600, "a test", world.now)
    look = world.listmonk.look

    async def look_then_click(*, whole: bool) -> object:
        found = await look(whole=whole)
        world.listmonk.click(12, "paused")
        return found

    world.listmonk.look = look_then_click  # type: ignore[method-assign,assignment]
    await world.campaigns.step()
    world.listmonk.look = look  # type: ignore[method-assign]
    assert world.memory.campaigns == ()
    await world.released(halt)
    assert world.listmonk.status(12) == "paused"


async def test_a_campaign_that_somebody_edits_while_it_is_ours_stays_paused_and_is_told() -> None:
    world = await settled()
    halt = await world.halted()
    await world.passes(200)
    world.listmonk.campaigns[12].updated_at = world.now
    await world.passes(10)
    assert "listmonk_pause_of_nobody" in world.codes()
    await world.released(halt)
    assert world.listmonk.status(12) == "paused"
    assert world.campaigns.acting.unsure == 1
    assert any("is not resumed" in record.reason for record in world.records(RecordKind.DRIFT))
    world.listmonk.click(12, "running")
    await world.passes(10)
    assert "listmonk_pause_of_nobody" not in world.codes()


async def test_a_finished_or_deleted_campaign_is_forgotten() -> None:
    world = await settled()
    world.listmonk.add(15)
    await world.halted()
    world.listmonk.campaigns[12].status = "finished"
    del world.listmonk.campaigns[15]
    await world.passes(10)
    assert world.memory.campaigns == ()


async def test_at_the_ceiling_campaigns_are_paused_until_midnight() -> None:
    world = await settled(ceiling=300)
    assert await_room(world) == 300
    memory = world.run.guard.streams["trucking"].memory
    memory.capped_day = int(world.now // 86_400)
    await world.passes(3)
    assert world.listmonk.status(12) == "paused"
    await world.passes(200)
    await world.passes(10, every_s=3600)
    assert world.listmonk.status(12) == "paused"
    world.now = (world.now // 86_400 + 1) * 86_400 + 1
    await world.passes(30)
    assert world.listmonk.status(12) == "running"


def await_room(world: World) -> int:
    return int(world.run.guard.room_today("trucking", world.now))


# -- windows by hand


async def test_a_window_that_somebody_raises_is_lowered_again_and_reported_and_nothing_is_sent_meanwhile() -> None:
    world = await settled()
    await world.passes(70)
    world.listmonk.type_in(rate=10_000, duration="1h")
    await world.passes(2)
    assert world.listmonk.status(12) == "paused"
    await world.settle()
    assert world.has_window(300)
    assert world.listmonk.status(12) == "running"
    drift = world.records(RecordKind.DRIFT)
    assert [record.reason for record in drift] == [
        "somebody set the send window to 10000 each 1h: it is set to what the ladder allows"
    ]
    assert world.campaigns.acting.drifts == 1


async def test_a_window_that_somebody_switches_off_is_switched_on_again() -> None:
    world = await settled()
    world.listmonk.type_in(flag=False)
    await world.settle()
    assert world.has_window(300)


async def test_a_window_that_somebody_lowers_stays_and_is_told() -> None:
    world = await settled()
    world.listmonk.type_in(rate=50, duration="1h")
    await world.passes(100)
    assert world.listmonk.stored[RATE] == 50
    assert "listmonk_window_by_hand" in world.codes()
    await world.passes(200, every_s=3600)
    assert world.listmonk.stored[RATE] == 50
    world.listmonk.type_in(rate=5000)
    await world.settle()
    assert world.has_window(300)
    assert "listmonk_window_by_hand" not in world.codes()


async def test_a_lowered_window_that_could_exceed_an_hour_is_put_into_a_safe_form() -> None:
    world = await settled()
    world.listmonk.type_in(rate=200, duration="1h")
    await world.settle()
    assert world.has_window(200)
    assert world.campaigns.acting.window_per_hour == 189


async def test_somebody_who_raises_the_window_again_and_again_gets_no_restart_a_second() -> None:
    world = await settled()
    await world.passes(100)
    restarts = world.listmonk.restarts
    for _ in range(600):
        world.listmonk.stored[RATE] = 10_000
        await world.passes()
    assert world.listmonk.restarts - restarts <= 12
    assert world.listmonk.status(12) == "paused"


async def test_other_settings_that_a_human_saves_are_not_our_business() -> None:
    world = await settled()
    world.listmonk.type_in()
    assert world.listmonk.needs_restart
    await world.passes(100)
    assert world.listmonk.status(12) == "running"
    assert world.listmonk.needs_restart


# -- lost answers and restarts


async def test_a_pause_whose_answer_is_lost_is_made_sure_and_nobody_knows_whose_it_is() -> None:
    world = await settled()
    world.listmonk.loses = ["after"]
    halt = await world.halted()
    assert world.listmonk.status(12) == "paused"
    assert "listmonk_pause_of_nobody" in world.codes()
    await world.released(halt)
    assert world.listmonk.status(12) == "paused"


async def test_a_pause_that_never_arrives_is_asked_for_again() -> None:
    world = await settled()
    world.listmonk.loses = ["before", "before"]
    halt = await world.halted()
    await world.passes(10)
    assert world.listmonk.status(12) == "paused"
    assert "listmonk_not_paused" not in world.codes()
    await world.released(halt)
    assert world.listmonk.status(12) == "running"
    assert len(world.records(RecordKind.ACTION_FAILED)) == 1


@pytest.mark.parametrize("lost", ["before", "after"])
async def test_a_resume_whose_answer_is_lost_is_read_again(lost: str) -> None:
    world = await settled()
    halt = await world.halted()
    await world.passes(200)
    world.listmonk.loses = [lost]
    await world.released(halt)
    assert world.listmonk.status(12) == "running"
    assert world.memory.campaigns == ()
    assert "listmonk_not_resumed" not in world.codes()


@pytest.mark.parametrize("lost", ["before", "after"])
@pytest.mark.parametrize("which", [0, 1, 2, 3])
@pytest.mark.parametrize("version", ["v5.1.0", "v6.2.0"])
async def test_a_connection_that_is_lost_between_write_and_read_back_is_read_again(lost: str, which: int, version: str) -> None:
    world = World(version)
    world.listmonk.add(12)
    world.listmonk.loses = [""] * (which + 1) + [lost]
    await world.settle()
    assert world.has_window(300)
    assert world.listmonk.status(12) == "running"
    assert "listmonk_window_not_set" not in world.codes()


async def test_a_daemon_that_is_killed_in_a_halt_resumes_what_is_its_own() -> None:
    world = await settled()
    halt = await world.halted()
    world.restart(kill=True)
    await world.passes(10)
    assert world.listmonk.status(12) == "paused"
    await world.released(halt)
    assert world.listmonk.status(12) == "running"


async def test_a_daemon_that_lost_its_store_resumes_nothing_and_raises_nothing() -> None:
    world = World()
    world.now = NOW - 6 * 86_400  # day 2: 150 an hour
    world.begin()
    world.listmonk.add(12)
    await world.settle()
    await world.halted()
    world.restart(forget=True)
    world.now += 10 * 86_400
    await world.passes(100)
    assert world.listmonk.status(12) == "paused"
    assert world.has_window(150)
    assert world.campaigns.acting.held == 0
    assert "listmonk_window_by_hand" in world.codes()


async def test_a_daemon_that_finds_settings_waiting_for_a_restart_sends_nothing_until_it_took_place() -> None:
    world = await settled()
    world.listmonk.type_in()
    world.restart()
    await world.passes(2)
    assert world.listmonk.status(12) == "paused"
    restarts = world.listmonk.restarts
    await world.settle()
    assert world.listmonk.restarts == restarts + 1
    assert world.listmonk.status(12) == "running"


# -- failures


async def test_a_listmonk_that_is_down_is_told_once_and_asked_ever_more_rarely() -> None:
    world = await settled()
    world.listmonk.trouble = Failure(Trouble.UNREACHABLE, "no answer")
    looks = world.listmonk.looks
    await world.passes(600)
    assert world.listmonk.looks - looks < 25
    row = world.campaigns.acting
    assert (row.reachable, row.problem) == (False, "no answer")
    assert world.codes() == ["listmonk_unreachable"]
    world.listmonk.trouble = None
    await world.passes(70)
    assert world.campaigns.acting.reachable
    assert world.codes() == []


async def test_in_a_halt_a_listmonk_that_is_down_is_asked_every_few_seconds() -> None:
    world = await settled()
    world.listmonk.trouble = Failure(Trouble.UNREACHABLE, "no answer")
    await world.passes(300)
    await world.halted()
    looks = world.listmonk.looks
    await world.passes(60)
    assert 9 <= world.listmonk.looks - looks <= 30
    world.listmonk.trouble = None
    await world.passes(8)
    assert world.listmonk.status(12) == "paused"


@pytest.mark.parametrize(
    ("trouble", "code"),
    [
        (Trouble.FORBIDDEN, "listmonk_forbidden"),
        (Trouble.NONSENSE, "listmonk_answers_nonsense"),
        (Trouble.CREDENTIALS, "listmonk_token_unreadable"),
    ],
)
async def test_each_failure_has_its_own_finding(trouble: Trouble, code: str) -> None:
    world = await settled()
    world.listmonk.trouble = Failure(Trouble.UNREACHABLE, "no answer")
    await world.passes(6)
    world.listmonk.trouble = Failure(trouble, "why")
    await world.passes(70)
    assert world.codes() == [code]


async def test_a_refused_token_is_not_tried_in_a_loop_not_even_for_a_halt_but_after_a_reload() -> None:
    world = await settled()
    world.listmonk.trouble = Failure(Trouble.FORBIDDEN, "403")
    looks = world.listmonk.looks
    await world.passes(200)
    await world.halted()
    assert world.listmonk.looks - looks <= 2
    world.listmonk.trouble = None
    world.campaigns.reconfigure(world.settings)
    await world.passes(2)
    assert world.listmonk.status(12) == "paused"


async def test_a_pause_that_is_refused_for_lack_of_a_permission_is_told_and_not_asked_for_in_a_loop() -> None:
    world = await settled()
    world.listmonk.missing = ("campaigns:send",)
    world.listmonk.refuses = Changed(Outcome.FORBIDDEN, "403 permission denied")
    await world.halted()
    await world.passes(100)
    assert {"listmonk_not_paused", "listmonk_rights_missing"} <= set(world.codes())
    assert world.campaigns.acting.failures <= 2
    world.listmonk.refuses, world.listmonk.missing = None, ()
    await world.passes(310)
    assert world.listmonk.status(12) == "paused"
    assert "listmonk_rights_missing" not in world.codes()


async def test_a_window_that_can_not_be_set_keeps_campaigns_paused_and_is_told() -> None:
    world = World()
    world.listmonk.missing = ("settings:manage",)
    world.listmonk.add(12)
    await world.passes(60)
    assert world.listmonk.status(12) == "paused"
    assert world.listmonk.writes == []
    assert {"listmonk_window_not_set", "listmonk_rights_missing"} <= set(world.codes())


async def test_settings_that_listmonk_refuses_are_told_once() -> None:
    world = World()
    world.listmonk.refuses = Changed(Outcome.REFUSED, "400 no")
    await world.passes(900)
    assert len(world.records(RecordKind.ACTION_FAILED)) == 1
    assert len(world.listmonk.writes) <= 4


async def test_settings_that_can_not_be_read_raise_and_resume_nothing_but_a_halt_is_carried_out() -> None:
    world = await settled()
    world.listmonk.blind = "settings: 500"
    await world.passes(100)
    assert world.listmonk.status(12) == "running"
    assert "listmonk_settings_unread" in world.codes()
    halt = await world.halted()
    assert world.listmonk.status(12) == "paused"
    world.run.guard.release(halt, "alice", world.now)
    await world.passes(100)
    assert world.listmonk.status(12) == "paused"
    world.listmonk.blind = ""
    await world.settle()
    assert world.listmonk.status(12) == "running"


async def test_another_instance_behind_the_url_is_left_alone() -> None:
    world = await settled()
    halt = await world.halted()
    world.run.guard.release(halt, "alice", world.now)
    world.listmonk.root_url = "https://other.example.org"
    world.listmonk.add(20)
    world.listmonk.type_in(rate=10_000)
    await world.passes(100)
    assert world.listmonk.status(12) == "paused"
    assert world.listmonk.status(20) == "running"
    assert world.listmonk.stored[RATE] == 10_000
    assert "listmonk_is_another" in world.codes()
    await world.halted()
    assert world.listmonk.status(20) == "running"


async def test_the_root_url_of_the_configuration_says_which_instance_is_meant() -> None:
    world = World(more='listmonk.root_url = "https://mine.example.org"')
    world.listmonk.add(12)
    await world.passes(10)
    assert world.listmonk.status(12) == "running"
    world.listmonk.root_url = "https://mine.example.org"
    await world.settle()
    assert world.has_window(300)
    assert world.memory.root_url == "https://mine.example.org"


async def test_a_version_that_is_too_old_is_told_and_only_paused() -> None:
    world = World("v2.5.1")
    world.listmonk.add(12)
    await world.passes(100)
    assert world.listmonk.status(12) == "running"
    assert "listmonk_too_old" in world.codes()
    await world.halted()
    assert world.listmonk.status(12) == "paused"
    world.listmonk.version = "v6.2.0"
    await world.passes(10)
    assert "listmonk_too_old" not in world.codes()


async def test_a_list_that_changes_while_it_is_read_resumes_nothing() -> None:
    world = await settled()
    halt = await world.halted()
    world.listmonk.complete = False
    world.run.guard.release(halt, "alice", world.now)
    await world.passes(50)
    assert world.listmonk.status(12) == "paused"
    world.listmonk.complete = True
    await world.settle()
    assert world.listmonk.status(12) == "running"


# -- the store


async def test_while_the_store_is_down_a_halt_is_carried_out_and_nothing_is_resumed_or_raised() -> None:
    world = await settled()
    world.store_works = False
    halt = await world.halted()
    assert world.listmonk.status(12) == "paused"
    world.run.guard.release(halt, "alice", world.now)
    await world.passes(150)  # until it has drained
    assert world.listmonk.status(12) == "paused"
    assert "listmonk_not_stored" in world.codes()
    world.store_works = True
    await world.settle()
    assert world.listmonk.status(12) == "running"
    assert "listmonk_not_stored" not in world.codes()


async def test_a_store_that_hangs_does_not_keep_campaigns_running() -> None:
    world = await settled()
    hanging = asyncio.Event()

    async def hang() -> bool:
        await hanging.wait()
        return True

    world.campaigns._acts._commit = hang
    world.run.guard.halt("trucking", 3600, "a test", world.now)
    await world.campaigns.step()
    assert world.listmonk.status(12) == "paused"
    hanging.set()


# -- draining


async def test_a_campaign_that_drains_for_hours_is_waited_for_and_told() -> None:
    world = World(flag=True, rate=300, duration="1h")
    world.listmonk.add(12)
    await world.passes(20)
    assert world.listmonk.needs_restart
    await world.passes(100, every_s=10)
    assert "listmonk_not_drained" in world.codes()
    assert world.listmonk.restarts == 0
    await world.passes(1500, every_s=10)
    assert world.has_window(300)
    assert world.listmonk.status(12) == "running"
    assert "listmonk_not_drained" not in world.codes()


# -- all together

CLICKS: dict[str, Callable[[World], object]] = {
    "pause": lambda world: world.listmonk.click(12, "paused"),
    "resume": lambda world: world.listmonk.click(12, "running"),
    "pause 13": lambda world: world.listmonk.click(13, "paused"),
    "resume 13": lambda world: world.listmonk.click(13, "running"),
    "new": lambda world: world.listmonk.add(20 + len(world.listmonk.campaigns)),
    "schedule": lambda world: world.listmonk.add(20 + len(world.listmonk.campaigns), "scheduled", send_at=world.now + 7),
    "edit": lambda world: setattr(world.listmonk.campaigns[12], "updated_at", world.now),
    "finish": lambda world: setattr(world.listmonk.campaigns[13], "status", "finished"),
    "raise": lambda world: world.listmonk.type_in(rate=10_000, duration="1h"),
    "lower": lambda world: world.listmonk.type_in(rate=20, duration="1h"),
    "off": lambda world: world.listmonk.type_in(flag=False),
    "zero": lambda world: world.listmonk.type_in(rate=0),
    "nonsense": lambda world: world.listmonk.type_in(duration="1d"),
    "batch": lambda world: world.listmonk.type_in(batch=1000),
    "other": lambda world: world.listmonk.type_in(),
    "reload": lambda world: world.listmonk.boot(),
}
FAULTS: dict[str, Callable[[World], object]] = {
    "lose before": lambda world: world.listmonk.loses.append("before"),
    "lose after": lambda world: world.listmonk.loses.append("after"),
    "down": lambda world: setattr(world.listmonk, "trouble", Failure(Trouble.UNREACHABLE, "no answer")),
    "up": lambda world: setattr(world.listmonk, "trouble", None),
    "blind": lambda world: setattr(world.listmonk, "blind", "500"),
    "seeing": lambda world: setattr(world.listmonk, "blind", ""),
    "partial": lambda world: setattr(world.listmonk, "complete", False),
    "whole": lambda world: setattr(world.listmonk, "complete", True),
    "store down": lambda world: setattr(world, "store_works", False),
    "store up": lambda world: setattr(world, "store_works", True),
    "restart": lambda world: world.restart(),
    "kill": lambda world: world.restart(kill=True),
    "forget": lambda world: world.restart(forget=True),
    "minute": lambda world: setattr(world, "now", world.now + 61),
}
STEPS = ["pass", "halt", "release", *CLICKS, *FAULTS]


def halt_or_release(world: World, step: str) -> None:
    if step == "halt":
        world.run.guard.halt("trucking", 86_400, "a test", world.now)
    elif step == "release":
        for halt in world.run.halts():
            world.run.guard.release(halt.id, "alice", world.now)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(VERSIONS), st.lists(st.sampled_from(STEPS), max_size=40))
@pytest.mark.timeout(600)
async def test_whatever_people_and_failures_do_nothing_is_sent_too_fast_and_nothing_resumed_that_is_not_ours(
    version: str, steps: list[str]
) -> None:
    world = World(version)
    world.listmonk.add(12)
    world.listmonk.add(13, "paused", by="a person")
    await world.passes(3)
    for step in steps:
        halt_or_release(world, step)
        for table in (CLICKS, FAULTS):
            if step in table:
                table[step](world)
        before = len(world.listmonk.resumed)
        await world.passes()
        for number, who in world.listmonk.resumed[before:]:
            assert who == "pwmtad", f"{number} was resumed, which {who} had paused"
            assert world.desired.sending
            assert not world.is_too_fast()
        assert not any(one.finished_early for one in world.listmonk.campaigns.values())
    await heal(world)
    for halt in list(world.run.halts()):
        world.run.guard.release(halt.id, "alice", world.now)
    await world.passes(3)
    assert not world.is_too_fast() or not any(one.status == "running" for one in world.listmonk.campaigns.values())
    await at_rest(world)
    assert not world.is_too_fast()
    assert world.campaigns.acting.held == 0
    forgot = "forget" in steps or {"store down", "kill"} <= set(steps)
    told = {held.id for held in world.memory.campaigns}
    for one in world.listmonk.campaigns.values():
        assert one.status != "paused" or one.paused_by == "a person" or one.id in told or forgot


async def at_rest(world: World) -> None:
    """With a batch of a thousand and twenty an hour a pause drains for two days."""
    quiet = 0
    for _ in range(9000):
        await world.passes(every_s=25)
        quiet = quiet + 1 if world.campaigns.acting.doing == "" else 0
        if quiet > 60:
            return
    raise AssertionError(f"it does not come to rest: {world.campaigns.acting}")


async def heal(world: World) -> None:
    world.listmonk.trouble, world.listmonk.blind, world.listmonk.complete = None, "", True
    world.listmonk.loses = []
    world.store_works = True
    await world.passes(70)


async def test_the_run_looks_at_once_when_it_is_woken_and_lets_go_at_its_end() -> None:
    world = await settled()
    closed = asyncio.Event()

    async def close() -> None:
        closed.set()

    world.listmonk.close = close  # type: ignore[method-assign]
    task = asyncio.create_task(world.campaigns.run())
    await asyncio.sleep(0)
    world.run.guard.halt("trucking", 3600, "a test", world.now)
    world.campaigns.wake()
    async with asyncio.timeout(5):
        while world.listmonk.status(12) != "paused":  # noqa: ASYNC110  (a state, not an event)
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait([task])
    assert closed.is_set()


async def test_a_stream_that_is_not_judged_is_left_alone() -> None:
    world = World()
    world.run.guard.streams = {}
    await world.campaigns.step()
    assert world.listmonk.looks == 0


async def test_a_stream_without_a_table_has_no_instance() -> None:
    world = World()
    stream = world.settings.streams["trucking"].model_copy(update={"listmonk": None})  # type: ignore[index]
    world.campaigns.settings = world.settings.model_copy(update={"streams": {"trucking": stream}})
    with pytest.raises(LookupError, match="has no listmonk table"):
        world.campaigns.listmonk  # noqa: B018


async def test_a_reload_takes_what_was_refused_for_new() -> None:
    world = await settled()
    world.listmonk.trouble = Failure(Trouble.CREDENTIALS, "can't read the token")
    await world.passes(30)
    world.listmonk.trouble = None
    world.campaigns.reconfigure(world.settings)
    await world.passes()
    assert world.campaigns.acting.reachable
