"""`pwmtad restore`: Postfix's settings as people had them before pwmtad, or as they set them since."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from typing import Final

import click

from pwmtad.core.text import clean
from pwmtad.model.target import Applied

_SHOWN: Final = 10
"""Queue ids that are named; the rest are in the helper's file."""


@click.command(name="restore")
@click.option("--release-held", is_flag=True, help="Let messages go that pwmtad put on hold; without it they stay there.")
@click.option("--socket", "path", default="/run/pwmtad-helper/helper.sock", show_default=True, metavar="PATH",
              help="The root helper's Unix socket (postfix.helper_socket).")  # fmt: skip
def command(release_held: bool, path: str) -> None:
    """Put back what pwmtad changed in main.cf, as root: pool, governor, halt, queue lifetimes. Mail that waits can leave then.

    A daemon in enforce mode would set it all again: stop it first, or set mode = "observe". Exit code: 0 put back, 1 not all of
    it (the text says why), 2 the helper can't be asked.
    """
    if os.geteuid() != 0:
        raise click.ClickException("only root may restore: sudo pwmtad restore")
    applied = asyncio.run(_restored(path, release_held=release_held))
    for line in _told(applied):
        click.echo(line)
    if applied.problem is not None:
        click.echo(f"pwmtad: {clean(applied.problem, 2000)}", err=True)
        raise SystemExit(2 if applied.actual.problem == applied.problem else 1)


async def _restored(path: str, *, release_held: bool) -> Applied:
    from pwmtad.adapters.helper import HelperClient

    client = HelperClient(path)
    try:
        return await client.restore(release_held=release_held)
    finally:
        client.close()


def _told(applied: Applied) -> Iterable[str]:
    for change in applied.changes:
        yield f"{change.name}: {_value(change.before)} -> {_value(change.after)}"
    if not applied.changes and applied.problem is None:
        yield "nothing in main.cf is pwmtad's"
    if not applied.running:
        yield "Postfix is stopped: this holds from its next start"
    if applied.held:
        names = " ".join(applied.held[:_SHOWN]) + (" ..." if len(applied.held) > _SHOWN else "")
        yield (
            f"{len(applied.held)} message(s) stay on hold: {names}. To let them go: pwmtad restore --release-held, "
            f"or postsuper -H ID"
        )


def _value(value: str | None) -> str:
    return "(not set)" if value is None else clean(value, 300) or "(empty)"
