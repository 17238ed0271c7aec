"""Between the daemon and its root helper: what is asked arrives, what fails comes back in words, and nobody else is served."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from pwmtad.adapters.helper import HelperClient, HelperServer, ListenError, bound, inherited
from pwmtad.model import helper_protocol as protocol
from pwmtad.model.target import PostfixActual, QueueEntry, QueueListing
from tests.unit.adapters.helper_world import ACTUAL, APPLIED, LISTING, TARGET, Remembering, serving, until

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def path() -> Iterator[Path]:
    """A socket's name that is short enough, in a folder that every user can enter."""
    with tempfile.TemporaryDirectory(prefix="pwmtad-helper-") as folder:
        os.chmod(folder, 0o711)  # noqa: S103  another user must reach the socket, as in /run
        yield Path(folder, "s")


def _frame(message: object) -> bytes:
    body = msgspec.msgpack.encode(message)
    return len(body).to_bytes(4, "big") + body


async def _talk(path: Path, data: bytes) -> bytes:
    """Send bytes and return everything that comes until the other end hangs up."""
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(data)
    try:
        async with asyncio.timeout(20):
            return await reader.read()
    finally:
        writer.close()


def _refusal(answer: bytes) -> str:
    refused = msgspec.msgpack.decode(answer[4:], type=protocol.Answer)
    assert isinstance(refused, protocol.Refused)
    return refused.problem


async def test_every_request_arrives_and_every_answer_comes_back(path: Path) -> None:
    actor = Remembering()
    async with serving(actor, path):
        client = HelperClient(str(path))
        assert await client.look() == ACTUAL
        assert await client.apply(TARGET) == APPLIED
        assert await client.queue() == LISTING
        assert await client.hold(["731D420C053"]) is None
        assert await client.unhold(("731D420C053", "00D5A76")) == "not all"
        client.close()
    assert actor.calls == [
        ("look", None),
        ("apply", TARGET),
        ("queue", None),
        ("hold", ("731D420C053",)),
        ("unhold", ("731D420C053", "00D5A76")),
    ]


async def test_a_queue_of_fifty_thousand_passes(path: Path) -> None:
    actor = Remembering()
    entries = tuple(
        QueueEntry("deferred", f"{number:012X}", 1.0, "news@lists.example.org", ("example.net",), "x" * 200)
        for number in range(50_000)
    )
    actor.listing = QueueListing(entries, frozenset(entry.queue_id for entry in entries))
    async with serving(actor, path):
        client = HelperClient(str(path))
        assert await client.queue() == actor.listing
        client.close()


async def test_an_answer_too_long_to_send_is_told(path: Path) -> None:
    actor = Remembering()
    actor.listing = QueueListing(tuple(QueueEntry("hold", "A" * 6, 1.0, "x" * 300, ()) for _ in range(230_000)))
    async with serving(actor, path):
        client = HelperClient(str(path))
        assert "is longer than" in ((await client.queue()).problem or "")
        client.close()


async def test_a_halt_does_not_wait_for_messages_that_are_put_on_hold(path: Path) -> None:
    actor = Remembering()
    async with serving(actor, path):
        client = HelperClient(str(path))
        actor.gate.clear()
        holding = asyncio.create_task(client.hold(["731D420C053"]))
        await until(lambda: actor.calls)
        applying = asyncio.create_task(client.apply(TARGET))
        await until(lambda: ("apply", TARGET) in actor.calls)
        assert not holding.done()
        actor.gate.set()
        assert await applying == APPLIED
        assert await holding is None
        client.close()


async def test_a_helper_that_is_not_there_is_told_with_what_to_do(path: Path) -> None:
    client = HelperClient(str(path))
    assert (await client.look()).problem == f"nobody listens on {path}: systemctl enable --now pwmtad-helper.socket"
    assert "systemctl enable" in ((await client.apply(TARGET)).problem or "")
    assert "systemctl enable" in ((await client.queue()).problem or "")
    assert "systemctl enable" in (await client.hold(["731D420C053"]) or "")
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(path))
    assert "nobody listens" in (await client.unhold(["731D420C053"]) or "")
    assert "can't ask" in ((await HelperClient("/proc/1/" + "x" * 200).look()).problem or "")


async def test_a_helper_that_starts_again_is_asked_again(path: Path) -> None:
    actor, client = Remembering(), HelperClient(str(path))
    for _ in range(3):
        async with serving(actor, path):
            assert await client.look() == ACTUAL
            assert await client.apply(TARGET) == APPLIED
    client.close()


async def test_a_helper_that_does_not_answer_is_given_up(path: Path) -> None:
    actor = Remembering()
    actor.gate.clear()
    async with serving(actor, path):
        client = HelperClient(str(path), files_s=2.0, queue_s=2.0)
        assert "did not answer within 2 s" in ((await client.apply(TARGET)).problem or "")
        actor.gate.set()
        assert await client.look() == ACTUAL
        client.close()


@pytest.mark.parametrize(
    ("says", "expected"),
    [
        (b"", "hung up"),
        (b"\x00\x00", "cut short"),
        (b"\x00\x00\x00\x05abc", "cut short"),
        (b"\xff\xff\xff\xff", "longer than"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "longer than"),
        (_frame({"type": "seen"}), "not understood"),
        (_frame(["nonsense"]), "not understood"),
        (_frame(protocol.Done()), "another question"),
        (_frame(protocol.Refused("no\x1b[31m")), "refused: no?[31m"),
    ],
)
async def test_what_is_no_helper_is_told(path: Path, says: bytes, expected: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10_000)
        writer.write(says)
        writer.close()

    server = await asyncio.start_unix_server(answer, str(path))
    client = HelperClient(str(path))
    problem = (await client.look()).problem
    assert problem is not None
    assert expected in problem
    client.close()
    server.close()
    await server.wait_closed()


# -- the helper's end


async def test_a_request_that_has_begun_is_carried_to_its_end_when_its_client_is_gone(path: Path) -> None:
    actor = Remembering()
    async with serving(actor, path):
        actor.gate.clear()
        _, writer = await asyncio.open_unix_connection(str(path))
        writer.write(_frame(protocol.Call(protocol.VERSION, protocol.Apply(TARGET))))
        await until(lambda: actor.calls)
        writer.transport.abort()
        await asyncio.sleep(0.05)
        actor.gate.set()
        await until(lambda: actor.finished == ["apply"])
        client = HelperClient(str(path))
        assert await client.look() == ACTUAL
        client.close()


async def test_a_helper_that_is_told_to_end_finishes_what_it_does_and_answers(path: Path) -> None:
    actor = Remembering()
    client = HelperClient(str(path))
    async with serving(actor, path) as server:
        actor.gate.clear()
        applying = asyncio.create_task(client.apply(TARGET))
        await until(lambda: actor.calls)
        stopping = asyncio.create_task(server.stop())
        await asyncio.sleep(0.05)
        assert not stopping.done()
        actor.gate.set()
        await stopping
        assert await applying == APPLIED
    assert actor.finished == ["apply"]
    client.close()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\xff\xff\xff\xff", "longer than"),
        (b"GET / HTTP/1.1\r\n\r\n", "longer than"),
        (_frame({"version": 1}), "not understood"),
        (_frame({"version": 1, "request": {"type": "format-the-disk"}}), "not understood"),
        (_frame({"version": 1, "request": {"type": "look", "more": 1}}), "not understood"),
        (_frame({"version": 1, "request": {"type": "apply", "target": {"streams": [], "other": "/tmp"}}}), "not understood"),
        (b"\x00\x00\x00\x03\xff\xff\xff", "not understood"),
        (_frame(protocol.Call(99, protocol.Look())), "speaks version 1, not 99"),
    ],
)  # fmt: skip
async def test_what_is_no_request_is_refused_in_words_and_ends_the_connection(path: Path, data: bytes, expected: str) -> None:
    actor = Remembering()
    async with serving(actor, path):
        assert expected in _refusal(await _talk(path, data))
        assert actor.calls == []
        client = HelperClient(str(path))
        assert await client.look() == ACTUAL
        client.close()


async def test_slow_silent_and_many_clients_do_not_keep_a_halt_waiting(path: Path) -> None:
    actor = Remembering()
    async with serving(actor, path, request_s=1.0, idle_s=2.0):
        half = [await asyncio.open_unix_connection(str(path)) for _ in range(14)]
        for _, writer in half:
            writer.write(b"\x00\x00\x01")  # and no more
        client = HelperClient(str(path))
        assert await client.apply(TARGET) == APPLIED
        await until(lambda: all(reader.at_eof() for reader, _ in half), within_s=10)
        for _, writer in half:
            writer.close()
        crowd = [await asyncio.open_unix_connection(str(path)) for _ in range(40)]
        await until(lambda: sum(reader.at_eof() for reader, _ in crowd) >= 20)
        for _, writer in crowd:
            writer.close()
        await until(lambda: all(reader.at_eof() for reader, _ in crowd))
        assert await client.look() == ACTUAL
        client.close()


async def test_a_client_that_does_not_read_is_dropped(path: Path) -> None:
    actor = Remembering()
    actor.listing = QueueListing(tuple(QueueEntry("hold", "A" * 6, 1.0, "x" * 300, ()) for _ in range(20_000)))
    async with serving(actor, path, answer_s=0.3) as server:
        with socket.socket(socket.AF_UNIX) as deaf:
            deaf.setblocking(False)
            await asyncio.get_running_loop().sock_connect(deaf, str(path))
            await asyncio.get_running_loop().sock_sendall(deaf, _frame(protocol.Call(1, protocol.ListQueue())))
            await until(lambda: actor.calls)
            await until(lambda: not server.busy)


async def test_a_fault_of_the_helper_is_told_and_does_not_end_it(path: Path) -> None:
    actor = Remembering()
    actor.fault = ZeroDivisionError("oops\x1b")
    async with serving(actor, path):
        client = HelperClient(str(path))
        assert "this failed in the helper, whose log says more: ZeroDivisionError" in ((await client.look()).problem or "")
        actor.fault = OSError(28, "No space left on device")
        assert "No space left on device" in ((await client.look()).problem or "")
        actor.fault = None
        assert await client.look() == ACTUAL
        client.close()


_ASK = """
import asyncio, os, sys
from pwmtad.adapters.helper import HelperClient
async def ask():
    # Only now, with all imported: the other user may not be able to enter the folder of this checkout.
    os.setgroups([])
    os.setgid(int(sys.argv[2]))
    os.setuid(int(sys.argv[2]))
    client = HelperClient(sys.argv[1])
    print((await client.look()).problem)
    print((await client.restore()).problem)
asyncio.run(ask())
"""


def _open_to_all(path: Path) -> socket.socket:
    """Return a socket where it is the helper who refuses, not the file system."""
    listener = bound(str(path), None)
    path.chmod(0o666)
    return listener


async def test_only_root_and_the_named_users_are_served_and_only_root_restores(path: Path) -> None:
    if os.geteuid() != 0:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("becoming another user needs root")
    actor = Remembering()
    server = HelperServer(actor, allowed=[65534])
    await server.start(_open_to_all(path))
    try:
        environment = {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}

        def ask(user: int) -> list[str]:
            done = subprocess.run(
                [sys.executable, "-c", _ASK, str(path), str(user)], cwd="/", env=environment, capture_output=True, text=True,
                timeout=60, check=True,
            )  # fmt: skip
            return done.stdout.splitlines()

        assert await asyncio.to_thread(ask, 65534) == ["None", "the helper refused: only root may restore"]
        refused = "the helper refused: this user may not ask the helper: root and the daemon's user may"
        assert await asyncio.to_thread(ask, 65533) == [refused, refused]
        assert [name for name, _ in actor.calls] == ["look"]
    finally:
        await server.stop()


async def test_root_may_restore(path: Path) -> None:
    actor = Remembering()
    async with serving(actor, path):
        client = HelperClient(str(path))
        applied = await client.restore(release_held=True)
        if os.geteuid() == 0:
            assert applied == APPLIED
            assert actor.calls == [("restore", True)]
        else:
            assert applied.actual == PostfixActual(problem="the helper refused: only root may restore")
        client.close()


# -- listening


def test_our_own_socket_is_for_root_and_a_group_and_replaces_what_a_crash_left(path: Path) -> None:
    for _ in range(2):
        with bound(str(path), os.getgid()):
            found = path.stat()
            assert (found.st_mode & 0o777, found.st_gid) == (0o660, os.getgid())
    path.unlink()
    path.write_text("no socket")
    with pytest.raises(ListenError, match="can't listen on"):
        bound(str(path), None)
    assert path.read_text() == "no socket"
    with pytest.raises(ListenError, match="No such file"):
        bound("/nonexistent/s", None)


_INHERIT = """
import os, socket, sys
from pwmtad.adapters.helper import ListenError, inherited
sort = sys.argv[1]
if sort == "unix":
    passed = socket.socket(socket.AF_UNIX); passed.bind(sys.argv[2]); passed.listen()
elif sort == "tcp":
    passed = socket.socket()
else:
    passed = open("/dev/null")
os.dup2(passed.fileno(), 3)
environ = {"LISTEN_FDS": sys.argv[3], "LISTEN_PID": str(os.getpid()), "LISTEN_FDNAMES": "x"}
try:
    found = inherited(environ, os.getpid())
    print(found.getsockname(), found.get_inheritable(), environ)
except ListenError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("sort", "count", "expected"),
    [("unix", "1", "{path} False {{}}"), ("unix", "2", "systemd passes 2 sockets"), ("tcp", "1", "no Unix stream socket"),
     ("file", "1", "is no socket")],
)  # fmt: skip
def test_a_socket_that_systemd_opened_is_taken(path: Path, sort: str, count: str, expected: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _INHERIT, sort, str(path), count], cwd=ROOT, capture_output=True, text=True,
        timeout=60, check=True,
    )  # fmt: skip
    assert expected.format(path=path) in done.stdout


def test_without_systemd_or_for_another_process_nothing_is_inherited() -> None:
    assert inherited({}, 5) is None
    assert inherited({"LISTEN_FDS": "1", "LISTEN_PID": "4"}, 5) is None
