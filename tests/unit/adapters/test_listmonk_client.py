"""Asking Listmonk: credentials, bounds, retries, paging, answers that are not Listmonk's. (The contract tests go further.)"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from pwmtad.adapters.listmonk import ListmonkClient, ListmonkInstance, Transport
from pwmtad.adapters.listmonk.client import AskError
from pwmtad.adapters.listmonk.transport import MAX_BYTES, NoAnswerError
from pwmtad.core.listmonk_versions import traits_of
from pwmtad.core.listmonk_window import BATCH, DURATION, FLAG, RATE
from pwmtad.model.listmonk import CampaignStatus, Changed, Failure, ListmonkActual, Outcome, Rights, Trouble

TOKEN = "sEcReT-0123456789"  # noqa: S105  (a test's)
STATUSES = (CampaignStatus.RUNNING, CampaignStatus.PAUSED)
SETTINGS = {FLAG: True, RATE: 2, DURATION: "25s", BATCH: 2, "app.root_url": "https://lists.example.org/", "smtp": []}


def campaign(number: int, status: str = "running", **more: Any) -> dict[str, Any]:
    return {"id": number, "uuid": f"u{number}", "name": f"News {number}", "status": status, "sent": 3, "to_send": 9, **more}


class Server:
    """Answers as told: `answer` gets each request and returns an answer, or raises to drop the connection."""

    def __init__(self) -> None:
        self.requests: list[web.Request] = []
        self.bodies: list[str] = []
        self.answer: Callable[[web.Request], Any] = lambda _: web.Response(status=404)
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        self.bodies.append(await request.text())
        answer = self.answer(request)
        if asyncio.iscoroutine(answer):
            answer = await answer
        if answer is None:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if isinstance(answer, web.StreamResponse):
            return answer
        return web.json_response({"data": answer})

    @property
    def asked(self) -> list[str]:
        return [f"{request.method} {request.path}" for request in self.requests]


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    app = web.Application(client_max_size=32 * 1024 * 1024)
    app.router.add_route("*", "/{tail:.*}", made.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    return file


@pytest.fixture
async def transport(server: Server, token_file: Path) -> AsyncIterator[Transport]:
    made = Transport(url=server.url, user="pwmtad", token_file=str(token_file), timeout_s=30.0, jitter=lambda: 0.0)
    yield made
    await made.close()


@pytest.fixture
def client(transport: Transport) -> ListmonkClient:
    return ListmonkClient(transport)


def put(file: Path, content: bytes) -> None:
    file.write_bytes(content)


def remove(file: Path) -> None:
    file.unlink()


def page(*campaigns: dict[str, Any], total: int | None = None) -> dict[str, Any]:
    return {"results": list(campaigns), "total": len(campaigns) if total is None else total}


# -- credentials


async def test_the_token_goes_into_the_header_and_a_cookie_never_comes_back(server: Server, client: ListmonkClient) -> None:
    def answer(_: web.Request) -> web.Response:
        found = web.json_response({"data": {"version": "v6.2.0"}})
        found.set_cookie("session", "x")
        return found

    server.answer = answer
    await client.config()
    await client.config()
    assert [request.headers["Authorization"] for request in server.requests] == [f"token pwmtad:{TOKEN}"] * 2
    assert not any("Cookie" in request.headers for request in server.requests)


async def test_version_3_that_knows_no_tokens_is_asked_with_a_password(server: Server, client: ListmonkClient) -> None:
    basic = f"Basic {base64.b64encode(f'pwmtad:{TOKEN}'.encode()).decode()}"

    def answer(request: web.Request) -> Any:
        good = request.headers["Authorization"] == basic
        return {"version": "v3.0.0"} if good else web.json_response({"message": "Unauthorized"}, status=401)

    server.answer = answer
    assert (await client.config()).version == "v3.0.0"
    await client.config()
    assert len(server.requests) == 3


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refusal_is_final_and_the_token_is_read_again_for_the_next_time(
    server: Server, client: ListmonkClient, token_file: Path, status: int
) -> None:
    server.answer = lambda _: web.json_response({"message": "invalid API credentials"}, status=status)
    with pytest.raises(AskError) as caught:
        await client.config()
    assert caught.value.failure.trouble is Trouble.FORBIDDEN
    assert len(server.requests) == (1 if status == 403 else 2)
    put(token_file, b"another-token")
    server.answer = lambda _: {"version": "v6.2.0"}
    await client.config()
    last = server.requests[-1].headers["Authorization"]
    assert last in ("token pwmtad:another-token", f"Basic {base64.b64encode(b'pwmtad:another-token').decode()}")


async def test_a_server_that_repeats_the_token_does_not_bring_it_into_any_text(server: Server, client: ListmonkClient) -> None:
    basic = base64.b64encode(f"pwmtad:{TOKEN}".encode()).decode()
    server.answer = lambda request: web.Response(
        status=400, text=f"you sent {request.headers['Authorization']} and {basic} \x1b[31m"
    )
    changed = await client.set_status(12, CampaignStatus.PAUSED)
    assert changed.outcome is Outcome.REFUSED
    assert "[token]" in changed.text
    for secret in (TOKEN, basic):
        assert secret not in changed.text
    assert changed.text.isprintable()
    with pytest.raises(AskError) as caught:
        await client.config()
    assert TOKEN not in caught.value.failure.text


@pytest.mark.parametrize(
    "content", [b"", b"  \n", b"two words", b"two\nlines", b"\xff\xfe", "t\u00f6ken".encode(), b"x" * 5000]
)
async def test_a_file_without_a_token_is_told_and_nothing_is_asked(
    server: Server, client: ListmonkClient, token_file: Path, content: bytes
) -> None:
    put(token_file, content)
    with pytest.raises(AskError) as caught:
        await client.config()
    assert caught.value.failure.trouble is Trouble.CREDENTIALS
    assert "holds no token" in caught.value.failure.text
    assert server.requests == []


async def test_a_token_file_that_is_not_there_is_told(server: Server, client: ListmonkClient, token_file: Path) -> None:
    remove(token_file)
    changed = await client.set_status(12, CampaignStatus.PAUSED)
    assert (changed.outcome, server.requests) == (Outcome.NOT_SENT, [])
    assert "No such file" in changed.text


async def test_credentials_show_nothing_of_themselves(transport: Transport, server: Server) -> None:
    server.answer = lambda _: True
    await transport.get("/api/health")
    assert TOKEN not in repr(transport.__dict__)
    assert TOKEN not in repr(transport._credentials)


# -- retries


async def test_what_only_reads_is_asked_again_when_it_fails(server: Server, client: ListmonkClient) -> None:
    answers = iter([web.Response(status=502), None, {"version": "v6.2.0"}])
    server.answer = lambda _: next(answers)
    assert (await client.config()).version == "v6.2.0"
    assert len(server.requests) == 3


async def test_a_failure_that_stays_is_told_after_three_tries(server: Server, client: ListmonkClient) -> None:
    server.answer = lambda _: web.json_response({"message": "database"}, status=500)
    with pytest.raises(AskError) as caught:
        await client.settings()
    assert caught.value.failure.trouble is Trouble.UNREACHABLE
    assert "500" in caught.value.failure.text
    assert len(server.requests) == 3


@pytest.mark.parametrize("answer", [None, web.Response(status=503)])
async def test_what_changes_something_is_asked_once_though_the_connection_is_lost(
    server: Server, client: ListmonkClient, answer: web.Response | None
) -> None:
    """aiohttp by itself would send a PUT again."""
    server.answer = lambda _: answer
    assert (await client.set_status(12, CampaignStatus.PAUSED)).outcome is Outcome.UNSURE
    assert (await client.put_setting(RATE, 2)).outcome is Outcome.UNSURE
    assert len(server.requests) == 2


async def test_without_a_connection_nothing_was_sent(server: Server, token_file: Path) -> None:
    closed = Transport(url="http://127.0.0.1:9", user="p", token_file=str(token_file), timeout_s=2.0, jitter=lambda: 0.0)
    client = ListmonkClient(closed)
    changed = await client.set_status(12, CampaignStatus.PAUSED)
    assert changed.outcome is Outcome.NOT_SENT
    assert TOKEN not in changed.text
    with pytest.raises(AskError):
        await client.config()
    await client.close()
    assert server.requests == []


# -- bounds


async def test_an_answer_that_does_not_come_is_waited_for_no_longer_than_allowed(server: Server, token_file: Path) -> None:
    released = asyncio.Event()

    async def hang() -> web.Response:
        await released.wait()
        return web.Response()

    server.answer = lambda _: hang()
    transport = Transport(url=server.url, user="p", token_file=str(token_file), timeout_s=0.2, jitter=lambda: 0.0)
    with pytest.raises(NoAnswerError) as caught:
        await transport.get("/api/config")
    assert caught.value.arrived
    changed = await ListmonkClient(transport).set_status(12, CampaignStatus.PAUSED)
    assert changed.outcome is Outcome.UNSURE
    released.set()
    await transport.close()


async def test_an_endless_answer_is_cut(server: Server, client: ListmonkClient) -> None:
    server.answer = lambda _: web.Response(body=b"x" * (MAX_BYTES + 1))
    with pytest.raises(AskError) as caught:
        await client.settings()
    assert caught.value.failure.trouble is Trouble.NONSENSE
    assert len(server.requests) == 1


async def test_a_compressed_answer_is_not_unpacked(server: Server, client: ListmonkClient) -> None:
    def answer(_: web.Request) -> web.Response:
        found = web.Response(body=b"0" * 100_000, headers={"Content-Type": "application/json"})
        found.enable_compression(web.ContentCoding.gzip)
        return found

    server.answer = answer
    with pytest.raises(AskError) as caught:
        await client.settings()
    assert caught.value.failure.trouble is Trouble.NONSENSE


async def test_a_redirect_is_not_followed(server: Server, client: ListmonkClient) -> None:
    server.answer = lambda _: web.Response(status=302, headers={"Location": "https://evil.example/"})
    with pytest.raises(AskError) as caught:
        await client.config()
    assert caught.value.failure.trouble is Trouble.NONSENSE
    changed = await client.set_status(12, CampaignStatus.PAUSED)
    assert changed.outcome is Outcome.NOT_SENT


# -- answers that are not Listmonk's


@pytest.mark.parametrize(
    "body",
    [
        "<html>Sign in</html>", "", "null", "[]", '{"data": null}', '{"data": {"version": 6}}', '{"data": {}}', "{" * 100_000,
        '{"data": {"version": "v6.2.0", "needs_restart": "yes"}}', "\udcff", '{"data": "\\ud800"}',
    ],
)  # fmt: skip
async def test_garbage_is_told_and_is_no_version(server: Server, client: ListmonkClient, body: str) -> None:
    server.answer = lambda _: web.Response(body=body.encode("utf-8", "surrogatepass"))
    with pytest.raises(AskError) as caught:
        await client.config()
    assert caught.value.failure.trouble is Trouble.NONSENSE
    assert caught.value.failure.text.isprintable()


@pytest.mark.parametrize(
    "body",
    ["<html>", '{"data": true}', '{"data": {"id": 12}}', json.dumps({"data": campaign(13)}), json.dumps({"data": campaign(0)})],
)
async def test_an_answer_to_a_pause_that_is_not_listmonks_leaves_open_whether_it_was_made(
    server: Server, client: ListmonkClient, body: str
) -> None:
    server.answer = lambda _: web.Response(text=body)
    assert (await client.set_status(12, CampaignStatus.PAUSED)).outcome is Outcome.UNSURE


@pytest.mark.parametrize(
    ("answer", "changed"),
    [
        ('{"data": true}', Changed(Outcome.DONE, needs_restart=False)),
        ('{"data": {"needs_restart": true}}', Changed(Outcome.DONE, needs_restart=True)),
    ],
)
async def test_a_settings_change_says_whether_campaigns_are_in_work(
    server: Server, client: ListmonkClient, answer: str, changed: Changed
) -> None:
    server.answer = lambda _: web.Response(text=answer)
    assert await client.put_setting(DURATION, "25s") == changed
    assert (server.asked[0], server.bodies[0]) == (f"PUT /api/settings/{DURATION}", '"25s"')
    assert server.requests[0].headers["Content-Type"] == "application/json"
    assert await client.put_settings({"a": 1}) == changed
    assert json.loads(server.bodies[1]) == {"a": 1}


# -- paging


def paged(listing: Callable[[], list[dict[str, Any]]]) -> Callable[[web.Request], Any]:
    def answer(request: web.Request) -> Any:
        found = listing()
        size, number = int(request.query["per_page"]), int(request.query["page"])
        part = found[(number - 1) * size : number * size]
        return page(*part, total=len(found) if part else 0)

    return answer


@pytest.mark.parametrize("count", [0, 1, 49, 50, 51, 100, 137])
async def test_paging_finds_every_campaign(server: Server, client: ListmonkClient, count: int) -> None:
    server.answer = paged(lambda: [campaign(number) for number in range(1, count + 1)])
    found, complete = await client.campaigns(STATUSES)
    assert (len(found), complete) == (count, True)
    query = server.requests[0].query
    assert (query.getall("status"), query["no_body"]) == (["running", "paused"], "true")


async def test_a_list_that_changes_once_while_it_is_read_is_read_again(server: Server, client: ListmonkClient) -> None:
    numbers = list(range(1, 121))

    def listing() -> list[dict[str, Any]]:
        found = [campaign(number) for number in numbers]
        if len(server.requests) == 1:
            del numbers[:5]  # they are paused meanwhile, and all that follow move up
        return found

    server.answer = paged(listing)
    found, complete = await client.campaigns(STATUSES)
    assert ({one.id for one in found}, complete) == (set(range(6, 121)), True)


async def test_a_list_that_changes_all_the_time_is_told_to_be_incomplete(server: Server, client: ListmonkClient) -> None:
    numbers = list(range(1, 400))

    def listing() -> list[dict[str, Any]]:
        del numbers[:1]
        return [campaign(number) for number in numbers]

    server.answer = paged(listing)
    found, complete = await client.campaigns(STATUSES)
    assert not complete
    assert len(found) >= 380


async def test_pages_without_an_end_are_not_read_for_ever(server: Server, client: ListmonkClient) -> None:
    server.answer = lambda request: page(campaign(int(request.query["page"])), total=10**9)
    found, complete = await client.campaigns(STATUSES)
    assert not complete
    assert len(server.requests) == 3 * 400
    assert len(found) == 400


async def test_null_results_are_none(server: Server, client: ListmonkClient) -> None:
    server.answer = lambda _: {"results": None, "total": 0}
    assert await client.campaigns(STATUSES) == ([], True)


# -- looks


def whole(request: web.Request) -> Any:
    if request.path == "/api/config":
        return {"version": "v6.2.0", "needs_restart": True}
    if request.path == "/api/settings":
        return SETTINGS
    return page(
        campaign(14, "paused", updated_at="2026-11-24T08:00:00.123456789Z", send_at="2026-11-25T08:00:00+02:00"), campaign(12)
    )


async def test_a_look_has_everything_in_the_order_of_numbers(server: Server, client: ListmonkClient) -> None:
    server.answer = whole
    found = await ListmonkInstance(client).look(whole=True)
    assert isinstance(found, ListmonkActual)
    assert [(one.id, one.status) for one in found.campaigns] == [(12, "running"), (14, "paused")]
    assert found.campaigns[1].updated_at == pytest.approx(1_795_507_200.123457)
    assert found.campaigns[1].send_at == 1_795_586_400.0
    assert (found.needs_restart, found.root_url, found.blind) == (True, "https://lists.example.org", "")
    assert found.engine is not None
    assert (found.engine.rate, found.engine.duration_s) == (2, 25.0)
    assert found.traits == traits_of("v6.2.0")


async def test_a_short_look_asks_for_campaigns_only(server: Server, client: ListmonkClient) -> None:
    server.answer = whole
    found = await ListmonkInstance(client).look(whole=False)
    assert isinstance(found, ListmonkActual)
    assert (len(found.campaigns), found.engine, found.traits) == (2, None, None)
    assert server.asked == ["GET /api/campaigns"]


@pytest.mark.parametrize(("path", "missing"), [("/api/settings", "engine"), ("/api/config", "traits")])
async def test_what_can_not_be_read_leaves_the_rest(server: Server, client: ListmonkClient, path: str, missing: str) -> None:
    server.answer = lambda request: web.Response(status=500) if request.path == path else whole(request)
    found = await ListmonkInstance(client).look(whole=True)
    assert isinstance(found, ListmonkActual)
    assert getattr(found, missing) is None
    assert len(found.campaigns) == 2
    assert path in found.blind


async def test_without_campaigns_there_is_no_look_and_the_most_telling_failure_is_told(
    server: Server, client: ListmonkClient
) -> None:
    server.answer = lambda _: web.json_response({}, status=403)
    found = await ListmonkInstance(client).look(whole=True)
    assert isinstance(found, Failure)
    assert "/api/config is refused" in found.text
    server.answer = lambda r: web.json_response({}, status=403) if r.path == "/api/campaigns" else whole(r)
    found = await ListmonkInstance(client).look(whole=True)
    assert isinstance(found, Failure)
    assert "/api/campaigns is refused" in found.text
    assert isinstance(await ListmonkInstance(client).look(whole=False), Failure)


async def test_settings_without_a_window_are_told(server: Server, client: ListmonkClient) -> None:
    server.answer = lambda r: {"app.root_url": 5} if r.path == "/api/settings" else whole(r)
    found = await ListmonkInstance(client).look(whole=True)
    assert isinstance(found, ListmonkActual)
    assert (found.engine, found.root_url) == (None, "")
    assert "no send window" in found.blind


async def test_a_nightly_build_is_known_by_the_fields_that_it_shows(server: Server, client: ListmonkClient) -> None:
    def answer(request: web.Request) -> Any:
        if request.path == "/api/config":
            return {"version": "nightly"}
        return page(campaign(1, attribs={}, body_source=None)) if request.path == "/api/campaigns" else SETTINGS

    server.answer = answer
    found = await ListmonkInstance(client).look(whole=True)
    assert isinstance(found, ListmonkActual)
    assert found.traits is not None
    assert (found.traits.known, found.traits.by_key) == (False, True)


# -- rights


def lacking(*refused: str) -> Callable[[web.Request], Any]:
    def answer(request: web.Request) -> Any:
        if f"{request.method} {request.path}" in refused:
            return web.json_response({"message": "permission denied"}, status=403)
        if request.method == "PUT" or request.path.endswith("2147483647"):
            return web.json_response({"message": "invalid"}, status=400)
        return whole(request)

    return answer


@pytest.mark.parametrize(
    ("version", "refused", "missing"),
    [
        ("v6.2.0", (), ()),
        ("v6.2.0", ("GET /api/settings",), ("settings:get",)),
        ("v6.2.0", ("GET /api/campaigns",), ("campaigns:get_all",)),
        ("v6.2.0", ("GET /api/campaigns/2147483647",), ("campaigns:get_all",)),
        ("v6.2.0", ("PUT /api/settings",), ("settings:manage",)),
        ("v6.2.0", ("PUT /api/campaigns/0/status",), ("campaigns:send",)),
        ("v6.2.0", ("PUT /api/campaigns/2147483647/status",), ("campaigns:manage_all",)),
        ("v5.1.0", ("PUT /api/campaigns/0/status",), ("campaigns:manage_all",)),
        ("v4.1.0", ("PUT /api/campaigns/0/status", "GET /api/campaigns"), ("campaigns:get", "campaigns:manage")),
        ("v4.1.0", ("PUT /api/campaigns/2147483647/status", "GET /api/campaigns/2147483647"), ()),
        ("v3.0.0", ("GET /api/settings",), ()),
    ],
)
async def test_a_permission_that_is_missing_is_named(
    server: Server, client: ListmonkClient, version: str, refused: tuple[str, ...], missing: tuple[str, ...]
) -> None:
    server.answer = lacking(*refused)
    assert await ListmonkInstance(client).rights(traits_of(version), probe=True) == Rights(missing)


async def test_observing_asks_for_nothing_that_could_change_something(server: Server, client: ListmonkClient) -> None:
    server.answer = lacking()
    assert await ListmonkInstance(client).rights(traits_of("v6.2.0"), probe=False) == Rights()
    assert all(asked.startswith("GET ") for asked in server.asked)


async def test_probes_can_not_be_carried_out(server: Server, client: ListmonkClient) -> None:
    server.answer = lacking()
    await ListmonkInstance(client).rights(traits_of("v6.2.0"), probe=True)
    puts = [(a, b) for a, b in zip(server.asked, server.bodies, strict=True) if a.startswith("PUT ")]
    assert puts == [
        ("PUT /api/settings", "{"),
        ("PUT /api/campaigns/0/status", '{"status":"paused"}'),
        ("PUT /api/campaigns/2147483647/status", '{"status":"paused"}'),
    ]


async def test_rights_that_can_not_be_found_out_are_a_failure(server: Server, client: ListmonkClient) -> None:
    def answer(request: web.Request) -> Any:
        return None if request.method == "PUT" else whole(request)

    server.answer = answer
    assert isinstance(await ListmonkInstance(client).rights(traits_of("v6.2.0"), probe=True), Failure)
    server.answer = lambda r: web.Response(status=502) if r.method == "PUT" else whole(r)
    assert isinstance(await ListmonkInstance(client).rights(traits_of("v6.2.0"), probe=True), Failure)


# -- the window


CHANGES = ((FLAG, True), (RATE, 2), (DURATION, "25s"))
NEW, OLD = traits_of("v6.2.0"), traits_of("v5.1.0")


async def test_key_by_key_in_order_and_one_restart_is_enough(server: Server, client: ListmonkClient) -> None:
    answers = iter([{"needs_restart": True}, True, {"needs_restart": True}])
    server.answer = lambda _: next(answers)
    assert await ListmonkInstance(client).set_window(CHANGES, NEW) == Changed(Outcome.DONE, needs_restart=False)
    assert server.asked == [f"PUT /api/settings/{key}" for key, _ in CHANGES]
    assert server.bodies == ["true", "2", '"25s"']


async def test_key_by_key_stops_at_the_first_that_fails_and_says_what_came_before(
    server: Server, client: ListmonkClient
) -> None:
    answers: Any = iter([True, None])
    server.answer = lambda _: next(answers)
    changed = await ListmonkInstance(client).set_window(CHANGES, NEW)
    assert (changed.outcome, changed.needs_restart) == (Outcome.UNSURE, False)
    assert changed.text.startswith(RATE)
    assert len(server.requests) == 2


async def test_all_at_once_reads_first_and_writes_everything_back(server: Server, client: ListmonkClient) -> None:
    shown = {
        **SETTINGS,
        RATE: 300,
        "smtp": [{"uuid": "a", "name": "email-x", "password": "\u2022" * 6}],
        "other": {"deep": [1]},
    }
    server.answer = lambda request: shown if request.method == "GET" else True
    assert (await ListmonkInstance(client).set_window(CHANGES, OLD)).outcome is Outcome.DONE
    sent = json.loads(server.bodies[1])
    assert sent == {**shown, RATE: 2, "smtp": [{"uuid": "a", "name": "email-x", "password": ""}]}


async def test_i11_all_at_once_is_refused_while_a_mask_remains(server: Server, client: ListmonkClient) -> None:
    server.answer = lambda _: {**SETTINGS, "new.secret": "\u2022" * 6}
    changed = await ListmonkInstance(client).set_window(CHANGES, OLD)
    assert changed.outcome is Outcome.REFUSED
    assert "new.secret holds a bullet" in changed.text
    assert server.asked == ["GET /api/settings"]


async def test_all_at_once_is_not_written_if_it_could_not_be_read(server: Server, client: ListmonkClient) -> None:
    server.answer = lambda _: web.Response(status=500)
    assert (await ListmonkInstance(client).set_window(CHANGES, OLD)).outcome is Outcome.NOT_SENT
    assert "PUT" not in "".join(server.asked)


async def test_a_closed_client_can_be_used_again(server: Server, client: ListmonkClient) -> None:
    server.answer = lambda _: {"version": "v6.2.0"}
    await client.config()
    await ListmonkInstance(client).close()
    await client.close()
    await client.config()
    assert len(server.requests) == 2


async def test_a_broken_stream_is_no_answer(server: Server, client: ListmonkClient) -> None:
    async def break_off(request: web.Request) -> web.StreamResponse:
        found = web.StreamResponse(headers={"Content-Length": "1000"})
        await found.prepare(request)
        await found.write(b"half")
        assert request.transport is not None
        request.transport.abort()
        return found

    server.answer = lambda request: break_off(request)
    changed = await client.set_status(12, CampaignStatus.PAUSED)
    assert changed.outcome is Outcome.UNSURE
    assert isinstance(aiohttp.ClientPayloadError(), aiohttp.ClientError)
