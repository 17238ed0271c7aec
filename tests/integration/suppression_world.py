"""Log lines in, blocklisted subscribers out: the real observer, rules, store and adapter, at a stand-in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from pwmtad.adapters.listmonk.audience import ListmonkAudience
from pwmtad.adapters.store import SqliteStore
from pwmtad.config import Settings, load_settings
from pwmtad.core.guard import Guard
from pwmtad.core.observe import Observer
from pwmtad.core.policy import Policy
from pwmtad.core.wiring import POSTFIX_SOURCE, parts_of, source_kinds
from pwmtad.daemon.ingest import Ingest
from pwmtad.daemon.suppress import Suppress
from pwmtad.model.names import StreamName
from pwmtad.model.sources import Batch, SourceHealth
from pwmtad.model.suppression import ReportState, Suppression, SuppressionQuery
from tests.tools.bounce_lines import RULES
from tests.tools.judging import START
from tests.tools.listmonk.world import PATIENCE_S, World

NAME: Final = StreamName("trucking")
NOW: Final = START + 8 * 86_400
ROOT_URL: Final = "http://localhost:9000"
"""What a fresh stand-in calls itself."""

_SETTINGS = """
mode = "{mode}"
[log]
opendkim = "none"
{more}
[streams.trucking]
egresses = ["out05"]
warmup.start = 2026-06-02T00:00:00Z
[streams.trucking.listmonk]
url = "{url}"
user = "{user}"
token_file = "{token_file}"
root_url = "{root_url}"
timeout_s = 30.0
{listmonk}
"""


def settings_for(
    one: World,
    folder: Path,
    *,
    user: tuple[str, str] = ("pwmtad", "token-of-pwmtad"),
    root_url: str = ROOT_URL,
    mode: str = "enforce",
    more: str = "",
    listmonk: str = "",
) -> Settings:
    """Return the configuration of a stream whose Listmonk is this stand-in; its token is in a file."""
    file = folder / f"token-{user[0]}"
    file.write_text(f"{user[1]}\n")
    text = _SETTINGS.format(
        url=one.standin.url, user=user[0], token_file=file, root_url=root_url, mode=mode, more=more, listmonk=listmonk
    )
    settings = load_settings(text.encode(), file="pwmtad.toml")
    assert isinstance(settings, Settings), settings
    return settings


class Suppressing:
    """What the daemon runs for one stream, without its tasks: `read` counts lines, `passes` tells Listmonk."""

    def __init__(self, one: World, settings: Settings, folder: Path) -> None:
        self.one = one
        self.settings = settings
        self.store_works = True
        self._begun = asyncio.get_running_loop().time()
        self._store = SqliteStore(str(folder / "store.db"))

    async def start(self) -> None:
        """Start (again) with what is stored."""
        await self._store.open()
        ledger = await self._store.load(NOW - 86_400)
        own = frozenset(domain for operator in RULES.operators for domain in operator.domains)
        self.guard = Guard(Policy(settings=self.settings, stop_rules=(), own_domains=own), ledger.judgement)
        self.observer = Observer(
            parts=parts_of(self.settings, RULES, None),
            sources=source_kinds(self.settings),
            max_reasons_per_day=100,
            now=self.now(),
            guard=self.guard,
        )
        self.observer.load(ledger, self.now())
        self._ingest = Ingest(
            sources=[],
            store=self._store,
            store_url="sqlite",
            observer=self.observer,
            clock=self.now,
            monotonic=self.now,
            commit_interval_s=1.0,
        )
        listmonk = self.settings.streams[NAME].listmonk
        assert listmonk is not None
        self.port = ListmonkAudience.of(listmonk, lambda: 0.5)
        self.suppress = Suppress(
            stream=NAME,
            port=self.port,
            store=self._store,
            guard=self.guard,
            commit=self.commit,
            clock=self.now,
            monotonic=self.now,
            jitter=lambda: 0.5,
            settings=self.settings,
        )

    async def stop(self) -> None:
        """End without a last commit."""
        await self.port.close()
        await self._store.close()

    def now(self) -> float:
        """Seconds since the epoch, as fast as the stand-in's."""
        return NOW + (asyncio.get_running_loop().time() - self._begun) * self.one.standin.options.speed

    async def commit(self) -> bool:
        """Make everything durable, if the store works."""
        return await self._ingest.commit() if self.store_works else False

    async def read(self, lines: Sequence[str]) -> None:
        """Count lines, and store what followed."""
        self.observer.take(Batch(POSTFIX_SOURCE, list(lines), None, True, SourceHealth()), self.now())
        assert await self.commit()

    async def passes(self, count: int = 1) -> None:
        """Let it tell Listmonk so many times."""
        for _ in range(count):
            await self.suppress.step()

    async def until(self, what: str, ask: Callable[[], Any]) -> None:
        """Tell Listmonk until `await ask()` is truthy. Raises TimeoutError that names `what`."""
        end = asyncio.get_running_loop().time() + PATIENCE_S
        while not await ask():
            if asyncio.get_running_loop().time() > end:
                raise TimeoutError(f"not in time: {what}: {self.suppress.acting}")
            await self.passes()
            await asyncio.sleep(0.02)

    async def settled(self) -> None:
        """Tell Listmonk until nothing is due or waited for."""

        async def is_settled() -> bool:
            return all(row.due_at is None or row.report.state is ReportState.FAILED for row in await self.rows())

        await self.until("settled", is_settled)

    async def rows(self, **query: Any) -> list[Suppression]:
        """Return what is suppressed."""
        return await self._store.suppressions(SuppressionQuery(**query))

    async def states(self) -> dict[str, str]:
        """Return how far Listmonk was told of each."""
        return {row.key.subject: row.report.state.value for row in await self.rows()}

    async def blocklisted(self) -> set[str]:
        """Return whom Listmonk blocklists, by its database."""
        assert self.one.standin.process is not None
        rows = await self.one.standin.process.pool.fetch("SELECT email FROM subscribers WHERE status = 'blocklisted'")
        return {row[0] for row in rows}

    def requests(self, method: str, path: str) -> int:
        """Return how many such requests the stand-in has seen."""
        return sum(one.method == method and one.path == path for one in self.one.standin.truth.requests)

    def codes(self) -> list[str]:
        """Return the codes of what a person is told."""
        return [finding.code for finding in self.suppress.findings()]
