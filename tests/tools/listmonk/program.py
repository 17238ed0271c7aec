"""The stand-in as a program of its own, driven over its control socket and its database from a test that has no loop.

In: a started program, the socket, the database. Out: plain values. Every wait has a bound.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from typing_extensions import override

from tests.tools.daemon import ROOT, until
from tests.unit.adapters.conftest import PORT, PostgresCluster

MODULE: Final = "tests.tools.listmonk"
TOKEN: Final = "token-of-pwmtad"  # noqa: S105  (the stand-in's)


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("listmonk", timeout=60)
        self._path = str(path)

    @override
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(60)
        self.sock.connect(self._path)


class Database:
    """An empty database of a cluster."""

    def __init__(self, cluster: PostgresCluster, name: str) -> None:
        self.name = name
        self.url = f"postgresql://postgres@/{name}?host={cluster.folder}&port={PORT}"
        self._cluster = cluster
        cluster.sql(f"CREATE DATABASE {name}")

    def rows(self, statement: str) -> list[list[str]]:
        """Return the rows of a query, as text."""
        command = ["psql", "-h", str(self._cluster.folder), "-p", PORT, "-U", "postgres", "-d", self.name, "-AtqF", "\t", "-c"]
        done = subprocess.run([*command, statement], capture_output=True, text=True, check=True, timeout=60)
        return [line.split("\t") for line in done.stdout.splitlines()]

    def drop(self) -> None:
        """Remove it, whoever uses it."""
        self._cluster.sql(f"DROP DATABASE {self.name} WITH (FORCE)")


class Program:
    """A running stand-in."""

    def __init__(self, process: subprocess.Popen[bytes], control: Path, database: Database) -> None:
        self.process = process
        self.database = database
        self._control = control
        self.url = ""

    def ready(self) -> None:
        """Wait until it serves."""
        until("Listmonk serves", self._serves)

    def _serves(self) -> bool:
        assert self.process.poll() is None, "the stand-in has ended"
        with contextlib.suppress(OSError):
            state = self.state()
            self.url = state.get("url", "")
            return bool(state["serving"]) and bool(self.url)
        return False

    # -- control

    def order(self, call: str, **body: Any) -> Any:
        """Make one of the calls of README.md."""
        return self._ask("POST", f"/_test/{call}", body)

    def subscribers(self, emails: Iterable[str], **more: Any) -> int:
        """Make a list of these people; return its id."""
        made: dict[str, Any] = self.order("subscribers", emails=list(emails), **more)
        return int(made["list"])

    def campaign(self, *lists: int, **more: Any) -> int:
        """Make a campaign to lists; return its id."""
        return int(self.order("campaigns", lists=list(lists), **more)["ids"][0])

    def state(self) -> dict[str, Any]:
        """Return what its engine works with."""
        found: dict[str, Any] = self._ask("GET", "/_test/state")
        return found

    def truth(self) -> dict[str, Any]:
        """Return everything that happened."""
        found: dict[str, Any] = self._ask("GET", "/_test/truth")
        return found

    def writes(self) -> list[str]:
        """Return method and path of all requests that are no look."""
        return [f"{one['method']} {one['path']}" for one in self.truth()["requests"] if one["method"] != "GET"]

    def sent(self) -> int:
        """Return how many messages its SMTP server took."""
        return int(self.state().get("sent", 0))

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        connection = _Connection(self._control)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        assert answer.status == 200, f"{path}: {answer.status} {text.decode()}"
        return json.loads(text)

    # -- database

    def status(self, campaign: int) -> str:
        """Return what the database says of a campaign."""
        return self.database.rows(f"SELECT status FROM campaigns WHERE id = {campaign}")[0][0]  # noqa: S608  (a number)

    def setting(self, key: str) -> Any:
        """Return a setting as it is stored."""
        return json.loads(self.database.rows(f"SELECT value FROM settings WHERE key = '{key}'")[0][0])  # noqa: S608  (own)

    def blocklisted(self) -> set[str]:
        """Return whom it does not mail."""
        return {row[0] for row in self.database.rows("SELECT email FROM subscribers WHERE status = 'blocklisted'")}


@contextlib.contextmanager
def running(folder: Path, database: Database, version: str, *options: str) -> Iterator[Program]:
    """Start one here, on a port that it keeps, and end it."""
    control = folder / f"{database.name}.sock"
    words = [sys.executable, "-m", MODULE, "--version", version, "--database", database.url, "--control", f"unix:{control}"]
    with (folder / f"{database.name}.log").open("wb") as log:
        process = subprocess.Popen(
            [*words, "--listen", "127.0.0.1:0", *options],
            cwd=ROOT, env=dict(os.environ), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    program = Program(process, control, database)
    try:
        program.ready()
        yield program
    finally:
        process.kill()
        process.wait()


class MailServer:
    """An SMTP server that takes everything, in a thread; it counts recipients."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self._lock = threading.Lock()
        self._taken: Counter[str] = Counter()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def taken(self) -> Counter[str]:
        """Return how often it took mail to each recipient."""
        with self._lock:
            return Counter(self._taken)

    def close(self) -> None:
        """Take no more, and wait until nobody listens: a thread that is left in accept() goes on with whatever socket gets this
        one's number next, and took the mail of other tests.
        """
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # close() alone does not wake accept()
        self._listener.join()
        self._socket.close()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection, connection.makefile("rwb") as lines:
            self._say(lines, "220 sink.example ESMTP")
            recipients: list[str] = []
            while line := lines.readline().decode():
                verb = line[:4].upper()
                if verb == "DATA":
                    self._say(lines, "354 Go on")
                    while lines.readline() not in (b".\r\n", b""):
                        pass
                    with self._lock:
                        self._taken.update(recipients)
                    recipients = []
                elif verb == "RCPT":
                    recipients.append(line.partition("<")[2].partition(">")[0])
                self._say(lines, "221 2.0.0 Bye" if verb == "QUIT" else "250 2.0.0 Ok")

    @staticmethod
    def _say(lines: Any, text: str) -> None:
        lines.write(f"{text}\r\n".encode())
        lines.flush()
