"""What every kind of store promises of suppressions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import astuple, replace

from pwmtad.adapters.store import MemoryStore, SqliteStore, Store
from pwmtad.adapters.store.rows import changes_of
from pwmtad.adapters.store.sql_files import Dialect, statements
from pwmtad.core.suppress_counting import FORGET_S, MAX_COUNTING
from pwmtad.model.counters import DAY_S
from pwmtad.model.judgement import JudgementDeltas
from pwmtad.model.ledger import Commit
from pwmtad.model.suppression import (
    Grounds,
    Mark,
    Report,
    ReportState,
    Sighting,
    SubjectKind,
    Suppression,
    SuppressionDeltas,
    SuppressionKey,
    SuppressionQuery,
)
from tests.unit.adapters.store_data import DAWN, Shelf, full_commit, hostile_text

GROUNDS = Grounds("4Zy1", "out05", "google", "mx.example.net", "google-no-such-user", "550-5.1.1 no such account")
EVIL = "a\0b\udc80c\u202e\U0001f4a3" + "x" * 5000


def key(subject: str = "reader@example.org", reply_class: str = "hard_bounce", stream: str = "trucking") -> SuppressionKey:
    kind = SubjectKind.ADDRESS if "@" in subject else SubjectKind.DOMAIN
    return SuppressionKey(stream, kind.value, subject, reply_class)


def sighting(about: SuppressionKey | None = None, at: float = DAWN, *, enough: bool = True, **changes: Any) -> Sighting:
    made = Sighting(about or key(), 1, at, at, at if enough else None, () if enough else ("19676",), "", GROUNDS)
    return replace(made, **changes)


def seen(*sightings: Sighting) -> Commit:
    return deltas(sightings=sightings)


def deltas(**parts: Any) -> Commit:
    return Commit(at=DAWN, judgement=JudgementDeltas(suppressions=SuppressionDeltas(**parts)))


def mark(about: SuppressionKey | None = None, *, seen_at: float = DAWN, due_at: float | None = None, **report: Any) -> Mark:
    told = {"state": ReportState.VERIFIED, "at": DAWN + 9, "tries": 1, "way": "webhook", "verified_at": DAWN + 9, **report}
    return Mark(about or key(), seen_at, Report(**told), due_at)


async def all_of(store: Store, **query: Any) -> list[Suppression]:
    return await store.suppressions(SuppressionQuery(**{"counting": True, **query}))


async def one_of(store: Store) -> Suppression:
    (found,) = await all_of(store)
    return found


@pytest.fixture
async def store(shelf: Shelf) -> Any:
    opened = shelf.make()
    await opened.open()
    yield opened
    await opened.close()


async def test_a_suppression_comes_back_with_its_grounds(store: Store) -> None:
    await store.commit(seen(sighting(by="alice")))
    found = await one_of(store)
    assert found == Suppression(key(), 1, DAWN, DAWN, DAWN, "alice", GROUNDS, Report(), DAWN)


async def test_the_same_again_is_added_and_its_newest_grounds_are_kept(store: Store) -> None:
    later = replace(GROUNDS, queue_id="4Zy2", reply="550 5.1.1 gone")
    await store.commit(seen(sighting(by="alice")))
    await store.commit(seen(sighting(at=DAWN + 60, grounds=later), sighting(key("other@example.org"))))
    await store.commit(seen(sighting(at=DAWN - 60)))
    found = {row.key.subject: row for row in await all_of(store)}["reader@example.org"]
    assert (found.count, found.first_at, found.last_at) == (3, DAWN - 60, DAWN + 60)
    assert (found.suppressed_at, found.by, found.grounds) == (DAWN, "alice", GROUNDS)


async def test_what_is_counted_is_loaded_by_the_next_run_and_is_due_only_when_it_is_enough(store: Store) -> None:
    about = key(reply_class="mailbox_full")
    await store.commit(seen(sighting(about, enough=False, seen=("19676",))))
    await store.commit(seen(sighting(about, DAWN + DAY_S, enough=False, seen=("19676", "19677")), sighting()))
    (counted,) = (await store.load(DAWN)).judgement.counting
    assert (counted.key, counted.count, counted.seen) == (about, 2, ("19676", "19677"))
    assert (counted.first_at, counted.last_at, counted.suppressed_at) == (DAWN, DAWN + DAY_S, None)
    assert [row.key for row in await store.due_suppressions("trucking", DAWN + 2 * DAY_S, 10)] == [key()]
    await store.commit(seen(sighting(about, DAWN + 2 * DAY_S)))
    assert (await store.load(DAWN)).judgement.counting == ()
    assert [row.key for row in await store.due_suppressions("trucking", DAWN + 2 * DAY_S, 10)] == [key(), about]


async def test_counting_is_loaded_with_the_newest_last_and_not_for_ever(store: Store) -> None:
    names = ["c@example.org", "a@example.org", "b@example.org"]
    rows = [sighting(key(name, "mailbox_full"), DAWN + n, enough=False) for n, name in enumerate(names)]
    await store.commit(seen(*reversed(rows), sighting(key("old@example.org", "mailbox_full"), DAWN - FORGET_S, enough=False)))
    assert [row.key.subject for row in (await store.load(DAWN)).judgement.counting] == names
    assert MAX_COUNTING > 3


async def test_a_reset_forgets_what_is_counted_and_never_what_is_suppressed(store: Store) -> None:
    full, hard = key(reply_class="mailbox_full"), key()
    await store.commit(seen(sighting(full, enough=False), sighting(hard)))
    await store.commit(deltas(reset=(full, hard), sightings=(sighting(key("dead.example", "dead_domain"), enough=False),)))
    assert [row.key.subject for row in await all_of(store)] == ["reader@example.org", "dead.example"]
    await store.commit(deltas(reset=(full,), sightings=(sighting(full, enough=False, seen=("1",)),)))
    assert [row.seen for row in (await store.load(0)).judgement.counting if row.key == full] == [("1",)]


async def test_what_a_person_removed_is_gone_and_may_come_again(store: Store) -> None:
    await store.commit(seen(sighting(), sighting(at=DAWN + 1)))
    await store.commit(deltas(marks=(mark(seen_at=DAWN + 1),)))
    await store.commit(deltas(removed=(key(), key("never@example.org"))))
    assert await all_of(store) == []
    await store.commit(deltas(removed=(key(),), sightings=(sighting(at=DAWN + 9),)))
    found = await one_of(store)
    assert (found.count, found.first_at, found.report.state, found.due_at) == (1, DAWN + 9, ReportState.UNTOLD, DAWN + 9)


async def test_a_mark_tells_what_became_of_a_report_and_when_to_look_again(store: Store) -> None:
    await store.commit(seen(sighting()))
    sent = mark(due_at=DAWN + 30, state=ReportState.SENT, verified_at=None, tries=0)
    await store.commit(deltas(marks=(sent, mark(key("nobody@example.org")))))
    found = await one_of(store)
    assert (found.report, found.due_at) == (sent.report, DAWN + 30)
    assert await store.due_suppressions("trucking", DAWN + 29, 10) == []
    assert await store.due_suppressions("trucking", DAWN + 30, 10) == [found]
    last = mark(problem="", subscribers=3)
    await store.commit(deltas(marks=(last,)))
    assert (await one_of(store)).report == last.report
    assert await store.due_suppressions("trucking", DAWN + DAY_S, 10) == []


async def test_what_was_seen_since_the_report_is_due_again(store: Store) -> None:
    await store.commit(seen(sighting()))
    await store.commit(seen(sighting(at=DAWN + 5)))
    await store.commit(deltas(marks=(mark(seen_at=DAWN),)))
    found = await one_of(store)
    assert (found.report.state, found.due_at) == (ReportState.VERIFIED, DAWN + 5)
    await store.commit(deltas(marks=(mark(seen_at=DAWN + 5),)))
    assert (await one_of(store)).due_at is None
    await store.commit(seen(sighting(at=DAWN + 60)))
    found = await one_of(store)
    assert (found.report.state, found.due_at) == (ReportState.VERIFIED, DAWN + 60)


async def test_streams_are_told_apart_and_the_longest_waiting_comes_first(store: Store) -> None:
    rows = [sighting(key(f"r{n}@example.org"), DAWN - n) for n in range(5)]
    await store.commit(seen(*rows, sighting(key(stream="healthcare"))))
    due = await store.due_suppressions("trucking", DAWN, 3)
    assert [row.key.subject for row in due] == [f"r{n}@example.org" for n in (4, 3, 2)]
    assert [row.key.stream for row in await store.due_suppressions("healthcare", DAWN, 3)] == ["healthcare"]


async def test_rows_are_found_by_subject_by_domain_and_by_everything_else(store: Store) -> None:
    rows = [
        sighting(key("a@example.org")),
        sighting(key("b@example.org", "mailbox_full")),
        sighting(key("c@sub.example.org", stream="healthcare")),
        sighting(key("d@example.net", "mailbox_full"), enough=False),
        sighting(key("example.org", "dead_domain")),
        sighting(key("a@example.org", "manual", "healthcare"), by="alice"),
    ]
    await store.commit(seen(*rows))

    async def subjects(**query: Any) -> list[str]:
        found = await store.suppressions(SuppressionQuery(**query))
        return [f"{row.key.subject} {row.key.stream[0]}" for row in found]

    everything = ["a@example.org h", "a@example.org t", "b@example.org t", "c@sub.example.org h", "example.org t"]
    assert await subjects() == everything
    assert await subjects(counting=True) == [*everything[:4], "d@example.net t", everything[4]]
    assert await subjects(subject="a@example.org") == everything[:2]
    assert await subjects(subject="example.org") == ["example.org t"]
    assert await subjects(subject="nobody@example.org") == []
    assert await subjects(domain="example.org") == [*everything[:3], "example.org t"]
    assert await subjects(domain="example.org", kind=SubjectKind.ADDRESS, stream="trucking") == everything[1:3]
    assert await subjects(kind=SubjectKind.DOMAIN) == ["example.org t"]
    assert await subjects(reply_class="mailbox_full", counting=True) == ["b@example.org t", "d@example.net t"]
    assert await subjects(stream="healthcare") == ["a@example.org h", "c@sub.example.org h"]


async def pages(store: Store, limit: int, **query: Any) -> list[Suppression]:
    found: list[Suppression] = []
    after = None
    while True:
        page = await store.suppressions(SuppressionQuery(after=after, limit=limit, **query))
        found += page
        if len(page) < limit:
            return found
        stream, kind, subject, reply_class = page[-1].key
        after = (kind, subject, stream, reply_class)


async def test_pages_hold_every_row_once_in_the_order_of_bytes(store: Store) -> None:
    names = [
        "b@example.org",
        "a-b@example.org",
        "ab@example.org",
        "\u00fc@example.org",
        "B@example.org",
        "\U0001f4a3@example.org",
    ]
    rows = [sighting(key(name, kind, stream)) for name in names for kind in ("hard_bounce", "manual") for stream in ("s", "t")]
    await store.commit(seen(*rows))
    whole = await store.suppressions(SuppressionQuery())
    assert len(whole) == len(rows)
    assert [row.key.subject for row in whole] == sorted(row.key.subject for row in whole)
    for limit in (1, 3, 7):
        assert await pages(store, limit) == whole
        assert await pages(store, limit, domain="example.org") == whole


async def test_rows_are_counted_by_sort(store: Store) -> None:
    await store.commit(seen(*(sighting(key(f"r{n}@example.org")) for n in range(4)), sighting(key(stream="healthcare"))))
    await store.commit(seen(sighting(key("x.example", "dead_domain"), enough=False), sighting(key("y.example", "dead_domain"))))
    await store.commit(deltas(marks=(mark(key("r1@example.org")), mark(key("r2@example.org"), state=ReportState.UNKNOWN))))
    assert [astuple(count) for count in await store.count_suppressions()] == [
        ("healthcare", "address", "hard_bounce", "untold", 1),
        ("trucking", "address", "hard_bounce", "unknown", 1),
        ("trucking", "address", "hard_bounce", "untold", 2),
        ("trucking", "address", "hard_bounce", "verified", 1),
        ("trucking", "domain", "dead_domain", "counting", 1),
        ("trucking", "domain", "dead_domain", "untold", 1),
    ]


async def test_the_roll_up_drops_what_was_counted_long_ago_and_keeps_suppressions_for_good(store: Store) -> None:
    old, new = key("old@example.org", "mailbox_full"), key("new@example.org", "mailbox_full")
    await store.commit(seen(sighting(old, enough=False), sighting(new, DAWN + DAY_S, enough=False), sighting()))
    await store.roll_up(DAWN + FORGET_S)
    assert [row.key for row in await all_of(store)] == [new, key()]
    await store.roll_up(DAWN + 9000 * DAY_S)
    assert [row.key for row in await all_of(store)] == [key()]


async def test_hostile_and_endless_text_is_cut_and_the_commit_goes_on(store: Store) -> None:
    grounds = Grounds(EVIL, EVIL, EVIL, EVIL, EVIL, EVIL)
    await store.commit(seen(sighting(key(EVIL), by=EVIL, grounds=grounds)))
    await store.commit(deltas(marks=(mark(key(EVIL), problem=EVIL),)))
    found = await one_of(store)
    assert found.grounds.reply.startswith("a\ufffdb?c")
    assert len(found.grounds.reply) <= 2000


async def test_a_hundred_recipients_of_a_domain_fit(store: Store) -> None:
    tokens = tuple(f"{n:016x}" for n in range(100))
    await store.commit(seen(sighting(key("dead.example", "dead_domain"), enough=False, seen=tokens)))
    (found,) = (await store.load(DAWN)).judgement.counting
    assert found.seen == tokens


@pytest.mark.parametrize("dialect", ["sqlite", "postgres"])
def test_every_change_and_every_question_has_its_statement(dialect: Dialect) -> None:
    commit = deltas(removed=(key(),), reset=(key(),), sightings=(sighting(),), marks=(mark(),))
    changes = [f"{change.verb}_{change.table}" for change in changes_of(commit)]
    assert changes == [f"{verb}_suppressions" for verb in ("remove", "reset", "merge", "mark")]
    questions = ("list_{}", "list_{}_of_subject", "list_{}_of_domain", "due_{}", "count_{}", "load_{}", "prune_{}")
    assert {*changes, *(name.format("suppressions") for name in questions)} <= statements(dialect).keys()


async def test_a_commit_with_everything_takes_suppressions_along(store: Store) -> None:
    commit = full_commit()
    judged = replace(commit.judgement, suppressions=SuppressionDeltas(sightings=(sighting(),)))
    await store.commit(replace(commit, judgement=judged))
    assert (await one_of(store)).key == key()
    assert (await store.load(DAWN)).checkpoints == commit.checkpoints


keys = st.sampled_from(
    [key("a@example.org"), key("b@example.org", "mailbox_full"), key("x.example", "dead_domain", "healthcare")]
)
moments = st.integers(0, 90).map(lambda day: DAWN + day * DAY_S)
sightings = st.builds(
    sighting,
    keys,
    moments,
    enough=st.booleans(),
    by=st.sampled_from(["", "alice"]),
    grounds=st.builds(lambda text: replace(GROUNDS, reply=text), hostile_text),
)
marks = st.builds(
    mark, keys, seen_at=moments, due_at=st.none() | moments, state=st.sampled_from(ReportState), problem=hostile_text
)


def one_each(rows: Iterable[Any]) -> Iterator[Any]:
    return iter({row.key: row for row in rows}.values())


changes = st.builds(
    lambda removed, reset, seen_now, marked: deltas(
        removed=tuple(removed), reset=tuple(reset), sightings=tuple(one_each(seen_now)), marks=tuple(marked)
    ),
    st.sets(keys, max_size=1),
    st.sets(keys, max_size=2),
    st.lists(sightings, max_size=3),
    st.lists(marks, max_size=3),
)


@given(commits=st.lists(changes, max_size=8), now=moments)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_sqlite_holds_what_memory_holds_whatever_happens(
    commits: list[Commit], now: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    memory, file = MemoryStore(), SqliteStore(str(tmp_path_factory.mktemp("s") / "store.db"))
    await file.open()
    try:
        for commit in commits:
            for store in (memory, file):
                await store.commit(commit)
            assert await all_of(file) == await all_of(memory)
            for stream in ("trucking", "healthcare"):
                assert await file.due_suppressions(stream, now, 2) == await memory.due_suppressions(stream, now, 2)
        for store in (memory, file):
            await store.roll_up(now)
        assert (await file.load(now)).judgement.counting == (await memory.load(now)).judgement.counting
        assert await file.count_suppressions() == await memory.count_suppressions()
        assert await all_of(file) == await all_of(memory)
    finally:
        await file.close()
