from __future__ import annotations

from pathlib import Path

import pytest

from tests.scenarios.harness import (
    FOLDER,
    all_cases,
    check_counts,
    check_expected,
    check_halts,
    expected_of,
    run_case,
)

_CASES = all_cases()


@pytest.mark.parametrize("name", _CASES)
def test_a_replay_counts_what_was_logged_and_decides_what_must_follow(name: str, tmp_path: Path) -> None:
    folder, case = _CASES[name]
    outcome = run_case(folder, case, tmp_path)
    check_counts(outcome)
    check_halts(outcome)
    check_expected(outcome, expected_of(folder)[name.partition("/")[2]])
    if case.check is not None:
        case.check(outcome)


def test_every_case_has_its_expectations_and_every_folder_tells_what_happened() -> None:
    cases: dict[str, set[str]] = {}
    for name in _CASES:
        folder, _, case = name.partition("/")
        cases.setdefault(folder, set()).add(case)
    assert {folder: set(expected_of(folder)) for folder in cases} == cases
    assert all((FOLDER / folder / "README.md").read_text(encoding="utf-8").strip() for folder in cases)
