"""The stand-in as a program of its own: `python -m tests.tools.listmonk`."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
import pytest

from tests.tools.listmonk.sink import Sink
from tests.tools.listmonk.truth import Event, Sending
from tests.tools.listmonk.world import PATIENCE_S

pytest_plugins = ["tests.tools.listmonk.fixtures"]
pytestmark = pytest.mark.services

ROOT: Final = Path(__file__).resolve().parents[3]


class Program:
    def __init__(self, process: asyncio.subprocess.Process, url: str, session: aiohttp.ClientSession) -> None:
        self.process = process
        self.url = url
        self._session = session

    async def call(self, name: str, **sent: Any) -> Any:
        async with self._session.post(f"http://control/_test/{name}", json=sent) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def sent(self, count: int) -> None:
        for _ in range(round(PATIENCE_S / 0.02)):
            async with self._session.get("http://control/_test/state") as answer:
                if (await answer.json()).get("sent", 0) >= count:
                    return
            await asyncio.sleep(0.02)
        raise TimeoutError(f"{count} were not sent")


@asynccontextmanager
async def program(folder: Path, *arguments: str) -> AsyncIterator[Program]:
    socket = folder / "control"
    socket.unlink(missing_ok=True)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.tools.listmonk", "--listen", "127.0.0.1:0", "--control", f"unix:{socket}",
        "--truth", str(folder / "truth"), "--speed", "50", *arguments,
        cwd=ROOT, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), PATIENCE_S)
        async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(socket))) as session:
            yield Program(process, json.loads(line)["url"], session)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_it_serves_sends_and_ends_on_sigterm(tmp_path: Path, listmonk_databases: Callable[[], str], sink: Sink) -> None:
    arguments = ("--version", "5.1", "--database", listmonk_databases(), "--smtp", sink.address, "--user", "me:mine")
    async with program(tmp_path, *arguments) as one:
        people = await one.call("subscribers", count=20)
        await one.call("campaigns", lists=[people["list"]], status="running")
        await one.sent(20)
        headers = {"Authorization": "token me:mine"}
        async with aiohttp.ClientSession(headers=headers) as session, session.get(f"{one.url}/api/config") as answer:
            assert (await answer.json())["data"]["version"] == "v5.1.0"
        one.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(one.process.wait(), PATIENCE_S) == 0
    assert len(sink.received) == 20


async def test_what_really_happened_outlives_kill_9(tmp_path: Path, listmonk_databases: Callable[[], str], sink: Sink) -> None:
    """Facts: campaigns, checkpoint after a crash."""
    arguments = (
        "--version", "6.2", "--database", listmonk_databases(), "--smtp", sink.address, "--set", "app.batch_size=30",
        "--set", "app.message_sliding_window=true", "--set", "app.message_sliding_window_rate=10",
    )  # fmt: skip
    async with program(tmp_path, *arguments) as one:
        people = await one.call("subscribers", count=60)
        await one.call("campaigns", lists=[people["list"]], status="running")
        await one.sent(10)
        one.process.kill()
    async with program(tmp_path, *arguments) as one:
        await one.sent(20)
    lines = (tmp_path / "truth").read_bytes().splitlines()
    events = [msgspec.json.decode(line, type=Event) for line in lines]
    sendings = [event for event in events if isinstance(event, Sending)]
    assert [(each.start, each.subscriber) for each in sendings] == [
        *((1, number) for number in range(1, 11)), *((2, number) for number in range(31, 41)),
    ]  # fmt: skip
    assert sink.addresses() == [each.email for each in sendings]


async def test_a_start_that_fails_ends_it_when_a_supervisor_is_there(tmp_path: Path) -> None:
    """Facts: settings, crash loop."""
    arguments = ("--version", "6.2", "--database", f"postgresql://x@/x?host={tmp_path}&port=1", "--exit-on-fatal")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.tools.listmonk", "--control", f"unix:{tmp_path}/control", *arguments,
        cwd=ROOT, stderr=subprocess.PIPE,
    )  # fmt: skip
    _, error = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert process.returncode == 1
    assert error.startswith(b"error connecting to DB")


@pytest.mark.parametrize("version", ["2.5", "7", "latest", "", "6.x"])
async def test_versions_that_are_not_played_are_refused(version: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.tools.listmonk", "--version", version, "--database", "x", cwd=ROOT, stderr=subprocess.PIPE
    )
    _, error = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert process.returncode == 2
    assert b"no version of Listmonk" in error
