"""`python -m bench.replay_speed`: how fast an old log is read, beside the tools people use today, in one run.

Rounds are interleaved (A B C, A B C, ...), so that whatever else the machine does hits all alike; figures are medians, and
ratios are medians of the ratios within a round.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from bench import page
from bench.contestants import MINE, Contestant, contestants, truth_of
from bench.corpus import ROOT, Corpus, corpus
from bench.measure import CommandFailed, Sample, figures, ratios, run

_PAGE: Final = ROOT / "docs" / "performance.md"


def main(arguments: list[str]) -> int:
    """Measure, print a table, and write bench/results.json and docs/performance.md."""
    options = _parser().parse_args(arguments)
    made = corpus(options.work.resolve(), options.lines)
    field = contestants(made, options.pwmtad, frozenset(options.only))
    ready = [one for one in field if not one.missing]
    for one in field:
        if one.missing:
            print(f"left out: {one.name}: {one.missing}")
    if not ready:
        return 1
    print(f"{made.lines:,} lines, {made.path.stat().st_size / 1e6:,.0f} MB, {options.rounds} rounds", flush=True)
    shutil.copyfile(made.path, os.devnull)  # once through, so that the first contestant does not pay for the disk
    floor_mib = _own_mib()
    try:
        samples = _measure(ready, options, made.path.parent)
    except CommandFailed as failure:
        print(f"stopped: {failure}")
        return 1
    results = {"lines": made.lines, "bytes": made.path.stat().st_size, "machine": _machine(floor_mib)}
    results["contestants"] = _rows(made, ready, samples)
    _print(results)
    options.results.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    if not options.only:
        page.write(_PAGE, results, MINE)
    return 0


def _measure(field: Sequence[Contestant], options: argparse.Namespace, folder: Path) -> dict[str, list[Sample]]:
    samples: dict[str, list[Sample]] = {one.name: [] for one in field}
    prefix = tuple(shlex.split(options.prefix))
    for number in range(options.rounds):
        for one in field:
            if one.once and number:
                continue
            sample = run((*prefix, *one.command), _output(folder, one), options.lock)
            samples[one.name].append(sample)
            print(f"  round {number + 1}: {one.name:<18} {sample.wall_s:7.2f} s {sample.peak_mib:7.0f} MiB", flush=True)
    return samples


def _output(folder: Path, one: Contestant) -> Path:
    return folder / f"{one.name.replace(', ', '-').replace(' ', '-')}.out"


def _rows(made: Corpus, field: Sequence[Contestant], samples: dict[str, list[Sample]]) -> dict[str, Any]:
    mine = samples.get(MINE)
    rows: dict[str, Any] = {}
    for one in field:
        row: dict[str, Any] = asdict(figures(samples[one.name], made.lines))
        if mine and one.name != MINE:
            row["pwmtad_times_faster"] = ratios(mine, samples[one.name], lambda sample: sample.wall_s)
            row["pwmtad_times_less_cpu"] = ratios(mine, samples[one.name], lambda sample: sample.cpu_s)
        if one.counts is not None:
            row["counted"] = one.counts(_output(made.path.parent, one))
            row["truth"] = truth_of(made, all_agents=one.all_agents)
        rows[one.name] = row
    return rows


def _machine(floor_mib: float) -> dict[str, Any]:
    model = subprocess.run(
        ["sh", "-c", "grep -m1 'model name' /proc/cpuinfo"], capture_output=True, text=True, check=False
    ).stdout
    return {
        "processor": model.partition(":")[2].strip(),
        "cores": os.cpu_count(),
        "load_at_end": os.getloadavg()[0],
        "python": platform.python_version(),
        # builds of one version differ in speed by a third: say which one was measured
        "python_build": f"{sys.base_prefix} {sys.version}",
        "peak_floor_mib": floor_mib,
    }


def _own_mib() -> float:
    """Size of this process: no child's peak is reported below it (see corpus.corpus)."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _print(results: dict[str, Any]) -> None:
    machine = results["machine"]
    print(f"\n{machine['cores']} x {machine['processor']}, Python {machine['python']}, load {machine['load_at_end']:.1f}")
    print(f"{'':<18} {'lines/s':>9} {'min':>9} {'max':>9} {'CPU s':>7} {'peak MiB':>9} {'pwmtad is':>10}")
    for name, row in results["contestants"].items():
        times = f"{row['pwmtad_times_faster'][0]:.2f}x" if "pwmtad_times_faster" in row else ""
        speeds = f"{row['lines_per_s']:>9,.0f} {row['lines_per_s_min']:>9,.0f} {row['lines_per_s_max']:>9,.0f}"
        print(f"{name:<18} {speeds} {row['cpu_s']:>7.1f} {row['peak_mib']:>9.0f} {times:>10}")
    words = ("delivered", "deferred", "bounced")
    print(f"\n{'counted':<18} {' '.join(f'{word:>10}' for word in words)}   (difference from the truth)")
    for name, row in results["contestants"].items():
        if counted := row.get("counted"):
            cells = " ".join(f"{counted[word]:>10,}" for word in words)
            differences = ", ".join(f"{counted[word] - row['truth'][word]:+,}" for word in words)
            print(f"{name:<18} {cells}   ({differences})")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.replay_speed", description=__doc__)
    lines, rounds = os.environ.get("BENCH_LINES", "3000000"), os.environ.get("BENCH_ROUNDS", "5")
    parser.add_argument("--lines", type=int, default=int(lines), help="size of the corpus (default BENCH_LINES, or 3000000)")
    parser.add_argument("--rounds", type=int, default=int(rounds), help="how often each is run (default BENCH_ROUNDS, or 5)")
    parser.add_argument("--prefix", default="", metavar="CMD", help="put before every command, such as `chrt -f 50`")
    parser.add_argument("--lock", type=Path, metavar="FILE", help="hold this lock during each run (a shared machine)")
    parser.add_argument("--work", type=Path, default=ROOT / ".run" / "bench", help="folder for the corpus and outputs")
    parser.add_argument("--results", type=Path, default=ROOT / "bench" / "results.json")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="only this one; may be repeated")
    parser.add_argument("--pwmtad", metavar="CMD", help="how to call pwmtad instead; the log's path is appended")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
