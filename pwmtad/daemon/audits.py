"""Looks at one stream's campaigns every few minutes and says what will hurt. Reads only, also in observe mode."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Final, Protocol

from pwmtad.config import ListmonkSettings, Settings
from pwmtad.core.audits import Audited, LogSight, acting_of, audit, audit_findings, log_sight
from pwmtad.core.guard import Guard
from pwmtad.model.audience import ListedDomain
from pwmtad.model.audit import AuditActing, AuditLimits, AuditView
from pwmtad.model.listmonk import Failure
from pwmtad.model.names import Instant, StreamName
from pwmtad.model.state import Finding

_INTERVAL_S: Final = 300.0
"""Between two audits. Own choice: a campaign is written for longer than that, and each look reads its body."""


class AuditPort(Protocol):
    """One instance. Failures are in the values, as words."""

    @property
    def has_database(self) -> bool:
        """Whether lists can be looked into."""
        ...

    async def view(self) -> AuditView | Failure:
        """Read campaigns and messengers."""
        ...

    async def sizes(self, campaigns: Collection[int]) -> dict[int, int] | Failure:
        """Count recipients by campaign."""
        ...

    async def listed(self, campaigns: Collection[int], domains: Collection[str]) -> tuple[ListedDomain, ...] | Failure:
        """Count recipients at these domains."""
        ...

    async def close(self) -> None:
        """Close connections."""
        ...


class Audit:
    """One instance's audits."""

    def __init__(
        self,
        *,
        stream: StreamName,
        port: AuditPort,
        guard: Guard,
        excluded: Callable[[StreamName], Collection[str]],
        clock: Callable[[], Instant],
        settings: Settings,
    ) -> None:
        self.settings = settings
        self.stream = stream
        self.port = port
        self._guard = guard
        self._excluded = excluded
        self._clock = clock
        self._audited: Audited | None = None
        self._at: Instant | None = None
        self._problem = ""
        self._again = asyncio.Event()

    @property
    def listmonk(self) -> ListmonkSettings:
        """The instance's part of the configuration in force."""
        return self.settings.listmonk_of(self.stream)

    def reconfigure(self, settings: Settings) -> None:
        """Take a reloaded configuration, and look at once."""
        self.settings = settings
        self._again.set()

    async def run(self) -> None:
        """Audit after audit until cancelled; then let go of connections."""
        try:
            while True:
                await self.step()
                try:
                    async with asyncio.timeout(_INTERVAL_S):
                        await self._again.wait()
                except TimeoutError:
                    pass
                self._again.clear()
        finally:
            await self.port.close()

    async def step(self) -> None:
        """One audit. What was found before goes when it can't be made: it may not be so any more."""
        audited = await self._look()
        self._at = self._clock()
        self._problem = "" if isinstance(audited, Audited) else audited
        self._audited = audited if isinstance(audited, Audited) else None

    @property
    def acting(self) -> AuditActing:
        """Return the numbers."""
        return acting_of(str(self.stream), self._audited, self._sight(), self._at, self._problem)

    def findings(self) -> tuple[Finding, ...]:
        """Return what a person should know."""
        return tuple(audit_findings(str(self.stream), self._audited, self._sight(), self._problem))

    def _sight(self) -> LogSight:
        return log_sight(self._guard, str(self.stream), self._clock())

    async def _look(self) -> Audited | str:
        """Return what was found, or why nothing could be."""
        view = await self.port.view()
        if isinstance(view, Failure):
            return view.text
        expected = self.listmonk.root_url or self._guard.listmonk(self.stream).root_url
        if expected and view.root_url and view.root_url != expected:
            return f"another instance answers at {self.listmonk.url}"
        limits = self._limits()
        if limits is None:
            return "the stream is not judged yet"
        campaigns = [one.id for one in view.campaigns]
        sizes = await self.port.sizes(campaigns)
        if isinstance(sizes, Failure):
            return sizes.text
        excluded = await self.port.listed(campaigns, self._excluded(self.stream))
        if isinstance(excluded, Failure):
            return excluded.text
        return audit(view, limits, sizes, excluded if self.port.has_database else None)

    def _limits(self) -> AuditLimits | None:
        now = self._clock()
        desired = next((one for one in self._guard.desired(now) if one.stream == self.stream), None)
        if desired is None:
            return None
        ceiling = self.settings.streams[self.stream].ceiling_per_day
        return AuditLimits(now, desired.window_per_hour, ceiling, self._guard.room_today(self.stream, now))
