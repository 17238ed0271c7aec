"""A real Postfix on a configuration, a queue and ports of its own, and a receiver that remembers who sent it what.

In: the Postfix package, root. Out: /etc/postfix, DNS (all mail goes to the receiver by relayhost). Every wait has a bound.
"""

from __future__ import annotations

import os
import re
import shutil
import smtplib
import socket
import socketserver
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec
from typing_extensions import override

from tests.tools.daemon import PATIENCE_S, TooLateError, free_port, until

_MAIN: Final = """\
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/log/mail.log
maillog_file_prefixes = {folder}/log
myhostname = mta.example.org
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
enable_long_queue_ids = yes
relayhost = [{receiver}]:{receiver_port}
smtpd_relay_restrictions = permit_mynetworks, reject
alias_maps =
alias_database =
"""
_MASTER: Final = """\
postlog     unix-dgram n - n - 1 postlogd
127.0.0.1:{port} inet n - n - - smtpd
pickup      unix n - n 60 1 pickup
cleanup     unix n - n - 0 cleanup
qmgr        unix n - n 300 1 qmgr
rewrite     unix - - n - - trivial-rewrite
bounce      unix - - n - 0 bounce
defer       unix - - n - 0 bounce
trace       unix - - n - 0 bounce
verify      unix - - n - 1 verify
flush       unix n - n 1000? 0 flush
proxymap    unix - - n - - proxymap
smtp        unix - - n - - smtp
relay       unix - - n - - smtp
showq       unix n - n - - showq
error       unix - - n - - error
retry       unix - - n - - error
discard     unix - - n - - discard
local       unix - n n - - local
anvil       unix - - n - 1 anvil
scache      unix - - n - 1 scache
"""
_CLONE: Final = """\
{name} unix - - n - - smtp
    -o smtp_bind_address={address} -o smtp_bind_address_enforce=yes
    -o syslog_name=postfix/{name} -o smtp_helo_name={name}.example.org
"""
RECEIVER: Final = "127.0.2.1"
_OUTCOME: Final = re.compile(r" postfix(?:/(\w+))?/(smtp|error)\[\d+\]: (\w+): to=<([^>]*)>, .*? status=(\w+) \((.*)\)$")


class Received(msgspec.Struct, frozen=True):
    """One recipient of one mail that was taken."""

    at: float
    """Monotonic, when the receiver had all of it."""
    client: str
    """The address it came from: the egress's."""
    sender: str
    recipient: str


class Outcome(msgspec.Struct, frozen=True):
    """One delivery line of the log."""

    egress: str
    program: str
    queue_id: str
    recipient: str
    status: str
    text: str


class Receiver:
    """An SMTP server that takes all mail, after `delay_s`, and remembers it."""

    def __init__(self, address: str = RECEIVER, delay_s: float = 0.0) -> None:
        receiver = self
        self.received: list[Received] = []
        self.delay_s = delay_s

        class Session(socketserver.StreamRequestHandler):
            @override
            def handle(self) -> None:
                receiver.serve(self)

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True
            request_queue_size = 1000

        self._server = Server((address, 0), Session)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def serve(self, session: socketserver.StreamRequestHandler) -> None:
        """Speak SMTP until the client goes away."""
        client: str = session.client_address[0]
        sender, recipients = "", list[str]()

        def say(text: str) -> None:
            session.wfile.write(text.encode() + b"\r\n")

        try:
            say("220 mx.example.net ESMTP")
            while line := session.rfile.readline():
                verb, argument = line[:4].upper(), line[4:].decode("utf-8", "replace").strip()
                match verb:
                    case b"MAIL":
                        sender, recipients = _address(argument), []
                    case b"RCPT":
                        recipients.append(_address(argument))
                    case b"DATA":
                        say("354 go on")
                        while session.rfile.readline() not in (b".\r\n", b""):
                            pass
                        time.sleep(self.delay_s)
                        at = time.monotonic()
                        self.received += [Received(at, client, sender, one) for one in recipients]
                    case b"QUIT":
                        say("221 bye")
                        return
                    case _:
                        pass
                say("250 2.0.0 Ok")
        except OSError:  # the client is gone
            return

    def by_client(self) -> Counter[str]:
        """Return how many recipients came from each address."""
        return Counter(one.client for one in list(self.received))

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=PATIENCE_S)


class PostfixInstance:
    """A Postfix of its own in a temporary folder, with clones bound to addresses of loopback. As a context manager it is
    stopped and removed at the end.

    `clones`: name -> address. `main`, `master`: more lines of these files. `in_memory`: a queue that is quickly filled
    and removed. Its folder can be entered by Postfix's user, as pytest's own temporary folders can't.
    """

    def __init__(
        self,
        clones: Mapping[str, str],
        *,
        main: str = "",
        master: str = "",
        delay_s: float = 0.0,
        in_memory: bool = False,
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="pwmtad-postfix-"))
        self.folder.chmod(0o755)
        self.config = self.folder / "etc"
        self.queue = self.folder / "queue"
        self.log = self.folder / "log" / "mail.log"
        self.state = self.folder / "state"
        self.main_cf = self.config / "main.cf"
        self.master_cf = self.config / "master.cf"
        self.port = free_port()
        self.receiver = Receiver(delay_s=delay_s)
        for path in (self.config, self.queue, self.log.parent, self.state, self.folder / "data"):
            path.mkdir()
        shutil.chown(self.folder / "data", "postfix")
        if in_memory:
            subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "queue", str(self.queue)], check=True)
        own = _MAIN.format(folder=self.folder, receiver=RECEIVER, receiver_port=self.receiver.port)
        self.main_cf.write_text(own + main)
        lines = [_CLONE.format(name=name, address=address) for name, address in clones.items()]
        self.master_cf.write_text(_MASTER.format(port=self.port) + "".join(lines) + master)
        self.cool_down()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.running():
            self.stop()
        self.receiver.close()
        subprocess.run(["umount", "-l", str(self.queue)], check=False, capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    # -- life

    def start(self) -> None:
        """Start it and wait until it accepts mail and its oldest processes have read main.cf: where a test takes the file away
        sooner they die, and master starts them anew after a minute only.
        """
        self.command("postfix", "start")
        until("accepting mail", self._accepts)
        until("qmgr and postlogd have read main.cf", self._has_settled)

    def stop(self) -> None:
        """Stop it; deliveries under way are cut off."""
        master = Path("/proc", (self.queue / "pid" / "master.pid").read_text().strip())
        self.command("postfix", "stop")
        until("its master is gone", lambda: not master.exists())

    def running(self) -> bool:
        """Whether its master runs."""
        return self.command("postfix", "status", check=False).returncode == 0

    def reload(self) -> None:
        """Tell it to read its files."""
        self.command("postfix", "reload")

    def _accepts(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5):
                return True
        except OSError:
            return False

    def _has_settled(self) -> bool:
        """Whether qmgr and postlogd have become Postfix's user, which they do after they have read main.cf."""
        return {"qmgr", "postlogd"} <= {name for _, name, owner in self._children() if owner != 0}

    def _children(self) -> Iterator[tuple[int, str, int]]:
        """Process id, name and owner of each process that its master has now."""
        master = (self.queue / "pid" / "master.pid").read_text().strip()
        for process in Path("/proc", master, "task", master, "children").read_text().split():
            try:
                yield int(process), Path("/proc", process, "comm").read_text().strip(), Path("/proc", process).stat().st_uid
            except OSError:
                continue

    def before_reload(self) -> Callable[[], None]:
        """Return what waits, after a reload, until master has heard of it and the queue manager of before is gone: told of a
        flush or a message in between, that one would take the news with it.
        """
        reloads = len(self.log_lines("reload -- version"))
        before = until("qmgr runs", lambda: {process for process, name, _ in self._children() if name == "qmgr"})

        def wait() -> None:
            until("master has read its files", lambda: len(self.log_lines("reload -- version")) > reloads)
            # Not by the list of children: while others end, it may lack one that lives (proc(5)).
            until("the old qmgr is gone", lambda: not any(Path("/proc", str(process)).exists() for process in before))

        return wait

    def cool_down(self) -> None:
        """Make main.cf old: Postfix programs wait while it is younger than two seconds."""
        at = self.main_cf.stat().st_mtime - 100
        os.utime(self.main_cf, (at, at))

    # -- settings

    def command(self, program: str, *arguments: str, check: bool = True, text: str = "") -> subprocess.CompletedProcess[str]:
        """Run one of Postfix's commands on this instance."""
        call = [program, "-c", str(self.config), *arguments]
        return subprocess.run(call, capture_output=True, text=True, check=check, timeout=60, input=text)

    def values(self) -> dict[str, str]:
        """Return what main.cf sets, raw."""
        pairs = (line.partition("=") for line in self.command("postconf", "-n").stdout.splitlines())
        return {name.strip(): value.strip() for name, _, value in pairs}

    def set(self, *assignments: str) -> None:
        """Edit main.cf as a person would, but without the wait that follows."""
        self.command("postconf", "-e", *assignments)
        self.cool_down()

    # -- mail

    def session(self) -> smtplib.SMTP:
        """Return a session with its smtpd; a context manager."""
        return smtplib.SMTP("127.0.0.1", self.port, timeout=30)

    def send(self, recipients: Iterable[str], sender: str = "news@lists.example.org") -> None:
        """Hand in one message for each recipient over SMTP."""
        with self.session() as client:
            for recipient in recipients:
                client.sendmail(sender, [recipient], f"From: {sender}\r\nTo: {recipient}\r\n\r\nhello\r\n")

    def burst(self, count: int, *, sessions: int = 10, recipient: str = "r@example.net") -> None:
        """Hand in `count` messages as fast as it goes; recipients are numbered, for qmgr asks once for what repeats."""
        call = ["smtp-source", "-N", "-m", str(count), "-s", str(sessions), "-f", "news@lists.example.org",
                "-t", recipient, f"127.0.0.1:{self.port}"]  # fmt: skip
        subprocess.run(call, check=True, capture_output=True, timeout=300)

    def queued(self) -> list[dict[str, Any]]:
        """Return what `postqueue -j` says."""
        lines = self.command("postqueue", "-j").stdout.splitlines()
        return [msgspec.json.decode(line, type=dict[str, Any]) for line in lines]

    def queue_names(self) -> Counter[str]:
        """Return how many messages are in each queue."""
        return Counter(str(entry["queue_name"]) for entry in self.queued())

    def outcomes(self) -> list[Outcome]:
        """Return the delivery lines of the log, in order."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        found = (_OUTCOME.search(line) for line in text.split("\n"))
        return [Outcome(one[1] or "", one[2], one[3], one[4], one[5], one[6]) for one in found if one is not None]

    def log_lines(self, word: str) -> Sequence[str]:
        """Return log lines that contain a word."""
        return [line for line in self.log.read_text(errors="replace").split("\n") if word in line]

    def wait_received(self, count: int, *, patience_s: float = PATIENCE_S) -> list[Received]:
        """Wait until the receiver has `count` mails; return them all."""
        with self._told():
            until(f"{count} received", lambda: len(self.receiver.received) >= count, patience_s=patience_s)
        return list(self.receiver.received)

    def wait_outcomes(self, count: int, status: str) -> list[Outcome]:
        """Wait until the log has `count` delivery lines of a status; return those."""

        def found() -> list[Outcome]:
            return [one for one in self.outcomes() if one.status == status]

        with self._told():
            until(f"{count} {status}", lambda: len(found()) >= count)
        return found()

    def wait_deferred(self, count: int) -> list[str]:
        """Wait until so many messages, and no others, have come to rest; return their queue ids, the oldest first.

        A delivery is logged before its message leaves the active queue: a flush in between passes it over, a listing may have
        it twice.
        """
        with self._told():
            until(f"{count} at rest", lambda: self.queue_names() == {"deferred": count})
        return sorted(str(entry["queue_id"]) for entry in self.queued())

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Show the log's end where a wait was too long: its folder is gone when a person looks."""
        try:
            yield
        except TooLateError:
            print(*self.log_lines("")[-100:], sep="\n")
            raise


def _address(argument: str) -> str:
    start, end = argument.find("<"), argument.rfind(">")
    return argument[start + 1 : end] if 0 <= start < end else argument


def cloned(numbers: Iterable[int]) -> dict[str, str]:
    """Return clones outNN on 127.0.1.NN."""
    return {f"out{number:02}": f"127.0.1.{number}" for number in numbers}
