"""The real daemon as a process: it counts, reloads, stops, and is killed at any moment without losing or doubling anything."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pwmtad.adapters.store import SqliteReader
from pwmtad.cli import main
from pwmtad.daemon.clock import wall_clock
from pwmtad.model.judgement import Halt, HaltPhase
from pwmtad.model.ledger import Ledger
from tests.tools.daemon import RunningDaemon, stream_tables, until
from tests.tools.loggen import Audience, Scenario, Stream, egresses
from tests.tools.loggen.personas import GMAIL_BLOCK, HEALTHY, TurnsAfter
from tests.tools.loggen.pieces import Campaign, CronMail, Noise
from tests.tools.loggen.scenarios import BLAST_MIX, CLEAN_MIX
from tests.tools.loggen.truth import Truth

HOUR = 3600.0
DAY = 86_400.0

TRUCKING = Stream("trucking", egresses(range(5, 9), "trucking"), client_ip="172.18.0.5", bounces_go="remote")
HEALTHCARE = Stream(
    "healthcare",
    egresses(range(30, 32), "healthcare"),
    client_ip="172.18.0.25",
    sender="care@clinic.example",
    dkim_domain="clinic.example",
    fixed=True,
)


def _tables(**changes: str) -> str:
    began = datetime.fromtimestamp(wall_clock() - 9 * DAY, UTC).replace(microsecond=0).isoformat()
    tables = stream_tables((TRUCKING, HEALTHCARE), began)
    for old, new in changes.items():
        assert f"{old} = " in tables
        tables = tables.replace(f"{old} = ", f"{new} = ")
    return tables


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[RunningDaemon]:
    with RunningDaemon(tmp_path, tables=_tables()) as running:
        yield running


def _pwmtad(daemon: RunningDaemon, *arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments, "--socket", str(daemon.socket)], env={"COLUMNS": "100"})


def _words(result: Result) -> str:
    """The output without its layout."""
    return " ".join(result.stdout.split())


def _stored(path: Path) -> Ledger:
    return asyncio.run(SqliteReader(str(path)).load(0.0))


def _blocked(number: int, at: float | None = None) -> str:
    """Return what Postfix logs when Gmail refuses a message to recipient `number`."""
    when = datetime.fromtimestamp(wall_clock() if at is None else at, UTC).isoformat(timespec="microseconds")
    return (
        f"{when} mta postfix/out05/smtp[71]: 4XkJ2l{number:05}zq9z1: to=<r{number}@gmail.com>, "
        "relay=gmail-smtp-in.l.google.com[192.0.2.26]:25, delay=1.2, delays=0.1/0/0.5/0.6, dsn=5.7.1, status=bounced "
        "(host gmail-smtp-in.l.google.com[192.0.2.26] said: 550-5.7.1 [198.51.100.93] Gmail has detected that this message is "
        "550-5.7.1 likely unsolicited mail. To reduce the amount of spam sent to Gmail, 550-5.7.1 this message has been "
        "blocked. (in reply to end of DATA command))\n"
    )


def _append(path: Path, *lines: str) -> None:
    with path.open("a", encoding="utf-8") as log:
        log.writelines(lines)


# -- what it shows


def test_lines_that_are_appended_show_in_metrics_and_status(daemon: RunningDaemon) -> None:
    _append(daemon.log, _blocked(1))
    daemon.start()
    name = 'pwmtad_attempts_total{class="reputation",egress="out05",operator="google",status="bounced",stream="trucking"}'
    until("the first attempt is counted", lambda: daemon.metrics().get(name) == 1)
    _append(daemon.log, _blocked(2))
    until("the second attempt is counted", lambda: daemon.metrics().get(name) == 2)
    state = daemon.state()
    assert [(stream.name, stream.first_attempts_hour) for stream in state.streams] == [("trucking", 2), ("healthcare", 0)]
    assert state.sources[0].caught_up
    status = _pwmtad(daemon, "status")
    assert status.exit_code == 0
    assert "2 of 300" in _words(status)
    systemd = daemon.systemd
    assert systemd is not None
    until("systemd is told what goes on", lambda: any(said.startswith("STATUS=observe: ") for said in systemd.said))
    assert systemd.heard("WATCHDOG=1")


def test_a_reload_takes_a_good_file_as_a_whole_and_nothing_of_a_bad_one(daemon: RunningDaemon) -> None:
    daemon.start()
    good = _tables().replace("ceiling_per_day = 4000", "ceiling_per_day = 1234")
    daemon.configure(good.replace("warmup.start", "warmup.begin") + "[nonsense]\n")
    daemon.reload()
    until("the bad file is refused", lambda: daemon.metrics()['pwmtad_config_reloads_total{outcome="refused"}'] == 1)
    assert [stream.ceiling_per_day for stream in daemon.state().streams] == [4000, 4000]
    assert daemon.metrics()["pwmtad_config_last_reload_successful"] == 0
    status = _pwmtad(daemon, "status")
    assert status.exit_code == 1
    assert "LAST RELOAD REFUSED" in _words(status)
    assert "nonsense" in _words(status)

    daemon.configure(good)
    daemon.reload()
    until("the good file is applied", lambda: daemon.metrics()['pwmtad_config_reloads_total{outcome="applied"}'] == 1)
    assert [stream.ceiling_per_day for stream in daemon.state().streams] == [1234, 1234]
    assert _pwmtad(daemon, "status").exit_code == 0
    systemd = daemon.systemd
    assert systemd is not None
    until("systemd is told of both", lambda: systemd.said.count("READY=1") == 3)
    assert systemd.said.count("RELOADING=1") == 2


def test_a_configuration_with_mistakes_is_told_and_nothing_is_started(daemon: RunningDaemon) -> None:
    daemon.configure("[streams.x]\negresses = 5\n")
    daemon.start(ready=False)
    assert daemon.process is not None
    assert daemon.process.wait(timeout=40) == 1
    assert "streams.x.egresses" in daemon.words()
    assert not daemon.store.exists()


def test_a_term_signal_ends_it_in_order_and_nothing_that_was_counted_is_lost(tmp_path: Path) -> None:
    with RunningDaemon(tmp_path, tables=_tables(), commit_interval_s=60) as daemon:
        _append(daemon.log, *(_blocked(number) for number in range(2)))
        daemon.start()
        until("all is read", lambda: daemon.state().sources[0].lines == 2)
        systemd = daemon.systemd
        assert systemd is not None
        assert daemon.stop() == 0
        assert systemd.said.index("READY=1") < systemd.said.index("STOPPING=1")
        assert not daemon.socket.exists()
        assert [total.counts.first for total in _stored(daemon.store).attempt_totals] == [2]


def test_a_second_daemon_on_the_same_store_is_refused_in_a_sentence(daemon: RunningDaemon, tmp_path: Path) -> None:
    daemon.start()
    assert daemon.process is not None
    folder = tmp_path / "2"
    folder.mkdir()
    with RunningDaemon(folder, tables=_tables()) as second:
        second.config.write_text(second.config.read_text().replace(f"sqlite:{second.store}", f"sqlite:{daemon.store}"))
        second.start(ready=False)
        assert second.process is not None
        assert second.process.wait(timeout=40) == 2
        told = second.words().splitlines()[-1]
        assert told.startswith(f"pwmtad: store {daemon.store} is in use by another pwmtad, process {daemon.process.pid}.")
    assert daemon.state().store.error is None


# -- what outlives it


def _halts(daemon: RunningDaemon) -> dict[str, HaltPhase]:
    return {halt.id: halt.phase for halt in daemon.state().halts}


def test_a_halt_survives_kill_9_and_so_does_its_release(daemon: RunningDaemon) -> None:
    daemon.start()
    _append(daemon.log, *(_blocked(number) for number in range(3)))
    (halt_id,) = until("Gmail's third block halts", lambda: _halts(daemon))
    assert daemon.metrics()['pwmtad_decisions_total{kind="halt",stream="trucking"}'] == 1
    daemon.kill()
    daemon.start()
    until("all is read again", lambda: daemon.state().sources[0].caught_up)
    assert _halts(daemon) == {halt_id: HaltPhase.ACTIVE}
    assert daemon.metrics()['pwmtad_halts{phase="active",rule="google-blocks",stream="trucking"}'] == 1
    assert daemon.metrics()['pwmtad_sending{stream="trucking"}'] == 0
    assert _pwmtad(daemon, "status").exit_code == 1

    told = _pwmtad(daemon, "halt", "healthcare", "--for", "1h", "--why", "a look at the list")
    assert told.exit_code == 0
    assert "observe mode" in told.stdout
    daemon.kill()
    daemon.start()
    (by_hand,) = _halts(daemon).keys() - {halt_id}
    assert _pwmtad(daemon, "release", by_hand).exit_code == 0
    assert f"halt {halt_id} is released: sending comes back slowly" in _pwmtad(daemon, "release", halt_id).stdout
    assert _pwmtad(daemon, "release", by_hand).exit_code == 1
    daemon.kill()
    daemon.start()
    assert _halts(daemon) == {halt_id: HaltPhase.PROBING}
    assert _pwmtad(daemon, "status").exit_code == 0
    explained = _words(_pwmtad(daemon, "explain", halt_id))
    for words in (
        "550-5.7.1",
        "3 times, to 3 recipients",
        "Observe mode: nothing was done.",
        "active -> probing",
        "Probing since",
    ):
        assert words in explained
    assert [record["kind"] for record in daemon.records(halt=halt_id)] == ["halt", "release"]


@dataclass
class Syslog:
    """Writes a generated log in pieces that begin and end anywhere, and rotates it in both ways while it is written."""

    path: Path
    text: bytes
    rng: random.Random
    at: int = 0
    due: list[int] = field(default_factory=list)
    """Where it is rotated, by turns in both ways: chosen before the thread begins, whose draws fall as time has it."""
    rotations: Counter[str] = field(default_factory=Counter)
    may_end: threading.Event = field(default_factory=threading.Event)
    """The last quarter is written after that: on a busy machine one start of the daemon takes as long as all of it."""
    over: threading.Event = field(default_factory=threading.Event)

    def begin(self) -> None:
        """Write the first lines: a first start begins with the log as it finds it."""
        self.at = self.text.index(b"\n", 20_000) + 1
        self.path.write_bytes(self.text[: self.at])
        self.due = sorted(self.rng.sample(range(self.at, len(self.text) * 3 // 4), 8))

    def write(self) -> None:
        """Write the rest, and rotate between two lines: rsyslog writes whole lines, even if a reader sees half of one."""
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND)
        while self.at < len(self.text):
            if self.at >= len(self.text) * 3 // 4:
                self.may_end.wait(timeout=100)
            way = ("rename", "copytruncate")[len(self.due) % 2] if self.due and self.at >= self.due[0] else ""
            end = self.at + self.rng.choice((1, 90, 400, 3000, 10_000))
            if way:
                end = self.text.find(b"\n", end) + 1 or len(self.text)
            self.at += os.write(file, self.text[self.at : end])
            time.sleep(0.008)
            if way:
                del self.due[0]
                file = self._rotate(file, way)
        os.close(file)
        self.over.set()

    def _rotate(self, file: int, way: str) -> int:
        self.rotations[way] += 1
        for number in range(sum(self.rotations.values()), 0, -1):
            older = Path(f"{self.path}.{number}")
            if older.exists():
                older.rename(f"{self.path}.{number + 1}")
        if way == "copytruncate":
            shutil.copy2(self.path, f"{self.path}.1")
            os.ftruncate(file, 0)
            return file
        self.path.rename(f"{self.path}.1")
        os.close(file)
        return os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)


def _incident() -> tuple[list[str], Truth]:
    """Return three hours in which Gmail turns, up to an hour ago, and what happened in them."""
    start = wall_clock() - 4 * HOUR
    run = Scenario(
        start, 7, (TRUCKING, HEALTHCARE),
        (
            Campaign(start + 60, "trucking", Audience("list", 1500, BLAST_MIX, odd_share=0.02), 1000),
            Campaign(start + 90, "healthcare", Audience("care", 150, CLEAN_MIX), 100),
            CronMail(start + 60),
            Noise(start),
        ),
        until=start + 3 * HOUR,
        personas={"google": TurnsAfter(150, GMAIL_BLOCK, HEALTHY["google"])},
    ).play()  # fmt: skip
    return [line for _, _, line in run], run.truth


def test_killed_again_and_again_while_the_log_is_written_and_rotated_each_line_counts_once(daemon: RunningDaemon) -> None:
    lines, truth = _incident()
    rng = random.Random(int(os.environ.get("PWMTAD_TEST_SEED", "1")))
    syslog = Syslog(daemon.log, "".join(f"{line}\n" for line in lines).encode(), rng)
    writing = threading.Thread(target=syslog.write, daemon=True)
    syslog.begin()
    daemon.start()
    until("the first lines are stored", lambda: _stored(daemon.store).checkpoints)
    writing.start()
    kills = 0
    while not syslog.over.wait(rng.uniform(0.0, 0.7)):
        daemon.kill()
        kills += 1
        if kills == 4:
            syslog.may_end.set()
        daemon.start(ready=kills % 3 > 0)  # now and then it is killed before it is up
        time.sleep(rng.uniform(0.1, 0.4))
    writing.join()
    daemon.kill()
    daemon.start()
    until("the log is read to its end", lambda: daemon.state().sources[0].lines >= len(lines))
    until("what was read is judged", lambda: daemon.state().sources[0].caught_up)
    assert daemon.state().sources[0].gaps == 0
    assert daemon.stop() == 0
    assert kills >= 4
    assert min(syslog.rotations["rename"], syslog.rotations["copytruncate"]) >= 1

    found = _stored(daemon.store)
    assert sum(count.count for count in found.lines) == truth.mail_lines == len(lines)
    _check_attempts(found, truth)
    messages = {total.stream: total.counts for total in found.message_totals}
    for stream in ("trucking", "healthcare"):
        assert messages[stream].injected == truth.count("injected", stream)
        assert messages[stream].signed == truth.count("signed", stream)
        assert messages[stream].unsigned == truth.unsigned(stream) == 0
    _check_judgement(daemon.store, found.judgement.halts)


def _check_attempts(found: Ledger, truth: Truth) -> None:
    by: dict[str, Counter[str]] = {name: Counter() for name in ("stream", "egress", "operator", "status", "kind")}
    for total in found.attempt_totals:
        for name in ("stream", "egress", "operator", "status"):
            by[name][getattr(total.key, name)] += sum(total.counts)
        for kind, count in zip(("first", "retry", "notification"), total.counts, strict=True):
            by["kind"][kind] += count
    for name, counts in by.items():
        assert counts == truth.by(name), name


def _check_judgement(store: Path, halts: tuple[Halt, ...]) -> None:
    """Halts, records and evidence of the store tell one story: each halt began once."""
    connection = sqlite3.connect(store)
    begun = connection.execute("SELECT halt_id FROM records WHERE kind = 'halt' AND before = 'none'").fetchall()
    evidence, different = connection.execute(
        "SELECT count(*), count(DISTINCT queue_id || ' ' || recipient || ' ' || at) FROM evidence"
    ).fetchone()
    connection.close()
    assert sorted(halt_id for (halt_id,) in begun) == sorted(halt.id for halt in halts)
    assert "google-blocks" in {halt.rule for halt in halts if halt.stream == "trucking"}
    assert len({(halt.stream, halt.rule, halt.subject) for halt in halts if halt.ended_at is None}) == len(halts)
    assert evidence == different > 3
