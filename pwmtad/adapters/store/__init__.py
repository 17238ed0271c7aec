"""The store: durable counters, checkpoints and open messages, written so that each log line counts exactly once.

In: three kinds of one contract (`daemon.ports.Store`): `SqliteStore` (the default), `PostgresStore` (several hosts, one
database), `MemoryStore` (nothing is kept); readers for reports beside a running daemon; the SQL in migrations/ and
statements/. Out: what to count, when to commit, what to do when a commit fails.
Imported by the composition root and the command line only; docs/store.md describes the tables.
"""

from __future__ import annotations

from pwmtad.adapters.store.memory import MemoryStore
from pwmtad.adapters.store.opening import Reader, Store, open_reader, open_store
from pwmtad.adapters.store.retention import Keep
from pwmtad.adapters.store.sqlite import SqliteReader, SqliteStore

__all__ = ["Keep", "MemoryStore", "Reader", "SqliteReader", "SqliteStore", "Store", "open_reader", "open_store"]
