"""Audits of all streams: one `Audit` for each Listmonk; of the others what their log tells."""

from __future__ import annotations

from collections.abc import Callable

from pwmtad.config import Settings
from pwmtad.core.audits import acting_of, audit_findings, log_sight
from pwmtad.core.guard import Guard
from pwmtad.daemon.audits import Audit
from pwmtad.daemon.per_listmonk import PerListmonk
from pwmtad.model.audit import AuditActing
from pwmtad.model.names import Instant, StreamName
from pwmtad.model.state import Finding


class Auditors:
    """Follows the configuration."""

    def __init__(
        self,
        make: Callable[[StreamName, Settings], Audit],
        guard: Guard,
        clock: Callable[[], Instant],
        settings: Settings,
    ) -> None:
        self._settings = settings
        self._guard = guard
        self._clock = clock
        self._each = PerListmonk(make, settings)

    def acting(self) -> tuple[AuditActing, ...]:
        """Return the numbers, by stream."""
        running = {str(one.stream): one for one in self._each}
        return tuple(
            running[name].acting if name in running else acting_of(name, None, log_sight(self._guard, name, self._clock()))
            for name in self._settings.streams
        )

    def findings(self) -> tuple[Finding, ...]:
        """Return what a person should know."""
        running = {str(one.stream): one for one in self._each}
        found: list[Finding] = []
        for name in self._settings.streams:
            if name in running:
                found += running[name].findings()
            else:
                found += audit_findings(name, None, log_sight(self._guard, name, self._clock()))
        return tuple(found)

    def reconfigure(self, settings: Settings) -> None:
        """Take a reloaded configuration."""
        self._settings = settings
        self._each.reconfigure(settings)

    async def run(self) -> None:
        """Run them until cancelled."""
        await self._each.run()
