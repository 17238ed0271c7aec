"""The database of one instance: connect, create or upgrade the tables, settings as they are stored.

In: a URL. Out: a pool of sessions that decodes and encodes jsonb. Raises asyncpg's errors and OSError.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

import asyncpg

from tests.tools.listmonk.settings_keys import known
from tests.tools.listmonk.upgrades import upgrades
from tests.tools.listmonk.versions import Version

_TIMEOUT_S: Final = 15.0
_SESSIONS: Final = 6
"""The tests' PostgreSQL admits 20, and two instances and a controller share it."""
_SCHEMA: Final = Path(__file__).with_name("schema.sql")

DatabaseError: TypeAlias = asyncpg.PostgresError | asyncpg.InterfaceError | OSError
DATABASE_ERRORS: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)


async def _prepare(connection: asyncpg.Connection) -> None:
    await connection.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")


async def open_database(url: str, schema: str | None = None) -> asyncpg.Pool:
    """Connect. With `schema`, all names are looked up there instead of in the user's own path."""
    settings = {"application_name": "listmonk"} | ({"search_path": schema} if schema else {})
    return await asyncpg.create_pool(
        url, min_size=1, max_size=_SESSIONS, init=_prepare, server_settings=settings,
        timeout=_TIMEOUT_S, command_timeout=_TIMEOUT_S,
    )  # fmt: skip


async def install(pool: asyncpg.Pool, version: Version, fresh: Mapping[str, Any], schema: str | None = None) -> None:
    """Create what is missing. `fresh` are settings that a new database gets instead of Listmonk's own; none is overwritten."""
    async with pool.acquire() as connection:
        if schema:
            await connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')
        if not await connection.fetchval("SELECT to_regclass('settings') IS NOT NULL"):
            await connection.execute(_SCHEMA.read_text(encoding="utf-8"))
        for statement in upgrades(version):
            await connection.execute(statement)
        await connection.executemany(
            "INSERT INTO settings (key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING",
            [(name, fresh.get(name, key.fresh)) for name, key in known(version).items()],
        )


async def read_settings(pool: asyncpg.Pool) -> dict[str, Any]:
    """Return what is stored, secrets and mistakes included."""
    return {row["key"]: row["value"] for row in await pool.fetch("SELECT key, value FROM settings")}


async def write_settings(pool: asyncpg.Pool, values: Mapping[str, Any]) -> None:
    """Store many. As in the real one, keys that the table lacks stay absent, and `updated_at` is not touched."""
    rows = [(name, json.dumps(value)) for name, value in values.items()]
    async with pool.acquire() as connection, connection.transaction():
        await connection.executemany("UPDATE settings SET value = $2::text::jsonb WHERE key = $1", rows)


async def write_setting(pool: asyncpg.Pool, key: str, text: str | None) -> None:
    """Store JSON text, whatever it is; None is refused by the table. A key that does not exist changes nothing, silently."""
    await pool.execute("UPDATE settings SET value = $2::text::jsonb, updated_at = now() WHERE key = $1", key, text)
