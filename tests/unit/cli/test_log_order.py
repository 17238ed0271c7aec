"""Which file comes first, and the year of timestamps that tell none."""

from __future__ import annotations

import gzip
import json
import os
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pwmtad.cli.log_order import LogFile, in_order, is_sequence, year_of

_NOW = datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp()


def _at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def _write(folder: Path, name: str, *stamps: str, written: str = "2026-11-24T12:00:00", packed: bool = False) -> str:
    """A file with a line for each timestamp, last written then."""
    path = folder / name
    data = "".join(f"{stamp} mta postfix/qmgr[1]: {name}: removed\n" for stamp in stamps).encode()
    path.write_bytes(gzip.compress(data) if packed else data)
    os.utime(path, (_at(written), _at(written)))
    return str(path)


def _order(*paths: str, year: int | None = None, zone: str = "UTC") -> tuple[LogFile, ...]:
    notes: list[str] = []
    return in_order(paths, zone=ZoneInfo(zone), now=_NOW, year=year, on_note=notes.append)


def _names(files: tuple[LogFile, ...]) -> list[str]:
    return [Path(file.path).name for file in files]


def test_files_come_in_the_order_of_their_first_lines(tmp_path: Path) -> None:
    paths = [
        _write(tmp_path, "c", "2026-03-03T00:00:00.000001+00:00", "2026-03-04T00:00:00.000001+00:00"),
        _write(tmp_path, "a", "2026-03-01T23:00:00.000001-05:00"),
        _write(tmp_path, "b", "garbage", "2026-03-02T12:00:00Z", packed=True),
    ]
    for order in permutations(paths):
        files = _order(*order)
        assert _names(files) == ["a", "b", "c"]
        assert is_sequence(files)
        assert files[2].last == _at("2026-03-04T00:00:00") + 0.000001


def test_files_without_any_time_come_last(tmp_path: Path) -> None:
    empty, words = tmp_path / "empty", tmp_path / "words"
    empty.write_bytes(b"")
    words.write_bytes(b"no log at all\n\x00\xff\n")
    log = _write(tmp_path, "log", "2026-03-01T00:00:00Z")
    files = _order(str(empty), str(words), log)
    assert _names(files) == ["log", "empty", "words"]
    assert [file.first for file in files[1:]] == [None, None]
    assert is_sequence(files)


@pytest.mark.parametrize("packed", [False, True])
def test_the_year_of_the_first_line_leads_over_new_year(packed: bool, tmp_path: Path) -> None:
    december = _write(tmp_path, "december", "Dec 24 00:00:00", "Dec 31 23:59:59", packed=packed)
    january = _write(tmp_path, "january", "Jan  1 00:00:00", "Jan  7 00:00:00", packed=packed)
    for order in permutations([december, january]):
        files = _order(*order, year=2019)
        assert _names(files) == ["december", "january"]
        assert [file.year for file in files] == [2019, 2020]
        assert files[1].first == _at("2020-01-01T00:00:00")
        assert is_sequence(files)


def test_a_file_that_crosses_new_year_is_followed_by_one_of_the_new_year(tmp_path: Path) -> None:
    paths = [
        _write(tmp_path, "b", "Dec 28 00:00:00", "Jan  3 00:00:00"),
        _write(tmp_path, "a", "Dec 20 00:00:00", "Dec 27 23:00:00"),
        _write(tmp_path, "c", "Jan  3 00:00:01", "Jan  9 00:00:00"),
    ]
    for order in permutations(paths):
        files = _order(*order, year=2019)
        assert [(Path(file.path).name, file.year) for file in files] == [("a", 2019), ("b", 2019), ("c", 2020)]
        assert files[1].last == _at("2020-01-03T00:00:00")
        assert is_sequence(files)


@settings(deadline=None)
@given(data=st.data(), begin=st.integers(0, 364), spans=st.lists(st.integers(1, 40), min_size=1, max_size=7))
def test_any_files_of_less_than_a_year_in_any_order_get_their_years(
    data: st.DataObject, begin: int, spans: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Each file covers some days, the next one begins where it ended; together they leave a gap on the circle of the year."""
    folder = tmp_path_factory.mktemp("logs")
    day = datetime(2018, 1, 1, tzinfo=UTC) + timedelta(days=begin)
    wanted, paths = [], []
    for number, span in enumerate(spans):
        end = day + timedelta(days=span, seconds=-1)
        paths.append(_write(folder, str(number), f"{day:%b} {day.day:2d} 00:00:00", f"{end:%b} {end.day:2d} 23:59:59"))
        wanted.append((str(number), day.timestamp(), end.timestamp()))
        day += timedelta(days=span)
    year = datetime.fromtimestamp(wanted[0][1], UTC).year
    files = _order(*data.draw(st.permutations(paths)), year=year)
    assert [(Path(file.path).name, file.first, file.last) for file in files] == wanted
    assert is_sequence(files)


def test_eleven_months_and_december_are_one_year(tmp_path: Path) -> None:
    december = _write(tmp_path, "december", "Dec  1 00:00:01", "Dec  5 00:00:00")
    most = _write(tmp_path, "most", "Jan  1 00:00:00", "Nov 30 23:59:59")
    files = _order(december, most, year=2019)
    assert [(Path(file.path).name, file.year) for file in files] == [("most", 2019), ("december", 2019)]


def test_a_29_february_is_a_day_of_the_circle(tmp_path: Path) -> None:
    files = _order(_write(tmp_path, "log", "Feb 29 00:00:00", "Mar  2 00:00:00"), year=2024)
    assert files[0].first == _at("2024-02-29T00:00:00")


def test_without_a_year_the_time_of_the_last_write_tells_it(tmp_path: Path) -> None:
    # Read line by line, November would be of 2026 and December of 2025.
    autumn = _write(tmp_path, "autumn", "Nov  1 00:00:00", "Dec 31 00:00:00", written="2024-12-31T00:00:01")
    winter = _write(tmp_path, "winter", "Dec 31 00:00:01", "Jan  9 00:00:00", written="2025-01-09T00:00:01")
    files = _order(winter, autumn)
    assert [(Path(file.path).name, file.year) for file in files] == [("autumn", 2024), ("winter", 2024)]
    assert files[1].last == _at("2025-01-09T00:00:00")


def test_a_copy_that_was_written_today_is_at_most_a_year_old(tmp_path: Path) -> None:
    files = _order(_write(tmp_path, "copy", "Nov  1 00:00:00", "Dec 31 00:00:00"))
    assert (files[0].first, files[0].year) == (_at("2025-11-01T00:00:00"), 2025)


def test_a_format_that_changed_within_a_file_tells_the_year_of_the_rest(tmp_path: Path) -> None:
    old = _write(tmp_path, "old", "Nov  1 00:00:00", "2023-12-05T00:00:00Z")
    new = _write(tmp_path, "new", "2022-11-01T00:00:00Z", "Jan  5 00:00:00", written="2023-01-05T01:00:00")
    assert [(file.first, file.year) for file in _order(old)] == [(_at("2023-11-01T00:00:00"), 2023)]
    assert [(file.last, file.year) for file in _order(new)] == [(_at("2023-01-05T00:00:00"), 2022)]


def test_traditional_timestamps_are_of_the_zone_that_was_given(tmp_path: Path) -> None:
    files = _order(_write(tmp_path, "log", "Mar  1 01:00:00"), year=2026, zone="Europe/Berlin")
    assert files[0].first == _at("2026-03-01T00:00:00")


def test_a_file_given_twice_is_read_once_and_so_is_its_packed_copy(tmp_path: Path) -> None:
    plain = _write(tmp_path, "mail.log.1", "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z")
    packed = tmp_path / "mail.log.1.gz"
    packed.write_bytes(gzip.compress(Path(plain).read_bytes()))
    notes: list[str] = []
    files = in_order([plain, plain, str(packed)], zone=UTC, now=_NOW, year=None, on_note=notes.append)
    assert _names(files) == ["mail.log.1"]
    assert notes == [f"{path} holds the same lines as {plain}: read once" for path in (plain, packed)]


def test_logs_of_the_same_time_are_no_sequence(tmp_path: Path) -> None:
    one = _write(tmp_path, "one", "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z")
    other = _write(tmp_path, "other", "2026-03-01T12:00:00Z", "2026-03-03T00:00:00Z")
    assert not is_sequence(_order(one, other))


def test_lines_that_rotation_put_out_of_order_by_seconds_are_a_sequence(tmp_path: Path) -> None:
    one = _write(tmp_path, "one", "2026-03-01T00:00:00Z", "2026-03-02T00:00:07Z")
    other = _write(tmp_path, "other", "2026-03-02T00:00:00Z")
    assert is_sequence(_order(one, other))


def test_a_journal_is_known_by_its_first_line(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    entry = {"__CURSOR": "s=1", "__REALTIME_TIMESTAMP": "1772409600000000", "SYSLOG_IDENTIFIER": "opendkim", "MESSAGE": "x"}
    journal.write_text(json.dumps(entry) + "\n", encoding="utf-8")
    (file,) = _order(str(journal), year=1999)
    assert (file.is_journal, file.first, file.last) == (True, 1772409600.0, 1772409600.0)
    assert not _order(_write(tmp_path, "log", "2026-03-01T00:00:00Z"))[0].is_journal


def test_the_year_of_one_file_needs_no_look_at_its_end_where_its_begin_tells_it(tmp_path: Path) -> None:
    zone = ZoneInfo("UTC")
    log = _write(tmp_path, "log", "2021-03-01T00:00:00Z", "Mar  2 00:00:00")
    assert year_of(log, zone=zone, now=_NOW) == 2021
    assert year_of(_write(tmp_path, "old", "Dec 24 00:00:00"), zone=zone, now=_NOW) == 2025
    assert year_of(_write(tmp_path, "none", "garbage"), zone=zone, now=_NOW) is None
