"""What a person at the terminal sees while the daemon runs in the foreground (`pwmtad run --tell`)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from rich.console import Console

from pwmtad.cli.report import render_volumes
from pwmtad.cli.status import render_standing
from pwmtad.cli.tables import make_console, show_head
from pwmtad.model.state import State


async def tell_states(state: Callable[[], State], *, every_s: float) -> None:
    """Print what is seen whenever something changed, at most every `every_s` seconds."""
    console = make_console()
    shown: object = None
    while True:
        await asyncio.sleep(every_s)
        now = state()
        changed = (now.mix, now.findings, now.halts)
        if changed != shown:
            shown = changed
            render_live(now, console)


def render_live(state: State, console: Console) -> None:
    """Print the short page: what stands, what each stream may, and where its mail went today."""
    console.rule(style="dim")
    show_head(console, host=state.host, at=state.at, mode=state.mode, summary=state.summary)
    render_standing(state, console)
    render_volumes(state, console)
