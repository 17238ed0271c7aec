"""How Go and its configuration library read values, where that can be told from outside.

In: values as they stand in the table `settings`. Out: what the engine works with after a start. Never an error: what can't
be read is 0 or false, which is how a mistyped limit becomes no limit.
"""

from __future__ import annotations

import re
from typing import Any, Final

_DURATION: Final = re.compile(r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+", re.ASCII)
_PART: Final = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_NUMBER: Final = re.compile(r"[+-]?\d+(?:\.\d+)?", re.ASCII)
_SECONDS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_TRUE: Final = frozenset({"1", "t", "T", "true", "TRUE", "True"})


def parse_duration(text: str) -> float | None:
    """Return seconds of `1h30m`, or None: there are no days, no blanks, no bare numbers."""
    if text in {"0", "+0", "-0"}:
        return 0.0
    if not _DURATION.fullmatch(text):
        return None
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))
    return -seconds if text.startswith("-") else seconds


def as_duration(value: Any) -> float:
    """Return seconds. A number, also one in quotes, is nanoseconds; what can't be read is 0."""
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        return parse_duration(value) or 0.0
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return 0.0
    return float(value) * 1e-9


def as_int(value: Any) -> int:
    """Return a whole number; what can't be read is 0."""
    if isinstance(value, bool):
        return 0
    if isinstance(value, int | float):
        return int(value)
    if isinstance(value, str) and _NUMBER.fullmatch(value) and "." not in value:
        return int(value)
    return 0


def as_bool(value: Any) -> bool:
    """Return a truth value; what can't be read is false."""
    return value is True or value in _TRUE if isinstance(value, bool | str) else value == 1
