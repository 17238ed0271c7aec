"""Reported bounces: a queue of 1000 and one consumer. What becomes of a report, only the database and the log know.

In: bounces that the webhook admitted. Out: rows, blocklisted subscribers, log lines.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from tests.tools.listmonk.database import DATABASE_ERRORS
from tests.tools.listmonk.people_store import Bounce, PeopleStore

_CAPACITY: Final = 1000
_ADDRESS: Final = re.compile(r"[^@\s<>,;]+@([a-z0-9\-]+(?:\.[a-z0-9\-]+)+)", re.ASCII)

TYPES: Final = ("soft", "hard", "complaint")


class BounceQueue:
    """See the module. `hold` keeps reports in the queue for as long as it is set."""

    def __init__(self, store: PeopleStore, actions: Mapping[str, Any], say: Callable[[str], None]) -> None:
        self._store = store
        self._actions = actions
        self._say = say
        self._queue: asyncio.Queue[Bounce] = asyncio.Queue(_CAPACITY)

    async def put(self, bounce: Bounce) -> None:
        """Queue one; blocks while the queue is full."""
        await self._queue.put(bounce)

    async def run(self) -> None:
        """Record one after the other, for as long as the process lives. What is queued at its end is lost."""
        while True:
            bounce = await self._queue.get()
            try:
                await self._store.record(bounce, self._actions)
            except DATABASE_ERRORS as error:
                self._say(f"error recording bounce: {error}")


def clean_address(text: str) -> str | None:
    """Return the address in lower case, or None if it is none."""
    address = text.strip().lower()
    return address if _ADDRESS.fullmatch(address) else None


def is_banned(address: str, blocked: Sequence[str], allowed: Sequence[str]) -> bool:
    """Whether the lists of domains forbid the address. `*.` stands for any first label; an allowlist overrides."""
    domain = address.rpartition("@")[2]
    if allowed:
        return not _listed(domain, allowed)
    return _listed(domain, blocked)


def _listed(domain: str, listed: Sequence[str]) -> bool:
    return domain in listed or f"*.{domain.partition('.')[2]}" in listed
