"""Log files given on the command line: plain or gzip, in any order, as lines with their bytes counted."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, BinaryIO, Final, cast

_CHUNK: Final = 1 << 20
_MAX_LINE: Final = 64 * 1024
"""A longer line is cut, as the daemon does."""


def open_log(file: str) -> BinaryIO:
    """Open a log for reading bytes; `-` is standard input, `.gz` is unpacked."""
    if file == "-":
        return sys.stdin.buffer
    if file.endswith(".gz"):
        return cast("BinaryIO", gzip.open(file, "rb"))
    return Path(file).open("rb")


def chunks(stream: IO[bytes], on_bytes: Callable[[int], None] | None = None) -> Iterator[list[str]]:
    """Yield lists of whole lines without their line breaks, split on LF only: some replies hold U+2028.

    Memory is bounded: of a line beyond 64 KiB only the beginning is kept. `on_bytes` is told of bytes read.
    """
    rest = b""
    cutting = False
    while data := stream.read(_CHUNK):
        if on_bytes is not None:
            on_bytes(len(data))
        if cutting:
            end = data.find(b"\n")
            if end < 0:
                continue
            data, cutting = data[end + 1 :], False
        head, found, tail = (rest + data).rpartition(b"\n")
        rest = tail
        if found:
            yield _lines(head)
        if len(rest) > _MAX_LINE:
            yield _lines(rest[:_MAX_LINE])
            rest, cutting = b"", True
    if rest:
        yield _lines(rest)


def _lines(head: bytes) -> list[str]:
    lines = head.decode("utf-8", "replace").split("\n")
    return [line.removesuffix("\r") for line in lines] if b"\r" in head else lines
