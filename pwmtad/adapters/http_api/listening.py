"""Listening: on an address; on a Unix socket with the right mode, in place of what a crash left; words for what fails."""

from __future__ import annotations

import asyncio
import errno
import os
import socket as sockets
import stat
from typing import Final

_SOCKET_MODE: Final = 0o660


def open_unix(path: str) -> tuple[sockets.socket, int]:
    """Bind a listening socket with its mode already set, and return it with its inode.

    A socket that nobody listens on is what a crash left behind, and is replaced; one that answers is another daemon's.
    """
    _remove_stale(path)
    opened = sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM | sockets.SOCK_CLOEXEC)
    try:
        opened.setblocking(False)
        opened.bind(path)
        # Before listen() nobody can connect, so there is no moment with the umask's mode.
        os.chmod(path, _SOCKET_MODE)
        return opened, os.stat(path).st_ino
    except OSError:
        opened.close()
        raise


async def open_tcp(host: str, port: int, backlog: int) -> list[sockets.socket]:
    """Listen on an address, or on each that `localhost` has here: IPv6 may be switched off. Raises OSError.

    asyncio's own create_server tells errno on some Pythons (3.11) and only a sentence on others (3.13).
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=sockets.SOCK_STREAM, flags=sockets.AI_PASSIVE)
    opened: list[sockets.socket] = []
    missing: OSError | None = None
    try:
        for family, address in dict.fromkeys((family, address) for family, _, _, _, address in found):
            try:
                # The first two parts of an address are what every family has.
                opened.append(sockets.create_server(address[:2], family=family, backlog=backlog))
            except OSError as error:
                if error.errno != errno.EADDRNOTAVAIL:
                    raise
                missing = error
        if missing is not None and not opened:
            raise missing
    except OSError:
        for one in opened:
            one.close()
        raise
    return opened


def _remove_stale(path: str) -> None:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise FileExistsError(errno.EEXIST, "there is a file that is no socket")
    with sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
        except BlockingIOError:  # somebody listens, and its queue is full
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE)) from None
        else:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


def remove_if_same(path: str, inode: int) -> None:
    """Remove our own socket; not one that another daemon has put in its place."""
    try:
        if os.lstat(path).st_ino == inode:
            os.unlink(path)
    except OSError:
        pass  # systemd may have removed the directory already


def tcp_advice(port: str, error: OSError) -> str:
    """Say why a TCP address can't be listened on, and what to do."""
    advice = {
        errno.EADDRINUSE: f"the address is in use, perhaps by another pwmtad. `ss -ltnp 'sport = :{port}'` says by whom",
        errno.EADDRNOTAVAIL: "this host has no such address",
        errno.EACCES: "ports below 1024 need a privilege that pwmtad does without",
    }
    reason = advice.get(error.errno or 0, error.strerror or str(error))
    return f"{reason}. The address is http.listen of the configuration"


def unix_advice(path: str, error: OSError) -> str:
    """Say why a Unix socket can't be listened on, and what to do."""
    folder = os.path.dirname(path)
    advice = {
        errno.EADDRINUSE: "another pwmtad listens there",
        errno.EEXIST: "there is a file that is no socket; it was left alone",
        errno.ENOENT: f"there is no directory {folder} (systemd makes it: RuntimeDirectory=pwmtad)",
        errno.EACCES: f"this user may not write to {folder}",
    }
    reason = advice.get(error.errno or 0, error.strerror or str(error))
    return f"{reason}. The path is http.socket of the configuration"
