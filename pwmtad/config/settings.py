"""Bytes of a configuration file -> `Settings`, or every mistake in it."""

from __future__ import annotations

import re
import tomllib
from typing import Final

from msgspec.structs import replace
from pydantic import ValidationError

from pwmtad.config.explain import explain
from pwmtad.config.partial import Table
from pwmtad.config.relations import relation_mistakes
from pwmtad.config.sections import Settings
from pwmtad.config.show import bounded
from pwmtad.model.errors import ConfigError

__all__ = ["Settings", "load_settings"]

_POSITION: Final = re.compile(r"\s*\(at (?:line (\d+), column (\d+)|end of document)\)$")


def load_settings(data: bytes, *, file: str) -> Settings | tuple[ConfigError, ...]:
    """Return the settings that `data` (TOML) gives, or all its mistakes, sorted by path; never raises.

    `file` is only repeated in the errors. Nothing is read from disk but the zone database.
    """
    raw = _parse(data)
    if isinstance(raw, ConfigError):
        return (replace(raw, file=file),)
    mistakes = list(relation_mistakes(raw))
    try:
        settings = Settings.model_validate(raw)
    except ValidationError as error:
        mistakes.extend(explain(error.errors(include_url=False)))
    else:
        if not mistakes:
            return settings
    return tuple(replace(mistake, file=file) for mistake in sorted(mistakes, key=_order))


def _order(mistake: ConfigError) -> tuple[list[str], str]:
    """Order by table, and by number within arrays and ladders."""
    return [part.zfill(8) if part.isdigit() else part for part in re.split(r"[.\[\]]", mistake.path)], mistake.found


def _parse(data: bytes) -> Table | ConfigError:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line, column = before.count(b"\n") + 1, error.start - (before.rfind(b"\n") + 1) + 1
        found = f"the byte 0x{data[error.start]:02x}"
        return ConfigError(_position(line, column), found, "text in UTF-8", "save the file as UTF-8")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return _broken(text, str(error))
    except (ValueError, RecursionError):  # a number of thousands of digits; thousands of brackets
        return ConfigError("", "a value that is too long or too deeply nested", "TOML of a sensible size")


def _broken(text: str, message: str) -> ConfigError:
    """The offending line itself is not shown: it may hold a secret."""
    match = _POSITION.search(message)
    if match is not None and match[1]:
        where = _position(int(match[1]), int(match[2]))
    else:  # at end of document
        where = _position(text.count("\n") + 1, len(text) - (text.rfind("\n") + 1) + 1)
    return ConfigError(where, bounded(_POSITION.sub("", message), 120), "valid TOML", "")


def _position(line: int, column: int) -> str:
    return f"line {line}, column {column}"
