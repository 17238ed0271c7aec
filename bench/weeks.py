"""`python -m bench.weeks`: weeks of mail in simulated time, to see whether anything grows.

The daemon's own core, ticks and store take the lines of a simulated host, one slice of time after the other; only the
clock and the log file are not real. Two soaks: 60 days at the runbook's ceiling of 4,000 messages a day, and some days at two
million. Another process makes the lines, so that the memory measured is the daemon's; its environment is that of the systemd
unit. With `--tables` each day's row is followed by what memory is full of.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Final

import structlog

from bench.corpus import ROOT
from bench.shelves import Shelf, shelf
from bench.tables import allocators, rss_mib, sizes
from pwmtad.adapters.metrics import Metrics
from pwmtad.core.guard import Guard
from pwmtad.core.observe import Observer
from pwmtad.core.state import About
from pwmtad.core.wiring import POSTFIX_SOURCE, parts_of, source_kinds
from pwmtad.daemon.app_inputs import load_all, policy_of
from pwmtad.daemon.ingest import Ingest
from pwmtad.daemon.ports import Store
from pwmtad.daemon.tick import Ticker
from pwmtad.model.counters import DAY_S, HOUR_S
from pwmtad.model.observed import Observed
from pwmtad.model.sources import Batch, FileCheckpoint, SourceHealth
from pwmtad.model.state import ReloadState
from tests.tools.daemon import CONFIG, stream_tables
from tests.tools.loggen import Audience, Scenario, Stream, egresses
from tests.tools.loggen.pieces import Campaign, CronMail, Noise
from tests.tools.loggen.scenarios import CORPUS_MANNERS, CORPUS_MIX

START: Final = datetime(2026, 3, 2, tzinfo=UTC).timestamp()
_STREAM: Final = Stream("campaigns", egresses(range(1, 21), "campaigns"), connections=10)


@dataclass(frozen=True, slots=True)
class Soak:
    """How much for how long. A slice of simulated time is one batch of lines and one tick."""

    per_day: int
    days: int
    slice_s: int
    commit_every: int
    """Slices; the daemon commits more often, which writes the same rows again."""


SOAKS: Final = {"ceiling": Soak(4_000, 60, 60, 10), "millions": Soak(2_000_000, 4, 10, 6)}


@dataclass(slots=True)
class Day:
    """What one day cost, and what was there at its end."""

    day: int
    lines: int
    rss_mib: float
    store_mib: float
    rows: dict[str, int]
    open_messages: int
    tick_ms: tuple[float, float, float]
    """Processor time of a tick: median, 99th percentile, largest."""
    page_ms: float
    """Processor time of the state and the page of /metrics: median."""
    commit_ms: tuple[float, float]
    """Wall time of a commit: median, largest."""
    roll_up_ms: float
    """Wall time of the longest roll-up."""


@dataclass(slots=True)
class _Costs:
    ticks: list[float] = field(default_factory=list)
    pages: list[float] = field(default_factory=list)
    commits: list[float] = field(default_factory=list)
    roll_ups: list[float] = field(default_factory=list)


class SimulatedDaemon:
    """The daemon's parts on a clock of their own."""

    def __init__(self, folder: Path, store: Store) -> None:
        config = folder / "pwmtad.toml"
        tables = stream_tables((_STREAM,), datetime.fromtimestamp(START - 30 * DAY_S, UTC).isoformat())
        values = {"folder": folder, "commit_interval_s": 1.0, "port": 1}
        config.write_text(CONFIG.format(**values) + tables, encoding="utf-8")
        self.now = START
        self.loaded = loaded = load_all(str(config))
        self.store = store
        self.observer = self.new_observer()
        self.ingest = Ingest(
            sources=(),
            store=self.store,
            store_url="bench",
            observer=self.observer,
            clock=lambda: self.now,
            monotonic=lambda: self.now,
            commit_interval_s=1.0,
        )
        self.ticker = Ticker(
            settings=loaded.settings,
            observer=self.observer,
            reload=ReloadState(str(config), START, 0, 0, None),
            about=About("0", "mta", START, 0, 0.0, {POSTFIX_SOURCE: "mail.log"}),
            store_state=self.ingest.store_state,
            clock=lambda: self.now,
            monotonic=lambda: self.now,
        )
        self.ticker.observed = Observed(at=START, warmup_starts={_STREAM.name: START - 30 * DAY_S})
        self.metrics = Metrics()
        self._offset = 0

    def new_observer(self) -> Observer:
        """Return an empty one, as after a start."""
        settings = self.loaded.settings
        return Observer(
            parts=parts_of(settings, self.loaded.rules, None),
            sources=source_kinds(settings),
            max_reasons_per_day=settings.limits.max_reasons_per_day,
            zone=settings.log.zone,
            now=self.now,
            guard=Guard(policy_of(self.loaded, None)),
        )

    def take(self, lines: list[str]) -> None:
        """Count a slice's lines, as they came out of the file."""
        self._offset += sum(map(len, lines)) + len(lines)
        mark = FileCheckpoint("mail.log", 1, 1, self._offset, b"head", b"tail")
        self.observer.take(Batch(POSTFIX_SOURCE, lines, mark, caught_up=True, health=SourceHealth()), self.now)

    def page(self) -> None:
        """Do what a scrape does."""
        self.metrics.exposition(self.ticker.snapshot(), "")


async def soak(
    plan: Soak, folder: Path, held: Shelf, slices: Iterator[tuple[float, list[str]]], *, show_tables: bool
) -> list[Day]:
    """Live through the slices; return a row a day."""
    daemon = SimulatedDaemon(folder, held.store)
    await daemon.store.open()
    days: list[Day] = []
    costs, lines = _Costs(), 0
    try:
        for number, (end, batch) in enumerate(slices, start=1):
            daemon.now = end
            daemon.take(batch)
            lines += len(batch)
            costs.ticks.append(_cpu_ms(daemon.ticker.tick))
            if number % plan.commit_every == 0:
                costs.commits.append(await _wall_ms(daemon.ingest.commit()))
            if end % (HOUR_S / 4) == 0:
                costs.pages.append(_cpu_ms(daemon.page))
            if end % HOUR_S == 0:
                costs.roll_ups.append(await _wall_ms(daemon.store.roll_up(end)))
            if end % DAY_S == 0:
                days.append(_day(daemon, held, len(days) + 1, lines, costs))
                print(_row(days[-1]), flush=True)
                costs, lines = _Costs(), 0
            if show_tables and end % (DAY_S / 4) == 0:
                _show_memory(daemon, end)
        print(await _restart(daemon))
    finally:
        await daemon.store.close()
    return days


def _show_memory(daemon: SimulatedDaemon, end: float) -> None:
    """Print what allocators hold, four times a day, and what tables do, once: to size them all takes seconds."""
    held = ", ".join(f"{name} {size:.1f}" for name, size in allocators().items())
    print(f"  {(end - START) / HOUR_S:5.0f} h: {held}", flush=True)
    if end % DAY_S == 0:
        for name, (size, entries) in sizes("observer", daemon.observer).items():
            print(f"    {size / 2**20:7.2f} MiB {entries:>9,} {name}", flush=True)


async def _restart(daemon: SimulatedDaemon) -> str:
    """How long a start takes with this store: as `daemon/app.py` does it, in this process."""
    await daemon.ingest.commit()
    began = time.perf_counter()
    ledger = await daemon.store.load(daemon.now - 2 * DAY_S)
    loaded = time.perf_counter()
    daemon.new_observer().load(ledger, daemon.now)
    done = time.perf_counter()
    return f"a start: {loaded - began:.2f} s to read the store, {done - loaded:.2f} s to take it up"


def _day(daemon: SimulatedDaemon, held: Shelf, number: int, lines: int, costs: _Costs) -> Day:
    ticks = sorted(costs.ticks)
    return Day(
        day=number,
        lines=lines,
        rss_mib=rss_mib(),
        store_mib=held.mib(),
        rows=held.rows(),
        open_messages=daemon.observer.correlator.open_messages,
        tick_ms=(statistics.median(ticks), ticks[int(len(ticks) * 0.99)], ticks[-1]),
        page_ms=statistics.median(costs.pages),
        commit_ms=(statistics.median(costs.commits), max(costs.commits)),
        roll_up_ms=max(costs.roll_ups),
    )


def _cpu_ms(work: object) -> float:
    began = time.thread_time()
    work()  # type: ignore[operator]
    return (time.thread_time() - began) * 1000


async def _wall_ms(work: object) -> float:
    began = time.perf_counter()
    await work  # type: ignore[misc]
    return (time.perf_counter() - began) * 1000


def slices(lines: Iterable[str], slice_s: int, end: float) -> Iterator[tuple[float, list[str]]]:
    """Cut the log by the lines' own times; a quiet slice is one, too."""
    known = {60: 16, 10: 18}[slice_s]  # digits of `2026-03-02T00:00:00` that name the slice
    at = START
    for name, group in groupby(lines, key=lambda line: line[:known]):
        begin = datetime.fromisoformat(f"{name}:00" if known == 16 else f"{name}0").replace(tzinfo=UTC).timestamp()
        while at < begin:
            at += slice_s
            yield at, []
        at = begin + slice_s
        yield at, [line.rstrip("\n") for line in group]
        if at >= end:
            return


def generate(plan: Soak) -> None:
    """Write the simulated host's log to standard output."""
    until = START + plan.days * DAY_S
    scenario = Scenario(
        START,
        4,
        (_STREAM,),
        (
            Campaign(START, _STREAM.name, Audience("weeks", 1_000_000_000, CORPUS_MIX, odd_share=0.001), plan.per_day // 24),
            CronMail(START),
            Noise(START, every_s=30),
        ),
        personas=CORPUS_MANNERS,
        until=until,
    )
    with open(sys.stdout.fileno(), "w", encoding="utf-8", newline="\n", closefd=False) as out:
        scenario.play().write(out)


def run(name: str, plan: Soak, kind: str, *, show_tables: bool = False) -> list[Day]:
    """One soak in this process, with the generator in another."""
    maker = [sys.executable, "-m", "bench.weeks", "--generate", name, "--days", str(plan.days)]
    with (
        tempfile.TemporaryDirectory(prefix="pwmtad-weeks-") as folder,
        shelf(kind, Path(folder)) as held,
        subprocess.Popen(maker, stdout=subprocess.PIPE, cwd=ROOT, text=True, encoding="utf-8") as process,
    ):
        cut = slices(process.stdout or (), plan.slice_s, START + plan.days * DAY_S)
        days = asyncio.run(soak(plan, Path(folder), held, cut, show_tables=show_tables))
        process.kill()
    return days


def _row(day: Day) -> str:
    rows = day.rows
    buckets = f"{rows['attempt_buckets']:>9,} {rows['suppressions']:>9,} {rows['open_messages']:>7,}"
    ticks = f"{day.tick_ms[0]:6.2f} {day.tick_ms[1]:7.2f} {day.tick_ms[2]:7.1f} {day.page_ms:7.1f}"
    return (
        f"{day.day:>4} {day.lines:>11,} {day.rss_mib:>7.1f} {day.store_mib:>8.1f} {buckets} {ticks} "
        f"{day.commit_ms[0]:7.1f} {day.commit_ms[1]:7.1f} {day.roll_up_ms:8.0f}"
    )


_HEADER: Final = (
    f"{'day':>4} {'lines':>11} {'RSS MiB':>7} {'store':>8} {'buckets':>9} {'suppr.':>9} {'open':>7} "
    f"{'tick':>6} {'p99 ms':>7} {'max':>7} {'page':>7} {'commit':>7} {'max ms':>7} {'roll-up':>8}"
)


def main(arguments: list[str]) -> int:
    """Run both soaks, each in a process of its own; print their tables; write what was measured to the work folder."""
    options = _parser().parse_args(arguments)
    if options.generate:
        generate(_plan(options.generate, options.days))
        return 0
    if options.one:
        environment = unit_environment()
        if any(os.environ.get(name) != value for name, value in environment.items()):
            again = [sys.executable, "-m", "bench.weeks", *arguments]  # the C library reads them at its start only
            return subprocess.run(again, env={**os.environ, **environment}, cwd=ROOT, check=False).returncode
        # Each decision is logged, by the thousand in such a time; to write them is not what is measured here.
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
        plan = _plan(options.one, options.days)
        print(f"{options.one}: {plan.per_day:,} messages a day, {plan.days} days, {options.store}\n{_HEADER}", flush=True)
        days = run(options.one, plan, options.store, show_tables=options.tables)
        options.work.mkdir(parents=True, exist_ok=True)
        result = options.work / f"weeks-{options.one}-{options.store}.json"
        result.write_text(json.dumps([asdict(day) for day in days], indent=1) + "\n", encoding="utf-8")
        return 0
    more = [] if options.days is None else ["--days", str(options.days)]
    for name in SOAKS:
        command = [
            sys.executable,
            "-m",
            "bench.weeks",
            "--one",
            name,
            "--store",
            options.store,
            "--work",
            str(options.work),
            *more,
        ]
        subprocess.run(command, check=True, cwd=ROOT)
    return 0


def unit_environment() -> dict[str, str]:
    """What systemd gives the daemon: how the C library keeps memory is a part of what is measured."""
    unit = (ROOT / "systemd" / "pwmtad.service").read_text(encoding="utf-8").splitlines()
    words = (word for line in unit if line.startswith("Environment=") for word in line.partition("=")[2].split())
    return dict(word.split("=", 1) for word in words)


def _plan(name: str, days: int | None) -> Soak:
    plan = SOAKS[name]
    return plan if days is None else Soak(plan.per_day, days, plan.slice_s, plan.commit_every)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.weeks", description=__doc__)
    parser.add_argument("--one", choices=sorted(SOAKS), help="only this soak")
    parser.add_argument("--days", type=int, help="so many days instead")
    parser.add_argument("--store", choices=("sqlite", "postgres"), default="sqlite", help="what to fill (default sqlite)")
    parser.add_argument("--tables", action="store_true", help="with --one: also what memory is full of")
    parser.add_argument("--work", type=Path, default=ROOT / ".run" / "bench", help="folder for results")
    parser.add_argument("--generate", choices=sorted(SOAKS), help="only write the log of this soak to standard output")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
