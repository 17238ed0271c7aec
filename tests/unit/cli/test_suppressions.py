"""`pwmtad suppressions` against the real face, control and judgement, over a store in memory."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from click.testing import Result
from msgspec.structs import replace

from pwmtad.adapters.http_api import HttpApi
from pwmtad.adapters.metrics import Metrics
from pwmtad.adapters.store import MemoryStore
from pwmtad.core.guard import Guard
from pwmtad.core.policy import Policy
from pwmtad.daemon.suppression_control import SuppressionControl
from pwmtad.model.ledger import Commit
from pwmtad.model.names import OTHER_OPERATOR, ReplyClass
from pwmtad.model.suppression import MAX_PAGE, SubjectKind, Suppression, SuppressionKey, SuppressionQuery
from tests.tools.judging import DAY, START, attempt, settings_of
from tests.unit.cli.daemon_face import FakeDaemon, run, words

NOW = START + 8 * DAY


class Daemon:
    """What answers."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "s"
        self.store = MemoryStore()
        self.store_works = True
        self.guard = Guard(Policy(settings=settings_of(), stop_rules=()))
        control = SuppressionControl(guard=self.guard, store=self.store, commit=self._commit, clock=lambda: NOW)
        fake = FakeDaemon(self.path)
        self.api = HttpApi(
            lambda: fake.snapshot,
            listen="127.0.0.1:0",
            socket=str(self.path),
            max_tick_age_s=30,
            now=lambda: NOW,
            metrics=Metrics(),
            control=fake,
            suppressions=control,
        )

    async def _commit(self) -> bool:
        if self.store_works and self.guard.has_deltas:
            await self.store.commit(Commit(at=NOW, judgement=self.guard.take_deltas()))
        return self.store_works

    def bounce(
        self, recipients: Iterable[str], reply_class: ReplyClass = ReplyClass.HARD_BOUNCE, stream: str = "trucking"
    ) -> None:
        for recipient in recipients:
            made = attempt(recipient=recipient, reply_class=reply_class, reply_rule="a-rule", stream=stream, egress="hc1")
            said = replace(made.attempt, text="550 5.1.1 <x@y> unknown, sorry")
            # Of a known operator so many would be held back.
            self.guard.see(replace(made, operator=OTHER_OPERATOR, attempt=said), NOW)

    async def rows(self) -> list[Suppression]:
        return await self.store.suppressions(SuppressionQuery(counting=True))

    async def run(self, *arguments: str, **more: Any) -> Result:
        return await asyncio.to_thread(run, "suppressions", *arguments, "--socket", str(self.path), **more)


@asynccontextmanager
async def _running(folder: Path) -> AsyncIterator[Daemon]:
    daemon = Daemon(folder)
    await daemon.api.start()
    try:
        yield daemon
    finally:
        await daemon.api.stop()


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Daemon]:
    async with _running(tmp_path) as running:
        yield running


async def test_a_list_shows_who_why_and_how_far_listmonk_was_told(daemon: Daemon) -> None:
    daemon.bounce(["a@example.org", "b@example.org"])
    daemon.bounce(["full@example.org"], ReplyClass.MAILBOX_FULL)
    result = await daemon.run("list")
    assert result.exit_code == 0
    assert "a@example.org hard_bounce 1 2026-06-10 trucking untold" in words(result.output)
    assert "full@" not in result.output
    counting = await daemon.run("list", "--counting")
    assert "full@example.org mailbox_full 1 2026-06-10 trucking counting" in words(counting.output)
    assert "full@" in (await daemon.run("list", "--state", "counting")).output
    assert "a@example.org" not in (await daemon.run("list", "--state", "verified")).output


@pytest.mark.parametrize(
    ("subject", "code"),
    [("A@Example.org", 0), ("b@example.org", 1), ("full@example.org", 1), ("@dead.example", 0), ("x.example", 1)],
)
async def test_a_script_asks_for_one_recipient_by_the_exit_code(daemon: Daemon, subject: str, code: int) -> None:
    daemon.bounce(["a@example.org"])
    daemon.bounce(["full@example.org"], ReplyClass.MAILBOX_FULL)
    daemon.bounce([f"r{n}@dead.example" for n in range(3)], ReplyClass.DEAD_DOMAIN)
    assert (await daemon.run("list", subject)).exit_code == code
    assert (await daemon.run("list", subject, "--json")).exit_code == code


async def test_a_long_list_is_cut_and_says_so(daemon: Daemon) -> None:
    daemon.bounce(f"r{n:03}@example.org" for n in range(60))
    result = await daemon.run("list", "--limit", "10")
    assert "r009@example.org" in result.output
    assert "r010@example.org" not in result.output
    assert "There are more" in result.output
    assert len((await daemon.run("list", "--json")).output.splitlines()) == 60


async def test_an_export_is_complete_sorted_and_names_each_once(daemon: Daemon, tmp_path: Path) -> None:
    names = [f"r{n:04}@example.org" for n in range(2 * MAX_PAGE + 1)]
    daemon.bounce(reversed(names))
    daemon.bounce(names[:2], stream="healthcare")
    daemon.bounce([f"r{n}@dead.example" for n in range(3)], ReplyClass.DEAD_DOMAIN)
    result = await daemon.run("export")
    assert result.exit_code == 0
    assert result.output.splitlines() == [*names, "@dead.example"]
    file = tmp_path / "list.txt"
    assert (await daemon.run("export", "--only", "domains", "-o", str(file))).exit_code == 0
    assert file.read_text() == "@dead.example\n"
    assert file.stat().st_mode & 0o777 == 0o600
    file.chmod(0o640)
    assert (await daemon.run("export", "--stream", "healthcare", "-o", str(file))).exit_code == 0
    assert file.read_text().splitlines() == names[:2]
    assert file.stat().st_mode & 0o777 == 0o640
    assert not file.with_name("list.txt.part").exists()


async def test_exports_for_programs_and_for_spreadsheets_hold_the_grounds(daemon: Daemon) -> None:
    daemon.bounce(["=1+1@example.org", "b@example.net"])
    rows = [json.loads(line) for line in (await daemon.run("export", "--json")).output.splitlines()]
    assert [(row["subject"], row["class"], row["state"], row["suppressed_at"]) for row in rows] == [
        ("=1+1@example.org", "hard_bounce", "untold", "2026-06-10T00:00:00.000Z"),
        ("b@example.net", "hard_bounce", "untold", "2026-06-10T00:00:00.000Z"),
    ]
    table = list(csv.DictReader(io.StringIO((await daemon.run("export", "--csv", "--domain", "example.org")).output)))
    assert [(row["subject"], row["rule"], row["reply"]) for row in table] == [
        ("'=1+1@example.org", "a-rule", "550 5.1.1 <x@y> unknown, sorry")
    ]
    assert (await daemon.run("export", "--csv", "--json")).exit_code == 2


async def test_people_suppress_and_take_back_and_it_is_recorded_without_addresses(daemon: Daemon) -> None:
    result = await daemon.run("add", "Reader@Example.org", "@dead.example", "--why", "asked for it")
    assert result.exit_code == 0
    assert "2 suppressed: @dead.example, reader@example.org" in result.output
    assert {row.key.stream for row in await daemon.rows()} == {"trucking", "healthcare"}
    assert {row.grounds.reply for row in await daemon.rows()} == {"asked for it"}
    again = await daemon.run("add", "reader@example.org", "--why", "again")
    assert again.exit_code == 0
    assert "suppressed already: reader@example.org" in again.stderr
    daemon.bounce(["reader@example.org"])
    result = await daemon.run("remove", "reader@example.org")
    assert (result.exit_code, result.output.strip()) == (0, "1 no longer suppressed: reader@example.org")
    assert {row.key.subject for row in await daemon.rows()} == {"dead.example"}
    result = await daemon.run("remove", "reader@example.org", "@dead.example", "--stream", "trucking")
    assert result.exit_code == 1
    assert "not suppressed: reader@example.org" in result.stderr
    assert {row.key.stream for row in await daemon.rows()} == {"healthcare"}
    reasons = [record.reason for record in await daemon.store.records(limit=20)]
    assert any(reason.startswith("2 suppressed, of dead.example, example.org: asked for it (") for reason in reasons)
    assert not any("reader@" in reason for reason in reasons)


async def test_what_is_removed_is_forgotten_also_while_it_is_counted(daemon: Daemon) -> None:
    daemon.bounce(["full@example.org"], ReplyClass.MAILBOX_FULL)
    assert (await daemon.run("remove", "full@example.org")).exit_code == 0
    assert await daemon.rows() == []


async def test_a_file_of_many_is_sent_in_bites(daemon: Daemon, tmp_path: Path) -> None:
    names = [f"{'r' * 60}{n}#x@example.org" for n in range(450)]
    file = tmp_path / "list"
    file.write_text("# unsubscribed by phone\n\n" + "".join(f"{name}  # a note\n" for name in names))
    result = await daemon.run("add", "--file", str(file), "--why", "by phone", "--stream", "healthcare")
    assert result.exit_code == 0
    assert sorted(row.key.subject for row in await daemon.rows()) == sorted(names)
    assert len(result.output.splitlines()) > 2


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("add", "nonsense", "--why", "x"), 2, "neither an address nor a domain"),
        (("add", "--why", "x"), 2, "name at least one"),
        (("add", "a@example.org", "--why", " "), 2, "give a reason"),
        (
            ("add", "a@example.org", "--why", "x", "--stream", "nope"),
            1,
            "there is no stream 'nope'; streams: healthcare, trucking",
        ),
        (("remove", "a@example.org", "--stream", "nope"), 1, "there is no stream"),
        (("list", "nonsense"), 2, "neither an address nor a domain"),
        (("list", "--domain", "a b"), 2, "is no domain"),
        (("list", "--class", "reputation"), 2, "is not one of"),
    ],
)
async def test_what_makes_no_sense_is_refused_and_changes_nothing(
    daemon: Daemon, arguments: tuple[str, ...], code: int, told: str
) -> None:
    result = await daemon.run(*arguments)
    assert result.exit_code == code
    assert told in words(result.stderr)
    assert await daemon.rows() == []


async def test_a_store_that_fails_is_said(daemon: Daemon) -> None:
    daemon.store_works = False
    result = await daemon.run("add", "a@example.org", "--why", "x")
    assert result.exit_code == 0
    assert "this holds only until the daemon restarts" in result.stderr


def test_without_a_daemon_each_command_says_so_and_writes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "list.txt"
    for arguments in (
        ["list"],
        ["export", "-o", str(file)],
        ["add", "a@example.org", "--why", "x"],
        ["remove", "a@example.org"],
    ):
        result = run("suppressions", *arguments, "--socket", str(tmp_path / "nobody"))
        assert result.exit_code == 2
        assert "the daemon does not run there" in result.stderr
    assert not file.exists()


async def test_a_file_that_can_not_be_written_is_said(daemon: Daemon, tmp_path: Path) -> None:
    result = await daemon.run("export", "-o", str(tmp_path / "no" / "list.txt"))
    assert result.exit_code == 2
    assert "can't write" in result.stderr


async def test_recipients_are_served_on_the_socket_alone(daemon: Daemon) -> None:
    host, port = daemon.api.addresses[0]
    async with aiohttp.ClientSession() as client:
        for method, path in (("GET", ""), ("POST", ""), ("POST", "/removals")):
            async with client.request(method, f"http://{host}:{port}/api/v1/suppressions{path}") as response:
                assert response.status == 403


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "limit=99999", "kind=person", "after=x", "after=a&after=b&after=c"])
async def test_a_bad_question_is_answered_with_400(daemon: Daemon, query: str) -> None:
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(daemon.path))) as client:
        async with client.get(f"http://pwmtad/api/v1/suppressions?{query}") as response:
            assert response.status == 400
        for path in ("", "/removals"):
            async with client.post(f"http://pwmtad/api/v1/suppressions{path}", data=b'{"subjects": []}') as response:
                assert response.status == 400


async def test_a_daemon_without_suppressions_says_so(tmp_path: Path) -> None:
    async with _running(tmp_path) as daemon:
        daemon.api._suppressions = None
        result = await daemon.run("list")
        assert (result.exit_code, "keeps no suppressions" in result.stderr) == (2, True)


async def test_a_person_may_say_so_again_for_a_stream_that_came_later(daemon: Daemon) -> None:
    key = SuppressionKey("trucking", SubjectKind.ADDRESS.value, "a@example.org", "manual")
    daemon.guard.suppressions.put([key], "x", "alice", NOW)
    result = await daemon.run("add", "a@example.org", "--why", "y")
    assert "1 suppressed" in result.output
    assert {row.key.stream: row.grounds.reply for row in await daemon.rows()} == {"trucking": "x", "healthcare": "y"}
