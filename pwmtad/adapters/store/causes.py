"""How a `StoreError` is worded, for every kind of store: what failed, why, what to do, and whether trying again may help."""

from __future__ import annotations

from typing import NamedTuple

from pwmtad.model.errors import StoreError

_MAX_DETAIL_CHARS = 300
"""A server's message may be pages long; the log line should not be."""


class Cause(NamedTuple):
    """One row of the tables in `sqlite_errors` and `postgres_errors`: `what` happened, what `todo`."""

    what: str
    todo: str
    retryable: bool


def store_error(store: str, doing: str, cause: Cause, detail: str) -> StoreError:
    """Build the error for `doing` ("store counters"); `detail` is what the library or system said."""
    shown = " ".join(detail.split())[:_MAX_DETAIL_CHARS]
    return StoreError(
        f"store {store}: could not {doing}: {cause.what}{f' ({shown})' if shown else ''}. {cause.todo}",
        retryable=cause.retryable,
    )
