"""Rotation in the middle of a step: before each system call of it, in turn."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.adapters.tail_world import World, before_system_call, follow, read_all

Act = Callable[[World], None]


def grow(world: World) -> None:
    world.log(b" grown")


def grow_by_half_a_line(world: World) -> None:
    world.say(b" halved")
    world.write(4)


def rename(world: World) -> None:
    world.rename()
    world.log(b" to the old file")
    world.reopen()
    world.log(b" to the new file")


def rename_twice(world: World) -> None:
    rename(world)
    rename(world)


def truncate(world: World) -> None:
    world.copytruncate()
    world.log(b" truncated", b" LONG", b" and longer than before")


def truncate_to_nothing(world: World) -> None:
    world.copytruncate()


def truncate_twice(world: World) -> None:
    truncate(world)
    truncate(world)


def copy_only(world: World) -> None:
    shutil.copyfile(world.path, world.shift())


def truncate_and_pack(world: World) -> None:
    truncate(world)
    world.pack(world.rotated()[0])


def pack_all(world: World) -> None:
    for path in world.rotated():
        if not path.name.endswith(".gz") and not world.is_writing_to(path):
            world.pack(path, keep_time=False)


BEFORE: list[Act] = [
    grow, grow_by_half_a_line, rename, rename_twice, truncate, truncate_to_nothing, truncate_twice, truncate_and_pack
]  # fmt: skip
MEANWHILE: list[Act] = [grow, rename, truncate, truncate_to_nothing, truncate_twice, truncate_and_pack, pack_all]


@pytest.mark.parametrize("meanwhile", MEANWHILE)
@pytest.mark.parametrize("before", BEFORE)
def test_no_moment_of_a_step_is_a_bad_one_for_rotation(tmp_path: Path, before: Act, meanwhile: Act) -> None:
    for call in itertools.count(1):
        directory = tmp_path / str(call)
        directory.mkdir()
        world = World(directory)
        world.log(b" first", b" second")
        follower = follow(world.path, read_bytes=64)
        read = read_all(follower)
        before(world)
        with before_system_call(call, lambda world=world: meanwhile(world)) as moved:  # type: ignore[misc]
            read += read_all(follower)
        world.write()
        read += read_all(follower)
        assert read == world.lines, f"disturbed before system call {call}"
        assert follower.health.gaps == 0
        follower.close()
        world.close()
        if not moved:
            break
    assert call > 5


@pytest.mark.parametrize("restarted", [False, True])
def test_a_copy_that_is_not_truncated_yet_is_not_read_besides_the_log(tmp_path: Path, restarted: bool) -> None:
    for call in itertools.count(1):
        directory = tmp_path / str(call)
        directory.mkdir()
        world = World(directory)
        world.log(b" first")
        follower = follow(world.path)
        read = read_all(follower)
        world.copytruncate()
        read += read_all(follower)
        world.log(b" second", b" third")
        copy_only(world)
        if restarted:
            follower.close()
            follower = follow(world.path, follower.position)
        with before_system_call(call, lambda world=world: os.truncate(world.path, 0)) as moved:  # type: ignore[misc]
            read += read_all(follower)
        if not moved:
            os.truncate(world.path, 0)
        world.log(b" fourth")
        read += read_all(follower)
        assert read == world.lines, f"truncated before system call {call}"
        assert follower.health.gaps == 0
        follower.close()
        world.close()
        if not moved:
            break
    assert call > 5
