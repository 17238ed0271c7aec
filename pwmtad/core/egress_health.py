"""Which egresses can be used at all: in master.cf, with an address, and the address on this host. Nothing here is reputation.

An egress is out at the first look that finds a fault, and back when every look of ten minutes found none: an address that
flaps (a link that goes up and down, a container that restarts) would otherwise take its mail in and out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from msgspec import Struct

from pwmtad.core.text import clean
from pwmtad.model.judgement import Record, RecordKind
from pwmtad.model.names import Instant
from pwmtad.model.postfix import Clone

HEALTHY_S: Final = 600.0
"""How long an egress must be without a fault before it is used again. Own choice: two queue runs (queue_run_delay, 300 s)."""
EGRESS_RULE: Final = "egress-fault"


class Sight(Struct, frozen=True):
    """What one look saw. None: it could not look, which changes nothing."""

    clones: Mapping[str, Clone] | None
    """The smtp services of master.cf, by name."""
    missing: Collection[str] | None
    """Addresses that are not on this host, of those that were asked for."""


class EgressHealth:
    """Remembers faults. One for all streams."""

    def __init__(self) -> None:
        self._faults: dict[str, str] = {}
        self._well_since: dict[str, Instant] = {}
        """Since when each egress is seen without a fault; one that has a fault is not in it."""

    def look(self, streams: Mapping[str, Iterable[str]], sight: Sight, now: Instant) -> list[Record]:
        """Take one look at the usable egresses of each stream; return what became of them."""
        records = []
        for stream, egresses in streams.items():
            for egress in egresses:
                fault = self._fault(egress, sight)
                if fault is None:
                    continue
                records += self._broken(stream, egress, fault, now) if fault else self._well(stream, egress, now)
        return records

    def broken(self, egresses: Iterable[str]) -> dict[str, str]:
        """Return those that can't be used, with the reason."""
        return {egress: self._faults[egress] for egress in egresses if egress in self._faults}

    def well_for(self, egress: str, now: Instant) -> float:
        """Return for how long (s) the egress has been seen without a fault; 0 if it has one, or was not looked at yet."""
        return max(0.0, now - self._well_since.get(egress, now))

    def _fault(self, egress: str, sight: Sight) -> str | None:
        """Return what is wrong, '' for nothing, None if that could not be seen."""
        if sight.clones is None:
            return None
        clone = sight.clones.get(egress)
        if clone is None:
            return "master.cf has no such smtp service any more"
        addresses = [address for address in (clone.bind_address, clone.bind_address6) if address]
        if not addresses:
            return "it has no smtp_bind_address, so its mail would leave from the host's own address"
        if sight.missing is None:
            return None
        gone = [clean(address, 45) for address in addresses if address in sight.missing]
        return f"its address {', '.join(gone)} is not on this host" if gone else ""

    def _broken(self, stream: str, egress: str, fault: str, now: Instant) -> list[Record]:
        self._well_since.pop(egress, None)
        before = self._faults.get(egress)
        self._faults[egress] = fault
        if before is not None:
            return []
        reason = f"{egress} is taken out: {fault}"
        return [_record(stream, egress, RecordKind.EGRESS_OUT, reason, now)]

    def _well(self, stream: str, egress: str, now: Instant) -> list[Record]:
        since = self._well_since.setdefault(egress, now)
        if since > now:  # the clock was set back
            self._well_since[egress] = since = now
        if egress not in self._faults or now - since < HEALTHY_S:
            return []
        reason = f"{egress} is back: no fault for {int(HEALTHY_S // 60)} min (it was out because {self._faults.pop(egress)})"
        return [_record(stream, egress, RecordKind.EGRESS_BACK, reason, now)]


def unfit(clone: Clone | None) -> str:
    """Return why a clone may not enter a pool (those that are in it stay, with a finding); '' if it may."""
    if clone is None:
        return "it is not in master.cf"
    missing = [
        option
        for option, there in (
            ("smtp_bind_address", clone.bind_address or clone.bind_address6),
            ("smtp_bind_address_enforce=yes", clone.bind_enforced),
            ("smtp_helo_name", clone.helo_name),
            ("syslog_name", clone.syslog_name),
        )
        if not there
    ]
    return f"it lacks {', '.join(missing)} in master.cf" if missing else ""


def _record(stream: str, egress: str, kind: RecordKind, reason: str, now: Instant) -> Record:
    return Record(now, kind, stream, EGRESS_RULE, reason, subject=egress)
