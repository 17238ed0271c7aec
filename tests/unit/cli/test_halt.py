"""`pwmtad halt` as a person and as a script meets it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pwmtad.cli.halt import who
from pwmtad.model.control import ControlAnswer, HaltRequest
from tests.tools.states import HALT_ID
from tests.unit.cli.daemon_face import fake_daemon, run


async def test_a_halt_says_what_it_did_and_how_to_end_it(tmp_path: Path) -> None:
    async with fake_daemon(tmp_path) as daemon:
        result = await daemon.run("halt", "trucking", "--for", "72h", "--why", "new list looks bad")
    assert result.exit_code == 0
    assert result.stdout == f"stream trucking is halted: {HALT_ID}\nto end it: pwmtad release {HALT_ID}\n"
    assert result.stderr == ""
    assert daemon.orders == [HaltRequest("trucking", "new list looks bad", who(), 259_200)]


async def test_a_halt_without_a_span_has_no_end(tmp_path: Path) -> None:
    async with fake_daemon(tmp_path) as daemon:
        await daemon.run("halt", "trucking", "--why", "x")
    assert [order.hold_s for order in daemon.orders if isinstance(order, HaltRequest)] == [None]


@pytest.mark.parametrize(
    ("span", "seconds"), [("30min", 1800), ("30m", 1800), ("1h", 3600), ("3 d", 259_200), ("366d", 366 * 86_400)]
)
async def test_spans_are_written_as_people_write_them(tmp_path: Path, span: str, seconds: int) -> None:
    async with fake_daemon(tmp_path) as daemon:
        await daemon.run("halt", "trucking", "--for", span, "--why", "x")
    assert [order.hold_s for order in daemon.orders if isinstance(order, HaltRequest)] == [seconds]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--why", "x", "--for", "72"), "is no span such as 30min, 72h or 3d"),
        (("--why", "x", "--for", "0h"), "is no span"),
        (("--why", "x", "--for", "-3h"), "is no span"),
        (("--why", "x", "--for", "367d"), "is longer than a year"),
        (("--why", ""), "give a reason of at most 200 characters"),
        (("--why", "x" * 201), "give a reason of at most 200 characters"),
        ((), "Missing option '--why'"),
    ],
)
def test_what_can_not_be_meant_is_refused_before_anybody_is_asked(arguments: tuple[str, ...], said: str) -> None:
    result = run("halt", "trucking", *arguments, "--socket", "/nonexistent")
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


async def test_a_refusal_is_exit_code_1_in_the_words_of_the_daemon(tmp_path: Path) -> None:
    async with fake_daemon(tmp_path) as daemon:
        daemon.refuses = "there is no stream 'truking'; streams: trucking"
        result = await daemon.run("halt", "truking", "--why", "x")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "pwmtad: there is no stream 'truking'; streams: trucking\n"


def test_a_daemon_that_does_not_run_is_exit_code_2_with_advice(tmp_path: Path) -> None:
    result = run("halt", "trucking", "--why", "x", "--socket", str(tmp_path / "none"))
    assert (result.exit_code, result.stdout) == (2, "")
    assert "the daemon does not run there" in result.stderr


async def test_a_halt_that_could_not_be_stored_warns(tmp_path: Path) -> None:
    async with fake_daemon(tmp_path) as daemon:
        daemon.answer = ControlAnswer(HALT_ID, "stream trucking is halted", False)
        result = await daemon.run("halt", "trucking", "--why", "x")
    assert result.exit_code == 0
    assert "this holds only until the daemon restarts" in result.stderr


async def test_an_answer_with_control_characters_commands_no_terminal(tmp_path: Path) -> None:
    async with fake_daemon(tmp_path) as daemon:
        daemon.answer = ControlAnswer("\x1b[2J", "one\ntwo\x1b[31m\u202e", True)
        result = await daemon.run("halt", "trucking", "--why", "x")
        assert result.stdout == "one\ntwo?[31m?\nto end it: pwmtad release ?[2J\n"
        daemon.refuses = "no\x1b[2J"
        assert (await daemon.run("halt", "trucking", "--why", "x")).stderr == "pwmtad: no?[2J\n"
