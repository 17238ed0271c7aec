"""All settings at once, as versions before 6 want them: with secrets blank, or not at all.

What GET shows instead of a secret, bullets, would be stored as the new secret. An empty text keeps the old one; in arrays the
old one is found by `uuid`, so two elements without a uuid (or with the same) would end with one password (facts, section 2).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any, Final, TypeAlias

from pwmtad.core.listmonk_window import Assignment

MASK: Final = "\u2022"
_LISTED: Final = ("smtp", "bounce.mailboxes", "messengers")
"""Arrays whose elements have a masked `password`."""
_SINGLE: Final[tuple[tuple[str, ...], ...]] = (
    ("upload.s3.aws_secret_access_key",),
    ("bounce.sendgrid_key",),
    ("bounce.azure", "shared_secret"),
    ("bounce.postmark", "password"),
    ("bounce.forwardemail", "key"),
    ("bounce.lettermint", "key"),
    ("security.captcha_secret",),
    ("security.captcha", "hcaptcha", "secret"),
    ("security.oidc", "client_secret"),
)
_NAME_CHARACTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")

Values: TypeAlias = dict[str, Any]
"""Any: what another program keeps in its settings, handed back unread."""


def whole_settings(shown: Mapping[str, Any], changes: Sequence[Assignment]) -> Values | str:
    """Return what to PUT: what was shown, with blank secrets and with `changes`; or why that can't be done without harm."""
    values: Values = deepcopy(dict(shown))
    for key in _LISTED:
        why = _blank_listed(key, values.get(key))
        if why:
            return why
    for path in _SINGLE:
        _blank_single(values, path)
    for key, value in changes:
        if key not in values:
            return f"its settings have no {key}"
        values[key] = value
    left = next(_masked("", values), None)
    if left is not None:
        return f"{left} holds a bullet (U+2022), which may be a masked secret: nothing is written while there is one"
    return values


def _blank_listed(key: str, elements: object) -> str:
    """Blank the passwords of an array; return why the right ones would not be kept, '' if they are."""
    found = [one for one in elements if isinstance(one, dict)] if isinstance(elements, list) else []
    for place, one in enumerate(found):
        if not _is_normal(key, one.get("name", "")):
            return f"{key}[{place}] has a name that Listmonk would rewrite, and campaigns that use it would be cancelled"
        if not _is_mask(one.get("password")):
            continue
        if sum(other.get("uuid", "") == one.get("uuid", "") for other in found) > 1:
            return (
                f"{key} has several entries that Listmonk can't tell apart (no uuid), and would give them one password: "
                f"enter their passwords anew in Listmonk's settings and save"
            )
        one["password"] = ""
    return ""


def _is_normal(key: str, name: object) -> bool:
    """Listmonk normalises names when it stores them all; a campaign whose messenger is gone is cancelled for good."""
    if key == "bounce.mailboxes" or name == "":
        return True
    if not isinstance(name, str) or not _NAME_CHARACTERS.issuperset(name):
        return False
    return key != "smtp" or name.startswith("email-")


def _blank_single(values: Values, path: Sequence[str]) -> None:
    holder: object = values
    for part in path[:-1]:
        holder = holder.get(part) if isinstance(holder, dict) else None
    if isinstance(holder, dict) and _is_mask(holder.get(path[-1])):
        holder[path[-1]] = ""


def _is_mask(value: object) -> bool:
    return isinstance(value, str) and value != "" and value.strip(MASK) == ""


def _masked(where: str, value: object) -> Iterator[str]:
    """Yield the places of texts that hold a bullet."""
    match value:
        case str() if MASK in value:
            yield where
        case list():
            for place, one in enumerate(value):
                yield from _masked(f"{where}[{place}]", one)
        case dict():
            for name, one in value.items():
                yield from _masked(f"{where}.{name}" if where else str(name), one)
        case _:
            pass
