"""`lab` at the prompt of `make shell-lab`: what tests do in Python, in a few words. It runs inside of the container."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Final

from tests.lab import world
from tests.lab.inject import Order
from tests.lab.receivers.__main__ import SOCKET
from tests.lab.receivers.personas import accepts, says
from tests.lab.receivers.record import Reader
from tests.tools.loggen.model import UNREACHED
from tests.tools.loggen.replies import ALL

_FOLDER: Final = Path("/lab")
_HELP: Final = Path("/usr/local/share/lab-help")
_SHOWN: Final = 30


def _inject(number: int, domains: list[str]) -> str:
    order = Order(f"h{os.getpid()}", number, tuple(domains or ["google.test"]), world.TRUCKING_SENDER, world.TRUCKING)
    file = _FOLDER / f"injected-{order.run}.jsonl"
    words = [sys.executable, "-m", "tests.lab.inject", str(file)]
    subprocess.run(words, input=json.dumps(asdict(order)).encode(), check=True)
    return f"Postfix took {len(file.read_bytes().splitlines())} messages"


def _become(receiver: str, reply: str, after: int) -> str:
    persona = accepts() if reply == "accepts" else says(reply, after=after)
    order = {"do": "become", "receiver": receiver, "persona": asdict(persona)}
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(str(_FOLDER / SOCKET))
        connection.sendall(json.dumps(order).encode() + b"\n")
        answer = json.loads(connection.makefile().readline())
    return str(answer.get("error", f"{receiver}: {persona.name}"))


def _reached() -> str:
    seen = Reader(_FOLDER).all()
    rows = [f"{one.egress:11} {one.receiver:14} {one.phase:8} {one.code:3}  {one.domain}" for one in seen[-_SHOWN:]]
    return "\n".join([*rows, f"{len(seen)} attempts, {sum(one.accepted for one in seen)} messages delivered"])


def main() -> None:
    """Do what the words say."""
    match sys.argv[1:]:
        case ["inject", number, *domains] if number.isdigit() and int(number) > 0:
            told = _inject(int(number), domains)
        case ["become", receiver, reply, *after] if receiver in world.NAMES:
            try:
                told = _become(receiver, reply, int(after[0]) if after else 0)
            except ValueError as error:
                told = str(error)
        case ["reached"]:
            told = _reached()
        case _:
            told = _HELP.read_text(encoding="utf-8") + "Replies: " + " ".join(one.id for one in ALL if one.how != UNREACHED)
    print(told)  # noqa: T201


if __name__ == "__main__":
    main()
