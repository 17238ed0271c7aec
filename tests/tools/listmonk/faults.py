"""What a test makes go wrong with HTTP, without the process knowing.

In: faults, each for some requests and a number of times. Out: which of them a request meets. Changed while requests are served.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Kind(StrEnum):
    """What happens."""

    SLOW = "slow"
    """The answer comes `seconds` later; the work is done after the wait."""
    HANG = "hang"
    """Nothing comes for `seconds`, then the connection is dropped; no work is done."""
    DROP = "drop"
    """The connection is dropped; no work is done."""
    DROP_AFTER = "drop_after"
    """The work is done, then the connection is dropped instead of an answer."""
    HTML = "html"
    """200 and a page, as from a login page or a parked domain."""
    BAD_GATEWAY = "bad_gateway"
    """502 and a page, as from a proxy."""
    UNAVAILABLE = "unavailable"
    """503 and a page."""
    ERROR = "error"
    """500 and a message."""
    FORBIDDEN = "forbidden"
    """403 and a message."""


class Fault(msgspec.Struct):
    """One fault. Empty `methods` and `path` mean any; `path` is how the path begins; `times` None: until it is removed."""

    kind: Kind
    methods: tuple[str, ...] = ()
    path: str = ""
    times: int | None = None
    seconds: float = 0.0


class Faults:
    """See the module."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self.reported_version: str | None = None
        """What /api/config and /api/about say instead of the version, such as a nightly build's string."""

    def add(self, fault: Fault) -> None:
        """From now on."""
        self._faults.append(fault)

    def clear(self) -> None:
        """Everything is well again."""
        self._faults.clear()
        self.reported_version = None

    def meet(self, method: str, path: str) -> list[Fault]:
        """Return the faults that this request meets; those with a number of times are used up."""
        met = [one for one in self._faults if _applies(one, method, path)]
        for one in met:
            if one.times is not None:
                one.times -= 1
        self._faults = [one for one in self._faults if one.times is None or one.times > 0]
        return met


def _applies(fault: Fault, method: str, path: str) -> bool:
    return (not fault.methods or method in fault.methods) and path.startswith(fault.path)
