"""`python -m tests.lab.inject FILE`: what Listmonk and scripts do to Postfix. Each message has its own id and recipient.

The order comes as JSON on standard input (Order); every message that Postfix took is a line of FILE (Taken), written as it is
taken. An order with a rate keeps to it; one without sends as fast as Postfix takes it.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from email.utils import formatdate
from pathlib import Path
from typing import Final

from tests.lab import world

_PATIENCE_S: Final = 60.0
_AGAIN_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Order:
    """What to send."""

    run: str
    """Begins every id and local part, so that no two orders share one."""
    number: int
    domains: tuple[str, ...]
    """Recipient domains, taken in turn."""
    sender: str
    client: str
    """Address to connect from."""
    port: int = 25
    connections: int = 10
    rate: float = 0.0
    """Messages a second; 0: as many as it takes."""
    size: int = 1500
    """Bytes of the body."""
    local_part: str = "r"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Taken:
    """A message that Postfix answered 250 to."""

    id: str
    recipient: str
    queue_id: str
    at: float


def _messages(order: Order) -> Iterator[tuple[str, str]]:
    """Yield id and recipient."""
    domains = itertools.cycle(order.domains)
    for number in range(order.number):
        yield f"{order.run}-{number:06d}", f"{order.local_part}{number:06d}-{order.run}@{next(domains)}"


def _letter(order: Order, message_id: str, recipient: str, filling: str) -> bytes:
    lines = [
        f"From: {order.sender}", f"To: {recipient}", f"Subject: News {message_id}", f"Date: {formatdate()}",
        f"Message-ID: <{message_id}@{order.sender.rpartition('@')[2]}>", f"X-Lab-Id: {message_id}",
        "MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8",
        *(f"{name}: {value}" for name, value in order.headers),
        "", filling, ".", "",
    ]  # fmt: skip
    return "\r\n".join(lines).encode()


class Refused(Exception):
    """Postfix said no, or left."""


async def _answer(reader: asyncio.StreamReader, wanted: str) -> str:
    async with asyncio.timeout(_PATIENCE_S):
        while True:
            line = (await reader.readline()).decode("utf-8", "replace").rstrip()
            if line[3:4] != "-":
                break
    if not line.startswith(wanted):
        raise Refused(line)
    return line


class Injector:
    """Sends an order over several connections."""

    def __init__(self, order: Order, file: Path) -> None:
        self._order = order
        self._messages = _messages(order)
        self._file = file.open("w", buffering=1, encoding="utf-8")
        self._filling = "\r\n".join(["All the news of the week, as every week."] * max(1, order.size // 42))
        self._began_at = time.monotonic()
        self._given = 0

    async def run(self) -> None:
        """Send it all."""
        async with asyncio.TaskGroup() as group:
            for _ in range(min(self._order.connections, self._order.number)):
                group.create_task(self._connection())

    async def _connection(self) -> None:
        """Keep a connection until there is nothing left. A message that was refused, or got no answer, is tried again."""
        pending: tuple[str, str] | None = None
        while True:
            try:
                reader, writer = await asyncio.open_connection(
                    world.SMTPD, self._order.port, local_addr=(self._order.client, 0)
                )
                try:
                    await _answer(reader, "220")
                    writer.write(b"EHLO injector.lab.test\r\n")
                    await _answer(reader, "250")
                    while (message := pending or await self._next()) is not None:
                        pending = message
                        await self._send(reader, writer, *message)
                        pending = None
                    writer.write(b"QUIT\r\n")
                    return
                finally:
                    writer.close()
            except (OSError, Refused, TimeoutError):
                # As Listmonk does: it tries again. What was lost after the final dot may come twice, like anybody's.
                await asyncio.sleep(_AGAIN_S)

    async def _next(self) -> tuple[str, str] | None:
        message = next(self._messages, None)
        if message is not None and self._order.rate:
            due = self._began_at + self._given / self._order.rate
            self._given += 1
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        return message

    async def _send(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, message_id: str, recipient: str) -> None:
        writer.write(f"MAIL FROM:<{self._order.sender}>\r\nRCPT TO:<{recipient}>\r\nDATA\r\n".encode())
        for wanted in ("250", "250", "354"):
            await _answer(reader, wanted)
        writer.write(_letter(self._order, message_id, recipient, self._filling))
        queued = await _answer(reader, "250")
        taken = Taken(message_id, recipient, queued.rpartition(" ")[2], time.time())  # noqa: TID251  the record's clock
        self._file.write(json.dumps(asdict(taken)) + "\n")


def main() -> None:
    """Read the order and carry it out."""
    values = json.load(sys.stdin)
    values["domains"] = tuple(values["domains"])
    values["headers"] = tuple(tuple(pair) for pair in values["headers"])
    asyncio.run(Injector(Order(**values), Path(sys.argv[1])).run())


if __name__ == "__main__":
    main()
