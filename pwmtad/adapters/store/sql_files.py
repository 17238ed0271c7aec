"""Reads the SQL that lies beside the code: numbered migrations, and named statements."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import resources
from typing import Literal, NamedTuple, TypeAlias

from pwmtad.model.errors import StoreError

Dialect: TypeAlias = Literal["sqlite", "postgres"]

_STATEMENT = re.compile(r"^-- name: (\w+)\n(.*?);\s*(?=^-- name: |\Z)", re.MULTILINE | re.DOTALL)


class Migration(NamedTuple):
    """One step of the schema. Applied migrations are never edited: a change is a new file with the next number."""

    number: int
    name: str
    sql: str


def migrations(dialect: Dialect) -> list[Migration]:
    """Return all migrations of `dialect` (files `NNNN_name.sql`), by number."""
    folder = resources.files(__package__) / "migrations" / dialect
    found = []
    for file in folder.iterdir():
        number, _, name = file.name.removesuffix(".sql").partition("_")
        if file.name.endswith(".sql"):
            found.append(Migration(int(number), name, file.read_text("utf-8")))
    return sorted(found)


def statements(dialect: Dialect) -> dict[str, str]:
    """Return the statements of `dialect` by the name in the `-- name:` line above each."""
    text = (resources.files(__package__) / "statements" / f"{dialect}.sql").read_text("utf-8")
    return dict(_STATEMENT.findall(text))


def check_version(version: int, steps: Sequence[Migration], store: str, *, may_migrate: bool) -> None:
    """Raise `StoreError` if a store at `version` is too new for this program, or too old to read without migrating."""
    known = steps[-1].number
    if version > known:
        raise StoreError(
            f"{store} was written by a newer pwmtad (schema {version}; this one knows up to {known}). "
            "Install that version again, or restore the backup from before the upgrade.",
            retryable=False,
        )
    if version < known and not may_migrate:
        raise StoreError(
            f"{store} has the older schema {version}; this pwmtad reads {known}. Start the daemon of this version "
            "once: it brings the store up to date.",
            retryable=False,
        )
