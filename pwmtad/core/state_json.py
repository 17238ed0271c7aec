"""The State as JSON (`/api/v1/state`, `--json`) and back.

Moments are RFC 3339 strings in UTC: keys `at`, those that end in `_at` or `_until`, `watermark` and `held_until_phase`. Counts
and keys of counts are objects, not arrays, so that a further one breaks no reader. The reply class is `class`, as in `pwmtad
parse` and in metrics.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final, TypeVar

import msgspec

from pwmtad.model.counters import AttemptCounts, AttemptKey, MessageCounts
from pwmtad.model.judgement import Record
from pwmtad.model.state import State

_LAST_MOMENT: Final = 253_402_300_799.0
"""9999-12-31T23:59:59Z (RFC 3339 has four digits for the year)."""
_RENAMED: Final = {"reply_class": "class"}
_TUPLES: Final = (AttemptKey, AttemptCounts, MessageCounts)
_Value = TypeVar("_Value")


def encode(value: msgspec.Struct) -> bytes:
    """Return a State, or any struct made of the same parts, as JSON."""
    return msgspec.json.encode(plain(value))


def plain(value: msgspec.Struct) -> dict[str, Any]:
    """Return what `encode` writes, as dicts, lists, strings and numbers."""
    return {_RENAMED.get(field, field): _plain(getattr(value, field), field) for field in value.__struct_fields__}


def decode(data: bytes) -> State:
    """Read what `encode` made; keys of a newer daemon are skipped. Raises msgspec.MsgspecError for anything else."""
    return msgspec.convert(_typed(msgspec.json.decode(data), ""), State)


def decode_records(data: bytes) -> list[Record]:
    """Read a list of what `plain` makes of records. Raises msgspec.MsgspecError for anything else."""
    return msgspec.convert(_typed(msgspec.json.decode(data), ""), list[Record])


def decode_rows(data: bytes, kind: type[_Value]) -> list[_Value]:
    """Read a list of what `plain` makes of structs of one kind. Raises msgspec.MsgspecError for anything else."""
    return msgspec.convert(_typed(msgspec.json.decode(data), ""), list[kind])  # type: ignore[valid-type]


def moment(at: float) -> str:
    """Return an instant as RFC 3339 in UTC; what no calendar can show becomes the nearest moment that it can."""
    bounded = min(max(at, 0.0), _LAST_MOMENT) if not math.isnan(at) else 0.0
    return datetime.fromtimestamp(bounded, tz=UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _is_moment(name: str) -> bool:
    return name in ("at", "watermark", "held_until_phase") or name.endswith(("_at", "_until"))


def _plain(value: object, name: str) -> object:
    match value:
        case msgspec.Struct():
            return plain(value)
        case AttemptKey() | AttemptCounts() | MessageCounts():
            return {_RENAMED.get(field, field): item for field, item in value._asdict().items()}
        case list() | tuple():
            return [_plain(item, "") for item in value]
        case dict():
            return {str(key): _plain(item, "") for key, item in value.items()}
        case Enum():
            return value.value
        case float() if _is_moment(name):
            return moment(value)
        case float() if not math.isfinite(value):
            return 0.0  # JSON has no word for it
        case _:
            return value


def _typed(value: Any, name: str) -> Any:
    """Undo `_plain` where msgspec can't: moments and tuples."""
    match value:
        case dict():
            fields = {_restored(key): _typed(item, key) for key, item in value.items()}
            for kind in _TUPLES:
                if fields.keys() >= set(kind._fields):
                    return [fields[field] for field in kind._fields]
            return fields
        case list():
            return [_typed(item, "") for item in value]
        case str() if _is_moment(name):
            try:
                return datetime.fromisoformat(value).timestamp()
            except ValueError as error:
                raise msgspec.ValidationError(f"{name} is no moment: {value!r}") from error
        case _:
            return value


def _restored(key: str) -> str:
    return "reply_class" if key == "class" else key
