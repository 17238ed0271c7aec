"""Which Listmonk it is, and what that version does.

A nightly build says no version that can be compared; then what its answers hold decides, and whatever is in doubt is taken for
the older, more dangerous way.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from pwmtad.core.text import clean
from pwmtad.model.listmonk import Traits, Version

_VERSION: Final = re.compile(r"v?([0-9]{1,4})\.([0-9]{1,4})\.([0-9]{1,4})", re.ASCII)
_OLDEST: Final = Version(3, 0, 0)
"""Before, a pause by API stops no worker: what was fetched still goes out."""
_NEWEST: Final = Version(6, 2, 99)
"""The newest line that the facts describe."""
_NAME_LIMIT: Final = 40
LEAST_BATCH_OF_V3: Final = 100
"""Own choice between two harms: after a batch of nobody eligible v3 ends the campaign (#1931), and until a large batch is
through a paused campaign has not drained."""

# By what answers show (facts, sections 4 to 6): the newest first.
_SIGNS: Final = (
    ("attribs", Version(6, 0, 0)),
    ("body_source", Version(5, 0, 0)),
    ("privacy.domain_allowlist", Version(5, 0, 0)),
    ("security.oidc", Version(4, 0, 0)),
)


def parse_version(text: str) -> Version | None:
    """Return the version that Listmonk says, such as `v5.1.0`; None for anything else (nightly builds, betas)."""
    found = _VERSION.fullmatch(text)
    return None if found is None else Version(*(int(part) for part in found.groups()))


def traits_of(text: str, fields: Collection[str] = ()) -> Traits:
    """Return what the version does. `fields`: names of settings and of the fields of campaigns, for builds without a number."""
    said = parse_version(text)
    known = said is not None and said <= _NEWEST
    version = said if said is not None else _by_signs(fields)
    return Traits(
        name=clean(text, _NAME_LIMIT),
        known=known,
        supported=version >= _OLDEST,
        by_key=version >= (6, 0, 0),
        extra=int(not known or version < (6, 1, 0)),
        first_counts=version < (6, 1, 0),
        see_right=_see_right(version),
        pause_right=_pause_right(version),
        scoped=version >= (5, 0, 0),
        least_batch=LEAST_BATCH_OF_V3 if version < (4, 0, 0) else 1,
    )


def _see_right(version: Version) -> str:
    if version < (4, 0, 0):
        return ""
    return "campaigns:get_all" if version >= (5, 0, 0) else "campaigns:get"


def _pause_right(version: Version) -> str:
    if version < (4, 0, 0):
        return ""
    if version < (5, 0, 0):
        return "campaigns:manage"
    return "campaigns:send" if version >= (6, 1, 0) else "campaigns:manage_all"


def _by_signs(fields: Collection[str]) -> Version:
    return next((version for sign, version in _SIGNS if sign in fields), _OLDEST)
