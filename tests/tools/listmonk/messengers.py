"""Messengers by name: `email` spreads over all enabled SMTP blocks, `email-NAME` is one of them.

In: the settings as they were when the process started. Out: mail, and a note of each message in the truth.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tests.tools.listmonk.clock import Clock
from tests.tools.listmonk.govalues import as_duration
from tests.tools.listmonk.message import Campaign, Composer, Message, Person
from tests.tools.listmonk.smtp import BROKEN, Pool, RefusedError, Server
from tests.tools.listmonk.truth import Sending


class Messengers:
    """See the module. `start` is the number of this run of the process."""

    def __init__(
        self,
        blocks: Iterable[Mapping[str, Any]],
        composer: Composer,
        clock: Clock,
        note: Callable[[Sending], None],
        *,
        source: str,
        start: int,
    ) -> None:
        self._composer = composer
        self._clock = clock
        self._note = note
        self._start = start
        enabled = [(block["name"], Pool(server_of(block, source))) for block in blocks if block["enabled"]]
        self._pools = {"email": [pool for _, pool in enabled]} | {name: [pool] for name, pool in enabled if name}
        self._turn = itertools.count()

    @property
    def names(self) -> list[str]:
        """What campaigns may name as their messenger."""
        return list(self._pools)

    async def send(self, campaign: Campaign, person: Person) -> bool:
        """Send one message and note it. Return whether it was accepted; nothing is ever tried again."""
        pools = self._pools[campaign.messenger]
        pool = pools[next(self._turn) % len(pools)]
        message = self._composer.compose(campaign, person)
        outcome, reply = await _try(pool, message)
        sending = Sending(
            at=self._clock.wall().timestamp(),
            start=self._start,
            campaign=campaign.id,
            subscriber=person.id,
            email=person.email,
            outcome=outcome,
            reply=reply,
            message_id=message.message_id,
        )
        self._note(sending)
        return outcome == "sent"

    def close(self) -> None:
        """Drop idle connections."""
        for pool in self._pools["email"]:
            pool.close()


async def _try(pool: Pool, message: Message) -> tuple[str, str]:
    try:
        reply = await pool.send(message.sender, message.recipients, message.data)
    except RefusedError as error:
        return "refused", str(error)
    except BROKEN as error:
        return "failed", f"{type(error).__name__}: {error}"
    return "sent", f"{reply.code} {reply.text}"


def server_of(block: Mapping[str, Any], source: str) -> Server:
    """Return the SMTP server of a block of the settings."""
    return Server(
        host=block["host"],
        port=block["port"],
        source=source,
        hello=block["hello_hostname"] or "localhost",
        auth=block["auth_protocol"],
        username=block["username"],
        password=block["password"],
        max_conns=block["max_conns"] or 1,
        retries=block["max_msg_retries"],
        idle_timeout_s=as_duration(block["idle_timeout"]) or 15.0,
        wait_timeout_s=as_duration(block["wait_timeout"]) or 5.0,
    )
