"""Whatever is stored and whenever it is rolled up: nothing is lost, nothing is counted twice, and all kinds agree."""

from __future__ import annotations

import asyncio
import operator
import tempfile
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from pwmtad.adapters.store import Keep, MemoryStore, SqliteStore, Store
from pwmtad.adapters.store.retention import Merge, coarse_span, first_reason_day, merges
from pwmtad.model.counters import DAY_S, HOUR_S, MINUTE_S, AttemptBucket, MessageBucket
from pwmtad.model.judgement import Record
from pwmtad.model.ledger import Commit, Ledger
from tests.tools.counts import buckets_of
from tests.unit.adapters.store_data import DAWN, SMALL_KEEP, commits

nows = st.integers(0, 300 * 24).map(lambda hour: DAWN + hour * HOUR_S + 17.5)
steps = st.lists(st.tuples(commits, st.none() | nows), min_size=1, max_size=5)


async def run(store: Store, given_steps: Sequence[tuple[Commit, float | None]]) -> list[Ledger | list[Record]]:
    await store.open()
    seen: list[Ledger | list[Record]] = []
    for commit, now in given_steps:
        await store.commit(commit)
        if now is not None:
            await store.roll_up(now)
        seen += [await store.load(0), await store.load(DAWN + 5 * DAY_S)]
        seen += [await store.records(limit=1000), await store.records(limit=2, halt_id="a")]
    await store.close()
    return seen


@given(steps)
@settings(max_examples=60, deadline=None)
def test_sqlite_answers_as_memory_does_for_any_commits_and_roll_ups(given_steps: Sequence[tuple[Commit, float | None]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        in_file = asyncio.run(run(SqliteStore(f"{folder}/store.db", keep=SMALL_KEEP), given_steps))
    in_memory = asyncio.run(run(MemoryStore(keep=SMALL_KEEP), given_steps))
    assert in_file == in_memory


@given(st.lists(commits, max_size=4), st.lists(nows, min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_any_roll_ups_keep_all_sums_and_the_newest_roll_up_decides_the_spans(
    given_commits: list[Commit], times: list[float]
) -> None:
    async def check() -> None:
        store = MemoryStore(keep=SMALL_KEEP)
        for commit in given_commits:
            await store.commit(commit)
        before = await store.load(0)
        assert sums(buckets_of(before.attempts)) == sums(before.attempt_totals)
        for now in times:
            await store.roll_up(now)
        after = await store.load(0)
        await store.roll_up(times[-1])
        assert await store.load(0) == after
        assert (after.attempt_totals, after.message_totals) == (before.attempt_totals, before.message_totals)
        assert sums(buckets_of(after.attempts)) == sums(after.attempt_totals)
        assert sums(after.messages) == sums(after.message_totals)
        minutes_from, hours_from = (merge.before for merge in merges(SMALL_KEEP, max(times)))
        for span_s, start, *_ in [*buckets_of(after.attempts), *after.messages]:
            assert start % span_s == 0
            assert span_s > MINUTE_S or start >= minutes_from
            assert span_s != HOUR_S or start >= hours_from

    asyncio.run(check())


def sums(buckets: Sequence[AttemptBucket] | Sequence[MessageBucket]) -> dict[object, tuple[int, ...]]:
    """Return the sum of the counts of each key or stream, whatever the span."""
    found: dict[object, tuple[int, ...]] = {}
    for _, _, key, counts in buckets:
        found[key] = tuple(map(operator.add, found.get(key, (0,) * len(counts)), counts))
    return found


@given(st.floats(DAWN, DAWN + 400 * DAY_S))
def test_only_buckets_that_are_wholly_old_enough_are_merged(now: float) -> None:
    hours, days = merges(Keep(), now)
    assert now - 49 * HOUR_S < hours.before <= now - 48 * HOUR_S
    assert now - 91 * DAY_S < days.before <= now - 90 * DAY_S
    assert hours.before % HOUR_S == days.before % DAY_S == 0


def test_a_fine_bucket_goes_into_the_coarse_one_that_covers_it() -> None:
    assert coarse_span(Merge(60, 3600, 0), 7260) == (7200, 10800)
    assert coarse_span(Merge(60, 3600, 0), 7200) == (7200, 10800)
    assert coarse_span(Merge(60, 3600, 0), -60) == (-3600, 0)


def test_reasons_of_today_and_35_days_before_are_kept() -> None:
    assert first_reason_day(Keep(), 100 * DAY_S + 5) == 65
