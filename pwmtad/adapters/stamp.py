"""Reads the file that holds the moment of warmup day 0 as epoch seconds, as `date +%s > FILE` writes it (runbook)."""

from __future__ import annotations

import re
from typing import Final

from pwmtad.core.text import clean
from pwmtad.model.observed import StampReading

_STAMP: Final = re.compile(r"[0-9]{1,11}")
_MAX_BYTES: Final = 64
_MIN_START: Final = 946_684_800
"""2000-01-01: smaller numbers are days, versions or years, not epoch seconds."""
_MAX_START: Final = 253_402_300_799
"""9999-12-31, the last moment that a calendar date can show; milliseconds by mistake lie beyond it."""


def read_stamp(path: str) -> StampReading:
    """Return the start, or why there is none; reads at most 64 bytes."""
    try:
        with open(path, "rb", buffering=0) as file:
            data = file.read(_MAX_BYTES)
    except OSError as error:
        return StampReading(None, f"can't read {path}: {error.strerror or error}")
    text = data.decode("ascii", "replace").strip()
    if not _STAMP.fullmatch(text) or not _MIN_START <= int(text) <= _MAX_START:
        found = repr(clean(text, 40)) if text else "nothing"
        return StampReading(None, f"{path} holds {found}, expected epoch seconds as `date +%s` prints them")
    return StampReading(float(text))
