"""Messages on a stream: a length and MessagePack, bounded in size."""

from __future__ import annotations

import asyncio
from typing import TypeVar

import msgspec

from pwmtad.model.errors import PwmtadError
from pwmtad.model.helper_protocol import LENGTH_BYTES

_Message = TypeVar("_Message")


class FrameError(PwmtadError):
    """What came is no message: too long, cut short, or not understood."""


def encode(message: msgspec.Struct, limit: int) -> bytes:
    """Return the message as it is sent. Raises FrameError if it is longer than `limit`."""
    body = msgspec.msgpack.encode(message)
    if len(body) > limit:
        raise FrameError(f"a message of {len(body)} bytes is longer than {limit}")
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


async def receive(
    reader: asyncio.StreamReader,
    decoder: msgspec.msgpack.Decoder[_Message],
    *,
    limit: int,
    first_s: float,
    rest_s: float,
) -> _Message | None:
    """Return the next message; None if the other end is done.

    `first_s`: how long its first byte may take to come; `rest_s`: all others. Raises FrameError or TimeoutError.
    """
    async with asyncio.timeout(first_s):
        head = await reader.read(LENGTH_BYTES)
    if not head:
        return None
    try:
        async with asyncio.timeout(rest_s):
            head += await reader.readexactly(LENGTH_BYTES - len(head))
            length = int.from_bytes(head, "big")
            if length > limit:
                raise FrameError(f"a message of {length} bytes is longer than {limit}")
            body = await reader.readexactly(length)
    except asyncio.IncompleteReadError as error:
        raise FrameError("a message was cut short") from error
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise FrameError(f"a message is not understood: {error}") from error
