"""One set of rules for the engine's two stores: the tables, and the memory of the simulated Listmonk."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

import pytest

from tests.tools.listmonk.engine import Store
from tests.tools.listmonk.sending_store import SendingStore
from tests.tools.listmonk.simulated import SimulatedListmonk
from tests.tools.listmonk.world import Starter

pytest_plugins = ["tests.tools.listmonk.fixtures"]
pytestmark = pytest.mark.services

NOW: Final = datetime(2030, 5, 1, 12, tzinfo=UTC)
STATUSES: Final = ("draft", "running", "scheduled", "paused", "cancelled", "finished")


class Shelf(Protocol):
    """A store, and what a test needs to fill and read it."""

    @property
    def store(self) -> Store: ...
    async def add(self, people: int, status: str, send_at: datetime | None = None, blocked: Sequence[int] = ()) -> int: ...
    async def row(self, campaign: int) -> tuple[str, int, int, int]:
        """Return status, to_send, sent, last_subscriber_id."""
        ...


class Memory:
    def __init__(self, version: str) -> None:
        self._listmonk = SimulatedListmonk(version, {}, NOW)
        self.store: Store = self._listmonk.store

    async def add(self, people: int, status: str, send_at: datetime | None = None, blocked: Sequence[int] = ()) -> int:
        self._listmonk.store.blocked |= set(blocked)
        return self._listmonk.add(range(1, people + 1), status=status, send_at=send_at)

    async def row(self, campaign: int) -> tuple[str, int, int, int]:
        row = self._listmonk.store.rows[campaign]
        return row.status, row.to_send, row.sent, row.last


@asynccontextmanager
async def open_shelf(kind: str, version: str, listmonk: Starter) -> AsyncIterator[Shelf]:
    if kind == "memory":
        yield Memory(version)
        return
    async with listmonk(version, speed=0.001) as one:
        assert one.standin.process is not None
        pool = one.standin.process.pool

        class Tables:
            def __init__(self) -> None:
                self.store: Store = SendingStore(pool, one.standin.traits)
                self._blocked = set[int]()

            async def add(self, people: int, status: str, send_at: datetime | None = None, blocked: Sequence[int] = ()) -> int:
                found = await one.seeding.subscribers(people)
                self._blocked |= set(blocked)
                block = "UPDATE subscribers SET status = 'blocklisted' WHERE id = ANY($1::int[])"
                await pool.execute(block, sorted(self._blocked))
                [campaign] = await one.seeding.campaigns(lists=[found["list"]], status=status, send_at=send_at)
                return campaign

            async def row(self, campaign: int) -> tuple[str, int, int, int]:
                row = await one.row(
                    "SELECT status::text, to_send, sent, last_subscriber_id FROM campaigns WHERE id = $1", campaign
                )
                return row[0], row[1], row[2], row[3]

        yield Tables()


kinds = pytest.mark.parametrize("kind", ["memory", "tables"])


@kinds
async def test_what_runs_or_is_due_is_picked_up_once_and_counted_anew(kind: str, listmonk: Starter) -> None:
    """Facts: campaigns, pickup."""
    async with open_shelf(kind, "5", listmonk) as shelf:
        ids = [await shelf.add(10, status, NOW, blocked=[2, 9]) for status in STATUSES]
        later = await shelf.add(10, "scheduled", NOW + timedelta(seconds=1))
        found = [campaign.id for campaign in await shelf.store.pick_up({}, NOW)]
        assert found == [ids[1], ids[2]]
        assert await shelf.row(ids[2]) == ("running", 8, 0, 0)
        assert await shelf.row(later) == ("scheduled", 0, 0, 0)
        assert [each.id for each in await shelf.store.pick_up({ids[1]: 3, ids[2]: 0}, NOW)] == []
        assert (await shelf.row(ids[1]))[2] == 3


@kinds
async def test_a_batch_moves_the_checkpoint_to_its_end_at_once(kind: str, listmonk: Starter) -> None:
    """Facts: campaigns, checkpoint."""
    async with open_shelf(kind, "5", listmonk) as shelf:
        campaign = await shelf.add(10, "running", blocked=[2, 5])
        await shelf.store.pick_up({}, NOW)
        assert [each.id for each in await shelf.store.next_people(campaign, 4, NOW)] == [1, 3, 4, 6]
        assert (await shelf.row(campaign))[3] == 6
        assert [each.id for each in await shelf.store.next_people(campaign, 9, NOW)] == [7, 8, 9, 10]
        assert list(await shelf.store.next_people(campaign, 9, NOW)) == []


@kinds
async def test_what_does_not_run_gets_no_batch(kind: str, listmonk: Starter) -> None:
    """Facts: campaigns, pickup."""
    async with open_shelf(kind, "5", listmonk) as shelf:
        campaign = await shelf.add(10, "running")
        await shelf.store.pick_up({}, NOW)
        await shelf.store.set_status(campaign, "paused", NOW)
        assert list(await shelf.store.next_people(campaign, 4, NOW)) == []
        assert await shelf.store.status(campaign) == "paused"


@kinds
@pytest.mark.parametrize(("version", "without"), [("4", 10), ("6.0", 10), ("6.1", 4)])
async def test_the_end_sets_the_checkpoint_to_the_last_success(
    kind: str, version: str, without: int, listmonk: Starter
) -> None:
    """Facts: campaigns, checkpoint; version matrix."""
    async with open_shelf(kind, version, listmonk) as shelf:
        campaign = await shelf.add(10, "running")
        await shelf.store.pick_up({}, NOW)
        await shelf.store.next_people(campaign, 4, NOW)
        await shelf.store.end(campaign, 0, 0, NOW)
        assert (await shelf.row(campaign))[3] == without
        await shelf.store.end(campaign, 2, 3, NOW)
        assert await shelf.row(campaign) == ("running", 10, 2, 3)


@kinds
@pytest.mark.parametrize(("version", "found"), [("3", []), ("4", [5, 6, 7, 8])])
async def test_version_3_drops_the_ineligible_after_the_batch_was_cut(
    kind: str, version: str, found: list[int], listmonk: Starter
) -> None:
    """Facts: sliding window engine, small batches on version 3."""
    async with open_shelf(kind, version, listmonk) as shelf:
        campaign = await shelf.add(10, "running", blocked=[1, 2, 3, 4])
        await shelf.store.pick_up({}, NOW)
        assert [each.id for each in await shelf.store.next_people(campaign, 4, NOW)] == found


@kinds
async def test_a_campaign_without_anybody_eligible_stays_as_it_was(kind: str, listmonk: Starter) -> None:
    """Facts: none; read in the source's SQL."""
    async with open_shelf(kind, "5", listmonk) as shelf:
        campaign = await shelf.add(2, "scheduled", NOW, blocked=[1, 2])
        assert [each.id for each in await shelf.store.pick_up({}, NOW)] == [campaign]
        assert await shelf.row(campaign) == ("scheduled", 0, 0, 0)
