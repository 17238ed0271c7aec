"""A Listmonk beside the lab's host: the stand-in, in the lab's network, from trucking's address, with a real PostgreSQL.

It is part of the world around the host, as the receivers are: it goes on while the host reboots. Its database and its control
are reached from outside by Unix sockets.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from typing import Any, Final

from tests.lab import world
from tests.lab.lab import Lab
from tests.tools.listmonk.program import MODULE, TOKEN, Database, Program
from tests.unit.adapters.conftest import PostgresCluster

URL: Final = "http://127.0.0.1:9000"
SENDER: Final = f"News <{world.TRUCKING_SENDER}>"
TABLE: Final[dict[str, Any]] = {"url": URL, "user": "pwmtad", "token_file": "/run/credentials/pwmtad.service/listmonk"}
"""[streams.trucking.listmonk] as docs/listmonk.md has it."""
_NUMBERS: Final = itertools.count()


@contextlib.contextmanager
def listmonk(lab: Lab, cluster: PostgresCluster, version: str, *settings: str) -> Iterator[Program]:
    """Run one, and hand its token to pwmtad's unit as docs/listmonk.md says. `settings`: KEY=JSON of a fresh database."""
    database = Database(cluster, f"lab_{next(_NUMBERS)}")
    control = lab.box.folder / f"{database.name}.sock"
    chosen = [word for setting in settings for word in ("--set", setting)]
    process = lab.box.start_in_network(
        MODULE,
        *("--version", version, "--database", database.url, "--listen", URL.removeprefix("http://")),
        *("--control", f"unix:{control}", "--smtp", f"{world.SMTPD}:25", "--source", world.TRUCKING, *chosen),
    )
    program = Program(process, control, database)
    try:
        program.ready()
        lab.write("/etc/pwmtad/listmonk.token", f"{TOKEN}\n", mode=0o600)
        lab.write("/etc/systemd/system/pwmtad.service.d/listmonk.conf", _DROP_IN)
        lab.run("systemctl daemon-reload")
        yield program
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
        database.drop()


_DROP_IN: Final = "[Service]\nLoadCredential=listmonk:/etc/pwmtad/listmonk.token\n"
