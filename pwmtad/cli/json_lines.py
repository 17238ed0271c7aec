"""JSON Lines on standard output: one object a line, safe to look at on a terminal."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from pwmtad.model.names import Instant

# Safe to write to a terminal, and still the same string for a JSON reader.
_ESCAPED: Final = re.compile("[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]")


def encode(record: Mapping[str, Any]) -> bytes:
    """Encode as one line of JSON, with characters that a terminal would obey escaped."""
    text = msgspec.json.encode(record).decode()
    if not text.isascii() or "\x7f" in text:
        text = _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    return text.encode() + b"\n"


def iso(at: Instant | None) -> str | None:
    """Return a moment as ISO 8601 in UTC (`2026-03-02T12:01:39.482917+00:00`); None stays None."""
    return None if at is None else datetime.fromtimestamp(at, tz=UTC).isoformat()


def close_output() -> None:
    """Let go of standard output after a BrokenPipeError: `| head` had enough, and nothing is to be said about it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
