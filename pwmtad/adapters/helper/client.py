"""The daemon's end: asks the root helper, and answers in words when it can't be asked.

Two connections are kept: one for what is written, one for the queue, so that a halt never waits for a listing. What is lost
with a connection is asked again once: every request states a target, and carrying it out twice is the same as once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, TypeVar

import msgspec
from typing_extensions import override

from pwmtad.adapters.helper.frames import FrameError, encode, receive
from pwmtad.core.text import clean
from pwmtad.model import helper_protocol as protocol
from pwmtad.model.target import Applied, PostfixActual, PostfixTarget, QueueListing

_CONNECT_S: Final = 5.0
_FILES_S: Final = 90.0
"""Own choice: above all that the helper itself waits for: twice 10 s for postconf, reload and status each."""
_QUEUE_S: Final = 150.0
"""Own choice: twice 60 s for postsuper or postqueue, and the transfer."""
_Answer = TypeVar("_Answer", protocol.Seen, protocol.Carried, protocol.Listed, protocol.Done)


class _Unanswered(Exception):
    """There is no answer; the text says why and what to do."""


class _HungUp(Exception):
    """The connection ended before the answer."""


class _Line:
    """One kept connection; one question at a time."""

    def __init__(self, path: str, timeout_s: float) -> None:
        self._path = path
        self._timeout_s = timeout_s
        self._lock = asyncio.Lock()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._answers: msgspec.msgpack.Decoder[protocol.Answer] = msgspec.msgpack.Decoder(protocol.Answer)

    async def ask(self, request: protocol.Request, kind: type[_Answer]) -> _Answer:
        """Return the answer. Raises _Unanswered."""
        async with self._lock:
            kept = self._streams is not None
            try:
                answer = await self._exchange(request)
            except _HungUp:
                if not kept:
                    raise _Unanswered(_advice("it hung up before it answered")) from None
                answer = await self._again(request)
        if isinstance(answer, kind):
            return answer
        self.close()
        said = answer.problem if isinstance(answer, protocol.Refused) else "it answered another question"
        raise _Unanswered(f"the helper refused: {clean(said or '', 500)}")

    def close(self) -> None:
        """Hang up."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def _again(self, request: protocol.Request) -> protocol.Answer:
        try:
            return await self._exchange(request)
        except _HungUp:
            raise _Unanswered(_advice("it hung up twice before it answered")) from None

    async def _exchange(self, request: protocol.Request) -> protocol.Answer:
        answer: protocol.Answer | None = None
        try:
            reader, writer = self._streams or await self._connect()
            writer.write(encode(protocol.Call(protocol.VERSION, request), protocol.MAX_REQUEST))
            async with asyncio.timeout(self._timeout_s):
                await writer.drain()
                answer = await receive(
                    reader, self._answers, limit=protocol.MAX_ANSWER, first_s=self._timeout_s, rest_s=self._timeout_s
                )
        except TimeoutError:
            raise _Unanswered(_advice(f"it did not answer within {self._timeout_s:g} s")) from None
        except ConnectionError:
            raise _HungUp from None
        except FrameError as error:
            raise _Unanswered(f"what answers is not the helper of this version: {error}") from error
        finally:
            if answer is None:
                self.close()
        if answer is None:
            raise _HungUp
        return answer

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        try:
            async with asyncio.timeout(_CONNECT_S):
                self._streams = await asyncio.open_unix_connection(self._path)
        except OSError as error:  # TimeoutError is one
            raise _Unanswered(why_unreachable(self._path, error)) from error
        return self._streams


class HelperClient:
    """Asks the helper that listens on `path`. Nothing here raises: what fails comes back in words."""

    def __init__(self, path: str, *, files_s: float = _FILES_S, queue_s: float = _QUEUE_S) -> None:
        self._files = _Line(path, files_s)
        self._messages = _Line(path, queue_s)

    @override
    def __repr__(self) -> str:
        return "HelperClient()"

    def close(self) -> None:
        """Hang up."""
        self._files.close()
        self._messages.close()

    async def look(self) -> PostfixActual:
        """Read what Postfix's files say."""
        try:
            return (await self._files.ask(protocol.Look(), protocol.Seen)).actual
        except _Unanswered as error:
            return PostfixActual(problem=str(error))

    async def apply(self, target: PostfixTarget) -> Applied:
        """Make it so; where nothing differs nothing is written."""
        return await self._carried(self._files, protocol.Apply(target))

    async def restore(self, *, release_held: bool = False) -> Applied:
        """Put people's own values back; as root only."""
        return await self._carried(self._messages, protocol.Restore(release_held))

    async def queue(self) -> QueueListing:
        """List the queue."""
        try:
            return (await self._messages.ask(protocol.ListQueue(), protocol.Listed)).listing
        except _Unanswered as error:
            return QueueListing(problem=str(error))

    async def hold(self, queue_ids: Sequence[str]) -> str | None:
        """Put messages on hold; return what failed."""
        return await self._done(protocol.Hold(tuple(queue_ids)))

    async def unhold(self, queue_ids: Sequence[str]) -> str | None:
        """Let messages go that are held by us; return what failed."""
        return await self._done(protocol.Unhold(tuple(queue_ids)))

    async def _carried(self, line: _Line, request: protocol.Apply | protocol.Restore) -> Applied:
        try:
            return (await line.ask(request, protocol.Carried)).applied
        except _Unanswered as error:
            return Applied(PostfixActual(problem=str(error)), problem=str(error))

    async def _done(self, request: protocol.Hold | protocol.Unhold) -> str | None:
        try:
            return (await self._messages.ask(request, protocol.Done)).problem
        except _Unanswered as error:
            return str(error)


def why_unreachable(path: str, error: OSError) -> str:
    """Say why the helper can't be asked, and what to do."""
    match error:
        case FileNotFoundError() | ConnectionRefusedError():
            return f"nobody listens on {path}: systemctl enable --now pwmtad-helper.socket"
        case PermissionError():
            return f"this user may not ask {path}: be root, or in the socket's group (pwmtad)"
        case TimeoutError():
            return _advice(f"no connection to {path} within {_CONNECT_S:g} s")
        case _:
            return f"can't ask {path}: {error.strerror or error}"


def _advice(problem: str) -> str:
    return f"no answer from the helper: {problem}. See: systemctl status pwmtad-helper, journalctl -u pwmtad-helper -n 20"
