"""The daemon's HTTP face: metrics, health and state on a TCP address, and the same on the command line's Unix socket.

In: requests, bounded in size, time and number. Out: what the numbers mean, and what a change brings about. Requests that
change something, and records (they quote replies), are served on the socket alone, whose mode (0660) says who may.

    GET  /                one page for people, with links to the others
    GET  /metrics         Prometheus text or OpenMetrics, by the Accept header
    GET  /healthz         200 while ticks finish, else 503 and why
    GET  /readyz          200 when the counters are the truth now, else 503 and why
    GET  /api/v1/state    the State as JSON (core/state_json.py)
    GET  /api/v1/records  decisions, newest last: ?limit=N&halt=ID (socket only)
    POST /api/v1/halts    halt a stream by hand: model/control.HaltRequest (socket only)
    POST /api/v1/releases end a hold: model/control.ReleaseRequest (socket only)
    /api/v1/suppressions  suppressions.py (socket only)
"""

from __future__ import annotations

import asyncio
import socket as sockets
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeAlias

import msgspec
import structlog
from aiohttp import web
from typing_extensions import override

from pwmtad.adapters.http_api import suppressions as suppressing
from pwmtad.adapters.http_api.listening import open_tcp, open_unix, remove_if_same, tcp_advice, unix_advice
from pwmtad.core import state_json
from pwmtad.core.overview import overview_page
from pwmtad.model.control import ControlAnswer, HaltRequest, ReleaseRequest
from pwmtad.model.errors import PwmtadError
from pwmtad.model.judgement import Record
from pwmtad.model.names import Instant
from pwmtad.model.state import Snapshot

_ANSWER_TIMEOUT_S: Final = 10.0
"""From request to last byte; Prometheus gives a scrape 10 s by default (scrape_timeout)."""
_IDLE_TIMEOUT_S: Final = 75.0
"""A connection without a whole request is closed; above Prometheus's default interval of 60 s, so that it can be kept."""
_MAX_LINE_BYTES: Final = 4096
_MAX_HEADERS: Final = 64
"""Own choice: requests of scrapers and browsers have some 20 headers and 1 KiB."""
_MAX_CONNECTIONS: Final = 64
"""Own choice: scrapers, probes and people of one host; each may hold one exposition (up to 1 MiB)."""
_BACKLOG: Final = 16
_MAX_BODY_BYTES: Final = 16 * 1024
_MAX_RECORDS: Final = 1000
"""Own choice: what a person can read, and what fits an answer of 1 MiB."""
_STOP_TIMEOUT_S: Final = 2.0
_HEADERS: Final = {
    "Server": "pwmtad",  # no version for strangers
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
}

_log = structlog.get_logger()
_Handler: TypeAlias = Callable[[web.BaseRequest], Awaitable[web.Response]]


class ListenError(PwmtadError):
    """An address or socket can't be listened on; the text says which, why, and what to do."""


class _TooLargeError(Exception):
    """A request with more in it than any of ours has."""


class Exposition(Protocol):
    """What serves /metrics."""

    def observe(self, snapshot: Snapshot) -> None:
        """See every snapshot that is taken, in order: each brings the durations of ticks since the one before."""
        ...

    def exposition(self, snapshot: Snapshot, accept: str) -> tuple[bytes, str]:
        """Return body and content type; called in a thread, because it may take 0.2 s."""
        ...


class ControlPort(Protocol):
    """What the socket may ask for. Raises PwmtadError with a sentence where it can't be done."""

    async def halt(self, request: HaltRequest) -> ControlAnswer:
        """Halt a stream by hand."""
        ...

    async def release(self, request: ReleaseRequest) -> ControlAnswer:
        """End a hold."""
        ...

    async def records(self, *, limit: int, halt_id: str | None) -> list[Record]:
        """Return the newest records, oldest first."""
        ...


class HttpApi:
    """Serves snapshots. `listen` is `HOST:PORT` (IPv6 with or without brackets); `socket` a path, or None for no socket."""

    def __init__(
        self,
        snapshot: Callable[[], Snapshot],
        *,
        listen: str,
        socket: str | None,
        max_tick_age_s: float,
        now: Callable[[], Instant],
        metrics: Exposition,
        control: ControlPort | None = None,
        suppressions: suppressing.SuppressionPort | None = None,
        answer_timeout_s: float = _ANSWER_TIMEOUT_S,
        idle_timeout_s: float = _IDLE_TIMEOUT_S,
    ) -> None:
        self._take_snapshot = snapshot
        self._listen = listen
        self._socket = socket
        self._max_tick_age_s = max_tick_age_s
        self._now = now
        self._metrics = metrics
        self._control = control
        self._suppressions = suppressions
        self._answer_timeout_s = answer_timeout_s
        self._idle_timeout_s = idle_timeout_s
        self._servers: list[asyncio.Server] = []
        self._http: web.Server | None = None
        self._own_socket: tuple[str, int] | None = None
        self._routes: Final[dict[str, _Handler]] = {
            "/": self._overview,
            "/metrics": self._serve_metrics,
            "/healthz": self._healthz,
            "/readyz": self._readyz,
            "/api/v1/state": self._state,
        }
        self._socket_routes: Final[dict[tuple[str, str], Callable[[web.BaseRequest, ControlPort], Awaitable[web.Response]]]] = {
            ("GET", "/api/v1/records"): self._records,
            ("POST", "/api/v1/halts"): self._halt,
            ("POST", "/api/v1/releases"): self._release,
            ("GET", "/api/v1/suppressions"): self._listed,
            ("POST", "/api/v1/suppressions"): self._added,
            ("POST", "/api/v1/suppressions/removals"): self._removed,
        }

    @property
    def addresses(self) -> tuple[tuple[str, int], ...]:
        """Host and port of each TCP socket that is listened on; tells the port where 0 was asked for."""
        names = [listener.getsockname() for server in self._servers for listener in server.sockets]
        return tuple((name[0], name[1]) for name in names if not isinstance(name, str))

    @property
    def connections(self) -> int:
        """Clients that are connected now, on both."""
        return 0 if self._http is None else len(self._http.connections)

    async def start(self) -> None:
        """Listen on both or on neither. Raises ListenError."""
        self._http = web.Server(self._answer)
        try:
            await self._listen_tcp(self._http)
            if self._socket is not None:
                await self._listen_unix(self._http, self._socket)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop listening, let answers in progress finish, remove the socket. Harmless if not started."""
        servers, self._servers = self._servers, []
        for server in servers:
            server.close()
        http, self._http = self._http, None
        if http is not None:
            http.pre_shutdown()
            await http.shutdown(_STOP_TIMEOUT_S)
        own, self._own_socket = self._own_socket, None
        if own is not None:
            remove_if_same(*own)

    # -- listening

    async def _listen_tcp(self, http: web.Server) -> None:
        host, _, port = self._listen.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        loop = asyncio.get_running_loop()
        try:
            listeners = await open_tcp(host, int(port), _BACKLOG)
        except OSError as error:
            raise ListenError(f"can't listen on {self._listen}: {tcp_advice(port, error)}") from error
        for listener in listeners:
            self._servers.append(await loop.create_server(self._protocols(http), sock=listener, backlog=_BACKLOG))

    async def _listen_unix(self, http: web.Server, path: str) -> None:
        try:
            listener, inode = open_unix(path)
        except OSError as error:
            raise ListenError(f"can't listen on {path}: {unix_advice(path, error)}") from error
        self._own_socket = (path, inode)
        loop = asyncio.get_running_loop()
        self._servers.append(await loop.create_unix_server(self._protocols(http), sock=listener, backlog=_BACKLOG))

    def _protocols(self, http: web.Server) -> Callable[[], web.RequestHandler]:
        loop = asyncio.get_running_loop()
        return lambda: _Connection(
            http,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # documented to switch it off
            keepalive_timeout=self._idle_timeout_s,
            lingering_time=0.0,
            max_line_size=_MAX_LINE_BYTES,
            max_field_size=_MAX_LINE_BYTES,
            max_headers=_MAX_HEADERS,
        )

    # -- answering

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        response = _words("not started", status=503)
        try:
            async with asyncio.timeout(self._answer_timeout_s):
                response = await self._response(request)
                response.headers.update(_HEADERS)
                await response.prepare(request)
                await response.write_eof()
        except TimeoutError:
            # The client does not read. What it got is no whole answer; closing says so.
            if request.transport is not None:
                request.transport.abort()
        return response

    async def _response(self, request: web.BaseRequest) -> web.Response:
        try:
            return await self._routed(request)
        except Exception:
            _log.exception("request_failed", path=request.path)
            return _words("this failed; the daemon's log says why", status=500)

    async def _routed(self, request: web.BaseRequest) -> web.Response:
        on_socket = self._socket_routes.get((request.method, request.path))
        if on_socket is not None:
            return await self._on_socket(on_socket, request)
        handler = self._routes.get(request.path)
        if handler is None:
            return _words("there is only " + ", ".join(self._routes), status=404)
        if request.method not in ("GET", "HEAD"):
            return _words("only GET is served here", status=405, headers={"Allow": "GET, HEAD"})
        return await handler(request)

    async def _on_socket(
        self, handler: Callable[[web.BaseRequest, ControlPort], Awaitable[web.Response]], request: web.BaseRequest
    ) -> web.Response:
        connection = request.transport.get_extra_info("socket") if request.transport is not None else None
        if connection is None or connection.family != sockets.AF_UNIX:
            return _words("this is served on the Unix socket only", status=403)
        if self._control is None:
            return _words("this daemon takes no orders", status=404)
        try:
            return await handler(request, self._control)
        except _TooLargeError:
            return _words(f"the request is larger than {_MAX_BODY_BYTES} bytes", status=413)
        except PwmtadError as error:
            return _words(str(error), status=409)
        except (msgspec.MsgspecError, ValueError) as error:
            return _words(f"bad request: {error}", status=400)

    async def _halt(self, request: web.BaseRequest, control: ControlPort) -> web.Response:
        return _json(await control.halt(msgspec.json.decode(await _body(request), type=HaltRequest)))

    async def _release(self, request: web.BaseRequest, control: ControlPort) -> web.Response:
        return _json(await control.release(msgspec.json.decode(await _body(request), type=ReleaseRequest)))

    async def _records(self, request: web.BaseRequest, control: ControlPort) -> web.Response:
        limit = min(max(int(request.query.get("limit", "50")), 1), _MAX_RECORDS)
        records = await control.records(limit=limit, halt_id=request.query.get("halt") or None)
        body = msgspec.json.encode([state_json.plain(record) for record in records])
        return web.Response(body=body + b"\n", content_type="application/json")

    async def _listed(self, request: web.BaseRequest, _control: ControlPort) -> web.Response:
        return await suppressing.listed(request, self._suppressing())

    async def _added(self, request: web.BaseRequest, _control: ControlPort) -> web.Response:
        return await suppressing.added(request, self._suppressing(), _body)

    async def _removed(self, request: web.BaseRequest, _control: ControlPort) -> web.Response:
        return await suppressing.removed(request, self._suppressing(), _body)

    def _suppressing(self) -> suppressing.SuppressionPort:
        if self._suppressions is None:
            raise PwmtadError("this daemon keeps no suppressions")
        return self._suppressions

    def _snapshot(self) -> Snapshot:
        snapshot = self._take_snapshot()
        self._metrics.observe(snapshot)
        return snapshot

    async def _serve_metrics(self, request: web.BaseRequest) -> web.Response:
        snapshot = self._snapshot()  # on the loop, where ingest can't change it meanwhile
        accept = ",".join(request.headers.getall("Accept", []))
        body, content_type = await asyncio.to_thread(self._metrics.exposition, snapshot, accept)
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def _healthz(self, _request: web.BaseRequest) -> web.Response:
        age_s = self._now() - self._snapshot().state.at
        if age_s <= self._max_tick_age_s:
            return _words("ok")
        return _words(f"no tick has finished for {age_s:.0f} s (limit {self._max_tick_age_s:.0f} s)", status=503)

    async def _readyz(self, _request: web.BaseRequest) -> web.Response:
        snapshot = self._snapshot()
        if snapshot.ready:
            return _words("ready")
        return _words("\n".join(("not ready:", *snapshot.not_ready)), status=503)

    async def _state(self, _request: web.BaseRequest) -> web.Response:
        return web.Response(body=state_json.encode(self._snapshot().state) + b"\n", content_type="application/json")

    async def _overview(self, _request: web.BaseRequest) -> web.Response:
        return web.Response(text=overview_page(self._snapshot()), content_type="text/html")


class _Connection(web.RequestHandler):
    """One client; aiohttp's, but for the number of them and for the answer to what is no HTTP."""

    __slots__ = ()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self._manager is not None and len(self._manager.connections) > _MAX_CONNECTIONS:
            self.force_close()

    @override
    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Answer without quoting the request or the versions of what runs here."""
        del request, exc, message
        response = _words("bad request", status=status, headers=_HEADERS)
        response.force_close()
        return response


async def _body(request: web.BaseRequest) -> bytes:
    """Return the body, whether or not its length was announced. Raises _TooLargeError before it is all in memory."""
    body = b""
    async for part in request.content.iter_chunked(_MAX_BODY_BYTES + 1):
        body += part
        if len(body) > _MAX_BODY_BYTES:
            raise _TooLargeError
    return body


def _json(answer: ControlAnswer) -> web.Response:
    return web.Response(body=msgspec.json.encode(answer) + b"\n", content_type="application/json")


def _words(text: str, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(text=text + "\n", status=status, headers=headers)
