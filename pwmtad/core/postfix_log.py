"""The grammar of Postfix's log messages: text after `tag[pid]: ` -> event.

Every pattern is anchored at the start and read left to right; an address that starts with a quote is read to its closing
quote; everything after the first structural ` status=WORD (` is opaque remote text (a reply, a quoted local part and a
Message-ID were each seen to hold a complete fake record). Shapes as written by Postfix 3.4 to 3.11 (log_adhoc.c,
qmgr_active.c, cleanup_message.c, smtpd.c ...).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, TypeAlias

from pwmtad.model import events
from pwmtad.model.events import AnyEvent
from pwmtad.model.names import Instant

Handler: TypeAlias = Callable[[Instant | None, str, str, int | None, str], AnyEvent]
"""(at, host, tag, pid, message) -> event."""

# Queue ids, short (upper-case hex) and long (no vowels, one `z`), are taken leniently: 5 to 30 alphanumerics that are not
# one word, so that `warning:`, `statistics:`, `Requeued:` and the like are no ids. NOQUEUE is the absence of one.
_QUEUE_ID: Final = r"(?![A-Z]?[a-z]+:|NOQUEUE:)([0-9A-Za-z]{5,30}): "
_MAYBE_ID: Final = "(?:NOQUEUE: |" + _QUEUE_ID + ")"

# An address in external format (3.5+): a local part that needs quoting is quoted as a whole, a domain literal is in brackets;
# inside either, `>` means nothing. Each part can end at one place only, so an address cut off inside its quotes (Postfix cuts
# a message at 2,000 bytes, msg_syslog.c) is no address at all instead of one that ends where the text between the quotes says.
# No possessive quantifiers and atomic groups: the `re` of Python 3.11.2, Debian 12's, loses matches with them (seen in a run).
_ADDRESS: Final = (
    r'<((?:"[^"\\]*(?:\\.[^"\\]*)*"[^>@]*|[^">@][^>@]*|)'  # local part: quoted, plain, or none at all
    r"(?:@\[[^\]]*\][^>]*|@(?!\[)[^>]*|))>"  # domain: a literal, a name, or none
)

_DELIVERY: Final = re.compile(
    _QUEUE_ID
    + "to="
    + _ADDRESS
    + ", (?:orig_to="
    + _ADDRESS
    + r", )?relay=([^\s,\[]+)(?:\[([^\]]*)\](?::(\d{1,5}))?)?, (?:conn_use=(\d{1,9}), )?"
    r"delay=([\d.]{1,15}), delays=([\d./]{1,60}), "
    # `tls=` from 3.11 on, and whatever comes next: unknown pairs before the first dsn= are passed over, and never given back.
    r"(?:(?!dsn=)[a-z_]+=[^,]*, )*dsn=(\d\.\d{1,3}\.\d{1,3}), status=([A-Za-z-]+) \((.*)",
    re.DOTALL,
)
_QUEUED: Final = re.compile(_QUEUE_ID + "from=" + _ADDRESS + r", size=(\d{1,19}), nrcpt=(\d{1,10}) \(queue active\)")
_EXPIRED: Final = re.compile(_QUEUE_ID + "from=" + _ADDRESS + r", status=((?:force-)?expired), returned to sender")
_CLIENT: Final = re.compile(
    _QUEUE_ID + r"client=([^\s,\[]+)\[([^\]\s]+)\](?::\d+)?(?:, sasl_method=[^,]*)?(?:, sasl_username=([^,]+))?"
)
_PICKUP: Final = re.compile(_QUEUE_ID + r"uid=(\d{1,10}) from=" + _ADDRESS + r"(?: orig_id=([0-9A-Za-z]+))?")
_MESSAGE_ID: Final = re.compile(_QUEUE_ID + "message-id=(.*)", re.DOTALL)
_NOTIFICATION: Final = re.compile(_QUEUE_ID + r"((?:sender|postmaster) [a-z -]+) notification: ([0-9A-Za-z]{5,30})$")
_MILTER_ACTION: Final = re.compile(
    # The client is `host[address]`, the address of IPv6 with colons of its own; the stage `DATA content` has two words.
    _MAYBE_ID + r"milter-(reject|hold): ([A-Z-]+(?: content)?) from [^\s\[:]*(?:\[[^\]\s]*\](?::\d{1,5})?)?: (.*)",
    re.DOTALL,
)
_HOLD: Final = re.compile(_MAYBE_ID + r"hold: (.*)", re.DOTALL)
_POSTSUPER_ONE: Final = re.compile(_QUEUE_ID + r"(placed on hold|released from hold)$")
_POSTSUPER_ALL: Final = re.compile(r"(Placed on hold|Released from hold): (\d+ messages?)$")
_REFUSED: Final = re.compile(_QUEUE_ID + r"(host ([^\s\[]+)\[([^\]]+)\] (?:said|refused to talk to me): .*)", re.DOTALL)
_LOST: Final = re.compile(
    _QUEUE_ID + r"((?:lost connection with|conversation with) ([^\s\[]+)\[([^\]]+)\] (?:while|timed out while) .*)",
    re.DOTALL,
)
_CONNECT: Final = re.compile(r"(connect to ([^\s\[]+)\[([^\]]+)\](?::(\d{1,5}))?: .*)", re.DOTALL)
_BIND: Final = re.compile(r"warning: smtp_[a-z_]+: (bind ([0-9A-Fa-f.:]+): .*)")
_MILTER_GONE: Final = re.compile(r"warning: (?:connect to Milter service (\S+): |milter (\S+): )(.*)", re.DOTALL)
_LEVEL: Final = re.compile("(warning|error|fatal|panic): (?:" + _QUEUE_ID + ")?(.*)", re.DOTALL)
_RELOAD: Final = re.compile(r"reload -- version ([^\s,]+)")
_STARTED: Final = re.compile(r"daemon started -- version ([^\s,]+)")
_ANY: Final = re.compile(_MAYBE_ID + "?(.*)", re.DOTALL)


def delivery(at: Instant | None, host: str, tag: str, pid: int | None, message: str) -> events.Attempt | None:
    """Read a `to=<...> ... status=WORD (text)` message of a delivery agent; None if it is no such message."""
    found = _DELIVERY.match(message)
    if found is None:
        return None
    qid, to, orig, relay, ip, port, conn_use, delay, delays, enhanced, status, text = found.groups()
    if text[-1:] == ")":  # absent where syslog cut the line
        text = text[:-1]
    make = events.LocalDeferral if tag[-5:] in _LOCAL_PROGRAMS else events.Attempt
    return make(
        at,
        host,
        tag,
        pid,
        qid,
        to,
        orig,
        None if relay == "none" else relay,
        ip,
        int(port) if port else None,
        int(conn_use) if conn_use else None,
        _seconds(delay),
        delays,
        enhanced,
        status,
        text,
    )


def delivery_agent(at: Instant | None, host: str, tag: str, pid: int | None, message: str) -> AnyEvent:
    """smtp, lmtp, local, virtual, pipe, discard, error: outcomes, refusals on the way, connection and bind failures."""
    queue_id, found_to, _ = message[:_TO_WITHIN].partition(": to=<")
    if found_to and queue_id.isalnum():
        attempt = delivery(at, host, tag, pid, message)
        return attempt if attempt is not None else events.Unparsed(at, host, tag, pid, message)
    if message.startswith(_CHATTER):
        return events.Other(at, host, tag, pid, None, message)
    if (found := _CONNECT.match(message)) is not None:
        text, relay, ip, port = found.groups()
        return events.ConnectFailed(at, host, tag, pid, None, relay, ip, int(port) if port else None, text)
    if (found := _REFUSED.match(message)) is not None:
        qid, text, relay, ip = found.groups()
        return events.RemoteRefused(at, host, tag, pid, qid, relay, ip, text)
    if (found := _LOST.match(message)) is not None:
        qid, text, relay, ip = found.groups()
        return events.ConnectFailed(at, host, tag, pid, qid, relay, ip, None, text)
    if (found := _BIND.match(message)) is not None:
        return events.BindFailed(at, host, tag, pid, found[2], found[1])
    return anything(at, host, tag, pid, message)


def qmgr(at: Instant | None, host: str, tag: str, pid: int | None, message: str) -> AnyEvent:
    """The queue manager: into the active queue, removed, expired."""
    if message[-9:] == _REMOVED and message[:-9].isalnum():
        return events.Removed(at, host, tag, pid, message[:-9])
    if (found := _QUEUED.match(message)) is not None:
        qid, sender, size, nrcpt = found.groups()
        return events.Queued(at, host, tag, pid, qid, sender, int(size), int(nrcpt))
    if (found := _EXPIRED.match(message)) is not None:
        qid, sender, status = found.groups()
        return events.Expired(at, host, tag, pid, qid, sender, status)
    return anything(at, host, tag, pid, message)


def smtpd(at: Instant | None, host: str, tag: str, pid: int | None, message: str) -> AnyEvent:
    """The SMTP server: who submitted which queue id, and what milters did to it."""
    if message.startswith(_CHATTER):
        return events.Other(at, host, tag, pid, None, message)
    if (found := _CLIENT.match(message)) is not None:
        qid, client_host, client_ip, sasl_username = found.groups()
        return events.Client(at, host, tag, pid, qid, client_host, client_ip, sasl_username)
    return _milter(at, host, tag, pid, message) or _held(at, host, tag, pid, message)


def cleanup(at: Instant | None, host: str, tag: str, pid: int | None, message: str) -> AnyEvent:
    """cleanup(8): Message-ID, hold, and what milters did to mail that no smtpd brought."""
    if (found := _MESSAGE_ID.match(message)) is not None:
        return events.MessageId(at, host, tag, pid, found[1], found[2])
    return _milter(at, host, tag, pid, message) or _held(at, host, tag, pid, message)


def pickup(at: Instant | None, host: str, tag: str, pid: int | None, message: str) -> AnyEvent:
    """Local submission."""
    if (found := _PICKUP.match(message)) is not None:
        qid, uid, sender, orig_id = found.groups()
        return events.Pickup(at, host, tag, pid, qid, int(uid), sender, orig_id)
    return anything(at, host, tag, pid, message)


def bounce(at: Instant | None, host: str, tag: str, pid: int | None, message: str) -> AnyEvent:
    """bounce(8): a notification was made; before 3.11 its own lines come first, from 3.11 on they come after."""
    if (found := _NOTIFICATION.match(message)) is not None:
        return events.Notification(at, host, tag, pid, found[1], found[2], found[3])
    return anything(at, host, tag, pid, message)


def postsuper(at: Instant | None, host: str, tag: str, pid: int | None, message: str) -> AnyEvent:
    """postsuper(1): single ids one by one; `ALL` only as a total, so that what it deleted is not known."""
    if message[-9:] == _REMOVED and message[:-9].isalnum():
        return events.Removed(at, host, tag, pid, message[:-9])
    if (found := _POSTSUPER_ONE.match(message)) is not None:
        return events.Hold(at, host, tag, pid, found[1], found[2], "")
    if (found := _POSTSUPER_ALL.match(message)) is not None:
        return events.Hold(at, host, tag, pid, None, found[1].lower(), found[2])
    return anything(at, host, tag, pid, message)


def master(at: Instant | None, host: str, tag: str, pid: int | None, message: str) -> AnyEvent:
    """master(8): start and reload."""
    if (found := _RELOAD.match(message)) is not None:
        return events.Reload(at, host, tag, pid, found[1])
    if (found := _STARTED.match(message)) is not None:
        return events.Start(at, host, tag, pid, found[1])
    return anything(at, host, tag, pid, message)


def anything(at: Instant | None, host: str, tag: str, pid: int | None, message: str) -> AnyEvent:
    """A message without a kind of its own: a warning if it says so, `other` if not."""
    if (found := _LEVEL.match(message)) is not None:
        return events.Warned(at, host, tag, pid, found[2], found[1], found[3])
    found = _ANY.match(message)
    queue_id, text = found.groups() if found is not None else (None, message)
    return events.Other(at, host, tag, pid, queue_id, text)


def _held(at: Instant | None, host: str, tag: str, pid: int | None, message: str) -> AnyEvent:
    """An access table's or a header check's HOLD."""
    if (found := _HOLD.match(message)) is not None:
        return events.Hold(at, host, tag, pid, found[1], "hold", found[2])
    return anything(at, host, tag, pid, message)


def _milter(at: Instant | None, host: str, tag: str, pid: int | None, message: str) -> AnyEvent | None:
    if (found := _MILTER_ACTION.match(message)) is not None:
        queue_id, action, stage, text = found.groups()
        if action == "hold":
            return events.Hold(at, host, tag, pid, queue_id, "milter-hold", text)
        return events.MilterReject(at, host, tag, pid, queue_id, stage, text)
    if (found := _MILTER_GONE.match(message)) is not None:
        service, known, text = found.groups()
        return events.MilterUnreachable(at, host, tag, pid, service or known, text)
    return None


def _seconds(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:  # two dots: no number, but no reason to lose the outcome
        return None


_REMOVED: Final = ": removed"
_TO_WITHIN: Final = 36
"""Characters: a queue id (at most 30) and `: to=<`."""
_CHATTER: Final = (
    "connect from ",
    "disconnect from ",
    "Untrusted TLS connection ",
    "Trusted TLS connection ",
    "Anonymous TLS connection ",
    "Verified TLS connection ",
)
"""A third of a campaign host's lines: known at their first word."""
_LOCAL_PROGRAMS: Final = frozenset({"error", "retry"})

HANDLERS: Final[dict[str, Handler]] = {
    "smtp": delivery_agent,
    "lmtp": delivery_agent,
    "local": delivery_agent,
    "virtual": delivery_agent,
    "pipe": delivery_agent,
    "discard": delivery_agent,
    "error": delivery_agent,
    "retry": delivery_agent,
    "qmgr": qmgr,
    "oqmgr": qmgr,
    "smtpd": smtpd,
    "cleanup": cleanup,
    "pickup": pickup,
    "bounce": bounce,
    "defer": bounce,
    "trace": bounce,
    "postsuper": postsuper,
    "master": master,
}
"""By program, the last part of the tag. Programs not named here go to `anything`."""
