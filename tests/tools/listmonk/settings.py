"""What the settings calls do with the settings, except for reading and writing them: masks, kept secrets, refusals.

In: what the table `settings` holds and what a client sent. Out: what is shown or stored. Pure.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from typing import Any, Final

from tests.tools.listmonk.govalues import parse_duration
from tests.tools.listmonk.settings_keys import LISTED_SECRETS, SINGLE_SECRETS, known
from tests.tools.listmonk.shapes import decode
from tests.tools.listmonk.texts import Wrong
from tests.tools.listmonk.versions import Version

Values = dict[str, Any]

MASK: Final = "\u2022"
_NOT_IN_NAMES: Final = re.compile(r"[^a-z0-9\-]")


class RefusedError(Exception):
    """The settings are not stored: 400."""

    def __init__(self, wrong: Wrong, name: str = "") -> None:
        super().__init__(wrong.value)
        self.wrong = wrong
        self.name = name


def as_struct(version: Version, values: Mapping[str, Any]) -> Values:
    """Return every key of the version: what is missing is zero, what is unknown is gone. Raises WrongTypeError."""
    return {name: decode(key.shape, values.get(name), name) for name, key in known(version).items()}


def shown(version: Version, stored: Mapping[str, Any]) -> Values:
    """Return what GET answers: each character of a secret is a bullet. Raises WrongTypeError."""
    values = as_struct(version, stored)
    for holder, name in _secrets(values):
        holder[name] = MASK * len(holder[name])
    return values


def replaced(version: Version, stored: Mapping[str, Any], sent: Mapping[str, Any]) -> Values:
    """Return what PUT of the whole object stores. A mask is a password like any other; only "" keeps the old one.

    Raises WrongTypeError (of what is sent or of what is stored) and RefusedError.
    """
    old = as_struct(version, stored)
    new = as_struct(version, sent)
    names = {"email"}
    for server in new["smtp"] or ():
        _name_smtp(server, names)
        server["host"] = server["host"].strip()
    if not any(server["enabled"] for server in new["smtp"] or ()):
        raise RefusedError(Wrong.NO_SMTP)
    new["app.root_url"] = new["app.root_url"].rstrip("/")
    for box in new["bounce.mailboxes"] or ():
        if (parse_duration(box["scan_interval"]) or 0.0) < 60:
            raise RefusedError(Wrong.SCAN_INTERVAL)
    for messenger in new["messengers"] or ():
        _name_messenger(messenger, names)
    for key in LISTED_SECRETS:
        _keep_listed(new[key] or [], old[key] or [])
    _keep_single(new, old)
    return new


def _secrets(values: Values) -> list[tuple[Values, str]]:
    return [(element, "password") for key in LISTED_SECRETS for element in values[key] or ()] + _single(values)


def _single(values: Values) -> list[tuple[Values, str]]:
    found = []
    for first, *rest in SINGLE_SECRETS:
        if first in values:
            holder, name = values, first
            for part in rest:
                holder, name = holder[name], part
            found.append((holder, name))
    return found


def _name_smtp(server: Values, names: set[str]) -> None:
    name = _NOT_IN_NAMES.sub("-", server["name"].strip().lower())
    if name:
        name = name if name.startswith("email-") else f"email-{name}"
        if name in names:
            raise RefusedError(Wrong.NAME, name)
        names.add(name)
    server["name"] = name


def _name_messenger(messenger: Values, names: set[str]) -> None:
    name = _NOT_IN_NAMES.sub("", messenger["name"].lower())
    if not name or name in names:
        raise RefusedError(Wrong.NAME, name)
    names.add(name)
    messenger["name"] = name


def _keep_listed(new: list[Values], old: list[Values]) -> None:
    """A blank password is that of the old element with the same uuid: of the last one, if several have it (or none has one)."""
    for element in new:
        if not element["password"]:
            for before in old:
                if before["uuid"] == element["uuid"]:
                    element["password"] = before["password"]
        element["uuid"] = element["uuid"] or str(uuid.uuid4())


def _keep_single(new: Values, old: Values) -> None:
    for (holder, name), (before, _) in zip(_single(new), _single(old), strict=True):
        holder[name] = holder[name] or before[name]
