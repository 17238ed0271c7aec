"""The root helper as a process beside a real Postfix: started, asked, told to end, killed, and asked to restore. Needs root."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from pwmtad.adapters.helper import HelperClient
from pwmtad.cli import main
from pwmtad.daemon.helper_app import STATE_DIRECTORY
from pwmtad.model.target import Applied, PostfixTarget, StreamTarget
from tests.tools.daemon import PATIENCE_S, ROOT, until
from tests.tools.postfix_instance import PostfixInstance, cloned

pytestmark = pytest.mark.services

CLONES = cloned([5, 6])
POOL = PostfixTarget((StreamTarget("news", ("out05", "out06"), ("out05", "out06")),))
HALT = PostfixTarget((StreamTarget("news", ("out05", "out06"), ("out05", "out06"), paused_by="news-h1"),), keep_queued=True)


class Helper:
    """`pwmtad helper` in a folder of its own."""

    def __init__(self, postfix: PostfixInstance) -> None:
        self.postfix = postfix
        self.socket = postfix.folder / "s"
        self.config = postfix.folder / "pwmtad.toml"
        self.config.write_text(
            f'[postfix]\nconfig_directory = "{postfix.config}"\nqueue_directory = "{postfix.queue}"\n'
            f'helper_socket = "{self.socket}"\n\n[streams.news]\nthis = "is a mistake, but none of the helper\'s"\n'
        )
        self.process: subprocess.Popen[str] | None = None

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start it; return at once."""
        command = [sys.executable, "-m", "pwmtad", "helper", "-c", str(self.config), "--state-directory",
                   str(self.postfix.state), "--allow-user", "nobody", *arguments]  # fmt: skip
        return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def up(self) -> None:
        """Start it and wait until it listens."""
        self.socket.unlink(missing_ok=True)
        self.process = process = self.start()
        until("it listens", lambda: self.listens() or process.poll() is not None)
        assert process.poll() is None, process.communicate()[1]

    def listens(self) -> bool:
        """Whether it can be asked: its socket is there a moment before that."""
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.socket)) == 0

    def end(self, number: int = signal.SIGKILL) -> int:
        """Send a signal and wait for its end; return the exit code."""
        if self.process is not None:
            self.process.send_signal(number)
        return self.ended()

    def ended(self) -> int:
        """Wait for its end; return the exit code."""
        process, self.process = self.process, None
        if process is None:
            return 0
        process.communicate(timeout=PATIENCE_S)
        return process.returncode

    def apply(self, target: PostfixTarget) -> Applied:
        """Ask for it over the socket."""

        async def ask() -> Applied:
            client = HelperClient(str(self.socket))
            try:
                return await client.apply(target)
            finally:
                client.close()

        return asyncio.run(ask())


@pytest.fixture
def helper() -> Iterator[Helper]:
    if os.geteuid() != 0:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("the helper runs as root")
    with PostfixInstance(CLONES) as postfix:
        postfix.start()
        running = Helper(postfix)
        yield running
        running.end()


def test_it_is_asked_over_its_socket_and_ends_when_told_to(helper: Helper) -> None:
    helper.up()
    assert helper.apply(POOL).actual.pool == ("out05", "out06")
    helper.postfix.send(["a@example.net", "b@example.net"])
    helper.postfix.wait_received(2)
    assert helper.apply(HALT).actual.paused_by == "news-h1"
    assert helper.end(signal.SIGTERM) == 0


def test_a_second_one_does_not_start_and_says_why(helper: Helper) -> None:
    helper.up()
    second = helper.start("--socket", str(helper.postfix.folder / "s2"))
    _, said = second.communicate(timeout=PATIENCE_S)
    assert second.returncode == 2
    assert "another helper runs already" in said
    assert helper.apply(POOL).problem is None


def test_told_to_end_in_the_middle_it_finishes_what_it_does(helper: Helper) -> None:
    helper.up()
    for target in (HALT, POOL, HALT):
        with_delay = helper.process
        assert with_delay is not None

        async def ask_and_end(process: subprocess.Popen[str] = with_delay, target: PostfixTarget = target) -> Applied:
            client = HelperClient(str(helper.socket))
            assert (await client.look()).problem is None
            asking = asyncio.create_task(client.apply(target))
            await asyncio.sleep(0.005)  # it may be anywhere in it
            process.send_signal(signal.SIGTERM)
            answer = await asking
            client.close()
            return answer

        applied = asyncio.run(ask_and_end())
        assert helper.ended() == 0  # told once: a second signal may find the interpreter leaving, its handlers gone
        if applied.problem is not None:  # it had not begun
            assert "helper" in applied.problem
        helper.up()
        wait = helper.postfix.before_reload()
        again = helper.apply(target)
        assert again.drift == ()
        if again.reloaded:
            wait()
    helper.postfix.send(["a@example.net"])
    helper.postfix.wait_outcomes(1, "deferred")


def test_killed_at_any_moment_it_knows_again_what_is_its_own(helper: Helper) -> None:
    before = helper.postfix.values()

    async def ask_and_kill(process: subprocess.Popen[str], target: PostfixTarget, after_s: float) -> None:
        client = HelperClient(str(helper.socket))
        assert (await client.look()).problem is None
        asking = asyncio.create_task(client.apply(target))
        await asyncio.sleep(after_s)
        process.kill()
        await asking
        client.close()

    for number in range(12):
        helper.up()
        assert helper.process is not None
        asyncio.run(ask_and_kill(helper.process, HALT if number % 2 else POOL, number * 0.004))
        helper.end()
    helper.up()
    applied = helper.apply(HALT)
    assert (applied.problem, applied.drift, applied.actual.paused_by) == (None, (), "news-h1")
    done = CliRunner().invoke(main, ["restore", "--socket", str(helper.socket)])
    assert done.exit_code == 0, done.output
    assert helper.postfix.values() == before


def test_restore_prints_what_was_put_back_and_what_stays_on_hold(helper: Helper) -> None:
    helper.up()
    helper.postfix.set("maximal_queue_lifetime=4d")
    wait = helper.postfix.before_reload()
    assert helper.apply(HALT).problem is None
    wait()
    helper.postfix.send(["a@example.net"])
    (queue_id,) = helper.postfix.wait_deferred(1)

    async def hold() -> None:
        client = HelperClient(str(helper.socket))
        assert await client.hold([queue_id]) is None
        client.close()

    asyncio.run(hold())
    wait = helper.postfix.before_reload()
    done = CliRunner().invoke(main, ["restore", "--socket", str(helper.socket)])
    assert done.exit_code == 0, done.output
    wait()
    lines = done.output.splitlines()
    assert "maximal_queue_lifetime: 100d -> 4d" in lines
    assert "sender_dependent_default_transport_maps: static:{paused-by-pwmtad:news-h1} -> (not set)" in lines
    assert f"1 message(s) stay on hold: {queue_id}. To let them go: pwmtad restore --release-held, or postsuper -H ID" in lines
    done = CliRunner().invoke(main, ["restore", "--release-held", "--socket", str(helper.socket)])
    assert (done.exit_code, done.output) == (0, "nothing in main.cf is pwmtad's\n")
    helper.postfix.wait_received(1)


def test_restore_without_a_helper_says_what_to_do(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["restore", "--socket", str(tmp_path / "none")])
    if os.geteuid() == 0:
        assert done.exit_code == 2
        assert "systemctl enable --now pwmtad-helper.socket" in done.output
    else:
        assert done.exit_code == 1
        assert "only root may restore" in done.output


def _refused(helper: Helper, *arguments: str) -> str:
    process = helper.start(*arguments)
    _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2, said
    return said


def test_a_configuration_that_others_can_write_is_refused(helper: Helper) -> None:
    helper.config.chmod(0o666)
    assert "can be written by others than root" in _refused(helper)
    helper.config.chmod(0o644)
    helper.postfix.folder.chmod(0o777)
    assert "can be written by others than root" in _refused(helper)
    helper.postfix.folder.chmod(0o755)


def test_mistakes_that_keep_it_from_starting_are_told(helper: Helper) -> None:
    helper.config.write_text("[postfix\n")
    assert "is no TOML" in _refused(helper)
    helper.config.write_text('[postfix]\nqueue_directory = "relative"\n')
    assert "postfix.queue_directory can't be used: pwmtad check-config" in _refused(helper)
    helper.config.write_text("")
    assert "there is no user nonesuch to serve" in _refused(helper, "--allow-user", "nonesuch")
    assert "can't listen on /nonexistent/s" in _refused(helper, "--socket", "/nonexistent/s")
    helper.config.unlink()
    helper.config.mkdir()
    assert "can't read" in _refused(helper) or "is a directory" in _refused(helper)


def test_the_command_line_goes_before_the_file(helper: Helper) -> None:
    helper.config.unlink()
    process = helper.start(
        "--config-directory", str(helper.postfix.config), "--queue-directory", str(helper.postfix.queue),
        "--socket", str(helper.socket),
    )  # fmt: skip
    helper.process = process
    until("it listens", lambda: helper.listens() or process.poll() is not None)
    assert helper.apply(POOL).actual.pool == ("out05", "out06")


def test_the_command_and_the_composition_name_the_same_state_directory() -> None:
    help_text = CliRunner().invoke(main, ["helper", "--help"], env={"COLUMNS": "200"}).output
    assert STATE_DIRECTORY in help_text
