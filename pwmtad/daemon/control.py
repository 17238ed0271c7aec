"""What people ask of the running daemon: a halt, a release, the records. A latch is stored before the answer is given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from pwmtad.core.guard import Guard
from pwmtad.core.halts import open_halts, standing
from pwmtad.core.text import clean
from pwmtad.daemon.ports import Store
from pwmtad.model.control import MAX_WHY_CHARS, ControlAnswer, HaltRequest, ReleaseRequest
from pwmtad.model.errors import PwmtadError
from pwmtad.model.judgement import HaltPhase, Record
from pwmtad.model.names import Instant

_NAME_LIMIT: Final = 60
"""Characters of a name that is repeated in an answer or a record."""


class RefusedError(PwmtadError):
    """What was asked for can't be done; the text says why."""


class Control:
    """Changes the judgement on a person's word."""

    def __init__(
        self,
        *,
        guard: Guard,
        store: Store,
        commit: Callable[[], Awaitable[bool]],
        wake: Callable[[], None],
        clock: Callable[[], Instant],
        mode: Callable[[], str],
    ) -> None:
        self._guard = guard
        self._store = store
        self._commit = commit
        self._wake = wake
        self._clock = clock
        self._mode = mode

    async def halt(self, request: HaltRequest) -> ControlAnswer:
        """Halt a stream by hand. Raises RefusedError for a stream that there is not."""
        if request.stream not in self._guard.streams:
            names = ", ".join(sorted(self._guard.streams)) or "none is configured"
            raise RefusedError(f"there is no stream {clean(request.stream, _NAME_LIMIT)!r}; streams: {names}")
        why = f"{clean(request.why, MAX_WHY_CHARS)} ({clean(request.by, _NAME_LIMIT)})"
        halt_id = self._guard.halt(request.stream, request.hold_s, why, self._clock())
        text = f"stream {request.stream} is halted: {halt_id}"
        if self._mode() != "enforce":
            text += "\nobserve mode: this is recorded and shown, but mail goes on leaving"
        return await self._answer(halt_id, text)

    async def release(self, request: ReleaseRequest) -> ControlAnswer:
        """End a hold. Raises RefusedError for an id that is not open."""
        try:
            self._guard.release(request.halt_id, request.by, self._clock())
        except KeyError:
            judges = self._guard.streams.values()
            names = ", ".join(halt.id for judge in judges for halt in open_halts(judge.halts.values())) or "none"
            wanted = clean(request.halt_id, _NAME_LIMIT)
            raise RefusedError(f"there is no open halt {wanted!r}; open halts: {names}") from None
        return await self._answer(request.halt_id, self._released(request.halt_id))

    async def records(self, *, limit: int, halt_id: str | None) -> list[Record]:
        """Return the newest records, oldest first; of one halt if `halt_id` is given. Raises StoreError."""
        await self._commit()
        return await self._store.records(limit=limit, halt_id=halt_id)

    def _released(self, halt_id: str) -> str:
        """Say how sending comes back, and what else holds the stream."""
        judge = next((judge for judge in self._guard.streams.values() if halt_id in judge.halts), None)
        if judge is None:
            return f"halt {halt_id} is released; its stream is not configured now"
        over = judge.halts[halt_id].phase is HaltPhase.ENDED
        text = f"halt {halt_id} is released: " + ("it is over" if over else "sending comes back slowly, by probing")
        others = ", ".join(halt.id for halt in standing(judge.halts.values()))
        return f"{text}\nstream {judge.name} is still held by {others}" if others else text

    async def _answer(self, halt_id: str, text: str) -> ControlAnswer:
        stored = await self._commit()
        self._wake()
        return ControlAnswer(halt_id, text, stored)
