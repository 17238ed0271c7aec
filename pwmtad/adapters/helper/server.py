"""Serves the few actions on Postfix over a Unix socket, to root and to the daemon's user.

In: connections, who they are by the kernel's word (SO_PEERCRED), messages. Out: what an action does (the actor). A request that
has begun is carried to its end, whatever becomes of its client.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Collection, Sequence
from typing import Final, Protocol

import msgspec
import structlog

from pwmtad.adapters.helper.frames import FrameError, encode, receive
from pwmtad.core.text import clean
from pwmtad.model import helper_protocol as protocol
from pwmtad.model.errors import PwmtadError
from pwmtad.model.target import Applied, PostfixActual, PostfixTarget, QueueListing

_MAX_CONNECTIONS: Final = 16
"""The daemon holds two; `pwmtad restore` one."""
_REQUEST_S: Final = 10.0
"""From a message's first byte to its last."""
_ANSWER_S: Final = 30.0
"""For a client to take the answer."""
_IDLE_S: Final = 3600.0
_END_S: Final = 45.0
"""How long a request under way may take when the helper ends; systemd waits longer (TimeoutStopSec=)."""
_CREDENTIALS: Final = struct.Struct("3i")
"""struct ucred: pid, uid, gid (unix(7))."""

_log = structlog.get_logger()


class Actor(Protocol):
    """What is served. Failures are in the values."""

    async def look(self) -> PostfixActual:
        """Read what Postfix's files say."""
        ...

    async def apply(self, target: PostfixTarget) -> Applied:
        """Make it so."""
        ...

    async def restore(self, *, release_held: bool = False) -> Applied:
        """Put people's own values back."""
        ...

    async def queue(self) -> QueueListing:
        """List the queue."""
        ...

    async def hold(self, queue_ids: Sequence[str]) -> str | None:
        """Put messages on hold."""
        ...

    async def unhold(self, queue_ids: Sequence[str]) -> str | None:
        """Let messages go that are held by us."""
        ...


class HelperServer:
    """Serves `actor` to the users in `allowed` (numbers); root may always.

    One connection asks one thing at a time. What must not happen at once the actor keeps apart: a listing of a large queue
    does not keep a halt waiting.
    """

    def __init__(
        self,
        actor: Actor,
        *,
        allowed: Collection[int],
        request_s: float = _REQUEST_S,
        answer_s: float = _ANSWER_S,
        idle_s: float = _IDLE_S,
    ) -> None:
        self._actor = actor
        self._allowed = frozenset({0, *allowed})
        self._request_s = request_s
        self._answer_s = answer_s
        self._idle_s = idle_s
        self._server: asyncio.Server | None = None
        self._ending = False
        self._connections: set[asyncio.Task[None]] = set()
        self._busy: set[asyncio.Task[None]] = set()
        """Those of `_connections` that have a request under way."""
        self._actions: set[asyncio.Task[protocol.Answer]] = set()
        """The requests themselves: a client that hangs up does not end them."""
        self._calls = msgspec.msgpack.Decoder(protocol.Call)

    @property
    def busy(self) -> int:
        """How many requests are under way, or answered to somebody who does not read."""
        return len(self._busy)

    async def start(self, listener: socket.socket) -> None:
        """Serve what connects to `listener`."""
        self._server = await asyncio.start_unix_server(self._connected, sock=listener)

    async def stop(self) -> None:
        """Take no more requests, carry those under way to their end, hang up."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self._ending = True
        for task in self._connections - self._busy:
            task.cancel()
        if self._busy:
            await asyncio.wait(set(self._busy), timeout=_END_S)
        left = {*self._connections, *self._actions}
        for one in left:
            one.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            return
        if len(self._connections) >= _MAX_CONNECTIONS:
            writer.transport.abort()
            return
        self._connections.add(task)
        try:
            await self._serve(reader, writer)
        except (FrameError, TimeoutError, ConnectionError) as error:
            _log.warning("client_dropped", problem=str(error) or type(error).__name__)
        except asyncio.CancelledError:
            _log.info("client_hung_up")  # the helper ends
        finally:
            self._connections.discard(task)
            if writer.transport.get_write_buffer_size():
                writer.transport.abort()  # it does not read
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        user = _user_of(writer)
        while not self._ending:
            try:
                call = await receive(
                    reader, self._calls, limit=protocol.MAX_REQUEST, first_s=self._idle_s, rest_s=self._request_s
                )
            except FrameError as error:
                await self._answer(writer, protocol.Refused(str(error)))
                raise
            if call is None or not await self._one(writer, call, user):
                return

    async def _one(self, writer: asyncio.StreamWriter, call: protocol.Call, user: int) -> bool:
        """Carry out one request and answer it. False: the connection ends with it."""
        task = asyncio.current_task()
        if task is not None:
            self._busy.add(task)
        try:
            answer = await self._carry_out(call, user)
            await self._answer(writer, answer)
        finally:
            if task is not None:
                self._busy.discard(task)
        return not isinstance(answer, protocol.Refused)

    async def _answer(self, writer: asyncio.StreamWriter, answer: protocol.Answer) -> None:
        try:
            data = encode(answer, protocol.MAX_ANSWER)
        except FrameError as error:
            data = encode(protocol.Refused(f"the answer can't be sent: {error}"), protocol.MAX_ANSWER)
        writer.write(data)
        async with asyncio.timeout(self._answer_s):
            await writer.drain()

    async def _carry_out(self, call: protocol.Call, user: int) -> protocol.Answer:
        """Do it to its end, whatever becomes of the client."""
        if user not in self._allowed:
            _log.warning("client_refused", user=user)
            return protocol.Refused("this user may not ask the helper: root and the daemon's user may")
        if call.version != protocol.VERSION:
            return protocol.Refused(
                f"the helper speaks version {protocol.VERSION}, not {call.version}: after an upgrade restart both "
                f"(systemctl restart pwmtad-helper pwmtad)"
            )
        if isinstance(call.request, protocol.Restore) and user != 0:
            return protocol.Refused("only root may restore")
        action = asyncio.create_task(self._act(call.request))
        self._actions.add(action)
        action.add_done_callback(self._actions.discard)
        return await asyncio.shield(action)

    async def _act(self, request: protocol.Request) -> protocol.Answer:
        try:
            return await self._acted(request)
        except (PwmtadError, OSError) as error:
            return protocol.Refused(clean(str(error), 500))
        except Exception as error:  # a fault of ours must not end the helper, which a halt may need next
            _log.exception("request_failed", request=type(request).__name__)
            return protocol.Refused(f"this failed in the helper, whose log says more: {clean(repr(error), 300)}")

    async def _acted(self, request: protocol.Request) -> protocol.Answer:
        match request:
            case protocol.Look():
                return protocol.Seen(await self._actor.look())
            case protocol.Apply(target):
                return protocol.Carried(await self._actor.apply(target))
            case protocol.ListQueue():
                return protocol.Listed(await self._actor.queue())
            case protocol.Hold(queue_ids):
                return protocol.Done(await self._actor.hold(queue_ids))
            case protocol.Unhold(queue_ids):
                return protocol.Done(await self._actor.unhold(queue_ids))
            case protocol.Restore(release_held):
                return protocol.Carried(await self._actor.restore(release_held=release_held))


def _user_of(writer: asyncio.StreamWriter) -> int:
    """Return the user that connected, as the kernel knows it; -1: nobody knows."""
    connection = writer.get_extra_info("socket")
    if connection is None:
        return -1
    try:
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    except OSError:
        return -1
    user: int = _CREDENTIALS.unpack(credentials)[1]
    return user
