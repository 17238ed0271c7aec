"""The HTTP face of one run of the process: a port, faults, credentials, permissions, and handlers.

In: connections. Out: answers, each noted in the truth. Closed with the process, so that a poll meets a closed port.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from aiohttp import hdrs, web

from tests.tools.listmonk import api_campaigns, api_people, api_settings
from tests.tools.listmonk.answers import ApiError, DroppedError, data, error, html
from tests.tools.listmonk.call import Call, Route, View
from tests.tools.listmonk.database import DATABASE_ERRORS
from tests.tools.listmonk.faults import Fault, Faults, Kind
from tests.tools.listmonk.process import Process
from tests.tools.listmonk.texts import Wrong, wording
from tests.tools.listmonk.truth import Asked

_Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

_USER: Final = web.RequestKey("user", str)
_MAX_BODY_BYTES: Final = 4 * 1024 * 1024
_GRACE_S: Final = 1.0
"""What requests have left when the process ends in order."""
_INSTEAD: Final = {
    Kind.HTML: (200, "Sign in"), Kind.BAD_GATEWAY: (502, "502 Bad Gateway"), Kind.UNAVAILABLE: (503, "Maintenance"),
}  # fmt: skip


class Face:
    """See the module. `view` says whose data is shown now, and whether that is the process's own."""

    def __init__(self, process: Process, faults: Faults, view: Callable[[], tuple[View, bool]]) -> None:
        self._process = process
        self._faults = faults
        self._view = view
        self._runner: web.AppRunner | None = None
        self._site: web.TCPSite | None = None

    async def open(self, host: str, port: int) -> int:
        """Listen; return the port."""
        app = web.Application(client_max_size=_MAX_BODY_BYTES, middlewares=[self._around])
        app.router.add_get("/health", self._health)
        for area in (api_settings, api_campaigns, api_people):
            for route in area.routes(self._process):
                app.router.add_route(route.method, route.path, self._serve(route))
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=_GRACE_S)
        await self._runner.setup()
        self._site = web.TCPSite(self._runner, host, port, reuse_address=True)
        await self._site.start()
        addresses: list[tuple[str, int]] = self._runner.addresses
        return addresses[0][1]

    async def close(self, *, abruptly: bool = False) -> None:
        """Close the port and all connections; `abruptly` without an answer to requests at work."""
        if self._runner is None:
            return
        if abruptly:
            self._drop_all()
        await self._runner.cleanup()
        self._runner = None

    def _drop_all(self) -> None:
        server = self._runner.server if self._runner else None
        for connection in server.connections if server else ():
            if connection.transport is not None:
                connection.transport.abort()

    async def _health(self, _: web.Request) -> web.StreamResponse:
        return data(True)

    def _serve(self, route: Route) -> _Handler:
        async def serve(request: web.Request) -> web.StreamResponse:
            user = self._process.gate.admit(request.headers)
            request[_USER] = user.name
            self._process.gate.demand(user, route.needs(self._process.traits))
            _demand_json(request)
            view, own = self._view()
            return await route.handler(Call(request, self._process, view, own, user, self._faults))

        return serve

    @web.middleware
    async def _around(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        faults = {fault.kind: fault for fault in self._faults.meet(request.method, request.path)}
        try:
            answer = await self._instead(faults)
            if answer is None:
                answer = await self._answer(request, handler)
        except DroppedError:
            answer = None
        if answer is None or Kind.DROP_AFTER in faults:
            self._note(request, 0)
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=500)  # nobody will see it
        self._note(request, answer.status)
        return answer

    async def _instead(self, faults: dict[Kind, Fault]) -> web.StreamResponse | None:
        """Return the answer of a fault, or None to go on."""
        if Kind.SLOW in faults:
            await asyncio.sleep(faults[Kind.SLOW].seconds)
        if Kind.HANG in faults:
            await asyncio.sleep(faults[Kind.HANG].seconds)
            raise DroppedError
        if Kind.DROP in faults:
            raise DroppedError
        for kind, (status, title) in _INSTEAD.items():
            if kind in faults:
                return html(status, title)
        if Kind.ERROR in faults:
            return error(500, self._words(Wrong.DATABASE, "settings"))
        return error(403, "invalid API credentials") if Kind.FORBIDDEN in faults else None

    async def _answer(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except ApiError as wrong:
            answer = error(wrong.status, wrong.message)
            if wrong.status == 401:
                answer.headers[hdrs.WWW_AUTHENTICATE] = "basic realm=Restricted"
            return answer
        except web.HTTPNotFound:
            return error(404, "404 unknown endpoint") if request.path.startswith("/api/") else html(404, "Page not found")
        except web.HTTPException as wrong:
            return error(wrong.status, wrong.reason)
        except DATABASE_ERRORS as wrong:
            self._process.say(f"error: {request.method} {request.path}: {wrong}")
            return error(500, self._words(Wrong.DATABASE, str(wrong)))

    def _words(self, wrong: Wrong, name: str) -> str:
        return wording(self._process.traits.version, wrong, name)

    def _note(self, request: web.Request, status: int) -> None:
        at = self._process.clock.wall().timestamp()
        self._process.truth.note(Asked(at, request.method, request.path_qs, status, request.get(_USER, "")))


def _demand_json(request: web.Request) -> None:
    """Raise ApiError for a body that is not declared as JSON: 415."""
    if request.method in {"POST", "PUT"} and request.can_read_body and request.content_type != "application/json":
        raise ApiError(415, "Unsupported Media Type")
