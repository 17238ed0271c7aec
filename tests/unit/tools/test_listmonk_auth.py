"""Credentials and permissions, against the facts on Listmonk's auth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import aiohttp
import pytest

from tests.tools.listmonk.world import Starter, World, basic

pytest_plugins = ["tests.tools.listmonk.fixtures"]
pytestmark = pytest.mark.services

WITH_TOKENS: Final = ("4", "5", "6.0", "6.2")
ADMIN: Final = ("listmonk", "admin-of-the-file")
HELPER: Final = "token helper:helper-token"


async def ask_as(listmonk: World, header: str | None, path: str = "/api/settings", **more: Any) -> tuple[int, Any]:
    headers = {} if header is None else {"Authorization": header}
    async with (
        aiohttp.ClientSession() as session,
        session.request(
            more.pop("method", "GET"), listmonk.standin.url + path, headers={**headers, **more.pop("headers", {})}, **more
        ) as answer,
    ):
        return answer.status, await answer.json()


async def put_helper(listmonk: World, permissions: Sequence[str] | None, **more: Any) -> None:
    await listmonk.seeding.user(name="helper", token=HELPER[-12:], permissions=permissions, **more)


async def as_helper(listmonk: World, permissions: list[str], method: str, path: str, **more: Any) -> int:
    await put_helper(listmonk, permissions, lists=more.pop("lists", ()))
    return (await ask_as(listmonk, HELPER, path, method=method, **more))[0]


@pytest.mark.parametrize("version", WITH_TOKENS)
async def test_a_token_is_taken_in_both_forms_and_no_other(listmonk: Starter, version: str) -> None:
    """Facts: auth, header forms."""
    async with listmonk(version) as one:
        name, token = one.standin.options.user
        good = (f"token {name}:{token}", basic(name, token))
        assert [(await ask_as(one, header))[0] for header in good] == [200, 200]
        bad = (f"Token {name}:{token}", f"Bearer {token}", f"token {name}", "Basic !!", f"token {name}:wrong", "token :x", None)
        assert [(await ask_as(one, header))[0] for header in bad] == [403] * 7


@pytest.mark.parametrize("version", WITH_TOKENS)
async def test_a_session_cookie_makes_the_header_count_for_nothing(listmonk: Starter, version: str) -> None:
    """Facts: auth, cookies."""
    async with listmonk(version) as one:
        name, token = one.standin.options.user
        cookie = {"Cookie": "session=abc"}
        assert (await ask_as(one, f"token {name}:{token}", headers=cookie)) == (403, {"message": "invalid session"})


async def test_version_3_has_one_name_and_password_and_answers_401(listmonk: Starter) -> None:
    """Facts: auth, v2 and v3."""
    async with listmonk("3", admin=ADMIN) as one:
        assert (await one.ask("GET", "/api/settings"))[0] == 200
        assert await ask_as(one, None) == (401, {"message": "Unauthorized"})
        assert (await ask_as(one, basic(ADMIN[0], "wrong")))[0] == 401


async def test_version_3_without_a_password_asks_nobody(listmonk: Starter) -> None:
    """Facts: auth, v2 and v3."""
    async with listmonk("3", admin=("listmonk", "")) as one:
        assert (await ask_as(one, None))[0] == 200


@pytest.mark.parametrize("version", WITH_TOKENS)
async def test_an_admin_that_is_left_in_the_file_still_is_a_super_admin(listmonk: Starter, version: str) -> None:
    """Facts: auth, v2 and v3."""
    async with listmonk(version, admin=ADMIN) as one:
        assert (await ask_as(one, f"token {ADMIN[0]}:{ADMIN[1]}"))[0] == 200


@pytest.mark.parametrize(("version", "hashed"), [("5", False), ("6.0", False), ("6.1", False), ("6.2", True)])
async def test_since_6_2_the_table_holds_a_hash_of_the_token(listmonk: Starter, version: str, hashed: bool) -> None:
    """Facts: auth, tokens at rest."""
    async with listmonk(version) as one:
        [stored] = await one.row("SELECT password FROM users")
        assert (stored != one.standin.options.user[1]) == hashed
        assert not hashed or len(stored) == 64


@pytest.mark.parametrize("version", WITH_TOKENS)
async def test_a_user_that_is_inserted_by_sql_is_unknown_until_a_restart(listmonk: Starter, version: str) -> None:
    """Facts: auth, tokens in memory."""
    async with listmonk(version) as one:
        await put_helper(one, None, by_sql=True)
        assert (await ask_as(one, HELPER))[0] == 403
        one.standin.crash()
        await one.restarted(2)
        assert (await ask_as(one, HELPER))[0] == 200


@pytest.mark.parametrize("version", WITH_TOKENS)
async def test_a_permission_that_is_missing_is_named(listmonk: Starter, version: str) -> None:
    """Facts: auth, failures."""
    async with listmonk(version) as one:
        await put_helper(one, ["campaigns:get"])
        status, body = await ask_as(one, HELPER)
    assert (status, body["message"]) == (403, "permission denied: settings:get")


@pytest.mark.parametrize("version", WITH_TOKENS)
async def test_health_config_and_about_need_a_user_without_any_permission(listmonk: Starter, version: str) -> None:
    """Facts: auth, permissions."""
    async with listmonk(version) as one:
        for path in ("/api/health", "/api/config", "/api/about"):
            assert await as_helper(one, [], "GET", path) == 200
            assert (await ask_as(one, None, path))[0] == 403
        assert (await ask_as(one, None, "/health"))[0] == 200


@pytest.mark.parametrize(
    ("version", "permissions", "status"),
    [
        ("4", ["campaigns:manage", "lists:manage_all"], 200),
        ("4", ["campaigns:get"], 403),
        ("5", ["campaigns:manage_all"], 200),
        ("6.0", ["campaigns:manage_all"], 200),
        ("6.0", ["campaigns:send", "lists:manage_all"], 403),
        ("6.1", ["campaigns:manage_all"], 403),
        ("6.2", ["campaigns:manage_all"], 403),
        ("6.2", ["campaigns:send"], 403),
        ("6.2", ["campaigns:send", "campaigns:manage_all"], 200),
        ("6.2", ["campaigns:send", "lists:get_all"], 200),
    ],
)
async def test_changing_a_status_needs_other_permissions_in_each_version(
    listmonk: Starter, version: str, permissions: list[str], status: int
) -> None:
    """Facts: auth, permissions and the role upgrade trap."""
    async with listmonk(version, speed=0.001) as one:
        people = await one.seeding.subscribers(1)
        [campaign] = await one.seeding.campaigns(lists=[people["list"]], status="running")
        path = f"/api/campaigns/{campaign}/status"
        assert await as_helper(one, permissions, "PUT", path, json={"status": "paused"}) == status


async def test_a_list_role_opens_the_campaigns_of_its_lists_and_hides_the_others_without_a_hint(listmonk: Starter) -> None:
    """Facts: auth, permissions; campaigns, restricted roles."""
    async with listmonk("6.2", speed=0.001) as one:
        mine = await one.seeding.subscribers(1, list_name="mine")
        other = await one.seeding.subscribers(1, list_name="other", prefix="q")
        [open_one] = await one.seeding.campaigns(lists=[mine["list"]], status="running")
        [closed] = await one.seeding.campaigns(lists=[other["list"]], status="running")
        await put_helper(one, ["campaigns:get", "campaigns:send"], lists=[mine["list"]])
        status, body = await ask_as(one, HELPER, "/api/campaigns?status=running")
        assert (status, [each["id"] for each in body["data"]["results"]], body["data"]["total"]) == (200, [open_one], 1)
        assert (await ask_as(one, HELPER, f"/api/campaigns/{closed}"))[0] == 403
        pause = {"status": "paused"}
        assert (await ask_as(one, HELPER, f"/api/campaigns/{closed}/status", method="PUT", json=pause))[0] == 403
        assert (await ask_as(one, HELPER, "/api/campaigns/999/status", method="PUT", json=pause))[0] == 403
        assert (await ask_as(one, HELPER, f"/api/campaigns/{open_one}/status", method="PUT", json=pause))[0] == 200


async def test_get_campaigns_takes_either_permission_since_5_and_one_before(listmonk: Starter) -> None:
    """Facts: auth, permissions."""
    for version, status in (("4", 403), ("5", 200)):
        async with listmonk(version) as one:
            assert await as_helper(one, ["campaigns:get_all"], "GET", "/api/campaigns") == status


@pytest.mark.parametrize(("version", "status"), [("4", 200), ("5", 403), ("6.2", 403)])
async def test_a_sql_query_needs_a_permission_of_its_own_since_5(listmonk: Starter, version: str, status: int) -> None:
    """Facts: auth, permissions."""
    async with listmonk(version) as one:
        path = "/api/subscribers?query=subscribers.id%20%3E%200"
        assert await as_helper(one, ["subscribers:get_all"], "GET", path) == status
        assert await as_helper(one, ["subscribers:get_all", "subscribers:sql_query"], "GET", path) == 200


@pytest.mark.parametrize(("version", "status"), [("5", 200), ("6.0", 200), ("6.1", 403), ("6.2", 403)])
async def test_blocklisting_needs_access_to_a_list_since_6_1(listmonk: Starter, version: str, status: int) -> None:
    """Facts: auth, permissions."""
    async with listmonk(version) as one:
        people = await one.seeding.subscribers(1)
        path = f"/api/subscribers/{people['ids'][0]}/blocklist"
        assert await as_helper(one, ["subscribers:manage"], "PUT", path) == status
        assert await as_helper(one, ["subscribers:manage"], "PUT", path, lists=[people["list"]]) == 200


async def test_the_webhook_needs_its_own_permission(listmonk: Starter) -> None:
    """Facts: auth, permissions."""
    async with listmonk("5") as one:
        bounce = {"json": {"email": "a@example.org", "type": "hard"}}
        assert await as_helper(one, ["bounces:get"], "POST", "/webhooks/bounce", **bounce) == 403
        assert await as_helper(one, ["webhooks:post_bounce"], "POST", "/webhooks/bounce", **bounce) == 200
