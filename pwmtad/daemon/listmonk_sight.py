"""Looks at one Listmonk: what it shows, whether it is the right one, what its user may do, when to ask again after a failure.

What looks say of other people's pauses and windows is remembered and recorded here; what to do about it is not decided here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from pwmtad.config import ListmonkSettings
from pwmtad.core.guard import Guard
from pwmtad.core.listmonk_campaigns import settle, unseen
from pwmtad.core.listmonk_engine import Belief, is_watched, miss, see
from pwmtad.core.listmonk_hand import notice
from pwmtad.core.listmonk_words import given_up_record, hand_record
from pwmtad.daemon.listmonk_acts import ListmonkActs, ListmonkPort
from pwmtad.daemon.troubles import Troubles
from pwmtad.model.listmonk import Failure, ListmonkActual, ListmonkTarget, Traits, Trouble
from pwmtad.model.names import Instant

_RETRY_S: Final = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""After failures in a row, each with a quarter of itself added or taken by chance."""
_RETRIES_HELD: Final = 3
"""While the stream is held the third of them is the longest: a halt that could not be made known is asked for again soon."""
_FORBIDDEN_S: Final = 300.0
"""A refused token is not tried in a loop."""
_RIGHTS_S: Final = 3600.0
_AWAY_S: Final = 60.0
"""A Listmonk that restarts for us may be away so long before that is a trouble."""
SETTINGS_RIGHT: Final = "settings:manage"

_CODES: Final = {
    Trouble.UNREACHABLE: "listmonk_unreachable",
    Trouble.FORBIDDEN: "listmonk_forbidden",
    Trouble.NONSENSE: "listmonk_answers_nonsense",
    Trouble.CREDENTIALS: "listmonk_token_unreadable",
}
_UNREAD: Final = "listmonk_settings_unread"
_RIGHTS: Final = "listmonk_rights_missing"
ANOTHER: Final = "listmonk_is_another"
_TOO_OLD: Final = "listmonk_too_old"
_UNKNOWN: Final = (*_CODES.values(), _UNREAD, ANOTHER, _TOO_OLD)
"""While one of these stands nobody knows what the instance sends."""


class ListmonkSight:
    """What is known of one instance."""

    def __init__(
        self,
        *,
        stream: str,
        port: ListmonkPort,
        acts: ListmonkActs,
        guard: Guard,
        clock: Callable[[], Instant],
        monotonic: Callable[[], float],
        jitter: Callable[[], float],
        troubles: Troubles,
    ) -> None:
        self.actual: ListmonkActual | None = None
        """As seen last; None: never, or the last look failed."""
        self.reachable: bool | None = None
        self.traits: Traits | None = None
        """Of the last look that told them."""
        self.belief = Belief()
        self.retry_due = 0.0
        """When to look again after a failure; monotonic."""
        self.is_own: bool | None = None
        """Whether it is the instance that is meant; None: not known yet."""
        self.missing: tuple[str, ...] = ()
        """Permissions that the API user lacks."""
        self.drifts = 0
        self._stream = stream
        self._port = port
        self._acts = acts
        self._guard = guard
        self._clock = clock
        self._monotonic = monotonic
        self._jitter = jitter
        self._troubles = troubles
        self._in_a_row = 0
        self._rights_due = 0.0

    async def look(self, settings: ListmonkSettings, target: ListmonkTarget, *, enforcing: bool) -> ListmonkActual | None:
        """Take a whole look. None: it failed, or it is another instance; why is told."""
        found = await self._port.look(whole=True)
        if isinstance(found, Failure):
            self.missed(found, held=not target.sending)
            return None
        self._answered()
        if found.root_url:
            self.is_own = self._is_meant(settings, found.root_url)
        if self.is_own is False:
            self.actual = None
            return None
        self.actual = found
        now = self._monotonic()
        watched, is_first = is_watched(self.belief, now), self.belief.first_at is None
        self.belief = see(self.belief, found, now)
        self._tell_what_is_not_read(found)
        if enforcing:
            self._compare(found, target, watched=watched, is_first=is_first)
        await self._check_rights(found, enforcing=enforcing)
        return found

    async def campaigns(self, target: ListmonkTarget) -> ListmonkActual | None:
        """Look at the campaigns only; None: it failed."""
        found = await self._port.look(whole=False)
        if isinstance(found, Failure):
            self.missed(found, held=not target.sending)
            return None
        return found

    def missed(self, failure: Failure, *, held: bool) -> None:
        """A look failed."""
        now = self._monotonic()
        self.belief = miss(self.belief)
        self.actual = None
        self.reachable = False
        restart = self.belief.restart
        if restart is None:
            self._acts.remember(unseen(self._acts.memory))
        if restart is None or now - restart.since > _AWAY_S:
            for trouble, code in _CODES.items():
                if trouble is not failure.trouble:
                    self._troubles.over(code)
            self._troubles.tell(_CODES[failure.trouble], failure.text)
        self.back_off(held=held, forbidden=failure.trouble is Trouble.FORBIDDEN)

    def back_off(self, *, held: bool, forbidden: bool = False) -> None:
        """Something failed that may work later."""
        longest = _RETRIES_HELD if held or self.belief.restart is not None else len(_RETRY_S)
        wait_s = _FORBIDDEN_S if forbidden else _RETRY_S[min(self._in_a_row, longest - 1)]
        self._in_a_row += 1
        self.retry_due = self._monotonic() + wait_s * (0.75 + 0.5 * self._jitter())

    def doubts(self) -> dict[str, str]:
        """Return what is not known of it now, by code: unknown is not healthy, so the stream does not grow meanwhile."""
        return {code: self._troubles[code] for code in _UNKNOWN if code in self._troubles}

    def forget(self) -> None:
        """Ask for everything anew: the configuration, the token or the mode may be another."""
        self.retry_due = self._rights_due = 0.0

    def forget_rights(self) -> None:
        """A request was refused: find out anew what its user may do."""
        self._rights_due = 0.0

    def _answered(self) -> None:
        self.reachable = True
        self._in_a_row = 0
        self._troubles.over(*_CODES.values())

    def _is_meant(self, settings: ListmonkSettings, root_url: str) -> bool:
        expected = settings.root_url or self._acts.memory.root_url
        if not expected or expected == root_url:
            self._troubles.over(ANOTHER)
            return True
        text = (
            f"another instance answers at {settings.url}: its root URL is {root_url}, not {expected}; nothing is done there. "
            f"If it is meant, set root_url in the stream's listmonk table"
        )
        self._troubles.tell(ANOTHER, text)
        return False

    def _tell_what_is_not_read(self, found: ListmonkActual) -> None:
        if found.blind:
            self._troubles.tell(_UNREAD, found.blind)
        else:
            self._troubles.over(_UNREAD)
        if found.traits is None:
            return
        if self.traits is not None and self.traits != found.traits:
            self._rights_due = 0.0  # another version asks for other permissions
        self.traits = found.traits
        if found.traits.supported:
            self._troubles.over(_TOO_OLD)
        else:
            self._troubles.tell(_TOO_OLD, f"{found.traits.name} is not supported: version 3 and later are")

    def _compare(self, found: ListmonkActual, target: ListmonkTarget, *, watched: bool, is_first: bool) -> None:
        """What other people did since the last look."""
        now = self._clock()
        memory = self._acts.memory
        if found.root_url and memory.root_url != found.root_url:
            memory = replace(memory, root_url=found.root_url)
        settled = settle(memory, found, now, watched=watched, is_first=is_first)
        memory = settled.memory
        records = [given_up_record(self._stream, held, now) for held in settled.given_up]
        if found.engine is not None and found.traits is not None:
            noticed = notice(memory, found.engine, target.per_hour, found.traits.extra)
            memory = noticed.memory
            record = hand_record(self._stream, noticed, now)
            records += [record] if record is not None else []
            self.drifts += noticed.news is not None and not noticed.first
        self.drifts += len(settled.given_up)
        self._acts.remember(memory)
        self._guard.record(records)

    async def _check_rights(self, found: ListmonkActual, *, enforcing: bool) -> None:
        if found.traits is None or self._monotonic() < self._rights_due:
            return
        rights = await self._port.rights(found.traits, probe=enforcing)
        if isinstance(rights, Failure):
            self._rights_due = self._monotonic() + _RETRY_S[-1]  # the next look says why
            return
        self._rights_due = self._monotonic() + (_RIGHTS_S if not rights.missing else _FORBIDDEN_S)
        self.missing = rights.missing
        if rights.missing:
            names = ", ".join(rights.missing)
            self._troubles.tell(_RIGHTS, f"its API user lacks {names}: give it to the user's role in Listmonk")
        else:
            self._troubles.over(_RIGHTS)
