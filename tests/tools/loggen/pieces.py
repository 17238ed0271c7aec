"""What happens on the host, as values that a scenario is put together from. Times are epoch seconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle, islice
from random import Random
from typing import Final, Protocol

from tests.tools.loggen.audience import Audience
from tests.tools.loggen.delivery import Delivery
from tests.tools.loggen.engine import Engine
from tests.tools.loggen.ids import Pids
from tests.tools.loggen.injection import NOBODY, Injection
from tests.tools.loggen.model import JOURNAL, MAIL_LOG, Domain, Egress, Host, HostConfig, Recipient, Stream

_ODD_IDS: Final = 0.02


@dataclass(frozen=True, slots=True)
class Site:
    """The running host, as pieces see it."""

    seed: int
    rng: Random
    config: HostConfig
    streams: dict[str, Stream]
    engine: Engine
    injection: Injection
    delivery: Delivery
    pids: Pids

    def say(self, now: float, text: str, note: tuple[str, str] | None = None) -> None:
        """Log a line where Postfix logs."""
        place = JOURNAL if self.config.postfix_log == "journal" else MAIL_LOG
        self.engine.log((now, place, text, note))


class Piece(Protocol):
    """Something that happens in a scenario."""

    def start(self, site: Site) -> None:
        """Ask the engine for the first action."""
        ...


@dataclass(frozen=True, slots=True)
class Campaign:
    """The stream's injector mails an audience: at random moments around `per_hour` messages an hour.

    With `burst_per_s` it does as Listmonk with a sliding window does: `per_hour` messages as fast as that, then nothing
    until an hour after the first of them.
    """

    at: float
    stream: str
    audience: Audience
    per_hour: int
    burst_per_s: float = 0.0
    sender: str = ""
    """The stream's own sender if empty."""
    size: int = 24_000
    recipients_per_message: int = 1
    message_ids: tuple[str, ...] = ()
    """Client-controlled Message-IDs that some messages carry (one in fifty)."""

    def start(self, site: Site) -> None:
        """See Piece."""
        stream = site.streams[self.stream]
        people = self.audience.recipients(site.seed)
        at, injection, random = site.engine.at, site.injection, site.rng.random
        sender = self.sender or stream.sender
        size, batch = self.size, self.recipients_per_message
        gap = self._windowed(site.rng) if self.burst_per_s else self._even(site.rng)

        def step(now: float) -> None:
            recipients = list(islice(people, batch))
            if not recipients:
                return
            if self.message_ids and random() < _ODD_IDS:
                injection.message_id = self.message_ids[int(random() * len(self.message_ids))]
            injection.submit(now, stream, sender, size + int(random() * 2000), recipients)
            injection.message_id = None
            at(gap(now), step)

        at(self.at, step)

    def _even(self, rng: Random) -> Callable[[float], float]:
        """When the next message follows, by chance around the rate."""
        rate, expovariate = self.per_hour / 3600, rng.expovariate
        return lambda now: now + expovariate(rate)

    def _windowed(self, rng: Random) -> Callable[[float], float]:
        """When the next message follows, within a window of an hour that began with its first message."""
        opened, used = self.at, 0

        def following(now: float) -> float:
            nonlocal opened, used
            used += 1
            if used < self.per_hour:
                return now + rng.expovariate(self.burst_per_s)
            opened, used = max(now, opened + 3600), 0
            return opened

        return following


@dataclass(frozen=True, slots=True)
class CronMail:
    """A local program mails a report every `every_s` seconds, through sendmail(1): signed, and out through the pool.

    `local`: into a mailbox of this host instead.
    """

    at: float
    every_s: float = 300.0
    until: float = float("inf")
    sender: str = "cron@mailer.example"
    to: str = "reports@office.example"
    local: bool = False

    def start(self, site: Site) -> None:
        """See Piece."""
        stream = next(iter(site.streams.values()))
        office = Domain(self.to.rpartition("@")[2], "office", "other", (Host.at("mx.office.example", "192.0.2.210"),))
        domain = site.delivery.bounce_domain if self.local else office

        def step(now: float) -> None:
            if now >= self.until:
                return
            recipients = [Recipient(self.to, domain)]
            site.injection.pick_up(now, stream, 0, self.sender, 900 + int(site.rng.random() * 400), recipients)
            site.engine.at(now + self.every_s, step)

        site.engine.at(self.at, step)


@dataclass(frozen=True, slots=True)
class Unsigned:
    """opendkim does not take the stream's client for internal, so it signs nothing of the stream.

    `says_why` is LogWhy: without it an unsigned message leaves no trace at all.
    """

    at: float
    stream: str
    until: float = float("inf")
    says_why: bool = False

    def start(self, site: Site) -> None:
        """See Piece."""
        unsigned = site.injection.unsigned

        def begin(_now: float) -> None:
            unsigned[self.stream] = self.says_why

        def end(_now: float) -> None:
            unsigned.pop(self.stream, None)

        site.engine.at(self.at, begin)
        site.engine.at(self.until, end)


@dataclass(frozen=True, slots=True)
class MilterDown:
    """opendkim is not there: what SMTP sessions opened then do is `milter_default_action`."""

    at: float
    until: float

    def start(self, site: Site) -> None:
        """See Piece."""
        site.engine.at(self.at, site.injection.stop_milter)
        site.engine.at(self.until, site.injection.start_milter)


@dataclass(frozen=True, slots=True)
class BindFailure:
    """An egress' address is not on the host: its mail leaves from another address, or not at all if `enforced`."""

    at: float
    egress: str
    until: float = float("inf")
    enforced: bool = False

    def start(self, site: Site) -> None:
        """See Piece."""
        unbound = site.delivery.unbound

        def begin(_now: float) -> None:
            unbound[self.egress] = self.enforced

        def end(_now: float) -> None:
            unbound.pop(self.egress, None)

        site.engine.at(self.at, begin)
        site.engine.at(self.until, end)


@dataclass(frozen=True, slots=True)
class Reload:
    """`postfix reload`, and with `pool` a new set of egresses from then on."""

    at: float
    pool: tuple[Egress, ...] = ()

    def start(self, site: Site) -> None:
        """See Piece."""
        site.engine.at(self.at, lambda now: _reload(site, now, self.pool))


def _reload(site: Site, now: float, pool: tuple[Egress, ...]) -> None:
    site.say(now, f"postfix/postfix-script[{site.pids.new()}]: refreshing the Postfix mail system")
    site.say(now + 0.01, "postfix/master[1412]: reload -- version 3.7.11, configuration /etc/postfix", ("reload", NOBODY))
    site.delivery.new_processes()
    if pool:
        site.delivery.pool = pool


@dataclass(frozen=True, slots=True)
class Paused:
    """error(8) defers everything from `at` until `until`, as with a pool of `static:{retry:4.7.0 TEXT}`.

    `defer_transports` looks the same with `4.3.2` and `deferred transport`.
    """

    at: float
    until: float
    enhanced: str = "4.7.0"
    text: str = "paused by pwmtad: h-1"

    def start(self, site: Site) -> None:
        """See Piece."""

        def pause(now: float) -> None:
            _reload(site, now, ())
            site.delivery.paused = (self.enhanced, self.text)

        def resume(now: float) -> None:
            _reload(site, now, ())
            site.delivery.paused = None

        site.engine.at(self.at, pause)
        site.engine.at(self.until, resume)


@dataclass(frozen=True, slots=True)
class Noise:
    """What any host logs beside its mail: scanners on port 25, anvil and scache statistics, a rejected relay attempt."""

    at: float
    every_s: float = 120.0
    until: float = float("inf")

    def start(self, site: Site) -> None:
        """See Piece."""
        turns = cycle((_scan, _relay, _statistics))

        def step(now: float) -> None:
            if now >= self.until:
                return
            next(turns)(site, now)
            site.engine.at(now + site.rng.expovariate(1 / self.every_s), step)

        site.engine.at(self.at, step)


def _scan(site: Site, now: float) -> None:
    who = f"unknown[203.0.113.{int(site.rng.random() * 250) + 1}]"
    tag = f"postfix/smtpd[{site.pids.new()}]"
    site.say(now, f"{tag}: connect from {who}")
    site.say(now + 0.4, f"{tag}: lost connection after CONNECT from {who}")
    site.say(now + 0.4001, f"{tag}: disconnect from {who} commands=0/0")


def _relay(site: Site, now: float) -> None:
    who = f"unknown[203.0.113.{int(site.rng.random() * 250) + 1}]"
    tag = f"postfix/smtpd[{site.pids.new()}]"
    site.say(now, f"{tag}: connect from {who}")
    site.say(
        now + 0.9,
        f"{tag}: NOQUEUE: reject: RCPT from {who}: 454 4.7.1 <probe@elsewhere.example>: Relay access denied; "
        "from=<probe@elsewhere.example> to=<probe@elsewhere.example> proto=ESMTP helo=<scan.example>",
    )
    site.say(now + 1.1, f"{tag}: disconnect from {who} ehlo=1 mail=1 rcpt=0/1 quit=1 commands=3/4")


def _statistics(site: Site, now: float) -> None:
    tag = f"postfix/anvil[{site.pids.new()}]"
    site.say(now, f"{tag}: statistics: max connection rate 4/60s for (smtp:192.0.2.5) at Nov 24 02:51:29")
    site.say(now + 0.0001, f"{tag}: statistics: max connection count 4 for (smtp:192.0.2.5) at Nov 24 02:51:29")
    site.say(now + 0.0002, f"{tag}: statistics: max cache size 3 at Nov 24 02:51:29")
    tag = f"postfix/scache[{site.pids.new()}]"
    site.say(now + 0.1, f"{tag}: statistics: start interval Nov 24 02:51:29")
    site.say(now + 0.1001, f"{tag}: statistics: domain lookup hits=8 miss=13 success=38%")
    site.say(now + 0.1002, f"{tag}: statistics: address lookup hits=0 miss=14 success=0%")
    site.say(now + 0.1003, f"{tag}: statistics: max simultaneous domains=2 addresses=2 connection=2")
