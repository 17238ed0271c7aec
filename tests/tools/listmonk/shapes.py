"""JSON values as Go decodes them into structs: unknown fields vanish, missing ones become zero, a wrong type is an error.

In: a shape and a decoded JSON value. Out: the value a Go program would hold. Raises WrongTypeError.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final, TypeAlias


class WrongTypeError(ValueError):
    """A value has another JSON type than its field; the text says where."""


class Plain(StrEnum):
    """A scalar."""

    BOOL = "bool"
    INT = "int"
    STR = "str"


class ListOf:
    """An array of one shape."""

    def __init__(self, item: Shape) -> None:
        self.item = item


class MapOf:
    """An object with any names."""

    def __init__(self, item: Shape) -> None:
        self.item = item


class Fields:
    """An object with these names."""

    def __init__(self, **fields: Shape) -> None:
        self.fields = fields


Shape: TypeAlias = Plain | ListOf | MapOf | Fields

BOOL: Final = Plain.BOOL
INT: Final = Plain.INT
STR: Final = Plain.STR

_ZERO: Final[dict[Plain, bool | int | str]] = {BOOL: False, INT: 0, STR: ""}
_TYPE: Final[dict[Plain, type]] = {BOOL: bool, INT: int, STR: str}


def zero(shape: Shape) -> Any:
    """Return what a field holds that was not sent. A missing array or map is null, as Go writes it."""
    if isinstance(shape, Plain):
        return _ZERO[shape]
    if isinstance(shape, Fields):
        return {name: zero(inner) for name, inner in shape.fields.items()}
    return None


def decode(shape: Shape, value: Any, where: str) -> Any:
    """Return the value as a field of this shape holds it. null is as good as not sent. Raises WrongTypeError."""
    if value is None:
        return zero(shape)
    if isinstance(shape, Plain):
        if type(value) is not _TYPE[shape]:
            raise WrongTypeError(f"{where}: {type(value).__name__} instead of {shape}")
        return value
    if isinstance(shape, ListOf):
        if not isinstance(value, list):
            raise WrongTypeError(f"{where}: no array")
        return [decode(shape.item, one, f"{where}[{number}]") for number, one in enumerate(value)]
    if not isinstance(value, dict):
        raise WrongTypeError(f"{where}: no object")
    if isinstance(shape, MapOf):
        return {name: decode(shape.item, one, f"{where}.{name}") for name, one in value.items()}
    return {name: decode(inner, value.get(name), f"{where}.{name}") for name, inner in shape.fields.items()}
