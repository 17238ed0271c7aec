"""What systemd gets to hear, over a real datagram socket."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from pwmtad.adapters.systemd import Notifier


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[tuple[socket.socket, dict[str, str]]]:
    """A socket as systemd listens on, and the environment that names it."""
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        listener.setblocking(False)
        yield listener, {"NOTIFY_SOCKET": str(path)}


def test_each_state_is_told_in_the_words_of_sd_notify(systemd: tuple[socket.socket, dict[str, str]]) -> None:
    listener, environ = systemd
    notifier = Notifier(environ, monotonic=lambda: 12.345678)
    assert notifier.active
    assert all([notifier.ready(), notifier.reloading(), notifier.watchdog(), notifier.status("all well"), notifier.stopping()])
    heard = [listener.recv(4096).decode() for _ in range(5)]
    assert heard == ["READY=1", "RELOADING=1\nMONOTONIC_USEC=12345678", "WATCHDOG=1", "STATUS=all well", "STOPPING=1"]
    notifier.close()
    assert not notifier.ready()


def test_an_abstract_socket_is_reached() -> None:
    name = "pwmtad-test-notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0" + name)
        notifier = Notifier({"NOTIFY_SOCKET": "@" + name})
        assert notifier.ready()
        assert listener.recv(100) == b"READY=1"
        notifier.close()


@pytest.mark.parametrize("value", [None, "", "@", "vsock:2:1234", "relative/path"])
def test_without_systemd_nothing_happens(value: str | None) -> None:
    notifier = Notifier({} if value is None else {"NOTIFY_SOCKET": value})
    assert not notifier.active
    assert not any([notifier.ready(), notifier.reloading(), notifier.status("x"), notifier.watchdog(), notifier.stopping()])
    notifier.close()


def test_a_line_break_in_the_status_adds_no_message(systemd: tuple[socket.socket, dict[str, str]]) -> None:
    listener, environ = systemd
    notifier = Notifier(environ)
    notifier.status("fine\nREADY=1\x1b[2J" + "x" * 1000)
    heard = listener.recv(4096).decode()
    assert heard.startswith("STATUS=fine?READY=1?[2Jx")
    assert "\n" not in heard
    assert len(heard) <= 410
    notifier.close()


def test_a_state_that_could_not_be_told_goes_with_the_next_message(systemd: tuple[socket.socket, dict[str, str]]) -> None:
    listener, environ = systemd
    notifier = Notifier(environ)
    filled = 0
    while notifier.watchdog():  # until the kernel's queue (net.unix.max_dgram_qlen) is full
        filled += 1
    assert not notifier.ready()
    heard = [listener.recv(100) for _ in range(filled)]
    assert set(heard) == {b"WATCHDOG=1"}
    assert notifier.watchdog()
    assert listener.recv(100) == b"READY=1\nWATCHDOG=1"
    assert notifier.watchdog()
    assert listener.recv(100) == b"WATCHDOG=1"
    notifier.close()


def test_a_socket_that_is_gone_is_no_error(tmp_path: Path) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")})
    assert not notifier.ready()
    notifier.close()


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "42"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "41"}, None),
        ({"WATCHDOG_USEC": "0", "WATCHDOG_PID": "42"}, None),
        ({"WATCHDOG_USEC": "-1"}, None),
        ({"WATCHDOG_USEC": "many"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_counts_only_for_the_process_it_names(environ: dict[str, str], expected: float | None) -> None:
    assert Notifier(environ, pid=42).watchdog_s == expected
