"""Who receives: MX hosts are the operators' public names, addresses are RFC 5737 ones, custom domains are `*.example`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from tests.tools.loggen.model import Domain, Host

_NETS: Final = ("192.0.2", "203.0.113")


@dataclass(frozen=True, slots=True)
class Receiver:
    """Domains that behave alike.

    `own`: the operator's consumer domains with their weight and MX hosts; `tenant_share` of the mail goes to `tenants`
    custom domains instead, whose MX hosts are the templates in `tenant_mx` (`{slug}` is the domain without its dots).
    """

    name: str
    operator: str
    own: tuple[tuple[str, float, tuple[str, ...]], ...] = ()
    tenant_share: float = 0.0
    tenants: int = 0
    tenant_mx: tuple[tuple[str, ...], ...] = ()
    accepts: str = "other"
    """Key of replies.ACCEPTS."""
    known: bool = field(default=True)
    """Own domains are in the rules, so an attempt that reached nobody still has an operator."""


def _row(*items: tuple[str, float, tuple[str, ...]]) -> tuple[tuple[str, float, tuple[str, ...]], ...]:
    return items


_GMAIL: Final = ("gmail-smtp-in.l.google.com", "alt1.gmail-smtp-in.l.google.com", "alt2.gmail-smtp-in.l.google.com")
_YAHOO: Final = ("mta5.am0.yahoodns.net", "mta6.am0.yahoodns.net", "mta7.am0.yahoodns.net")
_AOL: Final = ("mx-aol.mail.gm0.yahoodns.net",)
_TENANT_365: Final = "{slug}.mail.protection.outlook.com"

RECEIVERS: Final[dict[str, Receiver]] = {
    receiver.name: receiver
    for receiver in (
        Receiver(
            "google",
            "google",
            own=_row(("gmail.com", 0.97, _GMAIL), ("googlemail.com", 0.03, _GMAIL)),
            tenant_share=0.2,
            tenants=300,
            tenant_mx=(("aspmx.l.google.com", "alt1.aspmx.l.google.com"), ("smtp.google.com",)),
            accepts="google",
        ),
        Receiver(
            "microsoft-consumer",
            "microsoft-consumer",
            own=_row(
                ("hotmail.com", 0.5, ("hotmail-com.olc.protection.outlook.com",)),
                ("outlook.com", 0.25, ("outlook-com.olc.protection.outlook.com",)),
                ("live.com", 0.15, ("live-com.olc.protection.outlook.com",)),
                ("msn.com", 0.1, ("msn-com.olc.protection.outlook.com",)),
            ),
            accepts="microsoft",
        ),
        Receiver(
            "microsoft-365",
            "microsoft-365",
            tenant_share=1.0,
            tenants=600,
            tenant_mx=((_TENANT_365,), (_TENANT_365,), ("{slug}.x-v1.mx.microsoft",)),
            accepts="microsoft",
        ),
        Receiver("dead-365", "microsoft-365", tenant_share=1.0, tenants=3000, tenant_mx=((_TENANT_365,),)),
        Receiver(
            "yahoo",
            "yahoo",
            own=_row(
                ("yahoo.com", 0.7, _YAHOO),
                ("aol.com", 0.2, _AOL),
                ("ymail.com", 0.05, _YAHOO),
                ("rocketmail.com", 0.05, _YAHOO),
            ),
            accepts="yahoo",
        ),
        Receiver(
            "comcast",
            "comcast",
            own=_row(("comcast.net", 1.0, ("mx1a1.comcast.net", "mx2a1.comcast.net"))),
            accepts="cable",
        ),
        Receiver("charter", "charter", own=_row(("charter.net", 1.0, ("mx0.charter.net",))), accepts="cable"),
        Receiver("cox", "cox", own=_row(("cox.net", 1.0, ("cxr.mx.a.cloudfilter.net",))), accepts="cable"),
        Receiver(
            "apple",
            "apple",
            own=_row(
                ("icloud.com", 0.8, ("mx01.mail.icloud.com", "mx02.mail.icloud.com")),
                ("me.com", 0.2, ("mx01.mail.icloud.com", "mx02.mail.icloud.com")),
            ),
            accepts="other",
        ),
        Receiver(
            "proofpoint",
            "proofpoint",
            tenant_share=1.0,
            tenants=150,
            tenant_mx=(("mx0a-{slug}.pphosted.com", "mx0b-{slug}.pphosted.com"),),
            accepts="proofpoint",
        ),
        Receiver(
            "mimecast",
            "mimecast",
            tenant_share=1.0,
            tenants=80,
            tenant_mx=(("us-smtp-inbound-1.mimecast.com", "us-smtp-inbound-2.mimecast.com"),),
        ),
        Receiver(
            "barracuda",
            "barracuda",
            tenant_share=1.0,
            tenants=60,
            tenant_mx=(("d1{slug}.ess.barracudanetworks.com",),),
        ),
        Receiver("luxsci", "luxsci", tenant_share=1.0, tenants=60, tenant_mx=(("inbound.luxsci.com",),)),
        Receiver(
            "other", "other", tenant_share=1.0, tenants=2000, tenant_mx=(("mx.{domain}",), ("mx1.{domain}", "mx2.{domain}"))
        ),
        Receiver("hostile", "other", tenant_share=1.0, tenants=20, tenant_mx=(("gmail-smtp-in.l.google.com.{domain}",),)),
        Receiver("office", "other"),
        Receiver("unreachable", "", tenant_share=1.0, tenants=200, tenant_mx=(("mx.{domain}",),), known=False),
    )
}
"""`dead-365` are tenants without mailboxes (ATTR5); `unreachable` are domains where nobody ever answers; `office` is
the owner's own mail server: it takes reports and notifications."""


def _hosts(names: tuple[str, ...]) -> tuple[Host, ...]:
    hosts = []
    for name in names:
        spot = sum(ord(letter) * (place + 7) for place, letter in enumerate(name))
        hosts.append(Host.at(name, f"{_NETS[spot % 2]}.{1 + spot // 2 % 250}"))
    return tuple(hosts)


@lru_cache(maxsize=64)
def domains_of(name: str, tenants: int | None = None) -> tuple[tuple[Domain, float], ...]:
    """All domains of a receiver with their weight; `tenants` replaces how many custom domains it has."""
    receiver = RECEIVERS[name]
    found = [
        (Domain(domain, name, receiver.operator, _hosts(names)), weight * (1 - receiver.tenant_share))
        for domain, weight, names in receiver.own
    ]
    count = receiver.tenants if tenants is None else tenants
    for number in range(count):
        domain = f"{receiver.name}{number}.example"
        slug = domain.replace(".", "-")
        templates = receiver.tenant_mx[number % len(receiver.tenant_mx)]
        hosts = _hosts(tuple(template.format(slug=slug, domain=domain) for template in templates))
        found.append((Domain(domain, name, receiver.operator, hosts), receiver.tenant_share / count))
    return tuple(found)


def known_domains() -> dict[str, str]:
    """Operator by domain, for the domains that are the operator's own."""
    return {domain: receiver.operator for receiver in RECEIVERS.values() if receiver.known for domain, _, _ in receiver.own}


@dataclass(frozen=True, slots=True)
class Mix:
    """Which receivers, in which shares; `tenants` overrides the number of custom domains of some."""

    shares: tuple[tuple[str, float], ...]
    tenants: tuple[tuple[str, int], ...] = ()

    @classmethod
    def of(cls, shares: Mapping[str, float], tenants: Mapping[str, int] | None = None) -> Mix:
        """From plain mappings."""
        return cls(tuple(shares.items()), tuple((tenants or {}).items()))


@lru_cache(maxsize=16)
def slots(mix: Mix, size: int = 16384) -> tuple[Domain, ...]:
    """A table to draw a domain from with one random index: each domain stands in it as often as its share says.

    Shares too small for a slot are rounded so that every receiver's total stays right (largest remainder, per receiver).
    """
    tenants = dict(mix.tenants)
    total = sum(share for _, share in mix.shares)
    table: list[Domain] = []
    for name, share in mix.shares:
        table.extend(_portion(domains_of(name, tenants.get(name)), round(size * share / total)))
    return tuple(table)


def _portion(domains: tuple[tuple[Domain, float], ...], places: int) -> list[Domain]:
    """`places` entries, spread by weight along the cumulative sum."""
    picked: list[Domain] = []
    reached = 0.0
    whole = sum(weight for _, weight in domains)
    for domain, weight in domains:
        reached += weight / whole
        picked.extend([domain] * (round(reached * places) - len(picked)))
    return picked
