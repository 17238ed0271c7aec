"""Lines of mail.log and entries of the journal, as few as a test needs."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import count

START = 1_772_409_600.0
"""2026-03-02 00:00:00 UTC."""
_IDS = count(1)
_GMAIL = "gmail-smtp-in.l.google.com[192.0.2.27]"
BLOCK = "550-5.7.1 [198.51.100.93] Gmail has detected that this message is 550-5.7.1 likely unsolicited mail. 550 5.7.1 - gsmtp"


def stamp(at: float) -> str:
    """As rsyslog writes it."""
    return datetime.fromtimestamp(START + at, UTC).isoformat(timespec="microseconds")


def queue_id() -> str:
    """A long queue id that was not used before."""
    return f"4fPdGM{next(_IDS):04d}zJ99h".replace("0", "B")


def line(at: float, tag: str, text: str) -> str:
    """A line, `at` seconds after START."""
    return f"{stamp(at)} mta {tag}[77]: {text}"


def attempt(
    at: float,
    outcome: str = "sent (250 2.0.0 OK - gsmtp)",
    *,
    qid: str | None = None,
    to: str | None = None,
    relay: str = _GMAIL,
    enhanced: str = "2.0.0",
    tag: str = "postfix/out05/smtp",
) -> str:
    """A delivery line; `outcome` is what follows `status=`."""
    qid = qid or queue_id()
    to = to or f"{qid.lower()}@gmail.com"
    return line(at, tag, f"{qid}: to=<{to}>, relay={relay}:25, delay=1, delays=0/0/0/1, dsn={enhanced}, status={outcome}")


def block(at: float, text: str = BLOCK) -> str:
    """Gmail refuses for reputation."""
    return attempt(at, f"bounced (host {_GMAIL} said: {text} (in reply to end of DATA command))", enhanced="5.7.1")


def message(at: float, qid: str, client: str = "app[172.18.0.5]") -> list[str]:
    """A message comes in and is queued."""
    return [
        line(at, "postfix/smtpd", f"{qid}: client={client}"),
        line(at + 0.05, "postfix/qmgr", f"{qid}: from=<news@mailer.example>, size=100, nrcpt=1 (queue active)"),
    ]


def signed(qid: str) -> str:
    """What opendkim says of it."""
    return f"{qid}: DKIM-Signature field added (s=mail, d=mailer.example)"


def entry(at: float, tag: str, text: str) -> str:
    """An entry as `journalctl -o json` writes it."""
    real = int((START + at) * 1_000_000)
    return json.dumps(
        {
            "__CURSOR": f"s=1;i={next(_IDS):x};b=2;m=3;t={real:x};x=4",
            "__REALTIME_TIMESTAMP": str(real),
            "_HOSTNAME": "mta",
            "SYSLOG_IDENTIFIER": tag,
            "_PID": "77",
            "MESSAGE": text,
        }
    )
