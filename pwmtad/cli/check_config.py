"""`pwmtad check-config`: every mistake in the configuration at once, before a reload meets them."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final, TypeAlias

import click
from msgspec.structs import asdict

from pwmtad.adapters.config_files import check_named_files
from pwmtad.config import Settings, load_settings
from pwmtad.model.errors import ConfigError, PwmtadError

DEFAULT_FILE: Final = "/etc/pwmtad/pwmtad.toml"
EXIT_OK: Final = 0
EXIT_MISTAKES: Final = 1
EXIT_UNREADABLE: Final = 2

ExtraCheck: TypeAlias = Callable[[Settings | None], Iterable[ConfigError]]
"""A check of what the configuration names (rules files). Gets None if the configuration itself has mistakes."""

EXTRA_CHECKS: Final[tuple[ExtraCheck, ...]] = (check_named_files,)
"""Run by the command, in this order, after the settings' own checks."""


class UnreadableError(PwmtadError):
    """The file can't be read; the text says which permission is missing, or what is there instead."""


def read_config(file: str) -> bytes:
    """Return the bytes of `file`; raises UnreadableError."""
    try:
        return Path(file).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise UnreadableError(f"cannot read {file}: {why_unreadable(Path(file), error)}") from error


def why_unreadable(
    path: Path, error: OSError | ValueError, *, may_pass: Callable[[Path], bool] = lambda path: os.access(path, os.X_OK)
) -> str:
    """Say why reading `path` failed; for a missing permission, which directory or file it is missing at."""
    if not isinstance(error, OSError):
        return str(error)
    if error.errno not in (errno.EACCES, errno.EPERM):
        return (error.strerror or str(error)).lower()
    closed = next((parent for parent in reversed(path.absolute().parents) if not may_pass(parent)), None)
    if closed is not None:
        return f"permission denied: this user may not enter the directory {closed} (it needs x)"
    return "permission denied: this user may not read the file (it needs r)"


def check_config(
    data: bytes, *, file: str, extra_checks: Sequence[ExtraCheck] = ()
) -> tuple[Settings | None, tuple[ConfigError, ...]]:
    """Return the settings (None if they have mistakes) and the mistakes of settings and extra checks."""
    loaded = load_settings(data, file=file)
    settings, mistakes = (loaded, ()) if isinstance(loaded, Settings) else (None, loaded)
    return settings, (*mistakes, *(mistake for check in extra_checks for mistake in check(settings)))


def render(file: str, settings: Settings | None, mistakes: Sequence[ConfigError]) -> str:
    """Return the report for people, with colours that click takes off where there is no terminal."""
    if not mistakes and settings is not None:
        return f"{file}: {click.style('ok', fg='green')}, {_summary(settings)}"
    count = f"{len(mistakes)} mistake{'' if len(mistakes) == 1 else 's'}"
    blocks = [f"{file}: {click.style(count, fg='red')}"]
    for mistake in mistakes:
        where = mistake.path or "the whole file"
        if mistake.file not in ("", file):
            where = f"{mistake.file}: {where}"
        rows = [("found", mistake.found), ("expected", mistake.expected), ("hint", mistake.hint)]
        lines = [f"    {name:<9} {text}" for name, text in rows if text]
        blocks.append("\n".join([f"  {click.style(where, bold=True)}", *lines]))
    return "\n\n".join(blocks)


def render_json(file: str, mistakes: Sequence[ConfigError], unreadable: str | None = None) -> str:
    """Return the report for machines: one JSON object on one line."""
    report = {
        "file": file,
        "ok": not mistakes and unreadable is None,
        "errors": [asdict(mistake) for mistake in mistakes],
        "unreadable": unreadable,
    }
    return json.dumps(report)


def _summary(settings: Settings) -> str:
    if not settings.streams:
        return f"mode {settings.mode}, no streams: mail is counted, and nothing is held"
    streams = ", ".join(
        f"{name} ({len(stream.usable_egresses)} of {len(stream.egresses)} egresses{', pool' if stream.pool else ''})"
        for name, stream in settings.streams.items()
    )
    return f"mode {settings.mode}, streams: {streams}"


@click.command("check-config")
@click.option("-c", "--config", "file", default=DEFAULT_FILE, show_default=True, metavar="FILE", help="File to check.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")
def command(file: str, *, as_json: bool) -> None:
    """Check the configuration and tell all mistakes at once.

    Exit status: 0 if there are none, 1 if there are some, 2 if the file can't be read.
    """
    try:
        data = read_config(file)
    except UnreadableError as error:
        if as_json:
            click.echo(render_json(file, (), unreadable=str(error)))
        else:
            click.echo(str(error), err=True)
        raise click.exceptions.Exit(EXIT_UNREADABLE) from error
    settings, mistakes = check_config(data, file=file, extra_checks=EXTRA_CHECKS)
    click.echo(render_json(file, mistakes) if as_json else render(file, settings, mistakes))
    if mistakes:
        raise click.exceptions.Exit(EXIT_MISTAKES)
