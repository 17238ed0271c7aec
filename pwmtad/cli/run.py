"""`pwmtad run`: the daemon in the foreground; systemd or a terminal does the rest."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import click

from pwmtad.cli.check_config import DEFAULT_FILE, render
from pwmtad.cli.logs import set_up_logging
from pwmtad.model.errors import PwmtadError

if TYPE_CHECKING:
    from pwmtad.daemon.tick import Ticker


@click.command(name="run")
@click.option("-c", "--config", "config", default=DEFAULT_FILE, show_default=True, type=click.Path(dir_okay=False))
@click.option("--tell", "tell_s", type=click.FloatRange(min=0.2), metavar="SECONDS",
              help="Print what is seen every so many seconds (for a terminal).")  # fmt: skip
def command(config: str, tell_s: float | None) -> None:
    """Follow the logs, count, and serve what is seen, until SIGTERM. SIGHUP reloads the configuration."""
    from pwmtad.daemon.app import run  # the help text must not load the whole daemon
    from pwmtad.daemon.app_inputs import Mistakes

    set_up_logging(sys.stderr)

    async def tell(ticker: Ticker) -> None:
        from pwmtad.cli.live import tell_states

        await tell_states(ticker.state, every_s=tell_s or 1.0)

    code = 0
    try:
        asyncio.run(run(config, on_state=tell if tell_s is not None else None))
    except* Mistakes as group:
        for mistakes in group.exceptions:
            if isinstance(mistakes, Mistakes):
                click.echo(render(config, None, mistakes.errors), err=True)
        code = 1
    except* PwmtadError as group:
        for error in group.exceptions:
            click.echo(f"pwmtad: {error}", err=True)
        code = 2
    if code:
        raise SystemExit(code)
