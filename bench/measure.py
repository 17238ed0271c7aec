"""Run a command and measure it: wall time, processor time, peak memory."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.corpus import ROOT


@dataclass(frozen=True, slots=True)
class Sample:
    """One run. `peak_mib` is the largest resident size of one process of the command (wait4's ru_maxrss)."""

    wall_s: float
    cpu_s: float
    peak_mib: float


class CommandFailed(Exception):
    """A command ended with an error; the message has its end."""


def run(command: Sequence[str], output: Path) -> Sample:
    """Run to the end, with standard output in a file; raises CommandFailed."""
    errors = output.with_suffix(".stderr")
    with output.open("wb") as out, errors.open("wb") as err:
        began = time.perf_counter()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=ROOT)
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        tail = errors.read_text(encoding="utf-8", errors="replace")[-1000:]
        raise CommandFailed(f"{command[0]} ended with {process.returncode}: {tail}")
    # ru_maxrss is in KiB on Linux (getrusage(2))
    return Sample(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


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


def ratio(mine: Sequence[Sample], other: Sequence[Sample], of: Callable[[Sample], float]) -> float:
    """How many times less `mine` takes: the median over rounds, so that what disturbs a whole round cancels out."""
    return statistics.median(of(theirs) / of(ours) for ours, theirs in zip(mine, other, strict=True))
