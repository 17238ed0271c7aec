"""`pwmtad status` as a person and as a script meets it, against a real HTTP face."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result
from rich.cells import cell_len

from pwmtad.adapters.http_api import HttpApi
from pwmtad.adapters.metrics import Metrics
from pwmtad.cli import main
from pwmtad.cli.client import why_unreachable
from pwmtad.cli.status import exit_code, render_status
from pwmtad.cli.tables import make_console
from pwmtad.core import state_json
from pwmtad.model.judgement import HaltPhase
from pwmtad.model.state import Finding, Level, Snapshot, State
from tests.tools.states import AT, HALT_ID, healthy_snapshot, sample_halt, sample_snapshot, sample_state
from tests.unit.cli.daemon_face import words


@asynccontextmanager
async def _daemon(path: Path, snapshot: Callable[[], Snapshot] = sample_snapshot) -> AsyncIterator[HttpApi]:
    api = HttpApi(snapshot, listen="127.0.0.1:0", socket=str(path), max_tick_age_s=30, now=lambda: AT, metrics=Metrics())
    await api.start()
    try:
        yield api
    finally:
        await api.stop()


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["status", *arguments], env={"COLUMNS": "80"})


def _page(state: State, width: int = 80) -> str:
    console = make_console(width=width)
    with console.capture() as capture:
        render_status(state, console)
    return capture.get()


async def test_a_daemon_with_an_error_is_shown_and_told_by_exit_code_1(tmp_path: Path) -> None:
    path = tmp_path / "s"
    async with _daemon(path):
        result = await asyncio.to_thread(_run, "--socket", str(path))
    assert result.exit_code == 1
    assert "hc1 has no syslog_name of its own" in result.stdout
    assert "1,597 of 4,000" in result.stdout
    assert "day 15" in result.stdout


async def test_a_healthy_daemon_is_exit_code_0_also_over_http(tmp_path: Path) -> None:
    async with _daemon(tmp_path / "s", healthy_snapshot) as api:
        host, port = api.addresses[0]
        result = await asyncio.to_thread(_run, "--url", f"http://{host}:{port}/")
    assert result.exit_code == 0
    assert "Findings\n  none\n" in result.stdout


async def test_a_halt_is_shown_with_what_it_holds_and_how_to_end_it_and_is_exit_code_1(tmp_path: Path) -> None:
    healthy = healthy_snapshot()
    state = msgspec.structs.replace(healthy.state, halts=sample_state().halts)
    path = tmp_path / "s"
    async with _daemon(path, lambda: msgspec.structs.replace(healthy, state=state)):
        result = await asyncio.to_thread(_run, "--socket", str(path))
    assert result.exit_code == 1
    told = words(result.stdout)
    for sentence in (
        "Halts observe mode: nothing is held; this is what enforce mode would hold",
        f"{HALT_ID} rule google-blocks active Gmail refuses mail as unsolicited",
        "holds until 2026-06-20 03:12 UTC (in 2 d 8 h), longer while evidence comes",
        f"to end it: pwmtad release {HALT_ID}",
    ):
        assert sentence in told


def test_only_a_halt_that_stands_makes_the_exit_code_1() -> None:
    state = healthy_snapshot().state
    for phase, code in ((HaltPhase.ACTIVE, 1), (HaltPhase.PROBING, 0), (HaltPhase.RECOVERING, 0)):
        halt = msgspec.structs.replace(sample_halt(), phase=phase)
        assert exit_code(msgspec.structs.replace(state, halts=(halt,))) == code
        assert phase.value in _page(msgspec.structs.replace(state, halts=(halt,), mode="enforce"))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"sending": False, "reasons": ("google-blocks (x)", "ceiling")}, "no: google-blocks, ceiling"),
        ({"sending": False, "reasons": ("no egress can be used",)}, "no: no egress can be used"),
        ({"probe_limit": 10, "growth": False}, "probing: 10 an hour"),
        ({"held_operators": ("yahoo", "cox")}, "yes; not to yahoo, cox"),
        ({"growth": False}, "yes; no growth day"),
        ({}, "yes day 15 day 13 250 3 of 12"),
    ],
)
def test_each_stream_says_whether_it_may_send(changes: dict[str, object], told: str) -> None:
    state = healthy_snapshot().state
    desired = msgspec.structs.replace(state.desired[0], **changes)
    assert f"trucking {told}" in words(_page(msgspec.structs.replace(state, desired=(desired,)), 120))


def test_each_stream_says_why_it_does_not_grow() -> None:
    state = healthy_snapshot().state
    desired = (msgspec.structs.replace(state.desired[0], growth=False),)
    frozen = msgspec.structs.replace(state.streams[0], frozen_until=AT + 86_400, frozen_rule="rate-limits")
    page = words(_page(msgspec.structs.replace(state, desired=desired, streams=(frozen,)), 120))
    assert "trucking yes; no growth until 2026-06-18 18:22 UTC: rate-limits" in page
    unknown = msgspec.structs.replace(frozen, unknown=("clock_jumped", "log_gap"))
    page = words(_page(msgspec.structs.replace(state, desired=desired, streams=(unknown,)), 120))
    assert "trucking yes; no growth, unknown: clock_jumped, log_gap" in page


def test_a_daemon_that_judges_nothing_shows_the_ladders() -> None:
    page = words(_page(msgspec.structs.replace(healthy_snapshot().state, desired=())))
    assert "trucking ? day 15 ? 300 3 of 12" in page
    assert "trucking 214 of 300" in page


async def test_json_is_the_whole_state(tmp_path: Path) -> None:
    path = tmp_path / "s"
    async with _daemon(path):
        result = await asyncio.to_thread(_run, "--socket", str(path), "--json")
    assert result.exit_code == 1
    assert state_json.decode(result.stdout_bytes) == sample_state()
    assert json.loads(result.stdout)["streams"][0]["name"] == "trucking"


def test_a_daemon_that_does_not_run_is_exit_code_2_with_advice(tmp_path: Path) -> None:
    result = _run("--socket", str(tmp_path / "none"))
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith(f"pwmtad: no answer from {tmp_path}/none: the daemon does not run there")
    assert "systemctl status pwmtad" in result.stderr


def test_a_socket_that_a_crash_left_is_told_the_same(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    result = _run("--socket", str(path))
    assert (result.exit_code, "the daemon does not run there" in result.stderr) == (2, True)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:1", "the daemon does not run there"),
        ("https://127.0.0.1:9850", "is no URL such as http://127.0.0.1:9850"),
        ("127.0.0.1:9850", "is no URL such as"),
        ("http://127.0.0.1:99999", "has no port from 1 to 65535"),
        ("http://", "is no URL such as"),
    ],
)
def test_a_url_that_leads_nowhere_is_told(url: str, words: str) -> None:
    result = _run("--url", url)
    assert result.exit_code == 2
    assert words in result.stderr


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            PermissionError(13, "Permission denied"),
            "permission denied. Be root or in the group pwmtad, or ask over HTTP: --url http",
        ),
        (TimeoutError(), "it took more than 10 s"),
        (socket.gaierror(-2, "Name or service not known"), "there is no host of the name in http://nowhere.example:1"),
        (OSError(113, "No route to host"), "No route to host"),
    ],
)
def test_each_failure_is_told_with_what_to_do(error: OSError, words: str) -> None:
    assert words in why_unreachable(error, "http://nowhere.example:1")


def _answering(path: Path, answer: bytes) -> threading.Thread:
    """Serve one connection with fixed bytes."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def serve() -> None:
        with listener, listener.accept()[0] as connection:
            connection.recv(4096)
            connection.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "is not pwmtad"),
        (b"", "is not pwmtad"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "is no state that this version understands"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n\x1b[31m", "is no state that this version understands"),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 8\r\n\r\n\x1b[2Jwait", "the daemon answers 503: ?[2Jwait"),
    ],
)
def test_an_answer_that_is_not_pwmtads_is_told(tmp_path: Path, answer: bytes, words: str) -> None:
    path = tmp_path / "s"
    thread = _answering(path, answer)
    result = _run("--socket", str(path))
    thread.join()
    assert result.exit_code == 2
    assert words in result.stderr
    assert "\x1b" not in result.stderr


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_no_line_is_wider_than_the_terminal_and_no_number_is_cut(width: int) -> None:
    page = _page(sample_state(), width)
    assert max(cell_len(line) for line in page.splitlines()) <= width
    for number in ("1,284,551", "48,201", "1,597 of 4,000", "214 of 250"):
        assert number in page


def test_what_others_wrote_is_neither_markup_nor_terminal_control() -> None:
    hostile = "[bold red]x[/] [link=http://evil.example]y[/link] :smile: \x1b[2J \u202e\u2028"
    state = msgspec.structs.replace(sample_state(), findings=(Finding(Level.ERROR, "c", hostile, hostile),), summary=hostile)
    page = _page(state, 200)
    assert "[bold red]x[/] [link=http://evil.example]y[/link] :smile:" in page
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert "\u2028" not in page


def test_errors_stand_first() -> None:
    page = _page(sample_state())
    assert page.index("error  ") < page.index("unknown  ") < page.index("warning  ")


def test_only_errors_make_the_exit_code_1() -> None:
    state = healthy_snapshot().state
    for level, code in ((Level.OK, 0), (Level.WARNING, 0), (Level.UNKNOWN, 0), (Level.ERROR, 1)):
        assert exit_code(msgspec.structs.replace(state, findings=(Finding(level, "c", "t"),))) == code


def test_failures_of_parts_are_shown_where_the_parts_are() -> None:
    state = sample_state()
    broken = msgspec.structs.replace(
        state,
        sources=(msgspec.structs.replace(state.sources[0], error="Permission denied", last_line_at=None),),
        store=msgspec.structs.replace(state.store, error="disk full", last_commit_at=AT - 4000),
        reload=msgspec.structs.replace(state.reload, error="streams: ..."),
        streams=(),
        evicted_messages=3,
    )
    page = _page(broken, 120)
    for told in ("unreadable", "never", "stored 1 h 6 min ago; FAILING: disk full", "LAST RELOAD REFUSED",
                 "none configured", "3 evicted"):  # fmt: skip
        assert told in page
