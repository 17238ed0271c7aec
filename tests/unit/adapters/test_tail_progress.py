"""What people are told while a backlog is read."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from pwmtad.adapters.tail.follower import Follower
from tests.unit.adapters.tail_world import World, follow, read_all


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A log that is much longer than what is read at once."""
    world = World(tmp_path)
    fill(world)
    yield world
    world.close()


def fill(world: World) -> None:
    for _ in range(30):
        world.log(b" filling")


def shares(follower: Follower, lines: list[str]) -> list[float | None]:
    """Read to the end; the share after each step that brought lines."""
    seen = []
    while (step := follower.step()).again or step.lines:
        lines += step.lines
        if step.lines:
            seen.append(follower.health.progress)
    return seen


def test_a_backlog_is_told_as_a_growing_share_and_its_end_as_nothing(world: World) -> None:
    follower = follow(world.path, read_bytes=64)
    lines: list[str] = []
    seen = shares(follower, lines)
    assert lines == world.lines
    told = [share for share in seen if share is not None]
    assert len(told) > 5
    assert all(before < after for before, after in pairwise(told))
    assert 0 <= told[0] < 0.2
    assert 0.8 < told[-1] < 1
    assert follower.health.progress is None
    follower.close()


def test_the_share_counts_what_is_left_from_the_checkpoint_on(world: World) -> None:
    first = follow(world.path, read_bytes=64)
    for _ in range(6):
        first.step()
    first.close()
    other = follow(world.path, first.position, read_bytes=64)
    assert other.step().lines
    assert other.health.progress == 0.0
    other.close()


def test_generations_that_follow_belong_to_the_backlog(world: World) -> None:
    world.rename(create=True)
    world.reopen()
    fill(world)
    follower = follow(world.path, position=None, read_bytes=64)
    first = follow(world.directory / "mail.log.1", read_bytes=64)
    first.step()
    follower.position = first.position
    lines: list[str] = []
    told = [share for share in shares(follower, lines) if share is not None]
    assert lines == world.lines[-len(lines) :]
    assert len(lines) > 50
    assert all(before < after for before, after in pairwise(told))
    assert sum(share < 0.5 for share in told) > 5
    assert sum(share > 0.5 for share in told) > 5
    first.close()
    follower.close()


def test_while_packed_files_are_to_come_the_share_is_not_known(world: World) -> None:
    first = follow(world.path, read_bytes=64)
    first.step()
    first.close()
    world.rename(create=True)
    world.reopen()
    world.pack(world.directory / "mail.log.1")
    fill(world)
    follower = follow(world.path, first.position, read_bytes=64)
    lines: list[str] = []
    seen = shares(follower, lines)
    assert lines == world.lines[-len(lines) :]
    assert seen[0] is None
    assert seen[-2] is not None
    follower.close()


def test_what_is_written_meanwhile_is_left_to_read(world: World) -> None:
    follower = follow(world.path, read_bytes=64)
    for _ in range(5):
        follower.step()
    before = follower.health.progress
    fill(world)
    follower.step()
    after = follower.health.progress
    assert before is not None
    assert after is not None
    assert after < before
    read_all(follower)
    assert follower.health.progress is None
    follower.close()
