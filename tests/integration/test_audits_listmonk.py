"""Audits of campaigns against the stand-in, over HTTP and its database, for every version."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from pwmtad.adapters.listmonk.auditing import ListmonkAudits
from pwmtad.core.audits import EXCLUDED, NO_ALTBODY, NO_MESSENGER, NOT_AUDITED, TOO_LARGE
from pwmtad.core.guard import Guard
from pwmtad.core.policy import Context, Policy
from pwmtad.daemon.audits import Audit
from pwmtad.model.names import StreamName
from tests.integration.suppression_world import NAME, NOW, settings_for
from tests.tools.judging import START
from tests.tools.listmonk.faults import Fault, Kind
from tests.tools.listmonk.world import Starter, World

pytest_plugins = ["tests.tools.listmonk.fixtures"]
pytestmark = pytest.mark.services

VERSIONS: Final = ("3", "4", "5", "6.0", "6.2")
ADMIN: Final = ("admin", "password-of-admin")
LATER: Final = datetime(2099, 1, 1, tzinfo=UTC)


@asynccontextmanager
async def begun(
    listmonk: Starter,
    version: str,
    folder: Path,
    *,
    database: bool = True,
    excluded: Collection[str] = (),
    table: dict[str, Any] | None = None,
    **options: Any,
) -> AsyncIterator[tuple[World, Audit]]:
    """A stand-in of a version, and what looks at its campaigns."""
    more = {"admin": ADMIN} if version == "3" else {}
    async with listmonk(version, **more, **options) as one:
        keys: dict[str, Any] = {"user": ADMIN} if version == "3" else {}
        if database:
            keys["listmonk"] = f'database_url = "{one.standin.options.database}"'
        settings = settings_for(one, folder, **keys, **(table or {}))
        guard = Guard(Policy(settings=settings, stop_rules=()))
        guard.look(Context({"trucking": START}, {}, {}), NOW)
        of_stream = settings.streams[NAME].listmonk
        assert of_stream is not None

        def kept_out(_: StreamName) -> Collection[str]:
            return excluded

        audit = Audit(
            stream=NAME,
            port=ListmonkAudits.of(of_stream, lambda: 0.5),
            guard=guard,
            excluded=kept_out,
            clock=lambda: NOW,
            settings=settings,
        )
        yield one, audit
        await audit.port.close()


def codes(audit: Audit) -> list[str]:
    return [finding.code for finding in audit.findings()]


@pytest.mark.parametrize("version", VERSIONS)
async def test_everything_that_is_wrong_with_campaigns_is_found(listmonk: Starter, version: str, tmp_path: Path) -> None:
    async with begun(listmonk, version, tmp_path, excluded=["yahoo.com", "aol.com"]) as (one, audit):
        people = await one.seeding.subscribers(
            emails=[*(f"r{n}@yahoo.com" for n in range(7)), "r@AOL.com", *(f"r{n}@example.org" for n in range(30))]
        )
        gone = await one.seeding.subscribers(emails=["off@yahoo.com"], subscription="unsubscribed", list_name="off")
        blocked = await one.seeding.subscribers(emails=["b@yahoo.com"], status="blocklisted", list_name="blocked")
        lists = [people["list"], gone["list"], blocked["list"]]
        (well,) = await one.seeding.campaigns(lists=[blocked["list"]], status="scheduled", send_at=LATER, name="Well")
        (bare,) = await one.seeding.campaigns(lists=lists, status="scheduled", send_at=LATER, name="Bare", altbody=None)
        (blank,) = await one.seeding.campaigns(
            lists=[gone["list"]], status="scheduled", send_at=LATER, name="Blank", altbody=" \n", content_type="richtext"
        )
        await one.seeding.campaigns(
            lists=[gone["list"]], status="scheduled", send_at=LATER, name="Text", altbody="", content_type="plain"
        )
        (lost,) = await one.seeding.campaigns(
            lists=[gone["list"]], status="scheduled", send_at=LATER, name="Lost", messenger="email-bulk"
        )
        await one.seeding.campaigns(lists=lists, status="draft", altbody=None)
        await one.seeding.campaigns(lists=lists, status="finished", altbody=None, to_send=90_000)
        await audit.step()
        found = {finding.code: finding.text for finding in audit.findings()}
        assert list(found) == [NO_ALTBODY, NO_MESSENGER, EXCLUDED]
        assert f"{bare} (Bare 1), {blank} (Blank 1)" in found[NO_ALTBODY]
        assert f"{lost} (Lost 1)" in found[NO_MESSENGER]
        assert (
            f"8 recipient(s) of campaign(s) {bare} are at domains that must not be mailed: take yahoo.com, aol.com"
            in found[EXCLUDED]
        )
        assert str(well) not in found[EXCLUDED]
        acting = audit.acting
        assert (acting.campaigns, acting.without_altbody, acting.without_messenger) == (5, 2, 1)
        assert (acting.with_excluded_domains, acting.excluded_subscribers, acting.at) == (1, 8, NOW)


async def test_a_campaign_that_is_larger_than_a_day_is_found_by_its_lists_before_it_starts(
    listmonk: Starter, tmp_path: Path
) -> None:
    async with begun(listmonk, "6.2", tmp_path) as (one, audit):
        people = await one.seeding.subscribers(4100)
        await one.seeding.campaigns(lists=[people["list"]], status="scheduled", send_at=LATER)
        await audit.step()
        (finding,) = audit.findings()
        assert finding.code == TOO_LARGE
        assert "4,100 to send, 4,000 a day: 2 days" in finding.text


async def test_without_the_database_only_campaigns_are_looked_at(listmonk: Starter, tmp_path: Path) -> None:
    async with begun(listmonk, "6.2", tmp_path, database=False, excluded=["example.org"]) as (one, audit):
        people = await one.seeding.subscribers(4100)
        await one.seeding.campaigns(lists=[people["list"]], status="scheduled", send_at=LATER, altbody=None)
        await audit.step()
        assert codes(audit) == [NO_ALTBODY]
        assert audit.acting.excluded_subscribers is None


async def test_listmonk_is_only_read(listmonk: Starter, tmp_path: Path) -> None:
    async with begun(listmonk, "6.2", tmp_path, excluded=["example.org"], table={"mode": "observe"}) as (one, audit):
        people = await one.seeding.subscribers(10)
        await one.seeding.campaigns(lists=[people["list"]], status="scheduled", send_at=LATER)
        await audit.step()
        assert codes(audit) == [EXCLUDED]
        assert {asked.method for asked in one.standin.truth.requests} == {"GET"}


@pytest.mark.parametrize("kind", [Kind.HTML, Kind.UNAVAILABLE, Kind.FORBIDDEN])
async def test_what_was_found_goes_when_listmonk_can_not_be_looked_at_and_that_is_told(
    listmonk: Starter, kind: Kind, tmp_path: Path
) -> None:
    async with begun(listmonk, "6.2", tmp_path) as (one, audit):
        people = await one.seeding.subscribers(10)
        await one.seeding.campaigns(lists=[people["list"]], status="scheduled", send_at=LATER, altbody=None)
        await audit.step()
        assert codes(audit) == [NO_ALTBODY]
        one.standin.faults.add(Fault(kind, path="/api/campaigns"))
        await audit.step()
        assert codes(audit) == [NOT_AUDITED]
        assert audit.acting.campaigns is None
        one.standin.faults.clear()
        await audit.step()
        assert codes(audit) == [NO_ALTBODY]


async def test_another_instance_is_not_looked_at(listmonk: Starter, tmp_path: Path) -> None:
    async with begun(listmonk, "6.2", tmp_path, table={"root_url": "https://lists.example.org"}) as (_, audit):
        await audit.step()
        assert codes(audit) == [NOT_AUDITED]
        assert "another instance" in audit.acting.problem


async def test_a_database_that_can_not_be_read_is_told(listmonk: Starter, tmp_path: Path) -> None:
    table = {"listmonk": 'database_url = "postgresql://nobody@/nothing?host=/nonexistent"'}
    async with begun(listmonk, "6.2", tmp_path, database=False, table=table) as (one, audit):
        people = await one.seeding.subscribers(1)
        await one.seeding.campaigns(lists=[people["list"]], status="scheduled", send_at=LATER)
        await audit.step()
        assert codes(audit) == [NOT_AUDITED]
        assert "database" in audit.acting.problem


async def test_a_session_with_the_database_can_not_write(listmonk: Starter, tmp_path: Path) -> None:
    async with begun(listmonk, "6.2", tmp_path) as (_, audit):
        assert isinstance(audit.port, ListmonkAudits)
        database = audit.port._database
        assert database is not None
        async with database._session() as session:
            for name, value in (("transaction_read_only", "on"), ("statement_timeout", "10s")):
                assert await session.fetchval(f"SHOW {name}") == value
