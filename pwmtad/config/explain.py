"""What pydantic found wrong, told to the person who wrote the file."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import TYPE_CHECKING, get_args, get_origin

from pwmtad.config.schema import KEY, Kind, every_key, key_kind_at, keys_of, kind_at, words
from pwmtad.config.show import Path, did_you_mean, dotted, listed, show, show_found
from pwmtad.model.errors import ConfigError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


def explain(errors: Iterable[ErrorDetails]) -> tuple[ConfigError, ...]:
    """Return one ConfigError for each of pydantic's; `file` is left empty."""
    return tuple(_explain(error) for error in errors if not _is_echo(error))


def _is_echo(error: ErrorDetails) -> bool:
    """An array whose elements were all refused counts as too short as well; the elements have been told."""
    return error["type"] == "too_short" and bool(error["input"])


def _explain(error: ErrorDetails) -> ConfigError:
    path, found = error["loc"], error["input"]
    if error["type"] == "extra_forbidden":
        return _unknown_key(path, found)
    kind: Kind | None
    if path[-1] == KEY:
        path = path[:-1]
        kind = key_kind_at(path[:-1])
    else:
        kind = kind_at(path)
    context = error.get("ctx", {})
    expected = context.get("expected") if error["type"] == "refused" else None
    missing = error["type"] == "missing"
    return ConfigError(
        path=dotted(path),
        found="nothing" if missing else show_found(path, found),
        expected=str(expected or (words(kind) if kind else error["msg"])),
        hint=str(context.get("hint") or ("" if missing or kind is None else _hint(found, kind))),
    )


def _unknown_key(path: Path, found: object) -> ConfigError:
    key, known = str(path[-1]), keys_of(path[:-1])
    table = f"of [{dotted(path[:-1])}]" if len(path) > 1 else "at the top of the file"
    return ConfigError(
        path=dotted(path),
        found=show_found(path, found),
        expected=f"a key {table}: {listed(known)}",
        hint=_home_of(key) or did_you_mean(key, known),
    )


def _home_of(key: str) -> str:
    """Say where a key that is known in one other table belongs: in TOML a key falls into the table last named."""
    homes = [path.rpartition(".")[0] for path, _, _ in every_key() if path.rpartition(".")[2] == key]
    if len(homes) != 1:
        return ""
    home = homes[0]
    return f"it belongs into [{home}]" if home else "it belongs to the top of the file, before any [table]"


def _hint(found: object, kind: Kind) -> str:
    match found:
        case str() if kind.base in (int, float) and _is_number(found):
            return "write it without quotes"
        case str() if kind.base is bool and found.lower() in ("true", "false"):
            return f"write {found.lower()}, without quotes"
        case str() if "date-time" in words(kind):
            return "write it without quotes" if _is_moment(found) else ""
        case str() if kind.base is not None and get_args(kind.base) and isinstance(get_args(kind.base)[0], str):
            return did_you_mean(found, get_args(kind.base))
        case datetime() | date() if "date-time" in words(kind):
            return "add a time and an offset; Z is UTC"
        case str() if get_origin(kind.base) is tuple:
            return f"write it in brackets: [{show(found)}]"
        case _:
            return ""


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_moment(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False
