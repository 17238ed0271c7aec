"""Addresses and names of the lab: which egress sends from where, who receives for which domain, who injects.

All of it is loopback in a network of its own; the MX host names are the operators' public ones: the shipped rules apply.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

HOST_NAME: Final = "mta.lab.test"
HOST_ADDRESS: Final = "127.0.1.1"
"""The host's own address: what leaves without a bind address leaves from here."""
SMTPD: Final = "127.0.0.1"
"""Where Postfix takes mail, on port 25, and for healthcare on HEALTHCARE_PORT too."""
HEALTHCARE_PORT: Final = 2526
DNS: Final = "127.0.2.53"
RECEIVERS_NET: Final = "127.0.2.0/24"
CLIENTS_NET: Final = "127.0.3.0/24"

EGRESSES: Final[dict[str, str]] = {f"out{number:02d}": f"127.0.1.{89 + number}" for number in range(1, 21)}
"""Egress -> its address: out01 = 127.0.1.90 ... out20 = 127.0.1.109."""
EGRESS_OF: Final[dict[str, str]] = {address: name for name, address in EGRESSES.items()}
TRUCKING_EGRESSES: Final = tuple(name for name in EGRESSES if name != "out01")
HEALTHCARE_EGRESSES: Final = ("out01",)

TRUCKING: Final = "127.0.3.5"
HEALTHCARE: Final = "127.0.3.25"
LOCAL: Final = "127.0.0.1"
"""Who injects: the two Listmonk containers, and cron and transactional mail of the host itself."""

TRUCKING_SENDER: Final = "news@lab.test"
HEALTHCARE_SENDER: Final = "care@clinic.test"
CRON_SENDER: Final = "root@mta.lab.test"
TRANSACTIONAL_SENDER: Final = "orders@shop.lab.test"
SIGNED_DOMAINS: Final = ("lab.test", "shop.lab.test", "mta.lab.test", "clinic.test")
SELECTOR: Final = "mail"


@dataclass(frozen=True, slots=True)
class Receiver:
    """Who answers at `hosts` (MX host name -> address) and receives for `domains` through these hosts, in this order."""

    name: str
    hosts: tuple[tuple[str, str], ...]
    domains: tuple[str, ...]
    accepts: str = "other"
    """How it says yes: a key of tests.tools.loggen.replies.ACCEPTS."""
    unknown_user: str = "unknown-user"
    """The reply to recipients that nobody has: those that begin with `nobody`."""


def _tenants(name: str, domain_of: str, count: int, address: str, zone: str) -> Iterator[Receiver]:
    for number in range(1, count + 1):
        domain = f"{domain_of}{number}.test"
        host = f"{domain.replace('.', '-')}.{zone}"
        yield Receiver(name, ((host, address),), (domain,), "microsoft", "microsoft-access-denied")


_M365: Final = "mail.protection.outlook.com"

ALL: Final[tuple[Receiver, ...]] = (
    Receiver(
        "google",
        (
            ("gmail-smtp-in.l.google.com", "127.0.2.10"),
            ("alt1.gmail-smtp-in.l.google.com", "127.0.2.11"),
            ("alt2.gmail-smtp-in.l.google.com", "127.0.2.12"),
        ),
        ("google.test", "gmail.com", "googlemail.com"),
        "google",
        "google-no-such-user",
    ),
    Receiver("google", (("aspmx.l.google.com", "127.0.2.13"),), ("workspace.test",), "google", "google-no-such-user"),
    Receiver(
        "hotmail",
        (("hotmail-com.olc.protection.outlook.com", "127.0.2.20"),),
        ("hotmail.test", "hotmail.com", "outlook.com", "live.com", "msn.com"),
        "microsoft",
        "microsoft-mailbox-unavailable",
    ),
    *_tenants("m365", "m365-", 200, "127.0.2.21", _M365),
    *_tenants("dead", "dead", 200, "127.0.2.22", _M365),
    Receiver(
        "yahoo",
        (
            ("mta5.am0.yahoodns.net", "127.0.2.30"),
            ("mta6.am0.yahoodns.net", "127.0.2.31"),
            ("mta7.am0.yahoodns.net", "127.0.2.32"),
        ),
        ("yahoo.test", "yahoo.com", "aol.com", "verizon.net", "sbcglobal.net", "att.net"),
        "yahoo",
        "yahoo-disabled",
    ),
    Receiver(
        "comcast",
        (("mx1.mxge.comcast.net", "127.0.2.40"), ("mx2.mxge.comcast.net", "127.0.2.40")),
        ("comcast.test", "comcast.net"),
        "cable",
        "comcast-not-our-customer",
    ),
    Receiver("charter", (("mx0.charter.net", "127.0.2.41"),), ("charter.test", "charter.net"), "cable"),
    Receiver("cox", (("cxr.mx.a.cloudfilter.net", "127.0.2.42"),), ("cox.test", "cox.net"), "cable"),
    Receiver("apple", (("mx01.mail.icloud.com", "127.0.2.43"),), ("apple.test", "icloud.com"), "other"),
    Receiver("proofpoint", (("mx0a-lab.pphosted.com", "127.0.2.44"),), ("proofpoint.test",), "proofpoint"),
    Receiver("luxsci", (("mx.luxsci.com", "127.0.2.45"),), ("luxsci.test",), "other"),
    Receiver("small", (("mx.small.test", "127.0.2.60"),), ("small.test", *(f"small{number}.test" for number in range(1, 51)))),
    Receiver("hostile", (("mx.hostile.test", "127.0.2.61"),), ("hostile.test",)),
    Receiver("liar", (("gmail-smtp-in.l.google.com.liar.test", "127.0.2.62"),), ("liar.test",)),
    Receiver("home", (("mx.lab.test", "127.0.2.90"),), ("lab.test", "clinic.test", "shop.lab.test", "home.test")),
)
"""All receivers. `home` takes our own domains' mail: notifications that come back. A name may have several rows."""

DOWN: Final = ("down.test", "mx.down.test", "127.0.2.99")
"""A domain whose MX has an address, but nobody listens: connection refused."""
NULL_MX: Final = "nullmx.test"
MISSING: Final = "nosuchdomain.test"
"""A name that DNS does not know."""

NAMES: Final = tuple(dict.fromkeys(receiver.name for receiver in ALL))


def listeners() -> dict[str, str]:
    """Return who answers at each address: address -> name of the receiver."""
    return {address: receiver.name for receiver in ALL for _, address in receiver.hosts}


def described() -> dict[str, Receiver]:
    """Return the first row of each receiver, by name."""
    return {receiver.name: receiver for receiver in reversed(ALL)}


def dnsmasq_config() -> str:
    """Return what the lab's DNS says; everything else does not exist (NXDOMAIN)."""
    lines = [
        "no-resolv",
        "no-hosts",
        "no-daemon",
        "bind-interfaces",
        f"listen-address={DNS}",
        "user=root",
        "pid-file=",
        "cache-size=0",
    ]
    lines += ["local=/#/", "local-ttl=60", f"host-record={HOST_NAME},{HOST_ADDRESS}"]
    lines += [f"host-record={name}.{HOST_NAME.partition('.')[2]},{address}" for name, address in EGRESSES.items()]
    hosts = dict(host for receiver in ALL for host in receiver.hosts) | {DOWN[1]: DOWN[2]}
    lines += [f"host-record={name},{address}" for name, address in hosts.items()]
    for receiver in ALL:
        for domain in receiver.domains:
            lines += [f"mx-host={domain},{name},{10 * (rank + 1)}" for rank, (name, _) in enumerate(receiver.hosts)]
    lines.append(f"mx-host={DOWN[0]},{DOWN[1]},10")
    # RFC 7505: preference 0 and the root as host, which mx-host= can't say.
    lines.append(f"dns-rr={NULL_MX},15,000000")
    return "\n".join(lines) + "\n"
