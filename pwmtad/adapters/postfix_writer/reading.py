"""Reads main.cf and master.cf raw, as the helper needs them: what is set, and which smtp services there are."""

from __future__ import annotations

import asyncio
import re
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
