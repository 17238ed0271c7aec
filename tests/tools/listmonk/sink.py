"""An SMTP server for tests: takes everything, or refuses, waits and demands passwords as it is told.

In: connections. Out: the messages that were accepted, in order.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from email import message_from_bytes
from email.message import Message
from typing import NamedTuple

_OK = "250 2.0.0 Ok"


class Received(NamedTuple):
    """One accepted message."""

    peer: str
    sender: str
    recipients: tuple[str, ...]
    data: bytes

    def parsed(self) -> Message:
        """Return it with its headers read."""
        return message_from_bytes(self.data)


class Sink:
    """Listens on loopback while open. What tests may set: `answer` (a refusal for a recipient, or None), `password`, `gate`."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.answer: Callable[[str], str | None] = lambda _: None
        self.password: str | None = None
        """Demand AUTH PLAIN with it."""
        self.gate = asyncio.Event()
        """While clear, no message is answered; what waits is counted in `waiting`."""
        self.gate.set()
        self.waiting = 0
        self.address = ""
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def open(self) -> None:
        """Listen on a port of its own."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def close(self) -> None:
        """Stop listening and drop all sessions."""
        self.gate.set()
        if self._server is not None:
            self._server.close()
            for writer in list(self._writers):
                writer.transport.abort()
            await self._server.wait_closed()

    def addresses(self) -> list[str]:
        """Return the recipients of all messages, in order."""
        return [recipient for message in self.received for recipient in message.recipients]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            writer.write(b"220 sink.example ESMTP\r\n")
            await _Session(self, reader, writer).run()
        except (OSError, EOFError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()


class _Session:
    def __init__(self, sink: Sink, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._sink = sink
        self._reader = reader
        self._writer = writer
        self._peer: str = writer.get_extra_info("peername")[0]
        self._sender = ""
        self._recipients: list[str] = []
        self._admitted = sink.password is None

    async def run(self) -> None:
        while line := (await self._reader.readline()).decode().rstrip("\r\n"):
            if line == "QUIT":
                return
            reply = await self._data() if line == "DATA" else self._reply(line)
            self._writer.write(f"{reply}\r\n".encode())
            await self._writer.drain()

    def _reply(self, line: str) -> str:
        verb, _, rest = line.partition(" ")
        match verb:
            case "EHLO":
                return "250-sink.example\r\n250-AUTH PLAIN\r\n250 8BITMIME"
            case "AUTH":
                return self._login(rest)
            case "MAIL":
                self._sender, self._recipients = _address(line), []
                return _OK if self._admitted else "530 5.7.0 Authentication required"
            case "RCPT":
                refusal = self._sink.answer(_address(line))
                if refusal is None:
                    self._recipients.append(_address(line))
                return refusal or _OK
            case _:
                return _OK

    def _login(self, rest: str) -> str:
        secret = base64.b64decode(rest.partition(" ")[2]).decode().split("\0")[-1]
        self._admitted = secret == self._sink.password
        return "235 2.7.0 Welcome" if self._admitted else "535 5.7.8 Error: authentication failed"

    async def _data(self) -> str:
        self._writer.write(b"354 Go on\r\n")
        raw = await self._reader.readuntil(b"\r\n.\r\n")
        self._sink.waiting += 1
        await self._sink.gate.wait()
        self._sink.waiting -= 1
        data = raw.removesuffix(b".\r\n").replace(b"\r\n..", b"\r\n.")
        self._sink.received.append(Received(self._peer, self._sender, tuple(self._recipients), data))
        return "250 2.0.0 Ok: queued as 4XYZ0000000"


def _address(line: str) -> str:
    return line.partition("<")[2].partition(">")[0]
