"""The record of what reached the receivers: the lab's truth about what left.

One JSON line for each recipient of each attempt, written (one `write(2)`) before the answer is given, so a sender never knows
more than the record does. An attempt that was refused before a recipient was named has one line without recipient.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

from tests.lab import world

FILE: Final = "reached.jsonl"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at one recipient, as the receiver saw it."""

    at: float
    """When it was answered (or lost): seconds since the epoch, with microseconds."""
    monotonic: float
    """The same by the clock that never steps (the host's and the lab's are one)."""
    reached_at: float
    """When RCPT TO arrived; for one refused earlier, when the session began."""
    session: int
    """Number of the connection."""
    source: str
    """Address that it came from."""
    helo: str
    receiver: str
    address: str
    """Address that was connected to."""
    sender: str
    recipient: str
    """'' if none was named yet."""
    phase: str
    """Where it was decided: greeting, mail, rcpt, body (after the final dot)."""
    code: int
    """Reply code; 0: no answer, the connection ended or hung."""
    text: str
    """First 200 characters of the answer."""
    persona: str
    id: str
    """X-Lab-Id of the message; '' if its headers were not seen."""
    queue_id: str
    """The sender's queue id, from the newest Received header."""
    signed: str
    """d= of the DKIM signature; '' if there is none or the headers were not seen."""

    @property
    def accepted(self) -> bool:
        """Whether the message was taken: delivered, as far as the sender knows."""
        return self.phase == "body" and 200 <= self.code < 300

    @property
    def egress(self) -> str:
        """Name of the egress that it came from; the address itself if it is none's."""
        return world.EGRESS_OF.get(self.source, self.source)

    @property
    def domain(self) -> str:
        """Domain of the recipient, in lower case."""
        return self.recipient.rpartition("@")[2].lower()


class Writer:
    """Appends to the record."""

    def __init__(self, folder: Path) -> None:
        self._file = os.open(folder / FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self.test = 0
        """Which test this is the record of. A session of an earlier one, whose sender was killed, has nothing to say in it."""

    def add(self, attempt: Attempt) -> None:
        """Write one line."""
        os.write(self._file, (json.dumps(asdict(attempt)) + "\n").encode())

    def forget(self) -> None:
        """Begin anew."""
        self.test += 1
        os.ftruncate(self._file, 0)


class Reader:
    """Reads the record while it grows; what was read once is not read again."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._read: list[Attempt] = []
        self._offset = 0

    def all(self) -> list[Attempt]:
        """Return everything so far, in order."""
        with self._path.open("rb") as file:
            if file.seek(0, os.SEEK_END) < self._offset:
                self.forget()
            file.seek(self._offset)
            text = file.read()
        end = text.rfind(b"\n") + 1
        self._offset += end
        self._read += [_attempt(json.loads(line)) for line in text[:end].split(b"\n") if line]
        return self._read

    def forget(self) -> None:
        """Read from the beginning next time."""
        self._read, self._offset = [], 0


_FIELDS: Final = tuple(one.name for one in fields(Attempt))


def _attempt(line: dict[str, Any]) -> Attempt:
    return Attempt(*(line[name] for name in _FIELDS))
