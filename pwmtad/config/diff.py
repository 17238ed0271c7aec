"""What a reload changed, for the log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from pwmtad.config.fields import Section
from pwmtad.config.sections import Settings
from pwmtad.config.show import dotted, show

_LIMIT: Final = 400
"""Characters of one value: a pool of 20 egresses takes 170."""
_ABSENT: Final = "absent"


def diff_settings(old: Settings, new: Settings) -> tuple[str, ...]:
    """Return `path: old -> new` for each key that differs, sorted by path; secrets are in no setting."""
    before, after = dict(_flat(old, ())), dict(_flat(new, ()))
    return tuple(
        f"{path}: {before.get(path, _ABSENT)} -> {after.get(path, _ABSENT)}"
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path)
    )


def _flat(section: Section, prefix: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, Section):
            yield from _flat(value, (*prefix, name))
        elif isinstance(value, Mapping):
            for key, entry in value.items():
                yield from _flat(entry, (*prefix, name, key))
        else:
            yield dotted((*prefix, name)), show(value, _LIMIT)
