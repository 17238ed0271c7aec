"""`pwmtad explain`: why did it halt at 03:12, on what grounds, what was done, when does it end, and how is it undone?"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from msgspec.structs import replace
from rich.cells import cell_len

from pwmtad.cli.explain import render_records
from pwmtad.cli.tables import make_console
from pwmtad.core import state_json
from pwmtad.model.judgement import EvidenceLine, Halt, HaltPhase, Record, RecordKind
from pwmtad.model.state import State
from tests.tools.states import AT, HALT_ID, HALTED_AT, sample_halt, sample_records, sample_state
from tests.unit.cli.daemon_face import fake_daemon, run, words


def _page(records: list[Record], state: State | None = None, *, halt_id: str | None = None, width: int = 80) -> str:
    console = make_console(width=width)
    with console.capture() as capture:
        render_records(records, state or sample_state(), console, halt_id)
    return capture.get()


def _halted(**changes: object) -> State:
    halt: Halt = replace(sample_halt(), evidence=(), **changes)
    return replace(sample_state(), halts=(halt,))


def _halt_page(**changes: object) -> str:
    return words(_page(sample_records()[1:2], _halted(**changes)))


async def test_why_did_it_halt_at_03_12(tmp_path: Path) -> None:
    async with fake_daemon(tmp_path) as daemon:
        result = await daemon.run("explain", HALT_ID)
    assert result.exit_code == 0
    told = words(result.stdout)
    for sentence in (
        "2026-06-17 03:12:41 UTC halt trucking rule google-blocks",
        "Gmail refuses mail as unsolicited or for the reputation of address or domain: 3 times, to 3 recipients, within 1 h at "
        "google.",
        "02:42:38 4XkJ2l5zq9z1 to example.org by out05 via gmail-smtp-in.l.google.com",
        "Gmail has detected that this message is likely unsolicited mail",
        "Observe mode: nothing was done.",
        "Holds until 2026-06-20 03:12 UTC (in 2 d 8 h), longer while evidence comes.",
        f"To end it: pwmtad release {HALT_ID}",
    ):
        assert sentence in told
    assert told.count("550-5.7.1") == 3
    assert "freeze" not in told


async def test_without_an_id_the_newest_decisions_are_told_oldest_first(tmp_path: Path) -> None:
    async with fake_daemon(tmp_path) as daemon:
        everything = (await daemon.run("explain")).stdout
        last = (await daemon.run("explain", "--limit", "1")).stdout
    assert everything.index("freeze") < everything.index("halt") < everything.index("unknown")
    assert words(last) == (
        "2026-06-17 04:12:41 UTC unknown healthcare rule log_silent 14 messages are queued, and no line was logged for 61 min. "
        "Pool and window do not grow, and no halt ends by itself, while this is so."
    )


async def test_a_list_full_of_dead_domains_hides_no_halt(tmp_path: Path) -> None:
    dead = Record(AT, RecordKind.SUPPRESS, "trucking", "null-mx", "dead.example does not take mail at all")
    async with fake_daemon(tmp_path) as daemon:
        daemon.kept += [dead] * 50
        assert HALT_ID in (await daemon.run("explain")).stdout
        assert "dead.example" not in (await daemon.run("explain")).stdout
        assert (await daemon.run("explain", "--all")).stdout.count("Dead.example") == 20
        assert len((await daemon.run("explain", "--json")).stdout.splitlines()) == 20


async def test_json_is_one_object_a_line_with_dates(tmp_path: Path) -> None:
    async with fake_daemon(tmp_path) as daemon:
        result = await daemon.run("explain", "--json")
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert records == [state_json.plain(record) for record in sample_records()]
    assert records[1]["ends_at"] == "2026-06-20T03:12:41.000Z"
    assert "\x1b" not in result.stdout


async def test_an_unknown_id_is_exit_code_1_and_names_the_open_ones(tmp_path: Path) -> None:
    async with fake_daemon(tmp_path) as daemon:
        result = await daemon.run("explain", "nothing\x1b[2J")
    assert (result.exit_code, result.stdout) == (1, f"No record of a halt nothing?[2J. Open halts: \n{HALT_ID}\n")


async def test_a_store_that_fails_is_exit_code_2_in_the_words_of_the_daemon(tmp_path: Path) -> None:
    async with fake_daemon(tmp_path) as daemon:
        daemon.refuses = "store: could not read records: the disk is full"
        result = await daemon.run("explain")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "pwmtad: store: could not read records: the disk is full\n"


def test_a_daemon_that_does_not_run_is_exit_code_2(tmp_path: Path) -> None:
    result = run("explain", "--socket", str(tmp_path / "none"))
    assert (result.exit_code, "the daemon does not run there" in result.stderr) == (2, True)


async def test_a_quiet_daemon_says_so(tmp_path: Path) -> None:
    async with fake_daemon(tmp_path) as daemon:
        daemon.kept = []
        result = await daemon.run("explain")
    assert (result.exit_code, result.stdout) == (0, "No decision yet.\n")


def test_enforce_mode_does_not_say_that_nothing_was_done() -> None:
    assert "nothing was done" not in _page(sample_records(), replace(sample_state(), mode="enforce"))


def test_a_halt_is_told_as_it_is_today_and_not_as_it_began() -> None:
    assert "It is over." in words(_page(sample_records()[1:2], replace(sample_state(), halts=())))
    probing = _halt_page(phase=HaltPhase.PROBING, phase_at=AT - 60)
    assert "Probing since 2026-06-17 18:21 UTC: 10 messages an hour; evidence doubles the hold." in probing
    recovering = _halt_page(phase=HaltPhase.RECOVERING, phase_at=AT - 60)
    assert "Recovering since 2026-06-17 18:21 UTC: on the ladder of the effective day" in recovering
    endless = _halt_page(hold_until=None)
    assert "Holds since 2026-06-17 03:12 UTC (15 h 10 min ago), until it is released." in endless
    late = _halt_page(hold_until=AT - 60)
    assert "its time is over, but all was not quiet or not known yet." in late
    ended = _halt_page(phase=HaltPhase.ENDED, ended_at=AT - 7200, ended_by="alice")
    assert "Ended 2 h ago by alice." in ended
    assert "pwmtad release" not in ended


def test_a_relapse_says_what_it_was_before() -> None:
    relapse = replace(sample_records()[1], before="probing")
    assert "halt trucking rule google-blocks probing -> active" in words(_page([relapse]))


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (RecordKind.CAP, "Observe mode: nothing was done. Nothing should leave until 2026-06-18 00:00 UTC; it ends by itself."),
        (RecordKind.FREEZE, "Pool and window do not grow until 2026-06-18 00:00 UTC; it ends by itself."),
        (RecordKind.SUPPRESS, "Nothing is held for it; a person should look at it."),
        (RecordKind.ALERT, "Nothing is held for it; a person should look at it."),
        (RecordKind.POOL, "3 -> 5 Because. Observe mode: nothing was done."),
        (RecordKind.WINDOW, "3 -> 5 Because. Observe mode: nothing was done."),
        (RecordKind.PHASE, "3 -> 5 Because."),
        (RecordKind.RELEASE, "3 -> 5 Because."),
        (RecordKind.KNOWN, "rule r Because."),
    ],
)
def test_every_kind_says_what_it_brings(kind: RecordKind, told: str) -> None:
    midnight = HALTED_AT - HALTED_AT % 86_400 + 86_400
    record = Record(HALTED_AT, kind, "trucking", "r", "because", (), "3", "5", ends_at=midnight)
    assert words(_page([record])).endswith(told)


def test_evidence_of_another_day_has_its_date() -> None:
    record = replace(
        sample_records()[1], evidence=(EvidenceLine(HALTED_AT - 86_400, "yesterday"), EvidenceLine(HALTED_AT, "today"))
    )
    page = words(_page([record]))
    assert "2026-06-16 03:12:41 yesterday 03:12:41 today" in page


@pytest.mark.parametrize("width", [80, 120])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    page = _page(sample_records(), width=width)
    assert max(cell_len(line) for line in page.splitlines()) <= width


def test_what_others_wrote_is_neither_markup_nor_terminal_control() -> None:
    hostile = "[bold red]x[/] [link=http://evil.example]y[/link] :smile: \x1b[2J \u202e"
    record = replace(sample_records()[1], reason=hostile, evidence=(EvidenceLine(AT, hostile),), subject=hostile, rule=hostile)
    page = _page([record], width=200)
    assert page.count("[bold red]x[/] [link=http://evil.example]y[/link] :smile:") >= 3
    assert "\x1b" not in page
    assert "\u202e" not in page
