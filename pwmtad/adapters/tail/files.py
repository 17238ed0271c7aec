"""Open log files, plain or packed by gzip, read at offsets of their (uncompressed) content, and told apart by content."""

from __future__ import annotations

import errno
import gzip
import os
import stat
import zlib
from enum import Enum, auto
from typing import Final, NamedTuple, TypeAlias

from pwmtad.model.sources import FileCheckpoint

FINGERPRINT_BYTES: Final = 256
"""Of head and tail each. A syslog line is 100 to 300 bytes and starts with a time stamp and a pid: nearly a whole line."""
_SKIP_BYTES: Final = 1 << 20


class Identity(NamedTuple):
    """Which file it is, as long as it exists; the file system may give the number of a deleted file to a new one."""

    device: int
    inode: int


class DamagedFileError(Exception):
    """A packed file can't be unpacked (further)."""


class Match(Enum):
    """How a file's content compares with a checkpoint."""

    SAME = auto()
    """Head and tail are there: it is the file that was read, or a copy of it."""
    SHORT = auto()
    """The head is the same, but the content ends before the offset: a copy made before the last lines were written."""
    CHANGED = auto()
    """The head is the same, the bytes before the offset are not: the end of the file was lost, or it was edited."""
    OTHER = auto()
    """Another file, or nothing to compare."""


class PlainFile:
    """A log file held open, so that rename and deletion don't matter."""

    def __init__(self, path: str) -> None:
        self.path = path
        # O_NONBLOCK: to open a FIFO would wait for its writer; regular files don't know it.
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        status = os.fstat(self._fd)
        if not stat.S_ISREG(status.st_mode):
            os.close(self._fd)
            raise OSError(errno.EINVAL, "not a regular file", path)
        self.identity = Identity(status.st_dev, status.st_ino)

    def read_at(self, offset: int, size: int) -> bytes:
        """At most `size` bytes; fewer only at the end of the file."""
        return os.pread(self._fd, size, offset)

    def size(self) -> int:
        """Bytes of content now."""
        return os.fstat(self._fd).st_size

    def status(self) -> os.stat_result:
        """Of the open file, whatever its name is now."""
        return os.fstat(self._fd)

    def close(self) -> None:
        """Let go. Once."""
        os.close(self._fd)


class PackedFile:
    """A rotated log file packed by gzip. Meant to be read forwards: going back unpacks from the start again."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._raw = open(path, "rb")  # noqa: SIM115 closed by close()
        self._stream = gzip.GzipFile(fileobj=self._raw)
        status = self.status()
        self.identity = Identity(status.st_dev, status.st_ino)
        self._start = 0
        self._kept = b""

    def read_at(self, offset: int, size: int) -> bytes:
        """As `PlainFile.read_at`. Raises DamagedFileError."""
        try:
            self._go_to(offset)
            while len(self._kept) < size and (piece := self._stream.read(size - len(self._kept))):
                self._kept += piece
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DamagedFileError(f"{self.path}: {error}") from error
        return self._kept[:size]

    def _go_to(self, offset: int) -> None:
        if offset < self._start:
            self._stream.seek(0)
            self._start, self._kept = 0, b""
        while (end := self._start + len(self._kept)) < offset:
            piece = self._stream.read(min(_SKIP_BYTES, offset - end))
            if not piece:
                break
            self._start, self._kept = end, piece
        # A position beyond the end stays where it is, with nothing behind it.
        self._kept = self._kept[offset - self._start :]
        self._start = offset

    def size(self) -> int:
        """Bytes of content: unpacks all of it. Raises DamagedFileError."""
        end = 0
        while piece := self.read_at(end, _SKIP_BYTES):
            end += len(piece)
        return end

    def status(self) -> os.stat_result:
        """Of the packed file."""
        return os.fstat(self._raw.fileno())

    def close(self) -> None:
        """Let go. Once."""
        self._stream.close()
        self._raw.close()


LogFile: TypeAlias = PlainFile | PackedFile


def open_log(path: str) -> LogFile:
    """Open by the look of the name. Raises OSError."""
    return PackedFile(path) if path.endswith(".gz") else PlainFile(path)


def match(file: LogFile, mark: FileCheckpoint) -> Match:
    """Compare by content alone. Without a head (offset 0) nothing can be compared: OTHER. Raises DamagedFileError."""
    start = mark.offset - len(mark.tail)
    if not mark.head or start < 0 or file.read_at(0, len(mark.head)) != mark.head:
        return Match.OTHER
    tail = file.read_at(start, len(mark.tail))
    if tail == mark.tail:
        return Match.SAME
    if not mark.head.strip(b"\0"):
        return Match.OTHER  # the hole that truncation leaves under a writer without O_APPEND: all of them look alike
    return Match.SHORT if len(tail) < len(mark.tail) else Match.CHANGED
