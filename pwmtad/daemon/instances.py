"""All Listmonk instances: one `Campaigns` for each stream that has one, each in a task of its own.

They share nothing but the judgement and the store, so one that is down or slow keeps no other one waiting.
"""

from __future__ import annotations

from collections.abc import Callable

from pwmtad.config import Settings
from pwmtad.daemon.campaigns import Campaigns
from pwmtad.daemon.per_listmonk import PerListmonk
from pwmtad.model.acting import ListmonkActing
from pwmtad.model.names import StreamName
from pwmtad.model.state import Finding


class Instances:
    """Follows the configuration: instances come, go, or are begun anew when their table changes."""

    def __init__(self, make: Callable[[StreamName, Settings], Campaigns], settings: Settings) -> None:
        self._each = PerListmonk(make, settings)

    def acting(self) -> tuple[ListmonkActing, ...]:
        """Return what was done so far, by stream."""
        return tuple(one.acting for one in self._each)

    def findings(self) -> tuple[Finding, ...]:
        """Return what a person should know."""
        return tuple(finding for one in self._each for finding in one.findings())

    def wake(self) -> None:
        """Something was decided: look at once."""
        for one in self._each:
            one.wake()

    def reconfigure(self, settings: Settings) -> None:
        """Take a reloaded configuration."""
        self._each.reconfigure(settings)

    async def run(self) -> None:
        """Run them until cancelled."""
        await self._each.run()
