"""A running journalctl: whole lines out of it, bounded, and an end that leaves no zombie.

If the daemon dies without ending it, journalctl -f sees its closed pipe and ends within milliseconds (systemd 252); an older
one ends at its next write (EPIPE). Under systemd the unit's control group takes it along in any case.
"""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final, cast

from typing_extensions import override

MAX_LINE: Final = 1 << 20
"""Bytes of one JSON line. A message of 64 KiB has up to 6 bytes of JSON for each of its own; what runs in the unit can write
entries of 768 MiB (journald's limit), and must not fill our memory."""
_MAX_WAITING: Final = 1 << 19
"""Bytes of lines that wait to be taken; then journalctl waits. About a thousand entries."""
_MAX_STDERR: Final = 4096
"""Bytes of stderr that are kept from its beginning, and as many from its end: the reason stands at either."""
_PATIENCE_S: Final = 5.0
"""How long a killed process is waited for. It is gone at once, unless it hangs in the kernel on a dying disk."""


class Process(asyncio.SubprocessProtocol):
    """Made by `start`. Call `close` in any case."""

    def __init__(self) -> None:
        self.cut_lines = 0
        """Lines over MAX_LINE: dropped, for half a line of JSON is nothing."""
        self.ended = False
        """It has ended, and all that it printed has been received."""
        self._lines: list[bytes] = []
        self._waiting = 0
        self._rest = b""
        self._cutting = False
        self._stderr_head = b""
        self._stderr_tail = b""
        self._news = asyncio.Event()
        self._gone = asyncio.Event()
        self._transport: asyncio.SubprocessTransport | None = None

    @property
    def returncode(self) -> int:
        """Exit code, or minus the signal, of one that has ended; 255 if nobody knows, as asyncio says."""
        code = None if self._transport is None else self._transport.get_returncode()
        return 255 if code is None else code

    @property
    def idle(self) -> bool:
        """Whether nothing that it printed waits, not even a part of a line."""
        return not (self._lines or self._rest or self._cutting)

    @property
    def stderr(self) -> str:
        """The beginning and the end of what it said on stderr."""
        return (self._stderr_head + self._stderr_tail).decode("utf-8", "replace")

    async def take(self, timeout_s: float) -> list[bytes]:
        """Wait for lines, at most `timeout_s`, and take all that are there."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._news.wait()
        self._news.clear()
        lines, self._lines = self._lines, []
        if self._waiting >= _MAX_WAITING:
            self._pipe().resume_reading()
        self._waiting = 0
        return lines

    async def close(self) -> None:
        """Kill it (it has nothing to finish), close the pipes and wait until the kernel has let go of it."""
        transport = self._transport
        if transport is None:
            return
        transport.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_S):
                await self._gone.wait()

    # -- what asyncio tells

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """As in asyncio."""
        self._transport = cast("asyncio.SubprocessTransport", transport)

    @override
    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """As in asyncio."""
        if fd == 1:
            self._receive(data)
        else:
            room = _MAX_STDERR - len(self._stderr_head)
            self._stderr_head += data[:room]
            self._stderr_tail = (self._stderr_tail + data[room:])[-_MAX_STDERR:]

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        """As in asyncio: it has ended, and both pipes are at their end."""
        self.ended = True
        self._gone.set()
        self._news.set()

    def _receive(self, data: bytes) -> None:
        if self._cutting:
            _, found, data = data.partition(b"\n")
            if not found:
                return
            self._cutting = False
        head, found, tail = data.rpartition(b"\n")
        if found:
            lines = (self._rest + head).split(b"\n")
            self._rest = tail
            self._lines += lines
            self._waiting += sum(map(len, lines))
            self._news.set()
            if self._waiting >= _MAX_WAITING:
                self._pipe().pause_reading()
        else:
            self._rest += tail
        if len(self._rest) > MAX_LINE:
            self._rest, self._cutting = b"", True
            self.cut_lines += 1

    def _pipe(self) -> asyncio.ReadTransport:
        assert self._transport is not None  # noqa: S101 - data come after connection_made
        return cast("asyncio.ReadTransport", self._transport.get_pipe_transport(1))


async def start(command: str, arguments: Sequence[str], environment: Mapping[str, str]) -> Process:
    """Start it. Raises OSError if it can't be started."""
    _, process = await asyncio.get_running_loop().subprocess_exec(
        Process,
        command,
        *arguments,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(environment),
    )
    return process
