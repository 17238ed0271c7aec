"""pwmtad on the lab's host: as its real units, configured, started, stopped, killed and asked as on any host."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from typing_extensions import override

from pwmtad.core import state_json
from pwmtad.model.state import State
from tests.lab.configuration import PATH as CONFIG_PATH
from tests.lab.configuration import START_FILE, Value, configuration
from tests.lab.container import Ran
from tests.lab.host import Host

_DAY_S: Final = 86_400.0
_SOCKET: Final = "/run/pwmtad/pwmtad.sock"


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("pwmtad", timeout=10)
        self._path = str(path)

    @override
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(10)
        self.sock.connect(self._path)


class GuardedHost(Host):
    """A host with pwmtad."""

    def configure(
        self,
        mode: str = "observe",
        *,
        day: float = 0.0,
        window_ladder: Mapping[int, int] | None = None,
        pool_ladder: Mapping[int, int] | None = None,
        trucking: Mapping[str, Value | None] | None = None,
        healthcare: Mapping[str, Value | None] | None = None,
        sections: Mapping[str, Mapping[str, Value | None]] | None = None,
        more: str = "",
    ) -> None:
        """Write pwmtad.toml (configuration.py has the defaults) and the stamp of the warmup's begin, `day` days ago.

        The ladders are trucking's; `sections` are whole tables by name, None takes a key away; `more` is added as it is.
        """
        changed: dict[str, dict[str, Value | None]] = {name: dict(table) for name, table in (sections or {}).items()}
        changed.setdefault("streams.trucking", {}).update(trucking or {})
        changed.setdefault("streams.healthcare", {}).update(healthcare or {})
        ladders = changed.setdefault("streams.trucking.warmup", {})
        if window_ladder is not None:
            ladders["window_ladder_per_hour"] = window_ladder
        if pool_ladder is not None:
            ladders["pool_ladder"] = pool_ladder
        self.set_day(day)
        self.write(CONFIG_PATH, configuration(mode, changed, more))

    def set_day(self, day: float) -> None:
        """Write the stamp of the warmup's begin, `day` days ago; pwmtad takes it at a start or reload."""
        # Whole seconds, and one more, so that day 4 is not 3.99999.
        began_at = int(time.time() - day * _DAY_S) - 1  # noqa: TID251  a stamp as the user's script makes it
        self.write(START_FILE, f"{began_at}\n")

    def start_pwmtad(self, *, at_boot: bool = False) -> None:
        """`systemctl start pwmtad`, which returns when it is ready; with `at_boot` it is enabled as well."""
        units = "pwmtad.service"
        if self.run("systemctl cat pwmtad-helper.socket", check=False).code == 0:
            units += " pwmtad-helper.socket"
        if at_boot:
            self.run(f"systemctl enable --quiet {units}")
        ran = self.run(f"systemctl start {units}", check=False)
        assert ran.code == 0, f"{ran.err}\n{self.pwmtad_log()[-5000:]}"

    def stop_pwmtad(self) -> None:
        """`systemctl stop pwmtad`."""
        self.run("systemctl stop pwmtad.service")

    def reload_pwmtad(self) -> None:
        """`systemctl reload pwmtad`, which returns at once (Debian 12)."""
        self.run("systemctl reload pwmtad.service")

    def kill_pwmtad(self, signal: str = "KILL") -> None:
        """Send its main process a signal."""
        self.run(f"systemctl kill --kill-who=main --signal={signal} pwmtad.service")

    def pwmtad_is(self) -> str:
        """Return active, activating, failed, inactive ... as systemd says."""
        return self.run("systemctl is-active pwmtad.service", check=False).out.strip()

    def pwmtad(self, *arguments: str) -> Ran:
        """Run its command line as root; never raises."""
        return self.run(["/opt/pwmtad/bin/pwmtad", *arguments], check=False)

    def get(self, target: str) -> bytes:
        """Ask pwmtad over its Unix socket. Raises OSError while nobody listens."""
        connection = _Connection(self.box.inside(_SOCKET))
        try:
            connection.request("GET", target)
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        assert answer.status == http.client.OK, f"{target}: {answer.status} {body.decode()}"
        return body

    def state(self) -> State:
        """Return what pwmtad sees now."""
        return state_json.decode(self.get("/api/v1/state"))

    def metrics(self) -> dict[str, float]:
        """Return samples by `name{label="value",...}`."""
        lines = (line.rpartition(" ") for line in self.get("/metrics").decode().splitlines() if not line.startswith("#"))
        return {name: float(value) for name, _, value in lines}

    def records(self, **query: str) -> list[dict[str, Any]]:
        """Return decisions, as JSON has them."""
        asked = "&".join(f"{name}={value}" for name, value in query.items())
        found: list[dict[str, Any]] = json.loads(self.get(f"/api/v1/records?limit=1000&{asked}"))
        return found
