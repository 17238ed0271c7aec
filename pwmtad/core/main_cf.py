"""Reads what postconf(1) prints of main.cf: the pool, and settings that make counting or halting uncertain.

Input is the output of `postconf -x NAME...` (one `name = value` a line, `$names` expanded).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from pwmtad.core.text import clean
from pwmtad.model.postfix import Clone
from pwmtad.model.state import Finding, Level

MAIN_NAMES: Final = (
    "transport_maps",
    "sender_dependent_default_transport_maps",
    "defer_transports",
    "enable_long_queue_ids",
    "inet_protocols",
    "milter_default_action",
    "smtpd_milters",
    "non_smtpd_milters",
    "smtp_bind_address",
    "smtp_bind_address6",
    "smtp_bind_address_enforce",
)
"""The parameters that are asked for."""
_POOL_NAMES: Final = ("transport_maps", "sender_dependent_default_transport_maps")
"""Where a pool may be. Postfix asks transport_maps first (trivial-rewrite(8)), so it wins where both hold one."""
_MILTERS: Final = ("smtpd_milters", "non_smtpd_milters")
_OWN_ACCEPT: Final = re.compile(r"\bdefault_action\s*=\s*accept\b")
_SEPARATORS: Final = re.compile(r"[,\s]+")
_SHOWN: Final = 200
"""Characters of a value that a finding quotes."""


def read_main(text: str) -> dict[str, str]:
    """Read lines `name = value`; a parameter that this Postfix does not know is absent."""
    pairs = (line.partition("=") for line in text.splitlines())
    return {name.strip(): value.strip() for name, equals, value in pairs if equals}


def table_list(value: str) -> list[str]:
    """Split a list of lookup tables at commas and white space outside braces (postconf(5), `{` from Postfix 3.0 on)."""
    tables: list[str] = []
    current, depth = "", 0
    for character in value:
        if depth <= 0 and (character == "," or character.isspace()):
            if current:
                tables.append(current)
            current = ""
            continue
        depth += (character == "{") - (character == "}")
        current += character
    return [*tables, current] if current else tables


def pool_members(value: str) -> tuple[str, ...] | None:
    """Return the transports that the value's `randmap:{...}` draws from, without nexthops and repetitions.

    None: there is no randmap. An empty tuple: there is one that can't draw (`randmap:{}`), so Postfix defers all mail.
    """
    for table in table_list(value):
        kind, colon, members = table.partition(":")
        if colon and kind == "randmap":
            inner = members.removeprefix("{").removesuffix("}")
            if "{" in inner or not members.startswith("{"):
                return ()  # nested braces are not parsed (seen in a run of Postfix 3.7.11), a bare word is an error
            names = (member.partition(":")[0] for member in _SEPARATORS.split(inner) if member)
            return tuple(dict.fromkeys(name for name in names if name))
    return None


def pool_of(main: Mapping[str, str]) -> tuple[str, ...] | None:
    """Return the members of the pool that main.cf holds; None if it holds none."""
    return next((members for name in _POOL_NAMES if (members := pool_members(main.get(name, ""))) is not None), None)


def milter_accepts(main: Mapping[str, str]) -> bool | None:
    """Tell whether mail passes, unsigned, when a milter can't be reached; None if main.cf was not read.

    A milter may have an action of its own: `smtpd_milters = { inet:localhost:8891, default_action=accept }`.
    """
    action = main.get("milter_default_action")
    if action is None:
        return None
    return action == "accept" or any(_OWN_ACCEPT.search(main.get(name, "")) for name in _MILTERS)


def main_findings(main: Mapping[str, str], clones: Sequence[Clone]) -> tuple[Finding, ...]:
    """Return what of main.cf a person should know."""
    return (*_pool_findings(main, clones), *_pause_findings(main), *_setting_findings(main))


def _pool_findings(main: Mapping[str, str], clones: Sequence[Clone]) -> Iterable[Finding]:
    pool = pool_of(main)
    if pool is None:
        return
    if not pool:
        text = "the pool in main.cf is empty or unreadable to Postfix: all its mail is deferred (address resolver failure)"
        yield Finding(Level.ERROR, "pool_empty", text, "main.cf")
    known = {clone.name for clone in clones}
    for member in pool:
        if member not in known:
            # Seen in a run of Postfix 3.7.11: `postfix check` and reload say nothing.
            text = f"{clean(member, 64)} is in the pool, but master.cf has no such smtp service: its share of mail is deferred"
            yield Finding(Level.ERROR, "pool_member_missing", text, clean(member, 64))
    tables = table_list(main.get("transport_maps", ""))
    if any(table.startswith("randmap:") for table in tables[1:]):
        # Seen in a run of Postfix 3.7.11: all tables are asked for the address before any is asked for the domain.
        text = (
            f"transport_maps has a randmap, which answers for every address: domain lines of {clean(tables[0], _SHOWN)} are "
            f"never used, local mail goes to the pool, too. Move the randmap to sender_dependent_default_transport_maps"
        )
        yield Finding(Level.WARNING, "domain_routes_dead", text, "transport_maps")


def _pause_findings(main: Mapping[str, str]) -> Iterable[Finding]:
    deferred = main.get("defer_transports", "")
    if deferred:
        text = f"defer_transports holds back {clean(deferred, _SHOWN)}: their mail stays in the queue"
        yield Finding(Level.WARNING, "transports_deferred", text, "defer_transports")
    for name in _POOL_NAMES:
        for table in table_list(main.get(name, "")):
            if table.startswith("static:") and "retry:" in table:
                text = f"{name} holds all mail back: {clean(table, _SHOWN)}"
                yield Finding(Level.WARNING, "pool_paused", text, name)


def _setting_findings(main: Mapping[str, str]) -> Iterable[Finding]:
    if main.get("enable_long_queue_ids") == "no":
        text = (
            "short queue ids are used again within seconds, so lines of two messages may be taken for one: "
            "set enable_long_queue_ids = yes and reload Postfix"
        )
        yield Finding(Level.WARNING, "short_queue_ids", text, "enable_long_queue_ids")
    if any(main.get(name) for name in _MILTERS) and milter_accepts(main):
        text = (
            "milter_default_action is accept: when OpenDKIM is down, mail leaves unsigned; "
            "tempfail makes the injectors wait instead"
        )
        yield Finding(Level.WARNING, "milter_failure_accepts", text, "milter_default_action")
