"""The lab as tests speak of it: mail goes in, receivers turn, Postfix is asked, pwmtad runs, the record says what left."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from typing_extensions import override

from tests.lab import world
from tests.lab.container import Container
from tests.lab.guarded_host import GuardedHost
from tests.lab.inject import Order, Taken
from tests.lab.receivers.__main__ import SOCKET as RECEIVERS_SOCKET
from tests.lab.receivers.personas import Persona
from tests.lab.receivers.record import Attempt, Reader

_ENDED_S: Final = 300.0
# The first `dsn=, status=` is Postfix's own; a hostile reply may hold others.
_STATUS: Final = re.compile(r": to=<([^>]+)>, .*? dsn=[\d.]+, status=(\w+) \(")
_EXPIRED: Final = re.compile(r"qmgr\[\d+\]: (\w+): from=<[^>]*>, status=(?:force-)?expired")


@dataclass(frozen=True, slots=True)
class Account:
    """What became of messages: every one is in exactly one of the first five."""

    delivered: int
    """Taken by a receiver, once."""
    twice: tuple[str, ...]
    """Ids of those that receivers took more than once."""
    queued: int
    """Not delivered, and still in the queue."""
    bounced: int
    """Given up: Postfix logged `bounced` or `expired`."""
    lost: tuple[str, ...]
    """Ids of those that nobody knows of."""
    delivered_and_queued: tuple[str, ...] = ()
    """Ids of those that were delivered and are in the queue as well: they may come twice. Empty when nothing is in flight."""


class Injection:
    """An order that is being carried out."""

    def __init__(self, order: Order, process: subprocess.Popen[bytes], file: Path) -> None:
        self.order = order
        self._process = process
        self._file = file
        assert process.stdin is not None
        process.stdin.write(json.dumps(asdict(order)).encode())
        process.stdin.close()

    def taken(self) -> list[Taken]:
        """Return what Postfix took so far."""
        if not self._file.exists():
            return []
        text = self._file.read_text(encoding="utf-8")
        return [Taken(**json.loads(line)) for line in text[: text.rfind("\n") + 1].splitlines()]

    def wait(self, timeout_s: float = _ENDED_S) -> list[Taken]:
        """Wait until all of it was taken; return it."""
        self._process.wait(timeout_s)
        assert self._process.stderr is not None
        complaint = self._process.stderr.read().decode("utf-8", "replace")
        self._close()
        assert self._process.returncode == 0, complaint
        return self.taken()

    def stop(self) -> list[Taken]:
        """End it where it is; return what was taken. Does nothing to one that has ended."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._close()
        return self.taken()

    def _close(self) -> None:
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()


class Lab(GuardedHost):
    """One booted lab. Times are seconds since the epoch, as everywhere in this project."""

    def __init__(self) -> None:
        super().__init__()
        self._record = Reader(self.box.folder)
        self._injections: list[Injection] = []
        self._orders = 0
        self.booted_anew = ""
        """Why a reset was not enough, the last time that it was not; '' as long as it always was."""

    def end(self) -> None:
        """Take it down and remove what it left."""
        self._stop_injecting()
        self.box.stop()

    @override
    def reset(self) -> None:
        """Put everything back to how it was after the boot, receivers and their record as well. Where that can't be done, it is
        booted anew, and said why: no test spoils the next one.
        """
        self._stop_injecting()
        try:
            super().reset()
            self.order_receivers({"do": "reset"})
        except (AssertionError, OSError, subprocess.SubprocessError) as error:
            self.booted_anew = str(error)
            print(f"The lab is booted anew, for it could not be put back: {error}")  # noqa: T201  pytest shows it with a failure
            self._boot_anew()
        self._record.forget()

    def _boot_anew(self) -> None:
        self.box.stop()
        self.move_to(Container())
        self._record = Reader(self.box.folder)
        self.boot()

    def _stop_injecting(self) -> None:
        for injection in self._injections:
            injection.stop()
        self._injections = []

    @staticmethod
    def pause(seconds: float) -> None:
        """Let the lab go on for a while. Wait for a condition (`until`) wherever there is one."""
        time.sleep(seconds)

    # -- mail goes in

    def start_injecting(
        self,
        number: int,
        to: str | Iterable[str] = "google.test",
        *,
        client: str = world.TRUCKING,
        sender: str = "",
        port: int = 25,
        rate: float = 0.0,
        connections: int = 10,
        size: int = 1500,
        local_part: str = "r",
        headers: Iterable[tuple[str, str]] = (),
    ) -> Injection:
        """Begin to inject as Listmonk does: `number` messages to recipients of the domains `to`, in turn, each with an id and a
        recipient of its own. `client`: world.TRUCKING, HEALTHCARE or LOCAL. `rate`: messages a second; 0: at full speed.
        """
        self._orders += 1
        domains = (to,) if isinstance(to, str) else tuple(to)
        usual = {world.TRUCKING: world.TRUCKING_SENDER, world.HEALTHCARE: world.HEALTHCARE_SENDER}
        order = Order(
            run=f"o{self._orders}",
            number=number,
            domains=domains,
            sender=sender or usual.get(client, world.CRON_SENDER),
            client=client,
            port=port,
            connections=connections,
            rate=rate,
            size=size,
            local_part=local_part,
            headers=tuple(headers),
        )
        file = self.box.folder / f"injected-{order.run}.jsonl"
        injection = Injection(order, self.box.start_in_network("tests.lab.inject", str(file)), file)
        self._injections.append(injection)
        return injection

    def inject(self, number: int, to: str | Iterable[str] = "google.test", **more: Any) -> list[Taken]:
        """Inject as `start_injecting` does, and wait until Postfix took everything; return it."""
        return self.start_injecting(number, to, **more).wait()

    def cron_mail(self, to: str = "admin@small.test", *, sender: str = world.CRON_SENDER, subject: str = "cron") -> str:
        """Send one message by sendmail(1), as cron does; return its X-Lab-Id."""
        self._orders += 1
        message_id = f"s{self._orders}"
        letter = f"From: {sender}\nTo: {to}\nSubject: {subject}\nX-Lab-Id: {message_id}\n\nAll is well.\n"
        self.run(["sendmail", "-i", "-f", sender, to], stdin=letter)
        return message_id

    # -- the world

    def become(self, receiver: str, persona: Persona) -> None:
        """Let a receiver (world.NAMES) behave so from now on; it forgets what it saw before."""
        self.order_receivers({"do": "become", "receiver": receiver, "persona": asdict(persona)})

    def order_receivers(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """Tell the receivers' process something (receivers/__main__.py)."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(10)
            connection.connect(str(self.box.folder / RECEIVERS_SOCKET))
            with connection.makefile("rwb") as lines:
                lines.write(json.dumps(order).encode() + b"\n")
                lines.flush()
                answer: dict[str, Any] = json.loads(lines.readline())
        assert "error" not in answer, answer
        return answer

    def reached(
        self,
        *,
        since: float = 0.0,
        receiver: str = "",
        accepted: bool | None = None,
        where: Callable[[Attempt], bool] | None = None,
    ) -> list[Attempt]:
        """Return what reached the receivers (answered at or after `since`), in order: the truth about what left."""
        return [
            attempt
            for attempt in self._record.all()
            if attempt.at >= since
            and (not receiver or attempt.receiver == receiver)
            and (accepted is None or attempt.accepted == accepted)
            and (where is None or where(attempt))
        ]

    def delivered(self, *, since: float = 0.0, receiver: str = "") -> list[Attempt]:
        """Return what receivers took."""
        return self.reached(since=since, receiver=receiver, accepted=True)

    def account(self, taken: Iterable[Taken]) -> Account:
        """Say what became of messages. Ask when nothing is in flight."""
        messages = {message.id: message for message in taken}
        # The queue first: what leaves it meanwhile is in the record, which is written before a receiver answers.
        waiting = {recipient["address"].lower() for entry in self.queue() for recipient in entry["recipients"]}
        times = Counter(attempt.id for attempt in self.delivered() if attempt.id in messages)
        log = self.mail_log()
        gave_up = {recipient for recipient, status in _STATUS.findall(log) if status == "bounced"}
        expired = set(_EXPIRED.findall(log))
        rest = [message for message in messages.values() if message.id not in times]
        queued = [message for message in rest if message.recipient.lower() in waiting]
        rest = [message for message in rest if message.recipient.lower() not in waiting]
        bounced = [message for message in rest if message.recipient in gave_up or message.queue_id in expired]
        return Account(
            delivered=sum(1 for count in times.values() if count == 1),
            twice=tuple(sorted(message_id for message_id, count in times.items() if count > 1)),
            queued=len(queued),
            bounced=len(bounced),
            lost=tuple(sorted({message.id for message in rest} - {message.id for message in bounced})),
            delivered_and_queued=tuple(sorted(name for name in times if messages[name].recipient.lower() in waiting)),
        )
