"""A Campaigns with a Listmonk in memory, a judgement, and clocks that a test moves."""

from __future__ import annotations

from typing import Any

from pwmtad.config import Settings
from pwmtad.core.listmonk_window import as_engine, most_per_hour, window_for
from pwmtad.daemon.campaigns import Campaigns
from pwmtad.model.judgement import Desired, Record, RecordKind
from pwmtad.model.listmonk import ListmonkMemory
from pwmtad.model.names import StreamName
from tests.tools.judging import START, Run, settings_of
from tests.tools.listmonk_fake import FakeListmonk

NOW = START + 8 * 86_400
"""Warmup day 8: 300 an hour."""
TABLE = """
listmonk.url = "http://127.0.0.1:9000"
listmonk.user = "pwmtad"
listmonk.token_file = "/etc/pwmtad/listmonk.token"
"""
NAME = StreamName("trucking")


class World:
    """Everything around one instance."""

    def __init__(
        self, version: str = "v6.2.0", *, mode: str = "enforce", more: str = "", ceiling: int = 100_000, **settings: Any
    ) -> None:
        chosen = settings_of(more=TABLE + more, ceiling=ceiling)
        self.settings = chosen.model_copy(update={"mode": mode})
        self.run = Run(settings=self.settings)
        self.now = float(NOW)
        self.listmonk = FakeListmonk(lambda: self.now, version, **settings)
        self.store_works = True
        self.begin()

    def begin(self) -> None:
        """Start (again) with what the judgement has, as the daemon does."""
        self.campaigns = Campaigns(
            stream=NAME,
            port=self.listmonk,
            guard=self.run.guard,
            commit=self._commit,
            clock=lambda: self.now,
            monotonic=lambda: self.now,
            jitter=lambda: 0.5,
            settings=self.settings,
        )

    @property
    def guard(self) -> Any:
        return self.run.guard

    @property
    def memory(self) -> ListmonkMemory:
        return self.run.guard.listmonk(NAME)

    @property
    def desired(self) -> Desired:
        return next(one for one in self.run.guard.desired(self.now) if one.stream == NAME)

    async def passes(self, count: int = 1, *, every_s: float = 1.0) -> None:
        """Let the daemon look and act so many times, and Listmonk work meanwhile."""
        for _ in range(count):
            self.run.look(self.now)
            self.listmonk.advance()
            await self.campaigns.step()
            self.now += every_s
            self.listmonk.advance()

    async def settle(self) -> None:
        """Let it act until the window is set and nothing more changes."""
        quiet = 0
        for _ in range(4000):
            before = (len(self.listmonk.writes), self.listmonk.restarts, self.campaigns.acting.pauses)
            await self.passes()
            same = (len(self.listmonk.writes), self.listmonk.restarts, self.campaigns.acting.pauses) == before
            quiet = quiet + 1 if same and not self.campaigns.acting.doing else 0
            if quiet > 10:
                return
        raise AssertionError(f"it does not come to rest: {self.campaigns.acting}")

    async def halted(self, hold_s: int | None = 3600) -> str:
        """Halt the stream."""
        halt: str = self.run.guard.halt("trucking", hold_s, "a test", self.now)
        await self.passes(2)
        return halt

    async def released(self, halt: str) -> None:
        """Release the halt, and let it act."""
        self.run.guard.release(halt, "alice", self.now)
        await self.settle()

    def restart(self, *, forget: bool = False, kill: bool = False) -> None:
        """The daemon dies and starts; `forget`: its store is lost as well, `kill`: without a last commit."""
        if forget:
            self.run = Run(settings=self.settings)
        else:
            if not kill:
                self.run.commit()
            self.run.restart(self.now)
        self.begin()

    def records(self, *kinds: RecordKind) -> list[Record]:
        self.run.look(self.now)
        return [record for record in self.run.kinds(*kinds) if record.rule == "listmonk"]

    def codes(self) -> list[str]:
        """Return the codes of what a person is told."""
        return [finding.code for finding in self.campaigns.findings()]

    def is_too_fast(self) -> bool:
        """Whether the running process could let more out of an hour than the ladder allows."""
        return most_per_hour(self.listmonk.engine, self.listmonk.traits.extra) > self.desired.window_per_hour

    def has_window(self, per_hour: int) -> bool:
        """Whether the process really works with the window for so many an hour."""
        window = window_for(per_hour, self.listmonk.traits.extra)
        return window is not None and self.listmonk.engine == as_engine(window, self.listmonk.engine.batch_size)

    async def _commit(self) -> bool:
        if not self.store_works:
            return False
        self.run.commit()
        return True


def settings_without() -> Settings:
    """Return a configuration without a Listmonk."""
    return settings_of()
