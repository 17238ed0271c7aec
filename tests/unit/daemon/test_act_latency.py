"""When a hold is said to be carried out, for the histogram of latencies."""

from __future__ import annotations

from pwmtad.model.sources import Batch, SourceHealth
from tests.unit.daemon.acting_world import World


async def acting(mode: str = "enforce") -> World:
    world = World(mode=mode)
    await world.passes(5, every_s=61)
    world.act.latency.counted(Batch("mail.log", [], None, caught_up=True, health=SourceHealth()), world.now)
    return world


def halt(world: World) -> None:
    """A line of a second ago brings a halt about."""
    world.guard.halt("trucking", 3600, "a test", world.now)
    world.act.latency.decided(world.now - 1.0, world.now)


def actions(world: World) -> tuple[int, float]:
    reading = world.act.latency.readings()["action"]
    return sum(reading.counts), reading.sum


async def test_a_hold_is_measured_once_when_the_helper_is_told() -> None:
    world = await acting()
    halt(world)
    await world.passes(3)
    assert actions(world) == (1, 1.0)


async def test_a_hold_that_waits_for_the_helper_is_measured_when_it_is_back() -> None:
    world = await acting()
    world.postfix.problem = "the helper is away"
    halt(world)
    world.postfix.stamp += 1
    await world.passes(3)
    assert actions(world) == (0, 0.0)
    world.postfix.problem = None
    await world.passes(10)
    count, waited_s = actions(world)
    assert count == 1
    assert waited_s > 3.0


async def test_while_observing_nothing_waits_to_be_carried_out() -> None:
    world = await acting("observe")
    halt(world)
    await world.passes(2)
    world.act.latency.issued(world.now, world.now)
    assert actions(world) == (0, 0.0)
