"""Hard bounces end as blocklisted subscribers, against the stand-in for every version; nobody else does."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from pwmtad.core.classify import Classifier
from pwmtad.model.listmonk import ListmonkMemory
from pwmtad.model.names import OTHER_OPERATOR, ReplyClass
from pwmtad.model.suppression import MANUAL, ReportState, SuppressionKey
from tests.integration.suppression_world import NAME, NOW, ROOT_URL, Suppressing, settings_for
from tests.tools.bounce_lines import ABOUT_US, RULES, attempt_line, shape_line, shapes, spread
from tests.tools.judging import DAY
from tests.tools.listmonk.faults import Fault, Kind
from tests.tools.listmonk.world import Starter, World

pytest_plugins = ["tests.tools.listmonk.fixtures"]
pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]

VERSIONS: Final = ("3", "4", "5", "6.0", "6.2")
ADMIN: Final = ("admin", "password-of-admin")
HARD: Final = shapes(ReplyClass.HARD_BOUNCE)
SOFT: Final = shapes(ReplyClass.MAILBOX_FULL, ReplyClass.DEAD_DOMAIN)
OTHERS: Final = shapes(*ABOUT_US)


@asynccontextmanager
async def begun(
    listmonk: Starter, version: str, folder: Path, *, table: dict[str, Any] | None = None, **options: Any
) -> AsyncIterator[tuple[World, Suppressing]]:
    """A stand-in of a version, and what tells it of suppressions."""
    more = {"admin": ADMIN} if version == "3" else {}
    async with listmonk(version, **more, **options) as one:
        keys: dict[str, Any] = {"user": ADMIN} if version == "3" else {}
        world = Suppressing(one, settings_for(one, folder, **keys, **(table or {})), folder)
        await world.start()
        yield one, world
        await world.stop()


def hard(*recipients: str, at: float = NOW, number: int = 0) -> list[str]:
    """Return a line for each, in different words."""
    return [shape_line(at, number + n, name, shape) for n, (name, shape) in enumerate(spread(HARD, recipients))]


def hostile(victims: list[str]) -> list[str]:
    """Return lines of a small domain that wants other people's addresses suppressed, or its own lines misread."""
    fake = f"4XkJ2l5zq9z1: to=<{victims[0]}>, relay=gmail-smtp-in.l.google.com[192.0.2.26]:25, status=bounced"
    texts = [
        f"450 4.2.1 550 5.1.1 <{victims[0]}>: User unknown",
        f"451 4.3.0 later) {fake} (550-5.1.1 The email account that you tried to reach does not exist",
        f"421 4.7.0 550 5.1.1 <{victims[1]}> User unknown (in reply to RCPT TO command)",
        f"450 4.1.1 <{victims[2]}>: user unknown, 550 5.1.1 No such user here",
        "host mx.evil.example[192.0.2.99] refused to talk to me: 550 5.1.1 User unknown",
    ]
    recipients = ['"x> status=bounced (550 5.1.1"@evil.example', *(f"bait{n}@evil.example" for n in range(9))]
    return [
        attempt_line(
            NOW, 90_000 + n, recipients[n % len(recipients)], reply=texts[n % len(texts)], relay="mx.evil.example",
            status="deferred", enhanced="4.2.1",
        )
        for n in range(50)
    ]  # fmt: skip


@pytest.mark.parametrize("version", VERSIONS)
async def test_500_hard_bounces_of_all_shipped_shapes_end_as_exactly_500_blocklisted_subscribers(
    listmonk: Starter, version: str, tmp_path: Path
) -> None:
    hard_ones = [f"hard{n}@h{n % 40}.example" for n in range(498)] + ["o'hard@h1.example", "b+hard=x@h2.example"]
    soft_ones = [f"soft{n}@s{n}.example" for n in range(120)]
    blocked_ones = [f"blocked{n}@b{n % 9}.example" for n in range(250)]
    well = [f"well{n}@w{n % 9}.example" for n in range(300)]
    assert len(HARD) >= 50
    lines = [shape_line(NOW, n, name, shape) for n, (name, shape) in enumerate(spread(HARD, hard_ones))]
    lines += [shape_line(NOW, 1000 + n, name, shape) for n, (name, shape) in enumerate(spread(SOFT, soft_ones))]
    lines += [shape_line(NOW, 2000 + n, name, shape) for n, (name, shape) in enumerate(spread(OTHERS, blocked_ones))]
    lines += [attempt_line(NOW, 3000 + n, name) for n, name in enumerate(well)]
    lines += hostile(well)
    random.Random(5).shuffle(lines)
    # Looks follow a report after 2, 5 and 15 s: on a busy machine 50 times as fast is too fast for the queue of 500 of them.
    async with begun(listmonk, version, tmp_path, speed=5.0) as (one, world):
        people = [*hard_ones, *soft_ones, *blocked_ones, *well, *(f"bait{n}@evil.example" for n in range(9))]
        await one.seeding.subscribers(emails=people)
        for begin in range(0, len(lines), 200):
            await world.read(lines[begin : begin + 200])
            await world.passes()
        await world.settled()
        assert await world.blocklisted() == set(hard_ones)
        states = await world.states()
        assert set(states) == set(hard_ones)
        assert set(states.values()) == {ReportState.VERIFIED.value}
        assert world.requests("POST", "/webhooks/bounce") == 500
        bounces = await one.get("/api/bounces", per_page="all")
        assert len(bounces["results"]) == 500
        meta = {each["email"]: each["meta"] for each in bounces["results"]}["hard0@h0.example"]
        assert (meta["by"], meta["class"], meta["stream"], meta["egress"]) == ("pwmtad", "hard_bounce", "trucking", "out05")
        assert {"queue_id", "operator", "rule", "reply", "relay", "count"} <= meta.keys()
        assert world.suppress.acting.verified == 500
        assert world.codes() == []


async def test_another_instance_behind_the_url_is_told_of_nobody(listmonk: Starter, tmp_path: Path) -> None:
    async with begun(listmonk, "6.2", tmp_path) as (one, world):
        await one.seeding.subscribers(emails=["r0@example.org", "r1@example.org"])
        await world.read(hard("r0@example.org"))
        await world.settled()
        world.guard.doubts[NAME] = {"listmonk_is_another": "another instance answers"}
        await world.read(hard("r1@example.org", number=1))
        await world.passes(5)
        assert await world.blocklisted() == {"r0@example.org"}
        world.guard.doubts[NAME] = {}
        await world.settled()
        assert await world.blocklisted() == {"r0@example.org", "r1@example.org"}


def test_the_500_are_believed_because_no_operator_refuses_more_than_half_a_sample() -> None:
    """Not by an exception: of no known operator there are more than 50 hard bounces, in whatever order they come."""
    relays = (shape.sample.relay for _, shape in spread(HARD, map(str, range(500))))
    hard_at = Counter(Classifier(RULES).operator_of_relay(relay) for relay in relays if relay is not None)
    del hard_at[OTHER_OPERATOR]  # thousands of servers, which do not err together
    assert max(hard_at.values()) <= 50


@pytest.mark.parametrize("version", VERSIONS)
async def test_without_the_webhook_it_is_by_id_and_several_at_once(listmonk: Starter, version: str, tmp_path: Path) -> None:
    names = [f"r{n}@example.org" for n in range(60)]
    async with begun(listmonk, version, tmp_path, settings={"bounce.webhooks_enabled": False}) as (one, world):
        await one.seeding.subscribers(emails=[*names, "well@example.org"])
        await world.read(hard(*names))
        await world.settled()
        assert await world.blocklisted() == set(names)
        assert world.requests("POST", "/webhooks/bounce") == 0
        assert world.requests("PUT", "/api/subscribers/blocklist") == 2
        assert {row.report.way for row in await world.rows()} == {"blocklist"}


@pytest.mark.parametrize("version", VERSIONS)
async def test_where_hard_bounces_delete_nobody_is_deleted_and_a_person_is_told(
    listmonk: Starter, version: str, tmp_path: Path
) -> None:
    actions = {kind: {"count": 1, "action": "delete"} for kind in ("soft", "hard", "complaint")}
    async with begun(listmonk, version, tmp_path, settings={"bounce.actions": actions}) as (one, world):
        await one.seeding.subscribers(emails=["r0@example.org"])
        await world.read(hard("r0@example.org"))
        await world.settled()
        assert await world.blocklisted() == {"r0@example.org"}
        assert world.codes() == ["bounce_action_deletes"]


async def test_a_webhook_that_was_chosen_is_taken_even_where_it_deletes(listmonk: Starter, tmp_path: Path) -> None:
    actions = {kind: {"count": 1, "action": "delete"} for kind in ("soft", "hard", "complaint")}
    table = {"listmonk": 'suppress = "webhook"'}
    async with begun(listmonk, "6.2", tmp_path, table=table, settings={"bounce.actions": actions}) as (one, world):
        await one.seeding.subscribers(emails=["r0@example.org"])
        await world.read(hard("r0@example.org"))
        await world.settled()
        assert await one.row("SELECT id FROM subscribers") is None
        assert await world.states() == {"r0@example.org": "verified"}
        assert world.codes() == ["bounce_action_deletes"]


async def test_a_200_that_comes_to_nothing_is_followed_by_blocklisting(listmonk: Starter, tmp_path: Path) -> None:
    """Settings that say blocklist, a process that still works with others: the webhook takes the report and forgets it."""
    passed_over = {"soft": {"count": 2, "action": "none"}}
    hard_action = {"hard": {"count": 1, "action": "blocklist"}}
    async with begun(listmonk, "6.2", tmp_path, settings={"bounce.actions": passed_over}) as (one, world):
        await one.seeding.subscribers(emails=["r0@example.org"])
        await one.seeding.settings({"bounce.actions": passed_over | hard_action})
        await world.read(hard("r0@example.org"))
        await world.settled()
        assert await world.blocklisted() == {"r0@example.org"}
        assert world.requests("POST", "/webhooks/bounce") == 1
        assert [row.report.way for row in await world.rows()] == ["blocklist"]


@pytest.mark.parametrize("version", ["3", "6.0", "6.2"])
async def test_a_webhook_that_the_process_has_not_is_followed_by_blocklisting(
    listmonk: Starter, version: str, tmp_path: Path
) -> None:
    """Switched on in the settings, without a restart: 404, 503, or a dropped connection."""
    for key in ("bounce.webhooks_enabled", "bounce.enabled"):
        folder = tmp_path / key
        folder.mkdir()
        async with begun(listmonk, version, folder, settings={key: False}) as (one, world):
            await one.seeding.subscribers(emails=["r0@example.org", "r1@example.org"])
            await one.seeding.settings({key: True})
            await world.read(hard("r0@example.org", "r1@example.org"))
            await world.settled()
            assert await world.blocklisted() == {"r0@example.org", "r1@example.org"}


async def test_whom_listmonk_does_not_know_is_noted_and_asked_for_again_when_he_bounces_again(
    listmonk: Starter, tmp_path: Path
) -> None:
    async with begun(listmonk, "6.2", tmp_path) as (one, world):
        await world.read(hard("cron@example.org"))
        await world.settled()
        assert await world.states() == {"cron@example.org": "unknown"}
        assert world.requests("POST", "/webhooks/bounce") == 0
        await one.seeding.subscribers(emails=["cron@example.org"])
        await world.read(hard("cron@example.org", at=NOW + 60, number=7))
        await world.settled()
        assert await world.blocklisted() == {"cron@example.org"}


async def test_a_subscriber_that_was_imported_in_capitals_is_found(listmonk: Starter, tmp_path: Path) -> None:
    async with begun(listmonk, "6.2", tmp_path) as (one, world):
        await one.seeding.subscribers(emails=["Reader@Example.org"])
        await world.read(hard("reader@example.org"))
        await world.settled()
        assert await world.blocklisted() == {"Reader@Example.org"}


async def test_a_domain_that_listmonk_bars_is_reported_all_the_same(listmonk: Starter, tmp_path: Path) -> None:
    """By address the webhook would answer 400."""
    async with begun(listmonk, "6.2", tmp_path, settings={"privacy.domain_blocklist": ["example.org"]}) as (one, world):
        await one.seeding.subscribers(emails=["r0@example.org"])
        await world.read(hard("r0@example.org"))
        await world.settled()
        assert await world.blocklisted() == {"r0@example.org"}
        assert world.requests("POST", "/webhooks/bounce") == 1


async def test_a_lost_answer_and_a_restart_report_nobody_twice(listmonk: Starter, tmp_path: Path) -> None:
    async with begun(listmonk, "6.2", tmp_path) as (one, world):
        names = [f"r{n}@example.org" for n in range(8)]
        await one.seeding.subscribers(emails=names)
        one.standin.faults.add(Fault(Kind.DROP_AFTER, methods=("POST",), path="/webhooks/bounce", times=2))
        await world.read(hard(*names))
        await world.passes(2)
        await world.stop()
        await world.start()
        await world.settled()
        assert await world.blocklisted() == set(names)
        assert world.requests("POST", "/webhooks/bounce") == len(names)


async def test_while_the_store_fails_nothing_is_told_twice(listmonk: Starter, tmp_path: Path) -> None:
    async with begun(listmonk, "6.2", tmp_path) as (one, world):
        await one.seeding.subscribers(emails=["r0@example.org", "r1@example.org"])
        await world.read(hard("r0@example.org", "r1@example.org"))
        world.store_works = False
        await world.passes(8)
        assert world.requests("POST", "/webhooks/bounce") == 2
        assert world.suppress.acting.reported == 2
        world.store_works = True
        await world.settled()
        assert await world.states() == {"r0@example.org": "verified", "r1@example.org": "verified"}


@pytest.mark.parametrize("version", ["4", "5", "6.2"])
async def test_missing_permissions_are_named(listmonk: Starter, version: str, tmp_path: Path) -> None:
    permissions = ("settings:get", "subscribers:get_all", "subscribers:sql_query", "subscribers:manage", "lists:manage_all")
    async with begun(listmonk, version, tmp_path, permissions=permissions) as (one, world):
        await one.seeding.subscribers(emails=["r0@example.org"])
        await world.read(hard("r0@example.org"))
        await world.settled()
        assert await world.blocklisted() == {"r0@example.org"}
        assert world.codes() == ["suppression_forbidden"]
        assert "webhooks:post_bounce" in world.suppress.acting.problem


@pytest.mark.parametrize(
    ("permissions", "named"),
    [
        (("subscribers:get_all",), "settings:get"),
        (("settings:get",), "subscribers:get_all and subscribers:sql_query, or database_url"),
        (("settings:get", "subscribers:get_all"), "subscribers:sql_query"),
        (("settings:get", "subscribers:get_all", "subscribers:sql_query"), "subscribers:manage"),
    ],
)
async def test_what_can_not_be_done_without_is_named_and_not_asked_for_in_a_loop(
    listmonk: Starter, permissions: tuple[str, ...], named: str, tmp_path: Path
) -> None:
    table = {"listmonk": 'suppress = "blocklist"'}
    async with begun(listmonk, "6.2", tmp_path, table=table, permissions=permissions) as (one, world):
        await one.seeding.subscribers(emails=["r0@example.org"])
        await world.read(hard("r0@example.org"))
        await world.passes(5)
        assert await world.blocklisted() == set()
        assert world.codes() == ["suppression_forbidden", "suppression_waits"]
        assert named in next(iter(world.suppress.findings())).text
        assert sum(asked.status == 403 for asked in one.standin.truth.requests) <= 2


async def test_another_instance_behind_the_address_is_told_nothing(listmonk: Starter, tmp_path: Path) -> None:
    async with begun(listmonk, "6.2", tmp_path, table={"root_url": "https://lists.example.org"}) as (one, world):
        await one.seeding.subscribers(emails=["r0@example.org"])
        await world.read(hard("r0@example.org"))
        await world.passes(3)
        assert world.codes() == ["suppression_waits"]
        assert await world.blocklisted() == set()
        assert not any(asked.method in ("POST", "PUT") for asked in one.standin.truth.requests)


async def test_before_it_is_known_which_instance_is_meant_nothing_is_told(listmonk: Starter, tmp_path: Path) -> None:
    async with listmonk("6.2") as one:
        settings = settings_for(one, tmp_path)
        stream = settings.streams[NAME]
        assert stream.listmonk is not None
        table = stream.listmonk.model_copy(update={"root_url": None})
        streams = {NAME: stream.model_copy(update={"listmonk": table})}
        world = Suppressing(one, settings.model_copy(update={"streams": streams}), tmp_path)
        await world.start()
        await one.seeding.subscribers(emails=["r0@example.org"])
        await world.read(hard("r0@example.org"))
        await world.passes(3)
        assert len(one.standin.truth.requests) == 0
        assert world.codes() == []
        world.guard.remember_listmonk(NAME, ListmonkMemory(root_url=ROOT_URL))
        await world.settled()
        assert await world.blocklisted() == {"r0@example.org"}
        await world.stop()


@pytest.mark.parametrize("table", [{"mode": "observe"}, {"listmonk": 'suppress = "off"'}])
async def test_in_observe_mode_and_where_it_is_off_listmonk_is_not_even_asked(
    listmonk: Starter, table: dict[str, Any], tmp_path: Path
) -> None:
    async with begun(listmonk, "6.2", tmp_path, table=table) as (one, world):
        await world.read(hard("r0@example.org"))
        await world.passes(3)
        assert await world.states() == {"r0@example.org": "untold"}
        assert len(one.standin.truth.requests) == 0


async def test_listmonk_is_down_and_comes_back(listmonk: Starter, tmp_path: Path) -> None:
    async with begun(listmonk, "6.2", tmp_path) as (one, world):
        await one.seeding.subscribers(emails=["r0@example.org"])
        one.standin.down()
        await world.read(hard("r0@example.org"))
        await world.passes(3)
        assert world.codes() == ["suppression_waits"]
        assert world.suppress.acting.failures == 1
        one.standin.up()
        await world.settled()
        assert await world.blocklisted() == {"r0@example.org"}
        assert world.codes() == []


# -- full mailboxes, domains, people


async def test_a_mailbox_that_is_full_on_three_days_is_suppressed_and_a_restart_does_not_matter(
    listmonk: Starter, tmp_path: Path
) -> None:
    full = shapes(ReplyClass.MAILBOX_FULL)[0]
    async with begun(listmonk, "6.2", tmp_path) as (one, world):
        await one.seeding.subscribers(emails=["full@example.org"])
        for day in (3, 2, 1):
            assert await world.blocklisted() == set()
            await world.read([shape_line(NOW - day * DAY, 50 + day, "full@example.org", full)])
            await world.settled()
            await world.stop()
            await world.start()
        await world.settled()
        assert await world.blocklisted() == {"full@example.org"}
        found = await one.get("/api/bounces")
        assert [each["meta"]["class"] for each in found["results"]] == ["mailbox_full"]


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_dead_domain_takes_its_few_subscribers_with_it(listmonk: Starter, version: str, tmp_path: Path) -> None:
    dead = next(shape for shape in shapes(ReplyClass.DEAD_DOMAIN) if shape.rule.id == "microsoft-dead-tenant")
    async with begun(listmonk, version, tmp_path) as (one, world):
        people = [f"r{n}@dead.example" for n in range(70)]
        await one.seeding.subscribers(emails=[*people, "r1@notdead.example", "r1@dead.example.org", "r1@xdead.example"])
        await world.read([shape_line(NOW, n, people[n], dead) for n in range(2)])
        await world.settled()
        assert await world.blocklisted() == set()
        await world.read([shape_line(NOW + 1, 9, people[9], dead)])
        await world.settled()
        assert await world.blocklisted() == set(people)
        (row,) = await world.rows()
        assert (row.report.state, row.report.subscribers, row.report.way) == (ReportState.VERIFIED, 70, "blocklist")


async def test_a_dead_domain_of_many_is_left_to_a_person(listmonk: Starter, tmp_path: Path) -> None:
    dead = shapes(ReplyClass.DEAD_DOMAIN)[0]
    table = {"more": "[suppression]\nmax_domain_subscribers = 10"}
    async with begun(listmonk, "6.2", tmp_path, table=table) as (one, world):
        people = [f"r{n}@dead.example" for n in range(11)]
        await one.seeding.subscribers(emails=people)
        await world.read([shape_line(NOW, n, people[n], dead) for n in range(3)])
        await world.settled()
        assert await world.blocklisted() == set()
        assert await world.states() == {"dead.example": "left"}
        world.guard.suppressions.put(
            [SuppressionKey(NAME, "domain", "dead.example", MANUAL)], "it is dead", "alice", world.now()
        )
        assert await world.commit()
        await world.settled()
        assert await world.blocklisted() == set(people)


async def test_an_operators_mx_that_denies_relaying_costs_nobody(listmonk: Starter, tmp_path: Path) -> None:
    denied = next(s for s in shapes(ReplyClass.DEAD_DOMAIN) if s.sample.relay == "mx01.mail.icloud.com")
    async with begun(listmonk, "6.2", tmp_path) as (one, world):
        people = [f"r{n}@icloud.com" for n in range(9)]
        await one.seeding.subscribers(emails=people)
        await world.read([shape_line(NOW, n, people[n], denied) for n in range(9)])
        await world.settled()
        assert await world.rows() == []


async def test_a_persons_suppression_is_by_id_and_a_removed_one_is_forgotten(listmonk: Starter, tmp_path: Path) -> None:
    async with begun(listmonk, "6.2", tmp_path) as (one, world):
        await one.seeding.subscribers(emails=["r0@example.org"])
        key = SuppressionKey(NAME, "address", "r0@example.org", MANUAL)
        world.guard.suppressions.put([key], "asked for it", "alice", world.now())
        assert await world.commit()
        await world.settled()
        assert await world.blocklisted() == {"r0@example.org"}
        assert world.requests("POST", "/webhooks/bounce") == 0
        world.guard.suppressions.remove([key])
        assert await world.commit()
        assert await world.rows() == []


# -- Listmonk's database


async def test_with_the_database_no_right_to_query_is_needed(listmonk: Starter, tmp_path: Path) -> None:
    permissions = ("settings:get", "webhooks:post_bounce", "subscribers:manage", "lists:manage_all")
    async with listmonk("6.2", permissions=permissions) as one:
        table = f'database_url = "{one.standin.options.database}"'
        world = Suppressing(one, settings_for(one, tmp_path, listmonk=table), tmp_path)
        await world.start()
        await one.seeding.subscribers(emails=["R0@example.org", "weird%$?@example.org", "r1@dead.example", "r2@dead.example"])
        dead = shapes(ReplyClass.DEAD_DOMAIN)[0]
        await world.read(
            [
                *hard("r0@example.org", "weird%$?@example.org"),
                *(shape_line(NOW, 50 + n, f"x{n}@dead.example", dead) for n in range(3)),
            ]
        )
        await world.settled()
        blocked = {"R0@example.org", "weird%$?@example.org", "r1@dead.example", "r2@dead.example"}
        assert await world.blocklisted() == blocked
        assert world.codes() == []
        await world.stop()


async def test_an_address_that_no_question_may_hold_is_told_to_a_person(listmonk: Starter, tmp_path: Path) -> None:
    async with begun(listmonk, "6.2", tmp_path) as (one, world):
        await one.seeding.subscribers(emails=["weird%$?@example.org", "r1@example.org"])
        await world.read(hard("weird%$?@example.org", "r1@example.org"))
        await world.settled()
        assert await world.blocklisted() == {"r1@example.org"}
        assert await world.states() == {"r1@example.org": "verified", "weird%$?@example.org": "failed"}


async def test_a_database_that_can_not_be_read_is_told_and_waited_for(listmonk: Starter, tmp_path: Path) -> None:
    table = {"listmonk": 'database_url = "postgresql://nobody@/nothing?host=/nonexistent"'}
    async with begun(listmonk, "6.2", tmp_path, table=table) as (one, world):
        await one.seeding.subscribers(emails=["r0@example.org"])
        await world.read(hard("r0@example.org"))
        await world.passes(2)
        assert world.codes() == ["suppression_waits"]
        assert "database" in world.suppress.acting.problem
        assert await world.blocklisted() == set()
