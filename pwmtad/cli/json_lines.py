"""JSON Lines on standard output: one object a line, safe to look at on a terminal."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

# Safe to write to a terminal, and still the same string for a JSON reader.
_ESCAPED: Final = re.compile("[\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


def encode(record: Mapping[str, Any]) -> bytes:
    """Encode as one line of JSON, with characters that a terminal would obey escaped."""
    text = msgspec.json.encode(record).decode()
    if not text.isascii() or "\x7f" in text:
        text = _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    return text.encode() + b"\n"
