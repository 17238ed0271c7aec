"""Log files of the command line: bytes to lines, whatever the bytes are."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pwmtad.cli import log_files
from pwmtad.cli.log_files import UnreadableLogError, blocks, check_readable, holds, last_bytes, line_lists, split_lines

_DATA = st.lists(st.sampled_from([b"a", b"bc", b"\n", b"\r\n", b"\xff", "ü\u2028".encode(), b"\x85"]), max_size=60).map(
    b"".join
)


def _pieces(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    at = 0
    for size in sizes:
        yield data[at : at + size]
        at += size
    yield data[at:]


def _lines(data: bytes, sizes: list[int], limit: int = 1000) -> list[str]:
    return list(chain.from_iterable(split_lines((piece for piece in _pieces(data, sizes) if piece), limit)))


@settings(deadline=None)
@given(data=_DATA, sizes=st.lists(st.integers(1, 9), max_size=60))
def test_lines_are_the_same_however_the_bytes_come(data: bytes, sizes: list[int]) -> None:
    assert _lines(data, sizes) == _lines(data, [])


@settings(deadline=None)
@given(data=_DATA)
def test_a_line_ends_at_a_line_feed_and_nowhere_else(data: bytes) -> None:
    raw = data.split(b"\n")
    wanted = [line.removesuffix(b"\r").decode("utf-8", "replace") for line in raw]
    assert _lines(data, []) == (wanted if wanted[-1] else wanted[:-1])


@settings(deadline=None)
@given(sizes=st.lists(st.integers(1, 9), max_size=60))
def test_an_overlong_line_is_cut_and_counts_once(sizes: list[int]) -> None:
    data = b"first\n" + b"x" * 100 + b"\nlast\n"
    assert _lines(data, sizes, limit=10) == ["first", "x" * 10, "last"]


def test_a_hole_of_nuls_is_no_line(tmp_path: Path) -> None:
    log = tmp_path / "mail.log"
    log.write_bytes(b"one\n" + b"\0" * 5000 + b"two\n")
    assert list(line_lists(str(log))) == [["one", "two"]]


def test_gzip_is_known_by_its_content(tmp_path: Path) -> None:
    packed, plain = tmp_path / "mail.log.2", tmp_path / "mail.log.3.gz"
    packed.write_bytes(gzip.compress(b"one\ntwo"))
    plain.write_bytes(b"one\ntwo")
    for file in (packed, plain):
        assert list(chain.from_iterable(line_lists(str(file)))) == ["one", "two"]
        assert last_bytes(str(file)) == b"one\ntwo"


@pytest.mark.parametrize("name", ["mail.log", "mail.log.gz"])
def test_progress_adds_up_to_the_size_on_the_disk(name: str, tmp_path: Path) -> None:
    log = tmp_path / name
    data = os.urandom(3_000_000)
    log.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    told: list[int] = []
    assert b"".join(blocks(str(log), told.append)) == data
    assert sum(told) == log.stat().st_size
    assert len(told) > 1


def test_what_is_looked_for_is_found_across_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "mail.log"
    log.write_bytes(b"." * 13 + b"needle" + b"." * 20)
    for size in range(6, 20):
        monkeypatch.setattr(log_files, "BLOCK", size)
        assert holds(str(log), b"needle")
        assert not holds(str(log), b"needles")


def test_the_last_bytes_are_the_last_ones(tmp_path: Path) -> None:
    data = os.urandom(2_500_000)
    plain, packed = tmp_path / "a", tmp_path / "b"
    plain.write_bytes(data)
    packed.write_bytes(gzip.compress(data))
    for file in (plain, packed):
        tail = last_bytes(str(file))
        assert len(tail) >= 128 * 1024
        assert data.endswith(tail)


@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_a_damaged_gzip_file_is_told_by_its_name(damage: str, tmp_path: Path) -> None:
    log = tmp_path / "mail.log.2.gz"
    data = bytearray(gzip.compress(os.urandom(10_000)))
    if damage == "cut":
        del data[-3000:]
    else:
        data[5000] ^= 0xFF
    log.write_bytes(data)
    with pytest.raises(UnreadableLogError, match=r"cannot read .*mail\.log\.2\.gz: the gzip file is damaged or not complete"):
        list(blocks(str(log)))


def test_a_file_that_is_not_there_is_told_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(UnreadableLogError, match=r"cannot read .*nowhere: no such file or directory"):
        list(line_lists(str(tmp_path / "nowhere")))


def test_a_pipe_is_refused_where_a_file_is_read_twice(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = os.open(pipe, os.O_RDWR)  # else opening it to read would wait
    try:
        with pytest.raises(UnreadableLogError, match="no regular file"):
            check_readable(str(pipe))
    finally:
        os.close(writer)
