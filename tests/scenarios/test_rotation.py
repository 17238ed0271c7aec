"""I14, as far as a replay shows it: how a log is cut and packed changes nothing."""

from __future__ import annotations

import gzip
from itertools import permutations
from pathlib import Path

import pytest

from tests.scenarios.harness import Case, all_cases, config_of, replay, write_logs
from tests.tools.loggen import Traditional

_FOLDER, _CASE = all_cases()["i14_rotation/whole"]
_ORDERS = list(permutations(range(4)))


def _cut(log: Path, pieces: int) -> list[Path]:
    """Cut a log at line breaks, as rotation does; pack every second piece. Returns the pieces, oldest first."""
    lines = log.read_bytes().splitlines(keepends=True)
    size = len(lines) // pieces + 1
    paths = []
    for number in range(pieces):
        data = b"".join(lines[number * size : (number + 1) * size])
        path = log.with_name(f"mail.log.{pieces - number}" + (".gz" if number % 2 else ""))
        path.write_bytes(gzip.compress(data) if number % 2 else data)
        paths.append(path)
    return paths


@pytest.mark.parametrize("style", ["rfc3339", "traditional"])
def test_a_rotated_log_gives_the_same_result_in_any_order(style: str, tmp_path: Path) -> None:
    scenario = _CASE.scenario.but(style=Traditional()) if style == "traditional" else _CASE.scenario
    case = Case(scenario, ("--year", "2026") if style == "traditional" else ())
    _, files = write_logs(case, tmp_path)
    config = config_of(_FOLDER, _CASE, tmp_path)
    whole = replay([*config, *files, *case.arguments])
    pieces = _cut(tmp_path / "mail.log", 4)
    assert whole[0]
    for order in (_ORDERS[5], _ORDERS[23]):
        named = [str(pieces[number]) for number in order]
        assert replay([*config, "--mail-log", *named, *case.arguments]) == whole


def test_a_log_read_event_by_event_gives_the_same_result_as_in_chunks(tmp_path: Path) -> None:
    _, files = write_logs(_CASE, tmp_path)
    config = config_of(_FOLDER, _CASE, tmp_path)
    whole = replay([*config, *files])
    # Two logs that overlap in time are merged line by line: here every second line is in the other file.
    lines = (tmp_path / "mail.log").read_bytes().splitlines(keepends=True)
    (tmp_path / "a.log").write_bytes(b"".join(lines[::2]))
    (tmp_path / "b.log").write_bytes(b"".join(lines[1::2]))
    assert replay([*config, "--mail-log", str(tmp_path / "b.log"), str(tmp_path / "a.log")]) == whole
