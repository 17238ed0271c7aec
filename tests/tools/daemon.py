"""The real daemon as a process on a folder of its own: started, asked, told, killed. Every wait has a bound."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import msgspec
from typing_extensions import override

from pwmtad.core import state_json
from pwmtad.model.state import State
from tests.tools.loggen import Egress, Stream

ROOT: Final = Path(__file__).resolve().parents[2]
PATIENCE_S: Final = 40.0
"""How long anything may take on a busy machine; nothing measures how long it took."""

CONFIG: Final = """\
mode = "observe"

[log]
postfix = "{folder}/mail.log"
opendkim = "mail.log"

[store]
url = "sqlite:{folder}/pwmtad.db"
commit_interval_s = {commit_interval_s}

[http]
listen = "127.0.0.1:{port}"
socket = "{folder}/s"

[postfix]
read_master_cf = false
queue_directory = "{folder}"
"""

_Found = TypeVar("_Found")


class TooLateError(AssertionError):
    """Something did not happen in time."""


def until(what: str, ask: Callable[[], _Found], *, patience_s: float = PATIENCE_S) -> _Found:
    """Ask again and again until the answer is truthy; return it. Raises TooLateError."""
    end = time.monotonic() + patience_s
    while not (found := ask()):
        if time.monotonic() > end:
            raise TooLateError(f"{what}: not within {patience_s:g} s")
        time.sleep(0.02)
    return found


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def stream_tables(streams: Iterable[Stream], start: str) -> str:
    """Return the configuration of simulated streams whose warmup began at `start` (an offset date-time); the first has the
    pool.
    """
    tables, egresses = [], dict[str, Egress]()
    for number, stream in enumerate(streams):
        egresses |= {egress.name: egress for egress in stream.egresses}
        names = ", ".join(f'"{egress.name}"' for egress in stream.egresses)
        tables.append(
            f"[streams.{stream.name}]\negresses = [{names}]\npool = {str(not number).lower()}\n"
            f'injector_clients = ["{stream.client_ip}"]\nceiling_per_day = 4000\nwarmup.start = {start}\n'
        )
    described = (f'[egresses.{one.name}]\naddress = "{one.ip}"\nsyslog_name = "{one.tag}"\n' for one in egresses.values())
    return "\n".join((*tables, *described))


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("pwmtad", timeout=10)
        self._path = str(path)

    @override
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(10)
        self.sock.connect(self._path)


class Systemd:
    """The other end of NOTIFY_SOCKET: hears everything that a service says, in order."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.said: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while message := self._socket.recv(4096):
            self.said += message.decode().split("\n")

    def heard(self, word: str) -> bool:
        """Whether a line was said."""
        return word in self.said

    def close(self) -> None:
        """Stop listening."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
            end.sendto(b"", str(self.path))
        self._thread.join(timeout=PATIENCE_S)
        self._socket.close()
        self.path.unlink()


class RunningDaemon:
    """`python -m pwmtad run` in `folder`. As a context manager it is killed at the end, if it still runs."""

    def __init__(self, folder: Path, *, tables: str = "", commit_interval_s: float = 0.1) -> None:
        self.folder = folder
        self.log = folder / "mail.log"
        self.config = folder / "pwmtad.toml"
        self.socket = folder / "s"
        self.store = folder / "pwmtad.db"
        self._tables = tables
        self._values = {"folder": folder, "commit_interval_s": commit_interval_s, "port": free_port()}
        self.configure(tables)
        self.process: subprocess.Popen[bytes] | None = None
        self.systemd: Systemd | None = None
        self._runs = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()

    def configure(self, tables: str) -> None:
        """Write the configuration with these streams."""
        self.config.write_text(CONFIG.format(**self._values) + tables, encoding="utf-8")

    def start(self, *, ready: bool = True) -> None:
        """Start it; with `ready`, wait until it has told systemd that it is."""
        self._runs += 1
        self.systemd = systemd = Systemd(self.folder / "n")
        environment = os.environ | {"NOTIFY_SOCKET": str(systemd.path)}
        with (self.folder / f"log.{self._runs}").open("wb") as log:
            self.process = process = subprocess.Popen(
                [sys.executable, "-m", "pwmtad", "run", "-c", str(self.config)],
                cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        if ready:
            until("ready", lambda: systemd.heard("READY=1") or process.poll() is not None)
            assert process.poll() is None, self.words()

    def kill(self) -> None:
        """`kill -9`, if it runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
        self._ended()

    def stop(self) -> int:
        """SIGTERM; return the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self._ended()

    def reload(self) -> None:
        """SIGHUP, as `systemctl reload` does."""
        assert self.process is not None
        self.process.send_signal(signal.SIGHUP)

    def words(self) -> str:
        """What the last run wrote to its standard error."""
        return (self.folder / f"log.{self._runs}").read_text(encoding="utf-8")

    def get(self, target: str) -> bytes:
        """Ask over the Unix socket. Raises OSError while nobody listens."""
        connection = _UnixConnection(self.socket)
        try:
            connection.request("GET", target)
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        assert answer.status == 200, f"{target}: {answer.status} {body.decode()}"
        return body

    def state(self) -> State:
        """Return what the daemon sees now."""
        return state_json.decode(self.get("/api/v1/state"))

    def metrics(self) -> dict[str, float]:
        """Return samples by `name{label="value",...}`."""
        lines = (line.rpartition(" ") for line in self.get("/metrics").decode().splitlines() if not line.startswith("#"))
        return {name: float(value) for name, _, value in lines}

    def records(self, **query: str) -> list[dict[str, Any]]:
        """Return decisions, as JSON has them."""
        asked = "&".join(f"{name}={value}" for name, value in query.items())
        return msgspec.json.decode(self.get(f"/api/v1/records?limit=1000&{asked}"), type=list[dict[str, Any]])

    def _ended(self) -> int:
        code = 0 if self.process is None else self.process.wait(timeout=PATIENCE_S)
        self.process = None
        if self.systemd is not None:
            self.systemd.close()
            self.systemd = None
        return code
