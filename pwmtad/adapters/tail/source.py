"""The log file as an asynchronous source of batches."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final

from watchfiles import Change, awatch

from pwmtad.adapters.tail.follower import Follower, StartAt
from pwmtad.model.sources import Batch, Checkpoint, FileCheckpoint

_SIGN_OF_LIFE_S: Final = 0.5
"""With nothing to say. The port asks for one a second; this leaves room for the poll."""
_DEBOUNCE_MS: Final = 40
_STEP_MS: Final = 20
"""watchfiles looks for changes every step: 20 ms cost 0.4 % of a core at rest and see a line after 24 ms (p98 28 ms);
5 ms cost 1.2 %; its defaults (50 ms, debounce 1600 ms) 64 ms. Own measurement."""
_WATCH_AGAIN_S: Final = 10.0


class FileSource:
    """Follows a log file that is rotated in any of the usual ways, and delivers each of its lines once.

    Records are lines without their line break, decoded with replacement characters. `start_at` counts only without a
    checkpoint. Blocking calls run in a thread of the source's own: from the page cache a chunk of 1 MiB takes the loop no
    longer than the switch, but a cold or dying disk must not stop the daemon.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        name: str,
        start_at: StartAt = "beginning",
        max_line_bytes: int = 65536,
        chunk_bytes: int = 1 << 20,
        poll_interval_s: float = 0.25,
    ) -> None:
        self._path = os.fspath(path)
        self._name = name
        self._start_at = start_at
        self._max_line_bytes = max_line_bytes
        self._chunk_bytes = chunk_bytes
        self._poll_interval_s = min(poll_interval_s, _SIGN_OF_LIFE_S)

    @property
    def name(self) -> str:
        """Stable name: the key of its checkpoint."""
        return self._name

    async def batches(self, checkpoint: Checkpoint | None) -> AsyncGenerator[Batch, None]:
        """As `LogSource.batches`. Close it (`contextlib.aclosing`) to let go of the file, its thread and its watch."""
        loop = asyncio.get_running_loop()
        # A checkpoint of another kind is of no use: the source was a journal before.
        position = checkpoint if isinstance(checkpoint, FileCheckpoint) else None
        follower = Follower(
            self._path,
            position=position,
            start_at=self._start_at,
            max_line_bytes=self._max_line_bytes,
            read_bytes=self._chunk_bytes,
        )
        executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"tail-{self._name}")
        changed = asyncio.Event()
        watch = asyncio.create_task(self._watch(changed), name=f"watch {self._path}")
        told = Batch(self._name, [], position, caught_up=False, health=follower.health)
        told_at = -math.inf
        try:
            while True:
                changed.clear()
                step = loop.run_in_executor(executor, follower.step)
                while not (await asyncio.wait((step,), timeout=_SIGN_OF_LIFE_S))[0]:
                    # To unpack a large file takes seconds, and a dying disk as long as it likes.
                    yield Batch(self._name, [], told.checkpoint, caught_up=False, health=told.health)
                lines, caught_up, again = step.result()
                batch = Batch(self._name, lines, follower.position, caught_up, follower.health)
                if lines or _differs(batch, told) or loop.time() - told_at >= _SIGN_OF_LIFE_S:
                    told, told_at = batch, loop.time()
                    yield batch
                if not again:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(self._poll_interval_s):
                            await changed.wait()
        finally:
            watch.cancel()
            # One thread: a step that was under way when we were cancelled ends before the file is closed.
            closed = loop.run_in_executor(executor, follower.close)
            await asyncio.gather(watch, closed, return_exceptions=True)
            executor.shutdown(wait=False)

    async def _watch(self, changed: asyncio.Event) -> None:
        """Set `changed` when something happens to the log. Only a hint: without it, the poll finds out."""
        directory, name = os.path.split(self._path)

        def concerns(_change: Change, path: str) -> bool:
            return os.path.basename(path) == name

        while True:
            with suppress(OSError, RuntimeError, ExceptionGroup):  # no such directory yet; no inotify watches left
                async for _ in awatch(
                    directory or ".", watch_filter=concerns, debounce=_DEBOUNCE_MS, step=_STEP_MS, recursive=False
                ):
                    changed.set()
            await asyncio.sleep(_WATCH_AGAIN_S)


def _differs(batch: Batch, told: Batch) -> bool:
    return (batch.checkpoint, batch.caught_up, batch.health) != (told.checkpoint, told.caught_up, told.health)
