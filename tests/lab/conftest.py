"""One lab for all of its tests: booted once, put back before each. When a test fails, what the lab knows is kept and shown."""

from __future__ import annotations

import os
import re
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.lab.container import missing
from tests.lab.lab import Lab

RESULTS: Final = Path(__file__).resolve().parents[2] / ".run" / "lab"
_TAIL: Final = 25


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "lab: boots a container, which needs root and Debian packages that `make lab` installs")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(item.path).is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.lab)


def pytest_runtest_setup() -> None:
    """Skip from here, not in the fixture: pytest then tells of all of them in one line."""
    if why := missing():
        # CI: a machine that means it. Nothing passes there by being skipped.
        (pytest.fail if os.environ.get("CI") else pytest.skip)(why)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    lab = getattr(item, "funcargs", {}).get("lab")
    if report.when == "call" and report.failed and isinstance(lab, Lab):
        folder = RESULTS / re.sub(r"[^A-Za-z0-9_.-]+", "_", item.name)[:100]
        try:
            logs = lab.keep_logs(folder)
        except Exception as error:  # the test's own failure must be seen, whatever became of the lab
            report.sections.append(("lab", f"could not be looked at: {error!r}"))
            return report
        for name in ("mail.log", "pwmtad.log"):
            report.sections.append((f"lab: end of {name}", "\n".join(logs[name].splitlines()[-_TAIL:])))
        report.sections.append(("lab", f"all of it is in {folder}"))
    return report


@pytest.fixture(scope="session")
def booted_lab() -> Iterator[Lab]:
    """The lab as it is after the boot, and after whatever tests did."""
    lab = Lab()
    try:
        lab.boot()
        yield lab
    finally:
        lab.end()


@pytest.fixture
def lab(booted_lab: Lab) -> Lab:
    """The lab, put back to how it was after the boot."""
    booted_lab.reset()
    return booted_lab
