"""The runbook has a section for everything that can halt, and a row for everything that can be unknown."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from pwmtad.core import judge, unknown
from tests.unit.config.test_stop_rules import shipped

RUNBOOK = (Path(__file__).parents[3] / "docs" / "RUNBOOK.md").read_text(encoding="utf-8")
BUILT_IN = [value for name, value in vars(judge).items() if name.endswith("_RULE") and isinstance(value, str)]
CODES = sorted({*re.findall(r'yield "([a-z_]+)"', inspect.getsource(unknown)), judge.START_CODE, "postfix_unreadable"})


@pytest.mark.parametrize("rule", [*shipped(), *BUILT_IN])
def test_each_rule_has_its_section(rule: str) -> None:
    assert re.search(rf"^### (?:[A-Z]+ )?{rule}$", RUNBOOK, re.MULTILINE)


@pytest.mark.parametrize("code", CODES)
def test_each_unknown_has_its_row(code: str) -> None:
    assert f"| `{code}` |" in RUNBOOK
