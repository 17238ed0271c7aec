"""Which messages wait on hold and which come back: a backlog must neither fill the active queue nor be forgotten.

Behind the governor mail waits in the active queue, and when that is full other transports' mail waits behind it (seen in a run
of Postfix 3.7.11: an exempt mail had not left after 20 s). So only what can leave soon stays in Postfix's hands, the oldest
first; the rest is put on hold by queue id, and let go as there is room. Nobody's hold but ours is ever let go.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final

from msgspec import Struct

from pwmtad.model.counters import DAY_S
from pwmtad.model.names import Instant
from pwmtad.model.target import MAX_DOMAINS, QueueEntry, QueueListing

_LEAST: Final = 20
"""Messages that stay in Postfix's hands whatever the window: some may be to sites that are down."""
_MOST: Final = 1000
"""A twentieth of qmgr_message_active_limit's default (postconf(5)): the active queue stays open for everybody else."""
_ROOM_FOR_RETRIES: Final = 5_000
"""A quarter of that limit. With more, retries take all of the window, and more mail would only add to them. Own choice."""
_WAITS_HERE: Final = ("deferred transport", "mail transport unavailable")
"""How Postfix begins to tell that a message waits for us and not for a site: pause and exclusion are transports that do not
exist and that defer_transports names, which `postqueue -f` overrides (seen in runs of Postfix 3.7.11).
"""
_LIFETIME_S: Final = 5.0 * DAY_S
"""maximal_queue_lifetime's default (postconf(5))."""
_LONG_HELD_S: Final = 1.0 * DAY_S
"""What was on hold for longer would come back with too little of its lifetime left for retries. Own choice."""
_MOVABLE: Final = frozenset({"incoming", "active", "deferred"})
"""Queues of which postsuper(1) puts messages on hold; what is in maildrop has not arrived yet."""


class Flow(Struct, frozen=True):
    """One stream's present."""

    stream: str
    sending: bool
    window_per_hour: int
    hold_all: bool = False
    """While it does not send: a stream with fixed egresses has no second lock against `postqueue -f`."""
    resumed: bool = False
    """It was held, is so no more, and the governor lets nothing out faster than the window: what waits for the pause is due."""


class Moves(Struct, frozen=True):
    """What to put on hold and what to let go: queue ids, the oldest first."""

    hold: tuple[str, ...] = ()
    release: tuple[str, ...] = ()
    due: tuple[str, ...] = ()
    """What stays where it is, and is to be tried now."""


class Waiting(Struct, frozen=True):
    """What waits of one stream."""

    queued: int
    """In Postfix's hands."""
    held: int
    """On hold by us."""
    oldest_at: Instant | None
    parked: int = 0
    """On hold, or to be, because their recipients must not be mailed."""


def moves(
    flow: Flow, queued: Sequence[QueueEntry], held: Sequence[QueueEntry], *, put_off: Collection[str] = frozenset()
) -> Moves:
    """Return what to move. `queued`: the stream's messages that are not on hold; `held`: those that we put there, and that may
    come back; `put_off`: see there.

    What sites have put off waits for these sites: it takes nobody's turn, or the first few dead sites would end the return.
    """
    if not flow.sending and flow.hold_all:
        return Moves(hold=_movable(sorted(queued, key=_age)))
    returning = held if flow.sending else ()
    hold: list[QueueEntry] = []
    release: list[QueueEntry] = []
    for retries, room in ((False, max(_LEAST, min(flow.window_per_hour, _MOST))), (True, _ROOM_FOR_RETRIES)):
        here = [entry for entry in queued if (entry.queue_id in put_off) is retries]
        there = [entry for entry in returning if (entry.queue_id in put_off) is retries]
        goes, comes = _turns(here, there, room)
        hold += goes
        release += comes
    return Moves(
        hold=_movable(sorted(hold, key=_age)),
        release=tuple(entry.queue_id for entry in sorted(release, key=_age)),
        due=_due(flow, queued, hold),
    )


def _due(flow: Flow, queued: Sequence[QueueEntry], hold: Sequence[QueueEntry]) -> tuple[str, ...]:
    """Return what was deferred by the pause, which is over: it would wait for a next attempt that is up to maximal_backoff_time
    away (4,000 s by default, postconf(5)), and all that is younger would leave before it. Without a governor it does wait: that
    spreads it.
    """
    if not flow.sending or not flow.resumed:
        return ()
    waits = [entry for entry in queued if entry.queue_name == "deferred" and entry.delay_reason.startswith(_WAITS_HERE)]
    goes = {entry.queue_id for entry in hold}
    return _movable(sorted((entry for entry in waits if entry.queue_id not in goes), key=_age))


def _turns(here: Sequence[QueueEntry], there: Sequence[QueueEntry], room: int) -> tuple[list[QueueEntry], list[QueueEntry]]:
    """Return what goes on hold and what comes back, so that about `room` are `here`, and never more than twice as many.

    Whose turn it is goes by age alone, over both, so a steady stream of new mail never keeps the old on hold, and a message is
    moved back only because others came or went. Only a batch is worth a move, and where there is room for half of one.
    """
    turn = {entry.queue_id for entry in sorted((*here, *there), key=_age)[:room]}
    late = [entry for entry in there if entry.queue_id in turn]
    comes = late if len(here) <= room / 2 or len(late) >= room / 2 else []
    goes = [entry for entry in here if entry.queue_id not in turn] if len(here) + len(comes) > 2 * room else []
    return goes, comes


def put_off(entries: Iterable[QueueEntry], before: Collection[str] = frozenset()) -> frozenset[str]:
    """Return the messages that a site, and not we, made wait, by queue id. `before`: what this returned for the listing before.

    While a retry waits its turn in the active queue, and on hold after that, nothing tells why it was put off (seen in a run of
    Postfix 3.7.11), so it is remembered. A reply may say anything, but nothing that Postfix tells begins with it.
    """
    found = set()
    for entry in entries:
        told = entry.queue_name == "deferred" and entry.delay_reason
        if not entry.delay_reason.startswith(_WAITS_HERE) if told else entry.queue_id in before:
            found.add(entry.queue_id)
    return frozenset(found)


def parked(entries: Iterable[QueueEntry], excluded: Collection[str]) -> list[QueueEntry]:
    """Return the messages all of whose recipients must not be mailed: they wait on hold, and never come back by themselves.

    One with so many domains that not all of them were listed may have others.
    """
    return [
        entry
        for entry in entries
        if 0 < len(entry.domains) < MAX_DOMAINS and all(domain in excluded for domain in entry.domains)
    ]


def by_stream(
    listing: QueueListing, stream_of: Callable[[QueueEntry], str | None]
) -> dict[str, tuple[list[QueueEntry], list[QueueEntry]]]:
    """Return (queued, held by us) by stream; what is on hold by somebody else, or is no stream's, is nobody's here."""
    found: dict[str, tuple[list[QueueEntry], list[QueueEntry]]] = {}
    for entry in listing.entries:
        on_hold = entry.queue_name == "hold"
        if on_hold and entry.queue_id not in listing.ours:
            continue
        stream = stream_of(entry)
        if stream is not None:
            found.setdefault(stream, ([], []))[on_hold].append(entry)
    return found


def waiting(queued: Sequence[QueueEntry], held: Sequence[QueueEntry], parked_count: int) -> Waiting:
    """Count what waits."""
    oldest = min((entry.arrival_at for entry in (*queued, *held)), default=None)
    return Waiting(len(queued), len(held), oldest, parked_count)


class Lifetimes:
    """Whether messages may expire again: not before what a halt kept waiting has had its chance.

    Whatever lies in the queue when a halt ends gets the lifetime that it would have had without one, at most.
    """

    def __init__(self) -> None:
        self._held_until: Instant | None = None

    def found_raised(self, now: Instant) -> None:
        """At a start Postfix was found with raised lifetimes: when the halt ended is not known, so it is now."""
        if self._held_until is None:
            self._held_until = now

    def look(self, *, held: bool, oldest_at: Instant | None, now: Instant, oldest_held_at: Instant | None = None) -> bool:
        """Return whether nothing may expire. `held`: a stream does not send; `oldest_at`: arrival of the oldest message of the
        halted streams, None: the queue was not looked at, `inf`: there is none; `oldest_held_at`: arrival of the oldest message
        on hold that will come back (postsuper(1): one older than the lifetime gets a single attempt), None: there is none.
        """
        if held or (oldest_held_at is not None and now - oldest_held_at > _LONG_HELD_S):
            self._held_until = now
            return True
        until = self._held_until
        if until is None:
            return False
        gone = oldest_at is not None and oldest_at > until
        if gone or now - until > _LIFETIME_S:
            self._held_until = None
            return False
        return True


def _age(entry: QueueEntry) -> tuple[Instant, str]:
    return entry.arrival_at, entry.queue_id


def _movable(entries: Iterable[QueueEntry]) -> tuple[str, ...]:
    # A message that changes queues while they are listed is listed twice.
    return tuple(dict.fromkeys(entry.queue_id for entry in entries if entry.queue_name in _MOVABLE))
