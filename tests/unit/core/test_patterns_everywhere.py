"""What every regular expression of the program must bear: the oldest Python that Debian ships it with."""

from __future__ import annotations

import importlib
import pkgutil
import re

import pytest

import pwmtad.core
from pwmtad.adapters.config_files import load_rules_or_fail

POSSESSIVE = re.compile(r"(?<!\\)[*+?}]\+|\(\?>")


def patterns() -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = [
        (rule.id, rule.pattern) for rule in load_rules_or_fail(()).rules if rule.pattern is not None
    ]
    for module in pkgutil.iter_modules(pwmtad.core.__path__):
        names = vars(importlib.import_module(f"pwmtad.core.{module.name}"))
        values = [(f"{module.name}.{name}", value.pattern) for name, value in names.items() if isinstance(value, re.Pattern)]
        found += [(name, text.decode("latin-1") if isinstance(text, bytes) else text) for name, text in values]
    return found


@pytest.mark.parametrize(("name", "pattern"), patterns())
def test_no_pattern_is_possessive_because_python_3_11_2_loses_matches_with_them(name: str, pattern: str) -> None:
    # Seen with Debian 12's Python 3.11.2: every delivery line of a real log went unparsed. 3.11.7 reads them.
    assert POSSESSIVE.search(pattern) is None, name
