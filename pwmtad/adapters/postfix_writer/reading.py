"""Reads main.cf and master.cf raw, as the helper needs them, and whether Postfix runs."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from typing import Final

from pwmtad.adapters.postfix_writer.commands import Commands
from pwmtad.core.main_cf import MAIN_NAMES, read_main
from pwmtad.core.main_cf_edit import MainCf
from pwmtad.core.master_cf import CLONE_OPTIONS, clones_of

_UNUSED: Final = re.compile(r"^postconf: warning: .*?: unused parameter: (\S+?)=(.*)$", re.MULTILINE)
"""`postconf -n` leaves out what no service uses, such as the rate delay of a clone that is gone (seen in a run of 3.7.11)."""


async def read_main_cf(commands: Commands, config_directory: str, *, timeout_s: float) -> MainCf | str:
    """Return what stands in the files; in words why not, if it can't be read."""
    everything, services, options, main = await asyncio.gather(
        commands.run("postconf", "-n", timeout_s=timeout_s),
        commands.run("postconf", "-M", "*/unix", timeout_s=timeout_s),
        commands.run("postconf", "-x", "-P", *(f"*/unix/{option}" for option in CLONE_OPTIONS), timeout_s=timeout_s),
        commands.run("postconf", "-x", *MAIN_NAMES, timeout_s=timeout_s),
    )
    problem = everything.problem or services.problem or options.problem or main.problem
    if problem is not None:
        return f"can't read Postfix's settings: {problem}"
    clones = clones_of(services.text, options.text, read_main(main.text))
    names = {line.split(None, 1)[0] for line in services.text.splitlines() if line.strip()}
    return MainCf(
        values=dict(_UNUSED.findall(everything.complaint)) | read_main(everything.text),
        clones=clones,
        config_directory=config_directory,
        other_services=frozenset(names - {clone.name for clone in clones}),
    )


class Reader:
    """Reads the files, unless nothing has touched them since they were read: four processes less on the way to a halt."""

    def __init__(self, commands: Commands, config_directory: str, *, timeout_s: float) -> None:
        self._commands = commands
        self._config_directory = config_directory
        self._timeout_s = timeout_s
        self._known: tuple[object, MainCf] | None = None

    async def read(self) -> MainCf | str:
        """Return what stands in the files; in words why not, if it can't be read."""
        before = self._stamp()
        if self._known is not None and before is not None and self._known[0] == before:
            return self._known[1]
        self._known = None
        found = await read_main_cf(self._commands, self._config_directory, timeout_s=self._timeout_s)
        if isinstance(found, MainCf) and before is not None and self._stamp() == before:
            self._known = (before, found)
        return found

    def _stamp(self) -> object:
        """What changes whenever one of the files does, whoever writes it and whatever time it then sets; None: not known."""
        try:
            files = [os.stat(os.path.join(self._config_directory, name)) for name in ("main.cf", "master.cf")]
        except OSError:
            return None
        return tuple((file.st_ino, file.st_size, file.st_mtime_ns, file.st_ctime_ns) for file in files)


def tell_master(queue_directory: str) -> bool:
    """Send Postfix's master(8) the signal that `postfix reload` ends with (postfix-script); False: it could not be.

    `postfix reload` starts some ten programs before it, which is what a halt waits for when Postfix is at full speed.
    """
    try:
        pid = _master(queue_directory)
        if pid is None:
            return False
        os.kill(pid, signal.SIGHUP)
    except (OSError, ValueError):
        return False
    return True


def master_runs(queue_directory: str) -> bool:
    """Whether Postfix's master(8) runs; when in doubt it does.

    Not by `postfix status`, whose exit code is 1 as well where it could not look (seen in a run of 3.7.11); not by trying the
    lock of its file, which a master that is just starting could miss.
    """
    try:
        return _master(queue_directory) is not None
    except (OSError, ValueError):
        return True


def _master(queue_directory: str) -> int | None:
    """Return the process id of Postfix's master(8); None: it does not run. Raises OSError or ValueError: that can't be seen."""
    try:
        with open(os.path.join(queue_directory, "pid", "master.pid"), encoding="ascii") as file:
            pid = int(file.read(32))
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            # `123 (master) S ...` (proc(5)); the file outlives its process, and another may have that number now.
            name, _, rest = file.read(256).partition("(")[2].rpartition(") ")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return pid if name == "master" and rest[:1] not in ("Z", "X") else None
