"""Verification of a halt by what happens after it: mail that still leaves although everything says that it is held.

What the files say is not what the running daemons do, so the proof of a halt is that no delivery begins after it.
"""

from __future__ import annotations

from typing import Final

from pwmtad.core.correlate import Classified
from pwmtad.core.evidence import evidence_of
from pwmtad.core.records import quote
from pwmtad.model.judgement import Record, RecordKind
from pwmtad.model.names import Instant

LEAK_RULE: Final = "halt-leaks"
_SETTLED_S: Final = 5.0
"""After the reload until then, deliveries may still begin: the old qmgr hands out its last requests (0.25 s in runs of Postfix
3.7.11), and `delays=` is rounded to two digits. Own choice."""
_REPEAT_S: Final = 60.0
"""A leak is told at most so often; how many it were stands in the record."""


class LeakWatch:
    """Watches streams that are held. Not thread-safe; no clock."""

    def __init__(self) -> None:
        self.held: dict[str, tuple[str, Instant]] = {}
        """By stream: what holds it, and since when."""
        self._told_at: dict[str, Instant] = {}
        self._since_told: dict[str, int] = {}
        self.leaking: dict[str, Instant] = {}
        """By stream: when the last leak was seen since it is held."""

    def hold(self, stream: str, name: str, at: Instant) -> None:
        """Postfix was told, and has confirmed, that the stream is held. The first moment counts."""
        if stream not in self.held:
            self.held[stream] = (name, at)

    def let_go(self, stream: str) -> None:
        """The stream may send again."""
        self.held.pop(stream, None)
        self.leaking.pop(stream, None)
        self._since_told.pop(stream, None)

    def see(self, counted: Classified, at: Instant) -> list[Record]:
        """Take a delivery attempt; return the alarm if it began while its stream was held."""
        held = self.held.get(counted.stream)
        attempt = counted.attempt
        if held is None or attempt.relay_host is None:
            return []
        name, since = held
        if at - _in_delivery_s(attempt.delays) <= since + _SETTLED_S:
            return []
        stream = counted.stream
        self.leaking[stream] = at
        self._since_told[stream] = self._since_told.get(stream, 0) + 1
        # Also after a clock that was far ahead: a leak is never silent for longer than that.
        if abs(at - self._told_at.get(stream, -_REPEAT_S)) < _REPEAT_S:
            return []
        self._told_at[stream] = at
        number = self._since_told.pop(stream)
        reason = (
            f"{number} delivery attempt(s) began while {stream} is held by {name}: Postfix does not do what its files say. "
            f"Look for another route to {counted.egress} (transport_maps, FILTER, a second instance), "
            f"and whether the reload was taken"
        )
        lines = (quote(evidence_of(counted, at)),)
        return [Record(at, RecordKind.ALERT, stream, LEAK_RULE, reason, lines, halt_id=name, subject=counted.egress)]


def _in_delivery_s(delays: str) -> float:
    """Return the seconds of connection set-up and transmission: `a/b/c/d` (postconf(5), delay_logging_resolution_limit)."""
    parts = delays.split("/")
    try:
        return float(parts[2]) + float(parts[3])
    except (IndexError, ValueError):
        return 0.0
