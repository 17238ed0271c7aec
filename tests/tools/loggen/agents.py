"""smtp(8) processes: their pids, the connections they keep, how long things take."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final

from tests.tools.loggen.engine import Engine
from tests.tools.loggen.ids import Pids
from tests.tools.loggen.model import JOURNAL, MAIL_LOG, Egress, Host, HostConfig, Timing

_CACHE_S: Final = 2.0
"""smtp_connection_cache_time_limit (postconf(5)): a connection is kept this long for the next message."""
_CACHE_USES: Final = 100
_CONNECTIONS_KEPT: Final = 20_000
_PROCESSES: Final = 8
_TLS: Final = (
    "25: TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange X25519 server-signature ECDSA (prime256v1) "
    "server-digest SHA256"
)


@dataclass(slots=True)
class Connection:
    """An SMTP connection that smtp(8) keeps for the next message to the same host."""

    process: str
    kept_until: float
    uses: int = 1


class SmtpAgents:
    """The smtp(8) processes of all egresses."""

    def __init__(self, config: HostConfig, engine: Engine, pids: Pids, rng: Random) -> None:
        self._tls_log = config.tls_log
        self._place = JOURNAL if config.postfix_log == "journal" else MAIL_LOG
        self._log = engine.log
        self._pids = pids
        self._random = rng.random
        self._connections: dict[tuple[str, str], Connection] = {}
        self._processes: dict[str, list[str]] = {}

    def forget(self) -> None:
        """As after `postfix reload`: new processes, no connections."""
        self._connections.clear()
        self._processes.clear()

    def process(self, egress: Egress) -> str:
        """`tag[pid]` of the process that takes the next delivery of this egress; now and then it is a new one."""
        processes = self._processes.get(egress.name)
        if processes is None:
            processes = self._processes[egress.name] = [self._new(egress) for _ in range(_PROCESSES)]
        spot = int(self._random() * 128)
        if spot < _PROCESSES:
            processes[spot] = self._new(egress)
        return processes[spot % _PROCESSES]

    def connection(self, now: float, egress: Egress, host: Host) -> Connection:
        """A connection to the host: a cached one, or a new one with its TLS line."""
        key = (egress.name, host.name)
        connection = self._connections.get(key)
        if connection is not None and connection.kept_until > now and connection.uses < _CACHE_USES:
            connection.kept_until = now + _CACHE_S
            connection.uses += 1
            return connection
        if len(self._connections) > _CONNECTIONS_KEPT:
            self._connections.clear()
        connection = self._connections[key] = Connection(self.process(egress), now + _CACHE_S)
        if self._tls_log:
            line = f"{connection.process}: Untrusted TLS connection established to {host.label}:{_TLS}"
            self._log((now + 0.01, self._place, line, None))
        return connection

    def _new(self, egress: Egress) -> str:
        return f"{egress.tag}/smtp[{self._pids.new()}]"


def timings(rng: Random, count: int) -> list[Timing]:
    """Delays as a host with far receivers shows them: set-up and transmission around half a second, some of many."""
    found = []
    for _ in range(count):
        queued, active = rng.uniform(0.02, 0.2), rng.uniform(0.01, 0.05)
        connect, send = rng.lognormvariate(-1.2, 0.6), rng.lognormvariate(-0.6, 0.7)
        tail = f"/{_short(active)}/{_short(connect)}/{_short(send)}"
        total = queued + active + connect + send
        text = f"delay={_short(total)}, delays={_short(queued)}{tail}"
        found.append(Timing(text, 0.02 + active + connect + send, tail, 0.02 + connect + send))
    return found


def _short(seconds: float) -> str:
    """At most two significant digits, as Postfix's delay_logging_resolution_limit makes them."""
    return f"{seconds:.0f}" if seconds >= 10 else f"{seconds:.2g}"
