"""The runbook has a section for each rule and a row for all that can be unknown; docs/cli.md names each kind of record."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from pwmtad.core import acts, egress_health, excluded, halts, judge, leaks, unknown
from pwmtad.model.judgement import RecordKind
from tests.unit.config.test_stop_rules import shipped

DOCS = Path(__file__).parents[3] / "docs"
RUNBOOK = (DOCS / "RUNBOOK.md").read_text(encoding="utf-8")
MODULES = (acts, egress_health, excluded, halts, judge, leaks)
BUILT_IN = sorted(
    {value for module in MODULES for name, value in vars(module).items() if name.endswith("_RULE") and isinstance(value, str)}
)
CODES = sorted({*re.findall(r'yield "([a-z_]+)"', inspect.getsource(unknown)), judge.START_CODE, "postfix_unreadable"})


@pytest.mark.parametrize("rule", [*shipped(), *BUILT_IN])
def test_each_rule_has_its_section(rule: str) -> None:
    assert re.search(rf"^### (?:[A-Z]+ )?{rule}$", RUNBOOK, re.MULTILINE)


@pytest.mark.parametrize("kind", RecordKind)
def test_each_kind_of_record_is_named(kind: RecordKind) -> None:
    rows = [line for line in (DOCS / "cli.md").read_text(encoding="utf-8").split("\n") if line.startswith("| `kind` |")]
    assert len(rows) == 1
    assert f"`{kind.value}`" in rows[0]


@pytest.mark.parametrize("code", CODES)
def test_each_unknown_has_its_row(code: str) -> None:
    assert f"| `{code}` |" in RUNBOOK
