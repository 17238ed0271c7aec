"""What a person at the terminal sees while the daemon runs in the foreground."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from rich.console import Console

from pwmtad.cli.report import render_report
from pwmtad.model.state import State


async def tell_states(state: Callable[[], State], *, every_s: float) -> None:
    """Print the page of `pwmtad report` whenever something changed, at most every `every_s` seconds."""
    console = Console()
    shown: object = None
    while True:
        await asyncio.sleep(every_s)
        now = state()
        changed = (now.mix, now.findings, now.sources and now.sources[0].lines)
        if changed != shown:
            shown = changed
            console.rule(f"pwmtad {now.version} ({now.mode})")
            render_report(now, console)
