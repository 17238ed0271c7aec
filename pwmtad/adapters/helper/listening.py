"""Where the helper listens: a socket that systemd has opened, or one of its own (tests, hosts without systemd)."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import MutableMapping
from typing import Final

from pwmtad.model.errors import PwmtadError

_FIRST: Final = 3
"""SD_LISTEN_FDS_START (sd_listen_fds(3))."""
_MODE: Final = 0o660


class ListenError(PwmtadError):
    """There is nothing to listen on; the text says why."""


def inherited(environ: MutableMapping[str, str], pid: int) -> socket.socket | None:
    """Return the socket that systemd passed on; None if there is none. Raises ListenError if it is no such socket.

    The variables are taken out, so that no command that the helper runs mistakes them for its own.
    """
    count, owner = environ.pop("LISTEN_FDS", ""), environ.pop("LISTEN_PID", "")
    environ.pop("LISTEN_FDNAMES", None)
    if not count or owner != str(pid):
        return None
    if count != "1":
        raise ListenError(f"systemd passes {count} sockets: the helper serves one (ListenStream= of pwmtad-helper.socket)")
    try:
        listener = socket.socket(fileno=_FIRST)
    except OSError as error:
        raise ListenError(f"what systemd passes is no socket: {error.strerror or error}") from error
    if listener.family != socket.AF_UNIX or listener.type != socket.SOCK_STREAM:
        listener.detach()
        raise ListenError("what systemd passes is no Unix stream socket (ListenStream= with a path)")
    listener.set_inheritable(False)
    listener.setblocking(False)
    return listener


def bound(path: str, group: int | None) -> socket.socket:
    """Return a socket of our own at `path`, for root and `group`; it replaces one that a crash left behind.

    Raises ListenError.
    """
    try:
        _remove_stale(path)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        listener.setblocking(False)
        try:
            listener.bind(path)
            # Before listen() nobody can connect, so there is no moment with the umask's mode.
            os.chmod(path, _MODE)
            if group is not None:
                os.chown(path, -1, group)
            listener.listen()
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise ListenError(f"can't listen on {path}: {error.strerror or error}") from error
    return listener


def _remove_stale(path: str) -> None:
    """Remove a socket that nobody listens on. The state directory's lock keeps two helpers apart."""
    try:
        if stat.S_ISSOCK(os.lstat(path).st_mode):
            os.unlink(path)
    except FileNotFoundError:
        pass
