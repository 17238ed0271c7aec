"""Errors that reach people. Each says what is wrong, where, what was expected, and what to do."""

from __future__ import annotations

from msgspec import Struct


class PwmtadError(Exception):
    """Base of all errors whose text is written for the person who runs the daemon."""


class StoreError(PwmtadError):
    """The store can't be used. `retryable` tells whether the same call may work later (locked, disk full)."""

    def __init__(self, message: str, *, retryable: bool) -> None:
        super().__init__(message)
        self.retryable = retryable


class SourceError(PwmtadError):
    """A log source can't be read."""


class ConfigError(Struct, frozen=True):
    """One mistake in a configuration or rules file. Never raised: all of them are returned at once."""

    path: str
    """Dotted path (`streams.trucking.ceiling_per_day`), or `line 12, column 3` for broken TOML."""
    found: str
    expected: str
    hint: str = ""
    file: str = ""
