"""Looks at the outside besides logs: master.cf, the pool, the queue, the warmup stamps. Reads only; never raises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from pwmtad.config import Settings
from pwmtad.core.findings import stream_findings
from pwmtad.model.names import Instant
from pwmtad.model.observed import Observed, PostfixView, StampReading
from pwmtad.model.postfix import Clone
from pwmtad.model.state import QueueState


class PostfixPort(Protocol):
    """What is read of Postfix. Failures are in the values, as words."""

    async def view(self) -> PostfixView:
        """Read master.cf's clones and main.cf's pool."""
        ...

    async def queue(self) -> QueueState:
        """Count queue files by directory."""
        ...


class Look:
    """Takes one look at a time."""

    def __init__(
        self,
        *,
        postfix: PostfixPort,
        read_stamp: Callable[[str], StampReading],
        clock: Callable[[], Instant],
    ) -> None:
        self._postfix = postfix
        self._read_stamp = read_stamp
        self._clock = clock

    async def take(self, settings: Settings) -> tuple[Observed, Sequence[Clone] | None]:
        """Return what is seen, and the clones (None where master.cf is not read or can't be)."""
        view = await self._postfix.view() if settings.postfix.read_master_cf else PostfixView()
        queue = await self._postfix.queue()
        starts: dict[str, Instant] = {}
        problems: dict[str, str] = {}
        for name, stream in settings.streams.items():
            if stream.warmup.start_at is not None:
                starts[name] = stream.warmup.start_at
            elif stream.warmup.start_file is not None:
                stamp = self._read_stamp(stream.warmup.start_file)
                if stamp.start is not None:
                    starts[name] = stamp.start
                else:
                    problems[name] = stamp.problem
        observed = Observed(
            at=self._clock(),
            pool=view.pool,
            queue=queue,
            warmup_starts=starts,
            warmup_problems=problems,
            milter_accepts=view.milter_accepts,
            findings=(*view.findings, *stream_findings(settings, view)),
        )
        return observed, view.clones
