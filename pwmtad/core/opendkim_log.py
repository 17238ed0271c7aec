"""The grammar of OpenDKIM's log messages (opendkim.c; 2.11.0 seen in runs): text after `opendkim[pid]: ` -> event.

The first token of a message's lines is the milter macro `i`: Postfix's queue id, the same string. `(unknown-jobid)` stands
where there is none. What follows `no signing table match for` is the From header: client-controlled text.
"""

from __future__ import annotations

import re
from typing import Final

from pwmtad.model import events
from pwmtad.model.events import AnyEvent
from pwmtad.model.names import Instant

_QUEUE_ID: Final = r"([0-9A-Za-z]{5,30}): "
_SIGNED: Final = re.compile(_QUEUE_ID + r"DKIM-Signature field added \(s=(\S+), d=(\S+)\)$")
# Why a message was not signed; said only with `LogWhy yes`, the external one with a `Domain` list.
_NOT_SIGNED: Final = re.compile(
    _QUEUE_ID
    + r"(\S+ \[[^\]]*\] not internal|not authenticated|no MTA name match.*|no signing (?:table|domain|subdomain) match for.*"
    r"|external host .* attempted to send as .*|can't determine message sender; accepting.*)",
    re.DOTALL,
)
# `key retrieval failed`, `bad signature data`, `syntax error` are of verification (opendkim.c, dkimf_libstatus): a stranger's
# mail, not ours. OpenSSL's errors are logged for both; those of verification say so.
_FAILED: Final = re.compile(
    _QUEUE_ID + r"(error loading key .*|signing table references unknown key .*|signature processing failed.*"
    r"|(?:s=\S+ d=\S+ )?SSL (?!.*(?:[Vv]erif|VERIF|bad signature)).*"
    r"|dkim_(?:eom|sign|eoh|body|chunk)\(?\)?.*(?:fail|error).*|KeyTable entry for .*)",
    re.DOTALL,
)
# Without a queue id: the key itself is the trouble.
_KEY_TROUBLE: Final = re.compile(r"(can't load key from .*|KeyTable entry for .*)", re.DOTALL)
# Begins with the key's name, not with a queue id. Only a warning unless RequireSafeKeys is set; if it is, `error loading
# key` follows and says so.
_UNSAFE_KEY: Final = re.compile(r"(\S+: key data is not secure: .*)", re.DOTALL)
_STARTING: Final = re.compile(r"OpenDKIM Filter v(\S+) starting")
_RELOADED: Final = re.compile(r"configuration reloaded from ")
_TROUBLE: Final = re.compile(r"(?:terminated with signal|maximum restart|fatal|panic|error|warning)", re.IGNORECASE)
_ANY: Final = re.compile("(?:" + _QUEUE_ID + ")?(.*)", re.DOTALL)


def opendkim(at: Instant | None, host: str, tag: str, pid: int | None, message: str) -> AnyEvent:
    """One message of opendkim."""
    if (found := _SIGNED.match(message)) is not None:
        return events.Signed(at, host, tag, pid, found[1], found[2], found[3])
    if (found := _NOT_SIGNED.match(message)) is not None:
        return events.NotSigned(at, host, tag, pid, found[1], found[2])
    if (found := _KEY_TROUBLE.match(message)) is not None:
        return events.SigningFailed(at, host, tag, pid, None, found[1])
    if (found := _UNSAFE_KEY.match(message)) is not None:
        return events.Warned(at, host, tag, pid, None, "warning", found[1])
    if (found := _FAILED.match(message)) is not None:
        return events.SigningFailed(at, host, tag, pid, found[1], found[2])
    if (found := _STARTING.match(message)) is not None:
        return events.Start(at, host, tag, pid, found[1])
    if _RELOADED.match(message) is not None:
        return events.Reload(at, host, tag, pid, None)
    if _TROUBLE.match(message) is not None:
        return events.Warned(at, host, tag, pid, None, "warning", message)
    found = _ANY.match(message)
    queue_id, text = found.groups() if found is not None else (None, message)
    return events.Other(at, host, tag, pid, queue_id, text)
