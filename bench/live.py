"""The real daemon as a process on a folder in /tmp, for the benches that measure it: its log, its helper, what it costs.

Postfix is a configuration that postconf(1) reads and a helper in memory (tests.tools.postfix_fake): nothing is ever mailed.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self

from msgspec.structs import replace
from typing_extensions import override

from pwmtad.adapters.helper.listening import bound
from pwmtad.adapters.helper.server import HelperServer
from pwmtad.daemon.clock import wall_clock
from pwmtad.model.counters import DAY_S
from pwmtad.model.postfix import Clone
from pwmtad.model.target import Applied, PostfixTarget
from tests.tools.daemon import RunningDaemon, stream_tables, until
from tests.tools.loggen import Stream, egresses
from tests.tools.postfix_fake import FakePostfix, clone

CAMPAIGNS: Final = Stream("campaigns", egresses(range(1, 21), "campaigns"), connections=10)
"""The stream of the bench's corpus: twenty egresses, and the pool."""
_MASTER: Final = "{name} unix - - n - - smtp -o smtp_bind_address=127.0.0.1 -o smtp_bind_address_enforce=yes\n" + (
    "    -o syslog_name={tag} -o smtp_helo_name={name}.example.org\n"
)
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")


class TimedPostfix(FakePostfix):
    """A Postfix in memory that remembers when it was first told to hold a stream."""

    def __init__(self, names: Iterable[str]) -> None:
        names = tuple(names)
        super().__init__(())
        self.clones = {name: _up(name) for name in names}
        self.held_at: dict[str, float] = {}

    async def restore(self, *, release_held: bool = False) -> Applied:
        """Nobody asks for it here."""
        raise NotImplementedError(release_held)

    @override
    async def apply(self, target: PostfixTarget) -> Applied:
        now = wall_clock()
        for stream in target.streams:
            if stream.paused_by:
                self.held_at.setdefault(stream.stream, now)
        return await super().apply(target)


def _up(name: str) -> Clone:
    """A clone as it should be, on an address that every host has."""
    return replace(clone("out01"), name=name, bind_address="127.0.0.1")


class LiveHost:
    """A folder with Postfix's configuration, pwmtad's, a helper and the daemon. Starts with it, ends with it."""

    def __init__(self, folder: Path, *, mode: str = "enforce", more: Iterable[Stream] = (), rules: str = "") -> None:
        """`more` streams than the campaigns'; `rules`: the content of a rules file besides the shipped ones."""
        self.streams = (CAMPAIGNS, *more)
        self.daemon = RunningDaemon(folder)
        self.folder = folder
        self.log = self.daemon.log
        self.postfix = TimedPostfix(egress.name for stream in self.streams for egress in stream.egresses)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._write_files(mode, rules)

    def _write_files(self, mode: str, rules: str) -> None:
        folder = self.folder
        (folder / "more.toml").write_text(rules, encoding="utf-8")
        more = f'[rules]\nfiles = ["{folder}/more.toml"]\n' if rules else ""
        (folder / "main.cf").write_text("compatibility_level = 3.6\nmaillog_file = /dev/null\n", encoding="utf-8")
        clones = {egress.name: egress.tag for stream in self.streams for egress in stream.egresses}
        services = (_MASTER.format(name=name, tag=tag) for name, tag in clones.items())
        (folder / "master.cf").write_text("".join(services), encoding="utf-8")
        began = datetime.fromtimestamp(wall_clock() - 30 * DAY_S, UTC).replace(microsecond=0).isoformat()
        tables = stream_tables(self.streams, began).partition("[egresses.")[0]  # master.cf describes them
        written = self.daemon.config.read_text(encoding="utf-8").partition("[postfix]")[0]
        written = written.replace('mode = "observe"', f'mode = "{mode}"').replace(
            "commit_interval_s = 0.1", "commit_interval_s = 1.0"
        )
        postfix = f'config_directory = "{folder}"\nqueue_directory = "{folder}"\nhelper_socket = "{folder}/h"\n'
        self.daemon.config.write_text(f"{written}[postfix]\n{postfix}\n{more}{tables}", encoding="utf-8")

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = HelperServer(self.postfix, allowed=())
        self._loop.run_until_complete(server.start(bound(str(self.folder / "h"), None)))
        self._loop.run_forever()
        self._loop.run_until_complete(server.stop())
        self._loop.close()

    def __enter__(self) -> Self:
        self._thread.start()
        until("the helper listens", (self.folder / "h").exists)
        return self

    def __exit__(self, *error: object) -> None:
        self.daemon.kill()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)

    @property
    def pid(self) -> int:
        """The daemon's process."""
        if self.daemon.process is None or self.daemon.process.poll() is not None:
            raise RuntimeError(f"the daemon does not run; its last words: {self.daemon.words()[-2000:]}")
        return self.daemon.process.pid

    def caught_up(self) -> bool:
        """Whether the log is read to its end."""
        return self.daemon.state().sources[0].caught_up


@dataclass(frozen=True, slots=True)
class Use:
    """What a process has used so far, its ended children included, and what it holds."""

    at: float
    cpu_s: float
    rss_mib: float
    peak_mib: float

    @classmethod
    def of(cls, pid: int) -> Self:
        """Read /proc (proc_pid_stat(5), proc_pid_status(5))."""
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        children_s = (int(fields[13]) + int(fields[14])) / _TICKS_PER_S
        status = dict(
            line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines() if ":" in line
        )
        kib = {name: int(status[name].split()[0]) for name in ("VmRSS", "VmHWM")}
        return cls(time.monotonic(), _threads_s(pid) + children_s, kib["VmRSS"] / 1024, kib["VmHWM"] / 1024)

    def share_since(self, before: Use) -> float:
        """Processor time by time: 0.01 is one per cent of a core."""
        return (self.cpu_s - before.cpu_s) / (self.at - before.at)


def _threads_s(pid: int) -> float:
    """Processor time of the process's threads to the nanosecond: the first field of schedstat."""
    spent = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        spent += int((task / "schedstat").read_text(encoding="ascii").split()[0])
    return spent / 1e9


@contextmanager
def every(seconds: float, what: Callable[[], object]) -> Iterator[None]:
    """Call `what` every so many seconds while the block runs."""
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(seconds):
            with suppress(OSError):  # it has ended: whoever measures will see
                what()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def load() -> str:
    """How busy the machine is, besides what is measured: figures of a busy one are worth less."""
    return f"load of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"


def histogram(metrics: Mapping[str, float], name: str, **labels: str) -> str:
    """Show a histogram of a /metrics page in one line: how many values were at most each bound."""
    found: list[tuple[float, float, str]] = []
    for sample, count in metrics.items():
        if not sample.startswith(f"{name}_bucket{{") or any(f'{key}="{value}"' not in sample for key, value in labels.items()):
            continue
        bound_text = sample.partition('le="')[2].partition('"')[0]
        found.append((float(bound_text), count, bound_text))
    return ", ".join(f"<= {text} s: {count:g}" for _, count, text in sorted(found))
