"""What a reload takes, what it leaves for a restart, and what a look at Postfix that fails must not undo."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pwmtad.core.guard import Guard
from pwmtad.core.observe import Observer
from pwmtad.core.state import About
from pwmtad.daemon.app import Daemon
from pwmtad.daemon.app_inputs import load_all, policy_of
from pwmtad.daemon.tick import Ticker
from pwmtad.model.ledger import Ledger
from pwmtad.model.postfix import Clone
from pwmtad.model.state import ReloadState, StoreState
from tests.tools.postfix_fake import FakePostfix

NOW = 1_780_000_000.0
CONFIG = """
[log]
postfix = "/var/log/mail.log"
opendkim = "{opendkim}"
[postfix]
read_master_cf = false
[dkim]
grace_s = {grace}
[streams.trucking]
egresses = ["out05"]
injector_clients = ["172.18.0.5"]
ceiling_per_day = {ceiling}
warmup.start = 2026-06-02T00:00:00Z
[egresses.out05]
address = "192.0.2.94"
syslog_name = "postfix/out05"
"""


async def _stored() -> bool:
    return True


class Running:
    """A daemon's parts without its sources, store and servers."""

    def __init__(self, folder: Path, **values: Any) -> None:
        self.path = folder / "pwmtad.toml"
        self.write(**values)
        loaded = load_all(str(self.path))
        self.daemon = Daemon(str(self.path), loaded)
        guard = Guard(policy_of(loaded, None))
        self.observer: Observer = self.daemon._observer(Ledger({}, [], [], [], [], {}, [], {}, [], {}), guard, NOW)
        self.ticker = Ticker(
            settings=loaded.settings,
            observer=self.observer,
            reload=ReloadState(str(self.path), NOW, 0, 0, None),
            about=About("0", "mail.example.org", NOW, 0, 0.0, {}),
            store_state=lambda: StoreState("memory", None, 0, 0, None),
            clock=lambda: NOW,
            monotonic=lambda: 0.0,
        )

        self.act = self.daemon._act(FakePostfix(["out05"]), guard, _stored)

    def write(self, *, opendkim: str = "mail.log", grace: int = 30, ceiling: int = 4000) -> None:
        self.path.write_text(CONFIG.format(opendkim=opendkim, grace=grace, ceiling=ceiling), encoding="utf-8")

    async def reload(self, **values: Any) -> None:
        self.write(**values)
        await self.daemon._reload_once(self.ticker, self.observer, self.act)


@pytest.fixture
def running(tmp_path: Path) -> Running:
    return Running(tmp_path)


async def test_a_reload_takes_what_can_change_while_it_runs(running: Running) -> None:
    await running.reload(ceiling=1234)
    assert running.ticker.settings.streams["trucking"].ceiling_per_day == 1234  # type: ignore[index]
    assert running.observer.guard.streams["trucking"].settings.ceiling_per_day == 1234
    assert running.act.settings is running.ticker.settings


async def test_where_signatures_are_read_changes_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    # Without its source a grace time would call every signed mail unsigned, and halt.
    running = Running(tmp_path, opendkim="none")
    await running.reload(opendkim="journal:opendkim.service", ceiling=1234)
    assert running.observer.correlator.deadline == float("inf")
    line = "2026-06-02T00:00:00+00:00 mail postfix/{}[7]: 4XkJ2l1zq00001: {}"
    lines = [
        line.format("smtpd", "client=unknown[172.18.0.5]"),
        line.format("qmgr", "from=<a@example.org>, size=1, nrcpt=1 (queue active)"),
    ]
    running.observer.count("mail.log", lines, NOW)
    assert running.observer.correlator.deadline == float("inf")
    assert running.ticker.settings.streams["trucking"].ceiling_per_day == 1234  # type: ignore[index]


async def test_a_look_that_could_not_read_master_cf_keeps_whose_lines_are_whose(running: Running) -> None:
    assert running.daemon._learn_clones((Clone(name="out05", syslog_name="mail-five"),))
    assert not running.daemon._learn_clones(None)
    await running.reload(ceiling=1234)
    assert running.observer._routes.egress("mail-five/smtp") == ("out05", "trucking")


def test_the_same_master_cf_again_changes_nothing(running: Running) -> None:
    clones = (Clone(name="out05", syslog_name="mail-five"),)
    assert running.daemon._learn_clones(clones)
    assert not running.daemon._learn_clones(clones)
    assert running.daemon._learn_clones((*clones, Clone(name="out06", syslog_name="mail-six")))
