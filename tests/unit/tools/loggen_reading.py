"""Reads generated lines with grammars of its own, so that neither the generator nor pwmtad is checked against itself."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from tests.tools.loggen import Audience, Mix, Scenario, Stream, egresses
from tests.tools.loggen.pieces import Campaign, CronMail, Noise, Piece

START = 1_772_409_600.0
"""2026-03-02 00:00:00 UTC, a Monday."""

STREAM = Stream("trucking", egresses(range(5, 8), "trucking"), client_ip="172.18.0.5")

EVERYBODY = Mix.of(
    {
        "google": 0.3,
        "yahoo": 0.1,
        "microsoft-365": 0.15,
        "microsoft-consumer": 0.1,
        "cox": 0.05,
        "other": 0.1,
        "unreachable": 0.1,
        "hostile": 0.1,
    }
)

_ID = r"(?:[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-z]{10}z[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-y]+|[0-9A-F]{6,})"
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_OUTCOME = re.compile(
    rf"(postfix\S*)\[\d+\]: ({_ID}): to=<((?:{_QUOTED})?[^>\"]*)>, relay=(none|local|[a-z0-9.-]+\[[0-9.]+\]:25), "
    r"(?:conn_use=(\d+), )?delay=[\d.]+, delays=[\d.]+/[\d.]+/[\d.]+/[\d.]+, dsn=(\d\.\d+\.\d+), "
    r"status=(sent|deferred|bounced) \((.*)\)",
    re.DOTALL,
)

SHAPES = {
    "outcome": _OUTCOME,
    "client": re.compile(rf"postfix\S*/smtpd\[\d+\]: ({_ID}): client=\S+\[[0-9.]+\]"),
    "connect": re.compile(r"postfix\S*/smtpd\[\d+\]: connect from \S+\[[0-9.]+\]"),
    "disconnect": re.compile(
        r"postfix\S*/smtpd\[\d+\]: disconnect from \S+\[[0-9.]+\](?: [a-z]+=\d+(?:/\d+)?)* commands=\d+(?:/\d+)?"
    ),
    "lost": re.compile(r"postfix/smtpd\[\d+\]: lost connection after CONNECT from \S+"),
    "reject": re.compile(r"postfix/smtpd\[\d+\]: NOQUEUE: (?:milter-)?reject: .*"),
    "milter": re.compile(r"postfix/(?:smtpd|cleanup)\[\d+\]: warning: connect to Milter service \S+: Connection refused"),
    "pickup": re.compile(rf"postfix/pickup\[\d+\]: ({_ID}): uid=\d+ from=<\S+>"),
    "message-id": re.compile(rf"postfix/cleanup\[\d+\]: ({_ID}): message-id=.*"),
    "queued": re.compile(rf"postfix/qmgr\[\d+\]: ({_ID}): from=<(\S*)>, size=\d+, nrcpt=(\d+) \(queue active\)"),
    "removed": re.compile(rf"postfix/qmgr\[\d+\]: ({_ID}): removed"),
    "expired": re.compile(rf"postfix/qmgr\[\d+\]: ({_ID}): from=<\S+>, status=expired, returned to sender"),
    "notification": re.compile(rf"postfix/bounce\[\d+\]: ({_ID}): sender non-delivery notification: ({_ID})"),
    "signed": re.compile(rf"opendkim\[\d+\]: ({_ID}): DKIM-Signature field added \(s=\S+, d=\S+\)"),
    "not internal": re.compile(rf"opendkim\[\d+\]: {_ID}: (?:\S+ \[[0-9.]+\] not internal|not authenticated)"),
    "opendkim": re.compile(r"opendkim\[\d+\]: (?:terminating with|OpenDKIM Filter) .*"),
    "interim": re.compile(
        rf"postfix\S*/smtp\[\d+\]: ({_ID}): host \S+\[[0-9.]+\] (?:said|refused to talk to me): .*", re.DOTALL
    ),
    "connect failed": re.compile(r"postfix\S*/smtp\[\d+\]: connect to \S+\[[0-9.]+\]:25: Connection (?:refused|timed out)"),
    "bind": re.compile(r"(postfix\S*)/smtp\[\d+\]: warning: smtp_connect_addr: bind [0-9.]+: Cannot assign requested address"),
    "configuration": re.compile(r"postfix\S*/smtp\[\d+\]: server configuration error"),
    "tls": re.compile(r"postfix\S*/smtp\[\d+\]: Untrusted TLS connection established to \S+:25: TLSv1\.3 .*"),
    "statistics": re.compile(r"postfix/(?:anvil|scache)\[\d+\]: statistics: .*"),
    "reload": re.compile(r"postfix/(?:master|postfix-script)\[\d+\]: (?:reload -- version|refreshing) .*"),
}
"""Every shape the generator writes, as seen in runs of Postfix 3.7.11 and OpenDKIM 2.11.0; each must match a whole body."""


@dataclass(frozen=True)
class Outcome:
    """A delivery line taken apart."""

    tag: str
    queue_id: str
    recipient: str
    relay: str
    conn_use: int
    status: str
    text: str

    @property
    def attempt(self) -> bool:
        """smtp(8) really tried."""
        return self.tag.endswith("/smtp")


def body(line: str) -> str:
    """The line without its RFC 3339 time and host."""
    return line.split(" ", 2)[2]


def shape_of(text: str) -> str | None:
    """Which shape the whole body has."""
    return next((name for name, shape in SHAPES.items() if shape.fullmatch(text)), None)


def outcome(text: str) -> Outcome | None:
    """Take a delivery line apart; None if it is another line."""
    found = _OUTCOME.fullmatch(text)
    if found is None:
        return None
    tag, queue_id, recipient, relay, conn_use, _, status, reply = found.groups()
    return Outcome(tag, queue_id, recipient, relay, int(conn_use or 1), status, reply)


def outcomes(lines: Iterable[str]) -> list[Outcome]:
    """All delivery lines."""
    return [found for found in (outcome(body(line)) for line in lines) if found is not None]


def statuses(lines: Iterable[str]) -> Counter[str]:
    """Attempts of smtp(8) by status."""
    return Counter(found.status for found in outcomes(lines) if found.attempt)


def shapes(lines: Iterable[str]) -> Counter[str | None]:
    """How often each shape occurs."""
    return Counter(shape_of(body(line)) for line in lines)


def busy_hours(*pieces: Piece, seed: int = 5, count: int = 1500, **changes: object) -> Scenario:
    """A small scenario with everything in it: a campaign to everybody, cron mail, noise, and what the test adds."""
    campaign = Campaign(START + 60, "trucking", Audience("list", count, EVERYBODY, odd_share=0.02), 3000)
    scenario = Scenario(START, seed, (STREAM,), (campaign, CronMail(START + 30), Noise(START), *pieces), START + 4 * 3600)
    return scenario.but(**changes)
