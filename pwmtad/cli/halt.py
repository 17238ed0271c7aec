"""`pwmtad halt STREAM`: a person stops a stream; only `pwmtad release` or the end of `--for` ends it."""

from __future__ import annotations

import getpass
import re
from typing import Final

import click
import msgspec
from typing_extensions import override

from pwmtad.cli.client import RefusedError, UnreachableError, order, socket_option
from pwmtad.core.text import clean
from pwmtad.model.control import MAX_HOLD_S, MAX_WHY_CHARS, HaltRequest

_SPAN: Final = re.compile(r"(\d{1,5})\s*(m|min|h|d)")
_UNITS: Final = {"m": 60, "min": 60, "h": 3600, "d": 86400}


class Span(click.ParamType[int]):
    """`30min`, `72h`, `3d` -> seconds."""

    name = "SPAN"

    @override
    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return seconds."""
        if isinstance(value, int):
            return value
        found = _SPAN.fullmatch(str(value).strip())
        if found is None or int(found[1]) == 0:
            self.fail(f"{value!r} is no span such as 30min, 72h or 3d", param, ctx)
        span_s = int(found[1]) * _UNITS[found[2]]
        if span_s > MAX_HOLD_S:
            self.fail(f"{value!r} is longer than a year; without --for it holds until it is released", param, ctx)
        return span_s


@click.command(name="halt")
@click.argument("stream")
@click.option("--for", "hold_s", type=Span(), help="How long, such as 72h; without it, until `pwmtad release`.")
@click.option("--why", required=True, help="The reason, for the record and for whoever looks next.")
@socket_option
def command(stream: str, hold_s: int | None, why: str, path: str) -> None:
    """Halt STREAM by hand. In observe mode this is recorded and shown, but nothing is held.

    Exit code: 0 halted, 1 refused (the text says why), 2 the daemon can't be reached.
    """
    if not why.strip() or len(why) > MAX_WHY_CHARS:
        raise click.BadParameter(f"give a reason of at most {MAX_WHY_CHARS} characters", param_hint="--why")
    request = HaltRequest(stream=stream, why=why, by=who(), hold_s=hold_s)
    give_order(path, "/api/v1/halts", request, "to end it: pwmtad release {halt_id}")


def give_order(path: str, target: str, request: msgspec.Struct, advice: str) -> None:
    """Send the request and tell what came of it."""
    try:
        answer = order(path, target, request)
    except RefusedError as error:
        click.echo(f"pwmtad: {error}", err=True)
        raise SystemExit(1) from error
    except UnreachableError as error:
        click.echo(f"pwmtad: {error}", err=True)
        raise SystemExit(2) from error
    click.echo(clean_lines(answer.text))
    if not answer.stored:
        click.echo("The store fails (pwmtad status): this holds only until the daemon restarts.", err=True)
    click.echo(advice.format(halt_id=clean(answer.halt_id, 200)))


def clean_lines(text: str) -> str:
    """Return the daemon's words without control characters but their line breaks."""
    return "\n".join(clean(line, 500) for line in text.splitlines()[:10])


def who() -> str:
    """Return the name of the person at the keyboard, as far as the system knows it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no such user in this namespace
        return "somebody"
