"""How values and paths are shown to people: bounded, without control characters, and never with a secret in them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from difflib import get_close_matches
from typing import Final, Protocol, TypeAlias, runtime_checkable

SHOWN_LIMIT: Final = 80
"""Characters of a value in an error: enough to find it again, and one line of a terminal."""
_KEY_LIMIT: Final = 40
_LARGEST_SHOWN: Final = 10**30

Path: TypeAlias = Sequence[str | int]
"""Keys from the top of the file down; an int is the place in an array, from 0."""

_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SECRET_KEY: Final = re.compile(r"pass|secret|token|credential|api_?key|private", re.IGNORECASE)
_NOT_SECRET: Final = frozenset({"password_file", "token_file", "database_password_file"})


@runtime_checkable
class Writable(Protocol):
    """A value that knows how the file writes it."""

    def as_toml(self) -> str:
        """Return the value as it is written in the file."""
        ...


def dotted(path: Path) -> str:
    """Return `streams.trucking.egresses[2]`; keys that need quotes get them, and what can't be printed is escaped."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (part if _BARE_KEY.fullmatch(part) else bounded(repr(part), _KEY_LIMIT))
    return text


def show(value: object, limit: int = SHOWN_LIMIT) -> str:
    """Return `value` as the file writes it (strings as Python's repr), cut to `limit` characters.

    Of a table (but a ladder) only the keys are shown, and of a text with a URL only what comes before `://`: what is
    nested there may be a secret.
    """
    return bounded(_text(value), limit)


def show_found(path: Path, value: object) -> str:
    """Return `show(value)` for an error at `path`, or a stand-in where the value may be a secret."""
    keys = [part for part in path if isinstance(part, str)]
    if any(_SECRET_KEY.search(key) for key in keys if key not in _NOT_SECRET):
        return "a value that is not shown"
    is_database = keys == ["store", "url"] or keys[-1:] == ["database_url"]
    if is_database and isinstance(value, str) and not value.startswith("sqlite:"):
        # Mistyped URLs hold the password in places where no parser finds it.
        return f"{show(value.partition(':')[0])} and what follows (not shown)" if ":" in value else "a text (not shown)"
    return show(value)


def bounded(text: str, limit: int) -> str:
    """Return `text`, or its beginning and an ellipsis: never more than `limit` characters."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def listed(words: Iterable[str], last: str = "or") -> str:
    """Return `a, b or c`."""
    *head, tail = words
    return f"{', '.join(head)} {last} {tail}" if head else tail


def did_you_mean(word: str, known: Iterable[str], *, numbered: bool = False) -> str:
    """Return a hint that names the known word nearest to `word`; empty if none is near.

    Names that are `numbered` differ in a digit by intention (out06, out07): they must be nearer to be named.
    """
    near = get_close_matches(word, list(known), n=1, cutoff=0.85 if numbered else 0.6)
    return f"did you mean {near[0]!r}?" if near else ""


def _text(value: object) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case int() if abs(value) > _LARGEST_SHOWN:
            return "a very large number"  # str() refuses more than 4,300 digits
        case str():
            scheme, separator, _ = value.partition("://")
            return repr(scheme + separator + "...") if separator else repr(value)
        case datetime() | date():
            return value.isoformat().replace("+00:00", "Z")
        case Mapping() if value and all(isinstance(item, int) for item in value.values()):
            return "{ " + ", ".join(f"{dotted((str(key),))} = {_text(item)}" for key, item in value.items()) + " }"
        case Mapping():
            keys = ", ".join(dotted((str(key),)) for key in value)
            return f"a table with {keys}" if keys else "an empty table"
        case list() | tuple():
            return "[" + ", ".join(_text(item) for item in value) + "]"
        case Writable():
            return value.as_toml()
        case _:
            return str(value)
