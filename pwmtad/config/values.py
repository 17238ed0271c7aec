"""Values that a key holds once it is read. Each can be written back as the file writes it."""

from __future__ import annotations

from bisect import bisect_right
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final, TypeAlias

from msgspec import Struct
from typing_extensions import override

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

LOCALHOST: Final = "localhost"


class Ladder(Struct, frozen=True):
    """Warmup day -> value. `rungs` are (day, value), days ascending from 0; a value holds until the next rung's day."""

    rungs: tuple[tuple[int, int], ...]

    def value_at(self, day: int) -> int:
        """Return the value of `day`; a day before 0 counts as 0."""
        index = bisect_right(self.rungs, day, key=lambda rung: rung[0]) - 1
        return self.rungs[max(index, 0)][1]

    @property
    def max_value(self) -> int:
        """The largest value of any day."""
        return max(value for _, value in self.rungs)

    def as_toml(self) -> str:
        """Return the ladder as it is written in the file."""
        return "{ " + ", ".join(f"{day} = {value}" for day, value in self.rungs) + " }"


class FileLog(Struct, frozen=True):
    """A log file that is followed by name."""

    path: str

    @override
    def __str__(self) -> str:
        return self.path

    def as_toml(self) -> str:
        """Return the value as it is written in the file."""
        return repr(str(self))


class JournalLog(Struct, frozen=True):
    """The journal entries of one systemd unit."""

    unit: str

    @override
    def __str__(self) -> str:
        return f"journal:{self.unit}"

    def as_toml(self) -> str:
        """Return the value as it is written in the file."""
        return repr(str(self))


class InPostfixLog(Struct, frozen=True):
    """OpenDKIM's lines are taken from the source that brings Postfix's."""

    def as_toml(self) -> str:
        """Return the value as it is written in the file."""
        return repr("mail.log")


class NoLog(Struct, frozen=True):
    """There is no such log: what it would tell stays unknown."""

    def as_toml(self) -> str:
        """Return the value as it is written in the file."""
        return repr("none")


PostfixLog: TypeAlias = FileLog | JournalLog
OpendkimLog: TypeAlias = FileLog | JournalLog | InPostfixLog | NoLog


class SqliteUrl(Struct, frozen=True):
    """An SQLite file at an absolute path."""

    path: str

    @override
    def __str__(self) -> str:
        return f"sqlite:{self.path}"

    def as_toml(self) -> str:
        """Return the value as it is written in the file."""
        return repr(str(self))


class PostgresUrl(Struct, frozen=True):
    """A PostgreSQL database; `url` holds no password."""

    url: str

    @override
    def __str__(self) -> str:
        return self.url

    def as_toml(self) -> str:
        """Return the value as it is written in the file."""
        return repr(str(self))


StoreUrl: TypeAlias = SqliteUrl | PostgresUrl


class ListenAddress(Struct, frozen=True):
    """Where to listen: an IP address (or `localhost`) and a TCP port."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Only this host can connect."""
        return self.host == LOCALHOST or ip_address(self.host).is_loopback

    @override
    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def as_toml(self) -> str:
        """Return the value as it is written in the file."""
        return repr(str(self))
