"""A stand-in in a test: asked over HTTP, looked into, waited for.

In: a running stand-in. Out: answers and states. Every wait has a bound.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Protocol

import aiohttp

from tests.tools.listmonk.control import Control
from tests.tools.listmonk.seeding import Seeding
from tests.tools.listmonk.sink import Sink
from tests.tools.listmonk.standin import Standin

PATIENCE_S: Final = 40.0
"""How long anything may take on a busy machine; nothing measures how long it took."""


class World:
    """A running stand-in, a client with its credentials, and what a test can do to both."""

    def __init__(self, standin: Standin, session: aiohttp.ClientSession, sink: Sink) -> None:
        self.standin = standin
        self.seeding = Seeding(standin)
        self.control = Control(standin)
        self.sink = sink
        self._session = session

    async def ask(self, method: str, path: str, body: Any = None, **more: Any) -> tuple[int, Any]:
        """Ask the API; return status and decoded body. Raises aiohttp's errors when there is no answer."""
        if body is not None:
            more["json"] = body
        async with self._session.request(method, self.standin.url + path, **more) as answer:
            is_json = answer.content_type == "application/json"
            return answer.status, await answer.json() if is_json else await answer.text()

    async def get(self, path: str, **query: Any) -> Any:
        """Return `data` of a GET that succeeds."""
        status, body = await self.ask("GET", path, params=query)
        assert status == 200, f"{path}: {status} {body}"
        return body["data"]

    async def until(self, what: str, ask: Callable[[], Any]) -> None:
        """Wait until `ask()` is truthy. Raises TimeoutError that names `what`."""
        end = asyncio.get_running_loop().time() + PATIENCE_S
        while not ask():
            if asyncio.get_running_loop().time() > end:
                raise TimeoutError(f"not in time: {what}")
            await asyncio.sleep(0.005)

    async def restarted(self, starts: int) -> None:
        """Wait until the process has been started this often and serves."""
        await self.until(f"start {starts}", lambda: len(self.standin.truth.starts) >= starts and self.standin.ready.is_set())

    async def sent(self, count: int) -> None:
        """Wait until this stand-in has sent so many messages (not only handed them over)."""
        await self.until(f"{count} messages", lambda: len(self.standin.truth.sent()) >= count)

    async def became(self, status: str, campaign: int) -> None:
        """Wait until the database calls the campaign this."""
        found = ""
        for _ in range(round(PATIENCE_S / 0.02)):
            if self.standin.process is not None and (found := await self.status(campaign)) == status:
                return
            await asyncio.sleep(0.02)
        raise TimeoutError(f"campaign {campaign} is {found}, not {status}")

    async def status(self, campaign: int) -> str:
        """Return what the database says of a campaign."""
        row = await self.row("SELECT status::text FROM campaigns WHERE id = $1", campaign)
        return str(row["status"])

    async def row(self, statement: str, *values: Any) -> Any:
        """Return the first row of a query over the process's own sessions."""
        assert self.standin.process is not None
        return await self.standin.process.pool.fetchrow(statement, *values)


class Starter(Protocol):
    """Starts a stand-in of a version; anything else of `Options` by name."""

    def __call__(self, version: str, **options: Any) -> AbstractAsyncContextManager[World]: ...


def basic(name: str, secret: str) -> str:
    """Return the header of Basic authentication."""
    return f"Basic {base64.b64encode(f'{name}:{secret}'.encode()).decode()}"
