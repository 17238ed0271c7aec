"""`pwmtad plan`: the ladders of the coming days, from the configuration alone."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pwmtad.cli.plan import ladder_rows
from pwmtad.config import Settings, load_settings
from pwmtad.daemon.clock import wall_clock
from pwmtad.model.names import StreamName
from tests.unit.cli.daemon_face import run, words

DAY = 86_400
TODAY = int(wall_clock() // DAY) * DAY


@pytest.fixture(autouse=True)
def noon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A midnight may come between the import of this module and its tests."""
    monkeypatch.setattr("pwmtad.cli.plan.wall_clock", lambda: TODAY + 43_200.0)


CONFIG = """
[streams.trucking]
egresses = ["out05", "out06", "out07", "out08", "out09", "out10", "out11", "out12"]
retired = ["out05"]
pool = true
{start}
[streams.healthcare]
egresses = ["hc1", "hc2"]
ceiling_per_day = 1000
warmup.start = 2026-06-02T00:00:00Z
"""


def _config(folder: Path, start: str) -> str:
    path = folder / "pwmtad.toml"
    path.write_text(CONFIG.format(start=start))
    return str(path)


def _began(days_ago: int) -> str:
    return f"warmup.start = {datetime.fromtimestamp(TODAY - days_ago * DAY, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _settings(start: str) -> Settings:
    settings = load_settings(CONFIG.format(start=start).encode(), file="pwmtad.toml")
    assert isinstance(settings, Settings)
    return settings


def test_the_ladder_of_thirty_days_is_shown_with_the_egresses_that_join(tmp_path: Path) -> None:
    result = run("plan", "-c", _config(tmp_path, _began(0)))
    assert result.exit_code == 0
    told = words(result.stdout)
    first = f"{datetime.fromtimestamp(TODAY, UTC):%Y-%m-%d} 0 50 4,000 3 out06 out07 out08"
    assert first in told
    day_4 = f"{datetime.fromtimestamp(TODAY + 4 * DAY, UTC):%Y-%m-%d} 4 250 4,000 5 out09 out10"
    assert day_4 in told
    assert "out05" not in told
    assert len([line for line in result.stdout.splitlines() if " 4,000 " in line]) == 30


def test_a_stream_with_fixed_egresses_has_no_pool_to_grow(tmp_path: Path) -> None:
    result = run("plan", "-c", _config(tmp_path, _began(0)), "--days", "1")
    assert "300 1,000 fixed hc1 hc2" in words(result.stdout)


def test_json_is_one_object_per_stream_and_day(tmp_path: Path) -> None:
    result = run("plan", "-c", _config(tmp_path, _began(3)), "--days", "2", "--json")
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(row["stream"], row["warmup_day"]) for row in rows][:2] == [("trucking", 3), ("trucking", 4)]
    assert rows[1] == {
        "stream": "trucking",
        "date": f"{datetime.fromtimestamp(TODAY + DAY, UTC):%Y-%m-%d}",
        "warmup_day": 4,
        "window_per_hour": 250,
        "ceiling_per_day": 4000,
        "pool_size": 5,
        "egresses": ["out06", "out07", "out08", "out09", "out10"],
    }
    assert rows[2]["pool_size"] is None


def test_a_start_that_can_not_be_read_is_exit_code_2_and_the_other_streams_are_shown(tmp_path: Path) -> None:
    result = run("plan", "-c", _config(tmp_path, f'warmup.start_file = "{tmp_path}/none"'))
    assert result.exit_code == 2
    assert result.stderr == f"trucking: can't read {tmp_path}/none: No such file or directory\n"
    assert "Ladder of healthcare" in result.stdout


def test_a_stamp_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "stamp").write_text(f"{TODAY - 7 * DAY}\n")
    result = run("plan", "-c", _config(tmp_path, f'warmup.start_file = "{tmp_path}/stamp"'), "--days", "1", "--json")
    assert json.loads(result.stdout.splitlines()[0])["warmup_day"] == 7


def test_a_warmup_that_begins_later_says_so(tmp_path: Path) -> None:
    result = run("plan", "-c", _config(tmp_path, _began(-60)))
    assert "the warmup begins later" in result.stdout


def test_a_configuration_with_mistakes_is_exit_code_1(tmp_path: Path) -> None:
    result = run("plan", "-c", _config(tmp_path, "warmup.start = 5"))
    assert (result.exit_code, result.stdout) == (1, "")
    assert "warmup.start" in result.stderr


@pytest.mark.parametrize("hour", [0, 11, 23])
def test_the_row_of_a_day_tells_what_that_day_leads_to(hour: int) -> None:
    start = TODAY - 2 * DAY + hour * 3600.0
    stream = _settings(_began(0)).streams[StreamName("trucking")]
    rows = list(ladder_rows("trucking", stream, start, TODAY + 12 * 3600.0, 3))
    assert [row["warmup_day"] for row in rows] == [2, 3, 4]
    assert [row["window_per_hour"] for row in rows] == [150, 150, 250]
