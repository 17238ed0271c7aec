"""The SQL beside the code, and the SQL that docs/store.md offers."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from pwmtad.adapters.store import SqliteReader, SqliteStore, open_reader, open_store
from pwmtad.adapters.store.postgres import PostgresReader, PostgresStore
from pwmtad.adapters.store.rows import LOADED, changes_of, storable
from pwmtad.adapters.store.sql_files import Dialect, migrations, statements
from pwmtad.config.values import PostgresUrl, SqliteUrl
from pwmtad.model.counters import DAY_S, OpenMessage
from pwmtad.model.judgement import JudgementDeltas, RecordKind
from pwmtad.model.ledger import Commit
from pwmtad.model.names import QueueId
from pwmtad.model.suppression import Sighting, SuppressionDeltas, SuppressionKey
from tests.unit.adapters.store_data import DAWN, GOOGLE, LINE, attempts, full_commit, record

DOCUMENT = Path(__file__).parents[3] / "docs" / "store.md"


@pytest.mark.parametrize("dialect", ["sqlite", "postgres"])
def test_migrations_are_numbered_without_a_gap(dialect: Dialect) -> None:
    assert [step.number for step in migrations(dialect)] == list(range(1, len(migrations(dialect)) + 1))


def test_both_dialects_have_the_same_migrations() -> None:
    assert [step[:2] for step in migrations("sqlite")] == [step[:2] for step in migrations("postgres")]


@pytest.mark.parametrize("dialect", ["sqlite", "postgres"])
def test_every_change_and_every_load_has_its_statement(dialect: Dialect) -> None:
    commit = full_commit()
    removing = Commit(at=0, open_removed=set(commit.open_put), domains_removed=["example.org"])
    names = {f"{change.verb}_{change.table}" for change in [*changes_of(commit), *changes_of(removing)]}
    assert names | {f"load_{table}" for table in LOADED} <= statements(dialect).keys()
    assert statements("sqlite").keys() <= statements("postgres").keys()
    assert not [sql for sql in statements(dialect).values() if "-- name:" in sql or not sql.strip()]


def test_ordinary_text_is_stored_as_it_is() -> None:
    assert storable("bücher.example") == "bücher.example"


def test_equal_states_are_equal_bytes() -> None:
    names = [f"{n}@example.org" for n in range(50)]
    one, other = OpenMessage(1.0, others={*names}), OpenMessage(1.0, others={*names[25:], *names})
    assert changes_of(Commit(0, open_put={QueueId("Q"): one})) == changes_of(Commit(0, open_put={QueueId("Q"): other}))


def test_a_url_opens_its_own_kind_of_store() -> None:
    assert isinstance(open_store(SqliteUrl("/var/lib/pwmtad/pwmtad.db")), SqliteStore)
    assert isinstance(open_reader(SqliteUrl("/var/lib/pwmtad/pwmtad.db")), SqliteReader)
    assert isinstance(open_store(PostgresUrl("postgresql://db.example.org/pwmtad"), host="mx1"), PostgresStore)
    assert isinstance(open_reader(PostgresUrl("postgresql://db.example.org/pwmtad"), host="mx1"), PostgresReader)


async def test_the_questions_in_the_document_have_their_answers(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    yesterday = int(DAWN) - DAY_S
    store = SqliteStore(str(path))
    await store.open()
    await store.commit(full_commit(yesterday + 3600))
    hotmail = GOOGLE._replace(operator="microsoft-consumer")
    bounced = GOOGLE._replace(status="bounced", reply_class="reputation")
    buckets = [attempts(yesterday, first=20), attempts(yesterday - 60, first=100), attempts(yesterday, hotmail, 50)]
    await store.commit(Commit(at=DAWN, attempts=[*buckets, attempts(yesterday, bounced, 2)]))
    night = [
        record("the wrong night", DAWN - DAY_S + 11_520),
        record("the third block", DAWN + 11_579.5, evidence=(LINE, LINE)),
    ]
    night += [record("another kind", DAWN + 11_530, kind=RecordKind.FREEZE), record("a minute late", DAWN + 11_580)]
    gone = Sighting(SuppressionKey("trucking", "address", "gone@example.org", "hard_bounce"), 1, DAWN, DAWN, DAWN)
    judged = JudgementDeltas(records=tuple(night), suppressions=SuppressionDeltas(sightings=(gone,)))
    await store.commit(Commit(at=DAWN, judgement=judged))
    questions = re.findall(r"```sql\n-- (.*?)\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)
    answers = {title: query(path, sql.replace("'now'", "'2023-11-15 12:00:00'")) for title, sql in questions}
    await store.close()
    assert answers["How many messages went to google yesterday (UTC)?"] == [(26,)]
    assert ("trucking", "out05", "google", 28, 26) in next(rows for title, rows in answers.items() if "each egress" in title)
    halted = next(rows for title, rows in answers.items() if "halt at 03:12" in title)
    about = ("03:12:59", "trucking", "google-blocks", "the third block", "2023-11-18 03:12:59", "trucking-google-blocks")
    assert halted == [(*about, f"{LINE.text}\n{LINE.text}")]
    assert all(answers.values()), "a question in the document has no answer in this store"


def query(path: Path, sql: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()
