"""Any interleaving of writing, rotating, packing, stopping and starting gives each line once, in order."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from typing_extensions import override

from pwmtad.model.sources import FileCheckpoint
from tests.unit.adapters.tail_world import FILLINGS, World, before_system_call, follow

fillings_of_some_lines = st.lists(st.sampled_from(FILLINGS), min_size=1, max_size=4)


class Rotation(RuleBasedStateMachine):
    """A world that goes its way, and a reader that is stopped and started at stored positions."""

    @initialize(dated=st.booleans(), read_bytes=st.sampled_from([1, 64, 1 << 20]))
    def start(self, dated: bool, read_bytes: int) -> None:
        self.directory = Path(tempfile.mkdtemp())
        self.world = World(self.directory, dated=dated)
        self.world.log(b" first")
        self.read_bytes = read_bytes
        self.split: set[int] = set()
        self.read: list[str] = []
        self.committed: tuple[FileCheckpoint | None, int] = (None, 0)
        self.follower = follow(self.world.path, read_bytes=read_bytes)
        self.step(3)
        self.commit()

    @override
    def teardown(self) -> None:
        if not hasattr(self, "follower"):
            return
        self.world.write()
        if not self.world.is_writing_to(self.world.path):
            self.world.reopen()
        self.world.log(b" last")
        for _ in range(1000):
            step = self.follower.step()
            self.read += step.lines
            if step.caught_up and self.read[-1:] == self.world.lines[-1:]:
                break
        self.follower.close()
        self.world.close()
        shutil.rmtree(self.directory)
        assert self.read == self.world.lines
        assert self.follower.health.gaps == 0
        assert self.follower.health.error is None

    # --- the world

    @rule(fillings=fillings_of_some_lines)
    def say(self, fillings: list[bytes]) -> None:
        self.world.say(*fillings)

    @rule(size=st.integers(1, 200))
    def write(self, size: int) -> None:
        self.world.write(size)

    @rule()
    def reopen(self) -> None:
        self.world.reopen()

    @precondition(lambda self: self.world.path.exists())
    @rule(create=st.booleans())
    def rename(self, create: bool) -> None:
        self.world.rename(create=create)

    def can_be_truncated(self) -> bool:
        path = self.world.path
        # Less than a line has nothing of its own: a copy of it would look like the start of the next generation.
        if not self.world.is_writing_to(path) or b"\n" not in path.read_bytes():
            return False
        # That a line goes on in the truncated file is known to who was reading that file, and to nobody else.
        inodes = {position and position.inode for position in (self.follower.position, self.committed[0])}
        return not self.world.inside_line or inodes == {path.stat().st_ino}

    @precondition(can_be_truncated)
    @rule(steps=st.integers(0, 3))
    def copytruncate(self, steps: int) -> None:
        if self.world.inside_line:
            self.split.add(self.world.path.stat().st_ino)
        self.world.copytruncate(lambda: self.step(steps))

    @precondition(lambda self: any(not path.name.endswith(".gz") for path in self.world.rotated()))
    @rule(data=st.data(), steps=st.integers(0, 3))
    def pack(self, data: st.DataObject, steps: int) -> None:
        path = data.draw(st.sampled_from([path for path in self.world.rotated() if not path.name.endswith(".gz")]))
        # Of a packed file, nobody knows any more that it was truncated in the middle of a line.
        if not self.world.is_writing_to(path) and path.stat().st_ino not in self.split:
            self.world.pack(path, lambda: self.step(steps))

    # --- the reader

    @rule(count=st.integers(1, 12))
    def step(self, count: int) -> None:
        for _ in range(count):
            self.read += self.follower.step().lines

    @rule(
        call=st.integers(1, 40),
        act=st.sampled_from(["copytruncate", "rename", "reopen", "write"]),
        fillings=fillings_of_some_lines,
        size=st.integers(1, 200),
    )
    def step_while_the_world_moves(self, call: int, act: str, fillings: list[bytes], size: int) -> None:
        def move() -> None:
            if act == "copytruncate" and self.can_be_truncated():
                self.copytruncate(0)
            elif act == "rename" and self.world.path.exists():
                self.rename(create=False)
            elif act == "reopen":
                self.reopen()
            self.say(fillings)
            self.write(size)

        with before_system_call(call, move):
            self.step(3)

    @rule()
    def commit(self) -> None:
        self.committed = (self.follower.position, len(self.read))

    @rule()
    def kill(self) -> None:
        self.follower.close()
        del self.read[self.committed[1] :]
        self.follower = follow(self.world.path, self.committed[0], read_bytes=self.read_bytes)

    @invariant()
    def nothing_is_read_twice_or_out_of_order(self) -> None:
        if hasattr(self, "read"):
            assert self.read == self.world.lines[: len(self.read)]


TestRotation = Rotation.TestCase
TestRotation.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
