"""What every kind of store promises of halts, memories, evidence and records."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import pytest
from msgspec.structs import replace

from pwmtad.adapters.store import SqliteReader, SqliteStore, Store
from pwmtad.adapters.store.retention import EVIDENCE_ROWS
from pwmtad.adapters.store.rows import MAX_LINES, MAX_TEXT_CHARS
from pwmtad.adapters.store.sql_files import migrations
from pwmtad.adapters.store.sqlite_file import migrate
from pwmtad.model.counters import DAY_S, HOUR_S
from pwmtad.model.errors import StoreError
from pwmtad.model.judgement import (
    Evidence,
    EvidenceLine,
    Halt,
    HaltPhase,
    JudgementDeltas,
    JudgementState,
    Record,
    RecordKind,
    StreamMemory,
)
from pwmtad.model.ledger import Commit
from pwmtad.model.listmonk import ListmonkMemory
from tests.unit.adapters.store_data import (
    DAWN,
    Reader,
    Shelf,
    ended,
    full_commit,
    full_judgement,
    halt,
    listmonk,
    piece,
    record,
)

EVIL = "a\0b\udc80c\u202e\U0001f4a3" + "x" * 5000


def judged(
    *halts: Halt,
    memories: dict[str, StreamMemory] | None = None,
    evidence: tuple[Evidence, ...] = (),
    records: tuple[Record, ...] = (),
) -> Commit:
    return Commit(at=DAWN, judgement=JudgementDeltas(halts, memories or {}, evidence, records))


@dataclass
class Opened:
    """A store that was opened, and the shelf it stands on."""

    store: Store
    shelf: Shelf

    async def commit(self, *commits: Commit) -> None:
        for commit in commits:
            await self.store.commit(commit)

    async def judgement(self, since: float = DAWN) -> JudgementState:
        """What another run finds."""
        await self.store.close()
        self.store = self.shelf.make()
        await self.store.open()
        return (await self.store.load(since)).judgement


@pytest.fixture
async def opened(shelf: Shelf) -> Opened:
    store = shelf.make()
    await store.open()
    return Opened(store, shelf)


async def test_what_was_judged_is_there_after_a_restart(opened: Opened) -> None:
    given = full_judgement()
    await opened.commit(full_commit())
    assert await opened.judgement() == JudgementState(given.halts, given.memories, given.evidence, given.listmonk)
    assert await opened.store.records(limit=10) == [replace(record(), id=1)]
    await opened.store.close()


async def test_a_halt_is_replaced_by_its_next_phase_and_never_doubled(opened: Opened) -> None:
    probing = halt(phase=HaltPhase.PROBING, phase_at=DAWN + 5, held_until_phase=DAWN + 5, probed=3)
    await opened.commit(judged(halt()), judged(probing))
    assert (await opened.judgement()).halts == (probing,)
    await opened.store.close()


async def test_halts_of_one_subject_may_stand_together_and_come_oldest_first(opened: Opened) -> None:
    newer, older = halt("a", DAWN + 5), halt("b", DAWN)
    await opened.commit(judged(newer, older))
    assert (await opened.judgement()).halts == (older, newer)
    await opened.store.close()


async def test_an_open_halt_is_loaded_however_old_and_an_ended_one_for_30_days(opened: Opened) -> None:
    old = halt("old", DAWN - 900 * DAY_S)
    recent, gone = ended("recent", DAWN - 30 * DAY_S + 1), ended("gone", DAWN - 30 * DAY_S)
    await opened.commit(judged(old, recent, gone))
    assert (await opened.judgement()).halts == (old, recent)
    await opened.store.close()


async def test_an_open_halt_survives_any_roll_up(opened: Opened) -> None:
    await opened.commit(judged(halt()))
    await opened.store.roll_up(DAWN + 10_000 * DAY_S)
    assert (await opened.judgement(DAWN + 10_000 * DAY_S)).halts == (halt(),)
    await opened.store.close()


async def test_memories_are_replaced_by_stream(opened: Opened) -> None:
    first = {"trucking": StreamMemory(pool_size=3), "healthcare": StreamMemory(window_per_hour=50)}
    second = {"trucking": StreamMemory(pool_size=5, unknown=("a", "b"), told_until={"x": DAWN + 0.125})}
    await opened.commit(judged(memories=first), judged(memories=second))
    assert (await opened.judgement()).memories == {**first, **second}
    await opened.store.close()


async def test_what_was_done_to_listmonk_is_replaced_by_stream(opened: Opened) -> None:
    await opened.commit(
        Commit(at=DAWN, judgement=JudgementDeltas(listmonk={"trucking": listmonk(), "healthcare": ListmonkMemory()})),
        Commit(at=DAWN, judgement=JudgementDeltas(listmonk={"trucking": listmonk(campaigns=(), writing=None)})),
    )
    found = (await opened.judgement()).listmonk
    assert found == {"trucking": listmonk(campaigns=(), writing=None), "healthcare": ListmonkMemory()}
    await opened.store.close()


async def test_a_memory_may_change_after_it_was_given(opened: Opened) -> None:
    memory = StreamMemory(told_until={"a": DAWN})
    storing = asyncio.create_task(opened.store.commit(judged(memories={"trucking": memory})))
    await asyncio.sleep(0)
    memory.told_until["b"] = DAWN
    memory.pool_size = 9
    await storing
    assert (await opened.judgement()).memories == {"trucking": StreamMemory(told_until={"a": DAWN})}
    await opened.store.close()


async def test_evidence_comes_by_its_own_time_and_only_of_72_hours(opened: Opened) -> None:
    late, old, first = piece(DAWN), piece(DAWN - 72 * HOUR_S), piece(DAWN - 72 * HOUR_S + 1)
    await opened.commit(judged(evidence=(late,)), judged(evidence=(old, first, late)))
    assert (await opened.judgement()).evidence == (first, late, late)
    await opened.store.close()


async def test_only_as_much_evidence_is_kept_and_loaded_as_is_looked_at(opened: Opened) -> None:
    flood = tuple(piece(DAWN + number) for number in range(EVIDENCE_ROWS + 50))
    await opened.commit(judged(evidence=flood))
    assert (await opened.judgement()).evidence == flood[50:]
    await opened.store.roll_up(DAWN)
    await opened.commit(judged(evidence=flood[:20]))
    assert (await opened.judgement()).evidence == tuple(sorted((*flood[:20], *flood[50:]), key=lambda p: p.at))[20:]
    await opened.store.close()


async def test_old_evidence_goes_with_the_roll_up(opened: Opened) -> None:
    old, new = piece(DAWN - 72 * HOUR_S), piece(DAWN - 72 * HOUR_S + 1)
    await opened.commit(judged(evidence=(old, new)))
    await opened.store.roll_up(DAWN)
    assert (await opened.judgement(0)).evidence == (new,)
    await opened.store.close()


async def test_records_come_oldest_first_the_newest_ones_and_of_one_halt(opened: Opened) -> None:
    given = [record(f"reason {number}", halt_id="ab"[number % 2]) for number in range(6)]
    await opened.commit(judged(records=tuple(given[:3])), judged(records=tuple(given[3:])))
    numbered = [replace(one, id=number) for number, one in enumerate(given, 1)]
    for place in (opened.store, opened.shelf.reader()):
        assert await place.records(limit=100) == numbered
        assert await place.records(limit=2) == numbered[-2:]
        assert await place.records(limit=2, halt_id="a") == numbered[2:5:2]
        assert await place.records(limit=100, halt_id="nothing") == []
        assert await place.records(limit=100, halt_id="a' OR 1=1 --") == []
        assert await place.records(limit=100, halt_id="\0\udc80") == []
    await opened.store.close()


@pytest.mark.parametrize("kind", RecordKind)
async def test_every_kind_of_record_comes_back_as_it_was(opened: Opened, kind: RecordKind) -> None:
    bare = Record(DAWN + 0.125, kind, "trucking", "rule", "because")
    await opened.commit(judged(records=(bare,)))
    assert await opened.store.records(limit=1) == [replace(bare, id=1)]
    await opened.store.close()


async def test_records_and_ended_halts_are_kept_for_400_days_and_the_newest_thousand_always(opened: Opened) -> None:
    old = tuple(record(f"{number}", DAWN - 400 * DAY_S) for number in range(1010))
    await opened.commit(judged(ended("gone", DAWN - 400 * DAY_S), ended("kept", DAWN - 400 * DAY_S + 1), records=old))
    await opened.commit(judged(records=tuple(record(f"new {number}", DAWN - 399 * DAY_S) for number in range(3))))
    await opened.store.roll_up(DAWN)
    found = await opened.store.records(limit=5000)
    assert [one.reason for one in found] == [*(str(number) for number in range(13, 1010)), "new 0", "new 1", "new 2"]
    assert [one.id for one in (await opened.store.load(0)).judgement.halts] == ["kept"]
    await opened.commit(judged(records=(record("after"),)))
    assert [one.id for one in await opened.store.records(limit=2)] == [1013, 1014]
    await opened.store.close()


async def test_hostile_and_endless_text_is_cut_and_the_commit_goes_on(opened: Opened) -> None:
    shown = "a\ufffdb?c\u202e\U0001f4a3"
    lines = tuple(EvidenceLine(DAWN + number, EVIL) for number in range(50))
    commit = judged(
        halt(reason=EVIL, ended_by=EVIL, evidence=lines),
        memories={EVIL: StreamMemory(frozen_rule=EVIL, unknown=(EVIL,), told_until={EVIL: DAWN})},
        evidence=(piece(queue_id=EVIL, recipient_domain=EVIL, relay_host=EVIL, text=EVIL),),
        records=(record(EVIL, evidence=lines, before=EVIL, after=EVIL, subject=EVIL),),
    )
    await opened.commit(commit, commit)
    found = await opened.judgement()
    (stored,) = found.halts
    assert len(stored.evidence) == MAX_LINES
    assert stored.evidence[-1] == EvidenceLine(DAWN + 49, (shown + "x" * 5000)[:MAX_TEXT_CHARS])
    assert stored.reason.startswith(shown)
    assert [name[: len(shown)] for name in found.memories] == [shown]
    assert {len(one.queue_id) for one in found.evidence} == {512}
    (_, last) = await opened.store.records(limit=10)
    assert (len(last.reason), len(last.before), len(last.evidence)) == (MAX_TEXT_CHARS, MAX_TEXT_CHARS, MAX_LINES)
    await opened.store.close()


async def test_a_cancelled_commit_given_again_writes_its_records_once(opened: Opened) -> None:
    commit = full_commit()
    storing = asyncio.create_task(opened.store.commit(commit))
    await asyncio.sleep(0)
    storing.cancel()
    await asyncio.wait([storing])
    if storing.cancelled():
        await opened.commit(commit)
    assert len(await opened.store.records(limit=10)) == 1
    assert len((await opened.judgement()).evidence) == 2
    await opened.store.close()


async def test_a_store_of_the_version_before_gets_its_new_tables_and_keeps_its_counts(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    connection = sqlite3.connect(path, isolation_level=None)
    migrate(connection, "x", migrations("sqlite")[:1])
    connection.execute("INSERT INTO meta VALUES ('timezone', 'UTC')")
    connection.close()
    store = SqliteStore(str(path))
    await store.open()
    await store.commit(judged(halt()))
    found = await store.load(DAWN)
    assert (found.meta, found.judgement.halts) == ({"timezone": "UTC"}, (halt(),))
    await store.close()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE halts SET state = '{'",
        "UPDATE halts SET state = '{\"id\": 1}'",
        "UPDATE stream_memories SET state = '[]'",
        "UPDATE listmonk_memories SET state = '{'",
        "UPDATE listmonk_memories SET state = replace(state, '\"rate\":2', '\"rate\":0')",
        "UPDATE records SET evidence = 'x'",
        "UPDATE records SET kind = 'nothing'",
    ],
)
async def test_a_judgement_that_is_not_readable_is_damage_and_never_taken_for_no_halt(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "store.db"
    store = SqliteStore(str(path))
    await store.open()
    await store.commit(full_commit())
    shell = sqlite3.connect(path)
    shell.execute(damage)
    shell.commit()
    shell.close()
    for place in (store, SqliteReader(str(path))):
        with pytest.raises(StoreError, match="damaged") as caught:
            await read_all(place)
        assert not caught.value.retryable
    await store.close()


async def read_all(place: Reader) -> None:
    await place.records(limit=10)
    await place.load(0)
