"""Fixtures of the adapters' tests: every kind of store, and a PostgreSQL of their own for the tests to use and to hurt."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from pwmtad.adapters.store import MemoryStore, SqliteReader, SqliteStore
from pwmtad.adapters.store.postgres import PostgresReader, PostgresStore
from tests.unit.adapters.store_data import Shelf

PORT = "54329"  # names the socket in a folder of its own; no TCP


class PostgresCluster:
    """A private PostgreSQL on a Unix socket in `folder`. PostgreSQL refuses to run as root, so then it runs as `postgres`."""

    def __init__(self, folder: Path) -> None:
        binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
        assert binaries, "PostgreSQL is missing: apt-get install -y postgresql"
        self.folder = folder
        self._data = str(folder / "data")
        self._binaries = binaries[-1].parent
        self.url = f"postgresql://postgres@/postgres?host={folder}&port={PORT}"

    def start(self) -> None:
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres", "postgres")
        self._run("initdb", "-D", self._data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        self.start_again()

    def start_again(self) -> None:
        options = f"-k {self.folder} -p {PORT} -c listen_addresses='' -c fsync=off -c max_connections=20"
        self._run("pg_ctl", "-D", self._data, "-w", "-l", str(self.folder / "log"), "-o", options, "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", self._data, "-w", "-m", "immediate", "stop")

    def sql(self, text: str) -> str:
        return self._run("psql", "-h", str(self.folder), "-p", PORT, "-U", "postgres", "-Atqc", text).strip()

    def _run(self, program: str, *arguments: str) -> str:
        user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        command = [*user, str(self._binaries / program), *arguments]
        done = subprocess.run(command, cwd="/", capture_output=program != "pg_ctl", text=True, check=False, timeout=60)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout or ""


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[PostgresCluster]:
    with tempfile.TemporaryDirectory(prefix="pwmtad-pg-") as folder:  # short: a Unix socket's path has at most 107 bytes
        cluster = PostgresCluster(Path(folder))
        cluster.start()
        yield cluster
        cluster.stop()


@pytest.fixture
def postgres(postgres_cluster: PostgresCluster) -> PostgresCluster:
    """The cluster, without anything of earlier tests."""
    postgres_cluster.sql("DROP SCHEMA IF EXISTS pwmtad CASCADE")
    return postgres_cluster


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.services)])
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Shelf:
    """Every kind of store, empty."""
    if request.param == "memory":
        store = MemoryStore()
        return Shelf("memory", lambda: store, lambda: store)
    if request.param == "sqlite":
        path = str(tmp_path / "store.db")
        return Shelf("sqlite", partial(SqliteStore, path), partial(SqliteReader, path))
    url = request.getfixturevalue("postgres").url
    return Shelf("postgres", partial(PostgresStore, url), partial(PostgresReader, url))
