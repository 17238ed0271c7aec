"""Messages: listing the queue, putting some on hold, and letting go those that we put there.

In: queue ids. Out: which ones (core). Never `-h ALL` or `-H ALL`: other people hold messages, too; never `postqueue -f`, which
overrides a halt. Nothing here raises: failures come back in words.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final

import structlog
from msgspec import Struct

from pwmtad.adapters.postfix_writer.commands import Answer, Commands
from pwmtad.adapters.postfix_writer.memory import Memory, StateError
from pwmtad.adapters.postfix_writer.reading import tell_master
from pwmtad.core.queue_listing import QueueReader
from pwmtad.core.target_check import usable_ids
from pwmtad.model.target import QueueListing

_MAX_ENTRIES: Final = 200_000
"""Own choice: ten times qmgr_message_active_limit's default; some 100 MB in this process."""
_RELOAD_SHARE: Final = 0.5
"""Of qmgr_message_active_limit. What is taken out of the active queue stays in qmgr's memory, and counts, until its turn comes,
behind the governor hours later: a blast of 29,000 stopped all mail of the host though it was on hold (seen in a run of 3.7.11).
A reload gives it a new memory; the governed egresses wait anew then, so it is rare. Own choice."""
_ACTIVE_LIMIT: Final = 20_000
"""qmgr_message_active_limit's default (postconf(5))."""
_log = structlog.get_logger()


class Timeouts(Struct, frozen=True):
    """How long a command may take."""

    postconf_s: float = 10.0
    """It answers in 10 ms, and in some 3 s just after main.cf changed (seen in runs of Postfix 3.7.11)."""
    reload_s: float = 10.0
    postsuper_s: float = 60.0
    postqueue_s: float = 60.0


class HeldQueue:
    """The queue of one instance, and what in it is on hold because of us."""

    def __init__(
        self,
        commands: Commands,
        memory: Memory,
        queue_directory: str,
        *,
        timeouts: Timeouts,
        monotonic: Callable[[], float],
        max_entries: int = _MAX_ENTRIES,
    ) -> None:
        self._commands = commands
        self._memory = memory
        self._queue_directory = queue_directory
        self._hold_directory = os.path.join(queue_directory, "hold")
        self._active_directory = os.path.join(queue_directory, "active")
        self._forgotten = 0
        """Messages that were taken out of the active queue since qmgr was started anew for it."""
        self._timeouts = timeouts
        self._monotonic = monotonic
        self._max_entries = max_entries
        self._lock = asyncio.Lock()

    async def listing(self) -> QueueListing:
        """List the queue."""
        async with self._lock:
            began = self._monotonic()
            reader = QueueReader(self._max_entries)
            problem: str | None = None
            async for piece in self._commands.chunks("postqueue", "-j", timeout_s=self._timeouts.postqueue_s):
                if isinstance(piece, Answer):
                    problem = piece.problem
                else:
                    reader.take(piece)
            if reader.cut:
                problem = problem or f"the queue has more than {self._max_entries} messages: the rest is not listed"
            on_hold = {entry.queue_id for entry in reader.entries if entry.queue_name == "hold"}
            ours, trouble = await self._ours(on_hold, whole=problem is None)
            return QueueListing(tuple(reader.entries), ours, problem or trouble, self._monotonic() - began)

    async def _ours(self, on_hold: Collection[str], *, whole: bool) -> tuple[frozenset[str], str | None]:
        """Return which of those on hold are ours.

        What is not on hold any more is forgotten: somebody else let it go, and its id may be another message's one day.
        """
        try:
            held = await asyncio.to_thread(self._memory.held)
            ours = held.intersection(on_hold)
            if whole and ours != held:
                await asyncio.to_thread(self._memory.save_held, ours)
        except StateError as error:
            return frozenset(), str(error)
        return ours, None

    async def hold(self, queue_ids: Sequence[str]) -> str | None:
        """Put messages on hold; those that somebody else put there before do not become ours."""
        usable, refused = usable_ids(queue_ids)
        if not usable:
            return refused
        async with self._lock:
            try:
                held = await asyncio.to_thread(self._memory.held)
                theirs = await asyncio.to_thread(_present, self._hold_directory, set(usable) - held)
                wanted = [one for one in usable if one not in theirs]
                await asyncio.to_thread(self._memory.save_held, held.union(wanted))
                active = await asyncio.to_thread(_present, self._active_directory, wanted)
            except StateError as error:
                return str(error)
            answer = await self._postsuper("-h", wanted)
            await self._make_room(len(active))
            _log.info("messages_held", count=len(wanted), problem=answer.problem or refused)
            return answer.problem or refused

    async def _make_room(self, taken_out: int) -> None:
        self._forgotten += taken_out
        if not self._forgotten:
            return
        told = await self._commands.run("postconf", "-h", "qmgr_message_active_limit", timeout_s=self._timeouts.postconf_s)
        limit = int(told.text) if told.text.strip().isdecimal() else _ACTIVE_LIMIT
        if self._forgotten < limit * _RELOAD_SHARE:
            return
        told_master = tell_master(self._queue_directory)
        _log.info("queue_manager_renewed", taken_out=self._forgotten, done=told_master)
        if told_master:
            self._forgotten = 0

    async def unhold(self, queue_ids: Sequence[str]) -> str | None:
        """Let messages go that we hold, and have them tried soon."""
        usable, refused = usable_ids(queue_ids)
        if not usable:
            return refused
        async with self._lock:
            try:
                held = await asyncio.to_thread(self._memory.held)
                problem = await self._let_go([one for one in usable if one in held], held)
            except StateError as error:
                return str(error)
            return problem or refused

    async def let_go(self, *, release: bool) -> tuple[tuple[str, ...], str | None]:
        """Return what stays on hold, and what failed; with `release` all of ours is let go first."""
        async with self._lock:
            try:
                held = await asyncio.to_thread(self._memory.held)
                problem = await self._let_go(sorted(held), held) if release else None
                left = await asyncio.to_thread(self._memory.held)
            except StateError as error:
                return (), str(error)
            return tuple(sorted(await asyncio.to_thread(_present, self._hold_directory, left))), problem

    async def _let_go(self, queue_ids: Sequence[str], held: frozenset[str]) -> str | None:
        if not queue_ids:
            return None
        await asyncio.to_thread(_make_due, self._hold_directory, queue_ids)
        answer = await self._postsuper("-H", queue_ids)
        if answer.problem is None:
            await asyncio.to_thread(self._memory.save_held, held.difference(queue_ids))
            # D: look through the deferred queue for what is due, as qmgr does by itself every queue_run_delay (qmgr.c). Its
            # result is of no use: it ends by SIGPIPE when qmgr is quick (seen in runs), and without it mail leaves later.
            await self._commands.run("postkick", "public", "qmgr", "D", timeout_s=self._timeouts.reload_s)
        _log.info("messages_released", count=len(queue_ids), problem=answer.problem)
        return answer.problem

    async def _postsuper(self, option: str, queue_ids: Sequence[str]) -> Answer:
        if not queue_ids:
            return Answer("")
        text = "".join(f"{one}\n" for one in queue_ids)
        return await self._commands.run("postsuper", option, "-", text=text, timeout_s=self._timeouts.postsuper_s)


def _present(directory: str, queue_ids: Iterable[str]) -> frozenset[str]:
    """Return which of the messages are in one queue now; it may be hashed (hash_queue_names)."""
    wanted = frozenset(queue_ids)
    if not wanted:
        return wanted
    found: set[str] = set()
    for _, _, names in os.walk(directory):
        found.update(wanted.intersection(names))
    return frozenset(found)


def _make_due(directory: str, queue_ids: Iterable[str]) -> None:
    """Let the next attempt be due now. A message keeps its time of the next attempt while on hold: the modification time of
    its file, up to maximal_backoff_time away (seen in a run of Postfix 3.7.11).
    """
    wanted = frozenset(queue_ids)
    for folder, _, names in os.walk(directory):
        for name in wanted.intersection(names):
            try:
                os.utime(os.path.join(folder, name), follow_symlinks=False)
            except OSError:  # gone, or not ours to touch: it is tried later
                continue
