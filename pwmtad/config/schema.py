"""Reads the models: which kind of value stands at a path of the file, and what it takes in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from types import NoneType, UnionType
from typing import Annotated, Final, Literal, Union, get_args, get_origin

from annotated_types import Ge, Le, Lt
from msgspec import Struct
from pydantic import AwareDatetime
from pydantic.fields import FieldInfo

from pwmtad.config.fields import Section
from pwmtad.config.readers import DayKey, RungValue, Words
from pwmtad.config.sections import Settings
from pwmtad.config.show import Path, listed
from pwmtad.config.values import Ladder

KEY: Final = "[key]"
"""What pydantic appends to the path of an error that is about a table's key, not its value."""
ANY_NAME: Final = "NAME"
"""Stands for the names that people choose: `streams.NAME.egresses`."""


class Kind(Struct, frozen=True):
    """What may stand at one place: a type without its wrappings, and their metadata."""

    base: object
    metadata: tuple[object, ...] = ()

    @property
    def section(self) -> type[Section] | None:
        """The model of a table with known keys; None for anything else."""
        return self.base if isinstance(self.base, type) and issubclass(self.base, Section) else None

    @property
    def named(self) -> Kind | None:
        """What each entry of a table of named tables is; None for anything else."""
        return kind_of(get_args(self.base)[1]) if get_origin(self.base) is Mapping else None


def kind_of(annotation: object, metadata: tuple[object, ...] = ()) -> Kind:
    """Take off `Annotated` and `| None`, and keep what they say."""
    if get_origin(annotation) is Annotated:
        inner, *extra = get_args(annotation)
        return kind_of(inner, (*extra, *metadata))
    if get_origin(annotation) in (Union, UnionType):
        options = [option for option in get_args(annotation) if option is not NoneType]
        if len(options) == 1:
            return kind_of(options[0], metadata)
    flat: list[object] = []
    for item in metadata:
        flat.extend(item.metadata if isinstance(item, FieldInfo) else [item])
    return Kind(annotation, tuple(flat))


def kind_at(path: Path) -> Kind | None:
    """Return what may stand at `path`; None if nothing may."""
    kind: Kind | None = Kind(Settings)
    for part in path:
        if kind is None:
            return None
        kind = _child(kind, part)
    return kind


def key_kind_at(path: Path) -> Kind:
    """Return what the keys of the table at `path` may be."""
    kind = kind_at(path)
    if kind is not None and get_origin(kind.base) is Mapping:
        return kind_of(get_args(kind.base)[0])
    return kind_of(DayKey)


def keys_of(path: Path) -> tuple[str, ...]:
    """Return the known keys of the table at `path`; none if its keys are free, or it is no table."""
    kind = kind_at(path)
    section = None if kind is None else kind.section
    return () if section is None else tuple(section.model_fields)


def every_key() -> Iterator[tuple[str, Kind, FieldInfo]]:
    """Yield (path, kind, field) of each key that holds a value, in the order of the models."""
    yield from _keys(Settings, "")


def words(kind: Kind) -> str:
    """Say what `kind` takes: `a whole number from 1 to 600`."""
    told = [item.text for item in kind.metadata if isinstance(item, Words)]
    if told:
        return told[-1]
    if kind.base in (int, float):
        return _number_words(kind)
    if get_origin(kind.base) is Literal:
        return listed(repr(option) for option in get_args(kind.base))
    if kind.base is bool:
        return "true or false"
    if kind.base in (datetime, AwareDatetime):
        return "a date-time with its offset and without quotes, such as 2026-06-02T00:00:00Z"
    return "a table"


def _keys(section: type[Section], prefix: str) -> Iterator[tuple[str, Kind, FieldInfo]]:
    for name, field in section.model_fields.items():
        path = f"{prefix}{name}"
        kind = kind_of(field.annotation, tuple(field.metadata))
        inner = kind if kind.named is None else kind.named
        if inner.section is None:
            yield path, kind, field
        else:
            yield from _keys(inner.section, f"{path}." if inner is kind else f"{path}.{ANY_NAME}.")


def _child(kind: Kind, part: str | int) -> Kind | None:
    if kind.section is not None:
        field = kind.section.model_fields.get(str(part))
        return None if field is None else kind_of(field.annotation, tuple(field.metadata))
    if kind.named is not None:
        return kind.named
    if kind.base is Ladder:
        return kind_of(RungValue)
    if get_origin(kind.base) is tuple:
        return kind_of(get_args(kind.base)[0])
    return None


def _number_words(kind: Kind) -> str:
    """Every number has a lower limit and one of two sorts of upper limit."""
    text = "a whole number" if kind.base is int else "a number"
    for item in kind.metadata:
        match item:
            case Ge(ge=limit):
                text += f" from {limit}"
            case Le(le=limit):
                text += f" to {limit}"
            case Lt(lt=limit):
                text += f" to less than {limit}"
            case _:
                pass
    return text
