"""Nouns of the simulated mail host: who sends, over what, to whom, and what the remote says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

MAIL_LOG: Final = 0
JOURNAL: Final = 1
"""The two places a line can go to."""

FIRST: Final = "first"
RETRY: Final = "retry"
NOTIFICATION: Final = "notification"
"""What an attempt is: the first of a (queue id, recipient), a later one, or any of a message with the null sender."""

SENT: Final = "sent"
DEFERRED: Final = "deferred"
BOUNCED: Final = "bounced"


ACCEPTED: Final = "accepted"
SAID: Final = "said"
"""The remote answered a command: `host H[I] said: TEXT (in reply to PHASE)`."""
REFUSED: Final = "refused"
"""The remote's greeting was no: `host H[I] refused to talk to me: TEXT`."""
LOST: Final = "lost"
"""The connection broke: Postfix's own sentence, but with a relay."""
UNREACHED: Final = "unreached"
"""No connection at all: `relay=none` and Postfix's own sentence."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One thing that can happen to an attempt. `text` is a `str.format` template when `varies`.

    Fields of the template: `ip` (of the egress), `token` (16 characters), `label` (`host[ip]`), `domain`,
    `rcpt`.
    """

    id: str
    status: str
    enhanced: str
    text: str
    how: str = SAID
    """How far the delivery came, which decides the shape of its line (Postfix smtp_trouble.c)."""
    phase: str = "RCPT TO command"
    reply_class: str = ""
    """As the rules should class it; empty for what was accepted."""
    every_host: bool = False
    """The first MX host says the same, and Postfix goes on to the next: an interim line comes first."""
    kills_site: bool = False
    """qmgr suspends the destination after it: the next messages get error(8) lines that repeat the text."""
    varies: bool = False
    halves: tuple[str, str] = ("", "")
    """For acceptances, which are most of all: what stands before and behind the token."""


@dataclass(frozen=True, slots=True)
class Host:
    """One MX host."""

    name: str
    ip: str
    label: str
    relay: str

    @classmethod
    def at(cls, name: str, ip: str) -> Host:
        """Make the host with the texts that lines need."""
        return cls(name, ip, f"{name}[{ip}]", f"{name}[{ip}]:25")


@dataclass(frozen=True, slots=True)
class Domain:
    """A recipient domain: `receiver` names its behaviour, `operator` who really runs it, `hosts` are its MX hosts."""

    name: str
    receiver: str
    operator: str
    hosts: tuple[Host, ...]


@dataclass(slots=True)
class Recipient:
    """A recipient of one message; `attempted` once a delivery was really tried."""

    address: str
    domain: Domain
    attempted: bool = False


@dataclass(slots=True)
class Message:
    """One queue file. `born` is its arrival; `tries` counts how often qmgr took it up before."""

    queue_id: str
    sender: str
    size: int
    nrcpt: int
    born: float
    signed: bool
    open: list[Recipient]
    tries: int = 0


@dataclass(frozen=True, slots=True)
class Egress:
    """A sending transport: `tag` is its syslog name (`postfix/out05` or `postfix-out06`), `ip` its bind address."""

    name: str
    tag: str
    ip: str
    stream: str

    @classmethod
    def numbered(cls, number: int, stream: str) -> Egress:
        """out05, out06 ...: odd ones log as `postfix/outNN/smtp`, even ones as `postfix-outNN/smtp`."""
        name = f"out{number:02d}"
        return cls(name, f"postfix/{name}" if number % 2 else f"postfix-{name}", f"198.51.100.{88 + number}", stream)


def egresses(numbers: range, stream: str) -> tuple[Egress, ...]:
    """Make a row of egresses."""
    return tuple(Egress.numbered(number, stream) for number in numbers)


@dataclass(frozen=True, slots=True)
class Stream:
    """A mail flow: where its mail comes in, where it goes out, and who it says it is."""

    name: str
    egresses: tuple[Egress, ...]
    client_ip: str = "192.0.2.5"
    client_host: str = "unknown"
    smtpd_tag: str = "postfix/smtpd"
    """`postfix/hc2526/smtpd` for a submission service with a syslog_name of its own."""
    sender: str = "news@mailer.example"
    dkim_domain: str = "mailer.example"
    dkim_selector: str = "mail"
    connections: int = 4
    """How many SMTP sessions the injector keeps open (Listmonk's max_conns)."""
    bounces_go: str = "local"
    """Where non-delivery notifications end: in a `local` mailbox, or out through the pool (`remote`). The first stream's
    choice is the host's."""
    fixed: bool = False
    """Its sender's mail leaves over its own egresses, whatever the pool is."""


@dataclass(frozen=True, slots=True)
class HostConfig:
    """The simulated Postfix host."""

    name: str = "mta"
    fqdn: str = "mta.mailer.example"
    long_ids: bool = True
    id_reuse_share: float = 0.0
    """Short ids only: how often a new message gets a queue id that was removed before."""
    minimal_backoff_s: float = 300.0
    maximal_backoff_s: float = 4000.0
    queue_lifetime_s: float = 432_000.0
    """Postfix's defaults: minimal_backoff_time, maximal_backoff_time, maximal_queue_lifetime (postconf(5))."""
    tls_log: bool = True
    opendkim_log: str = "mail"
    """`mail`, `journal` or `both`: with rsyslog, opendkim's lines are in both places."""
    postfix_log: str = "mail"
    """`mail` or `journal` (a host without rsyslog)."""
    milter_default_action: str = "accept"
    """What smtpd does while opendkim is down: `accept` (unsigned mail leaves) or `tempfail`."""


class AttemptKey(NamedTuple):
    """What attempts are counted by. `operator` is empty while nobody was reached (see Truth)."""

    stream: str
    egress: str
    operator: str
    status: str
    kind: str
    reply: str


class AttemptNote(NamedTuple):
    """Goes with a delivery line: counted when the line is handed out."""

    key: AttemptKey
    domain: str


Note: TypeAlias = AttemptNote | tuple[str, str]
"""An attempt, or (what, stream or daemon)."""

Entry: TypeAlias = tuple[float, int, str, Note | None]
"""(time, place, `tag[pid]: text`, what it means)."""

Record: TypeAlias = tuple[float, int, str]
"""(time, place, the line as written, without its line break)."""

Answer: TypeAlias = Callable[[float, Egress, Message, Recipient], Reply]
"""How a receiver answers an attempt at a time."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Ready-made delays: `delay=D, delays=a/b/c/d` of a first attempt, and `/b/c/d` for a retry."""

    text: str
    total_s: float
    tail: str
    tail_s: float


@dataclass(slots=True)
class Session:
    """An SMTP session of an injector: its `tag[pid]: `, when it was last used, how many messages it had."""

    head: str
    client: str
    """`host[ip]`."""
    note: tuple[str, str]
    """What goes with each message submitted over it."""
    used_at: float
    uses: int = 0
    milter_down: bool = False
    closed: bool = False
