"""The stores that a soak fills: how many rows and bytes they have by now."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from pwmtad.adapters.store.sqlite import SqliteStore
from pwmtad.daemon.ports import Store

if TYPE_CHECKING:
    from tests.unit.adapters.conftest import PostgresCluster

TABLES: Final = (
    "attempt_buckets", "message_buckets", "attempt_totals", "reasons", "open_messages", "domain_operators", "halts",
    "evidence", "records", "suppressions",
)  # fmt: skip


class Shelf(Protocol):
    """A store, and what stands in it."""

    @property
    def store(self) -> Store:
        """Not open yet."""
        ...

    def rows(self) -> dict[str, int]:
        """Rows by table."""
        ...

    def mib(self) -> float:
        """Size on disk."""
        ...


class SqliteShelf:
    """One file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.store: Store = SqliteStore(str(folder / "pwmtad.db"))

    def rows(self) -> dict[str, int]:
        """See Shelf."""
        with closing(sqlite3.connect(f"file:{self._folder}/pwmtad.db?mode=ro", uri=True)) as reader:
            return {table: int(reader.execute(f"SELECT count(*) FROM {table}").fetchone()[0]) for table in TABLES}  # noqa: S608

    def mib(self) -> float:
        """See Shelf: the file and its log."""
        return sum(path.stat().st_size for path in self._folder.glob("pwmtad.db*")) / 2**20


class PostgresShelf:
    """A server of its own. Its autovacuum looks around once a minute of real time, in which two weeks go by here; so each
    reading of its size is preceded by what autovacuum would have done long before.
    """

    def __init__(self, cluster: PostgresCluster) -> None:
        from pwmtad.adapters.store.postgres import PostgresStore  # as in the daemon: only where it is used

        self._cluster = cluster
        self.store: Store = PostgresStore(cluster.url)

    def rows(self) -> dict[str, int]:
        """See Shelf."""
        return {table: int(self._cluster.sql(f"SELECT count(*) FROM pwmtad.{table}")) for table in TABLES}  # noqa: S608

    def mib(self) -> float:
        """See Shelf: tables and indexes."""
        self._cluster.sql("VACUUM")
        tables = "FROM pg_class WHERE relkind = 'r' AND relnamespace = 'pwmtad'::regnamespace"
        return int(self._cluster.sql(f"SELECT sum(pg_total_relation_size(oid)) {tables}")) / 2**20


@contextmanager
def shelf(kind: str, folder: Path) -> Iterator[Shelf]:
    """Give an empty store of this kind; `folder` is for its files."""
    if kind == "sqlite":
        yield SqliteShelf(folder)
        return
    from tests.unit.adapters.conftest import PostgresCluster  # with pytest behind it: 16 MiB that are not the daemon's

    with tempfile.TemporaryDirectory(prefix="pwmtad-pg-") as place:
        cluster = PostgresCluster(Path(place))
        cluster.start()
        try:
            yield PostgresShelf(cluster)
        finally:
            cluster.stop()
