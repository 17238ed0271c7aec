"""`pwmtad report`: all that the runbook's monitoring commands show, in one page."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result
from rich.cells import cell_len

from pwmtad.adapters.http_api import HttpApi
from pwmtad.adapters.metrics import Metrics
from pwmtad.cli import main
from pwmtad.cli.report import render_report
from pwmtad.cli.tables import make_console
from pwmtad.core.audits import NO_ALTBODY
from pwmtad.core.report import report_of, total_of
from pwmtad.model.acting import Acting
from pwmtad.model.counters import AttemptCounts, AttemptKey
from pwmtad.model.state import Finding, Level, MixRow, ReasonRow, State
from tests.tools.states import AT, sample_snapshot, sample_state


def _page(state: State, width: int = 80, top: int = 10) -> str:
    console = make_console(width=width)
    with console.capture() as capture:
        render_report(state, console, top=top)
    return capture.get()


def _words(page: str) -> str:
    """The page without its layout."""
    return " ".join(page.split())


def test_the_page_has_everything_that_the_monitoring_commands_showed() -> None:
    page = _words(_page(sample_state()))
    for words in (
        "trucking 2,036 1,431 70% 527 26% 78 4% 245 2,540",  # delivery mix today
        "out05 trucking in 86 702 630 65% 301 31% 41 4%",  # volume per IP today
        "301 trucking dead_domain 451 4.4.4 Mail received as unauthenticated",  # top deferral reasons
        "41 trucking reputation 550-5.7.1 Gmail has detected that this message is likely unsolicited mail",  # and bounces
        "incoming 2, active 14, deferred 1,846, hold 0",  # queue size
        "3 of 12: out05 out06 out07",  # active rotation pool
        "trucking day 15 214 of 250 1,597 of 4,000",  # warmup day
        "trucking 1,597 1,585 12 <1% 2 unsigned (<1%)",  # DKIM signing campaign mail
    ):
        assert words in page


def test_an_egress_that_sent_nothing_is_listed() -> None:
    assert "out08 trucking out 0 0 0 - 0 - 0 -" in _words(_page(sample_state()))


def test_only_the_top_reasons_are_shown() -> None:
    page = _page(sample_state(), top=1)
    assert "Mail received as unauthenticated" in page
    assert "Greylisted" not in page


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    assert max(cell_len(line) for line in _page(sample_state(), width).splitlines()) <= width


def test_large_numbers_and_many_egresses_fit_80_columns_uncut() -> None:
    state = sample_state()
    names = tuple(f"out{n:02}" for n in range(2, 22))
    big = AttemptCounts(23_456, 7_654, 12)
    rows = tuple(MixRow(AttemptKey("trucking", name, "google", "sent", ""), big, big, big) for name in names)
    streams = (msgspec.structs.replace(state.streams[0], egresses=names, pool=names, pool_allowed=20),)
    page = _page(msgspec.structs.replace(state, mix=rows, streams=streams))
    assert max(cell_len(line) for line in page.splitlines()) <= 80
    assert page.count("31,110 100%") == 20
    assert all(page.count(name) == 2 for name in names)


def test_a_host_that_sent_nothing_has_a_page_too() -> None:
    state = msgspec.structs.replace(sample_state(), mix=(), reasons=(), streams=())
    page = _page(state)
    assert "no delivery attempt in the last 24 hours" in page
    assert "no streams configured" in page


def test_a_remotes_text_is_shown_as_it_is_and_obeyed_by_nothing() -> None:
    row = ReasonRow("trucking", "bounced", "reputation", "550 [bold red]\x1b]0;owned\x07[/] :fire:", 9)
    page = _page(msgspec.structs.replace(sample_state(), reasons=(row,)), 200)
    assert "550 [bold red]?]0;owned?[/] :fire:" in page


def test_notifications_are_volume_but_no_delivery_of_a_campaign() -> None:
    key = AttemptKey("trucking", "out05", "google", "sent", "")
    row = MixRow(key, AttemptCounts(), AttemptCounts(3, 2, 7), AttemptCounts(3, 2, 7))
    (line, *_) = report_of(msgspec.structs.replace(sample_state(), mix=(row,))).streams
    assert (line.utc_day.sent, line.utc_day.attempts, line.utc_day.first, line.utc_day.notifications) == (5, 5, 3, 7)


def test_a_status_that_leaves_the_message_queued_is_a_deferral() -> None:
    rows = tuple(
        MixRow(AttemptKey("trucking", "out05", "google", status, ""), AttemptCounts(), AttemptCounts(), AttemptCounts(1))
        for status in ("sent", "deferred", "softbounce", "bounced")
    )
    (line, *_) = report_of(msgspec.structs.replace(sample_state(), mix=rows)).streams
    assert (line.utc_day.sent, line.utc_day.deferred, line.utc_day.bounced) == (1, 2, 1)


def test_streams_and_egresses_and_operators_add_up_to_the_same() -> None:
    report = report_of(sample_state())
    totals = [total_of(lines) for lines in (report.streams, [line.sums for line in report.egresses], report.operators)]
    assert totals[0] == totals[1] == totals[2]
    assert totals[0].utc_day.attempts == 2261


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["report", *arguments], env={"COLUMNS": "80"})


async def test_the_command_asks_the_running_daemon(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    api = HttpApi(sample_snapshot, listen="127.0.0.1:0", socket=path, max_tick_age_s=30, now=lambda: AT, metrics=Metrics())
    await api.start()
    try:
        page = await asyncio.to_thread(_run, "--socket", path)
        numbers = await asyncio.to_thread(_run, "--socket", path, "--json")
    finally:
        await api.stop()
    assert (page.exit_code, numbers.exit_code) == (0, 0)
    assert "Delivery today" in page.stdout
    data = json.loads(numbers.stdout)
    assert data["at"] == "2026-06-17T18:22:41.000Z"
    assert data["streams"][0]["utc_day"]["sent"] == 1431
    assert data["egresses"][0]["sums"]["name"] == "out05"
    assert data["reasons"][0]["class"] == "dead_domain"


def test_without_a_daemon_the_exit_code_is_2(tmp_path: Path) -> None:
    result = _run("--socket", str(tmp_path / "none"))
    assert result.exit_code == 2
    assert "the daemon does not run there" in result.stderr


def test_suppressions_and_audits_are_counted_by_stream_and_what_is_not_known_is_not_zero() -> None:
    finding = Finding(Level.WARNING, NO_ALTBODY, "trucking: no plain text beside the HTML in campaign(s) 12 (News)", "trucking")
    state = sample_state()
    page = _words(_page(msgspec.structs.replace(state, findings=(*state.findings, finding))))
    for words in (
        "trucking 2,314 77 164 12 4 1 0",
        "trucking 3 1 1 1,204 7%",
        "healthcare ? ? ? ? ?",
        "warning trucking: no plain text beside the HTML in campaign(s) 12 (News)",
    ):
        assert words in page


def test_a_host_without_suppressions_and_audits_has_no_table_of_them() -> None:
    page = _page(msgspec.structs.replace(sample_state(), acting=Acting()))
    assert "Suppressions" not in page
    assert "Campaigns" not in page
