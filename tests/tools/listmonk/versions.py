"""Which version is played, and how versions differ.

In: a version as people write it. Out: `Traits`, one field for each difference that a controller can notice.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

import msgspec
from typing_extensions import override

_FORM: Final = re.compile(r"v?(\d{1,3})(?:\.(\d{1,3}))?(?:\.(\d{1,3}))?", re.ASCII)
_NEWEST_OF_LINE: Final = {3: (0, 0), 4: (1, 0), 5: (1, 0), 6: (2, 0)}
"""What a bare major number means."""


class Version(NamedTuple):
    """`5.1.0`."""

    major: int
    minor: int
    patch: int

    @override
    def __str__(self) -> str:
        return f"v{self.major}.{self.minor}.{self.patch}"


def parse_version(text: str) -> Version:
    """Read `5`, `5.1`, `v5.1.0`. Raises ValueError for anything else, and for lines that are not played (before 3, after 6)."""
    found = _FORM.fullmatch(text)
    major = int(found[1]) if found else 0
    if found is None or major not in _NEWEST_OF_LINE:
        raise ValueError(f"{text!r} is no version of Listmonk that is played here: 3 to 6.2")
    if found[2] is None:
        return Version(major, *_NEWEST_OF_LINE[major])
    return Version(major, int(found[2]), int(found[3] or 0))


class Traits(msgspec.Struct, frozen=True, kw_only=True):
    """What this version does."""

    version: Version
    api_users: bool
    """Users with tokens and permissions, and 403 for every failure; before, one name and password and 401."""
    hashed_tokens: bool
    """`users.password` holds the SHA-256 of the token."""
    settings_by_key: bool
    extra_per_window: bool
    """Each window after the first admits rate + 1."""
    resume_schedules: bool
    """A resumed campaign that has a `send_at` is stored as scheduled."""
    paused_can_be_scheduled: bool
    checkpoint_takes_to_send: bool
    """A pipe that ends without any success writes `to_send` into `last_subscriber_id`."""
    fast_resume_finishes: bool
    """Paused and resumed before the pipe has drained: the campaign is marked finished."""
    scheduled_never_finishes: bool
    query_error_hangs: bool
    """A database error while fetching leaves the pipe registered, and idle, until the process ends."""
    ineligible_batch_ends: bool
    """A batch without anybody eligible ends the campaign."""
    status_permissions: tuple[str, ...]
    campaign_permissions: tuple[str, ...]
    sql_query_is_checked: bool
    blocklist_checks_lists: bool
    empty_query: str
    """`all`: an empty query blocklists everybody; `query`: refused unless `query`; `any`: unless `query`, `search` or `all`."""
    search_in_blocklist: bool
    bounced_can_be_blocklisted: bool
    bounces_off_answers: bool
    """The webhook without `bounce.enabled`: 503; before, the connection is dropped."""
    allowlist: bool
    body_source: bool
    attribs: bool
    dotless_host_gets_a_domain: bool
    message_id_from_sender: bool


def traits_of(version: Version) -> Traits:
    """Return how this version behaves."""
    return Traits(
        version=version,
        api_users=version >= (4, 0, 0),
        hashed_tokens=version >= (6, 2, 0),
        settings_by_key=version >= (6, 0, 0),
        extra_per_window=version < (6, 1, 0),
        resume_schedules=version >= (5, 0, 0),
        paused_can_be_scheduled=version >= (5, 0, 0),
        checkpoint_takes_to_send=version < (6, 1, 0),
        fast_resume_finishes=version < (5, 0, 0),
        scheduled_never_finishes=version == (5, 0, 0),
        query_error_hangs=version < (6, 1, 0),
        ineligible_batch_ends=version < (4, 0, 0),
        status_permissions=_status_permissions(version),
        campaign_permissions=("campaigns:get",) if version < (5, 0, 0) else ("campaigns:get_all", "campaigns:get"),
        sql_query_is_checked=version >= (5, 0, 0),
        blocklist_checks_lists=version >= (6, 1, 0),
        empty_query=_empty_query(version),
        search_in_blocklist=version >= (5, 0, 0),
        bounced_can_be_blocklisted=version >= (5, 1, 0),
        bounces_off_answers=version >= (6, 2, 0),
        allowlist=version >= (5, 0, 0),
        body_source=version >= (5, 0, 0),
        attribs=version >= (6, 0, 0),
        dotless_host_gets_a_domain=version >= (5, 0, 0),
        message_id_from_sender=version >= (6, 2, 0),
    )


def _status_permissions(version: Version) -> tuple[str, ...]:
    if version >= (6, 1, 0):
        return ("campaigns:send",)
    if version >= (5, 0, 0):
        return ("campaigns:manage_all", "campaigns:manage")
    return ("campaigns:manage",)


def _empty_query(version: Version) -> str:
    if version >= (5, 1, 0):
        return "any"
    return "query" if (4, 1, 0) <= version < (5, 0, 0) else "all"
