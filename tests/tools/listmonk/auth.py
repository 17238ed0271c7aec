"""Who asks, and what they may do: tokens and roles since version 4, one name and password before.

In: headers, and the tables `users` and `roles` as they were when the process read them: a token that is put into the database
by SQL is unknown until a restart. Out: a `User`, or `ApiError`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable, Mapping
from typing import Final

import asyncpg
import msgspec

from tests.tools.listmonk.answers import ApiError
from tests.tools.listmonk.texts import Wrong, wording
from tests.tools.listmonk.versions import Traits

SUPER_ADMIN_ROLE: Final = 1

_USERS: Final = """
SELECT u.username, u.password, u.user_role_id, r.permissions, u.list_role_id
FROM users u JOIN roles r ON r.id = u.user_role_id WHERE u.type = 'api' AND u.status = 'enabled'
"""
_LIST_ROLES: Final = "SELECT parent_id, list_id, permissions FROM roles WHERE type = 'list' AND list_id IS NOT NULL"


class User(msgspec.Struct, frozen=True):
    """Somebody who may ask."""

    name: str
    super_admin: bool = False
    permissions: frozenset[str] = frozenset()
    lists: frozenset[int] = frozenset()
    """Lists that the list role gives access to."""

    def has(self, *permissions: str) -> bool:
        """Whether one of them is held."""
        return self.super_admin or not self.permissions.isdisjoint(permissions)

    def sees_all_lists(self) -> bool:
        """Whether no list is hidden."""
        return self.has("lists:get_all", "lists:manage_all")


class Gate:
    """Checks credentials. `admin` is name and password of the configuration file, empty for none."""

    def __init__(self, traits: Traits, admin: tuple[str, str]) -> None:
        self._traits = traits
        self._admin = admin if all(admin) else None
        self._users: dict[str, tuple[str, User]] = {}

    async def load(self, pool: asyncpg.Pool) -> None:
        """Read the users, as a start of the process and a change through it do."""
        if not self._traits.api_users:
            return
        scopes: dict[int, set[int]] = {}
        for row in await pool.fetch(_LIST_ROLES):
            scopes.setdefault(row["parent_id"], set()).add(row["list_id"])
        self._users = {
            row["username"]: (
                row["password"],
                User(
                    row["username"],
                    row["user_role_id"] == SUPER_ADMIN_ROLE,
                    frozenset(row["permissions"]),
                    frozenset(scopes.get(row["list_role_id"], ())),
                ),
            )
            for row in await pool.fetch(_USERS)
        }

    def admit(self, headers: Mapping[str, str]) -> User:
        """Return who asks. Raises ApiError: 403 since version 4, 401 before, where nobody is asked if there is no admin."""
        header = headers.get("Authorization", "")
        if not self._traits.api_users:
            return self._admit_admin(header)
        if not header or "session=" in headers.get("Cookie", ""):
            raise ApiError(403, "invalid session")
        name, secret = _credentials(header)
        if self._admin == (name, secret):
            return User(name, super_admin=True)
        stored, user = self._users.get(name, ("", User(name)))
        given = hashlib.sha256(secret.encode()).hexdigest() if self._traits.hashed_tokens else secret
        if not stored or stored != given:
            raise ApiError(403, "invalid API credentials")
        return user

    def demand(self, user: User, permissions: Iterable[str]) -> None:
        """Raise ApiError unless one is held. The text names the last one that was looked for."""
        needed = tuple(permissions)
        if self._traits.api_users and needed and not user.has(*needed):
            raise ApiError(403, f"permission denied: {needed[-1]}")

    def demand_lists(self, user: User, lists: Iterable[int], permission: str) -> None:
        """Raise ApiError unless one of the lists is open to the user, or all are."""
        if self._traits.api_users and not user.sees_all_lists() and user.lists.isdisjoint(lists):
            raise ApiError(403, wording(self._traits.version, Wrong.PERMISSION, permission))

    def _admit_admin(self, header: str) -> User:
        if self._admin is None:
            return User("", super_admin=True)
        try:
            given = _credentials(header)
        except ApiError:
            given = ("", "")
        if given != self._admin:
            raise ApiError(401, "Unauthorized")
        return User(given[0], super_admin=True)


def stored_token(traits: Traits, token: str) -> str:
    """Return what `users.password` holds for a token."""
    return hashlib.sha256(token.encode()).hexdigest() if traits.hashed_tokens else token


def _credentials(header: str) -> tuple[str, str]:
    if header.startswith("token "):
        text = header.removeprefix("token ").strip()
    elif header.startswith("Basic "):
        try:
            text = base64.b64decode(header.removeprefix("Basic "), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            text = ""
    else:
        text = ""
    name, colon, secret = text.partition(":")
    if not colon or not name:
        raise ApiError(403, "code=400, message=missing or invalid Authorization header")
    return name, secret
