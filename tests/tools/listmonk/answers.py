"""What HTTP answers look like: `{"data": ...}`, `{"message": "..."}`, pages of results.

In: values. Out: responses, or `ApiError` for the middleware to turn into one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from aiohttp import web
from typing_extensions import override

_PER_PAGE: Final = 20
_MOST_PER_PAGE: Final = 50


class ApiError(Exception):
    """An error with its status code and its text, which nobody should match."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class DroppedError(Exception):
    """There is no answer: the connection is dropped."""


class _Encoder(json.JSONEncoder):
    @override
    def default(self, o: Any) -> Any:
        if isinstance(o, datetime):
            return o.astimezone(UTC).isoformat().replace("+00:00", "Z")
        return str(o) if isinstance(o, UUID) else super().default(o)


def json_text(value: Any) -> str:
    """Return JSON; moments as RFC 3339."""
    return json.dumps(value, cls=_Encoder, ensure_ascii=False)


def bare(value: Any, status: int = 200) -> web.Response:
    """Return an answer that is not wrapped."""
    return web.Response(text=json_text(value), status=status, content_type="application/json")


def data(value: Any) -> web.Response:
    """Return `{"data": value}`."""
    return bare({"data": value})


def error(status: int, message: str) -> web.Response:
    """Return `{"message": message}`."""
    return bare({"message": message}, status)


def html(status: int, title: str) -> web.Response:
    """Return a page, as a proxy or a route that does not exist answers."""
    text = f"<!doctype html>\n<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\n"
    return web.Response(text=text, status=status, content_type="text/html")


class Page(NamedTuple):
    """Which part of the results: `size` None is all of them."""

    number: int
    size: int | None

    @property
    def offset(self) -> int:
        """How many to skip."""
        return (self.number - 1) * (self.size or 0)


def page_of(query: Mapping[str, str]) -> Page:
    """Read `page` and `per_page`: more than 50 is silently 50, `all` is all, nonsense is the default."""
    number = _number(query.get("page", ""), 1)
    if query.get("per_page") == "all":
        return Page(1, None)
    return Page(number, min(_MOST_PER_PAGE, _number(query.get("per_page", ""), _PER_PAGE)))


def results(rows: Sequence[Any], total: int, page: Page, query: str = "") -> web.Response:
    """Return a page. Without rows (also beyond the last page) total, page and per_page are 0."""
    numbers = (total, page.size or 0, page.number) if rows else (0, 0, 0)
    total, per_page, number = numbers
    return data({"results": list(rows), "search": "", "query": query, "total": total, "per_page": per_page, "page": number})


async def json_body(request: web.Request) -> Any:
    """Return the decoded body, an empty object if there is none. Raises ApiError."""
    raw = await request.read()
    if not raw:
        return {}
    try:
        return json.loads(raw)
    except ValueError as wrong:
        raise ApiError(400, f"code=400, message={wrong}") from None


async def json_object(request: web.Request) -> dict[str, Any]:
    """Return the decoded body if it is an object. Raises ApiError."""
    body = await json_body(request)
    if not isinstance(body, dict):
        raise ApiError(400, "code=400, message=Unmarshal type error")
    return body


def _number(text: str, default: int) -> int:
    return int(text) if text.isascii() and text.isdigit() and int(text) > 0 else default
