"""Suppressions on the Unix socket: they are recipients' addresses, so they are served nowhere else.

GET  /api/v1/suppressions           a page: ?subject=&domain=&stream=&kind=&class=&counting=1&limit=N&after= (four times)
POST /api/v1/suppressions           suppress: model/suppression.SuppressRequest
POST /api/v1/suppressions/removals  forget suppressions: UnsuppressRequest
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeAlias

import msgspec
from aiohttp import web

from pwmtad.core import state_json
from pwmtad.model.suppression import (
    ShownSuppression,
    SuppressAnswer,
    Suppression,
    SuppressionQuery,
    SuppressRequest,
    UnsuppressRequest,
)

_TEXTS: Final = {"subject": "subject", "domain": "domain", "stream": "stream", "kind": "kind", "class": "reply_class"}
"""Parameters and the query's names for them."""
_AFTER: Final = 4
Body: TypeAlias = Callable[[web.BaseRequest], Awaitable[bytes]]


class SuppressionPort(Protocol):
    """Who answers. Raises PwmtadError with a sentence where something can't be done."""

    async def suppressions(self, query: SuppressionQuery) -> list[Suppression]:
        """Return a page in the order of (kind, subject, stream, class)."""
        ...

    async def suppress(self, request: SuppressRequest) -> SuppressAnswer:
        """Suppress."""
        ...

    async def unsuppress(self, request: UnsuppressRequest) -> SuppressAnswer:
        """Forget suppressions."""
        ...


async def listed(request: web.BaseRequest, port: SuppressionPort) -> web.Response:
    """Return a page. Raises msgspec.MsgspecError, ValueError for a bad query."""
    rows = await port.suppressions(query_of(request))
    body = msgspec.json.encode([state_json.plain(ShownSuppression.of(row)) for row in rows])
    return web.Response(body=body + b"\n", content_type="application/json")


async def added(request: web.BaseRequest, port: SuppressionPort, body: Body) -> web.Response:
    """Suppress. Raises msgspec.MsgspecError for a bad request."""
    return _json(await port.suppress(msgspec.json.decode(await body(request), type=SuppressRequest)))


async def removed(request: web.BaseRequest, port: SuppressionPort, body: Body) -> web.Response:
    """Forget suppressions. Raises msgspec.MsgspecError for a bad request."""
    return _json(await port.unsuppress(msgspec.json.decode(await body(request), type=UnsuppressRequest)))


def query_of(request: web.BaseRequest) -> SuppressionQuery:
    """Read the parameters."""
    given = request.query
    fields: dict[str, object] = {name: given[parameter] for parameter, name in _TEXTS.items() if parameter in given}
    after = given.getall("after", [])
    if after:
        if len(after) != _AFTER:
            raise ValueError("after: kind, subject, stream and class")
        fields["after"] = after
    if "limit" in given:
        fields["limit"] = int(given["limit"])
    fields["counting"] = given.get("counting") == "1"
    return msgspec.convert(fields, SuppressionQuery)


def _json(answer: SuppressAnswer) -> web.Response:
    return web.Response(body=msgspec.json.encode(answer) + b"\n", content_type="application/json")
