"""How a line is written: timestamps of a syslog file, and the JSON of `journalctl -o json`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from typing import Protocol

from tests.tools.loggen.model import MAIL_LOG, Entry

_MICRO = 1_000_000


class Style(Protocol):
    """How a host writes the time."""

    micro: bool

    def around(self, second: int) -> tuple[str, str]:
        """What stands before and behind the six digits of the microseconds (all of it before, if `micro` is False)."""
        ...


class Rfc3339:
    """`2026-11-24T02:51:29.499469+00:00`: the default of Debian 12's rsyslog."""

    micro = True

    def __init__(self, zone: tzinfo = UTC) -> None:
        self._zone = zone

    def around(self, second: int) -> tuple[str, str]:
        """See Style."""
        text = datetime.fromtimestamp(second, self._zone).isoformat()
        return text[:19] + ".", text[19:]


class Traditional:
    """`Nov 24 02:51:29`: local time without year or zone, as postlogd and older rsyslogs write."""

    micro = False

    def __init__(self, zone: tzinfo = UTC) -> None:
        self._zone = zone

    def around(self, second: int) -> tuple[str, str]:
        """See Style."""
        at = datetime.fromtimestamp(second, self._zone)
        return f"{at:%b} {at.day:2d} {at:%H:%M:%S}", ""


class Clock:
    """The host's clock: true time plus the steps it made. `steps` are (true time, seconds), applied from then on."""

    def __init__(self, steps: Sequence[tuple[float, float]] = ()) -> None:
        self._steps = sorted(steps)

    def shown(self, when: float) -> float:
        """What the host believes."""
        return when + sum(by for at, by in self._steps if at <= when)

    @property
    def steady(self) -> bool:
        """It never steps."""
        return not self._steps


class LineWriter:
    """Writes lines of a syslog file; keeps the texts of the current second."""

    def __init__(self, style: Style, host: str, clock: Clock) -> None:
        self._style = style
        self._host = host
        self._clock = None if clock.steady else clock
        self._now = (-1, "", "")

    def line(self, when: float, body: str) -> str:
        """`body` (`tag[pid]: text`) as it stands in the file, without line break."""
        return self.many([(when, MAIL_LOG, body, None)])[0][:-1]

    def many(self, entries: list[Entry]) -> list[str]:
        """The lines of all entries that go to mail.log, each with its line break."""
        found: list[str] = []
        add, clock, micro, full = found.append, self._clock, self._style.micro, _MICRO
        last, head, tail = self._now
        for true_time, place, body, _ in entries:
            if place:
                continue
            when = true_time if clock is None else clock.shown(true_time)
            second = int(when)
            if second != last:
                last, head, tail = self._texts(second)
            # six digits with their leading zeros, at half the price of a :06d
            add(f"{head}{str(int((when - second) * full) + full)[1:] if micro else ''}{tail}{body}\n")
        self._now = (last, head, tail)
        return found

    def _texts(self, second: int) -> tuple[int, str, str]:
        head, tail = self._style.around(second)
        return second, head, f"{tail} {self._host} "


class JournalWriter:
    """Writes entries as `journalctl -o json` does: one object a line, with a cursor and realtime in microseconds."""

    _BOOT = "5c1f0a3e9d7b4c2e8a6f1b0d9e8c7a65"
    _SEQ = "1d2c3b4a5968778695a4b3c2d1e0f102"

    def __init__(self, host: str, clock: Clock) -> None:
        self._host = host
        self._clock = clock
        self._count = 0
        self._boot_at = -1.0

    def line(self, when: float, body: str) -> str:
        """The entry, without line break."""
        if self._boot_at < 0:
            self._boot_at = when - 86_400
        self._count += 1
        real = int(self._clock.shown(when) * _MICRO)
        monotonic = int((when - self._boot_at) * _MICRO)
        head, _, text = body.partition(": ")
        tag, _, pid = head.rstrip("]").partition("[")
        program = tag.rsplit("/", 1)[-1]
        opendkim = tag == "opendkim"
        return json.dumps(
            {
                "__CURSOR": f"s={self._SEQ};i={self._count:x};b={self._BOOT};m={monotonic:x};t={real:x};x={real ^ 0x5A5A:x}",
                "__REALTIME_TIMESTAMP": str(real),
                "__MONOTONIC_TIMESTAMP": str(monotonic),
                "_BOOT_ID": self._BOOT,
                "_TRANSPORT": "syslog",
                "PRIORITY": "4" if text.startswith("warning:") else "6",
                "SYSLOG_FACILITY": "2",
                "SYSLOG_IDENTIFIER": tag,
                "SYSLOG_PID": pid,
                "_PID": pid,
                "_COMM": program,
                "_EXE": "/usr/sbin/opendkim" if opendkim else f"/usr/lib/postfix/sbin/{program}",
                "_SYSTEMD_UNIT": "opendkim.service" if opendkim else "postfix@-.service",
                "_HOSTNAME": self._host,
                "MESSAGE": text,
            },
            separators=(",", ":"),
        )
