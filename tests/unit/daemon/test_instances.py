"""Several instances at once: each by itself, and following the configuration."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from pwmtad.config import Settings, load_settings
from pwmtad.daemon.campaigns import Campaigns
from pwmtad.daemon.instances import Instances
from pwmtad.model.listmonk import Failure, Trouble
from pwmtad.model.names import StreamName
from tests.tools.judging import Run
from tests.tools.listmonk_fake import FakeListmonk
from tests.unit.daemon.listmonk_world import NOW

_STREAM = """
[streams.{name}]
egresses = ["{egress}"]
ceiling_per_day = 100000
warmup.start = 2026-06-02T00:00:00Z
"""
_TABLE = """
[streams.{name}.listmonk]
url = "{url}"
user = "pwmtad"
token_file = "/etc/pwmtad/{name}.token"
"""


def configured(**urls: str) -> Settings:
    text = 'mode = "enforce"\n'
    for number, (name, url) in enumerate(urls.items()):
        text += _STREAM.format(name=name, egress=f"out{number:02}")
        text += _TABLE.format(name=name, url=url) if url else ""
    settings = load_settings(text.encode(), file="pwmtad.toml")
    assert isinstance(settings, Settings), settings
    return settings


BOTH = configured(trucking="http://127.0.0.1:9000", healthcare="http://127.0.0.1:9001")


class World:
    """Two instances, whose time passes ten thousand times as fast while a test waits."""

    def __init__(self, settings: Settings = BOTH) -> None:
        self.run = Run(settings=settings)
        self.listmonks: dict[str, FakeListmonk] = {}
        self.made: list[tuple[str, str]] = []
        self.closed: list[str] = []
        self._begun = asyncio.get_running_loop().time()
        self.instances = Instances(self._make, settings)

    def now(self) -> float:
        return NOW + 10_000 * (asyncio.get_running_loop().time() - self._begun)

    def _make(self, name: StreamName, settings: Settings) -> Campaigns:
        listmonk = settings.streams[name].listmonk
        assert listmonk is not None
        self.made.append((name, listmonk.url))
        fake = self.listmonks.setdefault(name, FakeListmonk(self.now))

        async def close() -> None:
            self.closed.append(name)

        fake.close = close  # type: ignore[method-assign]
        return Campaigns(
            stream=name, port=fake, guard=self.run.guard, commit=self._commit, clock=self.now, monotonic=self.now,
            jitter=lambda: 0.5, settings=settings,
        )  # fmt: skip

    async def _commit(self) -> bool:
        self.run.commit()
        return True

    async def until(self, ask: Callable[[], Any]) -> None:
        """Let everything run until `ask()` is truthy."""
        async with asyncio.timeout(20):
            while not ask():
                self.run.look(self.now())
                self.instances.wake()
                await asyncio.sleep(0.0002)


@asynccontextmanager
async def running(settings: Settings = BOTH) -> AsyncIterator[World]:
    world = World(settings)
    task = asyncio.create_task(world.instances.run())
    try:
        yield world
    finally:
        task.cancel()
        await asyncio.wait([task])


def unreachable(world: World) -> list[str]:
    return [one.text.partition(":")[0] for one in world.instances.findings() if one.code == "listmonk_unreachable"]


def row(world: World, name: str) -> Any:
    return next((one for one in world.instances.acting() if one.stream == name), None)


async def test_each_stream_with_a_table_has_its_instance() -> None:
    async with running(configured(trucking="http://127.0.0.1:9000", healthcare="")) as world:
        await world.until(lambda: row(world, "trucking") and row(world, "trucking").in_force)
        assert world.made == [("trucking", "http://127.0.0.1:9000")]
        assert world.instances.findings() == ()


async def test_one_that_hangs_keeps_the_other_neither_from_its_window_nor_from_its_halt() -> None:
    async with running() as world:
        await world.until(lambda: len(world.listmonks) == 2)
        hanging = asyncio.Event()

        async def hang(*, whole: bool) -> Failure:
            await hanging.wait()
            return Failure(Trouble.UNREACHABLE, "no answer" if whole else "none")

        world.listmonks["trucking"].look = hang  # type: ignore[method-assign]
        world.listmonks["healthcare"].add(7)
        await world.until(lambda: row(world, "healthcare").in_force and row(world, "healthcare").doing == "")
        for stream in ("trucking", "healthcare"):
            world.run.guard.halt(stream, 30 * 86_400, "a test", world.now())
        await world.until(lambda: world.listmonks["healthcare"].status(7) == "paused")
        hanging.set()
        # Of the other one it may be said that its pause was first seen late: where a pass takes 3 ms, that is half a minute.
        await world.until(lambda: unreachable(world) == ["trucking"])


async def test_a_reload_begins_ends_and_moves_instances() -> None:
    async with running() as world:
        await world.until(lambda: len(world.made) == 2)
        world.instances.reconfigure(configured(trucking="http://127.0.0.1:9000", healthcare=""))
        await world.until(lambda: world.closed == ["healthcare"])
        assert [one.stream for one in world.instances.acting()] == ["trucking"]
        world.instances.reconfigure(configured(trucking="http://127.0.0.1:9009", healthcare=""))
        await world.until(lambda: len(world.made) == 3)
        assert world.made[-1] == ("trucking", "http://127.0.0.1:9009")
        world.instances.reconfigure(configured(trucking="http://127.0.0.1:9009", healthcare="http://127.0.0.1:9001"))
        await world.until(lambda: len(world.made) == 4)
        assert world.closed == ["healthcare", "trucking"]


async def test_at_the_end_all_let_go_of_their_connections() -> None:
    async with running() as world:
        await world.until(lambda: len(world.made) == 2)
    assert sorted(world.closed) == ["healthcare", "trucking"]


async def test_what_nobody_knows_of_one_listmonk_keeps_its_own_stream_from_growing_and_no_other_one() -> None:
    async with running() as world:
        await world.until(lambda: all(row(world, name) and row(world, name).in_force for name in ("trucking", "healthcare")))
        world.listmonks["trucking"].trouble = Failure(Trouble.NONSENSE, "a login page")
        await world.until(lambda: not growth(world)["trucking"])
        assert growth(world)["healthcare"]
        world.listmonks["trucking"].trouble = None
        await world.until(lambda: growth(world)["trucking"])
        world.listmonks["trucking"].trouble = Failure(Trouble.UNREACHABLE, "no answer")
        await world.until(lambda: not growth(world)["trucking"])
        world.instances.reconfigure(configured(trucking="", healthcare="http://127.0.0.1:9001"))
        await world.until(lambda: growth(world)["trucking"])


def growth(world: World) -> dict[str, bool]:
    return {str(one.stream): one.growth for one in world.run.guard.desired(world.now())}
