"""The player: pace, timestamps, stopping."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import pytest

from tests.tools.loggen import JOURNAL, MAIL_LOG, HostConfig
from tests.tools.play import FileSink, Player, Recorded, Sink, main, read_log, restamp
from tests.unit.tools.loggen_reading import busy_hours

NOW = 1_800_000_000.25


class Memory:
    """A sink that remembers, with the time of each line."""

    def __init__(self, clock: Clockwork) -> None:
        self.clock = clock
        self.lines: list[tuple[float, str]] = []

    def write(self, line: str) -> None:
        self.lines.append((self.clock.now, line))


class Clockwork:
    """A clock that stands still unless somebody waits; says stop when its time is over."""

    def __init__(self, ends: float = float("inf")) -> None:
        self.now = NOW
        self.ends = NOW + ends

    def read(self) -> float:
        return self.now

    def wait(self, delay: float) -> bool:
        self.now += delay
        return self.now >= self.ends


def play(recorded: list[Recorded], speed: float, ends: float = float("inf"), skip_s: float = 0.0) -> tuple[bool, Memory]:
    clock = Clockwork(ends)
    memory = Memory(clock)
    sinks: dict[int, Sink] = {MAIL_LOG: memory}
    return Player(sinks, speed, clock.read, clock.wait).play(recorded, skip_s), memory


def test_lines_keep_their_distance_divided_by_the_speed() -> None:
    finished, memory = play([(100.0, MAIL_LOG, "a"), (160.0, MAIL_LOG, "b"), (190.0, MAIL_LOG, "c")], speed=30)
    assert finished
    assert [round(when - NOW, 3) for when, _ in memory.lines] == [0.0, 2.0, 3.0]


def test_the_first_minutes_can_be_left_out() -> None:
    _, memory = play(
        [(0.0, MAIL_LOG, "a"), (None, MAIL_LOG, "x"), (600.0, MAIL_LOG, "b"), (None, MAIL_LOG, "y")], 60, skip_s=300
    )
    assert [(round(when - NOW, 3), line) for when, line in memory.lines] == [(5.0, "b"), (5.0, "y")]


def test_it_stops_between_two_lines_when_told_to() -> None:
    finished, memory = play([(0.0, MAIL_LOG, "a"), (60.0, MAIL_LOG, "b"), (600.0, MAIL_LOG, "c")], speed=60, ends=5)
    assert not finished
    assert [line for _, line in memory.lines] == ["a", "b"]


def test_timestamps_become_now_in_their_own_format() -> None:
    modern = restamp("2020-01-01T00:00:00.000001+00:00 mta postfix/qmgr[1]: x", MAIL_LOG, NOW, 0)
    assert datetime.fromisoformat(modern.split(" ")[0]).timestamp() == NOW
    assert modern.endswith(" mta postfix/qmgr[1]: x")
    old = restamp("Jan  1 00:00:00 mta postfix/qmgr[1]: x", MAIL_LOG, NOW, 0)
    assert old.endswith(" mta postfix/qmgr[1]: x")
    assert not old.startswith("Jan  1 00:00:00")
    assert restamp("no time at all", MAIL_LOG, NOW, 0) == "no time at all"


def test_journal_entries_get_a_new_time_and_cursors_stay_unique() -> None:
    entries = [line for _, line in busy_hours(count=30, host=HostConfig(opendkim_log="journal")).journal()]
    played = [json.loads(restamp(line, JOURNAL, NOW, number)) for number, line in enumerate(entries)]
    assert {entry["__REALTIME_TIMESTAMP"] for entry in played} == {"1800000000250000"}
    assert len({entry["__CURSOR"] for entry in played}) == len(entries)
    assert [entry["MESSAGE"] for entry in played] == [json.loads(line)["MESSAGE"] for line in entries]


def test_a_log_is_read_with_both_formats_over_a_year_end_and_with_hostile_line_breaks(tmp_path: Path) -> None:
    log = tmp_path / "mail.log"
    log.write_bytes(
        b"Dec 31 23:59:59 mta postfix/qmgr[1]: a\nJan  1 00:00:01 mta postfix/qmgr[1]: NEL \xc2\x85 LS \xe2\x80\xa8 bad \xff\n"
        b"not a line\n"
    )
    (first, _, _), (second, _, text), (third, _, rest) = read_log(log)
    assert first is not None
    assert second is not None
    assert 0 < second - first < 2 * 86_400
    assert text.encode("utf-8", "surrogateescape").endswith(b"LS \xe2\x80\xa8 bad \xff")
    assert (third, rest) == (None, "not a line")


def test_lines_are_appended_and_reach_the_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "mail.log"
    path.write_text("before\n")
    sink = FileSink(path)
    sink.write("one")
    assert path.read_text() == "before\none\n"
    sink.close()


def test_after_a_rotation_the_new_file_is_written(tmp_path: Path) -> None:
    path = tmp_path / "mail.log"
    sink = FileSink(path)
    sink.write("old")
    path.rename(tmp_path / "mail.log.1")
    sink.stale = True
    sink.write("new")
    sink.close()
    assert path.read_text() == "new\n"
    assert (tmp_path / "mail.log.1").read_text() == "old\n"


def test_a_whole_log_is_played_to_its_end(tmp_path: Path) -> None:
    source, target = tmp_path / "recorded.log", tmp_path / "live.log"
    lines = [line for _, line in busy_hours(count=20).mail_log()]
    source.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    assert main(["--log", str(source), "--to", str(target), "--speed", "1e9"]) == 0
    played = target.read_text(encoding="utf-8").splitlines()
    assert [line.split(" ", 1)[1] for line in played] == [line.split(" ", 1)[1] for line in lines]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_with_whole_lines(tmp_path: Path, number: signal.Signals) -> None:
    target, journal = tmp_path / "live.log", tmp_path / "journal"
    command = [sys.executable, "-m", "tests.tools.play", "--scenario", "corpus", "--to", str(target)]
    root = Path(__file__).parents[3]
    process = subprocess.Popen(
        [*command, "--journal-to", str(journal), "--speed", "1", "--loop"], cwd=root, env=os.environ | {"PYTHONPATH": "."}
    )
    try:
        deadline = time.monotonic() + 60
        while not (target.exists() and target.stat().st_size > 1000) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(number)
        assert process.wait(timeout=20) == 0
    finally:
        process.kill()
        process.wait()
    assert target.read_bytes().endswith(b"\n")
    assert all(json.loads(line)["_SYSTEMD_UNIT"] == "opendkim.service" for line in journal.read_text().splitlines())
