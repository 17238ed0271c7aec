"""An Act and a QueueKeeper with a Postfix in memory, a judgement, and clocks that a test moves."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from msgspec.structs import replace

from pwmtad.config import Settings
from pwmtad.core.guard import Guard
from pwmtad.daemon.act import Act
from pwmtad.daemon.queue_keeper import QueueKeeper
from pwmtad.model.judgement import Record, RecordKind
from pwmtad.model.state import QueueState
from pwmtad.model.target import QueueEntry
from tests.tools.judging import START, Run, settings_of
from tests.tools.postfix_fake import FakePostfix

NOW = START + 5 * 86_400
"""Warmup day 5: five egresses, 250 an hour."""


class World:
    """Everything around the acting parts."""

    def __init__(self, settings: Settings | None = None, *, mode: str = "enforce") -> None:
        chosen = settings if settings is not None else settings_of()
        self.settings = chosen.model_copy(update={"mode": mode})
        self.run = Run(settings=self.settings)
        egresses = [name for stream in self.settings.streams.values() for name in stream.egresses]
        self.postfix = FakePostfix(egresses)
        self.now = float(NOW)
        self.gone: set[str] | None = set()
        """Addresses that are not on the host; None: that can't be told."""
        self.store_works = True
        self.streams: dict[str, str] = {}
        """Who submitted a message, by queue id."""
        self.begin()

    def begin(self) -> None:
        """Start (again) with what the judgement has, as the daemon does."""
        self.guard.found_pool(self.postfix.actual().pool)
        self.act = Act(
            actor=self.postfix,
            guard=self.guard,
            commit=self._commit,
            missing_addresses=self._missing,
            main_cf_stamp=lambda: self.postfix.stamp,
            clock=lambda: self.now,
            monotonic=lambda: self.now,
            settings=self.settings,
        )
        self.keeper = QueueKeeper(
            act=self.act,
            actor=self.postfix,
            sizes=self,
            guard=self.guard,
            stream_of=self.streams.get,
            clock=lambda: self.now,
            monotonic=lambda: self.now,
        )

    @property
    def guard(self) -> Guard:
        return self.run.guard

    async def queue(self) -> QueueState:
        """The sizes of the queue's directories."""
        incoming, active, deferred, hold = (
            len(self.postfix.in_queue(name)) for name in ("incoming", "active", "deferred", "hold")
        )
        return QueueState(incoming, active, deferred, hold, 0)

    async def passes(self, count: int = 1, *, every_s: float = 1.0) -> None:
        """Let the daemon look, judge and act so many times."""
        for _ in range(count):
            self.run.look(self.now)
            await self.act.step()
            await self.keeper.step()
            self.now += every_s

    async def settle(self) -> None:
        """Let it act until nothing more changes."""
        for _ in range(20):
            before = len(self.postfix.writes)
            await self.passes(2, every_s=61)
            if len(self.postfix.writes) == before:
                return
        raise AssertionError("it does not come to rest")

    def restart(self, *, forget: bool = False) -> None:
        """The daemon dies and starts; `forget`: its store is lost as well."""
        if forget:
            self.run = Run(settings=self.settings)
        else:
            self.run.commit()
            self.run.restart(self.now)
        self.begin()

    def records(self, *kinds: RecordKind) -> list[Record]:
        """Return the records of these kinds so far."""
        self.run.look(self.now)
        return self.run.kinds(*kinds)

    def message(self, queue_id: str, *, age_s: float = 0, stream: str | None = "trucking", **parts: object) -> QueueEntry:
        """Return a message of the queue."""
        if stream is not None:
            self.streams[queue_id] = stream
        entry = QueueEntry("deferred", queue_id, self.now - age_s, "news@example.org", ("example.com",))
        return replace(entry, **parts)

    def messages(self, count: int, *, first: int = 0, **parts: object) -> list[QueueEntry]:
        """Return messages, the first one the oldest."""
        return [self.message(f"Q{first + number:06}", age_s=100_000 - number, **parts) for number in range(count)]  # type: ignore[arg-type]

    async def _commit(self) -> bool:
        if not self.store_works:
            return False
        self.run.commit()
        return True

    def _missing(self, addresses: Iterable[str]) -> Collection[str] | None:
        return None if self.gone is None else self.gone & set(addresses)
