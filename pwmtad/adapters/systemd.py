"""Tells systemd how the daemon is: sd_notify(3) over the datagram socket in NOTIFY_SOCKET.

In: messages out, the watchdog's interval in. Out: when to say what. Without systemd every call does nothing.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping
from typing import Final

from pwmtad.core.text import clean

_STATUS_LENGTH: Final = 400
"""Characters; `systemctl status` shows one line."""
_SEND_BUFFER: Final = 8 * 1024 * 1024
"""Bytes; what libsystemd's own sd_notify asks for, so that a burst of messages finds room."""


class Notifier:
    """Sends states; each method says whether systemd's socket took the message (False without systemd, too).

    Never blocks and never raises. A READY, RELOADING or STOPPING that the socket could not take at once goes out together
    with the next message, so the watchdog's regular call delivers it.
    """

    def __init__(
        self,
        environ: Mapping[str, str] | None = None,
        *,
        pid: int | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        environ = os.environ if environ is None else environ
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        self._socket = None if self._address is None else _open_socket()
        self._monotonic = monotonic
        self._owed: tuple[str, ...] = ()
        self.watchdog_s: Final = _watchdog_s(environ, os.getpid() if pid is None else pid)
        """Seconds after which systemd ends a silent daemon (WatchdogSec=); None: it does not watch. Call twice as often."""

    @property
    def active(self) -> bool:
        """Whether systemd listens."""
        return self._socket is not None

    def ready(self) -> bool:
        """Start-up, or a reload, is finished."""
        return self._state("READY=1")

    def reloading(self) -> bool:
        """A reload begins; `ready` must follow. The time is what Type=notify-reload (systemd 253) asks for."""
        return self._state("RELOADING=1", f"MONOTONIC_USEC={int(self._monotonic() * 1_000_000)}")

    def stopping(self) -> bool:
        """The daemon goes down on its own will."""
        return self._state("STOPPING=1")

    def status(self, text: str) -> bool:
        """Show a sentence in `systemctl status`."""
        return self._send(f"STATUS={clean(text, _STATUS_LENGTH)}")

    def watchdog(self) -> bool:
        """A tick has finished: the daemon is alive."""
        return self._send("WATCHDOG=1")

    def close(self) -> None:
        """Let go of the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _state(self, *assignments: str) -> bool:
        # A later state replaces an earlier one: READY after RELOADING is all that systemd needs.
        self._owed = assignments
        return self._send()

    def _send(self, *assignments: str) -> bool:
        if self._socket is None or self._address is None:
            return False
        message = "\n".join((*self._owed, *assignments))
        try:
            self._socket.sendto(message.encode(), self._address)
        except OSError:  # EAGAIN: its queue is full; ECONNREFUSED: PID 1 re-executes itself
            return False
        self._owed = ()
        return True


def _address(value: str) -> str | None:
    """Return the socket's address in Python's form; `@name` is in the abstract namespace (unix(7)).

    Other families (vsock:, for a virtual machine's own systemd) are not for services.
    """
    if value.startswith("@") and len(value) > 1:
        return "\0" + value[1:]
    return value if value.startswith("/") else None


def _open_socket() -> socket.socket:
    opened = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    opened.setblocking(False)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
    return opened


def _watchdog_s(environ: Mapping[str, str], pid: int) -> float | None:
    """Read WATCHDOG_USEC, which counts only for the process in WATCHDOG_PID (sd_watchdog_enabled(3))."""
    microseconds, owner = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not (microseconds.isascii() and microseconds.isdigit() and int(microseconds) > 0):
        return None
    return int(microseconds) / 1_000_000 if owner in ("", str(pid)) else None
