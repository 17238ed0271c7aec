"""Run a command and measure it: wall time, processor time, peak memory."""

from __future__ import annotations

import fcntl
import os
import re
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.corpus import ROOT

_LOOK_S: Final = 0.02
"""Between two looks at the memory of a run, and the error of its wall time."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One run. `peak_mib` is the largest memory of all its processes together, as often as it was looked at."""

    wall_s: float
    cpu_s: float
    peak_mib: float


class CommandFailed(Exception):
    """A command ended with an error; the message has its end."""


def run(command: Sequence[str], output: Path, lock: Path | None = None) -> Sample:
    """Run to the end, with standard output in a file, while nobody else has `lock`; raises CommandFailed."""
    errors = output.with_suffix(".stderr")
    with output.open("wb") as out, errors.open("wb") as err, _held(lock):
        began = time.perf_counter()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=ROOT)
        peak = 0.0
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            peak = max(peak, _together_mib(process.pid))
            time.sleep(_LOOK_S)
        wall_s = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        tail = errors.read_text(encoding="utf-8", errors="replace")[-1000:]
        raise CommandFailed(f"{command[0]} ended with {process.returncode}: {tail}")
    return Sample(wall_s, usage.ru_utime + usage.ru_stime, peak)


@contextmanager
def _held(lock: Path | None) -> Iterator[None]:
    if lock is None:
        yield
        return
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _together_mib(pid: int) -> float:
    """Memory of a process and all below it, what they share divided among them (Pss; proc_pid_smaps(5))."""
    total = 0.0
    waiting = [pid]
    while waiting:
        one = waiting.pop()
        with suppress(OSError):  # it has ended meanwhile
            for task in Path(f"/proc/{one}/task").iterdir():
                waiting += map(int, (task / "children").read_text(encoding="ascii").split())
            rollup = Path(f"/proc/{one}/smaps_rollup").read_text(encoding="ascii")
            found = re.search(r"^Pss: +(\d+) kB", rollup, re.MULTILINE)
            total += int(found[1]) / 1024 if found is not None else 0.0
    return total


@dataclass(frozen=True, slots=True)
class Figures:
    """What the rounds of one contestant come to."""

    rounds: int
    lines_per_s: float
    lines_per_s_min: float
    lines_per_s_max: float
    cpu_s: float
    peak_mib: float


def figures(samples: Sequence[Sample], lines: int) -> Figures:
    """Medians of speed and processor time, extremes of speed, the largest peak."""
    speeds = [lines / sample.wall_s for sample in samples]
    return Figures(
        len(samples),
        statistics.median(speeds),
        min(speeds),
        max(speeds),
        statistics.median(sample.cpu_s for sample in samples),
        max(sample.peak_mib for sample in samples),
    )


def ratios(mine: Sequence[Sample], other: Sequence[Sample], of: Callable[[Sample], float]) -> tuple[float, float, float]:
    """How many times less `mine` takes: median, least and most over the rounds that both were in.

    Within a round, so that what disturbs all of it cancels out.
    """
    found = [of(theirs) / of(ours) for ours, theirs in zip(mine, other, strict=False)]
    return statistics.median(found), min(found), max(found)
