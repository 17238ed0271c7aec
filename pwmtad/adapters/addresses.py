"""Which addresses are on this host now: asked of the kernel by binding to them, which is what Postfix will do.

In: a socket that is bound and closed again; nothing is sent. Out: what a missing address means (core/egress_health).
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Collection, Iterable
from typing import Final

_NOT_HERE: Final = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})
_NONLOCAL: Final = {
    socket.AF_INET: "/proc/sys/net/ipv4/ip_nonlocal_bind",
    socket.AF_INET6: "/proc/sys/net/ipv6/ip_nonlocal_bind",
}


def missing_addresses(addresses: Iterable[str]) -> Collection[str] | None:
    """Return those that are not on this host; None if that can't be told, as a host with ip_nonlocal_bind binds to anything."""
    families = {address: socket.AF_INET6 if ":" in address else socket.AF_INET for address in addresses}
    if any(_binds_to_anything(family) for family in set(families.values())):
        return None
    return {address for address, family in families.items() if not _is_here(address, family)}


def _is_here(address: str, family: socket.AddressFamily) -> bool:
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError as error:
        return error.errno not in _NOT_HERE
    return True


def _binds_to_anything(family: socket.AddressFamily) -> bool:
    try:
        with open(_NONLOCAL[family], "rb", buffering=0) as file:
            return file.read(8).strip() == b"1"
    except OSError:
        return False
