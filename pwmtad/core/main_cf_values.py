"""The values of main.cf that pwmtad sets: how each is made, told from other people's, and taken away again.

In: raw values (`$names` not expanded, as `postconf -n` prints them). Out: which of them to write (main_cf_edit).
Lists come back as they were written, wherever nothing in them changes.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from typing import Final

from pwmtad.core.main_cf import pool_members, table_list

POOL: Final = "sender_dependent_default_transport_maps"
"""Where the pool goes: asked for remote mail only, after transport_maps had no answer (seen in runs of Postfix 3.7.11)."""
TRANSPORT_MAPS: Final = "transport_maps"
DEFER: Final = "defer_transports"
LIFETIMES: Final = ("maximal_queue_lifetime", "bounce_queue_lifetime")
LONG_LIFETIME: Final = "100d"
"""The most that Postfix takes (postconf(5): maximal_queue_lifetime)."""
_LONG_LIFETIME_S: Final = 100 * 86_400
RATE_DELAY: Final = "_transport_rate_delay"
RECIPIENT_LIMIT: Final = "_destination_recipient_limit"
"""A delivery may have many recipients; under the governor it has one, so that a delivery is an attempt."""
WAITING_S: Final = 100 * 86_400
"""The rate delay of an egress that must not send. The first delivery waits as well, and neither `postqueue -f` nor `-i` gets
past it, as they do with defer_transports (seen in runs of Postfix 3.7.11).
"""
PAUSED_TRANSPORT: Final = "paused-by-pwmtad"
"""A transport that does not exist, and that defer_transports names: mail for it is taken in, and waits. `retry:` would make
smtpd refuse it to whoever injects (450, smtpd_reject_unlisted_recipient; seen in a run of Postfix 3.7.11): lost for Listmonk.
"""
EXCLUDED_TRANSPORT: Final = "kept-out-by-pwmtad"
"""The same for mail to domains that must not be mailed."""
SET_MARK: Final = "set-by-pwmtad"
"""Stands in defer_transports before our entries: a list without it was written anew by somebody else, and is theirs."""
WAITING_NAMES: Final = (SET_MARK, PAUSED_TRANSPORT, EXCLUDED_TRANSPORT)
"""Entries of defer_transports that name no service."""

_PAUSED_ID: Final = re.compile(r"[A-Za-z0-9_.-]{1,160}")
_PAUSE: Final = re.compile(rf"static:\{{{PAUSED_TRANSPORT}:({_PAUSED_ID.pattern})\}}")
_TIME: Final = re.compile(r"(\d{1,9})([smhdw]?)")
_UNIT_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_SEPARATORS: Final = re.compile(r"[,\s]+")
_SPECIAL: Final = frozenset("^\\/.$*+?()[]{}|")
"""What means something in a POSIX extended regular expression, and the slash that ends one (regexp_table(5))."""


def is_pause_name(text: str) -> bool:
    """Whether this can stand in main.cf as what holds the pool."""
    return _PAUSED_ID.fullmatch(text) is not None


def pause_table(paused_by: str) -> str:
    """Return the lookup table whose only answer is a transport where mail waits: not even `postqueue -f` gets past it.

    Raises ValueError for a name that could not be carried.
    """
    if not is_pause_name(paused_by):
        raise ValueError(f"not the name of a halt: {paused_by!r}")
    return f"static:{{{PAUSED_TRANSPORT}:{paused_by}}}"


def pool_table(pool: Sequence[str]) -> str:
    """Return the lookup table that draws one of the pool for every question. Raises ValueError for an empty pool.

    Names without colons: the parameter takes default_transport's syntax.
    """
    if not pool:
        raise ValueError("an empty pool would defer all mail of the host")
    return f"randmap:{{{','.join(pool)}}}"


def paused_by(value: str) -> str:
    """Return what holds the pool according to the value, or ''."""
    found = _PAUSE.search(value)
    return found[1] if found is not None else ""


def is_last(table: str) -> bool:
    """Whether the table answers every question, as a pool and a pause do: what stands behind it is never asked."""
    return table.startswith("randmap:") or _PAUSE.fullmatch(table) is not None


def has_pool(value: str) -> bool:
    """Whether the value holds a pool, or a pause in its place."""
    return bool(last_table(value))


def last_table(value: str) -> str:
    """Return the first pool or pause that the value holds, as it stands there; '' if it holds none."""
    return next((table for table in table_list(value) if is_last(table)), "")


def with_last(value: str, last: str) -> str:
    """Return the value with `last` where the first pool or pause stands, at its end if there is none; without it for ''."""
    tables = table_list(value)
    at = next((number for number, table in enumerate(tables) if is_last(table)), len(tables))
    behind = [table for table in tables[at + 1 :] if table != last]
    return _joined(value, [*tables[:at], *([last] if last else []), *behind])


def with_front(value: str, front: str, own: Collection[str]) -> str:
    """Return the value with our table first ('' for none); `own`: ours in any form, taken out wherever they stand."""
    others = [table for table in table_list(value) if table not in own]
    return _joined(value, [front, *others] if front else others)


def _joined(value: str, tables: Sequence[str]) -> str:
    return value if table_list(value) == list(tables) else ", ".join(tables)


def same_tables(one: str | None, other: str | None) -> bool:
    """Whether two values mean the same tables, however they are written."""
    return table_list(one or "") == table_list(other or "")


def other_tables(value: str, own: Collection[str]) -> list[str]:
    """Return the tables that are neither ours nor a pool."""
    return [table for table in table_list(value) if table not in own and not is_last(table)]


def pool_in(value: str) -> tuple[str, ...]:
    """Return the pool's members; empty if there is none."""
    return pool_members(value) or ()


def words_of(value: str | None) -> tuple[str, ...]:
    """Split a list of transports."""
    return tuple(word for word in _SEPARATORS.split(value or "") if word)


def time_s(value: str, unit: str) -> int | None:
    """Return a time value in seconds; without a unit it is in `unit` (postconf(5)). None: it can't be read."""
    found = _TIME.fullmatch(value.strip())
    return None if found is None else int(found[1]) * _UNIT_S[found[2] or unit]


def is_long(value: str | None) -> bool:
    """Whether a queue lifetime is as long as ours."""
    seconds = time_s(value, "d") if value is not None else None
    return seconds is not None and seconds >= _LONG_LIFETIME_S


def exempt_table(senders: Iterable[str], transport: str) -> str:
    """Return a regexp table (regexp_table(5)) that sends these senders another way. It is asked for full addresses, so it wins
    over the pool behind it; a hash table with `@domain` keys would not (seen in runs of Postfix 3.7.11).
    """
    lines = ["# Written by pwmtad from exempt_senders. Do not edit: it is written anew."]
    for sender in senders:
        local, _, domain = sender.rpartition("@")
        lines.append(f"/^{_escaped(local) or '.*'}@{_escaped(domain)}$/ {transport}:")
    return "\n".join(lines) + "\n"


def excluded_table(domains: Iterable[str], *, regexp: bool) -> str:
    """Return the table of domains that are kept out: their mail waits. Never bounced (`error:`), and never `hold:`, which is no
    transport (seen in a run of Postfix 3.7.11).

    `regexp`: for a transport_maps that has a pool, in front of which domain keys are never asked.
    """
    lines = ["# Written by pwmtad from excluded_domains. Do not edit: it is written anew."]
    answer = f"{EXCLUDED_TRANSPORT}:"
    lines += [f"/@{_escaped(domain)}$/ {answer}" if regexp else f"{domain} {answer}" for domain in sorted(set(domains))]
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return "".join(f"\\{one}" if one in _SPECIAL else one for one in text)
