"""What one log line means. One class per kind of line; `name` is the word of the CLI contract (`pwmtad parse`).

Shapes: `at` is the line's own time (None if it could not be read), `tag` the syslog identifier without the pid
(`postfix/out05/smtp`). Queue ids, addresses and texts are exactly as logged: hostile until cleaned.
"""

from __future__ import annotations

from typing import ClassVar, TypeAlias

from msgspec import Struct

from pwmtad.model.names import Instant


class Event(Struct, frozen=True, gc=False):
    """The four fields that every line has."""

    name: ClassVar[str] = "event"

    at: Instant | None
    host: str
    tag: str
    pid: int | None


class Attempt(Event, frozen=True, gc=False):
    """One recipient, one delivery attempt (Postfix log_adhoc.c). `text` is all between the last parentheses."""

    name: ClassVar[str] = "attempt"

    queue_id: str
    recipient: str
    orig_recipient: str | None
    relay_host: str | None
    relay_ip: str | None
    relay_port: int | None
    conn_use: int | None
    delay: float | None
    delays: str
    """`a/b/c/d` as logged: before queue manager, in it, connection set-up, transmission (seconds)."""
    enhanced_status: str | None
    status: str
    text: str


class LocalDeferral(Attempt, frozen=True, gc=False):
    """A line of error(8)/retry(8): Postfix's own decision, no contact with any remote (facts 1.4)."""

    name: ClassVar[str] = "local_deferral"


class Client(Event, frozen=True, gc=False):
    """smtpd accepted a message from this client."""

    name: ClassVar[str] = "client"

    queue_id: str
    client_host: str
    client_ip: str
    sasl_username: str | None


class Pickup(Event, frozen=True, gc=False):
    """A local user submitted a message through sendmail(1)."""

    name: ClassVar[str] = "pickup"

    queue_id: str
    uid: int
    sender: str
    orig_queue_id: str | None
    """Set after `postsuper -r`: the same message under its former queue id."""


class MessageId(Event, frozen=True, gc=False):
    """cleanup saw the Message-ID header: client-controlled to the end of the line."""

    name: ClassVar[str] = "message_id"

    queue_id: str
    message_id: str


class Queued(Event, frozen=True, gc=False):
    """qmgr took the message into the active queue. Repeats at every retry and after every reload."""

    name: ClassVar[str] = "queued"

    queue_id: str
    sender: str
    size: int
    nrcpt: int


class Removed(Event, frozen=True, gc=False):
    """qmgr deleted the queue file: the queue id may be used again from now on."""

    name: ClassVar[str] = "removed"

    queue_id: str


class Expired(Event, frozen=True, gc=False):
    """qmgr gave the message up for age; recipients must be remembered from earlier deferrals."""

    name: ClassVar[str] = "expired"

    queue_id: str
    sender: str
    status: str
    """`expired` or `force-expired`."""


class Notification(Event, frozen=True, gc=False):
    """bounce(8) made a DSN message."""

    name: ClassVar[str] = "notification"

    queue_id: str
    notification: str
    """`sender non-delivery`, `sender delay`, `sender delivery status`, `postmaster non-delivery` ..."""
    notification_queue_id: str


class Hold(Event, frozen=True, gc=False):
    """The message went to the hold queue or came out of it, or the queue was told to by postsuper."""

    name: ClassVar[str] = "hold"

    queue_id: str | None
    action: str
    """`hold`, `milter-hold`, `placed on hold`, `released from hold`."""
    text: str


class MilterReject(Event, frozen=True, gc=False):
    """A milter refused a message or a session; `queue_id` is None for NOQUEUE."""

    name: ClassVar[str] = "milter_reject"

    queue_id: str | None
    stage: str
    text: str


class MilterUnreachable(Event, frozen=True, gc=False):
    """smtpd or cleanup could not talk to a milter; with milter_default_action=accept mail goes out unsigned."""

    name: ClassVar[str] = "milter_unreachable"

    milter: str
    text: str


class RemoteRefused(Event, frozen=True, gc=False):
    """A remote refused, but the attempt is not over (another MX follows): early evidence, never an outcome."""

    name: ClassVar[str] = "remote_refused"

    queue_id: str
    relay_host: str
    relay_ip: str
    text: str


class ConnectFailed(Event, frozen=True, gc=False):
    """No connection to one address of a relay; the deferred line comes in addition (no queue id here)."""

    name: ClassVar[str] = "connect_failed"

    queue_id: str | None
    relay_host: str
    relay_ip: str
    relay_port: int | None
    text: str


class BindFailed(Event, frozen=True, gc=False):
    """The egress address is not on this host: unless enforced, the mail leaves from another IP (facts 0.2)."""

    name: ClassVar[str] = "bind_failed"

    address: str
    text: str


class Signed(Event, frozen=True, gc=False):
    """opendkim added a signature; one line per signature."""

    name: ClassVar[str] = "signed"

    queue_id: str
    selector: str
    domain: str


class NotSigned(Event, frozen=True, gc=False):
    """opendkim says why it did not sign (needs LogWhy): client not internal, no signing table match ..."""

    name: ClassVar[str] = "not_signed"

    queue_id: str
    text: str


class SigningFailed(Event, frozen=True, gc=False):
    """opendkim wanted to sign and could not; `queue_id` is None where the line names only a key."""

    name: ClassVar[str] = "signing_failed"

    queue_id: str | None
    text: str


class Reload(Event, frozen=True, gc=False):
    """master(8) or opendkim re-read its configuration."""

    name: ClassVar[str] = "reload"

    version: str | None


class Start(Event, frozen=True, gc=False):
    """master(8) or opendkim started."""

    name: ClassVar[str] = "start"

    version: str | None


class Suppressed(Event, frozen=True, gc=False):
    """journald or rsyslog dropped lines: counters are no longer the truth."""

    name: ClassVar[str] = "warning"

    count: int
    unit: str | None


class Warned(Event, frozen=True, gc=False):
    """A line of level warning, error, fatal or panic that has no kind of its own."""

    name: ClassVar[str] = "warning"

    queue_id: str | None
    level: str
    text: str


class Other(Event, frozen=True, gc=False):
    """A known daemon said something without meaning for us."""

    name: ClassVar[str] = "other"

    queue_id: str | None
    text: str


class Unparsed(Event, frozen=True, gc=False):
    """A line of no known daemon, or one that breaks the grammar of its daemon."""

    name: ClassVar[str] = "unparsed"

    text: str


AnyEvent: TypeAlias = (
    Attempt
    | LocalDeferral
    | Client
    | Pickup
    | MessageId
    | Queued
    | Removed
    | Expired
    | Notification
    | Hold
    | MilterReject
    | MilterUnreachable
    | RemoteRefused
    | ConnectFailed
    | BindFailed
    | Signed
    | NotSigned
    | SigningFailed
    | Reload
    | Start
    | Suppressed
    | Warned
    | Other
    | Unparsed
)
