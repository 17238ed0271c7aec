"""A small SMTP client (RFC 5321) with pooled connections, as Listmonk's pool behaves: plain text, AUTH PLAIN or LOGIN.

In: an envelope and the bytes of a message. Out: the reply to the end of data. Raises `RefusedError` for a reply that says
no, and OSError, TimeoutError or EOFError when there is no connection or it breaks.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

import msgspec

_REPLY_TIMEOUT_S: Final = 60.0
_MAX_REPLY_LINES: Final = 100
BROKEN: Final = (OSError, EOFError, TimeoutError)
"""How a connection ends that nobody closed in order."""


class Reply(NamedTuple):
    """Code and text, lines joined by a blank."""

    code: int
    text: str


class RefusedError(Exception):
    """The server answered 4xx or 5xx."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"{reply.code} {reply.text}")
        self.reply = reply


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """One SMTP block of the settings. `source` is the local address to connect from, or "" for any."""

    host: str
    port: int
    source: str = ""
    hello: str = "localhost"
    auth: str = "none"
    username: str = ""
    password: str = ""
    max_conns: int = 10
    retries: int = 2
    idle_timeout_s: float = 15.0
    wait_timeout_s: float = 5.0


class Connection:
    """One session: greeted, authenticated, used for one message after the other."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.used_at = 0.0

    @classmethod
    async def open(cls, server: Server) -> Connection:
        """Connect and log in."""
        local = (server.source, 0) if server.source else None
        async with asyncio.timeout(_REPLY_TIMEOUT_S):
            connection = cls(*await asyncio.open_connection(server.host, server.port, local_addr=local))
        try:
            connection._expect(await connection._reply())
            await connection._ask(f"EHLO {server.hello}")
            await connection._login(server)
        except BaseException:
            connection.close()
            raise
        return connection

    async def send(self, sender: str, recipients: Sequence[str], data: bytes) -> Reply:
        """Send one message; after a refusal the session can be used again."""
        try:
            await self._ask(f"MAIL FROM:<{sender}>")
            for recipient in recipients:
                await self._ask(f"RCPT TO:<{recipient}>")
            await self._ask("DATA")
        except RefusedError:
            await self._ask("RSET")
            raise
        self._writer.write(data.replace(b"\r\n.", b"\r\n..") + b"\r\n.\r\n")
        return self._expect(await self._reply())

    def close(self) -> None:
        """Drop the connection."""
        self._writer.transport.abort()

    async def _login(self, server: Server) -> None:
        if not server.username or server.auth not in {"plain", "login"}:
            return
        if server.auth == "plain":
            await self._ask(f"AUTH PLAIN {_base64(f'{chr(0)}{server.username}{chr(0)}{server.password}')}")
            return
        for line in ("AUTH LOGIN", _base64(server.username), _base64(server.password)):
            await self._ask(line)

    async def _ask(self, line: str) -> Reply:
        self._writer.write(f"{line}\r\n".encode())
        return self._expect(await self._reply())

    async def _reply(self) -> Reply:
        texts = []
        async with asyncio.timeout(_REPLY_TIMEOUT_S):
            for _ in range(_MAX_REPLY_LINES):
                line = await self._reader.readline()
                if not line[:3].isdigit() or not line.endswith(b"\n"):
                    raise EOFError("the server hung up, or does not speak SMTP")
                texts.append(line[4:].decode(errors="replace").strip())
                if line[3:4] != b"-":
                    return Reply(int(line[:3]), " ".join(texts))
        raise EOFError("a reply without end")

    def _expect(self, reply: Reply) -> Reply:
        if reply.code >= 400:
            raise RefusedError(reply)
        return reply


class Pool:
    """Up to `max_conns` sessions with one server."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._free = asyncio.Semaphore(max(1, server.max_conns))
        self._idle: list[Connection] = []
        self._clock = asyncio.get_running_loop().time

    async def send(self, sender: str, recipients: Sequence[str], data: bytes) -> Reply:
        """Send over a free session; broken connections are tried again, refusals never."""
        attempt = 0
        while True:
            try:
                async with self._session() as session:
                    return await session.send(sender, recipients, data)
            except BROKEN:
                attempt += 1
                if attempt > self._server.retries:
                    raise

    def close(self) -> None:
        """Drop the idle sessions."""
        while self._idle:
            self._idle.pop().close()

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[Connection]:
        async with asyncio.timeout(self._server.wait_timeout_s):
            await self._free.acquire()
        try:
            session = await self._take()
            try:
                yield session
            except RefusedError:
                self._give_back(session)
                raise
            except BaseException:
                session.close()
                raise
            self._give_back(session)
        finally:
            self._free.release()

    async def _take(self) -> Connection:
        while self._idle:
            session = self._idle.pop()
            if self._clock() - session.used_at < self._server.idle_timeout_s:
                return session
            session.close()
        return await Connection.open(self._server)

    def _give_back(self, session: Connection) -> None:
        session.used_at = self._clock()
        self._idle.append(session)


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
