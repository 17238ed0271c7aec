"""Boots the lab's Debian and drives it: commands inside, files inside, reboot, power cut. Every wait has a bound.

All that belongs to it lives in namespaces of its own and ends with them (boot.sh), and a guard ends those when this process
ends, however it ends (guard.sh). It needs root.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.tools.daemon import TooLateError, until

CHECKOUT: Final = Path(__file__).resolve().parents[2]
_HERE: Final = Path(__file__).resolve().parent
NEEDED: Final = ("systemd-nspawn", "dnsmasq", "opendkim", "postfix", "unshare", "setpriv", "nsenter", "ip")
PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_BOOT_S: Final = 60.0
_END_S: Final = 60.0
_COMMAND_S: Final = 60.0
_UP: Final = ("running", "degraded")


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command in the container did."""

    code: int
    out: str
    err: str


class CommandFailedError(AssertionError):
    """A command in the container ended with another code than 0."""


def missing() -> str:
    """Return why the lab can't run here, in a sentence; '' if it can."""
    if os.geteuid() != 0:
        return "the lab needs root (it boots a container)"
    absent = [name for name in NEEDED if shutil.which(name, path=PATH) is None]
    return f"the lab needs {', '.join(absent)}: `make lab` installs them" if absent else ""


class Container:
    """One Debian. `folder` is on the host, and /lab inside."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="pwmtad-lab-"))
        self._cgroup = self.folder.name
        self._guard: subprocess.Popen[bytes] | None = None
        self._leader = 0

    # -- life

    def start(self) -> None:
        """Boot, and return when systemd says that it is up."""
        command = [str(_HERE / "guard.sh"), sys.executable, str(CHECKOUT), str(self.folder), self._cgroup]
        with (self.folder / "boot.log").open("wb") as log:
            # A session of its own: Ctrl-C is for the tests, which then take it down in order.
            self._guard = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True, env=_environment()
            )
        self.wait_until_up()

    def stop(self) -> None:
        """End it at once, with all that ran in it, and remove its folder."""
        guard, self._guard = self._guard, None
        if guard is None:
            return
        assert guard.stdin is not None
        guard.stdin.close()
        try:
            guard.wait(_END_S)
        except subprocess.TimeoutExpired:
            guard.kill()
            guard.wait()
            raise TooLateError("the lab did not end") from None
        shutil.rmtree(self.folder, ignore_errors=True)

    def reboot(self) -> None:
        """`systemctl reboot`: services are stopped in order, then it boots again with the same disk and another memory."""
        self._go_down("systemctl", "reboot")

    def pull_the_plug(self) -> None:
        """End every process in it at one moment, as a power cut does, and let it boot again."""
        self._go_down()

    def went_down(self, within_s: float = 10.0) -> bool:
        """Whether it was shut down or rebooted by somebody inside, or is about to be."""
        try:
            until("it is down", lambda: not Path(f"/proc/{self._leader}").exists(), patience_s=within_s)
        except TooLateError:
            return False
        return True

    def _go_down(self, *command: str) -> None:
        before = self._leader
        self._leader = 0
        if command:
            subprocess.run(self._entering(before, command, 10.0), capture_output=True, timeout=20, check=False)
        else:
            os.kill(before, signal.SIGKILL)
        until("it is down", lambda: not Path(f"/proc/{before}").exists(), patience_s=_BOOT_S)
        self.wait_until_up()

    def wait_until_up(self) -> None:
        """Wait until it has booted. Raises TooLateError, with what was said meanwhile."""
        try:
            self._leader = until("there is a container", self._find_leader, patience_s=_BOOT_S)
            until("its systemd is up", self._is_up, patience_s=_BOOT_S)
        except TooLateError as error:
            raise TooLateError(f"{error}\n{self.console()}") from None

    def _is_up(self) -> bool:
        assert self._guard is not None
        assert self._guard.poll() is None, f"the lab ended while it booted\n{self.console()}"
        state = self.run("systemctl is-system-running", check=False, timeout_s=10).out.strip()
        if state in _UP:
            return True
        time.sleep(0.05)
        return False

    def _find_leader(self) -> int:
        """Return the PID of the container's systemd; 0 if there is none yet."""
        assert self._guard is not None
        assert self._guard.poll() is None, f"the lab ended while it booted\n{self.console()}"
        for pid in _descendants(self._guard.pid):
            with contextlib.suppress(OSError):
                name = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
                # PID 1 of the innermost of three: the host's, boot.sh's, the container's.
                levels = _status(pid, "NSpid").split()
                if (
                    name == "systemd"
                    and levels[-1] == "1"
                    and len(levels) == len(_status(self._guard.pid, "NSpid").split()) + 2
                ):
                    return pid
        return 0

    def console(self) -> str:
        """Return the end of what was said while it booted."""
        said = []
        for name in ("boot.log", "receivers.log", "dns.log", "console.log"):
            with contextlib.suppress(OSError):
                lines = (self.folder / name).read_text(encoding="utf-8", errors="replace").splitlines()
                said += [f"--- {name}", *lines[-30:]]
        return "\n".join(said)

    # -- inside

    @property
    def leader(self) -> int:
        """PID, on the host, of the container's PID 1."""
        assert self._leader, "the container is down"
        return self._leader

    def run(self, command: str | Sequence[str], *, check: bool = True, timeout_s: float = _COMMAND_S, stdin: str = "") -> Ran:
        """Run a command as root inside; a string goes to sh. Raises CommandFailedError if it failed and `check` is True."""
        words = ["sh", "-c", command] if isinstance(command, str) else list(command)
        done = subprocess.run(
            self._entering(self.leader, words, timeout_s),
            input=stdin.encode(),
            capture_output=True,
            timeout=timeout_s + 10,
            check=False,
        )
        ran = Ran(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))
        if check and ran.code != 0:
            raise CommandFailedError(f"{shlex.join(words)}: exit code {ran.code}\n{ran.out}{ran.err}")
        return ran

    def shell(self) -> int:
        """Give a prompt inside on this process' own terminal; return its exit code."""
        terminal = os.environ.get("TERM", "dumb")
        clean = ["env", "-i", f"PATH={PATH}", "LANG=C.UTF-8", "HOME=/root", f"TERM={terminal}", r"PS1=\u@lab:\w# "]
        words = ["nsenter", "-t", str(self.leader), "-a", *clean, "sh", "-c", "cd /root; exec bash --norc"]
        return subprocess.run(words, check=False).returncode

    def start_in_network(self, module: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a module of the tests outside of the container but in its network, and return at once. Its input and output are
        pipes. It ends with this process at the latest.
        """
        words = [
            "nsenter",
            "-t",
            str(self.leader),
            "-n",
            "setpriv",
            "--pdeathsig",
            "KILL",
            sys.executable,
            "-m",
            module,
            *arguments,
        ]
        pipe = subprocess.PIPE
        return subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=pipe, cwd=CHECKOUT, env=_environment())

    def in_the_network(self, *command: str) -> None:
        """Run a command of the host in the lab's network: `ip`, which the container itself may not."""
        subprocess.run(["nsenter", "-t", str(self.leader), "-n", *command], check=True, timeout=_COMMAND_S, capture_output=True)

    def read(self, path: str) -> str:
        """Return a file's text; '' if there is no such file."""
        ran = self.run(["cat", "--", path], check=False)
        return ran.out if ran.code == 0 else ""

    def write(self, path: str, text: str, *, mode: int = 0o644) -> None:
        """Write a file whole, by renaming, with its folders."""
        to = shlex.quote(path)
        self.run(
            f'mkdir -p "$(dirname {to})" && cat >{to}.new && chmod {mode:o} {to}.new && mv -T {to}.new {to}',
            stdin=text,
        )

    def inside(self, path: str) -> Path:
        """Return the host's path to something inside, for sockets. Never write through it: a link in it leads into the host."""
        return Path(f"/proc/{self.leader}/root/{path.lstrip('/')}")

    @staticmethod
    def _entering(leader: int, words: Sequence[str], timeout_s: float) -> list[str]:
        clean = ["env", "-i", f"PATH={PATH}", "LANG=C.UTF-8", "HOME=/root", "TERM=dumb"]
        return ["nsenter", "-t", str(leader), "-a", *clean, "timeout", "--kill-after=2", f"{timeout_s:g}", *words]


def _environment() -> dict[str, str]:
    return {"PATH": PATH, "LANG": "C.UTF-8", "HOME": "/root", "PYTHONDONTWRITEBYTECODE": "1"}


def _status(pid: int, key: str) -> str:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{key}:"):
            return line.partition(":")[2].strip()
    return ""


def _descendants(pid: int) -> Iterator[int]:
    parents: dict[int, list[int]] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                stat = Path(entry.path, "stat").read_text(encoding="utf-8", errors="replace")
                parents.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(entry.name))
    waiting = [pid]
    while waiting:
        children = parents.get(waiting.pop(), [])
        yield from children
        waiting += children
