"""The same engine without HTTP, database and SMTP, for months in seconds: campaigns in memory, time that jumps.

In: calls that a controller's HTTP requests would become. Out: what was sent, and when. The memory keeps to the same rules as
sending_store.py; one set of tests is run against both.

    async def month() -> list[Delivery]:
        listmonk = SimulatedListmonk("5.1", settings)
        ...
    run_virtually(month)
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Iterable, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
from typing_extensions import override

from tests.tools.listmonk.clock import Clock
from tests.tools.listmonk.engine import Engine, tuning_of
from tests.tools.listmonk.message import Campaign, Person
from tests.tools.listmonk.versions import Traits, parse_version, traits_of

_Answer = TypeVar("_Answer")


class Row(msgspec.Struct, kw_only=True):
    """A campaign. `audience` are ids of people, in order."""

    campaign: Campaign
    status: str
    audience: tuple[int, ...]
    send_at: datetime | None = None
    to_send: int = 0
    sent: int = 0
    last: int = 0
    most: int = 0


class MemoryStore:
    """engine.Store in memory."""

    def __init__(self, traits: Traits) -> None:
        self.rows: dict[int, Row] = {}
        self.people: dict[int, Person] = {}
        self.blocked: set[int] = set()
        self._traits = traits

    async def pick_up(self, sent: Mapping[int, int], now: datetime) -> list[Campaign]:
        """See SendingStore."""
        for number, count in sent.items():
            self.rows[number].sent += count
        waiting = [row for number, row in sorted(self.rows.items()) if number not in sent and _is_waiting(row, now)]
        for row in waiting:
            eligible = [one for one in row.audience if one not in self.blocked]
            if eligible:
                row.to_send, row.most, row.status = len(eligible), max(eligible), "running"
        return [row.campaign for row in waiting]

    async def next_people(self, campaign: int, limit: int, now: datetime) -> list[Person]:  # noqa: ARG002  (engine.Store)
        """See SendingStore."""
        row = self.rows[campaign]
        if row.status != "running":
            return []
        rest = [one for one in row.audience if row.last < one <= row.most]
        if self._traits.ineligible_batch_ends:
            rest = rest[:limit]
        batch = [one for one in rest if one not in self.blocked][:limit]
        if batch:
            row.last = batch[-1]
        return [self.people[one] for one in batch]

    async def end(self, campaign: int, sent: int, last: int, now: datetime) -> None:  # noqa: ARG002  (engine.Store)
        """See SendingStore."""
        row = self.rows[campaign]
        row.sent += sent
        if last > 0:
            row.last = last
        elif self._traits.checkpoint_takes_to_send:
            row.last = row.to_send

    async def status(self, campaign: int) -> str:
        """See SendingStore."""
        return self.rows[campaign].status

    async def set_status(self, campaign: int, status: str, now: datetime) -> None:  # noqa: ARG002  (engine.Store)
        """See SendingStore."""
        self.rows[campaign].status = status


class Delivery(NamedTuple):
    """A message that left, in seconds since the beginning."""

    at: float
    campaign: int
    person: int


class _Outbox:
    names: Final = ("email",)

    def __init__(self, listmonk: SimulatedListmonk) -> None:
        self._listmonk = listmonk

    async def send(self, campaign: Campaign, person: Person) -> bool:
        await self._listmonk.clock.sleep(self._listmonk.transmission_s)
        if person.id in self._listmonk.refused:
            return False
        self._listmonk.left.append(Delivery(self._listmonk.clock.now(), campaign.id, person.id))
        return True


class SimulatedListmonk:
    """See the module. Made inside a running loop; `start` it, and `crash` it at the end."""

    def __init__(self, version: str, settings: Mapping[str, Any], began: datetime | None = None) -> None:
        self.traits = traits_of(parse_version(version))
        self.clock = Clock(began=began)
        self.settings = dict(settings)
        """As stored; the engine knows those of its start."""
        self.store = MemoryStore(self.traits)
        self.left: list[Delivery] = []
        self.transmission_s = 0.0
        """How long a message takes."""
        self.refused: set[int] = set()
        """People whose messages are refused."""
        self.starts = 0
        self.engine: Engine
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the process."""
        self.starts += 1
        tuning = tuning_of(self.settings, self.traits)
        self.engine = Engine(tuning, self.traits, self.store, _Outbox(self), self.clock, lambda _: None)
        self._task = asyncio.get_running_loop().create_task(self.engine.run(0.0))

    async def crash(self) -> None:
        """End the process at once."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    async def restart(self) -> None:
        """End the process and start it again, as a reload does."""
        await self.crash()
        self.start()

    async def put(self, settings: Mapping[str, Any]) -> bool:
        """Store settings. With nothing in work they are applied by a restart; else return True: a restart is needed."""
        self.settings |= settings
        if self.engine.pipes:
            return True
        await self.restart()
        return False

    def add(
        self,
        audience: Iterable[int],
        *,
        status: str = "running",
        send_at: datetime | None = None,
        messenger: str = "email",
    ) -> int:
        """Add a campaign to these people, who are made if there are none such; return its id."""
        number = len(self.store.rows) + 1
        people = tuple(sorted(audience))
        self.store.people |= {one: Person(one, "", f"p{one}@example.org") for one in people}
        campaign = Campaign(
            id=number, uuid="", name=f"Campaign {number}", subject="", from_email="", body="", altbody=None,
            content_type="plain", headers=(), messenger=messenger, scheduled=send_at is not None,
        )  # fmt: skip
        self.store.rows[number] = Row(campaign=campaign, status=status, audience=people, send_at=send_at)
        return number

    def pause(self, campaign: int) -> bool:
        """Pause by API; False (400) unless it runs."""
        row = self.store.rows[campaign]
        if row.status != "running":
            return False
        row.status = "paused"
        self.engine.stop_campaign(campaign)
        return True

    def resume(self, campaign: int) -> bool:
        """Resume by API; False (400) unless it is paused or a draft."""
        row = self.store.rows[campaign]
        if row.status not in {"paused", "draft"}:
            return False
        row.status = "scheduled" if self.traits.resume_schedules and row.send_at is not None else "running"
        return True


class _Jumping(selectors.DefaultSelector):
    """Never waits: what it would have waited, the loop's clock jumps."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    @override
    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            raise RuntimeError("nothing will ever happen: everybody waits for somebody else")
        self.now += max(0.0, timeout)
        return super().select(0)


class _VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    @override
    def time(self) -> float:
        return self._jumping.now


def run_virtually(main: Callable[[], Coroutine[Any, Any, _Answer]]) -> _Answer:
    """Run a coroutine in a loop whose time jumps from event to event. It must not wait for anything outside."""
    with asyncio.Runner(loop_factory=_VirtualLoop) as runner:
        return runner.run(main())


def _is_waiting(row: Row, now: datetime) -> bool:
    return row.status == "running" or (row.status == "scheduled" and row.send_at is not None and row.send_at <= now)
