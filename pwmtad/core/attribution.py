"""Which egress and stream a line belongs to: by the tag of the delivery agent, by the client address of the injector.

A delivery line names neither service, transport nor local address (any Postfix up to 3.12): only the syslog_name of the
clone does. Addresses in replies and digits in names are never used.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias, TypeVar

from msgspec import Struct
from typing_extensions import override

from pwmtad.model.names import NO_EGRESS, NO_STREAM
from pwmtad.model.postfix import Clone

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
_CACHE_LIMIT: Final = 4096
"""Entries; tags and client addresses of one host. Emptied when full: both are chosen by clients to some extent."""


class StreamRoutes(Struct, frozen=True):
    """What of a stream decides which lines are its own."""

    name: str
    egresses: frozenset[str]
    injector_networks: tuple[Network, ...]
    injector_services: frozenset[str]
    """syslog names of submission services, with or without their `/smtpd`."""


class Routes:
    """Looks up (egress, stream) by tag and stream by injector."""

    def __init__(self, streams: Sequence[StreamRoutes], clones: Iterable[Clone] | None) -> None:
        """`clones` is what master.cf says; None if there is no Postfix here (replay): then the tags that
        `syslog_name=postfix/NAME` and `postfix-NAME` give are assumed for each egress that a stream lists.
        """
        self._streams = tuple(streams)
        stream_of: Mapping[str, str] = {egress: stream.name for stream in streams for egress in stream.egresses}
        self._by_syslog_name: dict[str, tuple[str, str]] = {}
        if clones is None:
            for egress, stream in stream_of.items():
                self._by_syslog_name[f"postfix/{egress}"] = (egress, stream)
                self._by_syslog_name[f"postfix-{egress}"] = (egress, stream)
        else:
            for clone in clones:
                # Without a syslog_name of its own a clone logs as `postfix/smtp`, like every other: no attribution.
                if clone.syslog_name is not None:
                    route = (clone.name, stream_of.get(clone.name, NO_STREAM))
                    self._by_syslog_name[clone.syslog_name] = route
        self._tags: dict[str, tuple[str, str]] = {}
        self._clients: dict[tuple[str, str], str] = {}

    def egress(self, tag: str) -> tuple[str, str]:
        """Return (egress, stream) of a delivery agent's tag; NO_EGRESS and NO_STREAM where it tells none."""
        route = self._tags.get(tag)
        if route is None:
            route = self._find_egress(tag)
            _remember(self._tags, tag, route)
        return route

    def injector(self, client_ip: str, tag: str) -> str:
        """Return the stream that a message belongs to by its submission service or client address; else ''."""
        key = (client_ip, tag)
        stream = self._clients.get(key)
        if stream is None:
            stream = self._find_injector(client_ip, tag)
            _remember(self._clients, key, stream)
        return stream

    def _find_egress(self, tag: str) -> tuple[str, str]:
        return self._by_syslog_name.get(tag.rpartition("/")[0], (NO_EGRESS, NO_STREAM))

    def _find_injector(self, client_ip: str, tag: str) -> str:
        service = tag.rpartition("/")[0]
        for stream in self._streams:
            if service in stream.injector_services or tag in stream.injector_services:
                return stream.name
        try:
            address = ipaddress.ip_address(client_ip)
        except ValueError:  # `unknown`, a socket path: no stream lists these
            return ""
        for stream in self._streams:
            if any(address in network for network in stream.injector_networks):
                return stream.name
        return ""


class AnyRoutes(Routes):
    """Attribution without a configuration (replay of somebody's log): every smtp clone is an egress of one stream.

    The egress is named by the tag (`postfix/out05/smtp` and `postfix-out05/smtp`: out05); mail from any client but this host
    is the stream's.
    """

    def __init__(self, stream: str) -> None:
        super().__init__((), ())
        self._stream = stream

    @override
    def _find_egress(self, tag: str) -> tuple[str, str]:
        head = tag.rpartition("/")[0]
        name = head.removeprefix("postfix").lstrip("/-")
        return (name or NO_EGRESS, self._stream)

    @override
    def _find_injector(self, client_ip: str, tag: str) -> str:
        del tag
        try:
            return "" if ipaddress.ip_address(client_ip).is_loopback else self._stream
        except ValueError:
            return ""


def _remember(cache: dict[_Key, _Value], key: _Key, value: _Value) -> None:
    if len(cache) >= _CACHE_LIMIT:
        cache.clear()
    cache[key] = value
