"""What later versions add to the tables.

In: a version. Out: statements that may be run again and again, as a newer version does when it finds an older database.
"""

from __future__ import annotations

from typing import Final

from tests.tools.listmonk.versions import Version

_TYPE: Final = """
DO $$ BEGIN
    IF to_regtype('{name}') IS NULL THEN CREATE TYPE {name} AS ENUM ({labels}); END IF;
END $$
"""

_STEPS: Final[tuple[tuple[Version, str], ...]] = (
    (Version(4, 0, 0), _TYPE.format(name="user_type", labels="'user', 'api'")),
    (Version(4, 0, 0), _TYPE.format(name="user_status", labels="'enabled', 'disabled'")),
    (Version(4, 0, 0), _TYPE.format(name="role_type", labels="'user', 'list'")),
    (
        Version(4, 0, 0),
        """
        CREATE TABLE IF NOT EXISTS roles (
            id          serial PRIMARY KEY,
            type        role_type NOT NULL DEFAULT 'user',
            parent_id   integer REFERENCES roles (id) ON DELETE CASCADE,
            list_id     integer REFERENCES lists (id) ON DELETE CASCADE,
            permissions text[] NOT NULL DEFAULT '{}',
            name        text,
            created_at  timestamptz DEFAULT now(),
            updated_at  timestamptz DEFAULT now()
        )
        """,
    ),
    (
        Version(4, 0, 0),
        """
        CREATE TABLE IF NOT EXISTS users (
            id             serial PRIMARY KEY,
            username       text NOT NULL UNIQUE,
            password_login boolean NOT NULL DEFAULT false,
            password       text,
            email          text NOT NULL UNIQUE,
            name           text NOT NULL,
            type           user_type NOT NULL DEFAULT 'user',
            user_role_id   integer NOT NULL REFERENCES roles (id),
            list_role_id   integer REFERENCES roles (id) ON DELETE SET NULL,
            status         user_status NOT NULL DEFAULT 'disabled',
            created_at     timestamptz DEFAULT now(),
            updated_at     timestamptz DEFAULT now()
        )
        """,
    ),
    (
        Version(4, 0, 0),
        "INSERT INTO roles (name, type) SELECT 'Super Admin', 'user' WHERE NOT EXISTS (SELECT 1 FROM roles WHERE id = 1)",
    ),
    (Version(5, 0, 0), "ALTER TABLE campaigns ADD COLUMN IF NOT EXISTS body_source text"),
    (Version(5, 0, 0), "ALTER TYPE content_type ADD VALUE IF NOT EXISTS 'visual'"),
    (Version(6, 0, 0), "ALTER TABLE campaigns ADD COLUMN IF NOT EXISTS attribs jsonb NOT NULL DEFAULT '{}'"),
    (Version(6, 0, 0), _TYPE.format(name="list_status", labels="'active', 'archived'")),
    (Version(6, 0, 0), "ALTER TABLE lists ADD COLUMN IF NOT EXISTS status list_status NOT NULL DEFAULT 'active'"),
    # A hash of 64 hexadecimal digits is not hashed again; a token of that form is not in use.
    (
        Version(6, 2, 0),
        "UPDATE users SET password = encode(sha256(password::bytea), 'hex')"
        " WHERE type = 'api' AND password !~ '^[0-9a-f]{64}$'",
    ),
)  # fmt: skip


def upgrades(version: Version) -> list[str]:
    """Return the statements that bring tables of version 3 to this version."""
    return [statement for since, statement in _STEPS if since <= version]
