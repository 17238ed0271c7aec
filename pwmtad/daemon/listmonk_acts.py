"""Carries out steps at one Listmonk, with what is remembered of them stored first.

Pausing goes on when the store can't be written: a halt does not wait for a disk. Resuming, and a window that lets more out, do
not: what would be forgotten by a crash must not have been done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from typing import Final, Protocol

import structlog
from msgspec.structs import replace

from pwmtad.core import listmonk_campaigns as ownership
from pwmtad.core.guard import Guard
from pwmtad.core.listmonk_step import SetWindow
from pwmtad.core.listmonk_window import Assignment
from pwmtad.core.listmonk_words import failed_record, paused_records, resumed_records
from pwmtad.daemon.troubles import Troubles
from pwmtad.model.listmonk import (
    Campaign,
    CampaignStatus,
    Changed,
    Failure,
    ListmonkActual,
    ListmonkMemory,
    Outcome,
    PausedCampaign,
    Rights,
    Traits,
)
from pwmtad.model.names import Instant

_COMMIT_S: Final = 0.5
"""A pause is stored before it is made; a store that is slower than this must not keep mail leaving."""
_SURE_COMMIT_S: Final = 10.0
"""What makes more waits so long for the store, and is left undone then."""

NOT_PAUSED: Final = "listmonk_not_paused"
NOT_RESUMED: Final = "listmonk_not_resumed"
NOT_SET: Final = "listmonk_window_not_set"
NOT_STORED: Final = "listmonk_not_stored"
_log = structlog.get_logger()


class ListmonkPort(Protocol):
    """One instance. Failures are in the values, as words."""

    async def look(self, *, whole: bool) -> ListmonkActual | Failure:
        """Read campaigns and, if `whole`, version and settings."""
        ...

    async def rights(self, traits: Traits, *, probe: bool) -> Rights | Failure:
        """Find out which permissions are missing; `probe`: also by requests that Listmonk refuses in any case."""
        ...

    async def set_status(self, campaign: int, status: CampaignStatus) -> Changed:
        """Ask for another status, once."""
        ...

    async def set_window(self, changes: Sequence[Assignment], traits: Traits) -> Changed:
        """Write settings, in this order."""
        ...

    async def close(self) -> None:
        """Close connections."""
        ...


class ListmonkActs:
    """See the module. Counts what was done."""

    def __init__(
        self,
        *,
        stream: str,
        port: ListmonkPort,
        guard: Guard,
        commit: Callable[[], Awaitable[bool]],
        clock: Callable[[], Instant],
        troubles: Troubles,
    ) -> None:
        self.pauses = self.resumes = self.failures = 0
        self._stream = stream
        self._port = port
        self._guard = guard
        self._commit = commit
        self._clock = clock
        self._troubles = troubles

    @property
    def memory(self) -> ListmonkMemory:
        """What is remembered now."""
        return self._guard.listmonk(self._stream)

    def remember(self, memory: ListmonkMemory) -> None:
        """Remember it; durable with the next commit."""
        self._guard.remember_listmonk(self._stream, memory)

    async def pause(
        self, campaigns: Sequence[Campaign], why: str, *, halt_id: str, drain: float, early: Collection[int]
    ) -> Outcome:
        """Pause them, all at once; return the worst that came of it."""
        self.remember(ownership.ask(self.memory, campaigns, self._clock(), drain))
        await self._store_first()
        outcomes = await self._ask_all((one.id for one in campaigns), CampaignStatus.PAUSED)
        plain = {number: changed.outcome for number, changed in outcomes.items()}
        self.remember(ownership.paused(self.memory, plain))
        self._guard.record(paused_records(self._stream, campaigns, plain, why, early=early, halt_id=halt_id, at=self._clock()))
        await self._store_first()
        self.pauses += list(plain.values()).count(Outcome.DONE)
        return self._judge(NOT_PAUSED, "can't pause", outcomes)

    async def resume(self, campaigns: Sequence[PausedCampaign]) -> Outcome:
        """Resume them; return the worst that came of it."""
        self.remember(ownership.release(self.memory, campaigns))
        if not await self._store_surely("nothing is resumed"):
            self.remember(ownership.keep(self.memory, campaigns))
            return Outcome.NOT_SENT
        outcomes = await self._ask_all((one.id for one in campaigns), CampaignStatus.RUNNING)
        plain = {number: changed.outcome for number, changed in outcomes.items()}
        self.remember(ownership.released(self.memory, plain))
        self._guard.record(resumed_records(self._stream, campaigns, plain, self._clock()))
        await self._store_first()
        self.resumes += list(plain.values()).count(Outcome.DONE)
        return self._judge(NOT_RESUMED, "can't resume", outcomes)

    async def write(self, step: SetWindow, traits: Traits) -> Changed:
        """Write the send window."""
        before = self.memory
        self.remember(replace(before, writing=step.writing))
        if step.grows and not await self._store_surely("the send window stays as it is"):
            self.remember(replace(self.memory, writing=before.writing))
            return Changed(Outcome.NOT_SENT, "the store can't be written")
        if not step.grows:
            await self._store_first()
        changed = await self._port.set_window(step.changes, traits)
        if changed.outcome is Outcome.DONE:
            self._troubles.over(NOT_SET)
        else:
            self.failed(NOT_SET, f"can't set the send window: {changed.text}")
        return changed

    def failed(self, code: str, text: str) -> None:
        """Something could not be done: counted each time, told once."""
        self.failures += 1
        if self._troubles.tell(code, text, log=False):
            self._guard.record([failed_record(self._stream, text, self._clock())])

    async def _ask_all(self, campaigns: Iterable[int], status: CampaignStatus) -> dict[int, Changed]:
        numbers = tuple(campaigns)
        answers = await asyncio.gather(*(self._port.set_status(number, status) for number in numbers))
        return dict(zip(numbers, answers, strict=True))

    def _judge(self, code: str, what: str, outcomes: dict[int, Changed]) -> Outcome:
        """Return the worst outcome. A refusal is none: somebody was quicker."""
        bad = (Outcome.FORBIDDEN, Outcome.UNSURE, Outcome.NOT_SENT)
        for outcome in bad:
            wrong = [number for number, changed in outcomes.items() if changed.outcome is outcome]
            if wrong:
                text = f"{what} {len(wrong)} campaign(s), the first is {wrong[0]}: {outcomes[wrong[0]].text}"
                self.failed(code, text)
                return outcome
        self._troubles.over(code)
        return Outcome.DONE

    async def _store_first(self) -> None:
        try:
            async with asyncio.timeout(_COMMIT_S):
                await asyncio.shield(self._commit())
        except TimeoutError:
            _log.warning("listmonk_paused_before_the_store", stream=self._stream, seconds=_COMMIT_S)

    async def _store_surely(self, otherwise: str) -> bool:
        try:
            async with asyncio.timeout(_SURE_COMMIT_S):
                stored = await asyncio.shield(self._commit())
        except TimeoutError:
            stored = False
        if stored:
            self._troubles.over(NOT_STORED)
        else:
            self._troubles.tell(NOT_STORED, f"the store can't be written: {otherwise}")
        return stored
