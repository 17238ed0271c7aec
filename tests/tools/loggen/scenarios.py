"""Ready-made scenarios: incidents that pwmtad must stop, a month in which it must do nothing, and a corpus for the bench."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from tests.tools.loggen.audience import Audience
from tests.tools.loggen.model import HostConfig, Stream, egresses
from tests.tools.loggen.personas import GMAIL_BLOCK, HEALTHY, TSS04, Accepts, Persona, Shares, TurnsAfter
from tests.tools.loggen.personas import Unsigned as TowardsUnsigned
from tests.tools.loggen.pieces import Campaign, CronMail, Noise, Piece, Reload, Unsigned
from tests.tools.loggen.receivers import Mix
from tests.tools.loggen.scenario import Scenario
from tests.tools.loggen.writers import Rfc3339, Style

HOUR_S: Final = 3600.0
DAY_S: Final = 86_400.0

POOL_LADDER: Final[Mapping[int, int]] = {0: 3, 4: 5, 8: 8, 12: 12, 18: 16, 25: 19}
WINDOW_LADDER: Final[Mapping[int, int]] = {0: 50, 2: 150, 4: 250, 7: 300}
"""Warmup day -> egresses in the pool, and -> messages an hour (runbook)."""

TRUCKING: Final = Stream("trucking", egresses(range(2, 21), "trucking"), client_ip="172.18.0.5")
HEALTHCARE: Final = Stream(
    "healthcare",
    egresses(range(30, 32), "healthcare"),
    client_ip="172.18.0.25",
    smtpd_tag="postfix/hc2526/smtpd",
    sender="care@clinic.example",
    dkim_domain="clinic.example",
    connections=2,
    fixed=True,
)
"""The two streams of the runbook: one owns the pool, the other has egresses of its own."""

CLEAN_MIX: Final = Mix.of(
    {
        "google": 0.40,
        "microsoft-consumer": 0.14,
        "microsoft-365": 0.18,
        "comcast": 0.06,
        "charter": 0.03,
        "cox": 0.02,
        "apple": 0.03,
        "proofpoint": 0.04,
        "mimecast": 0.02,
        "barracuda": 0.01,
        "other": 0.069,
        "unreachable": 0.001,
    }
)
"""A cleaned list: the Yahoo family is excluded."""

BLAST_MIX: Final = Mix.of(
    {
        "google": 0.42,
        "yahoo": 0.16,
        "microsoft-consumer": 0.13,
        "microsoft-365": 0.1,
        "dead-365": 0.01,
        "comcast": 0.06,
        "charter": 0.03,
        "cox": 0.02,
        "other": 0.06,
        "unreachable": 0.01,
    }
)
"""A list as it was bought."""


def blast(
    start: float,
    seed: int = 1,
    *,
    count: int = 29_000,
    hours_after: float = 24,
    style: Style | None = None,
    host: HostConfig | None = None,
) -> Scenario:
    """I1: on day 0, `count` messages in ten hours over three cold addresses; the queue then retries for `hours_after`.

    Gmail turns after 900 attempts, Yahoo after 120, Microsoft rate limits after 1,500.
    """
    sends_from = start + 12 * HOUR_S
    ends = sends_from + 10 * HOUR_S
    return Scenario(
        start,
        seed,
        (TRUCKING, HEALTHCARE),
        (
            Campaign(sends_from, "trucking", Audience("blast", count, BLAST_MIX), count // 10),
            CronMail(start + 60),
            Noise(start),
        ),
        until=ends + hours_after * HOUR_S,
        personas={
            "google": TurnsAfter(900, GMAIL_BLOCK, HEALTHY["google"]),
            "yahoo": TurnsAfter(120, TSS04, HEALTHY["yahoo"]),
            "microsoft-consumer": TurnsAfter(1500, _RATE_LIMITED, HEALTHY["microsoft-consumer"]),
            "charter": TurnsAfter(200, Shares({"charter-blocked": 1.0}, {"charter-blocked": 0.6})),
            "cox": TurnsAfter(150, Shares({"cox-ipbl": 1.0}, {"cox-ipbl": 0.6})),
        },
        pool=TRUCKING.egresses[:3],
        style=style or Rfc3339(),
        host=host or HostConfig(),
    )


_RATE_LIMITED: Final = Shares(
    {"microsoft-rate-limited": 0.6, "microsoft-block-list": 0.1}, {"microsoft-rate-limited": 0.5, "microsoft-block-list": 0.1}
)


def unsigned_campaign(
    start: float,
    seed: int = 2,
    *,
    days: int = 1,
    signed_hours: float = 0.0,
    says_why: bool = False,
    host: HostConfig | None = None,
) -> Scenario:
    """I2: 2,620 campaign messages a day from the Docker bridge, none signed, while cron mail is signed every five minutes.

    The first `signed_hours` of each day's sending are still signed (0: never was). Gmail begins to block after 300.
    """
    pieces: list[Piece] = [CronMail(start + 60, every_s=300), Noise(start)]
    for day in range(days):
        at = start + day * DAY_S + 9 * HOUR_S
        pieces.append(Campaign(at, "trucking", Audience(f"unsigned{day}", 2620, CLEAN_MIX), 300))
    pieces.append(
        Unsigned(start + (9 * HOUR_S + signed_hours * HOUR_S if signed_hours else 0.0), "trucking", says_why=says_why)
    )
    blocks = Shares({"google-unsolicited": 0.25, "google-unauthenticated": 0.15})
    return Scenario(
        start,
        seed,
        (TRUCKING, HEALTHCARE),
        tuple(pieces),
        until=start + days * DAY_S,
        personas={"google": TowardsUnsigned(TurnsAfter(300, blocks), HEALTHY["google"])},
        pool=TRUCKING.egresses[:12],
        host=host or HostConfig(),
    )


def healthy_month(
    start: float, seed: int = 3, *, days: int = 30, windows: int = 10, host: HostConfig | None = None
) -> Scenario:
    """A month in which nothing may halt: the pool and the window climb as the ladders say, `windows` full windows a day.

    No hour has more first attempts of campaign mail than the day's window allows, no day more than the ceiling.
    """
    pieces: list[Piece] = [CronMail(start + 60, until=start + days * DAY_S), Noise(start, every_s=900)]
    for day in range(days):
        opens = start + day * DAY_S + 13 * HOUR_S
        window = step(WINDOW_LADDER, day)
        pieces.append(
            Campaign(
                opens, "trucking", Audience(f"day{day}", window * windows, CLEAN_MIX, odd_share=0.002), window, burst_per_s=2.0
            )
        )
        pieces.append(Campaign(opens + 600, "healthcare", Audience(f"care{day}", 60, CLEAN_MIX), 20, burst_per_s=1.0))
        if day in POOL_LADDER and day:
            pieces.append(Reload(start + day * DAY_S + 7.3 * HOUR_S, TRUCKING.egresses[: POOL_LADDER[day]]))
    return Scenario(
        start,
        seed,
        (TRUCKING, HEALTHCARE),
        tuple(pieces),
        until=start + days * DAY_S,
        pool=TRUCKING.egresses[: POOL_LADDER[0]],
        host=host or HostConfig(),
    )


def step(ladder: Mapping[int, int], day: int) -> int:
    """The value of the last rung at or below the day."""
    return ladder[max(rung for rung in ladder if rung <= day)]


CORPUS_MIX: Final = Mix.of(
    {
        "google": 0.38,
        "microsoft-consumer": 0.14,
        "microsoft-365": 0.14,
        "dead-365": 0.004,
        "yahoo": 0.07,
        "comcast": 0.06,
        "charter": 0.03,
        "cox": 0.02,
        "apple": 0.03,
        "proofpoint": 0.03,
        "mimecast": 0.015,
        "barracuda": 0.01,
        "other": 0.06,
        "unreachable": 0.012,
        "hostile": 0.001,
    }
)

CORPUS_MANNERS: Final[Mapping[str, Persona]] = {
    "google": Shares(
        {"google-no-such-user": 0.055, "google-unsolicited": 0.02, "google-over-quota": 0.03, "google-unusual-rate": 0.05},
        {"google-over-quota": 0.25, "google-unusual-rate": 0.1},
    ),
    "microsoft-consumer": Shares(
        {"microsoft-mailbox-unavailable": 0.08, "microsoft-busy": 0.07, "microsoft-rate-limited": 0.03},
        {"microsoft-busy": 0.35},
    ),
    "microsoft-365": Shares({"microsoft-access-denied": 0.09, "microsoft-banned-ip": 0.004, "lost-greeting": 0.01}),
    "yahoo": Shares({"yahoo-disabled": 0.06, "yahoo-tss04": 0.15, "yahoo-tss04-greeting": 0.06}, {"yahoo-tss04": 0.4}),
    "comcast": Shares({"comcast-not-our-customer": 0.1, "comcast-throttled": 0.05}, {"comcast-throttled": 0.3}),
    "cox": Shares({"unknown-user": 0.05, "cox-ipbl": 0.05}, {"cox-ipbl": 0.4}),
    "apple": Shares({"mailbox-full": 0.03, "unknown-user": 0.03, "apple-cs01": 0.02}),
    "mimecast": Accepts(),
}


def campaign_host(start: float, seed: int = 4, *, per_hour: int = 18_000, host: HostConfig | None = None) -> Scenario:
    """The bench's corpus: a busy campaign host with twenty egresses that never ends; take as many lines as you want.

    About seven lines a message; of the delivery lines about 75 % sent, 15 % deferred, 6 % bounced, the rest by error(8).
    """
    stream = Stream("campaigns", egresses(range(1, 21), "campaigns"), connections=10)
    return Scenario(
        start,
        seed,
        (stream,),
        (
            Campaign(start, "campaigns", Audience("corpus", 1_000_000_000, CORPUS_MIX, odd_share=0.001), per_hour),
            CronMail(start),
            Noise(start, every_s=30),
            Reload(start + 2 * HOUR_S),
        ),
        personas=CORPUS_MANNERS,
        host=host or HostConfig(),
    )


class Builder(Protocol):
    """Makes a scenario that starts at `start` (epoch seconds)."""

    def __call__(self, start: float, *, host: HostConfig | None = None) -> Scenario:
        """Each has its own default seed."""
        ...


BY_NAME: Final[Mapping[str, Builder]] = {
    "i1": blast,
    "i2": unsigned_campaign,
    "month": healthy_month,
    "corpus": campaign_host,
}
"""For command lines."""
