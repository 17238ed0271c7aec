"""`python -m bench.latency`: from a line in mail.log to verdict and order to hold, at 0, 50 and 5,000 lines a second.

The real daemon follows a file that grows as rsyslog lets it grow. Measured are lines that decide something: the third answer
of a dead tenant (the verdict is the moment in the daemon's own log), and a TSS04 that halts a stream (the action is the moment
at which the root helper, here one in memory, is told). Both clocks are this host's.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count, cycle
from pathlib import Path
from typing import Final, TextIO

from bench.corpus import ROOT
from bench.live import CAMPAIGNS, LiveHost, Use, every, histogram, load
from pwmtad.daemon.clock import wall_clock
from tests.tools.daemon import until
from tests.tools.loggen import MAIL_LOG, Stream, egresses
from tests.tools.loggen.scenarios import campaign_host

RATES: Final = (0, 50, 5000)
_HALTS: Final = 20
"""Streams that are halted in a run: one sample each."""
_SCRAPE_S: Final = 5.0
"""Three times as often as Prometheus asks by default."""
_CORPUS_LINES: Final = 200_000
_TEMPLATE: Final = (
    "{at} mta {tag}/smtp[71]: {queue_id}: to=<r{number}@{domain}>, relay={relay}[192.0.2.64]:25, delay=1.5, "
    "delays=0.15/0.02/1.2/0.16, dsn={dsn}, status=deferred (host {relay}[192.0.2.64] said: {reply} "
    "(in reply to RCPT TO command))\n"
)
_DEAD: Final = (
    "451 4.4.4 Mail received as unauthenticated, incoming to a recipient domain configured in a hosted tenant which has no "
    "mail-enabled subscriptions. ATTR5 [c2620fc831e00e6d.eop-nam11.prod.protection.outlook.com]"
)
_TSS04: Final = (
    "421 4.7.0 [TSS04] Messages from 198.51.100.92 temporarily deferred due to unexpected volume or user complaints - "
    "4.16.55.1; see https://postmaster.yahooinc.com/error-codes"
)
_DECIDED: Final = re.compile(r"dead-(\d+)\.example answered")


def _samples(number: int) -> Stream:
    return Stream(
        f"s{number:02}", egresses(range(50 + number, 51 + number), f"s{number:02}"), client_ip=f"172.18.1.{number}", fixed=True
    )


@dataclass(slots=True)
class Measured:
    """Seconds, by what was waited for."""

    verdicts: list[float] = field(default_factory=list)
    actions: list[float] = field(default_factory=list)


class Writer:
    """Appends lines that decide something, each with the time at which it is written."""

    def __init__(self, log: TextIO) -> None:
        self._log = log
        self._numbers = count(1)

    def dead(self, domain: int) -> float:
        """An answer of a dead tenant; return when it was written."""
        name = f"dead-{domain}.example"
        relay = f"dead-{domain}-example.mail.protection.outlook.com"
        return self._write(CAMPAIGNS.egresses[0].tag, name, relay, "4.4.4", _DEAD)

    def tss04(self, stream: Stream) -> float:
        """Yahoo's answer that halts a stream; return when it was written."""
        return self._write(stream.egresses[0].tag, "yahoo.com", "mta7.am0.yahoodns.net", "4.7.0", _TSS04)

    def _write(self, tag: str, domain: str, relay: str, dsn: str, reply: str) -> float:
        number = next(self._numbers)
        at = wall_clock()
        text = _TEMPLATE.format(
            at=_stamp(at),
            tag=tag,
            queue_id=f"4fZZ{number:07}zJ99K",
            number=number,
            domain=domain,
            relay=relay,
            dsn=dsn,
            reply=reply,
        )
        self._log.write(text)
        self._log.flush()
        return at


def _stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds")


def measure(rate: int, seconds: float, seed: int) -> tuple[Measured, list[str]]:
    """One daemon, one rate of background; return samples, and what the daemon itself says."""
    streams = [_samples(number) for number in range(1, _HALTS + 1)]
    with tempfile.TemporaryDirectory(prefix="pwmtad-latency-") as place, LiveHost(Path(place), more=streams) as host:
        host.log.touch()
        host.daemon.start()
        until("the log is read", host.caught_up)
        background = _background(host.log, rate)
        try:
            if background is not None:
                until("background is written", lambda: host.log.stat().st_size > 0)
            time.sleep(3)
            used = Use.of(host.pid)
            with host.log.open("a", encoding="utf-8") as log, every(_SCRAPE_S, host.daemon.metrics):
                written, halted = _write_samples(Writer(log), streams, seconds, random.Random(seed))
            time.sleep(2)
            now = Use.of(host.pid)
        finally:
            if background is not None:
                background.kill()
                background.wait()
        measured = Measured(
            verdicts=_verdicts(host.daemon.words(), written),
            actions=[host.postfix.held_at[name] - at for name, at in halted.items() if name in host.postfix.held_at],
        )
        missing = len(written) - len(measured.verdicts), len(halted) - len(measured.actions)
        says = [
            f"{stage}: {histogram(host.daemon.metrics(), 'pwmtad_latency_seconds', stage=stage)}"
            for stage in ("event", "verdict", "action")
        ]
        says += [f"daemon: {now.share_since(used):.1%} of a core, {now.rss_mib:.0f} MiB; without an end: {missing}; {load()}"]
    return measured, says


def _write_samples(
    writer: Writer, streams: Sequence[Stream], seconds: float, rng: random.Random
) -> tuple[dict[int, float], dict[str, float]]:
    """Write deciding lines at random moments, about ten a second; now and then one that halts a stream."""
    written: dict[int, float] = {}
    halted: dict[str, float] = {}
    left = list(streams)
    begun = time.monotonic()
    while (passed := time.monotonic() - begun) < seconds:
        domain = len(written) + 1
        writer.dead(domain)
        writer.dead(domain)
        time.sleep(rng.uniform(0.02, 0.15))
        written[domain] = writer.dead(domain)
        if left and passed > seconds * (len(halted) + 0.5) / len(streams):
            stream = left.pop()
            time.sleep(rng.uniform(0.02, 0.15))
            halted[stream.name] = writer.tss04(stream)
    return written, halted


def _verdicts(words: str, written: dict[int, float]) -> list[float]:
    """Ages of the deciding lines at the moment at which the daemon logged its decision."""
    ages = []
    for line in words.splitlines():
        if '"event": "suppress_decided"' not in line:
            continue
        said = json.loads(line)
        found = _DECIDED.search(said["reason"])
        if found and int(found[1]) in written:
            ages.append(datetime.fromisoformat(said["timestamp"]).timestamp() - written[int(found[1])])
    return ages


def _background(log: Path, rate: int) -> subprocess.Popen[bytes] | None:
    if not rate:
        return None
    command = [sys.executable, "-m", "bench.latency", "--write", str(log), "--rates", str(rate)]
    return subprocess.Popen(command, cwd=ROOT)


def write_background(path: Path, rate: int, sleep: Callable[[float], None] = time.sleep) -> None:
    """Append a campaign host's lines, restamped, `rate` a second, until killed. What is due every 5 ms is one write."""
    tails = cycle(_tails())
    done, begun = 0, time.monotonic()
    with path.open("ab", buffering=0) as log:
        while True:
            due = int((time.monotonic() - begun) * rate)
            if due > done:
                stamp = _stamp(wall_clock()).encode()
                log.write(b"".join(stamp + next(tails) for _ in range(due - done)))
                done = due
            sleep(0.005)


def _tails() -> list[bytes]:
    """Lines of the corpus without their time."""
    tails: list[bytes] = []
    run: Iterator[tuple[float, int, str]] = iter(campaign_host(1_772_409_600.0).play())
    for _, place, line in run:
        if place == MAIL_LOG:
            tails.append(line[line.index(" ") :].encode("utf-8", "surrogateescape") + b"\n")
        if len(tails) == _CORPUS_LINES:
            break
    return tails


def _figures(values: Sequence[float]) -> str:
    if not values:
        return f"{'-':>8} {'-':>8} {'-':>8} {'0':>5}"
    ordered = sorted(values)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return f"{statistics.median(ordered) * 1000:8.1f} {p99 * 1000:8.1f} {ordered[-1] * 1000:8.1f} {len(ordered):5}"


def main(arguments: list[str]) -> int:
    """Measure at each rate, print a table and what the daemon's own histograms say."""
    options = _parser().parse_args(arguments)
    if options.write is not None:
        write_background(options.write, options.rates[0])
        return 0
    header = f"{'p50 ms':>8} {'p99':>8} {'max':>8} {'n':>5}"
    print(f"{'lines/s':>8} {'verdict: ' + header:>41} {'action: ' + header:>40}")
    for rate in options.rates:
        measured, says = measure(rate, options.seconds, seed=rate)
        print(f"{rate:>8} {_figures(measured.verdicts):>41} {_figures(measured.actions):>40}", flush=True)
        for sentence in says:
            print(f"         {sentence}", flush=True)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.latency", description=__doc__)
    parser.add_argument("--rates", type=int, nargs="+", default=list(RATES), metavar="N", help="background, lines a second")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long each is measured (default 60)")
    parser.add_argument("--write", type=Path, help="only write the background to this file")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
