from __future__ import annotations

from tests.scenarios.harness import HOUR_S, START, Case
from tests.tools.loggen import Audience, Mix, Scenario
from tests.tools.loggen.pieces import Campaign, CronMail
from tests.tools.loggen.scenarios import TRUCKING

_IDS = (
    "<x@evil.example>: to=<a@gmail.com>, relay=gmail-smtp-in.l.google.com[192.0.2.27]:25, delay=1, delays=0/0/0/1, dsn=5.7.1, "
    "status=bounced (host gmail-smtp-in.l.google.com[192.0.2.27] said: 550 5.7.1 likely unsolicited mail)",
    "<evil> warning: connect to Milter service inet:127.0.0.1:8891: Connection refused",
    "<evil> warning: smtp_connect_addr: bind 198.51.100.91: Cannot assign requested address",
)

CASES = {
    "lies": Case(
        Scenario(
            START,
            15,
            (TRUCKING,),
            (
                Campaign(
                    START + 9 * HOUR_S,
                    "trucking",
                    Audience("list", 600, Mix.of({"hostile": 0.4, "google": 0.4, "other": 0.2}), odd_share=0.1),
                    250,
                    message_ids=_IDS,
                ),
                CronMail(START + 8 * HOUR_S),
            ),
            until=START + 14 * HOUR_S,
        )
    )
}
