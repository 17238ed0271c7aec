"""Any interleaving of writing, rotating, packing, stopping and starting gives each line once, in order."""

from __future__ import annotations

import gzip
import os
import shutil
import tempfile
from pathlib import Path

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pwmtad.adapters.tail.follower import Follower
from pwmtad.model.sources import FileCheckpoint

LIMIT = 40

# What a line may look like behind its serial number. U+2028 and U+0085 are no line breaks.
FILLINGS = [
    b"",
    b" queued",
    " grüße \u2028 \u0085 \U0001f4e7".encode(),
    b" \xff\xfe\x80 broken",
    b" carriage\r",
    b" nul \0 inside",
    b" two\r\r",
    b" LONG",
]


def expected(raw: bytes) -> str:
    """What the source must make of a line."""
    if len(raw) > LIMIT:
        raw = raw[:LIMIT]
    else:
        raw = raw.removesuffix(b"\r")
    return raw.decode("utf-8", "replace")


class Writer:
    """A logger: it keeps its file open with O_APPEND, and opens a new one when told to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.serial = 0
        self.unwritten = b""
        self.lines: list[str] = []
        self.inside_line = False
        self.descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def say(self, filling: bytes) -> None:
        # No two pieces of a log are alike: the fingerprints count on that.
        long = b"".join(b"%d:%d " % (self.serial, at) for at in range(50))
        raw = b"%06d%s" % (self.serial, filling.replace(b"LONG", long))
        self.serial += 1
        self.lines.append(expected(raw))
        self.unwritten += raw + b"\n"

    def write(self, size: int) -> None:
        piece, self.unwritten = self.unwritten[:size], self.unwritten[size:]
        os.write(self.descriptor, piece)
        if piece:
            self.inside_line = not piece.endswith(b"\n")

    def reopen(self) -> None:
        if self.inside_line:
            self.write(self.unwritten.find(b"\n") + 1)
        os.close(self.descriptor)
        self.descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def is_writing_to(self, path: Path) -> bool:
        return path.exists() and os.path.samestat(os.fstat(self.descriptor), path.stat())


class Rotation(RuleBasedStateMachine):
    @initialize(dated=st.booleans(), chunk=st.sampled_from([1, 64, 1 << 20]))
    def start(self, dated: bool, chunk: int) -> None:
        self.directory = Path(tempfile.mkdtemp())
        self.path = self.directory / "mail.log"
        self.dated = dated
        self.rotations = 0
        self.chunk = chunk
        self.split_ends: set[int] = set()
        self.writer = Writer(self.path)
        self.writer.say(b" first")
        self.writer.write(1000)
        self.read: list[str] = []
        self.committed: tuple[FileCheckpoint | None, int] = (None, 0)
        self.follower = self.new_follower()
        self.step(3)
        self.commit()

    def new_follower(self) -> Follower:
        return Follower(
            str(self.path),
            position=self.committed[0],
            start_at="beginning",
            max_line_bytes=LIMIT,
            read_bytes=self.chunk,
        )

    def teardown(self) -> None:
        if not hasattr(self, "follower"):
            return
        self.writer.write(1 << 20)
        if not self.path.exists() or not self.writer.is_writing_to(self.path):
            self.writer.reopen()
        self.writer.say(b" last")
        self.writer.write(1 << 20)
        for _ in range(1000):
            step = self.follower.step()
            self.read += step.lines
            if self.read[-1:] == self.writer.lines[-1:] and step.caught_up:
                break
        self.follower.close()
        os.close(self.writer.descriptor)
        shutil.rmtree(self.directory)
        assert self.read == self.writer.lines
        assert self.follower.health.gaps == 0
        assert self.follower.health.error is None

    # --- the world

    def rotated(self) -> list[Path]:
        return sorted(
            (path for path in self.directory.iterdir() if path != self.path),
            key=lambda path: self.age(path),
        )

    @staticmethod
    def age(path: Path) -> int:
        digits = path.name.removeprefix("mail.log").removesuffix(".gz")[1:]
        return int(digits)

    def make_room(self) -> Path:
        """Shift the rotated files; the name that is free now."""
        self.rotations += 1
        if self.dated:
            return self.directory / f"mail.log-{20261100 + self.rotations}"
        for path in reversed(self.rotated()):
            packed = ".gz" if path.name.endswith(".gz") else ""
            path.rename(self.directory / f"mail.log.{self.age(path) + 1}{packed}")
        return self.directory / "mail.log.1"

    @rule(fillings=st.lists(st.sampled_from(FILLINGS), min_size=1, max_size=4))
    def say(self, fillings: list[bytes]) -> None:
        for filling in fillings:
            self.writer.say(filling)

    @rule(size=st.integers(1, 200))
    def write(self, size: int) -> None:
        self.writer.write(size)

    @precondition(lambda self: self.path.exists())
    @rule(create=st.booleans())
    def rename(self, create: bool) -> None:
        self.path.rename(self.make_room())
        if create:
            self.path.touch()

    @rule()
    def reopen(self) -> None:
        self.writer.reopen()

    # Less than a line has nothing of its own: a copy of it would look like the start of the next generation.
    @precondition(lambda self: self.writer.is_writing_to(self.path) and b"\n" in self.path.read_bytes())
    @rule(steps=st.integers(0, 3))
    def copytruncate(self, steps: int) -> None:
        if self.writer.inside_line:
            # That a line goes on in the truncated file is known to who was reading that file, and to nobody else.
            inode = self.path.stat().st_ino
            positions = (self.follower.position, self.committed[0])
            if any(position is None or position.inode != inode for position in positions):
                return
            self.split_ends.add(inode)
        copy = self.make_room()
        shutil.copyfile(self.path, copy)
        self.step(steps)
        os.truncate(self.path, 0)

    @precondition(lambda self: any(not path.name.endswith(".gz") for path in self.rotated()))
    @rule(data=st.data(), steps=st.integers(0, 3))
    def pack(self, data: st.DataObject, steps: int) -> None:
        plain = [path for path in self.rotated() if not path.name.endswith(".gz")]
        path = data.draw(st.sampled_from(plain))
        status = path.stat()
        if self.writer.is_writing_to(path) or status.st_ino in self.split_ends:
            return
        packed = path.with_name(path.name + ".gz")
        content = gzip.compress(path.read_bytes())
        packed.write_bytes(content[: len(content) // 2])
        self.step(steps)
        packed.write_bytes(content)
        os.utime(packed, ns=(status.st_atime_ns, status.st_mtime_ns))
        self.step(steps)
        path.unlink()

    # --- the reader

    @rule(count=st.integers(1, 12))
    def step(self, count: int) -> None:
        for _ in range(count):
            self.read += self.follower.step().lines

    @rule()
    def commit(self) -> None:
        self.committed = (self.follower.position, len(self.read))

    @rule()
    def kill(self) -> None:
        self.follower.close()
        del self.read[self.committed[1] :]
        self.follower = self.new_follower()

    @invariant()
    def nothing_is_read_twice_or_out_of_order(self) -> None:
        if hasattr(self, "read"):
            assert self.read == self.writer.lines[: len(self.read)]


TestRotation = Rotation.TestCase
TestRotation.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
