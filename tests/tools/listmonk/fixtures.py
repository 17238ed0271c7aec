"""Fixtures for tests that need a Listmonk: `pytest_plugins = ["tests.tools.listmonk.fixtures"]` in the test module.

In: a private PostgreSQL cluster, an SMTP sink. Out: `listmonk`, which starts stand-ins. pytest alone may import this module;
what tests import is in world.py.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from tests.tools.listmonk.options import Options
from tests.tools.listmonk.sink import Sink
from tests.tools.listmonk.standin import running
from tests.tools.listmonk.world import Starter, World, basic
from tests.unit.adapters.conftest import PORT, PostgresCluster

_QUICK: Final = 50.0
"""Speed of the stand-in's clock in tests: a scan each 0.1 s."""


@pytest.fixture(scope="session")
def listmonk_cluster() -> Iterator[PostgresCluster]:
    """A private PostgreSQL."""
    with tempfile.TemporaryDirectory(prefix="pwmtad-lm-") as folder:
        cluster = PostgresCluster(Path(folder))
        cluster.start()
        yield cluster
        cluster.stop()


@pytest.fixture
def listmonk_databases(listmonk_cluster: PostgresCluster) -> Iterator[Callable[[], str]]:
    """Makes empty databases: one for each instance."""
    made: list[str] = []
    numbers = itertools.count()

    def make() -> str:
        name = f"listmonk_{next(numbers)}"
        listmonk_cluster.sql(f"CREATE DATABASE {name}")
        made.append(name)
        return f"postgresql://postgres@/{name}?host={listmonk_cluster.folder}&port={PORT}"

    yield make
    for name in made:
        listmonk_cluster.sql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def sink() -> AsyncIterator[Sink]:
    """An SMTP server that accepts."""
    opened = Sink()
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
def listmonk(listmonk_databases: Callable[[], str], sink: Sink) -> Starter:
    """Starts stand-ins; without `database`, each on a database of its own. They send quickly: no pause between messages."""

    @asynccontextmanager
    async def start(version: str, **given: Any) -> AsyncIterator[World]:
        settings = {"app.message_rate": 1000, **given.pop("settings", {})}
        database = given.pop("database", None) or listmonk_databases()
        options = Options(
            version=version, database=database, settings=settings, **{"smtp": sink.address, "speed": _QUICK, **given}
        )
        async with running(options) as standin, aiohttp.ClientSession(headers=_credentials(options)) as session:
            # aiohttp sends GET and PUT again by itself, once, when the connection is dropped: a test would not see the drop.
            session._retry_connection = False
            yield World(standin, session, sink)

    return start


def _credentials(options: Options) -> dict[str, str]:
    name, secret = options.admin if options.version.startswith("3") else options.user
    if not name:
        return {}
    if options.version.startswith("3"):
        return {"Authorization": basic(name, secret)}
    return {"Authorization": f"token {name}:{secret}"}
