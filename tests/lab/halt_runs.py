"""One run of incident 1 in the lab: Postfix at full speed towards Google, which turns; how much left after that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.lab.lab import Account, Lab
from tests.lab.receivers.personas import blocks_after
from tests.lab.scenes import decided_at, held
from tests.tools.daemon import until

BLOCKS = 3
"""The third block decides (stop rule google-blocks)."""
FULL_SPEED = {
    "window_ladder": {0: 60_000},
    "pool_ladder": {0: 19},
    "trucking": {"governor": False, "ceiling_per_day": 1_000_000},
}
"""Nothing but the halt stands in the way: no governor, no ceiling, no spike."""


@dataclass(frozen=True, slots=True)
class HaltRun:
    """What one run showed. Seconds are from the moment that the receiver answered the deciding message."""

    attempts_after: int
    """Attempts that reached a receiver after the deciding answer."""
    decided_s: float
    """When pwmtad had decided, by its own log."""
    written_s: float
    """When it had been told that Postfix is reloaded."""
    last_s: float
    """When the last attempt reached a receiver."""
    rate: float
    """Attempts a second before."""
    blocked: int
    """Messages that were refused: Postfix bounces them, by the receiver's word and not by the halt's."""
    account: Account
    rule: str


def run_once(lab: Lab, *, messages: int, after: int = 100) -> HaltRun:
    """Inject at full speed, let Google turn after so many messages, wait until nothing moves, and say what happened."""
    until("Postfix is set", lambda: lab.state().acting.writes)
    lab.become("google", blocks_after(after))
    job = lab.start_injecting(messages, ["google.test", "gmail.com", "workspace.test"], connections=20)
    try:
        until("a halt", lambda: lab.state().halts, patience_s=60)
    finally:
        taken = job.wait()
    until("Postfix holds", lambda: held(lab), patience_s=30)
    until("nothing in flight", lambda: not _in_flight(lab), patience_s=120)
    attempts = lab.reached(receiver="google")
    blocks = [attempt for attempt in attempts if attempt.code == 550]
    deciding = sorted(block.at for block in blocks)[BLOCKS - 1]
    late = [attempt.reached_at for attempt in attempts if attempt.reached_at > deciding]
    before = [attempt.reached_at for attempt in attempts if attempt.reached_at <= deciding]
    halt = lab.state().halts[0]
    return HaltRun(
        attempts_after=len(late),
        decided_s=decided_at(lab, "halt_decided") - deciding,
        written_s=(lab.state().acting.last_write_at or 0.0) - deciding,
        last_s=max(late, default=deciding) - deciding,
        rate=len(before) / max(0.001, deciding - min(before)),
        blocked=len(blocks),
        account=lab.account(taken),
        rule=halt.rule,
    )


def _in_flight(lab: Lab) -> bool:
    # After a reload, messages that were delivered stay in incoming/ without recipients until the next scan.
    return any(entry["queue_name"] in ("active", "incoming") and entry["recipients"] for entry in lab.queue())


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that `share` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
