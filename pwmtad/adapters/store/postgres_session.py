"""One session with PostgreSQL: connect with timeouts on everything, migrate, and be the only writer of a host's rows."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import asyncpg

from pwmtad.adapters.store.postgres_errors import describe
from pwmtad.adapters.store.sql_files import Migration, check_version, migrations, statements
from pwmtad.model.errors import StoreError

CONNECT_TIMEOUT_S: Final = 10.0
"""Own choice: a TCP handshake may lose two packets (1 s, then 2 s: RFC 6298 s2 and s5), and TLS and a login come on top."""

_HOST_LOCKS: Final = 0x50574D54
"""`PWMT`: first half of the advisory lock's key; the second half stands for the host."""
_MIGRATION_LOCKS: Final = _HOST_LOCKS + 1

_SERVER_SETTINGS: Final = {
    "statement_timeout": "30s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "60s",
    # When this host vanishes without a word, the server must notice, or its lock would keep the next run out: after
    # 30 + 3 * 10 s instead of Linux's two hours (tcp_keepalive_time).
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
    "client_min_messages": "error",
}


class Place:
    """Whose rows, and in which database. `name` is for people and holds no password."""

    def __init__(self, url: str, password: str | None, host: str) -> None:
        self.host = host
        self.name = f"{describe(url)} (host {host})"
        self.sql: dict[str, str] = {}
        self.steps: list[Migration] = []
        self._url = url
        self._password = password

    async def connect(self) -> asyncpg.Connection:
        """Connect; in pg_stat_activity the session is `pwmtad/HOST`. Raises asyncpg's and the system's errors."""
        if not self.sql:
            self.sql = await asyncio.to_thread(statements, "postgres")
            self.steps = await asyncio.to_thread(migrations, "postgres")
        settings = {**_SERVER_SETTINGS, "application_name": f"pwmtad/{self.host}"[:63]}
        connection = await asyncpg.connect(
            self._url, password=self._password, timeout=CONNECT_TIMEOUT_S, server_settings=settings
        )
        if connection.get_settings().server_encoding != "UTF8":
            connection.terminate()
            raise StoreError(
                f"store {self.name}: the database's encoding is not UTF8, so it can't keep every name. "
                "Create it with ENCODING 'UTF8'.",
                retryable=False,
            )
        return connection

    async def take_lock(self, connection: asyncpg.Connection, *, wait: bool) -> None:
        """Take this host's lock for as long as the session lives. Raises `StoreError` that names its holder.

        `wait` is for a new session after a lost one, whose end the server may not have noticed yet.
        """
        key = zlib.crc32(self.host.encode()) - (1 << 31)  # int4, as the two-part locks want it
        if wait:
            try:
                await connection.execute(self.sql["wait_for_lock"], _HOST_LOCKS, key)
            except asyncpg.LockNotAvailableError:
                pass
            else:
                return
        elif await connection.fetchval(self.sql["try_lock"], _HOST_LOCKS, key):
            return
        holder = await connection.fetchrow(self.sql["lock_holder"], _HOST_LOCKS, key & 0xFFFFFFFF)
        who = f"server process {holder[0]} ({holder[1]} from {holder[2]})" if holder else "a session that just ended"
        raise StoreError(
            f"store {self.name} is in use by another pwmtad: {who}. Two daemons must not count into one store: stop that "
            "one, or give this one its own host name. A session whose host vanished is ended within a minute.",
            retryable=True,
        )

    async def migrate(self, connection: asyncpg.Connection) -> None:
        """Apply the steps above the stored version, in order, each in its own transaction together with its number.

        Hosts that start together wait for each other. Raises `StoreError` for a schema of a newer pwmtad.
        """
        async with connection.transaction():
            await connection.execute(self.sql["lock_migrations"], _MIGRATION_LOCKS, 0)
            if not await connection.fetchval(self.sql["has_schema"]):
                await connection.execute(self.sql["create_schema"])
        await self.check_version(connection, may_migrate=True)
        for step in self.steps:
            async with connection.transaction():
                await connection.execute(self.sql["lock_migrations"], _MIGRATION_LOCKS, 0)
                if step.number > await connection.fetchval(self.sql["version"]):
                    await connection.execute(step.sql)
                    await connection.execute(self.sql["note_migration"], step.number, step.name)

    async def check_version(self, connection: asyncpg.Connection, *, may_migrate: bool) -> None:
        """Raise `StoreError` if the schema is too new, or too old to be read without migrating; none at all is 0."""
        exists = await connection.fetchval(self.sql["has_schema"])
        version = await connection.fetchval(self.sql["version"]) if exists else 0
        check_version(version, self.steps, f"store {self.name}", may_migrate=may_migrate)


@asynccontextmanager
async def transaction(connection: asyncpg.Connection, begin: str) -> AsyncIterator[None]:
    """Run the block in a transaction. After any error the connection is given up, and so rolled back by the server.

    asyncpg's own would wait for the answer to ROLLBACK, which over a dead network comes never.
    """
    try:
        await connection.execute(begin)
        yield
        await connection.execute("COMMIT")
    except BaseException:
        connection.terminate()
        raise
