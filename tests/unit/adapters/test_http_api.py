"""The HTTP face over real sockets on loopback: what it serves, and what it does not let others do to it."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import msgspec
import pytest
from typing_extensions import override

from pwmtad.adapters.http_api import ControlPort, HttpApi, ListenError
from pwmtad.adapters.metrics import Metrics
from pwmtad.core import state_json
from pwmtad.model.control import MAX_HOLD_S, ControlAnswer, HaltRequest, ReleaseRequest
from pwmtad.model.errors import PwmtadError
from pwmtad.model.judgement import Record
from pwmtad.model.state import Finding, Level, Snapshot
from tests.tools.states import AT, HALT_ID, healthy_snapshot, sample_halt, sample_records, sample_snapshot, sample_state


def _api(
    snapshot: Callable[[], Snapshot] = sample_snapshot,
    *,
    listen: str = "127.0.0.1:0",
    path: Path | None = None,
    now: float = AT + 1,
    control: ControlPort | None = None,
    answer_timeout_s: float = 10.0,
    idle_timeout_s: float = 75.0,
) -> HttpApi:
    return HttpApi(
        snapshot,
        listen=listen,
        socket=None if path is None else str(path),
        max_tick_age_s=30,
        now=lambda: now,
        metrics=Metrics(),
        control=control,
        answer_timeout_s=answer_timeout_s,
        idle_timeout_s=idle_timeout_s,
    )


@asynccontextmanager
async def _running(api: HttpApi) -> AsyncIterator[str]:
    await api.start()
    try:
        host, port = api.addresses[0]
        yield f"http://{host}:{port}"
    finally:
        await api.stop()


@asynccontextmanager
async def _get(url: str, **headers: str) -> AsyncIterator[tuple[aiohttp.ClientResponse, str]]:
    async with aiohttp.ClientSession() as client, client.get(url, headers=headers) as response:
        yield response, await response.text()


async def _raw(api: HttpApi, sent: bytes) -> bytes:
    """Send bytes as they are, and return all that comes back until the other side closes."""
    reader, writer = await asyncio.open_connection(*api.addresses[0])
    writer.write(sent)
    await writer.drain()
    try:
        async with asyncio.timeout(30):
            return await reader.read(100_000)
    finally:
        writer.close()
        await writer.wait_closed()


def _unix(path: Path) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path)))


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110  the kernel tells no event for what is waited for
            await asyncio.sleep(0.01)


async def test_health_is_good_while_ticks_finish() -> None:
    async with _running(_api(now=AT + 29.9)) as base, _get(f"{base}/healthz") as (response, text):
        assert (response.status, text) == (200, "ok\n")


async def test_health_is_bad_when_no_tick_has_finished_for_too_long() -> None:
    async with _running(_api(now=AT + 95)) as base, _get(f"{base}/healthz") as (response, text):
        assert (response.status, text) == (503, "no tick has finished for 95 s (limit 30 s)\n")


async def test_readiness_says_what_is_missing() -> None:
    async with _running(_api()) as base, _get(f"{base}/readyz") as (response, text):
        assert (response.status, text) == (503, "not ready:\nopendkim: still reading, 42% done\n")
    async with _running(_api(healthy_snapshot)) as base, _get(f"{base}/readyz") as (response, text):
        assert (response.status, text) == (200, "ready\n")


async def test_the_state_is_the_same_after_json_on_both_sockets(tmp_path: Path) -> None:
    path = tmp_path / "pwmtad.sock"
    async with _running(_api(path=path)) as base:
        async with _get(f"{base}/api/v1/state") as (response, text):
            assert response.content_type == "application/json"
            assert state_json.decode(text.encode()) == sample_state()
        async with _unix(path) as client, client.get("http://pwmtad/api/v1/state") as answer:
            assert state_json.decode(await answer.read()) == sample_state()


@pytest.mark.parametrize(
    ("accept", "content_type", "end"),
    [
        ("", "text/plain; version=0.0.4; charset=utf-8", ""),
        ("application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
         "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores", "# EOF\n"),
    ],
)  # fmt: skip
async def test_metrics_come_in_the_format_that_is_asked_for(accept: str, content_type: str, end: str) -> None:
    async with _running(_api()) as base, _get(f"{base}/metrics", Accept=accept) as (response, text):
        assert response.headers["Content-Type"] == content_type
        assert 'pwmtad_messages_unsigned_total{stream="trucking"} 22.0' in text
        assert text.endswith(end)


async def test_every_snapshot_that_is_taken_adds_its_tick_durations() -> None:
    base_snapshot = sample_snapshot()
    ticks = base_snapshot.state.ticks

    def snapshot() -> Snapshot:
        nonlocal ticks
        ticks += 1
        state = msgspec.structs.replace(base_snapshot.state, ticks=ticks)
        return msgspec.structs.replace(base_snapshot, state=state, tick_durations=(0.02,))

    async with _running(_api(snapshot)) as base:
        for path in ("/healthz", "/", "/readyz", "/api/v1/state"):
            async with _get(base + path):
                pass
        async with _get(f"{base}/metrics") as (_, text):
            assert "pwmtad_tick_duration_seconds_count 5.0" in text


async def test_the_page_links_the_rest_and_escapes_what_others_wrote() -> None:
    snapshot = sample_snapshot()
    hostile = Finding(Level.ERROR, "x", "<script>alert(1)</script>", '"><img src=x>')
    state = msgspec.structs.replace(snapshot.state, findings=(hostile,), host="<b>host")
    async with _running(_api(lambda: msgspec.structs.replace(snapshot, state=state))) as base, _get(base) as (response, text):
        assert response.content_type == "text/html"
        for path in ("/metrics", "/healthz", "/readyz", "/api/v1/state"):
            assert f'href="{path}"' in text
        assert "<script" not in text
        assert "<img" not in text
        assert "<b>" not in text
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]


async def test_the_page_of_a_healthy_daemon_says_that_there_is_nothing_to_do() -> None:
    async with _running(_api(healthy_snapshot)) as base, _get(base) as (_, text):
        assert "<h2>Findings</h2>\n<p>None.</p>" in text
        assert "; ready</p>" in text


@pytest.mark.parametrize("path", ["/nothing", "/metrics/", "/../etc/passwd", "/%2e%2e/etc/passwd", "//", "/api/v1", "/static/"])
async def test_other_paths_are_not_found_and_list_nothing(path: str) -> None:
    api = _api()
    async with _running(api):
        answer = await _raw(api, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 404 ")
        assert b"passwd" not in answer


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
async def test_only_get_is_served(method: str) -> None:
    api = _api()
    async with _running(api):
        sent = f"{method} /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\nx=1"
        answer = await _raw(api, sent.encode())
    assert answer.startswith(b"HTTP/1.1 405 ")
    assert b"\r\nAllow: GET, HEAD\r\n" in answer


async def test_head_answers_without_a_body() -> None:
    async with _running(_api()) as base, aiohttp.ClientSession() as client, client.head(f"{base}/healthz") as response:
        assert (response.status, await response.read()) == (200, b"")


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 9000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: 1\r\n" % n for n in range(200)) + b"\r\n",
        b"GET http://[::1 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nHost: x\r\n\r\n0\r\n\r\n",
    ],
)
async def test_no_answer_tells_which_software_and_version_this_is(sent: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    api = _api()
    async with _running(api):
        answer = (await _raw(api, sent)).lower()
    assert answer.startswith((b"http/1.1 200", b"http/1.1 400", b"http/1.0 400"))
    assert b"\r\nserver: pwmtad\r\n" in answer
    assert b"python" not in answer
    assert b"aiohttp" not in answer
    assert capfd.readouterr().err == ""


async def test_a_connection_that_never_finishes_its_request_is_closed() -> None:
    api = _api(idle_timeout_s=0.1)
    async with _running(api):
        assert await _raw(api, b"GET /healthz HTTP/1.1\r\nHost: x\r\n") == b""


async def test_a_client_that_does_not_read_is_dropped() -> None:
    snapshot = sample_snapshot()
    many = {f"event-{number}-{'x' * 200}": 1 for number in range(40_000)}
    state = msgspec.structs.replace(snapshot.state, events=many)
    api = _api(lambda: msgspec.structs.replace(snapshot, state=state), answer_timeout_s=0.1)
    async with _running(api):
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(client, api.addresses[0])
            await loop.sock_sendall(client, b"GET /api/v1/state HTTP/1.1\r\nHost: x\r\n\r\n")
            await _until(lambda: api.connections == 1)
            await _until(lambda: api.connections == 0)
            received = 0
            with suppress(ConnectionResetError):
                while part := await loop.sock_recv(client, 1_000_000):
                    received += len(part)
    assert received < len(state_json.encode(state)) / 2


async def test_more_connections_than_the_limit_are_closed_and_the_rest_go_on() -> None:
    api = _api()
    async with _running(api) as base:
        held = [await asyncio.open_connection(*api.addresses[0]) for _ in range(64)]
        assert await _raw(api, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n") == b""
        for _, writer in held:
            writer.close()
            await writer.wait_closed()
        await _until(lambda: api.connections == 0)
        async with _get(f"{base}/healthz") as (response, _):
            assert response.status == 200


async def test_a_failing_snapshot_is_answered_with_500_and_logged(capsys: pytest.CaptureFixture[str]) -> None:
    def broken() -> Snapshot:
        raise ZeroDivisionError("the secret of the day")

    async with _running(_api(broken)) as base, _get(f"{base}/metrics") as (response, text):
        assert response.status == 500
        assert "secret" not in text
    assert "request_failed" in capsys.readouterr().out


async def test_a_taken_port_is_told_with_address_and_advice() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ListenError, match=rf"can't listen on 127\.0\.0\.1:{port}: the address is in use.*http\.listen"):
            await _api(listen=f"127.0.0.1:{port}").start()


async def test_an_address_of_another_host_is_told() -> None:
    with pytest.raises(ListenError, match="this host has no such address"):
        await _api(listen="192.0.2.1:9850").start()


async def test_ipv6_is_listened_on_with_and_without_brackets() -> None:
    for listen in ("[::1]:0", "::1:0"):
        api = _api(listen=listen)
        await api.start()
        assert api.addresses[0][0] == "::1"
        await api.stop()


async def test_the_socket_is_for_owner_and_group_only_and_goes_away_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "pwmtad.sock"
    async with _running(_api(path=path)):
        found = path.stat()
        assert stat.S_ISSOCK(found.st_mode)
        assert stat.S_IMODE(found.st_mode) == 0o660
        assert found.st_uid == os.geteuid()
    assert not path.exists()


async def test_a_socket_that_a_crash_left_behind_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "pwmtad.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with _running(_api(path=path)):
        assert path.exists()


async def test_a_socket_that_another_daemon_serves_is_left_to_it(tmp_path: Path) -> None:
    path = tmp_path / "pwmtad.sock"
    async with _running(_api(path=path)):
        second = _api(path=path)
        with pytest.raises(ListenError, match="another pwmtad listens there"):
            await second.start()
        assert second.addresses == ()
        async with _unix(path) as client, client.get("http://pwmtad/healthz") as answer:
            assert answer.status == 200


async def test_a_file_in_the_place_of_the_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "pwmtad.sock"
    path.write_text("precious")
    with pytest.raises(ListenError, match="a file that is no socket"):
        await _api(path=path).start()
    assert path.read_text() == "precious"


async def test_a_missing_directory_of_the_socket_is_told(tmp_path: Path) -> None:
    with pytest.raises(ListenError, match=r"there is no directory .*RuntimeDirectory=pwmtad"):
        await _api(path=tmp_path / "missing" / "pwmtad.sock").start()


async def test_a_socket_that_a_successor_put_there_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "pwmtad.sock"
    async with _running(_api(path=path)):
        path.unlink()
        path.write_text("the successor's")
    assert path.exists()


async def test_a_path_that_no_socket_can_have_is_told(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(ListenError, match="a file that is no socket"):
        await _api(path=tmp_path / "folder").start()
    with pytest.raises(ListenError, match=r"http\.socket"):
        await _api(path=tmp_path / ("x" * 200)).start()


async def test_stopping_twice_or_without_a_start_is_harmless() -> None:
    api = _api()
    await api.stop()
    await api.start()
    await api.stop()
    await api.stop()


# -- orders and records: on the Unix socket only


class _Orders:
    """What was asked for. It knows one stream and one halt."""

    def __init__(self) -> None:
        self.given: list[object] = []

    async def halt(self, request: HaltRequest) -> ControlAnswer:
        if request.stream != "trucking":
            raise PwmtadError("there is no stream 'truking'; streams: trucking")
        self.given.append(request)
        return ControlAnswer(HALT_ID, "stream trucking is halted", True)

    async def release(self, request: ReleaseRequest) -> ControlAnswer:
        if request.halt_id != HALT_ID:
            raise PwmtadError(f"there is no open halt 'x'; open halts: {HALT_ID}")
        self.given.append(request)
        return ControlAnswer(HALT_ID, "halt is released", False)

    async def records(self, *, limit: int, halt_id: str | None) -> list[Record]:
        self.given.append((limit, halt_id))
        return sample_records()[-limit:]


_HALT = {"stream": "trucking", "why": "new list", "by": "alice"}
_RELEASE = {"halt_id": HALT_ID, "by": "alice"}


async def _order(path: Path, target: str, body: object) -> tuple[int, str]:
    data = body if isinstance(body, bytes) else msgspec.json.encode(body)
    async with _unix(path) as client, client.post(f"http://pwmtad{target}", data=data) as answer:
        return answer.status, await answer.text()


async def _records(path: Path, query: str) -> tuple[int, str]:
    async with _unix(path) as client, client.get(f"http://pwmtad/api/v1/records{query}") as answer:
        return answer.status, await answer.text()


async def test_orders_are_taken_on_the_socket(tmp_path: Path) -> None:
    orders, path = _Orders(), tmp_path / "s"
    async with _running(_api(path=path, control=orders)):
        status, text = await _order(path, "/api/v1/halts", _HALT | {"hold_s": 3600})
        assert (status, msgspec.json.decode(text)["halt_id"]) == (200, HALT_ID)
        assert msgspec.json.decode((await _order(path, "/api/v1/releases", _RELEASE))[1])["stored"] is False
        assert (await _order(path, "/api/v1/halts", _HALT))[0] == 200
    assert orders.given == [
        HaltRequest("trucking", "new list", "alice", 3600),
        ReleaseRequest(HALT_ID, "alice"),
        HaltRequest("trucking", "new list", "alice", None),
    ]


@pytest.mark.parametrize(
    ("method", "target"), [("POST", "/api/v1/halts"), ("POST", "/api/v1/releases"), ("GET", "/api/v1/records")]
)
async def test_over_tcp_orders_and_records_are_forbidden_whatever_headers_say(tmp_path: Path, method: str, target: str) -> None:
    orders = _Orders()
    async with _running(_api(path=tmp_path / "s", control=orders)) as base, aiohttp.ClientSession() as client:
        headers = {"Host": "pwmtad", "X-Forwarded-For": "127.0.0.1", "Authorization": "Bearer x"}
        async with client.request(method, base + target, json=_HALT, headers=headers) as answer:
            assert (answer.status, await answer.text()) == (403, "this is served on the Unix socket only\n")
    assert orders.given == []


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"null", b"\xff", b'"trucking"',
        {}, _HALT | {"more": 1}, _HALT | {"stream": 5}, _HALT | {"stream": ""}, _HALT | {"why": ""}, _HALT | {"by": ""},
        _HALT | {"why": "x" * 201}, _HALT | {"stream": "x" * 201},
        _HALT | {"hold_s": 0}, _HALT | {"hold_s": -1}, _HALT | {"hold_s": 1.5}, _HALT | {"hold_s": "72h"},
        _HALT | {"hold_s": MAX_HOLD_S + 1}, _HALT | {"hold_s": True},
    ],
)  # fmt: skip
async def test_a_bad_order_is_refused_in_words_and_does_nothing(tmp_path: Path, body: object) -> None:
    orders, path = _Orders(), tmp_path / "s"
    async with _running(_api(path=path, control=orders)):
        status, text = await _order(path, "/api/v1/halts", body)
        assert (status, text.startswith("bad request: ")) == (400, True)
        assert (await _order(path, "/api/v1/releases", body))[0] == 400
    assert orders.given == []


async def test_an_order_that_is_too_large_is_refused_whether_or_not_it_says_how_large_it_is(tmp_path: Path) -> None:
    orders, path = _Orders(), tmp_path / "s"

    async def parts() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 1000

    async with _running(_api(path=path, control=orders)) as base:
        assert (await _order(path, "/api/v1/halts", b" " * 16_385))[0] == 413
        async with _unix(path) as client, client.post("http://pwmtad/api/v1/halts", data=parts()) as answer:
            assert (answer.status, await answer.text()) == (413, "the request is larger than 16384 bytes\n")
        assert (await _order(path, "/api/v1/halts", b" " * 16_000 + msgspec.json.encode(_HALT)))[0] == 200
        async with _get(f"{base}/healthz") as (response, _):
            assert response.status == 200


async def test_what_can_not_be_done_is_answered_in_the_words_of_the_daemon(tmp_path: Path) -> None:
    path = tmp_path / "s"
    async with _running(_api(path=path, control=_Orders())):
        answer = await _order(path, "/api/v1/halts", _HALT | {"stream": "truking"})
        assert answer == (409, "there is no stream 'truking'; streams: trucking\n")
        answer = await _order(path, "/api/v1/releases", {"halt_id": "x", "by": "alice"})
        assert answer == (409, f"there is no open halt 'x'; open halts: {HALT_ID}\n")


async def test_a_daemon_without_control_takes_no_orders(tmp_path: Path) -> None:
    async with _running(_api(path=tmp_path / "s")):
        assert await _order(tmp_path / "s", "/api/v1/halts", _HALT) == (404, "this daemon takes no orders\n")


async def test_an_order_that_fails_inside_is_logged_and_its_details_stay_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Broken(_Orders):
        @override
        async def halt(self, request: HaltRequest) -> ControlAnswer:
            raise KeyError(f"the secret of {request.stream}")

    async with _running(_api(path=tmp_path / "s", control=Broken())):
        status, text = await _order(tmp_path / "s", "/api/v1/halts", _HALT)
    assert (status, "secret" in text) == (500, False)
    assert "request_failed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        ("", (50, None)), ("?limit=2", (2, None)), (f"?halt={HALT_ID}", (50, HALT_ID)), ("?limit=0", (1, None)),
        ("?limit=-5&halt=", (1, None)), ("?limit=999999999", (1000, None)), ("?halt=%00%F0%9F%92%A3%27", (50, "\0\U0001f4a3'")),
    ],
)  # fmt: skip
async def test_records_are_asked_for_within_bounds(tmp_path: Path, query: str, asked: tuple[int, str | None]) -> None:
    orders, path = _Orders(), tmp_path / "s"
    async with _running(_api(path=path, control=orders)):
        status, text = await _records(path, query)
    found = msgspec.json.decode(text)
    assert status == 200
    assert orders.given == [asked]
    assert found[-1]["at"] == "2026-06-17T04:12:41.000Z"
    assert "class" not in found[-1]


@pytest.mark.parametrize("limit", ["x", "1e3", "", "1" * 5000])
async def test_a_limit_that_is_no_number_is_a_bad_request(tmp_path: Path, limit: str) -> None:
    path = tmp_path / "s"
    async with _running(_api(path=path, control=_Orders())):
        assert (await _records(path, f"?limit={limit}"))[0] == 400


async def test_the_page_shows_what_is_halted_and_that_observe_mode_holds_nothing() -> None:
    async with _running(_api()) as base, _get(base) as (_, text):
        assert HALT_ID in text
        assert "Observe mode: nothing is held." in text
        assert "<td>no: google-blocks" in text
        assert "<td>15, counts as 13</td>" in text
    snapshot = sample_snapshot()
    hostile = msgspec.structs.replace(sample_halt(), id="<script>", reason="<img>", hold_until=None)
    state = msgspec.structs.replace(snapshot.state, mode="enforce", halts=(hostile,), desired=())
    async with _running(_api(lambda: msgspec.structs.replace(snapshot, state=state))) as base, _get(base) as (_, text):
        assert "<script" not in text
        assert "<img" not in text
        assert "<td>released</td>" in text
        assert "Observe mode" not in text
