"""The test's own way in, under /_test/: make campaigns and people, break things, read the truth. Survives restarts.

In: requests without credentials, on a port (or Unix socket) of its own. Out: JSON. README.md lists the calls.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Final

import msgspec
from aiohttp import web

from tests.tools.listmonk.answers import ApiError, bare, error, json_object
from tests.tools.listmonk.faults import Fault
from tests.tools.listmonk.seeding import Seeding
from tests.tools.listmonk.standin import Standin

_MAX_BODY_BYTES: Final = 64 * 1024 * 1024


class Control:
    """See the module."""

    def __init__(self, standin: Standin) -> None:
        self._standin = standin
        self._seeding = Seeding(standin)
        self._runner: web.AppRunner | None = None
        self.address = ""

    async def open(self, address: str) -> None:
        """Listen at `HOST:PORT` or `unix:/path`."""
        app = web.Application(client_max_size=_MAX_BODY_BYTES, middlewares=[_plainly])
        app.router.add_get("/_test/truth", self._truth)
        app.router.add_get("/_test/state", self._state)
        for name, call in self._calls().items():
            app.router.add_post(f"/_test/{name}", _posted(call))
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        if address.startswith("unix:"):
            await web.UnixSite(self._runner, address.removeprefix("unix:")).start()
            self.address = address
            return
        host, _, port = address.rpartition(":")
        await web.TCPSite(self._runner, host, int(port)).start()
        self.address = f"http://{host}:{self._runner.addresses[0][1]}"

    async def close(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    def _calls(self) -> dict[str, Callable[[dict[str, Any]], Awaitable[Any]]]:
        return {
            "subscribers": self._subscribers,
            "campaigns": self._campaigns,
            "users": self._users,
            "settings": self._settings,
            "bypass": self._bypass,
            "faults": self._faults,
            "process": self._process,
            "port": self._port,
            "instance": self._instance,
        }

    async def _subscribers(self, sent: dict[str, Any]) -> Any:
        return await self._seeding.subscribers(**sent)

    async def _campaigns(self, sent: dict[str, Any]) -> Any:
        if sent.get("send_at"):
            sent["send_at"] = datetime.fromisoformat(sent["send_at"])
        return {"ids": await self._seeding.campaigns(**sent)}

    async def _users(self, sent: dict[str, Any]) -> None:
        await self._seeding.user(**sent)

    async def _settings(self, sent: dict[str, Any]) -> None:
        await self._seeding.settings(sent)

    async def _bypass(self, sent: dict[str, Any]) -> Any:
        return {"sent": await self._seeding.bypass(**sent)}

    async def _faults(self, sent: dict[str, Any]) -> None:
        """`{"clear": true}`, `{"version": "..."}`, or a fault."""
        if "version" in sent:
            self._standin.faults.reported_version = sent["version"]
        elif sent.get("clear"):
            self._standin.faults.clear()
        else:
            self._standin.faults.add(msgspec.convert(sent, Fault))

    async def _process(self, sent: dict[str, Any]) -> None:
        """`{"do": "down" | "up" | "crash" | "reload"}`."""
        do = sent["do"]
        if do == "reload" and self._standin.process is not None:
            self._standin.process.end("reload")
        elif do in {"down", "up", "crash"}:
            {"down": self._standin.down, "up": self._standin.up, "crash": self._standin.crash}[do]()

    async def _port(self, sent: dict[str, Any]) -> None:
        """`{"open": bool}`."""
        await (self._standin.open_port() if sent["open"] else self._standin.close_port())

    async def _instance(self, sent: dict[str, Any]) -> None:
        """`{"wrong": bool}`."""
        await (self._standin.show_wrong_instance() if sent["wrong"] else self._standin.show_own_instance())

    async def _truth(self, request: web.Request) -> web.Response:
        """Everything; `?skip=N` leaves out the first N sendings, `?requests=0` the requests."""
        truth = self._standin.truth
        skip = int(request.query.get("skip", "0"))
        requests = list(truth.requests) if request.query.get("requests") != "0" else []
        found = {"starts": truth.starts, "sendings": truth.sendings[skip:], "requests": requests}
        return web.Response(body=msgspec.json.encode(found), content_type="application/json")

    async def _state(self, _: web.Request) -> web.Response:
        """What the engine works with now, which no call of the real one tells."""
        process = self._standin.process
        if process is None:
            return bare({"serving": False})
        pipes = {number: {"stopped": pipe.stopped, "open": pipe.open} for number, pipe in process.engine.pipes.items()}
        return bare(
            {
                "serving": True,
                "url": self._standin.url,
                "starts": len(self._standin.truth.starts),
                "sent": len(self._standin.truth.sent()),
                "needs_restart": process.needs_restart,
                "tuning": msgspec.to_builtins(process.tuning),
                "pipes": pipes,
            }
        )


def _posted(call: Callable[[dict[str, Any]], Awaitable[Any]]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def serve(request: web.Request) -> web.StreamResponse:
        return bare(await call(await json_object(request)))

    return serve


@web.middleware
async def _plainly(request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> web.StreamResponse:
    """Tell a test what it did wrong instead of a page about an internal error."""
    try:
        return await handler(request)
    except (ApiError, TypeError, KeyError, ValueError) as wrong:
        return error(400, f"{type(wrong).__name__}: {wrong}")
