"""The whole daemon as a process, at a Listmonk that is one as well: seen through logs, signals, the command line and HTTP."""

from __future__ import annotations

import itertools
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner, Result

from pwmtad.cli import main
from pwmtad.core.listmonk_window import BATCH, DURATION, FLAG, RATE
from pwmtad.daemon.clock import wall_clock
from pwmtad.model.acting import ListmonkActing
from pwmtad.model.judgement import HaltPhase
from tests.tools.daemon import RunningDaemon, until
from tests.tools.listmonk.program import TOKEN, Database, MailServer, Program, running
from tests.unit.adapters.conftest import PostgresCluster

pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]

PROMPT: Final = 36_000
"""Messages an hour: a window of ten seconds lets some out."""
_NAMES: Final = itertools.count()


class World:
    """A daemon that acts on Listmonks alone, and those."""

    def __init__(self, folder: Path, cluster: PostgresCluster, open_until_the_end: ExitStack) -> None:
        self.folder = folder
        self.mail = MailServer()
        self.daemon = RunningDaemon(folder)
        # Counters that do not cover an hour are doubted, and nothing grows meanwhile.
        self.log(refused("long-ago@gmail.com", BLOCKED, number=99, enhanced="5.7.1", at=wall_clock() - 7300))
        self._cluster = cluster
        self._open = open_until_the_end
        self._open.callback(self.mail.close)
        self._open.callback(self.daemon.kill)

    def listmonk(self, version: str = "6.2", *options: str) -> Program:
        database = Database(self._cluster, f"whole_{next(_NAMES)}")
        self._open.callback(database.drop)
        rate = ("--set", "app.message_rate=1000")
        return self._open.enter_context(running(self.folder, database, version, "--smtp", self.mail.address, *rate, *options))

    def configure(
        self, *listmonks: Program | str, mode: str = "enforce", token: str = TOKEN, ladder: int = PROMPT, more: str = ""
    ) -> None:
        """Write the configuration: a stream for each Listmonk (or its URL, or '' for a stream without one)."""
        (self.folder / "token").write_text(f"{token}\n")
        start = datetime.fromtimestamp(wall_clock() - 9 * 86_400, UTC).replace(microsecond=0).isoformat()
        tables = []
        for number, one in enumerate(listmonks):
            name, url = ("trucking", "healthcare")[number], one if isinstance(one, str) else one.url
            egresses = [f"out{5 + 25 * number + each:02}" for each in range(10)]
            tables.append(
                f'[streams.{name}]\negresses = {json.dumps(egresses)}\ninjector_clients = ["198.51.100.{number + 1}"]\n'
                f"governor = false\nceiling_per_day = 100000\nwarmup.start = {start}\n"
                f"warmup.window_ladder_per_hour = {{ 0 = {ladder} }}\n"
            )
            tables += [
                f'[egresses.{egress}]\naddress = "192.0.2.{int(egress[3:])}"\nsyslog_name = "postfix/{egress}"\n'
                for egress in egresses
            ]
            if url:
                tables.append(
                    f'[streams.{name}.listmonk]\nurl = "{url}"\nuser = "pwmtad"\ntoken_file = "{self.folder}/token"\n{more}'
                )
        self.daemon.configure("\n".join(tables))
        text = self.daemon.config.read_text(encoding="utf-8")
        assert 'mode = "observe"' in text
        self.daemon.config.write_text(text.replace('mode = "observe"', f'mode = "{mode}"'), encoding="utf-8")

    def reload(self) -> None:
        before = self.daemon.state().reload.reloads
        self.daemon.reload()
        until("the file is taken", lambda: self.daemon.state().reload.reloads > before)

    def acting(self, stream: str = "trucking") -> ListmonkActing:
        found = (one for one in self.daemon.state().acting.listmonk if one.stream == stream)
        return next(found, ListmonkActing(stream, ""))

    def settled(self, stream: str = "trucking", patience_s: float = 90) -> None:
        def is_settled() -> bool:
            found = [one for one in self.daemon.state().acting.listmonk if one.stream == stream]
            return bool(found) and found[0].in_force and found[0].doing == "" and found[0].changes + found[0].drifts > 0

        until(f"{stream}'s window is in force", is_settled, patience_s=patience_s)

    def codes(self) -> list[str]:
        return [finding.code for finding in self.daemon.state().findings if "listmonk" in finding.code]

    def run(self, *words: str, **more: Any) -> Result:
        return CliRunner().invoke(main, [*words, "--socket", str(self.daemon.socket)], env={"COLUMNS": "160"}, **more)

    def log(self, *lines: str) -> None:
        with self.daemon.log.open("a", encoding="utf-8") as log:
            log.writelines(f"{line}\n" for line in lines)

    def halt(self) -> str:
        """Let Gmail block three times; return the halt's id."""
        self.log(*(refused(f"r{n}@gmail.com", BLOCKED, number=n, enhanced="5.7.1") for n in range(3)))
        return until("it halts", lambda: [halt.id for halt in self.daemon.state().halts if halt.rule == "google-blocks"])[0]


@pytest.fixture(scope="module")
def cluster() -> Iterator[PostgresCluster]:
    with tempfile.TemporaryDirectory(prefix="pwmtad-lw-") as folder:
        made = PostgresCluster(Path(folder))
        made.start()
        yield made
        made.stop()


@pytest.fixture
def world(tmp_path: Path, cluster: PostgresCluster) -> Iterator[World]:
    with ExitStack() as stack:
        yield World(tmp_path, cluster, stack)


GMAIL: Final = "gmail-smtp-in.l.google.com"
BLOCKED: Final = (
    "550-5.7.1 [192.0.2.5] Gmail has detected that this message is 550-5.7.1 likely unsolicited mail. To reduce the amount of "
    "spam sent to Gmail, 550-5.7.1 this message has been blocked. (in reply to end of DATA command)"
)
NOBODY: Final = (
    "550-5.1.1 The email account that you tried to reach does not exist. Please try 550-5.1.1 double-checking the recipient's "
    "email address for typos or 550-5.1.1 unnecessary spaces. (in reply to RCPT TO command)"
)


def refused(recipient: str, text: str, *, number: int = 0, enhanced: str = "5.1.1", at: float | None = None) -> str:
    """Return a line of a message that Gmail refuses."""
    now = datetime.fromtimestamp(wall_clock() if at is None else at, UTC).isoformat(timespec="microseconds")
    return (
        f"{now} mta postfix/out05/smtp[71]: 4XkJ2l{number:05}zq9z1: to=<{recipient}>, relay={GMAIL}[192.0.2.26]:25, delay=1.2, "
        f"delays=0.1/0/0.5/0.6, dsn={enhanced}, status=bounced (host {GMAIL}[192.0.2.26] said: {text})"
    )


def people(count: int) -> list[str]:
    return [f"reader{number}@example.org" for number in range(count)]


def words(result: Result) -> str:
    return " ".join(result.stdout.split())


def steady(count: Callable[[], int], still_s: float = 12.0) -> int:
    """Wait until a count has not moved for longer than a window lasts; return it."""
    seen, since = count(), wall_clock()

    def still() -> bool:
        nonlocal seen, since
        found = count()
        if found != seen:
            seen, since = found, wall_clock()
        return wall_clock() - since >= still_s

    until("nothing more leaves", still, patience_s=90)
    return seen


@pytest.mark.parametrize("version", ["5", "6.2"])
def test_three_blocks_pause_the_campaign_and_the_release_brings_it_back_with_a_handful_an_hour(
    world: World, version: str
) -> None:
    lists = world.listmonk(version)
    world.configure(lists)
    world.daemon.start()
    world.settled()
    assert lists.setting(FLAG) is True
    assert lists.setting(BATCH) <= lists.setting(RATE)
    limit = lists.state()["tuning"]["limit"]
    assert f"{limit['duration_s']:.0f}s" == lists.setting(DURATION)
    assert world.daemon.metrics()['pwmtad_listmonk_window_in_force{stream="trucking"}'] == 1

    campaign = lists.campaign(lists.subscribers(people(1000)), status="running")
    until("mail leaves", lambda: lists.sent() >= 20)
    halt = world.halt()
    until("it is paused", lambda: lists.status(campaign) == "paused")
    sent = steady(lists.sent)
    assert sent < 1000
    assert world.run("status").exit_code == 1
    assert "paused by us" in words(world.run("status"))
    assert world.run("release", halt).exit_code == 0
    assert [one.phase for one in world.daemon.state().halts] == [HaltPhase.PROBING]
    until("the window is a handful an hour", lambda: world.acting().in_force and (world.acting().window_per_hour or 99) <= 10,
          patience_s=120)  # fmt: skip
    until("it goes on", lambda: lists.status(campaign) == "running", patience_s=120)
    until("and sends", lambda: lists.sent() > sent)
    assert lists.sent() <= sent + 3
    told = [record["reason"] for record in world.daemon.records() if record["rule"] == "listmonk"]
    assert any("paused 1 campaign" in reason for reason in told)
    assert any("resumed 1 campaign" in reason for reason in told)


@pytest.mark.parametrize("version", ["3", "6.2"])
def test_a_daemon_that_is_killed_in_a_halt_knows_what_it_paused_and_everybody_gets_his_mail_once(
    world: World, version: str
) -> None:
    lists = world.listmonk(version, *(("--admin", f"pwmtad:{TOKEN}") if version == "3" else ()))
    world.configure(lists)
    world.daemon.start()
    world.settled()
    theirs = lists.campaign(lists.subscribers(["other@example.org"], list_name="others"), status="paused")
    campaign = lists.campaign(lists.subscribers(people(400)), status="running")
    until("mail leaves", lambda: lists.sent() >= 20)
    assert world.run("halt", "trucking", "--for", "10h", "--why", "a look").exit_code == 0
    until("it is paused", lambda: lists.status(campaign) == "paused")
    # The record is stored together with whose pause it is; `held` says what the daemon remembers, stored or not.
    until("that was stored", lambda: any("paused 1 campaign" in record["reason"] for record in world.daemon.records()))
    until("it is shown", lambda: world.acting().held == 1)
    world.daemon.kill()
    world.daemon.start()
    until("it looks again", lambda: world.acting().reachable and world.acting().running == 0)
    assert (world.acting().held, world.acting().unsure) == (1, 0)
    assert world.daemon.metrics()['pwmtad_listmonk_campaigns{state="held",stream="trucking"}'] == 1
    sent = steady(lists.sent)
    world.daemon.kill()
    world.daemon.start()
    until("it looks once more", lambda: world.acting().reachable)
    assert lists.sent() == sent < 400
    assert world.run("release", world.daemon.state().halts[0].id).exit_code == 0
    until("all is sent", lambda: lists.status(campaign) == "finished", patience_s=240)
    assert world.mail.taken() == dict.fromkeys(people(400), 1)
    assert lists.status(theirs) == "paused"


def test_observe_mode_asks_and_changes_nothing(world: World) -> None:
    lists = world.listmonk("6.2", "--set", f"{RATE}=10000")
    campaign = lists.campaign(lists.subscribers(people(50)), status="running")
    world.configure(lists, mode="observe")
    world.daemon.start()
    world.halt()
    until("it looked", lambda: world.acting().reachable)
    until("all of it left", lambda: lists.status(campaign) == "finished")
    world.configure(lists, mode="observe", ladder=300)
    world.reload()
    until("it looked again", lambda: len(lists.truth()["requests"]) > 6)
    assert lists.writes() == []
    assert lists.setting(RATE) == 10_000
    assert world.acting().changes == world.acting().pauses == 0
    assert "resumed" not in words(world.run("status"))


def test_a_reload_takes_a_changed_table_another_mode_and_a_table_that_is_gone(world: World) -> None:
    lists = world.listmonk()
    world.configure(lists, token="wrong")  # noqa: S106
    world.daemon.start()
    until("it is refused", lambda: "listmonk_forbidden" in world.codes())
    assert world.run("status").exit_code == 1
    stream = world.daemon.state().streams[0]
    until("unknown is not healthy", lambda: "listmonk_forbidden" in world.daemon.state().streams[0].unknown)
    assert stream.name == "trucking"
    world.configure(lists)
    world.reload()
    world.settled()
    until("it is known again", lambda: "listmonk_forbidden" not in world.daemon.state().streams[0].unknown)
    campaign = lists.campaign(lists.subscribers(people(2000)), status="running")
    until("mail leaves", lambda: lists.sent() >= 5)
    world.halt()
    until("it is paused", lambda: lists.status(campaign) == "paused")
    world.configure(lists, mode="observe")
    world.reload()
    until("what it holds is told", lambda: "listmonk_held_while_observing" in world.codes())
    writes = lists.writes()
    world.configure("")
    world.reload()
    until("nothing is acted on", lambda: world.daemon.state().acting.listmonk == ())
    assert world.codes() == []
    assert lists.writes() == writes
    assert lists.status(campaign) == "paused"


def test_of_two_instances_one_is_down_which_is_told_once_and_holds_up_nothing_else(world: World) -> None:
    down, up = world.listmonk("4"), world.listmonk("6.2")
    down.order("process", do="down")
    world.configure(down, up)
    world.daemon.start()
    world.settled("healthcare")
    assert world.codes() == ["listmonk_unreachable"]
    campaign = up.campaign(up.subscribers(people(2000)), status="running")
    until("mail leaves", lambda: up.sent() >= 5)
    assert world.run("halt", "healthcare", "--for", "1h", "--why", "a look").exit_code == 0
    until("it is paused", lambda: up.status(campaign) == "paused")
    state = {stream.name: stream.unknown for stream in world.daemon.state().streams}
    assert "listmonk_unreachable" in state["trucking"]
    assert "listmonk_unreachable" not in state["healthcare"]
    metrics = world.daemon.metrics()
    assert metrics['pwmtad_listmonk_reachable{stream="trucking"}'] == 0
    assert metrics['pwmtad_listmonk_reachable{stream="healthcare"}'] == 1
    assert world.daemon.words().count('"listmonk_trouble_found"') == 1
    down.order("process", do="up")
    world.settled("trucking", patience_s=180)  # the next look may be 75 s away by now (listmonk_sight._RETRY_S)
    assert "listmonk_unreachable" not in world.codes()


def test_a_login_page_behind_the_url_is_told_and_nothing_grows(world: World) -> None:
    lists = world.listmonk()
    lists.order("faults", kind="html", times=100_000)
    world.configure(lists)
    world.daemon.start()
    until("it is told", lambda: "listmonk_answers_nonsense" in world.codes())
    until("it is unknown", lambda: "listmonk_answers_nonsense" in world.daemon.state().streams[0].unknown)
    assert lists.writes() == []
    lists.order("faults", clear=True)
    world.settled()


def test_who_bounces_hard_is_not_mailed_again_and_people_see_add_export_and_take_back(world: World) -> None:
    lists = world.listmonk("6.2", "--set", "bounce.enabled=true", "--set", "bounce.webhooks_enabled=true")
    lists.subscribers([*people(5), "gone@gmail.com", "added@gmail.com"])
    world.configure(lists)
    world.daemon.start()
    world.settled()
    world.log(refused("Gone@gmail.com", NOBODY))
    until("it is blocklisted", lambda: lists.blocklisted() == {"gone@gmail.com"})
    until("that was seen", lambda: "verified" in words(world.run("suppressions", "list", "gone@gmail.com")))
    assert world.run("suppressions", "add", "added@gmail.com", "--why", "asked by phone").exit_code == 0
    until("it is blocklisted too", lambda: lists.blocklisted() == {"added@gmail.com", "gone@gmail.com"})
    assert world.run("suppressions", "export").stdout.split() == ["added@gmail.com", "gone@gmail.com"]
    assert world.run("suppressions", "remove", "added@gmail.com").exit_code == 0
    assert world.run("suppressions", "export").stdout.split() == ["gone@gmail.com"]
    name = 'pwmtad_suppressions{class="hard_bounce",kind="address",state="verified",stream="trucking"}'
    until("it is counted", lambda: world.daemon.metrics().get(name) == 1)
    assert "Suppressions" in world.run("report").stdout


def test_an_operator_that_calls_everybody_unknown_costs_half_a_sample_and_is_told(world: World) -> None:
    lists = world.listmonk("6.2", "--set", "bounce.enabled=true", "--set", "bounce.webhooks_enabled=true")
    everybody = [f"reader{number}@gmail.com" for number in range(300)]
    lists.subscribers(everybody)
    world.configure(lists)
    world.daemon.start()
    world.settled()
    world.log(*(refused(recipient, NOBODY, number=number) for number, recipient in enumerate(everybody)))

    def held() -> list[dict[str, Any]]:
        result = world.run("suppressions", "list", "--state", "held_back", "--json")
        return [json.loads(line) for line in result.stdout.splitlines()]

    until("the rest is held back", lambda: len(held()) == 250)
    until("those before are told", lambda: len(lists.blocklisted()) == 50)
    until("it is told", lambda: "suppression_held_back" in [one.code for one in world.daemon.state().findings])
    assert "google refused 100 of its newest 100 recipients for good" in words(world.run("status"))
    name = 'pwmtad_suppressions{class="hard_bounce",kind="address",state="held_back",stream="trucking"}'
    until("it is counted", lambda: world.daemon.metrics().get(name) == 250)
    world.daemon.kill()
    world.daemon.start()
    world.log(refused(everybody[299], NOBODY, number=400))
    until("it is read", lambda: world.daemon.state().sources[0].caught_up)
    assert len(world.run("suppressions", "export").stdout.split()) == 50
    assert len(lists.blocklisted()) == 50
