"""A configuration with everything that it names: read once, in one place, for all commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from pwmtad.adapters.config_files import Loaded, check_named_files, load_file
from pwmtad.config import Settings
from pwmtad.daemon.app_inputs import Mistakes, load_all

STREAM = """
[streams.trucking]
egresses = ["out05"]
excluded_operators = ["{operator}"]
{more}
warmup.start = 2026-06-02T00:00:00Z
"""


def written(folder: Path, operator: str = "yahoo", more: str = "") -> str:
    path = folder / "pwmtad.toml"
    path.write_text(STREAM.format(operator=operator, more=more), encoding="utf-8")
    return str(path)


def test_a_misspelt_excluded_operator_keeps_the_daemon_from_starting(tmp_path: Path) -> None:
    # It would never be recognised: mail to it would leave, and nothing would halt.
    with pytest.raises(Mistakes) as raised:
        load_all(written(tmp_path, "yahooo"))
    assert [(error.path, error.hint) for error in raised.value.errors] == [
        ("streams.trucking.excluded_operators", "did you mean 'yahoo'?")
    ]


def test_what_the_daemon_takes_check_config_takes_and_the_other_way_round(tmp_path: Path) -> None:
    for operator in ("yahoo", "yahooo"):
        loaded = load_file(written(tmp_path, operator))
        settings = loaded.settings if isinstance(loaded, Loaded) else None
        assert isinstance(loaded, Loaded) is (operator == "yahoo")
        if settings is not None:
            assert check_named_files(settings) == ()


def test_lists_of_domains_are_read_with_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "domains").write_text("# families\nAOL.example\n\nyahoo.example.  # dot\n", encoding="utf-8")
    more = f'excluded_domains = []\nexcluded_domains_file = "{tmp_path}/domains"'
    loaded = load_file(written(tmp_path, more=more))
    assert isinstance(loaded, Loaded)
    assert loaded.excluded_domains == {"trucking": frozenset({"aol.example", "yahoo.example"})}


def test_an_excluded_operator_brings_the_domains_of_its_family(tmp_path: Path) -> None:
    loaded = load_file(written(tmp_path))
    assert isinstance(loaded, Loaded)
    assert {"yahoo.com", "aol.com", "att.net"} <= loaded.excluded_domains["trucking"]


def test_a_list_that_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    loaded = load_file(written(tmp_path, more=f'excluded_domains_file = "{tmp_path}/gone"'))
    assert not isinstance(loaded, Loaded)
    assert [error.file for error in loaded] == [f"{tmp_path}/gone"]


def test_every_rules_file_that_can_not_be_read_is_told_at_once() -> None:
    files = ("/nonexistent/a.toml", "/nonexistent/b.toml")
    settings = Settings.model_validate({"rules": {"files": files}})
    assert [error.file for error in check_named_files(settings)] == list(files)


def test_without_a_valid_configuration_the_shipped_rules_are_checked() -> None:
    assert check_named_files(None) == ()
