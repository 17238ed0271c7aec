"""From the configured URL to the store that it names."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from pwmtad.adapters.store.memory import MemoryStore
from pwmtad.adapters.store.retention import DEFAULT_KEEP, Keep
from pwmtad.adapters.store.sqlite import SqliteReader, SqliteStore
from pwmtad.config.values import PostgresUrl, SqliteUrl, StoreUrl

if TYPE_CHECKING:
    from pwmtad.adapters.store.postgres import PostgresReader, PostgresStore

Store: TypeAlias = "MemoryStore | SqliteStore | PostgresStore"
Reader: TypeAlias = "SqliteReader | PostgresReader"


def open_store(url: StoreUrl, *, host: str = "local", password: str | None = None, keep: Keep = DEFAULT_KEEP) -> Store:
    """Return the store at `url`, ready for `await store.open()`, which is where errors are raised.

    `host` names this host's rows in a PostgreSQL database that several share; SQLite has no use for it.
    """
    match url:
        case SqliteUrl(path=path):
            return SqliteStore(path, keep=keep)
        case PostgresUrl(url=text):
            from pwmtad.adapters.store.postgres import PostgresStore  # asyncpg only where it is used: it loads slowly

            return PostgresStore(text, host=host, password=password, keep=keep)


def open_reader(url: StoreUrl, *, host: str = "local", password: str | None = None) -> Reader:
    """Return a reader with only `load`, for reports; it works beside a running daemon and changes nothing."""
    match url:
        case SqliteUrl(path=path):
            return SqliteReader(path)
        case PostgresUrl(url=text):
            from pwmtad.adapters.store.postgres import PostgresReader

            return PostgresReader(text, host=host, password=password)
