"""`pwmtad helper`: the small root process that carries out the few actions on Postfix; systemd starts it."""

from __future__ import annotations

import asyncio
import sys

import click

from pwmtad.cli.check_config import DEFAULT_FILE
from pwmtad.cli.logs import set_up_logging
from pwmtad.model.errors import PwmtadError

_PLACE = click.Path(file_okay=False)


@click.command(name="helper")
@click.option("-c", "--config", "config", default=DEFAULT_FILE, show_default=True, type=click.Path(dir_okay=False),
              help="Its [postfix] table says where Postfix is; nothing else of it is read.")  # fmt: skip
@click.option("--config-directory", type=_PLACE, help="Postfix's, instead of the file's.")
@click.option("--queue-directory", type=_PLACE, help="Postfix's, instead of the file's.")
@click.option("--socket", "path", type=click.Path(dir_okay=False),
              help="Where to listen, instead of the file's; under systemd its socket unit says it.")  # fmt: skip
@click.option("--state-directory", default="/var/lib/pwmtad-helper", show_default=True, type=_PLACE,
              help="What is pwmtad's in main.cf, and what was there before.")  # fmt: skip
@click.option("--allow-user", "users", multiple=True, default=("pwmtad",), show_default=True, metavar="NAME",
              help="Who may ask, besides root; may be repeated.")  # fmt: skip
def command(
    config: str,
    config_directory: str | None,
    queue_directory: str | None,
    path: str | None,
    state_directory: str,
    users: tuple[str, ...],
) -> None:
    """Carry out what the daemon decides about Postfix: pool, governor, halt, messages on hold. As root, until SIGTERM.

    Exit code: 0 stopped, 2 can't run (the text says why).
    """
    from pwmtad.daemon.helper_app import HelperOptions, serve  # the help text must not load all of it

    set_up_logging(sys.stderr)
    options = HelperOptions(config, config_directory, queue_directory, path, state_directory, users)
    try:
        asyncio.run(serve(options))
    except PwmtadError as error:
        click.echo(f"pwmtad: {error}", err=True)
        raise SystemExit(2) from error
