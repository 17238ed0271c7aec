"""Which files lie beside a log, and in which order."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pwmtad.adapters.tail.rotated import siblings


def make(directory: Path, *names: str) -> Path:
    """Each a second younger than the one before."""
    for at, name in enumerate(names):
        (directory / name).write_text(name)
        os.utime(directory / name, (1_700_000_000 + at, 1_700_000_000 + at))
    return directory / "mail.log"


def listed(path: Path) -> list[str]:
    return [os.path.basename(entry.path) for entry in siblings(str(path))]


def test_numbered_files_come_highest_first_whatever_their_times_say(tmp_path: Path) -> None:
    path = make(tmp_path, "mail.log.1", "mail.log.2.gz", "mail.log.10.gz", "mail.log")
    assert listed(path) == ["mail.log.10.gz", "mail.log.2.gz", "mail.log.1"]


@pytest.mark.parametrize(
    "names",
    [
        ["mail.log-20261130.gz", "mail.log-20261201", "mail.log-20270101"],
        ["mail.log-2026112403.gz", "mail.log-2026112404"],
        ["mail.log.20261124-025938.gz", "mail.log.20261125-000001"],  # as `postfix logrotate` does
        ["mail.log-1795489200", "mail.log-1795575600"],
    ],
)
def test_dated_files_come_by_date_whatever_their_times_say(tmp_path: Path, names: list[str]) -> None:
    path = make(tmp_path, *reversed(names))
    assert listed(path) == names


def test_files_of_both_kinds_come_by_time(tmp_path: Path) -> None:
    path = make(tmp_path, "mail.log.2.gz", "mail.log.1", "mail.log-20261201", "mail.log-20261202.gz")
    assert listed(path) == ["mail.log.2.gz", "mail.log.1", "mail.log-20261201", "mail.log-20261202.gz"]


def test_while_gzip_works_only_the_plain_file_counts(tmp_path: Path) -> None:
    path = make(tmp_path, "mail.log.1", "mail.log.1.gz", "mail.log.2.gz")
    assert listed(path) == ["mail.log.2.gz", "mail.log.1"]


def test_other_logs_are_not_siblings(tmp_path: Path) -> None:
    path = make(tmp_path, "mail.log", "mail.logger", "mail.log2", "syslog.1", "mail.err.1", "old-mail.log.1")
    (tmp_path / "mail.log.d").mkdir()
    (tmp_path / "mail.log.3").symlink_to("nowhere")
    assert listed(path) == []


def test_somebodys_copy_is_not_one_of_the_rotated_files(tmp_path: Path) -> None:
    path = make(tmp_path, "mail.log.1", "mail.log.bak", "mail.log.1.swp", "mail.log.offset", "mail.log-old")
    assert [os.path.basename(entry.path) for entry in siblings(str(path)) if entry.rotated] == ["mail.log.1"]


def test_what_is_packed_by_something_else_is_not_readable(tmp_path: Path) -> None:
    path = make(tmp_path, "mail.log.4.zst", "mail.log.3.xz", "mail.log.2.gz", "mail.log.1")
    assert [(entry.number, entry.readable) for entry in siblings(str(path))] == [
        (4, False),
        (3, False),
        (2, True),
        (1, True),
    ]
