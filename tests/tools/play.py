"""`python -m tests.tools.play --log FILE --to FILE`: make a recorded or generated log look live.

Lines are appended one by one, at the distance in time they had (divided by `--speed`), with their timestamps changed to
now. It ends at the end of the log (never with `--loop`), or cleanly on SIGTERM and SIGINT; SIGHUP reopens the files, as
syslog daemons do after a rotation.
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from types import FrameType
from typing import Final, Protocol, TextIO, TypeAlias

from tests.tools.loggen.model import JOURNAL, MAIL_LOG, HostConfig
from tests.tools.loggen.scenarios import BY_NAME

Recorded: TypeAlias = tuple[float | None, int, str]
"""(time of the line or None, MAIL_LOG or JOURNAL, the line without its line break)."""

_RFC3339: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)(?= )")
_TRADITIONAL: Final = re.compile(r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d(?= )")
_HALF_YEAR_S: Final = 180 * 86_400
_YEAR_S: Final = 366 * 86_400
_NOT_WORTH_WAITING_S: Final = 0.002


class Sink(Protocol):
    """Where lines go."""

    def write(self, line: str) -> None:
        """Append the line and its line break, at once."""
        ...


class FileSink:
    """Appends to a file, line by line; `reopen` after a rotation."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = self._open()
        self.stale = False
        """Set by a signal: open the path anew before the next line."""

    def write(self, line: str) -> None:
        """See Sink."""
        if self.stale:
            self.stale = False
            self._file.close()
            self._file = self._open()
        self._file.write(line + "\n")

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _open(self) -> TextIO:
        return self._path.open("a", buffering=1, encoding="utf-8", errors="surrogateescape", newline="\n")


@dataclass(frozen=True, slots=True)
class Player:
    """Writes recorded lines at their pace. `clock` is now, `wait` sleeps and returns True when it is time to stop."""

    sinks: dict[int, Sink]
    speed: float
    clock: Callable[[], float]
    wait: Callable[[float], bool]

    def play(self, recorded: Iterable[Recorded], skip_s: float = 0.0) -> bool:
        """Play all of it but its first `skip_s` seconds; False if it was stopped."""
        first: float | None = None
        skipping = skip_s > 0
        began = self.clock()
        for number, (when, place, line) in enumerate(recorded):
            if when is not None:
                first = when if first is None else first
                skipping = skipping and when - first < skip_s
                if not skipping and self._stopped(began + (when - first - skip_s) / self.speed):
                    return False
            if skipping:
                continue
            sink = self.sinks.get(place)
            if sink is not None:
                sink.write(restamp(line, place, self.clock(), number))
        return True

    def _stopped(self, due: float) -> bool:
        delay = due - self.clock()
        return self.wait(delay if delay > _NOT_WORTH_WAITING_S else 0.0)


def restamp(line: str, place: int, now: float, number: int) -> str:
    """The line as if it were written now; its time keeps its format. What has no timestamp stays as it is."""
    if place == JOURNAL:
        return _restamp_entry(line, now, number)
    if match := _RFC3339.match(line):
        return datetime.fromtimestamp(now, UTC).isoformat(timespec="microseconds") + line[match.end() :]
    if match := _TRADITIONAL.match(line):
        local = datetime.fromtimestamp(now, UTC).astimezone()
        return f"{local:%b} {local.day:2d} {local:%H:%M:%S}{line[match.end() :]}"
    return line


def _restamp_entry(line: str, now: float, number: int) -> str:
    entry = json.loads(line)
    micro = int(now * 1_000_000)
    entry["__REALTIME_TIMESTAMP"] = str(micro)
    head, _, _ = str(entry["__CURSOR"]).partition(";i=")
    entry["__CURSOR"] = f"{head};i={micro:x}{number:x};b={entry['_BOOT_ID']};t={micro:x}"
    return json.dumps(entry, separators=(",", ":"))


def read_log(path: Path) -> Iterator[Recorded]:
    """The lines of a syslog file with their times. A traditional time has no year: only its distance matters here."""
    year_s = 0.0
    last = float("-inf")
    with path.open(encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        for whole in file:
            line = whole.rstrip("\n")
            when = _time_of(line)
            if when is not None:
                if when + year_s < last - _HALF_YEAR_S:
                    year_s += _YEAR_S
                last = when + year_s
                when = last
            yield when, MAIL_LOG, line


def _time_of(line: str) -> float | None:
    try:
        if match := _RFC3339.match(line):
            return datetime.fromisoformat(match.group()).timestamp()
        if match := _TRADITIONAL.match(line):
            return datetime.strptime(f"2000 {match.group()} +0000", "%Y %b %d %H:%M:%S %z").timestamp()
    except ValueError:
        pass
    return None


def main(arguments: list[str]) -> int:
    """Play until the end or a signal."""
    options = _parser().parse_args(arguments)
    stop = Event()
    sinks: dict[int, Sink] = {MAIL_LOG: FileSink(options.to)}
    if options.journal_to:
        sinks[JOURNAL] = FileSink(options.journal_to)
    _on_signals(stop, [sink for sink in sinks.values() if isinstance(sink, FileSink)])
    clock = time.time  # noqa: TID251  (a tool's composition root; nothing of pwmtad)
    player = Player(sinks, options.speed, clock, stop.wait)
    while player.play(_source(options), options.skip * 60.0) and options.loop:
        pass
    for sink in sinks.values():
        if isinstance(sink, FileSink):
            sink.close()
    return 0


def _source(options: argparse.Namespace) -> Iterable[Recorded]:
    if options.log:
        return read_log(options.log)
    host = HostConfig(opendkim_log="journal" if options.journal_to else "mail")
    # the scenario's own date never shows: every line gets the time at which it is written
    return BY_NAME[options.scenario](1_772_409_600.0, host=host).play()


def _on_signals(stop: Event, files: list[FileSink]) -> None:
    def end(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    def reopen(_number: int, _frame: FrameType | None) -> None:
        for file in files:
            file.stale = True

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGHUP, reopen)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.tools.play", description=__doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--log", type=Path, help="a recorded or generated mail.log")
    source.add_argument("--scenario", choices=sorted(BY_NAME), help="generate it on the way")
    parser.add_argument("--to", type=Path, required=True, help="the file to append to")
    parser.add_argument("--journal-to", type=Path, help="with --scenario: opendkim's lines go here, as journalctl -o json")
    parser.add_argument("--speed", type=_positive, default=60.0, help="times faster than it was (default 60)")
    parser.add_argument("--skip", type=float, default=0.0, metavar="MINUTES", help="leave out the first minutes of the log")
    parser.add_argument("--loop", action="store_true", help="start again at the end")
    return parser


def _positive(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError("must be above 0")
    return value


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
