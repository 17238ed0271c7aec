"""The systemd unit: accepted by Debian 12's systemd, well confined, and at one with the program's defaults."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

from pwmtad.cli.check_config import DEFAULT_FILE
from pwmtad.cli.client import DEFAULT_SOCKET
from pwmtad.config import Settings

_FOLDER = Path(__file__).parents[2] / "systemd"
_UNIT = _FOLDER / "pwmtad.service"
_MAX_EXPOSURE = 15
"""Tenths. systemd calls up to 2.0 well confined (systemd-analyze(1)); 1.4 was reached."""


def _directives() -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for line in _UNIT.read_text().splitlines():
        if found_line := re.match(r"(\w+)=(.*)", line):
            found[found_line[1]].append(found_line[2])
    return found


@pytest.mark.services
def test_the_unit_is_well_confined() -> None:
    command = ["systemd-analyze", "security", "--offline=true", f"--threshold={_MAX_EXPOSURE}", "--no-pager", str(_UNIT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.services
def test_systemd_knows_every_word_of_the_unit(tmp_path: Path) -> None:
    shutil.copytree("/usr/lib/systemd/system", tmp_path / "usr/lib/systemd/system", symlinks=True)
    for program in (_directives()["ExecStart"][0].split()[0], "/bin/kill"):
        stub = tmp_path / program.lstrip("/")
        stub.parent.mkdir(parents=True)
        stub.write_text("#!/bin/sh\n")
        stub.chmod(0o755)
    installed = tmp_path / "etc/systemd/system/pwmtad.service"
    installed.parent.mkdir(parents=True)
    shutil.copy(_UNIT, installed)
    command = ["systemd-analyze", f"--root={tmp_path}", "verify", "pwmtad.service"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.services
def test_the_user_of_the_unit_is_made_by_the_sysusers_file(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    subprocess.run(
        ["systemd-sysusers", f"--root={tmp_path}", "-"],
        input=(_FOLDER / "pwmtad.sysusers").read_text(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    users = [line.split(":") for line in (tmp_path / "etc/passwd").read_text().splitlines()]
    assert [(user[0], user[5], user[6]) for user in users] == [("pwmtad", "/var/lib/pwmtad", "/usr/sbin/nologin")]
    assert _directives()["User"] == ["pwmtad"]


def test_the_unit_and_the_defaults_of_the_program_name_the_same_places() -> None:
    unit, settings = _directives(), Settings()
    assert unit["ExecStart"][0].split()[1:] == ["run", "--config", DEFAULT_FILE]
    assert settings.http.socket == DEFAULT_SOCKET == f"/run/{unit['RuntimeDirectory'][0]}/pwmtad.sock"
    assert settings.store.url.as_toml().strip("'\"").startswith(f"sqlite:/var/lib/{unit['StateDirectory'][0]}/")


def test_logs_can_be_read_and_nothing_else_is_granted() -> None:
    unit = _directives()
    assert {"adm", "systemd-journal"} <= set(unit["SupplementaryGroups"][0].split())
    assert unit["AmbientCapabilities"] == unit["CapabilityBoundingSet"] == ["CAP_DAC_READ_SEARCH"]
    assert unit["ProtectSystem"] == ["strict"]
    hidden = " ".join(unit["InaccessiblePaths"]).split()
    assert {"-/etc/shadow", "-/etc/ssh", "-/etc/ssl/private", "-/etc/dkimkeys"} <= set(hidden)


def test_it_is_started_again_and_never_given_up() -> None:
    unit = _directives()
    assert unit["Restart"] == ["on-failure"]
    assert unit["StartLimitIntervalSec"] == ["0"]
    assert unit["Type"] == ["notify"]
