"""As much of a faulty file as can be read, for the checks that compare keys with one another.

All mistakes are told at once, so these checks also run where single keys were refused. What was refused is absent here, and a
check that needs it says nothing: pydantic has told it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Generic, TypeAlias, TypeVar

from msgspec import Struct
from pydantic import ValidationError

from pwmtad.config.fields import Section
from pwmtad.config.readers import read_network, service_name
from pwmtad.config.streams import StreamSettings, WarmupSettings
from pwmtad.config.values import Network

Table: TypeAlias = Mapping[str, object]
"""A TOML table as tomllib gives it."""
_Section = TypeVar("_Section", bound=Section)
_Value = TypeVar("_Value")


class Partial(Struct, Generic[_Section], frozen=True):
    """A section read without the keys that were refused. Only for sections of which no key is required."""

    values: _Section
    refused: frozenset[str]
    """Keys that the file gives and that were refused; `values` holds their defaults."""
    given: frozenset[str]
    """Keys that the file gives and that could be read."""

    def usable(self, *keys: str) -> bool:
        """Tell whether none of these keys was refused."""
        return not self.refused.intersection(keys)


def read_section(model: type[_Section], raw: Table, key: str) -> Partial[_Section]:
    """Read the table at `key`."""
    known = {name: value for name, value in table(raw, key).items() if name in model.model_fields}
    try:
        return Partial(model.model_validate(known), frozenset(), frozenset(known))
    except ValidationError as error:
        refused = frozenset(str(item["loc"][0]) for item in error.errors(include_url=False, include_input=False))
    rest = {name: value for name, value in known.items() if name not in refused}
    return Partial(model.model_validate(rest), refused, frozenset(rest))


class PartialStream(Struct, frozen=True):
    """A stream as far as it can be read. Arrays hold (place in the array, value)."""

    name: str
    egresses: tuple[tuple[int, str], ...]
    retired: tuple[tuple[int, str], ...]
    pool: bool | None
    """None: refused."""
    ceiling_per_day: int | None
    """None: refused."""
    clients: tuple[tuple[int, Network], ...]
    services: tuple[tuple[int, str], ...]
    warmup: Partial[WarmupSettings] | None
    """None: absent, or no table."""

    usable_egresses: int | None
    """How many egresses are not retired; None where that can't be told."""

    def egress_count_at(self, day: int, warmup: Partial[WarmupSettings]) -> int | None:
        """How many egresses are in rotation on a warmup day; None where that can't be told."""
        if self.usable_egresses is None or self.pool is None or not warmup.usable("pool_ladder"):
            return None
        return min(self.usable_egresses, warmup.values.pool_ladder.value_at(day)) if self.pool else self.usable_egresses


def read_streams(raw: Table) -> Iterator[PartialStream]:
    """Read each stream that is a table."""
    for name, stream in table(raw, "streams").items():
        if not isinstance(stream, Mapping):
            continue
        ceiling = stream.get("ceiling_per_day", StreamSettings.model_fields["ceiling_per_day"].default)
        pool = stream.get("pool", False)
        yield PartialStream(
            name=name,
            egresses=items(stream, "egresses", str),
            retired=items(stream, "retired", str),
            pool=pool if isinstance(pool, bool) else None,
            ceiling_per_day=ceiling if type(ceiling) is int else None,
            clients=items(stream, "injector_clients", read_network),
            services=items(stream, "injector_services", service_name),
            warmup=read_section(WarmupSettings, stream, "warmup") if isinstance(stream.get("warmup"), Mapping) else None,
            usable_egresses=_count_usable(stream),
        )


def _count_usable(stream: Table) -> int | None:
    egresses, retired = stream.get("egresses"), stream.get("retired", [])
    if not isinstance(egresses, list) or not isinstance(retired, list):
        return None
    if not all(isinstance(name, str) for name in (*egresses, *retired)):
        return None
    return len(set(egresses) - set(retired))


def table(raw: Table, key: str) -> Table:
    """Return the table at `key`; an empty one if there is none."""
    value = raw.get(key)
    return value if isinstance(value, Mapping) else {}


def items(raw: Table, key: str, read: Callable[[str], _Value]) -> tuple[tuple[int, _Value], ...]:
    """Return the texts of the array at `key` that `read` takes, each with its place."""
    array = raw.get(key)
    found: list[tuple[int, _Value]] = []
    for place, value in enumerate(array if isinstance(array, list) else ()):
        if isinstance(value, str):
            try:
                found.append((place, read(value)))
            except ValueError:  # PydanticCustomError is one: told already
                continue
    return tuple(found)
