"""`pwmtad check-config`, as people and scripts use it."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from pwmtad.cli.check_config import check_config, command, render, why_unreadable
from pwmtad.config import Settings
from pwmtad.model.errors import ConfigError

GOOD = """
[streams.trucking]
egresses = ["out02", "out05", "out06"]
retired = ["out02"]
pool = true
warmup.start = 2026-06-02T00:00:00Z
[streams.healthcare]
egresses = ["out01"]
warmup.start = 2026-06-02T00:00:00Z
"""
BAD = '[log]\ngrace_s = 30\n[streams.trucking]\negresses = ["out05"]\nretired = ["out5"]\nwarmup.start_file = "/etc/stamp"\n'
ROOT = Path(__file__).parents[3]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, arguments)


def written(directory: Path, text: str) -> str:
    path = directory / "pwmtad.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_good_file_is_summed_up_in_one_line(tmp_path: Path) -> None:
    file = written(tmp_path, GOOD)
    result = run("-c", file)
    assert result.exit_code == 0
    assert result.stdout == (
        f"{file}: ok, mode observe, streams: trucking (2 of 3 egresses, pool), healthcare (1 of 1 egresses)\n"
    )


def test_a_file_without_streams_is_good_and_says_that_nothing_is_held(tmp_path: Path) -> None:
    result = run("-c", written(tmp_path, ""))
    assert result.exit_code == 0
    assert "no streams: mail is counted, and nothing is held" in result.stdout


def test_the_shipped_example_is_good() -> None:
    assert run("-c", str(ROOT / "etc" / "pwmtad.toml")).exit_code == 0


def test_all_mistakes_are_listed_and_the_status_is_1(tmp_path: Path) -> None:
    file = written(tmp_path, BAD)
    result = run("-c", file)
    assert result.exit_code == 1
    assert result.stdout == (
        f"{file}: 2 mistakes\n"
        "\n"
        "  log.grace_s\n"
        "    found     30\n"
        "    expected  a key of [log]: postfix, opendkim, timezone, start_at or max_line_bytes\n"
        "    hint      it belongs into [dkim]\n"
        "\n"
        "  streams.trucking.retired[0]\n"
        "    found     'out5'\n"
        "    expected  an egress that streams.trucking.egresses lists\n"
        "    hint      did you mean 'out05'?\n"
    )


def test_the_document_shows_what_is_really_printed(tmp_path: Path) -> None:
    printed = run("-c", written(tmp_path, BAD)).stdout.partition("\n")[2]
    assert printed in (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")


def test_machines_get_one_object(tmp_path: Path) -> None:
    file = written(tmp_path, 'mode = "on"')
    result = run("--json", "-c", file)
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {
        "file": file,
        "ok": False,
        "errors": [{"path": "mode", "found": "'on'", "expected": "'observe' or 'enforce'", "hint": "", "file": file}],
        "unreadable": None,
    }
    assert json.loads(run("--json", "-c", written(tmp_path, GOOD)).stdout)["ok"] is True


@pytest.mark.parametrize(
    ("name", "why"),
    [("missing.toml", "no such file or directory"), ("", "is a directory"), ("file/below", "not a directory")],
)
def test_a_file_that_can_not_be_read_has_status_2(tmp_path: Path, name: str, why: str) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    file = str(tmp_path / name)
    result = run("-c", file)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"cannot read {file}: {why}\n"
    report = json.loads(run("--json", "-c", file).stdout)
    assert (report["ok"], report["unreadable"]) == (False, f"cannot read {file}: {why}")


def test_a_name_that_no_file_can_have_has_status_2() -> None:
    assert run("-c", "a\0b").exit_code == 2


def test_a_missing_permission_is_told_where_it_is_missing() -> None:
    denied = PermissionError(errno.EACCES, "Permission denied")
    path = Path("/etc/pwmtad/private/pwmtad.toml")
    closed = Path("/etc/pwmtad/private")
    assert "may not enter the directory /etc/pwmtad/private " in why_unreadable(
        path, denied, may_pass=lambda parent: parent != closed
    )
    assert "may not read the file" in why_unreadable(path, denied, may_pass=lambda _: True)


def test_extra_checks_run_for_good_and_for_bad_settings_and_name_their_own_file() -> None:
    seen: list[Settings | None] = []

    def rules(settings: Settings | None) -> Iterable[ConfigError]:
        seen.append(settings)
        yield ConfigError("rule[3]", "'['", "a pattern", file="/etc/pwmtad/rules.d/site.toml")

    settings, mistakes = check_config(GOOD.encode(), file="a.toml", extra_checks=[rules])
    assert [mistake.path for mistake in mistakes] == ["rule[3]"]
    assert "  /etc/pwmtad/rules.d/site.toml: rule[3]\n" in click.unstyle(render("a.toml", settings, mistakes))
    none, mistakes = check_config(b"a = 1", file="a.toml", extra_checks=[rules])
    assert [mistake.path for mistake in mistakes] == ["a", "rule[3]"]
    assert none is None
    assert seen == [settings, None]


def test_a_mistake_of_the_whole_file_says_so() -> None:
    _, mistakes = check_config(b"a = " + b"9" * 5000, file="a.toml")
    assert "1 mistake\n\n  the whole file\n" in click.unstyle(render("a.toml", None, mistakes))
