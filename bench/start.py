"""`python -m bench.start`: killed, and started again with a day of log behind; and a backlog of a size that you choose.

Measured from the start of the process: until systemd hears READY=1, until the state is served, until the log is read to its
end; while a backlog is read, how long the daemon was between two ticks, what STATUS= said, and its memory.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.live import LiveHost, Use, histogram, load
from pwmtad.daemon.clock import wall_clock
from pwmtad.model.counters import DAY_S
from tests.tools.daemon import RunningDaemon, until
from tests.tools.loggen.scenarios import campaign_host

_DAYS: Final = (("a day at the ceiling, 4,000 messages", 4_000 // 24), ("a busy day, 432,000 messages", 18_000))
_SHARE: Final = re.compile(r"reading mail\.log \((\d+)%\)")
_PATIENCE_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Started:
    """Seconds from the start of the process, and what was seen on the way."""

    ready_s: float
    ready_cpu_s: float
    """Processor time until then: what another machine, or a busy one, would have to find."""
    state_s: float
    read_s: float
    peak_mib: float
    shares: list[int]
    intervals: str


def started(host: LiveHost) -> Started:
    """Start the daemon and watch it until its log is read."""
    daemon = host.daemon
    begun = time.perf_counter()
    daemon.start()
    ready_s = time.perf_counter() - begun
    ready_cpu_s = Use.of(host.pid).cpu_s
    until("the state is served", lambda: _state(daemon))
    state_s = time.perf_counter() - begun
    until("the log is read", host.caught_up, patience_s=_PATIENCE_S)
    read_s = time.perf_counter() - begun
    said = list(daemon.systemd.said) if daemon.systemd is not None else []
    shares = [int(found[1]) for line in said if line.startswith("STATUS=") and (found := _SHARE.search(line))]
    intervals = histogram(daemon.metrics(), "pwmtad_tick_interval_seconds")
    return Started(ready_s, ready_cpu_s, state_s, read_s, Use.of(host.pid).peak_mib, shares, intervals)


def _state(daemon: RunningDaemon) -> bool:
    try:
        daemon.state()
    except OSError:
        return False
    return True


def write_log(path: Path, lines: Iterator[str], size: int | None = None) -> int:
    """Append lines, at most `size` bytes; return how many."""
    written = number = 0
    with path.open("a", encoding="utf-8", errors="surrogateescape", newline="\n") as log:
        for line in lines:
            written += log.write(line + "\n")
            number += 1
            if size is not None and written >= size:
                break
    return number


def _day(per_hour: int) -> Iterator[str]:
    """The log of the 24 hours before now."""
    now = wall_clock()
    for when, line in campaign_host(now - DAY_S, per_hour=per_hour).mail_log():
        if when >= now:
            return
        yield line


def _day_behind(name: str, per_hour: int) -> None:
    with tempfile.TemporaryDirectory(prefix="pwmtad-start-") as place, LiveHost(Path(place)) as host:
        host.log.touch()
        host.daemon.start()
        until("it has stored", lambda: host.daemon.state().store.commits > 0)
        host.daemon.kill()
        number = write_log(host.log, _day(per_hour))
        _print(f"{name} ({number:,} lines)", started(host), number)
        host.daemon.kill()
        _print("and again, with what was stored", started(host), 0)


def _backlog(gib: float) -> None:
    size = int(gib * 2**30)
    with tempfile.TemporaryDirectory(prefix="pwmtad-start-") as place:
        if shutil.disk_usage(place).free < 2 * size:
            print(f"left out: {gib:g} GiB do not fit into {place}")
            return
        with LiveHost(Path(place)) as host:
            hours = size / 170 / 7 / 18_000  # of 170 bytes a line, seven lines a message
            begin = wall_clock() - hours * 3600
            number = write_log(host.log, (line for _, line in campaign_host(begin).mail_log()), size)
            result = started(host)
            _print(f"a backlog of {gib:g} GiB ({number:,} lines)", result, number)
            print(f"    STATUS= said: {', '.join(f'{share}%' for share in result.shares)}")
            ten_s = result.read_s * 10 / gib
            print(f"    10 GiB at this speed: {ten_s / 60:.0f} min")


def _print(name: str, result: Started, lines: int) -> None:
    speed = f", {lines / result.read_s:,.0f} lines/s" if lines else ""
    print(
        f"{name}: READY=1 {result.ready_s:.2f} s ({result.ready_cpu_s:.2f} s of a core), state {result.state_s:.2f} s, "
        f"read to its end {result.read_s:.1f} s{speed}, peak {result.peak_mib:.0f} MiB\n    ticks: {result.intervals}",
        flush=True,
    )


def main(arguments: list[str]) -> int:
    """Measure each start and say what it took."""
    options = _parser().parse_args(arguments)
    print(load(), flush=True)
    for name, per_hour in _DAYS[: 1 if options.quick else None]:
        _day_behind(name, per_hour)
    if options.gib:
        _backlog(options.gib)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.start", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="without the busy day")
    parser.add_argument("--gib", type=float, default=1.0, help="size of the backlog; 0: none (default 1)")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
