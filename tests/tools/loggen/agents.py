"""smtp(8) processes: their pids, the connections they keep, how long things take."""

from __future__ import annotations

from random import Random
from typing import Final

from tests.tools.loggen.engine import Engine
from tests.tools.loggen.ids import Pids
from tests.tools.loggen.model import JOURNAL, MAIL_LOG, Egress, Host, HostConfig, Timing

_CACHE_S: Final = 2.0
"""smtp_connection_cache_time_limit (postconf(5)): a connection is kept this long for the next message."""
_CACHE_USES: Final = 100
_SESSIONS_KEPT: Final = 20_000
_PROCESSES: Final = 8
_TLS: Final = (
    "25: TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange X25519 server-signature ECDSA (prime256v1) "
    "server-digest SHA256"
)


class SmtpAgents:
    """The smtp(8) processes of all egresses."""

    def __init__(self, config: HostConfig, engine: Engine, pids: Pids, rng: Random) -> None:
        self._tls_log = config.tls_log
        self._place = JOURNAL if config.postfix_log == "journal" else MAIL_LOG
        self._log = engine.log
        self._pids = pids
        self._random = rng.random
        self._sessions: dict[tuple[str, str], list[float]] = {}
        self._smtp_pids: dict[str, list[int]] = {}

    def forget(self) -> None:
        """As after `postfix reload`: new processes, no connections."""
        self._sessions.clear()
        self._smtp_pids.clear()

    def pid_of(self, egress: Egress) -> int:
        """The process that takes the next delivery of this egress."""
        pids = self._smtp_pids.get(egress.name)
        if pids is None:
            pids = self._smtp_pids[egress.name] = [self._pids.new() for _ in range(_PROCESSES)]
        spot = int(self._random() * 128)
        if spot >= _PROCESSES:
            return pids[spot % _PROCESSES]
        pids[spot] = self._pids.new()
        return pids[spot]

    def connection(self, now: float, egress: Egress, host: Host) -> tuple[int, int]:
        """(pid, conn_use) of a connection to the host: a cached one, or a new one with its TLS line."""
        key = (egress.name, host.name)
        session = self._sessions.get(key)
        if session is not None and session[1] > now and session[2] < _CACHE_USES:
            session[1] = now + _CACHE_S
            session[2] += 1
            return int(session[0]), int(session[2])
        pid = self.pid_of(egress)
        if len(self._sessions) > _SESSIONS_KEPT:
            self._sessions.clear()
        self._sessions[key] = [pid, now + _CACHE_S, 1]
        if self._tls_log:
            line = f"{egress.tag}/smtp[{pid}]: Untrusted TLS connection established to {host.label}:{_TLS}"
            self._log((now + 0.01, self._place, line, None))
        return pid, 1


def timings(rng: Random, count: int) -> list[Timing]:
    """Delays as a host with far receivers shows them: set-up and transmission around half a second, some of many."""
    found = []
    for _ in range(count):
        queued, active = rng.uniform(0.02, 0.2), rng.uniform(0.01, 0.05)
        connect, send = rng.lognormvariate(-1.2, 0.6), rng.lognormvariate(-0.6, 0.7)
        tail = f"/{_short(active)}/{_short(connect)}/{_short(send)}"
        total = queued + active + connect + send
        found.append(Timing(_short(total), _short(queued) + tail, 0.02 + active + connect + send, tail, 0.02 + connect + send))
    return found


def _short(seconds: float) -> str:
    """At most two significant digits, as Postfix's delay_logging_resolution_limit makes them."""
    return f"{seconds:.0f}" if seconds >= 10 else f"{seconds:.2g}"
