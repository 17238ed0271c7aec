"""A logger, and a log that is rotated and disturbed, for the tests of the tail adapter."""

from __future__ import annotations

import gzip
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

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
    b" bell \a inside",
    b" two\r\r",
    b" LONG",
]


def expected(raw: bytes) -> str:
    """What the source must make of a line."""
    raw = raw[:LIMIT] if len(raw) > LIMIT else raw.removesuffix(b"\r")
    return raw.decode("utf-8", "replace")


def nothing() -> None:
    return


class World:
    """A log in a directory of its own, and its logger, who keeps it open with O_APPEND until told to open a new one."""

    def __init__(self, directory: Path, *, dated: bool = False) -> None:
        self.directory = directory
        self.path = directory / "mail.log"
        self.lines: list[str] = []
        """All lines that were ever said: what a reader must deliver."""
        self.inside_line = False
        self._dated = dated
        self._rotations = 0
        self._unwritten = b""
        self._descriptor = self._open()

    def close(self) -> None:
        os.close(self._descriptor)

    def _open(self) -> int:
        return os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    # --- the logger

    def say(self, *fillings: bytes) -> None:
        """Think of lines. They reach the disk by `write`."""
        for filling in fillings:
            serial = len(self.lines)
            # No two pieces of a log are alike: the fingerprints count on that.
            long = b"".join(b"%d:%d " % (serial, at) for at in range(50))
            raw = b"%06d%s" % (serial, filling.replace(b"LONG", long))
            self.lines.append(expected(raw))
            self._unwritten += raw + b"\n"

    def write(self, size: int = 1 << 20) -> None:
        piece, self._unwritten = self._unwritten[:size], self._unwritten[size:]
        os.write(self._descriptor, piece)
        if piece:
            self.inside_line = not piece.endswith(b"\n")

    def log(self, *fillings: bytes) -> None:
        self.say(*(fillings or (b"",)))
        self.write()

    def reopen(self) -> None:
        if self.inside_line:
            self.write(self._unwritten.find(b"\n") + 1)
        os.close(self._descriptor)
        self._descriptor = self._open()

    def is_writing_to(self, path: Path) -> bool:
        return path.exists() and os.path.samestat(os.fstat(self._descriptor), path.stat())

    # --- rotation

    def rotated(self) -> list[Path]:
        """Youngest first."""
        return sorted((path for path in self.directory.iterdir() if path != self.path), key=self._age)

    def _age(self, path: Path) -> int:
        digits = int(path.name.removeprefix("mail.log").removesuffix(".gz")[1:])
        return -digits if self._dated else digits

    def shift(self) -> Path:
        """Make room among the rotated files; the name that is free now."""
        self._rotations += 1
        if self._dated:
            return self.directory / f"mail.log-{20261100 + self._rotations}"
        for path in reversed(self.rotated()):
            packed = ".gz" if path.name.endswith(".gz") else ""
            path.rename(self.directory / f"mail.log.{self._age(path) + 1}{packed}")
        return self.directory / "mail.log.1"

    def rename(self, *, create: bool = False) -> None:
        self.path.rename(self.shift())
        if create:
            self.path.touch()

    def copytruncate(self, between: Callable[[], None] = nothing) -> None:
        shutil.copyfile(self.path, self.shift())
        between()
        os.truncate(self.path, 0)

    def pack(self, path: Path, between: Callable[[], None] = nothing, *, keep_time: bool = True) -> Path:
        """As gzip does: both files are there while it works."""
        status = path.stat()
        packed = path.with_name(path.name + ".gz")
        content = gzip.compress(path.read_bytes())
        packed.write_bytes(content[: len(content) // 2])
        between()
        packed.write_bytes(content)
        if keep_time:
            os.utime(packed, ns=(status.st_atime_ns, status.st_mtime_ns))
        between()
        path.unlink()
        return packed


@contextmanager
def before_system_call(count: int, move: Callable[[], None]) -> Iterator[list[bool]]:
    """Run `move` before the `count`-th system call of the block that looks at files; whether it came to that."""
    left = count
    moved: list[bool] = []

    def disturbed(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                moved.append(True)
                move()
            return call(*args, **kwargs)

        return wrapper

    with pytest.MonkeyPatch.context() as patch:
        for name in ("open", "pread", "fstat", "stat", "scandir"):
            patch.setattr(os, name, disturbed(getattr(os, name)))
        yield moved


def follow(path: Path, position: FileCheckpoint | None = None, *, read_bytes: int = 1 << 20) -> Follower:
    return Follower(str(path), position=position, start_at="beginning", max_line_bytes=LIMIT, read_bytes=read_bytes)


def read_all(follower: Follower) -> list[str]:
    """Step until there is nothing more to read, and a little longer."""
    lines: list[str] = []
    quiet = 0
    while quiet < 3:
        step = follower.step()
        lines += step.lines
        quiet = 0 if step.again else quiet + 1
    return lines
