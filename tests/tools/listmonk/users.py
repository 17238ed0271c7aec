"""API users and their roles in the database.

In: names, tokens, permissions. Out: rows of `users` and `roles`. The process must read them before they count.
"""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg

from tests.tools.listmonk.auth import SUPER_ADMIN_ROLE, stored_token
from tests.tools.listmonk.options import Options
from tests.tools.listmonk.versions import Traits


async def first_user(pool: asyncpg.Pool, traits: Traits, options: Options) -> None:
    """Put the user of the options into a database that has none."""
    if traits.api_users and not await pool.fetchval("SELECT COUNT(*) FROM users"):
        await put_user(pool, traits, *options.user, options.permissions)


async def put_user(
    pool: asyncpg.Pool,
    traits: Traits,
    name: str,
    token: str,
    permissions: Sequence[str] | None,
    lists: Sequence[int] = (),
) -> None:
    """Insert or replace an API user. `permissions` None: super admin; `lists`: those that a list role opens."""
    async with pool.acquire() as session, session.transaction():
        role = SUPER_ADMIN_ROLE
        if permissions is not None:
            role = await session.fetchval(
                "INSERT INTO roles (type, name, permissions) VALUES ('user', $1, $2) RETURNING id", name, list(permissions)
            )
        list_role = None
        if lists:
            list_role = await session.fetchval("INSERT INTO roles (type, name) VALUES ('list', $1) RETURNING id", name)
            await session.executemany(
                "INSERT INTO roles (type, parent_id, list_id, permissions) VALUES ('list', $1, $2, $3)",
                [(list_role, one, ["list:get", "list:manage"]) for one in lists],
            )
        await session.execute(
            "INSERT INTO users (username, password, email, name, type, user_role_id, list_role_id, status)"
            " VALUES ($1, $2, $1 || '@api', $1, 'api', $3, $4, 'enabled') ON CONFLICT (username) DO UPDATE"
            " SET password = $2, user_role_id = $3, list_role_id = $4",
            name, stored_token(traits, token), role, list_role,
        )  # fmt: skip
