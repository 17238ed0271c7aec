"""What befalls a log, case by case."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from pwmtad.adapters.tail.follower import Follower, StartAt
from tests.unit.adapters.tail_world import World, follow, read_all


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A log with two lines."""
    world = World(tmp_path)
    world.log(b" first", b" second")
    yield world
    world.close()


@pytest.fixture
def follower(world: World) -> Iterator[Follower]:
    """One that has read both."""
    follower = follow(world.path)
    assert read_all(follower) == world.lines
    yield follower
    follower.close()


@contextmanager
def restarted(follower: Follower, world: World) -> Iterator[Follower]:
    """Another one, that starts where this one stopped."""
    follower.close()
    other = follow(world.path, follower.position)
    yield other
    other.close()


# --- growing


def test_a_line_cut_in_two_writes_is_read_once(world: World, follower: Follower) -> None:
    world.say(b" grown")
    world.write(5)
    before = follower.position
    assert read_all(follower) == []
    assert follower.position == before
    world.write()
    assert read_all(follower) == world.lines[2:]


def test_a_character_cut_in_two_writes_is_whole(world: World, follower: Follower) -> None:
    world.say("ü".encode())
    world.write(7)
    read_all(follower)
    world.write()
    assert read_all(follower) == ["000002ü"]


def test_a_checkpoint_lies_before_an_unfinished_line(world: World, follower: Follower) -> None:
    world.say(b" grown")
    world.write(5)
    read_all(follower)
    with restarted(follower, world) as other:
        world.write()
        assert read_all(other) == world.lines[2:]


def test_a_long_line_is_cut_and_counted_and_its_rest_dropped_across_a_restart(world: World, follower: Follower) -> None:
    world.say(b" LONG")
    world.write(100)
    read = read_all(follower)
    assert follower.health.cut_lines == 1
    world.write(100)
    with restarted(follower, world) as other:
        world.log(b" after")
        read += read_all(other)
        assert other.health.cut_lines == 0
    assert read == world.lines[2:]


def test_a_log_without_line_breaks_is_read_in_bounded_pieces(tmp_path: Path) -> None:
    path = tmp_path / "mail.log"
    with path.open("wb") as file:
        file.write(b"x")
        file.truncate(1 << 26)
    follower = follow(path, read_bytes=1 << 16)
    lines = read_all(follower)
    assert [len(line) for line in lines] == [40]
    assert follower.health.cut_lines == 1
    follower.close()


# --- starting


@pytest.mark.parametrize("start_at", ["beginning", "end"])
def test_a_log_that_comes_later_is_read_from_its_beginning(tmp_path: Path, start_at: StartAt) -> None:
    path = tmp_path / "mail.log"
    follower = Follower(str(path), position=None, start_at=start_at, max_line_bytes=40, read_bytes=100)
    assert not follower.step().caught_up
    error = follower.health.error
    assert error is not None
    assert "no such file: waiting for it" in error
    assert "journal:postfix@-.service" in error
    path.write_text("first\n")
    assert read_all(follower) == ["first"]
    assert follower.health.error is None
    follower.close()


def test_a_directory_that_comes_later_is_no_trouble_either(tmp_path: Path) -> None:
    path = tmp_path / "later" / "mail.log"
    follower = follow(path)
    follower.step()
    assert f"the directory {path.parent} does not exist" in str(follower.health.error)
    path.parent.mkdir()
    path.write_text("first\n")
    assert read_all(follower) == ["first"]
    follower.close()


def test_starting_at_the_end_skips_what_is_there_even_of_a_line(world: World) -> None:
    world.say(b" half")
    world.write(4)
    follower = Follower(str(world.path), position=None, start_at="end", max_line_bytes=40, read_bytes=100)
    assert read_all(follower) == []
    world.write()
    world.log(b" whole")
    assert read_all(follower) == world.lines[3:]
    follower.close()


def test_what_is_no_regular_file_is_trouble_and_no_exception(tmp_path: Path) -> None:
    path = tmp_path / "mail.log"
    os.mkfifo(path)
    follower = follow(path)
    follower.step()
    assert "not a regular file" in str(follower.health.error)


# --- rename


def test_the_old_file_is_followed_until_the_logger_opens_the_new_one(world: World, follower: Follower) -> None:
    world.rename(create=True)
    world.log(b" still to the old one")
    assert read_all(follower) == world.lines[2:]
    assert follower.step().caught_up
    assert follower.health.rotations == 0
    world.log(b" again")
    world.reopen()
    world.log(b" to the new one")
    assert read_all(follower) == world.lines[3:]
    assert follower.health.rotations == 1


def test_the_half_line_of_a_logger_that_crashed_is_a_line_of_its_own(world: World, follower: Follower) -> None:
    with world.path.open("ab") as file:
        file.write(b"half")
    world.rename()
    world.path.write_text("whole\n")
    assert read_all(follower) == ["half", "whole"]


@pytest.mark.parametrize("pack", [False, True])
def test_a_log_rotated_twice_while_we_were_down_is_read_on(world: World, follower: Follower, pack: bool) -> None:
    position = follower.position
    follower.close()
    for name in (b" third", b" fourth", b" fifth"):
        world.log(name)
        world.rename()
        world.reopen()
        if pack:
            world.pack(world.rotated()[0])
    world.log(b" sixth")
    other = follow(world.path, position)
    assert read_all(other) == world.lines[2:]
    assert other.health.gaps == 0
    assert other.health.rotations == 3
    other.close()


def test_a_checkpoint_in_a_packed_file_is_an_offset_of_its_content(world: World, follower: Follower) -> None:
    for number in range(30):
        world.log(b" filling %d" % number)
    world.rename()
    world.reopen()
    world.pack(world.rotated()[0])
    world.log(b" last")
    with restarted(follower, world) as other:
        read = other.step().lines
        assert other.position is not None
        assert other.position.path == str(world.directory / "mail.log.1.gz")
        with restarted(other, world) as third:
            assert read + read_all(third) == world.lines[2:]


def test_an_empty_log_that_was_rotated_and_packed_ends_nothing(world: World, follower: Follower) -> None:
    world.rename(create=True)
    world.rename()
    world.pack(world.rotated()[0])
    world.say(b" to the oldest one")
    world.write(5)
    assert read_all(follower) == []
    world.write()
    assert read_all(follower) == world.lines[2:]


# --- copytruncate


def test_a_truncated_log_is_read_from_its_start(world: World, follower: Follower) -> None:
    world.copytruncate()
    assert read_all(follower) == []
    world.log(b" third")
    assert read_all(follower) == world.lines[2:]
    assert follower.health.gaps == 0
    assert follower.health.rotations == 1


def test_what_was_not_read_before_the_truncation_is_read_in_the_copy(world: World, follower: Follower) -> None:
    world.log(b" third")
    world.copytruncate()
    world.log(b" fourth", b" fifth", b" sixth", b" seventh")
    assert read_all(follower) == world.lines[2:]


def test_a_line_that_the_truncation_tore_apart_is_whole(world: World, follower: Follower) -> None:
    world.say(b" torn")
    world.write(4)
    world.copytruncate()
    world.write()
    assert read_all(follower) == world.lines[2:]


@pytest.mark.parametrize("pack", [False, True])
def test_lines_written_after_the_copy_was_made_are_not_read_twice(world: World, follower: Follower, pack: bool) -> None:
    read: list[str] = []

    def write_and_read() -> None:
        world.log(b" read in time", b" LONG")
        read.extend(read_all(follower))

    for number in range(30):
        world.log(b" filling %d" % number)
    world.copytruncate(write_and_read)
    if pack:
        world.pack(world.rotated()[0])
    world.log(b" after")
    with restarted(follower, world) as other:
        read += read_all(other)
        assert read == world.lines[2:]
        assert other.health.gaps == 0


def test_the_hole_under_a_logger_without_append_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "mail.log"
    with path.open("wb", buffering=0) as logger:
        logger.write(b"first\n")
        follower = follow(path)
        read = read_all(follower)
        for text in (b"second\n", b"third\n"):
            shutil.copyfile(path, tmp_path / f"mail.log-2026110{text[0] % 10}")
            os.truncate(path, 0)
            logger.write(text)
            read += read_all(follower)
    assert read == ["first", "second", "third"]
    assert follower.health.cut_lines == 0
    follower.close()


def test_a_log_truncated_without_a_copy_is_a_gap(world: World, follower: Follower) -> None:
    os.truncate(world.path, 0)
    world.log(b" third")
    assert read_all(follower) == world.lines[2:]
    assert follower.health.gaps == 1


# --- deleted, edited, damaged


def test_a_deleted_log_is_read_while_it_is_open_and_that_is_said(world: World, follower: Follower) -> None:
    world.path.unlink()
    world.log(b" third")
    assert read_all(follower) == world.lines[2:]
    assert "deleted, but still open" in str(follower.health.error)
    world.reopen()
    world.log(b" fourth")
    assert read_all(follower) == world.lines[3:]
    assert follower.health.error is None
    assert follower.health.gaps == 0


def test_a_checkpoint_that_is_nowhere_is_a_gap(world: World, follower: Follower) -> None:
    world.path.unlink()
    with restarted(follower, world) as other:
        assert not other.step().caught_up
        assert "no such file" in str(other.health.error)
        assert other.health.gaps == 0
        world.reopen()
        world.log(b" third")
        assert read_all(other) == world.lines[2:]
        assert other.health.gaps == 1


def test_a_log_that_was_written_anew_is_not_read_again(world: World, follower: Follower) -> None:
    anew = world.directory / "anew"
    shutil.copyfile(world.path, anew)
    with anew.open("ab") as file:
        file.write(b"third\n")
    anew.rename(world.path)
    assert read_all(follower) == ["third"]
    assert follower.health.gaps == 0


@pytest.mark.parametrize("down", [False, True])
def test_a_log_that_lost_its_end_in_a_crash_is_not_read_again(tmp_path: Path, down: bool) -> None:
    path = tmp_path / "mail.log"
    lines = [f"line {number} of a log that is long enough" for number in range(20)]
    path.write_text("".join(f"{line}\n" for line in lines))
    follower = follow(path)
    assert read_all(follower) == lines
    if down:
        follower.close()
        follower = follow(path, follower.position)
    os.truncate(path, 600)
    with path.open("a") as file:
        file.write("torn\n")
    read_all(follower)
    with path.open("a") as file:
        file.write("after\n")
    assert read_all(follower)[-1:] == ["after"]
    assert follower.health.gaps == 1
    follower.close()


def test_an_intact_copy_of_a_log_that_was_shortened_is_read_first(world: World, follower: Follower) -> None:
    for number in range(30):
        world.log(b" filling %d" % number)
    read = read_all(follower)
    world.log(b" unread")
    shutil.copyfile(world.path, world.shift())
    os.truncate(world.path, world.path.read_bytes().index(b"000020"))
    read += read_all(follower)
    world.log(b" after")
    read += read_all(follower)
    assert read == world.lines[2:]
    assert follower.health.gaps == 1


@pytest.mark.parametrize("damage", ["shortened", "garbage", "foreign packing"])
def test_a_rotated_file_that_cannot_be_unpacked_is_one_gap(world: World, follower: Follower, damage: str) -> None:
    world.rename()
    world.reopen()
    world.log(b" unreadable")
    world.rename()
    world.reopen()
    packed = world.pack(world.rotated()[0])
    if damage == "shortened":
        packed.write_bytes(packed.read_bytes()[:-12])
    elif damage == "garbage":
        packed.write_bytes(b"no gzip at all")
    else:
        packed.rename(packed.with_suffix(".xz"))
    assert read_all(follower) == []
    world.log(b" after")
    assert read_all(follower)[-1:] == world.lines[-1:]
    assert follower.health.gaps == 1
    assert follower.health.error is None


def test_a_packed_file_that_breaks_off_is_read_as_far_as_it_goes(world: World, follower: Follower) -> None:
    for _ in range(2000):
        world.log(b" " + os.urandom(8).hex().encode())
    world.rename()
    world.reopen()
    packed = world.pack(world.rotated()[0])
    packed.write_bytes(packed.read_bytes()[:-2000])
    world.log(b" after")
    follower.close()
    other = follow(world.path, follower.position, read_bytes=1000)
    read = read_all(other)
    assert len(read) > 500
    assert read[:-1] == world.lines[2 : len(read) + 1]
    assert read[-1] == world.lines[-1]
    assert other.health.gaps == 1
    other.close()


def test_a_damaged_file_among_the_rotated_does_not_hide_the_checkpoint(world: World, follower: Follower) -> None:
    world.rename()
    world.reopen()
    world.pack(world.rotated()[0])
    world.log(b" third")
    (world.directory / "mail.log.0.gz").write_bytes(b"no gzip at all")
    with restarted(follower, world) as other:
        assert read_all(other) == world.lines[2:]
        assert other.health.gaps == 1


def test_a_checkpoint_that_makes_no_sense_is_a_gap(world: World, follower: Follower) -> None:
    assert follower.position is not None
    follower.close()
    for position, read in (
        (msgspec.structs.replace(follower.position, offset=3), world.lines),
        (msgspec.structs.replace(follower.position, offset=-1), world.lines),
        (msgspec.structs.replace(follower.position, head=b"", tail=b"", inode=1), world.lines),
        (msgspec.structs.replace(follower.position, offset=1 << 62), []),  # this log, shortened
    ):
        other = follow(world.path, position)
        assert read_all(other) == read
        assert other.health.gaps == 1
        other.close()


# --- permissions


@contextmanager
def nobody() -> Iterator[None]:
    """Without root's rights, for which there are no permissions."""
    if os.geteuid() != 0:
        yield
        return
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(65534)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """One that others may enter, unlike those of pytest."""
    directory = Path(tempfile.mkdtemp())
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


def test_without_permission_the_group_to_join_is_named_and_reading_is_retried(open_directory: Path) -> None:
    path = open_directory / "mail.log"
    path.write_text("first\n")
    path.chmod(0o040)
    follower = follow(path)
    with nobody():
        assert not follower.step().caught_up
        error = str(follower.health.error)
    assert error.startswith(f"{path}: permission denied: run `usermod -aG ")
    assert error.endswith(f"{path.group()} pwmtad` and restart pwmtad")
    path.chmod(0o644)
    with nobody():
        assert read_all(follower) == ["first"]
        assert follower.health.error is None
    follower.close()


def test_where_no_group_may_read_that_is_what_is_said(open_directory: Path) -> None:
    path = open_directory / "mail.log"
    path.write_text("first\n")
    path.chmod(0)
    with nobody():
        follower = follow(path)
        follower.step()
    assert f"run `chgrp adm {path} && chmod 640 {path}` and `usermod -aG adm pwmtad`" in str(follower.health.error)


def test_a_directory_that_may_not_be_entered_is_named(open_directory: Path) -> None:
    path = open_directory / "closed" / "deep" / "mail.log"
    path.parent.mkdir(parents=True)
    path.write_text("first\n")
    path.parent.parent.chmod(0o700 if os.geteuid() == 0 else 0)
    with nobody():
        follower = follow(path)
        follower.step()
    path.parent.parent.chmod(0o700)
    assert f"chmod 750 {open_directory}/closed`" in str(follower.health.error)


@pytest.mark.parametrize("pack", [False, True])
def test_a_rotated_file_without_permission_is_one_gap(open_directory: Path, pack: bool) -> None:
    world = World(open_directory)
    world.log(b" first")
    follower = follow(world.path)
    with nobody():
        read = read_all(follower)
    for filling in (b" closed", b" open"):
        world.rename()
        world.reopen()
        world.log(filling)
    path = world.rotated()[0]
    if pack:
        path = world.pack(path)
    path.chmod(0)
    with nobody():
        read += read_all(follower)
    assert read == [world.lines[0], world.lines[2]]
    assert follower.health.gaps == 1
    assert follower.health.error is None
    with nobody(), restarted(follower, world) as other:
        assert read_all(other) == []
        assert other.health.gaps == 0
    world.close()


def test_a_group_without_a_name_is_called_by_its_number(open_directory: Path) -> None:
    if os.geteuid() != 0:
        return  # only root may give a file away
    path = open_directory / "mail.log"
    path.write_text("first\n")
    os.chown(path, 0, 54321)
    path.chmod(0o640)
    with nobody():
        follower = follow(path)
        follower.step()
    assert "usermod -aG 54321 pwmtad" in str(follower.health.error)


def test_a_new_log_without_permission_does_not_stop_the_old_one(open_directory: Path) -> None:
    world = World(open_directory)
    world.log(b" first")
    follower = follow(world.path)
    with nobody():
        read = read_all(follower)
    world.rename(create=True)
    world.path.chmod(0)
    world.path.write_text("x\n") if os.geteuid() == 0 else world.path.chmod(0)
    world.log(b" to the old one")
    with nobody():
        read += read_all(follower)
        assert f"{world.path}: permission denied" in str(follower.health.error)
    assert read == world.lines
    world.path.chmod(0o644)
    with nobody():
        read += read_all(follower)
    assert read[2:] == (["x"] if os.geteuid() == 0 else [])
    follower.close()
    world.close()
