"""What people may ask of the running daemon over its Unix socket."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, Struct

MAX_HOLD_S: Final = 366 * 86_400
"""A year; who means longer gives no end."""
MAX_WHY_CHARS: Final = 200
"""Fits a line of `pwmtad status`, with the name of who said it."""

_Name = Annotated[str, Meta(min_length=1, max_length=200)]


class HaltRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Halt a stream. `hold_s` None: until it is released."""

    stream: _Name
    why: Annotated[str, Meta(min_length=1, max_length=MAX_WHY_CHARS)]
    by: _Name
    hold_s: Annotated[int, Meta(ge=1, le=MAX_HOLD_S)] | None = None


class ReleaseRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """End the hold of a halt. Sending comes back slowly, unless a person had made the halt."""

    halt_id: _Name
    by: _Name


class ControlAnswer(Struct, frozen=True):
    """What came of it, in words; `stored` is False while the store fails: then it holds in memory only."""

    halt_id: str
    text: str
    stored: bool
