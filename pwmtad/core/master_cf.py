"""Reads what postconf(1) prints of master.cf: the smtp services, and what makes their addresses uncertain.

Input is the output of `postconf -M '*/unix'` (one service a line) and of `postconf -x -P '*/unix/NAME'` (one option a line).
What a stream needs of its egresses is judged in `findings`; here is only what is wrong whoever uses the clone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_address
from typing import Final

from pwmtad.core.text import clean
from pwmtad.model.postfix import Clone
from pwmtad.model.state import Finding, Level

CLONE_OPTIONS: Final = (
    "smtp_bind_address",
    "smtp_bind_address6",
    "smtp_bind_address_enforce",
    "smtp_helo_name",
    "syslog_name",
    "inet_protocols",
)
"""The options of master.cf that say what an egress is."""
_COLUMNS: Final = 8
"""master(5): service, type, private, unprivileged, chroot, wakeup, process limit, command."""
_SERVICE_NAME: Final = re.compile(r"\$(?:service_name\b|\{service_name\}|\(service_name\))")
_VALUE_LIMIT: Final = 255


def clones_of(services: str, options: str, main: Mapping[str, str]) -> tuple[Clone, ...]:
    """Return the smtp(8) clients of master.cf, in its order.

    `main` is main.cf: an address, its enforcement and the protocols are taken from there where master.cf sets none. HELO
    and syslog name are not: what all clones share tells none of them apart.
    """
    set_there = _options(options)
    return tuple(_clone(name, set_there.get(name, {}), main) for name in _smtp_services(services))


def _smtp_services(services: str) -> Iterable[str]:
    for line in services.splitlines():
        columns = line.split(None, _COLUMNS)
        if len(columns) >= _COLUMNS and columns[1] == "unix" and columns[_COLUMNS - 1] == "smtp":
            yield columns[0]


def _options(text: str) -> dict[str, dict[str, str]]:
    """Read lines `out05/unix/smtp_bind_address = 192.0.2.5` as {service: {option: value}}."""
    found: dict[str, dict[str, str]] = {}
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        # The service name of a Unix-domain service may itself be a path.
        service, _, option = key.strip().rpartition("/unix/")
        if equals and service and option in CLONE_OPTIONS:
            found.setdefault(service, {})[option] = value.strip()
    return found


def _clone(name: str, options: Mapping[str, str], main: Mapping[str, str]) -> Clone:
    def own(option: str) -> str | None:
        # `postconf -x` has expanded all; a Postfix that leaves $service_name (3.3) in place is helped.
        value = _SERVICE_NAME.sub(lambda _found: name, options.get(option, ""))
        return clean(value, _VALUE_LIMIT) if value and "$" not in value else None

    return Clone(
        name=name,
        bind_address=own("smtp_bind_address") or main.get("smtp_bind_address") or None,
        bind_address6=own("smtp_bind_address6") or main.get("smtp_bind_address6") or None,
        bind_enforced=(own("smtp_bind_address_enforce") or main.get("smtp_bind_address_enforce", "no")) == "yes",
        helo_name=own("smtp_helo_name"),
        syslog_name=own("syslog_name"),
        inet_protocols=own("inet_protocols") or main.get("inet_protocols") or None,
    )


def clone_findings(clones: Sequence[Clone]) -> tuple[Finding, ...]:
    """Return what is uncertain about the addresses that clones send from; clones without any are the host's own."""
    found: list[Finding] = []
    for clone in clones:
        found.extend(_address_findings(clone))
    open_to_ipv6 = [clone.name for clone in clones if _may_use_other_ipv6(clone)]
    if open_to_ipv6:
        text = (
            f"{_names(open_to_ipv6)} may send over IPv6, from an address that nobody chose (smtp_bind_address is for IPv4): "
            f"add `-o inet_protocols=ipv4` or `-o smtp_bind_address6=...` in master.cf and reload Postfix"
        )
        found.append(Finding(Level.WARNING, "ipv6_address_not_chosen", text, open_to_ipv6[0]))
    return tuple(found)


def _address_findings(clone: Clone) -> Iterable[Finding]:
    for option, value, version in (
        ("smtp_bind_address", clone.bind_address, 4),
        ("smtp_bind_address6", clone.bind_address6, 6),
    ):
        if value is not None and _version(value) != version:
            # Seen in Postfix's source (smtp_connect.c): fatal for the process, so the transport is dead.
            text = f"{option} of {clone.name} is {value!r}, which is no IPv{version} address: nothing can leave through it"
            yield Finding(Level.ERROR, "bind_address_invalid", text, clone.name)


def _may_use_other_ipv6(clone: Clone) -> bool:
    protocols = clone.inet_protocols
    return (
        clone.bind_address is not None
        and clone.bind_address6 is None
        and protocols is not None
        and any(word in protocols.lower() for word in ("all", "ipv6"))
    )


def _version(address: str) -> int | None:
    try:
        return ip_address(address.removeprefix("[").removesuffix("]")).version
    except ValueError:
        return None


def _names(names: Sequence[str]) -> str:
    """Name at most four; a host may have hundreds of clones."""
    shown, rest = ", ".join(names[:4]), len(names) - 4
    return f"{shown} and {rest} more" if rest > 0 else shown
