"""Tells one stream's Listmonk whom not to mail any more, and looks at what came of it.

Level-triggered: each pass takes what is due from the store, looks every subscriber up, and tells only of those that are still
mailed. What was done is stored; where it can't be, the same is not done again in this run. Nothing is told in observe mode, to
another instance behind the same address, or before it is known which one is meant.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, NoReturn, Protocol

from msgspec.structs import replace

from pwmtad.config import ListmonkSettings, Settings
from pwmtad.core.guard import Guard
from pwmtad.core.suppress_step import (
    Settle,
    Step,
    Tell,
    TellDomain,
    next_domain_step,
    next_step,
    report_of,
    told,
    unasked,
    way_for,
)
from pwmtad.core.suppress_words import blocklisted_record, suppression_findings
from pwmtad.daemon.listmonk_sight import ANOTHER
from pwmtad.daemon.troubles import Troubles
from pwmtad.model.audience import BounceReport, BounceSettings, DomainFound, Found
from pwmtad.model.errors import StoreError
from pwmtad.model.listmonk import Changed, Failure, Outcome, Trouble
from pwmtad.model.names import Instant, StreamName
from pwmtad.model.state import Finding
from pwmtad.model.suppression import (
    Mark,
    ReportState,
    SubjectKind,
    Suppression,
    SuppressionActing,
    SuppressionKey,
    Way,
)

_BATCH: Final = 50
"""Rows of one pass."""
_DOMAINS: Final = 5
"""Of those, domains: each is a search through all subscribers."""
_BUSY_S: Final = 1.0
_CALM_S: Final = 10.0
"""Between two passes while something is under way, and else."""
_SETTINGS_S: Final = 300.0
"""Between two looks at Listmonk's settings; what they say of bounces is in force after its next start only."""
_FORBIDDEN_S: Final = 3600.0
"""A webhook that the user may not call is not called in a loop."""
_RETRY_S: Final = (5.0, 15.0, 60.0, 300.0)
"""After failures in a row, each with a quarter of itself added or taken by chance."""
_TELL_S: Final = 600.0
"""Between two records of what was done: who cleans an old list bounces for days."""

WAITS: Final = "suppression_waits"
FORBIDDEN: Final = "suppression_forbidden"


class AudiencePort(Protocol):
    """One instance's subscribers. Failures are in the values, as words."""

    async def bounce_settings(self) -> BounceSettings | Failure:
        """Read what reported bounces bring about."""
        ...

    async def find(self, addresses: Sequence[str]) -> Found | Failure:
        """Look subscribers up."""
        ...

    async def find_domain(self, domain: str) -> DomainFound | Failure:
        """Look up who of a domain is mailed."""
        ...

    async def report(self, report: BounceReport) -> Changed:
        """Report a hard bounce, once."""
        ...

    async def blocklist(self, ids: Sequence[int]) -> Changed:
        """Blocklist subscribers, once."""
        ...

    async def close(self) -> None:
        """Close connections."""
        ...


class DueStore(Protocol):
    """What is read of the store."""

    async def due_suppressions(self, stream: str, now: Instant, limit: int) -> list[Suppression]:
        """Return what is to be told now. Raises StoreError."""
        ...


class _Stopped(Exception):
    """The pass can't go on: Listmonk does not answer, or refuses."""


class Suppress:
    """One pass at a time for one instance."""

    def __init__(
        self,
        *,
        stream: StreamName,
        port: AudiencePort,
        store: DueStore,
        guard: Guard,
        commit: Callable[[], Awaitable[bool]],
        clock: Callable[[], Instant],
        monotonic: Callable[[], float],
        jitter: Callable[[], float],
        settings: Settings,
    ) -> None:
        self.settings = settings
        self.stream = stream
        self.port = port
        self.troubles = Troubles(stream)
        self._store = store
        self._guard = guard
        self._commit = commit
        self._clock = clock
        self._monotonic = monotonic
        self._jitter = jitter
        self._acting = SuppressionActing(str(stream))
        self._bounces: BounceSettings | None = None
        self._settings_due = self._retry_due = self._webhook_due = 0.0
        self._in_a_row = 0
        self._busy = False
        self._unstored: dict[SuppressionKey, Instant] = {}
        """Rows whose mark could not be stored yet, and up to when they were told."""
        self._done: dict[str, int] = {}
        """By class: what was verified since it was last recorded."""
        self._told_at = -_TELL_S

    @property
    def listmonk(self) -> ListmonkSettings:
        """The instance's part of the configuration in force."""
        return self.settings.listmonk_of(self.stream)

    @property
    def acting(self) -> SuppressionActing:
        """What was done so far."""
        way = "" if self._bounces is None or not self._enforcing else self._way.value
        return replace(self._acting, way=way, problem=next(iter(self.troubles.values()), ""))

    def findings(self) -> tuple[Finding, ...]:
        """Return what a person should know."""
        return tuple(suppression_findings(str(self.stream), self.troubles, self._bounces, self.listmonk.suppress))

    def reconfigure(self, settings: Settings) -> None:
        """Take a reloaded configuration; what was refused is asked for anew."""
        self.settings = settings
        self._settings_due = self._retry_due = self._webhook_due = 0.0

    async def run(self) -> None:
        """Pass after pass until cancelled; then let go of connections."""
        try:
            while True:
                await self.step()
                await asyncio.sleep(_BUSY_S if self._busy else _CALM_S)
        finally:
            await self.port.close()

    async def step(self) -> None:
        """One pass. Never raises for what the outside does."""
        self._busy = False
        if not self._enforcing:
            self.troubles.over(WAITS, FORBIDDEN)
            return
        if self._monotonic() < self._retry_due:
            return
        try:
            due = await self._due()
            if due and self._is_known:
                await self._know()
                self._busy = True
                await self._tell_all(due)
            self.troubles.over(WAITS, *(() if self._monotonic() < self._webhook_due else (FORBIDDEN,)))
            self._in_a_row = 0
        except _Stopped as stopped:
            self._back_off(str(stopped))
        self._record()

    # -- looking

    @property
    def _enforcing(self) -> bool:
        return self.settings.mode == "enforce" and self.listmonk.suppress != "off"

    @property
    def _is_known(self) -> bool:
        """Whether it is known which instance is meant, and not that another one answers: who looks at the campaigns notes both
        within seconds, and the settings are read here every five minutes only.
        """
        if ANOTHER in self._guard.doubts.get(self.stream, {}):
            return False
        return bool(self.listmonk.root_url or self._guard.listmonk(self.stream).root_url)

    @property
    def _way(self) -> Way:
        if self._bounces is None or (self._monotonic() < self._webhook_due and self.listmonk.suppress == "auto"):
            return Way.BLOCKLIST
        return way_for(self.listmonk.suppress, self._bounces)

    async def _due(self) -> list[Suppression]:
        if self._unstored and await self._commit():
            self._unstored.clear()
        try:
            rows = await self._store.due_suppressions(self.stream, self._clock(), _BATCH + len(self._unstored))
        except StoreError as error:
            raise _Stopped(f"the store can't be read: {error}") from error
        return [row for row in rows if row.last_at > self._unstored.get(row.key, row.last_at - 1)][:_BATCH]

    async def _know(self) -> None:
        """Know what a report brings about, and that it is the instance that is meant."""
        if self._bounces is None or self._monotonic() >= self._settings_due:
            found = await self.port.bounce_settings()
            if isinstance(found, Failure):
                self._refused(found, "settings:get")
            self._bounces = found
            self._settings_due = self._monotonic() + _SETTINGS_S
        expected = self.listmonk.root_url or self._guard.listmonk(self.stream).root_url
        if expected != self._bounces.root_url:
            self._settings_due = 0.0
            raise _Stopped(f"another instance answers at {self.listmonk.url}")

    # -- telling

    async def _tell_all(self, due: Sequence[Suppression]) -> None:
        """Whatever stops it, what was done until then is stored."""
        marks: list[Mark] = []
        try:
            await self._tell_addresses([row for row in due if row.key.kind == SubjectKind.ADDRESS.value], marks)
            domains = [row for row in due if row.key.kind == SubjectKind.DOMAIN.value]
            for row in domains[:_DOMAINS]:
                await self._tell_domain(row, marks)
        finally:
            await self._note(marks)

    async def _tell_addresses(self, rows: Sequence[Suppression], marks: list[Mark]) -> None:
        if not rows:
            return
        found = await self.port.find([row.key.subject for row in rows])
        if isinstance(found, Failure):
            self._refused(found, "subscribers:get_all and subscribers:sql_query, or database_url")
        people = {one.email: one for one in found.subscribers}
        blocklisting: list[Tell] = []
        for row in rows:
            if row.key.subject in found.unasked:
                marks.append(unasked(row, self._clock()))
                continue
            step = next_step(row, people.get(row.key.subject), self._way, self._clock())
            if isinstance(step, Tell) and step.way is Way.WEBHOOK:
                await self._report(step, marks)
            elif isinstance(step, Tell):
                blocklisting.append(step)
            else:
                _settle(step, marks)
        if blocklisting:
            changed = await self.port.blocklist([step.subscriber.id for step in blocklisting])
            self._take(blocklisting, changed, "subscribers:manage", marks)

    async def _report(self, step: Tell, marks: list[Mark]) -> None:
        changed = await self.port.report(report_of(step))
        if changed.outcome is Outcome.FORBIDDEN and self.listmonk.suppress == "auto":
            # There is another way for this one and the next ones.
            self._webhook_due = self._monotonic() + _FORBIDDEN_S
            self.troubles.tell(
                FORBIDDEN, "its API user lacks webhooks:post_bounce: subscribers are blocklisted without evidence"
            )
            changed = Changed(Outcome.REFUSED, changed.text)
        self._take([step], changed, "webhooks:post_bounce", marks)

    async def _tell_domain(self, row: Suppression, marks: list[Mark]) -> None:
        found = await self.port.find_domain(row.key.subject)
        if isinstance(found, Failure):
            if found.trouble is Trouble.NONSENSE:
                marks.append(unasked(row, self._clock()))
                return
            self._refused(found, "subscribers:get_all and subscribers:sql_query, or database_url")
        step = next_domain_step(row, found, self.settings.suppression.max_domain_subscribers, self._clock())
        if isinstance(step, TellDomain):
            self._take([step], await self.port.blocklist(step.ids), "subscribers:manage", marks)
        else:
            _settle(step, marks)

    def _take(self, steps: Iterable[Tell | TellDomain], changed: Changed, right: str, marks: list[Mark]) -> None:
        """Note what came of one request. Raises _Stopped where the next one would fare no better."""
        made = [mark for step in steps if (mark := told(step, changed.outcome, changed.text, self._clock())) is not None]
        marks += made
        if changed.outcome is Outcome.DONE:
            self._acting = replace(self._acting, reported=self._acting.reported + len(made))
            return
        if changed.outcome is Outcome.FORBIDDEN:
            self._refused(Failure(Trouble.FORBIDDEN, changed.text), right)
        if changed.outcome is not Outcome.REFUSED:
            raise _Stopped(changed.text)

    def _refused(self, failure: Failure, right: str) -> NoReturn:
        if failure.trouble is Trouble.FORBIDDEN:
            self.troubles.tell(FORBIDDEN, f"its API user lacks {right}: {failure.text}")
        raise _Stopped(failure.text)

    async def _note(self, marks: Sequence[Mark]) -> None:
        if not marks:
            return
        for mark in marks:
            if mark.report.state is ReportState.VERIFIED:
                self._done[mark.key.reply_class] = self._done.get(mark.key.reply_class, 0) + 1
                self._acting = replace(self._acting, verified=self._acting.verified + 1)
            self._unstored[mark.key] = mark.seen_at
        self._guard.suppressions.mark(marks)
        if await self._commit():
            self._unstored.clear()

    # -- words

    def _back_off(self, text: str) -> None:
        self._acting = replace(self._acting, failures=self._acting.failures + 1)
        wait_s = _RETRY_S[min(self._in_a_row, len(_RETRY_S) - 1)]
        self._in_a_row += 1
        self._retry_due = self._monotonic() + wait_s * (0.75 + 0.5 * self._jitter())
        self.troubles.tell(WAITS, f"suppressions wait to be told: {text}")

    def _record(self) -> None:
        now = self._monotonic()
        if self._done and now - self._told_at >= _TELL_S:
            self._guard.record([blocklisted_record(str(self.stream), self._done, self._clock())])
            self._done = {}
            self._told_at = now


def _settle(step: Step, marks: list[Mark]) -> None:
    if isinstance(step, Settle):
        marks.append(step.mark)
