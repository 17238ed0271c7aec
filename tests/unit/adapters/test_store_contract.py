"""What every kind of store promises (`daemon.ports.Store`)."""

from __future__ import annotations

import asyncio

import pytest

from pwmtad.adapters.store import Store
from pwmtad.daemon import ports
from pwmtad.model.counters import (
    DAY_S,
    HOUR_S,
    AttemptBucket,
    AttemptCounts,
    DomainOperator,
    LineCounts,
    MessageBucket,
    MessageCounts,
    OpenMessage,
    ReasonKey,
)
from pwmtad.model.errors import StoreError
from pwmtad.model.judgement import JudgementState
from pwmtad.model.ledger import Commit, Ledger
from pwmtad.model.names import QueueId
from pwmtad.model.sources import JournalCheckpoint
from tests.tools.counts import buckets_of
from tests.unit.adapters.store_data import DAWN, GOOGLE, YAHOO, Shelf, attempts, checkpoint, full_commit

TODAY = int(DAWN // DAY_S)


async def opened(shelf: Shelf) -> ports.Store:
    store: Store = shelf.make()
    await store.open()
    return store


async def after(shelf: Shelf, *commits: Commit, since: float = DAWN) -> Ledger:
    """Commit, close, and load what another run finds."""
    store = await opened(shelf)
    for commit in commits:
        await store.commit(commit)
    await store.close()
    store = await opened(shelf)
    try:
        return await store.load(since)
    finally:
        await store.close()


async def test_a_new_store_is_empty(shelf: Shelf) -> None:
    assert await after(shelf) == Ledger({}, [], [], [], [], {}, [], {}, [], {})


async def test_what_was_rolled_up_is_loaded_before_the_minutes_that_came_later(shelf: Shelf) -> None:
    store = await opened(shelf)
    await store.commit(Commit(at=DAWN, attempts=[attempts(DAWN + m * 60, first=m, retries=1) for m in (0, 59)]))
    await store.roll_up(DAWN + 49 * HOUR_S)
    late = [attempts(DAWN + m * 60, first=m) for m in (30, 60, 61)]
    await store.commit(Commit(at=DAWN, attempts=late))
    (series,) = (await store.load(DAWN)).attempts
    assert [minute - int(DAWN) // 60 for minute in series.minutes] == [0, 30, 60, 61]
    assert (series.spans, series.first, series.retries) == ([3600, 60, 60, 60], [59, 30, 60, 61], [2, 0, 0, 0])
    assert (series.begin, series.newest, series.end) == (DAWN, DAWN + 61 * 60, DAWN + 62 * 60)
    (series,) = (await store.load(DAWN + 61 * 60)).attempts
    assert (series.begin, series.newest, series.end) == (DAWN + 61 * 60, DAWN + 61 * 60, DAWN + 62 * 60)
    await store.close()


async def test_a_late_minute_does_not_end_before_the_hour_that_has_it_already(shelf: Shelf) -> None:
    store = await opened(shelf)
    await store.commit(Commit(at=DAWN, attempts=[attempts(DAWN)]))
    await store.roll_up(DAWN + 49 * HOUR_S)
    await store.commit(Commit(at=DAWN, attempts=[attempts(DAWN + 1800)]))
    (series,) = (await store.load(DAWN)).attempts
    assert series.end == DAWN + HOUR_S
    await store.close()


async def test_everything_of_a_commit_is_there_after_a_restart(shelf: Shelf) -> None:
    given = full_commit()
    found = await after(shelf, given)
    assert found.checkpoints == given.checkpoints
    assert buckets_of(found.attempts) == sorted(given.attempts)
    assert found.messages == given.messages
    assert found.reasons == given.reasons
    assert sorted(found.lines, key=lambda row: row.count, reverse=True) == given.lines
    assert found.open_messages == given.open_put
    assert sorted(found.domains) == sorted(given.domains_put)
    assert found.meta == given.meta
    judged = given.judgement
    assert found.judgement == JudgementState(judged.halts, judged.memories, judged.evidence, judged.listmonk)


async def test_counts_are_added_and_the_rest_is_replaced(shelf: Shelf) -> None:
    second = Commit(
        at=DAWN + 1,
        checkpoints={"mail.log": JournalCheckpoint("s=other")},
        attempts=[attempts(DAWN, GOOGLE, 10, 20)],
        messages=[MessageBucket(60, int(DAWN), "trucking", MessageCounts(1, 1, 1, 1))],
        reasons={ReasonKey(TODAY, "trucking", "deferred", "rate_limit", "TSS04 # messages"): 3},
        lines=[LineCounts("mail.log", "postfix", "parsed", 11)],
        open_put={QueueId("4Zy0"): OpenMessage(DAWN + 9, "healthcare")},
        domains_put=[DomainOperator("example.org", "yahoo", DAWN + 8)],
        meta={"timezone": "Europe/Berlin", "more": "1"},
    )
    found = await after(shelf, full_commit(), second)
    assert found.checkpoints == {**full_commit().checkpoints, **second.checkpoints}
    assert attempts(DAWN, GOOGLE, 13, 21) in buckets_of(found.attempts)
    assert attempts(DAWN, YAHOO, 1) in buckets_of(found.attempts)
    assert found.messages[0].counts == MessageCounts(6, 5, 2, 1)
    assert list(found.reasons.values()) == [10]
    assert LineCounts("mail.log", "postfix", "parsed", 111) in found.lines
    assert found.open_messages[QueueId("4Zy0")] == OpenMessage(DAWN + 9, "healthcare")
    assert found.domains[-1] == DomainOperator("example.org", "yahoo", DAWN + 8)
    assert found.meta == {"timezone": "Europe/Berlin", "more": "1"}


async def test_removed_messages_and_domains_are_gone(shelf: Shelf) -> None:
    second = Commit(at=DAWN, open_removed={QueueId("4Zy1"), QueueId("never-seen")}, domains_removed=["example.net"])
    found = await after(shelf, full_commit(), second)
    assert list(found.open_messages) == ["4Zy0"]
    assert [row.domain for row in found.domains] == ["example.org"]


async def test_a_queue_id_that_is_removed_and_used_again_in_one_commit_stays(shelf: Shelf) -> None:
    again = Commit(at=DAWN, open_removed={QueueId("4Zy1")}, open_put={QueueId("4Zy1"): OpenMessage(DAWN + 50)})
    found = await after(shelf, full_commit(), again)
    assert found.open_messages[QueueId("4Zy1")] == OpenMessage(DAWN + 50)


async def test_open_messages_and_domains_come_oldest_first(shelf: Shelf) -> None:
    found = await after(shelf, full_commit())
    assert list(found.open_messages) == ["4Zy0", "4Zy1"]
    assert [row.domain for row in found.domains] == ["example.net", "example.org"]


async def test_buckets_that_end_before_since_are_only_in_the_totals(shelf: Shelf) -> None:
    commit = Commit(at=DAWN, attempts=[attempts(DAWN - 120, first=1), attempts(DAWN - 60, first=2), attempts(DAWN, first=4)])
    found = await after(shelf, commit, since=DAWN - 0.5)
    assert [bucket.counts.first for bucket in buckets_of(found.attempts)] == [2, 4]
    assert found.attempt_totals == [AttemptBucket(0, 0, GOOGLE, AttemptCounts(7))]


async def test_totals_are_by_key_over_all_time_and_all_spans(shelf: Shelf) -> None:
    store = await opened(shelf)
    old = DAWN - 200 * DAY_S
    for at in (old, old + 60, DAWN - 10 * DAY_S, DAWN):
        await store.commit(full_commit(at))
        await store.roll_up(DAWN)
    found = await store.load(DAWN)
    await store.close()
    assert found.attempt_totals == [
        AttemptBucket(0, 0, GOOGLE, AttemptCounts(20, 4)),
        AttemptBucket(0, 0, YAHOO, AttemptCounts(4)),
    ]
    assert found.message_totals == [MessageBucket(0, 0, "trucking", MessageCounts(20, 16, 4))]


async def test_reasons_are_loaded_from_the_day_of_since_on(shelf: Shelf) -> None:
    reasons = {ReasonKey(TODAY + n, "trucking", "deferred", "", f"reason {n}"): n for n in (-2, -1, 0)}
    found = await after(shelf, Commit(at=DAWN, reasons=reasons), since=DAWN - 5)
    assert [key.day for key in found.reasons] == [TODAY - 1, TODAY]


async def test_old_minutes_become_hours_and_old_hours_become_days(shelf: Shelf) -> None:
    store = await opened(shelf)
    await store.commit(Commit(at=DAWN, attempts=[attempts(DAWN + m * 60, first=1) for m in range(180)]))
    await store.roll_up(DAWN + 50 * HOUR_S + 30)  # two hours are now wholly older than 48 h
    spans = [(bucket.span_s, bucket.counts.first) for bucket in buckets_of((await store.load(DAWN)).attempts)]
    assert spans == [(60, 1)] * 60 + [(3600, 60)] * 2
    await store.roll_up(DAWN + 91 * DAY_S)
    assert buckets_of((await store.load(0)).attempts) == [AttemptBucket(86400, int(DAWN), GOOGLE, AttemptCounts(180))]
    await store.close()


async def test_a_minute_that_comes_late_joins_its_hour_at_the_next_roll_up(shelf: Shelf) -> None:
    store = await opened(shelf)
    for _ in range(3):
        await store.commit(Commit(at=DAWN, attempts=[attempts(DAWN, first=1)]))
        await store.roll_up(DAWN + 3 * DAY_S)
    assert buckets_of((await store.load(0)).attempts) == [AttemptBucket(3600, int(DAWN), GOOGLE, AttemptCounts(3))]
    await store.close()


async def test_reasons_are_kept_for_35_days(shelf: Shelf) -> None:
    store = await opened(shelf)
    reasons = {ReasonKey(TODAY - age, "trucking", "bounced", "", "x"): 1 for age in range(40)}
    await store.commit(Commit(at=DAWN, reasons=reasons))
    await store.roll_up(DAWN + 5)
    assert sorted((await store.load(0)).reasons) == sorted(key for key in reasons if key.day >= TODAY - 35)
    await store.close()


async def test_text_that_no_database_takes_is_changed_and_the_commit_goes_on(shelf: Shelf) -> None:
    evil = "a\0b\udc80c\u202e\U0001f4a3" + "x" * 5000
    commit = Commit(
        at=DAWN,
        attempts=[attempts(DAWN, GOOGLE._replace(operator=evil))],
        reasons={ReasonKey(TODAY, evil, "bounced", "", evil[:120]): 1},
        open_put={QueueId(evil): OpenMessage(DAWN, recipient=evil, others={evil})},
        domains_put=[DomainOperator(evil, "google", DAWN)],
        meta={"note": evil},
    )
    found = await after(shelf, commit, Commit(at=DAWN, attempts=commit.attempts))
    (bucket,) = buckets_of(found.attempts)
    assert bucket.counts.first == 2
    assert bucket.key.operator == found.domains[0].domain == "a\ufffdb?c\u202e\U0001f4a3" + "x" * 505
    assert found.meta["note"].endswith("x" * 5000)
    gone = await after(shelf, Commit(at=DAWN, open_removed={QueueId(evil)}, domains_removed=[evil]))
    assert (gone.open_messages, gone.domains) == ({}, [])


async def test_what_was_given_may_change_afterwards(shelf: Shelf) -> None:
    store = await opened(shelf)
    message = OpenMessage(DAWN, others={"a@example.org"})
    commit = Commit(at=DAWN, open_put={QueueId("4Zy1"): message})
    storing = asyncio.create_task(store.commit(commit))
    await asyncio.sleep(0)
    message.recipient = "later@example.org"
    message.others = None
    await storing
    assert (await store.load(0)).open_messages == {QueueId("4Zy1"): OpenMessage(DAWN, others={"a@example.org"})}
    await store.close()


async def test_commits_and_roll_ups_at_once_lose_nothing(shelf: Shelf) -> None:
    store = await opened(shelf)
    await store.commit(Commit(at=DAWN, attempts=[attempts(DAWN + hour * HOUR_S) for hour in range(30)]))
    jobs = [store.commit(Commit(at=DAWN, attempts=[attempts(DAWN)], checkpoints={"m": checkpoint(n)})) for n in range(20)]
    await asyncio.gather(store.roll_up(DAWN + 10 * DAY_S), *jobs, store.roll_up(DAWN + 100 * DAY_S))
    found = await store.load(0)
    assert found.attempt_totals[0].counts.first == 50
    assert found.checkpoints == {"m": checkpoint(19)}
    await store.close()


async def test_it_may_be_opened_and_closed_twice(shelf: Shelf) -> None:
    store = await opened(shelf)
    await store.open()
    await store.commit(full_commit())
    await store.close()
    await store.close()
    await store.open()
    assert (await store.load(0)).meta == {"timezone": "UTC"}
    await store.close()


async def test_a_store_that_is_not_open_says_so(shelf: Shelf) -> None:
    store = shelf.make()
    if shelf.kind == "memory":  # has nothing that could be closed
        await store.commit(full_commit())
        return
    with pytest.raises(StoreError, match="not open") as caught:
        await store.commit(full_commit())
    assert not caught.value.retryable


async def test_a_reader_sees_each_commit_while_the_daemon_runs(shelf: Shelf) -> None:
    store = await opened(shelf)
    reader = shelf.reader()
    for round_number in (1, 2, 3):
        await store.commit(full_commit())
        assert await reader.load(0) == await store.load(0)
        assert (await reader.load(0)).lines[1].count == 100 * round_number
    await store.close()
    assert (await reader.load(0)).meta == {"timezone": "UTC"}


@pytest.mark.parametrize("failures", [1, 3])
async def test_a_cancelled_commit_given_again_is_counted_once(shelf: Shelf, failures: int) -> None:
    store = await opened(shelf)
    commit = full_commit()
    for _ in range(failures):
        storing = asyncio.create_task(store.commit(commit))
        await asyncio.sleep(0)
        storing.cancel()
        await asyncio.wait([storing])
        if not storing.cancelled():
            break  # in memory it is done before anybody can cancel it
    else:
        await store.commit(commit)
    await store.commit(Commit(at=DAWN, attempts=[attempts(DAWN, YAHOO)]))
    found = await store.load(0)
    assert [bucket.counts.first for bucket in found.attempt_totals] == [5, 2]
    await store.close()


async def test_after_a_cancelled_commit_no_other_is_taken_before_it(shelf: Shelf) -> None:
    store = await opened(shelf)
    first, second = Commit(at=DAWN, attempts=[attempts(DAWN)]), Commit(at=DAWN, attempts=[attempts(DAWN, YAHOO)])
    storing = asyncio.create_task(store.commit(first))
    storing.cancel()  # before it could do anything at all
    waiting = [asyncio.create_task(store.commit(first)) for _ in range(2)]
    await asyncio.sleep(0)
    for task in waiting:
        task.cancel()  # the one that works, and the one that waits for its turn
    await asyncio.wait([storing, *waiting])
    if shelf.kind != "memory":  # which is done at once, so that nothing can be cancelled
        for _ in range(2):
            with pytest.raises(StoreError, match="Restart pwmtad") as caught:
                await store.commit(second)
            assert not caught.value.retryable
        await store.commit(first)
        await store.commit(second)
        assert [total.counts.first for total in (await store.load(0)).attempt_totals] == [1, 1]
    await store.close()
    await store.open()
    await store.commit(second)
    await store.close()


async def test_many_commits_cancelled_at_any_moment_are_counted_once(shelf: Shelf) -> None:
    store = await opened(shelf)
    for number in range(1, 30):
        commit = Commit(at=DAWN, attempts=[attempts(DAWN)], checkpoints={"mail.log": checkpoint(number)})
        storing = asyncio.create_task(store.commit(commit))
        for _ in range(number % 11):
            await asyncio.sleep(0.0003)
        if storing.cancel():
            await asyncio.wait([storing])
        if storing.cancelled():
            await store.commit(commit)
        found = await store.load(0)
        assert found.attempt_totals[0].counts.first == number
        assert found.checkpoints["mail.log"] == checkpoint(number)
    await store.close()
