"""Addresses and domains as suppressions name them: one spelling each, and nothing that could be taken for something else."""

from __future__ import annotations

import re
from typing import Final

from pwmtad.core.text import clean
from pwmtad.model.suppression import SubjectKind

_MAX_ADDRESS: Final = 320
"""RFC 5321 4.5.3.1: 64 octets of local part, 255 of domain."""
_NOT_PLAIN: Final = re.compile(r'[\s"(),:;<>\[\]\\@]')
"""What needs quotes (RFC 5322 3.2.3)."""
_DOMAIN: Final = re.compile(r"(?:[\w-]{1,63}\.)+[\w-]{1,63}")
"""Letters of any script, digits, hyphens and underscores; at least two labels."""
_MAX_DOMAIN: Final = 253
"""RFC 1035 2.3.4, without the dot at the end."""


def address_of(text: str) -> str | None:
    """Return the address in one spelling; None for what is none, or needs quotes (Listmonk takes no such)."""
    address = text.strip().lower().rstrip(".")
    local, _, domain = address.rpartition("@")
    if not local or len(address) > _MAX_ADDRESS or not _is_plain(local) or not _is_domain(domain):
        return None
    return address


def domain_subject(text: str) -> str | None:
    """Return the domain in one spelling; None for what is none."""
    domain = text.strip().lower().rstrip(".")
    return domain if _is_domain(domain) else None


def subject_of(text: str) -> tuple[SubjectKind, str] | None:
    """Read what a person wrote: an address, or a domain as `@example.org` or `example.org`; None for what is neither."""
    bare = text.strip()
    if "@" in bare[1:]:
        address = address_of(bare)
        return None if address is None else (SubjectKind.ADDRESS, address)
    domain = domain_subject(bare.removeprefix("@"))
    return None if domain is None else (SubjectKind.DOMAIN, domain)


def written(kind: str, subject: str) -> str:
    """Return a subject as people and lists write it: domains begin with `@`."""
    return f"@{subject}" if kind == SubjectKind.DOMAIN.value else subject


def _is_plain(local: str) -> bool:
    return not _NOT_PLAIN.search(local) and local.isprintable() and clean(local, _MAX_ADDRESS) == local


def _is_domain(domain: str) -> bool:
    return len(domain) <= _MAX_DOMAIN and _DOMAIN.fullmatch(domain) is not None
