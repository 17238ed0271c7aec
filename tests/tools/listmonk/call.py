"""A request on its way: who asks, which process answers, and which instance's data it is shown.

In: nothing of its own. Out: what all handlers need, and what a route is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple, NoReturn, TypeAlias

import asyncpg
import msgspec
from aiohttp import web

from tests.tools.listmonk.answers import ApiError
from tests.tools.listmonk.auth import User
from tests.tools.listmonk.campaigns_store import CampaignsStore
from tests.tools.listmonk.faults import Faults
from tests.tools.listmonk.people_store import PeopleStore
from tests.tools.listmonk.process import Process
from tests.tools.listmonk.texts import Wrong, wording
from tests.tools.listmonk.versions import Traits


class View(msgspec.Struct, frozen=True):
    """The data of one instance: the process's own, or another's that stands behind the same URL."""

    pool: asyncpg.Pool
    campaigns: CampaignsStore
    people: PeopleStore


class Call(msgspec.Struct, frozen=True):
    """One request that was admitted."""

    request: web.Request
    process: Process
    view: View
    own: bool
    """The view is that of the process: what is changed in it concerns its engine."""
    user: User
    faults: Faults

    @property
    def traits(self) -> Traits:
        """How this version behaves."""
        return self.process.traits

    def number(self, name: str = "id") -> int:
        """Return an id of the path. Raises ApiError: 400 for what is no positive number."""
        text = self.request.match_info[name]
        if not text.isascii() or not text.isdigit() or not 0 < int(text) < 1 << 31:
            self.refuse(Wrong.INVALID_ID)
        return int(text)

    def refuse(self, wrong: Wrong, name: str = "", status: int = 400) -> NoReturn:
        """Raise ApiError with the words of this version."""
        raise ApiError(status, wording(self.traits.version, wrong, name))


Handler: TypeAlias = Callable[[Call], Awaitable[web.StreamResponse]]


class Route(NamedTuple):
    """Where a handler is found. `needs`: one of these permissions (none: any valid user)."""

    method: str
    path: str
    handler: Handler
    needs: Callable[[Traits], tuple[str, ...]]


def needs(*permissions: str) -> Callable[[Traits], tuple[str, ...]]:
    """Return the same permissions for every version."""
    return lambda _: permissions
