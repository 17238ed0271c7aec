"""`pwmtad release` as a person and as a script meets it."""

from __future__ import annotations

from pathlib import Path

from pwmtad.cli.halt import who
from pwmtad.model.control import ControlAnswer, ReleaseRequest
from tests.tools.states import HALT_ID
from tests.unit.cli.daemon_face import fake_daemon, run


async def test_a_release_says_how_sending_comes_back(tmp_path: Path) -> None:
    async with fake_daemon(tmp_path) as daemon:
        daemon.answer = ControlAnswer(HALT_ID, f"halt {HALT_ID} is released: sending comes back slowly, by probing", True)
        result = await daemon.run("release", HALT_ID)
    assert result.exit_code == 0
    assert result.stdout == (
        f"halt {HALT_ID} is released: sending comes back slowly, by probing\nwhat follows: pwmtad explain {HALT_ID}\n"
    )
    assert daemon.orders == [ReleaseRequest(HALT_ID, who())]


async def test_an_id_that_is_not_open_is_exit_code_1_with_those_that_are(tmp_path: Path) -> None:
    async with fake_daemon(tmp_path) as daemon:
        daemon.refuses = f"there is no open halt 'x'; open halts: {HALT_ID}"
        result = await daemon.run("release", "x")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"pwmtad: there is no open halt 'x'; open halts: {HALT_ID}\n"


def test_an_id_is_needed() -> None:
    assert run("release").exit_code == 2


def test_a_daemon_that_does_not_run_is_exit_code_2(tmp_path: Path) -> None:
    result = run("release", "x", "--socket", str(tmp_path / "none"))
    assert (result.exit_code, "the daemon does not run there" in result.stderr) == (2, True)
