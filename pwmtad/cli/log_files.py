"""Log files given on the command line: plain or gzip, read in blocks, split into lines as the daemon splits them.

In: bytes to lines, and sentences for what can't be read. Out: what a line means, and the order of several files (log_order).
"""

from __future__ import annotations

import gzip
import os
import stat
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from io import BufferedReader, RawIOBase
from pathlib import Path
from typing import Final, cast

from pwmtad.adapters.tail.lines import is_inside_line, take_lines, unfinished
from pwmtad.cli.check_config import why_unreadable
from pwmtad.model.errors import PwmtadError

STDIN: Final = "-"
BLOCK: Final = 1 << 20
"""Bytes read at once. Own choice: enough that the calls cost nothing, little beside the memory of everything else."""
MAX_LINE: Final = 64 * 1024
"""Bytes; a longer line is cut, as the daemon does (the default of log.max_line_bytes)."""
_GZIP: Final = b"\x1f\x8b"
"""How a gzip file begins (RFC 1952 2.3.1); its name may be anything."""


class UnreadableLogError(PwmtadError):
    """A log can't be read, or not to its end; the text names it and says why."""


def check_readable(file: str) -> None:
    """Raise UnreadableLogError unless `file` is a regular file that can be opened: a pipe can be read only once."""
    with _sentences(file), Path(file).open("rb") as opened:
        if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
            raise UnreadableLogError(f"cannot read {file}: it is no regular file, and a replay reads it more than once")


def blocks(file: str, on_bytes: Callable[[int], None] | None = None) -> Iterator[bytes]:
    """Yield what `file` holds, unpacked if it is gzip; `-` is standard input. Raises UnreadableLogError.

    `on_bytes` is told of the bytes taken from the disk, which add up to the file's size.
    """
    with _sentences(file), _opened(file) as raw:
        stream = gzip.GzipFile(fileobj=raw) if raw.peek(2)[:2] == _GZIP else raw
        read = stream.read1 if file == STDIN else stream.read  # a pipe that goes on is read as it comes
        before = 0
        while block := read(BLOCK):
            if on_bytes is not None:
                at = raw.tell()
                on_bytes(at - before)
                before = at
            yield block


def line_lists(file: str, on_bytes: Callable[[int], None] | None = None) -> Iterator[list[str]]:
    """Yield what a file holds as lists of lines, see `split_lines`. Raises UnreadableLogError."""
    return split_lines(blocks(file, on_bytes))


def split_lines(data: Iterable[bytes], limit: int = MAX_LINE) -> Iterator[list[str]]:
    """Yield lists of whole lines without their line breaks, however the data is cut; the last one may lack its line break.

    Lines end at LF only: some replies hold U+2028. Memory is bounded: of a line beyond `limit` bytes the beginning is kept.
    """
    rest = b""
    inside = False
    for block in data:
        rest += block
        taken = take_lines(rest, limit, inside=inside)
        if taken.consumed:
            inside = is_inside_line(rest[: taken.consumed])
        rest = rest[taken.consumed :]
        if taken.lines:
            yield taken.lines
    last = unfinished(rest)
    if last:
        yield [last]


def holds(file: str, needle: bytes) -> bool:
    """Whether a file holds `needle`, which has no line break. Raises UnreadableLogError."""
    before = b""
    for block in blocks(file):
        if needle in before + block:
            return True
        before = block[-len(needle) :]
    return False


def last_bytes(file: str) -> bytes:
    """Return the last bytes of a file, at least 128 KiB if it has so many. Raises UnreadableLogError."""
    with _sentences(file), Path(file).open("rb") as opened:
        if opened.peek(2)[:2] != _GZIP:
            opened.seek(max(0, os.fstat(opened.fileno()).st_size - 2 * MAX_LINE))
            return opened.read()
    before = last = b""
    for block in blocks(file):
        before, last = last, block
    return (before + last)[-2 * MAX_LINE :]


def size_of(file: str) -> int:
    """Return a file's size on the disk in bytes; 0 if it is gone."""
    try:
        return os.path.getsize(file)
    except OSError:
        return 0


@contextmanager
def _opened(file: str) -> Iterator[BufferedReader]:
    if file != STDIN:
        with Path(file).open("rb") as opened:
            yield opened
        return
    # Its own buffer would wait until it is full.
    reader: BufferedReader = BufferedReader(cast("RawIOBase", getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)))
    try:
        yield reader
    finally:
        reader.detach()  # standard input is not ours to close


@contextmanager
def _sentences(file: str) -> Iterator[None]:
    """Turn what reading raises into a sentence that names the file."""
    try:
        yield
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UnreadableLogError(f"cannot read {file}: the gzip file is damaged or not complete ({error})") from error
    except OSError as error:
        raise UnreadableLogError(f"cannot read {file}: {why_unreadable(Path(file), error)}") from error
