"""Cleaning of text that others wrote, before it is shown, stored or compared.

With SMTPUTF8 Postfix passes C1 controls, U+2028/2029 and bidirectional overrides through in replies and addresses (seen in
a run of 3.7.11); a terminal, a CSV file or a line-based log would obey them.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_UNSAFE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff\ufff9-\ufffb]")
_DIGITS: Final = re.compile(r"\d+")
_SPACE: Final = re.compile(r"\s+")
_CODES: Final = re.compile(r"[2-5][0-9]{2}(?:[- ][245]\.[0-9]{1,3}\.[0-9]{1,3})?(?![\w.])")
_TOKEN: Final = re.compile(
    r"[^\s<>()\"',:;]+@[^\s<>()\"',:;]+|\S{33,}|\b\d{1,3}(?:\.\d{1,3}){3}\b|\b(?=[0-9A-Za-z.-]*\d)[0-9A-Za-z.-]{12,}\b"
)
"""A mail address (nobody's own reason, and nobody's business), a long word, an IPv4 address, an id or host with a digit."""
_LONG: Final = 33
"""Characters of a word that is long."""
REASON_LENGTH: Final = 120
"""Characters of a reason in reports: what fits beside its count on a terminal."""


def clean(text: str, limit: int) -> str:
    """Replace control, bidirectional and invisible characters by `?` and cut at `limit` characters."""
    head = text[:limit]
    return head if head.isprintable() else _UNSAFE.sub("?", head)  # all that is unsafe is not printable


def reason_of(text: str) -> str:
    """Reduce a reply to what repeats: cleaned, addresses and long tokens (ids, hosts) as `*`, digits as `#` but in the codes
    at its begin.
    """
    head = clean(text, 4 * REASON_LENGTH)
    if "  " in head or not head.isprintable():  # the only white space that is printable is the space
        head = _SPACE.sub(" ", head)
    found = _CODES.match(head)
    reason, rest = (found[0], head[found.end() :]) if found is not None else ("", head)
    # Nothing that is replaced holds a space, so it is done word by word, and only as far as it is kept: four times as fast.
    for number, word in enumerate(rest.split(" ")):
        space = " " if number else ""
        reason += space + (word if word.isalpha() and len(word) < _LONG else _masked(word))
        if len(reason) >= REASON_LENGTH:
            break
    return reason[:REASON_LENGTH]


@lru_cache(maxsize=4096)  # replies are made of the same words again and again
def _masked(word: str) -> str:
    return _DIGITS.sub("#", _TOKEN.sub("*", word))


def domain_of(address: str) -> str:
    """Return the domain of an address, lower-case; '' if it has none."""
    return address.rpartition("@")[2].lower().rstrip(".") if "@" in address else ""
