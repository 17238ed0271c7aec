"""A backlog waits on hold and comes back: the oldest first, as there is room, and nobody's hold but ours is let go."""

from __future__ import annotations

from math import inf
from typing import TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from pwmtad.core import backlog
from pwmtad.core.backlog import Flow, Lifetimes, Moves, Waiting, by_stream, moves, parked, put_off, waiting
from pwmtad.model.names import Instant
from pwmtad.model.target import QueueEntry, QueueListing

NOW: Instant = 1_780_000_000.0
DAY = 86_400.0
REFUSED = "host mx.example.net[192.0.2.1] said: 451 4.7.1 deferred transport"
OURS = "deferred transport"

Entries: TypeAlias = list[QueueEntry]


def message(number: int, *, at: float | None = None, queue: str = "active", reason: str = "", domain: str = "") -> QueueEntry:
    return QueueEntry(
        queue_name=queue,
        queue_id=f"Q{number:06}",
        arrival_at=NOW + number if at is None else at,
        sender="news@lists.example.org",
        domains=(domain or "example.com",),
        delay_reason=reason,
    )


def messages(*numbers: int, queue: str = "active") -> Entries:
    return [message(number, queue=queue) for number in numbers]


def ids(*numbers: int) -> tuple[str, ...]:
    return tuple(f"Q{number:06}" for number in numbers)


def flow(window: int = 50, *, sending: bool = True, hold_all: bool = False, resumed: bool = False) -> Flow:
    return Flow("trucking", sending, window, hold_all, resumed)


# -- what is due when a pause is over


def test_what_waits_for_a_pause_that_is_over_is_tried_now_the_oldest_first() -> None:
    queued = [message(number, queue="deferred", reason=OURS) for number in (3, 1, 2)]
    assert moves(flow(resumed=True), queued, []) == Moves(due=ids(1, 2, 3))
    assert moves(flow(), queued, []) == Moves()
    assert moves(flow(sending=False, resumed=True), queued, []) == Moves()


def test_what_a_site_put_off_waits_for_the_site_also_after_a_pause() -> None:
    queued = [message(1, queue="deferred", reason=REFUSED), message(2, queue="active", reason=OURS), message(3)]
    assert moves(flow(resumed=True), queued, []) == Moves()


def test_of_a_backlog_only_what_stays_is_tried_when_a_pause_is_over() -> None:
    queued = [message(number, queue="deferred", reason=OURS) for number in range(300)]
    assert moves(flow(resumed=True), queued, []) == Moves(hold=ids(*range(50, 300)), due=ids(*range(50)))


# -- what is put on hold and let go


def test_a_blast_is_put_on_hold_but_for_the_oldest_hours_worth() -> None:
    queued = messages(*range(29_000))
    assert moves(flow(), queued, []) == Moves(hold=ids(*range(50, 29_000)))


def test_a_daily_queue_is_left_alone() -> None:
    assert moves(flow(), messages(*range(100)), []) == Moves()


def test_when_half_has_left_the_oldest_on_hold_come_back() -> None:
    held = messages(*range(50, 300), queue="hold")
    assert moves(flow(), messages(*range(26)), held) == Moves()
    assert moves(flow(), messages(*range(25)), held) == Moves(release=ids(*range(50, 75)))
    assert moves(flow(), messages(*range(25)), held[:3]) == Moves(release=ids(50, 51, 52))


def test_while_nothing_is_sent_nothing_comes_back_and_the_rest_is_put_on_hold() -> None:
    held = messages(*range(500, 600), queue="hold")
    assert moves(flow(sending=False), [], held) == Moves()
    assert moves(flow(sending=False), messages(*range(100)), held) == Moves()
    assert moves(flow(sending=False), messages(*range(101)), held) == Moves(hold=ids(*range(50, 101)))


def test_old_mail_on_hold_keeps_nothing_of_the_queue_while_nothing_is_sent() -> None:
    held = messages(*range(100), queue="hold")
    assert moves(flow(sending=False), messages(*range(100, 220)), held) == Moves(hold=ids(*range(150, 220)))


def test_a_stream_with_fixed_egresses_that_is_halted_is_put_on_hold_whole() -> None:
    queued = messages(3, 1, 2)
    assert moves(flow(sending=False, hold_all=True), queued, messages(0, queue="hold")) == Moves(hold=ids(1, 2, 3))
    assert moves(flow(hold_all=True), queued, []) == Moves()


@pytest.mark.parametrize(("window", "room"), [(1, 20), (10, 20), (50, 50), (1000, 1000), (300_000, 1000)])
def test_the_room_is_an_hours_window_within_bounds(window: int, room: int) -> None:
    held = messages(*range(5000), queue="hold")
    assert moves(flow(window), [], held).release == ids(*range(room))


def test_a_steady_stream_of_new_mail_does_not_keep_the_old_on_hold() -> None:
    held = messages(*range(200), queue="hold")
    steady = messages(*range(1000, 1040))
    assert moves(flow(), steady, held) == Moves(release=ids(*range(50)))
    full = messages(*range(1000, 1090))
    assert moves(flow(), full, held) == Moves(hold=ids(*range(1000, 1090)), release=ids(*range(50)))


def test_a_few_that_are_older_wait_for_a_batch() -> None:
    held = messages(*range(10), queue="hold")
    assert moves(flow(), messages(*range(1000, 1040)), held) == Moves()


def test_sites_that_put_mail_off_do_not_end_the_return() -> None:
    held = messages(*range(1000, 2000), queue="hold")
    dead = messages(*range(300))
    assert moves(flow(), dead, held) == Moves(hold=ids(*range(50, 300)))
    known = frozenset(ids(*range(300)))
    assert moves(flow(), dead, held, put_off=known) == Moves(release=ids(*range(1000, 1050)))


def test_what_was_put_off_has_its_own_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog, "_ROOM_FOR_RETRIES", 10)
    known = frozenset(ids(*range(200)))
    assert moves(flow(), messages(*range(20)), [], put_off=known) == Moves()
    assert moves(flow(), messages(*range(21)), [], put_off=known) == Moves(hold=ids(*range(10, 21)))
    held = messages(*range(10, 21), queue="hold")
    assert moves(flow(), messages(*range(6)), held, put_off=known) == Moves()
    assert moves(flow(), messages(*range(5)), held, put_off=known) == Moves(release=ids(*range(10, 15)))


def test_what_has_not_arrived_yet_or_is_listed_twice_is_moved_once_or_not() -> None:
    queued = [
        *messages(*range(50)),
        *messages(50, 51, queue="maildrop"),
        *messages(*range(52, 110)),
        *messages(52, queue="deferred"),
    ]
    assert moves(flow(), queued, []).hold == ids(*range(52, 110))


def test_a_message_that_is_seen_in_two_queues_is_not_moved_both_ways() -> None:
    queued, held = messages(*range(120)), messages(*range(0, 120, 7), queue="hold")
    found = moves(flow(), queued, held)
    assert not set(found.hold) & set(found.release)


# -- who put a message off


@pytest.mark.parametrize(
    ("queue", "reason", "known", "expected"),
    [
        ("deferred", REFUSED, False, True),
        ("deferred", "connect to mx.example.net[192.0.2.1]:25: Connection refused", False, True),
        ("deferred", OURS, True, False),
        ("deferred", "mail transport unavailable", True, False),
        ("deferred", "", True, True),
        ("deferred", "", False, False),
        ("active", "", True, True),
        ("active", "", False, False),
        ("active", REFUSED, False, False),
        ("hold", REFUSED, True, True),
    ],
)
def test_who_made_a_message_wait(queue: str, reason: str, known: bool, expected: bool) -> None:
    before = frozenset(ids(1)) if known else frozenset[str]()
    assert put_off([message(1, queue=queue, reason=reason)], before) == (frozenset(ids(1)) if expected else frozenset())


def test_what_left_is_remembered_no_more() -> None:
    assert put_off([], frozenset(ids(1, 2))) == frozenset()


# -- whose a message is


def test_messages_are_sorted_by_stream_and_other_peoples_holds_are_left_alone() -> None:
    mine, theirs, strange = message(1, queue="hold"), message(2, queue="hold"), message(3)
    listing = QueueListing((mine, theirs, strange, message(4), message(5)), ours=frozenset(ids(1)))
    owners = {
        mine.queue_id: "trucking",
        theirs.queue_id: "trucking",
        **dict.fromkeys(ids(4), "trucking"),
        **dict.fromkeys(ids(5), "hc"),
    }
    found = by_stream(listing, lambda entry: owners.get(entry.queue_id))
    assert found == {"trucking": ([message(4)], [mine]), "hc": ([message(5)], [])}


def test_a_message_is_parked_only_if_none_of_its_recipients_may_be_mailed() -> None:
    both = replace(message(1), domains=("yahoo.com", "ymail.com"))
    mixed = replace(message(2), domains=("yahoo.com", "example.com"))
    nobody = replace(message(3), domains=())
    assert parked([both, mixed, nobody, message(4)], frozenset({"yahoo.com", "ymail.com"})) == [both]


def test_what_waits_is_counted() -> None:
    assert waiting(messages(5, 3), messages(1, queue="hold"), 7) == Waiting(2, 1, NOW + 1, 7)
    assert waiting([], [], 0) == Waiting(0, 0, None)


# -- properties

windows = st.integers(1, 100)


@st.composite
def queues(draw: st.DrawFn, most: int = 150) -> tuple[Entries, Entries, frozenset[str]]:
    """A stream's messages: (queued, held by us, put off), with arrivals that collide and queues of all kinds."""
    count = draw(st.integers(0, most))
    seed = draw(st.randoms(use_true_random=False))
    queued: Entries = []
    held: Entries = []
    late = draw(st.sampled_from([0.0, 0.05, 0.5]))
    share = draw(st.floats(0, 1))
    off = set()
    for number in range(count):
        at = NOW + seed.randrange(count)
        on_hold = seed.random() < share
        queue = "hold" if on_hold else seed.choice(["incoming", "active", "deferred", "active", "maildrop"])
        (held if on_hold else queued).append(message(number, at=at, queue=queue))
        if seed.random() < late:
            off.add(f"Q{number:06}")
    seed.shuffle(queued)
    return queued, held, frozenset(off)


def room_of(window: int) -> int:
    return max(20, min(window, 1000))


def in_order(entries: Entries) -> list[str]:
    return [entry.queue_id for entry in sorted(entries, key=lambda entry: (entry.arrival_at, entry.queue_id))]


@settings(deadline=None)
@given(queues(), windows, st.booleans(), st.booleans())
def test_only_what_is_there_is_moved_and_only_that_way(
    queue: tuple[Entries, Entries, frozenset[str]], window: int, sending: bool, hold_all: bool
) -> None:
    queued, held, off = queue
    found = moves(flow(window, sending=sending, hold_all=hold_all), queued, held, put_off=off)
    assert set(found.hold) <= {entry.queue_id for entry in queued if entry.queue_name != "maildrop"}
    assert set(found.release) <= {entry.queue_id for entry in held}
    assert sending or not found.release


@settings(deadline=None)
@given(queues(), windows, st.booleans())
def test_the_oldest_are_never_put_on_hold_and_the_oldest_come_back_first(
    queue: tuple[Entries, Entries, frozenset[str]], window: int, sending: bool
) -> None:
    queued, held, off = queue
    found = moves(flow(window, sending=sending), queued, held, put_off=off)
    order = in_order([*queued, *held])
    assert [*found.hold] == sorted(found.hold, key=order.index)
    assert [*found.release] == sorted(found.release, key=order.index)
    ready = [one for one in in_order([*queued, *held] if sending else queued) if one not in off]
    assert not set(found.hold) & set(ready[: room_of(window)])
    back = [one for one in found.release if one not in off]
    assert back == [one for one in in_order(held) if one not in off][: len(back)]
    if found.hold and back:
        assert order.index(back[-1]) < order.index(found.hold[0])


@settings(deadline=None)
@given(queues(), windows, st.booleans(), st.booleans())
def test_a_queue_that_stays_as_it_is_comes_to_rest_and_no_message_goes_back_and_forth(
    queue: tuple[Entries, Entries, frozenset[str]], window: int, sending: bool, hold_all: bool
) -> None:
    queued, held, off = queue
    moved: list[str] = []
    found = Moves()
    for _ in range(len(queued) // 20 + len(held) // 20 + 3):  # a batch a look at most
        found = moves(flow(window, sending=sending, hold_all=hold_all), queued, held, put_off=off)
        moved += [*found.hold, *found.release]
        queued, held = carried_out(found, queued, held)
    assert found == Moves()
    assert len(moved) == len(set(moved))


def carried_out(found: Moves, queued: Entries, held: Entries) -> tuple[Entries, Entries]:
    holding, letting = set(found.hold), set(found.release)
    stays = [entry for entry in queued if entry.queue_id not in holding]
    back = [replace(entry, queue_name="deferred") for entry in held if entry.queue_id in letting]
    goes = [replace(entry, queue_name="hold") for entry in queued if entry.queue_id in holding]
    return stays + back, [entry for entry in held if entry.queue_id not in letting] + goes


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 200), st.integers(0, 60), st.booleans()), max_size=15),
    st.integers(1, 120),
    st.sets(st.integers(0, 60), max_size=30),
)
def test_whatever_arrives_little_is_in_postfix_hands_and_all_of_it_leaves_in_the_end(
    turns: list[tuple[int, int, bool]], window: int, dead: set[int]
) -> None:
    """Each turn mail arrives and some leaves, oldest first; every 61st or so is for a site that is down and stays."""
    queued: Entries = []
    held: Entries = []
    off: frozenset[str] = frozenset()
    number = 0
    end = [(0, room_of(window), True)] * (2 * sum(arrived for arrived, _, _ in turns) // room_of(window) + 4)
    for arrived, leave, sending in [*turns, *end]:
        queued += [message(one) for one in range(number, number + arrived)]
        number += arrived
        off = put_off([*queued, *held], off)
        queued, held = carried_out(moves(flow(window, sending=sending), queued, held, put_off=off), queued, held)
        assert len([entry for entry in queued if entry.queue_id not in off]) <= 2 * room_of(window)
        queued = delivered(queued, leave if sending else 0, dead)
    assert held == []
    assert all(is_dead(entry, dead) for entry in queued)


def delivered(queued: Entries, count: int, dead: set[int]) -> Entries:
    """Postfix works on the oldest, of those that were not put off first: what is dead is put off and stays."""
    left: Entries = []
    for entry in sorted(queued, key=lambda entry: (entry.delay_reason, entry.arrival_at)):
        if count and is_dead(entry, dead):
            left.append(replace(entry, queue_name="deferred", delay_reason=REFUSED))
        elif not count:
            left.append(entry)
        count = max(0, count - 1)
    return left


def is_dead(entry: QueueEntry, dead: set[int]) -> bool:
    return int(entry.queue_id[1:]) % 61 in dead


@settings(deadline=None)
@given(queues(), windows, st.booleans(), st.sets(st.integers(0, 200)))
def test_excluded_mail_never_comes_back(
    queue: tuple[Entries, Entries, frozenset[str]], window: int, sending: bool, kept_out: set[int]
) -> None:
    entries = [
        replace(entry, domains=("yahoo.com",)) if int(entry.queue_id[1:]) in kept_out else entry
        for part in queue[:2]
        for entry in part
    ]
    listing = QueueListing(tuple(entries), ours=frozenset(entry.queue_id for entry in queue[1]))
    out = {entry.queue_id for entry in parked(listing.entries, frozenset({"yahoo.com"}))}
    queued, held = by_stream(listing, lambda entry: None if entry.queue_id in out else "trucking").get("trucking", ([], []))
    assert not out & set(moves(flow(window, sending=sending), queued, held).release)
    assert {entry.queue_id for entry in entries if entry.domains == ("yahoo.com",)} == out


# -- lifetimes


def test_without_a_halt_messages_may_expire() -> None:
    lifetimes = Lifetimes()
    assert not lifetimes.look(held=False, oldest_at=NOW - 9 * DAY, now=NOW)
    assert not lifetimes.look(held=False, oldest_at=None, now=NOW)


def test_while_a_stream_is_held_nothing_expires() -> None:
    lifetimes = Lifetimes()
    for day in range(30):
        assert lifetimes.look(held=True, oldest_at=inf, now=NOW + day * DAY)


def test_after_a_halt_nothing_expires_until_what_waited_has_left() -> None:
    lifetimes = Lifetimes()
    lifetimes.look(held=True, oldest_at=None, now=NOW)
    assert lifetimes.look(held=False, oldest_at=NOW - 3 * DAY, now=NOW + 1)
    assert lifetimes.look(held=False, oldest_at=NOW, now=NOW + DAY)
    assert not lifetimes.look(held=False, oldest_at=NOW + 1, now=NOW + DAY)
    assert not lifetimes.look(held=False, oldest_at=NOW - 3 * DAY, now=NOW + DAY + 1)


def test_after_five_days_what_is_left_had_its_time() -> None:
    lifetimes = Lifetimes()
    lifetimes.look(held=True, oldest_at=NOW, now=NOW)
    assert lifetimes.look(held=False, oldest_at=NOW - DAY, now=NOW + 5 * DAY)
    assert not lifetimes.look(held=False, oldest_at=NOW - DAY, now=NOW + 5 * DAY + 1)


def test_a_queue_that_is_empty_needs_no_long_life_and_one_that_was_not_seen_does() -> None:
    lifetimes = Lifetimes()
    lifetimes.look(held=True, oldest_at=None, now=NOW)
    assert lifetimes.look(held=False, oldest_at=None, now=NOW + 1)
    assert not lifetimes.look(held=False, oldest_at=inf, now=NOW + 2)


def test_what_is_on_hold_for_more_than_a_day_will_need_more_than_one_attempt() -> None:
    lifetimes = Lifetimes()
    assert not lifetimes.look(held=False, oldest_at=NOW, oldest_held_at=NOW, now=NOW + DAY)
    assert lifetimes.look(held=False, oldest_at=NOW, oldest_held_at=NOW, now=NOW + DAY + 1)
    assert lifetimes.look(held=False, oldest_at=NOW, oldest_held_at=NOW, now=NOW + 24 * DAY)
    assert lifetimes.look(held=False, oldest_at=NOW, oldest_held_at=None, now=NOW + 29 * DAY)
    assert not lifetimes.look(held=False, oldest_at=NOW, oldest_held_at=None, now=NOW + 29 * DAY + 1)


def test_lifetimes_that_were_found_raised_stay_so_for_what_is_queued_now() -> None:
    lifetimes = Lifetimes()
    lifetimes.found_raised(NOW)
    lifetimes.found_raised(NOW + DAY)
    assert lifetimes.look(held=False, oldest_at=NOW, now=NOW + 60)
    assert not lifetimes.look(held=False, oldest_at=NOW + 1, now=NOW + 60)


looks = st.lists(
    st.tuples(st.booleans(), st.one_of(st.none(), st.floats(-9 * DAY, 9 * DAY)), st.floats(-2 * DAY, 2 * DAY)), max_size=50
)


@settings(deadline=None)
@given(looks)
def test_nothing_may_expire_before_what_a_halt_kept_waiting_had_its_chance(
    seen: list[tuple[bool, float | None, float]],
) -> None:
    """Whatever the clock does: a step back makes the time longer, never shorter."""
    lifetimes, now, ended = Lifetimes(), NOW, -inf
    for held, arrived, passed in seen:
        now += passed
        oldest_at = None if arrived is None else NOW + arrived
        keeps = lifetimes.look(held=held, oldest_at=oldest_at, now=now)
        ended = now if held else ended
        if held or (now - ended <= 5 * DAY and (oldest_at is None or oldest_at <= ended)):
            assert keeps
        if not keeps:
            ended = -inf  # that halt is done with
