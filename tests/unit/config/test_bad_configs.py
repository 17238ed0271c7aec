"""Each file in bad/ is a mistake somebody can make; beside it stands what they are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from pwmtad.config import load_settings
from pwmtad.model.errors import ConfigError

BAD = Path(__file__).parent / "bad"
CASES = sorted(path.stem for path in BAD.glob("*.toml"))


def told(data: bytes) -> str:
    """Return the mistakes as the .expected files hold them: one paragraph each."""
    mistakes = load_settings(data, file="bad.toml")
    assert isinstance(mistakes, tuple)
    return "\n".join(paragraph(mistake) for mistake in mistakes)


def paragraph(mistake: ConfigError) -> str:
    assert mistake.file == "bad.toml"
    hint = f"  hint: {mistake.hint}\n" if mistake.hint else ""
    return f"{mistake.path}\n  found: {mistake.found}\n  expected: {mistake.expected}\n{hint}"


@pytest.mark.parametrize("case", CASES)
def test_a_bad_file_is_told_all_its_mistakes(case: str) -> None:
    expected = (BAD / f"{case}.expected").read_text(encoding="utf-8")
    assert told((BAD / f"{case}.toml").read_bytes()) == expected


@pytest.mark.parametrize("case", CASES)
def test_no_mistake_shows_a_secret_or_a_control_character(case: str) -> None:
    text = told((BAD / f"{case}.toml").read_bytes())
    assert "hunter2" not in text
    assert text.replace("\n", "").isprintable()


def test_every_expectation_has_its_file_and_there_are_many() -> None:
    assert sorted(path.stem for path in BAD.glob("*.expected")) == CASES
    assert len(CASES) >= 25
