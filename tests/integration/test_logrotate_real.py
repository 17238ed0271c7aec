"""The real logrotate at work on a log that is being written and followed."""

from __future__ import annotations

import asyncio
import gzip
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path

import pytest

from pwmtad.adapters.tail import FileSource
from pwmtad.model.sources import Checkpoint

pytestmark = pytest.mark.services

ROTATIONS = 4

MODES = {
    # As on the user's host, whose postlogd never opens its file anew.
    "copytruncate": "copytruncate\ncompress",
    "copytruncate, packed later": "copytruncate\ncompress\ndelaycompress",
    "copytruncate, dated": "copytruncate\ncompress\ndateext\ndateformat -%Y%m%d-%s",
    # As Debian's rsyslog does it.
    "rename and create": "create 0640\ncompress\ndelaycompress\nsharedscripts",
    "rename, dated": "nocreate\ncompress\ndateext\ndateformat -%Y%m%d-%s",
}


def find_logrotate() -> str:
    path = shutil.which("logrotate", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    assert path, "logrotate is missing: apt-get install -y logrotate"
    return path


class Logger:
    """Writes numbered lines, each in one write, until told to stop; opens its file anew when a file asks for it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.written = 0
        self.ask = path.with_name("reopen")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    @contextmanager
    def running(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._stop.set()
            self._thread.join()

    def _open(self) -> int:
        return os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)

    def _run(self) -> None:
        descriptor = self._open()
        while not self._stop.wait(0.0002):
            if self.ask.exists():
                os.close(descriptor)
                descriptor = self._open()
                self.ask.unlink()
            os.write(descriptor, b"2026-11-24T02:52:02 relay postfix/qmgr[1]: %08d: removed\n" % self.written)
            self.written += 1
        os.close(descriptor)


def number(record: object) -> int:
    return int(str(record).split(": ")[1])


def rotated(path: Path) -> list[Path]:
    return list(path.parent.glob("mail.log?*"))


def on_disk(path: Path) -> set[int]:
    """The numbers of all lines that rotation has left."""
    found: set[int] = set()
    for file in [path, *rotated(path)]:
        content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        found |= {number(line) for line in content.decode().splitlines()}
    return found


@pytest.mark.parametrize("mode", MODES)
async def test_logrotate_neither_loses_nor_doubles_a_line(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "mail.log"
    logger = Logger(path)
    configuration = tmp_path / "logrotate.conf"
    # Until it has opened its file anew, else what is packed at once may lack the last line.
    asks = f"touch {logger.ask}\nwhile [ -e {logger.ask} ]; do sleep 0.01; done"
    reopen = "" if "copytruncate" in mode else f"\npostrotate\n{asks}\nendscript"
    configuration.write_text(f"{path} {{\nrotate 50\nmissingok\n{MODES[mode]}{reopen}\n}}\n")
    configuration.chmod(0o644)
    command = [find_logrotate(), "--force", "--state", str(tmp_path / "state"), str(configuration)]

    read: list[int] = []
    committed: Checkpoint | None = None

    async def follow(until: int) -> None:
        """Read until so many lines were written and all of them that are left were read; then be killed."""
        nonlocal committed
        source = FileSource(path, name="mail", chunk_bytes=4096)
        async with aclosing(source.batches(committed)) as batches:
            async for batch in batches:
                read.extend(number(record) for record in batch.records)
                committed = batch.checkpoint
                assert batch.health.gaps == 0
                if logger.written >= until and batch.caught_up and read[-1:] >= [until]:
                    return

    with logger.running():
        await follow(50)
        for rotation in range(ROTATIONS):
            rotating = asyncio.create_task(asyncio.to_thread(subprocess.run, command, check=True, timeout=60))
            if rotation % 3 != 2:  # every third time, we are down while it happens
                await follow(logger.written + 100)
            await rotating
            await asyncio.sleep(1.1 if "dated" in mode else 0.05)  # dates have whole seconds
        await follow(logger.written + 50)
    while read[-1] < logger.written - 1:
        await follow(logger.written - 1)

    assert len(rotated(path)) == ROTATIONS
    assert read == sorted(set(read))
    assert on_disk(path) <= set(read)
    if "copytruncate" not in mode:
        assert read == list(range(logger.written))
