"""`python -m tests.tools.listmonk --version 5.1 --database postgresql://...`: the stand-in as a program of its own."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from pathlib import Path

from tests.tools.listmonk.control import Control
from tests.tools.listmonk.options import Options
from tests.tools.listmonk.process import FatalError
from tests.tools.listmonk.standin import Standin
from tests.tools.listmonk.versions import parse_version


def main(arguments: list[str]) -> int:
    """Serve until SIGTERM or SIGINT; 1 if it can't start (with --exit-on-fatal)."""
    code = 0
    try:
        asyncio.run(_serve(_options(_parser().parse_args(arguments))))
    except* FatalError as errors:
        print(errors.exceptions[0], file=sys.stderr)
        code = 1
    return code


async def _serve(options: Options) -> None:
    standin = Standin(options)
    control = Control(standin)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, standin.stop)
    try:
        async with asyncio.TaskGroup() as group:
            run = group.create_task(standin.run())
            await control.open(options.control)
            told = group.create_task(_tell(standin, control))
            await run
            told.cancel()
    finally:
        await control.close()


async def _tell(standin: Standin, control: Control) -> None:
    await standin.ready.wait()
    print(json.dumps({"url": standin.url, "control": control.address}), flush=True)


def _options(given: argparse.Namespace) -> Options:
    return Options(
        version=given.version,
        database=given.database,
        listen=given.listen,
        control=given.control,
        smtp=given.smtp,
        source=given.source,
        hostname=given.hostname,
        admin=_pair(given.admin),
        user=_pair(given.user),
        permissions=None if given.permissions is None else tuple(given.permissions.split(",")),
        settings={key: json.loads(value) for key, _, value in (one.partition("=") for one in given.set)},
        truth=given.truth,
        speed=given.speed,
        exit_on_fatal=given.exit_on_fatal,
    )


def _version(text: str) -> str:
    try:
        return str(parse_version(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _pair(text: str) -> tuple[str, str]:
    name, _, secret = text.partition(":")
    return name, secret


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.tools.listmonk", description=__doc__)
    parser.add_argument(
        "--version", required=True, type=_version, help="3, 4, 5, 6.0, 6.2 or any version in between, such as 5.0.3"
    )
    parser.add_argument("--database", required=True, metavar="URL", help="PostgreSQL; an empty database gets Listmonk's tables")
    parser.add_argument("--listen", default="127.0.0.1:9000", metavar="HOST:PORT")
    parser.add_argument("--control", default="127.0.0.1:9001", metavar="HOST:PORT|unix:PATH", help="where /_test/ is served")
    parser.add_argument("--smtp", default="127.0.0.1:25", metavar="HOST:PORT", help="SMTP block of a fresh database")
    parser.add_argument("--source", default="", metavar="IP", help="local address to connect to SMTP from")
    parser.add_argument("--hostname", default="listmonk", help="the host's name, for Message-IDs before 6.2")
    parser.add_argument("--admin", default="", metavar="NAME:PASSWORD", help="admin of the configuration file (all of v3)")
    parser.add_argument("--user", default="pwmtad:token-of-pwmtad", metavar="NAME:TOKEN", help="API user of a fresh database")
    parser.add_argument("--permissions", metavar="A,B,...", help="of that user; without it a super admin")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=JSON", help="setting of a fresh database")
    parser.add_argument("--truth", type=Path, metavar="FILE", help="keep what really happened in this file, over runs")
    parser.add_argument("--speed", type=float, default=1.0, help="how much faster windows, scans and pauses pass")
    parser.add_argument("--exit-on-fatal", action="store_true", help="leave it to a supervisor to start it again")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
