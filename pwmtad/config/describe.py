"""The table of all keys in docs/configuration.md, made from the models so that it can't go stale."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from pwmtad.config.schema import every_key, words
from pwmtad.config.show import show


class KeyDescription(Struct, frozen=True):
    """One key: its path (`streams.NAME.pool`), what it takes, its default as the file writes it, what it is and why."""

    path: str
    takes: str
    default: str
    about: str


def describe() -> Iterator[KeyDescription]:
    """Yield each key in the order of the models."""
    for path, kind, field in every_key():
        default = None if field.is_required() else field.get_default(call_default_factory=True)
        yield KeyDescription(
            path=path,
            takes=words(kind),
            default="required" if field.is_required() else "" if default is None else show(default, 200),
            about=field.description or "",
        )


def markdown_table() -> str:
    """Return the table for the documentation."""
    rows = ["| key | takes | default | what it is, and why |", "|---|---|---|---|"]
    for key in describe():
        default = f"`{key.default}`" if key.default not in ("", "required") else key.default
        rows.append(f"| `{key.path}` | {key.takes} | {default} | {key.about} |")
    return "\n".join(rows) + "\n"
