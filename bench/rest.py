"""`python -m bench.rest`: what the daemon costs while no mail is sent, with twenty egresses and forty operators seen.

Every egress has had an answer of every operator within the last day, so that lookbacks, state and metrics have all their rows.
Then nothing is logged any more; the daemon is measured alone, with a scrape every 15 seconds, and with one line a second.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from bench.live import CAMPAIGNS, LiveHost, Use, every, load
from pwmtad.adapters.config_files import read_rules
from pwmtad.daemon.clock import wall_clock
from pwmtad.model.replies import RuleSet
from tests.tools.daemon import until

OPERATORS: Final = 40
_STATUSES: Final = (
    ("sent", "2.0.0", "250 2.0.0 OK: queued"),
    ("deferred", "4.2.1", "host {relay}[192.0.2.9] said: 450 4.2.1 try again later (in reply to RCPT TO command)"),
    ("bounced", "5.1.1", "host {relay}[192.0.2.9] said: 550 5.1.1 user unknown (in reply to RCPT TO command)"),
)
_LINE: Final = (
    "{at} mta {tag}/smtp[71]: {queue_id}: to=<r{number}@d{number}.example>, relay={relay}[192.0.2.9]:25, delay=1.5, "
    "delays=0.15/0.02/1.2/0.16, dsn={dsn}, status={status} ({text})\n"
)


def relays_and_rules() -> tuple[list[str], str]:
    """An MX host of each of forty operators, and a rules file for those that are not shipped."""
    rules = read_rules(())
    if not isinstance(rules, RuleSet):
        raise SystemExit(f"the shipped rules can't be read: {rules}")
    relays = [f"mx1.{operator.mx_suffixes[0]}" for operator in rules.operators if operator.mx_suffixes][:OPERATORS]
    own = [f"own{number}" for number in range(OPERATORS - len(relays))]
    text = "".join(
        f'[[operator]]\nname = "{name}"\ntitle = "{name}"\nmx_suffixes = ["{name}.example"]\nsource = "bench"\n' for name in own
    )
    return [*relays, *(f"mx1.{name}.example" for name in own)], text


def lines(relays: list[str], seconds: float) -> Iterator[str]:
    """An answer of each status from each operator to each egress, evenly over the `seconds` before now."""
    cells = [(egress, relay, status) for relay in relays for egress in CAMPAIGNS.egresses for status in _STATUSES]
    begun = wall_clock() - seconds
    for number, (egress, relay, (status, dsn, text)) in enumerate(cells):
        at = datetime.fromtimestamp(begun + number * seconds / len(cells), UTC).isoformat(timespec="microseconds")
        yield _LINE.format(
            at=at, tag=egress.tag, queue_id=f"4fZZ{number:07}zJ99K", number=number, relay=relay, dsn=dsn, status=status,
            text=text.format(relay=relay),
        )  # fmt: skip


def _measure(host: LiveHost, name: str, seconds: float) -> None:
    before = Use.of(host.pid)
    time.sleep(seconds)
    after = Use.of(host.pid)
    print(f"{name:<32} {after.share_since(before):>8.2%} {after.rss_mib:>9.1f} {after.peak_mib:>9.1f}", flush=True)


def main(arguments: list[str]) -> int:
    """Measure, print a table."""
    options = _parser().parse_args(arguments)
    relays, rules = relays_and_rules()
    with (
        tempfile.TemporaryDirectory(prefix="pwmtad-rest-") as place,
        LiveHost(Path(place), mode=options.mode, rules=rules) as host,
    ):
        host.log.write_text("".join(lines(relays, 20 * 3600)), encoding="utf-8")
        host.daemon.start()
        until("the log is read", host.caught_up)
        state = host.daemon.state()
        operators = {row.key.operator for row in state.mix}
        print(
            f"{len(CAMPAIGNS.egresses)} egresses, {len(operators)} operators, {len(state.mix)} rows of the mix, {options.mode}"
        )
        print(load())
        print(f"{'':<32} {'core':>8} {'RSS MiB':>9} {'peak MiB':>9}", flush=True)
        time.sleep(options.settle)
        _measure(host, "at rest", options.seconds)
        with every(15, host.daemon.metrics):
            _measure(host, "at rest, scraped every 15 s", options.seconds)
        with host.log.open("a", encoding="utf-8", buffering=1) as log, every(1, lambda: log.write(next(_steady()))):
            _measure(host, "a line a second", options.seconds)
    return 0


def _steady() -> Iterator[str]:
    at = datetime.fromtimestamp(wall_clock(), UTC).isoformat(timespec="microseconds")
    yield f"{at} mta postfix/smtpd[71]: connect from unknown[192.0.2.7]\n"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.rest", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0, help="how long each is measured (default 120)")
    parser.add_argument("--settle", type=float, default=10.0, help="pause after the start (default 10)")
    parser.add_argument("--mode", choices=("observe", "enforce"), default="enforce")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
