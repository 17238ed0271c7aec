"""`python -m tests.lab.receivers FOLDER`: listen on all receivers' addresses, and for orders on FOLDER/receivers.sock.

An order is one line of JSON, and so is its answer: `{"do": "become", "receiver": "google", "persona": {...}}`,
`{"do": "reset"}`, `{"do": "seen"}`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any, Final

from tests.lab import world
from tests.lab.receivers.personas import Persona
from tests.lab.receivers.record import Writer
from tests.lab.receivers.server import House, Session

SOCKET: Final = "receivers.sock"
_PORT: Final = 25
_BACKLOG: Final = 1024


class Control:
    """Takes orders."""

    def __init__(self, houses: dict[str, House], writer: Writer) -> None:
        self._houses = houses
        self._writer = writer

    def obey(self, order: dict[str, Any]) -> dict[str, Any]:
        """Do what is asked, and say what came of it."""
        match order["do"]:
            case "become":
                self._houses[order["receiver"]].become(Persona.of(order["persona"]))
            case "reset":
                for house in self._houses.values():
                    house.become(Persona())
                self._writer.forget()
            case "seen":
                return {name: dict(house.seen) for name, house in self._houses.items()}
            case other:
                return {"error": f"unknown order: {other}"}
        return {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one caller until it leaves."""
        while line := await reader.readline():
            try:
                answer = self.obey(json.loads(line))
            except (KeyError, TypeError, ValueError) as error:
                answer = {"error": repr(error)}
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        writer.close()


async def main(folder: Path) -> None:
    """Listen until killed."""
    writer = Writer(folder)
    houses = {name: House(receiver) for name, receiver in world.described().items()}
    at = {address: houses[name] for address, name in world.listeners().items()}
    loop = asyncio.get_running_loop()
    for address in at:
        await loop.create_server(lambda: Session(at, writer), address, _PORT, backlog=_BACKLOG)
    control = Control(houses, writer)
    socket = folder / SOCKET
    socket.unlink(missing_ok=True)
    await asyncio.start_unix_server(control.serve, socket)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
