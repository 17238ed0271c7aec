"""Commands for people and scripts: one module a command, each with a click command named `command`.

In: arguments, tables, exit codes. Out: decisions. Every command that prints tables has `--json`.
Exit codes: 0 done, 1 the answer is no (errors found, something halted), 2 can't do it (arguments, files, daemon).
"""

from __future__ import annotations

import importlib
from typing import Final

import click
from typing_extensions import override

from pwmtad import __version__

_COMMANDS: Final = {
    "run": "The daemon.",
    "check-config": "Check the configuration and all rules with their samples.",
    "parse": "Print one JSON object per log line.",
    "replay": "What the daemon would have decided over old logs.",
    "status": "What the running daemon sees now.",
    "plan": "What the ladders allow on the coming days.",
    "explain": "Why something was decided, with the lines, and how to undo it.",
    "halt": "Halt a stream by hand.",
    "release": "End the hold of a halt.",
    "suppressions": "Who is not to be mailed any more: list, export, add, remove.",
    "helper": "The root helper that carries out what the daemon decides about Postfix.",
    "restore": "Put Postfix's settings back as people had them.",
    "report": "Today's delivery mix, volumes, reasons, queue, pool and warmup day.",
}


class _Lazy(click.Group):
    """Imports a command's module when it is asked for: `pwmtad parse` needs no HTTP server and starts at once."""

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(_COMMANDS)

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"pwmtad.cli.{cmd_name.replace('-', '_')}")
        command = module.command
        return command if isinstance(command, click.Command) else None

    @override
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="pwmtad")
def main() -> None:
    """Guards the reputation of self-hosted sending IPs."""
