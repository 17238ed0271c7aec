"""The backlog: what is put on hold, what comes back, and when nothing may expire."""

from __future__ import annotations

from msgspec.structs import replace

from pwmtad.model.judgement import RecordKind
from tests.tools.judging import settings_of
from tests.unit.daemon.acting_world import World

DAY = 86_400


async def settled() -> World:
    world = World()
    await world.settle()
    return world


async def test_a_small_queue_is_left_alone() -> None:
    world = await settled()
    world.postfix.queue_up(world.messages(400))
    await world.passes(20)
    assert world.postfix.in_queue("hold") == []


async def test_of_a_blast_the_oldest_stay_and_the_rest_waits_on_hold() -> None:
    world = await settled()
    world.postfix.queue_up(world.messages(29_000, queue_name="active"))
    await world.passes(2)
    assert world.postfix.in_queue("active") == [f"Q{number:06}" for number in range(250)]
    assert len(world.postfix.in_queue("hold")) == 28_750
    assert world.act.acting.streams[0].held_messages == 28_750
    assert "backlog" in [finding.code for finding in world.act.findings()]
    assert world.records(RecordKind.BACKLOG)[0].reason == "28750 messages put on hold"


async def test_what_waits_comes_back_the_oldest_first_as_there_is_room() -> None:
    world = await settled()
    world.postfix.queue_up(world.messages(1000, queue_name="active"))
    await world.passes(2)
    order: list[str] = []
    for _ in range(100):
        for queue_id in (world.postfix.in_queue("active") + world.postfix.in_queue("deferred"))[:50]:
            order.append(queue_id)
            del world.postfix.entries[queue_id]
        await world.passes(every_s=60)
    assert order == sorted(order)
    assert len(order) == 1000


PAUSED = "deferred transport"


async def released_with_mail_waiting(world: World) -> None:
    """A halt, mail that its pause defers, and a release that Postfix has not heard of yet."""
    halt_id = world.guard.halt("trucking", None, "a test", world.now)
    await world.passes(2)
    world.postfix.queue_up(world.messages(40, delay_reason=PAUSED))
    world.postfix.queue_up([world.message("QDOWN", delay_reason="connect to mx.example.net[192.0.2.1]:25: Connection refused")])
    await world.passes(20)
    world.guard.release(halt_id, "alice", world.now)


def tried(world: World) -> list[str]:
    return [record.reason for record in world.records(RecordKind.BACKLOG) if "tried now" in record.reason]


async def test_when_postfix_lets_a_governed_stream_go_what_waited_for_the_pause_is_tried_once() -> None:
    world = await settled()
    await released_with_mail_waiting(world)
    await world.passes(1)
    assert tried(world) == [], "Postfix still holds it: it is changed once a minute"
    await world.passes(100)
    assert tried(world) == ["40 messages that waited for the pause are tried now"]
    assert world.postfix.in_queue("hold") == []
    assert world.postfix.ours == set()
    await world.passes(300)
    assert len(tried(world)) == 1


async def test_without_a_governor_what_waited_for_the_pause_waits_for_its_own_time() -> None:
    world = World(settings_of(more="governor = false"))
    await world.settle()
    await released_with_mail_waiting(world)
    await world.passes(200)
    assert world.postfix.values["sender_dependent_default_transport_maps"].startswith("randmap:")
    assert tried(world) == []


async def test_a_daemon_that_dies_right_after_a_release_tries_what_waited_after_its_start() -> None:
    world = await settled()
    await released_with_mail_waiting(world)
    for _ in range(70):
        world.run.look(world.now)
        await world.act.step()
        world.now += 1
    world.restart()
    await world.passes(20)
    assert tried(world) == ["40 messages that waited for the pause are tried now"]


async def test_a_helper_that_fails_at_it_is_asked_again() -> None:
    world = await settled()
    await released_with_mail_waiting(world)
    for _ in range(70):
        world.run.look(world.now)
        await world.act.step()
        world.now += 1
    world.postfix.problem = "the helper does not answer"
    await world.passes(10)
    world.postfix.problem = None
    await world.passes(20)
    assert tried(world) == ["40 messages that waited for the pause are tried now"]


async def test_mail_for_sites_that_are_down_does_not_keep_the_rest_on_hold() -> None:
    world = await settled()
    down = "connect to mx.example.net[192.0.2.1]:25: Connection refused"
    world.postfix.queue_up(world.messages(1000))
    await world.passes(2)
    for queue_id in world.postfix.in_queue("deferred"):
        world.postfix.entries[queue_id] = replace(world.postfix.entries[queue_id], delay_reason=down)
    await world.passes(2, every_s=60)
    assert len(world.postfix.in_queue("deferred")) == 500
    assert len(world.postfix.in_queue("hold")) == 500


async def test_nothing_expires_while_a_backlog_waits_on_hold_for_longer_than_a_day() -> None:
    world = await settled()
    world.postfix.values["maximal_queue_lifetime"] = "3d"
    world.postfix.queue_up(world.messages(1000))  # the oldest is there for more than a day
    await world.passes(4, every_s=61)
    assert world.postfix.values["maximal_queue_lifetime"] == "100d"
    world.postfix.entries.clear()
    await world.passes(5, every_s=61)
    assert world.postfix.values["maximal_queue_lifetime"] == "3d"


async def test_nothing_comes_back_from_hold_during_a_halt() -> None:
    world = await settled()
    world.postfix.queue_up(world.messages(1000))
    await world.passes(2)
    held = world.postfix.in_queue("hold")
    world.guard.halt("trucking", 3600, "a test", world.now)
    for queue_id in world.postfix.in_queue("deferred"):
        del world.postfix.entries[queue_id]
    await world.passes(50)
    assert world.postfix.in_queue("hold") == held


async def test_what_somebody_else_put_on_hold_is_never_let_go() -> None:
    world = await settled()
    world.postfix.queue_up([world.message("THEIRS", age_s=9 * DAY, queue_name="hold"), *world.messages(1000)])
    await world.passes(2)
    for queue_id in world.postfix.in_queue("deferred"):
        del world.postfix.entries[queue_id]
    await world.passes(50, every_s=60)
    assert "THEIRS" in world.postfix.in_queue("hold")
    assert len(world.postfix.in_queue("deferred")) == 250


async def test_exempt_senders_notifications_and_other_streams_never_wait() -> None:
    world = World(settings_of(more='exempt_senders = ["root@example.org", "@cron.example.org"]'))
    await world.settle()
    spared = [
        world.message("ROOT", stream=None, sender="root@example.org"),
        world.message("CRON", stream=None, sender="Job@CRON.example.org"),
        world.message("NDR", stream=None, sender=""),
        world.message("HC", stream="healthcare"),
    ]
    world.postfix.queue_up([*world.messages(2000), *spared])
    await world.passes(3)
    assert not {"ROOT", "CRON", "NDR", "HC"} & set(world.postfix.in_queue("hold"))


async def test_the_blast_of_a_script_that_nobody_knows_waits_like_any_other() -> None:
    world = await settled()
    world.postfix.queue_up(world.messages(2000, stream=""))
    await world.passes(2)
    assert len(world.postfix.in_queue("hold")) == 1750


async def test_a_halted_stream_with_fixed_egresses_is_put_on_hold_wholly_because_a_flush_gets_past_its_only_lock() -> None:
    world = await settled()
    world.postfix.queue_up(world.messages(5, stream="healthcare"))
    halt_id = world.guard.halt("healthcare", None, "a test", world.now)
    await world.passes(2)
    assert len(world.postfix.in_queue("hold")) == 5
    world.guard.release(halt_id, "alice", world.now)
    await world.settle()
    await world.passes(3, every_s=60)
    assert world.postfix.in_queue("hold") == []


async def test_mail_to_excluded_domains_is_parked_and_stays_parked() -> None:
    world = await settled()
    world.act.excluded = frozenset({"yahoo.com"})
    world.postfix.queue_up([world.message("Y1", domains=("yahoo.com",))])
    world.postfix.queue_up([world.message("BOTH", domains=("yahoo.com", "example.com"))])
    await world.passes(3, every_s=600)
    assert world.postfix.in_queue("hold") == ["Y1"]
    await world.passes(50, every_s=3600)
    assert world.postfix.in_queue("hold") == ["Y1"]
    assert world.act.acting.streams[0].parked_messages == 1


async def test_lifetimes_stay_raised_until_what_the_halt_kept_waiting_is_gone() -> None:
    world = await settled()
    world.postfix.values["maximal_queue_lifetime"] = "3d"
    world.postfix.queue_up(world.messages(5))
    halt_id = world.guard.halt("trucking", None, "a test", world.now)
    await world.passes(3)
    assert world.postfix.values["maximal_queue_lifetime"] == "100d"
    world.guard.release(halt_id, "alice", world.now)
    await world.settle()
    assert world.postfix.values["maximal_queue_lifetime"] == "100d"
    world.restart()
    await world.passes(10, every_s=60)
    assert world.postfix.values["maximal_queue_lifetime"] == "100d"
    for queue_id in world.postfix.in_queue("deferred"):
        del world.postfix.entries[queue_id]
    await world.passes(5, every_s=61)
    assert world.postfix.values["maximal_queue_lifetime"] == "3d"
    assert "bounce_queue_lifetime" not in world.postfix.values


async def test_a_queue_that_can_not_be_listed_keeps_lifetimes_raised() -> None:
    world = await settled()
    halt_id = world.guard.halt("trucking", None, "a test", world.now)
    await world.passes(3)
    world.guard.release(halt_id, "alice", world.now)
    world.postfix.unlisted = "postqueue did not end within 60 s"
    await world.passes(20, every_s=61)
    assert world.postfix.values["maximal_queue_lifetime"] == "100d"


async def test_observing_never_lists_or_moves() -> None:
    world = World(mode="observe")
    world.postfix.queue_up(world.messages(2000))
    await world.passes(20)
    assert world.postfix.in_queue("hold") == []
