"""`pwmtad release ID`: a person ends a hold; sending comes back slowly."""

from __future__ import annotations

import click

from pwmtad.cli.client import socket_option
from pwmtad.cli.halt import give_order, who
from pwmtad.model.control import ReleaseRequest


@click.command(name="release")
@click.argument("halt_id", metavar="ID")
@socket_option
def command(halt_id: str, path: str) -> None:
    """End the hold of the halt ID (`pwmtad status` lists them).

    A halt that a rule made goes on to probing, then to the ladder from the effective day; one that a person made ends. Other
    halts of the stream go on holding it. Exit code: 0 released, 1 refused, 2 the daemon can't be reached.
    """
    give_order(path, "/api/v1/releases", ReleaseRequest(halt_id=halt_id, by=who()), "what follows: pwmtad explain {halt_id}")
