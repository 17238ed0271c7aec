from __future__ import annotations

from tests.scenarios.harness import START, Case, Outcome
from tests.tools.loggen.personas import HEALTHY, Greylists, NowAndThen
from tests.tools.loggen.scenarios import healthy_month

_DAYS = {"window": ["02", "04", "06", "09"], "pool": ["02", "06", "10", "14", "20", "27"]}
"""Of March 2026: warmup days 0, 2, 4, 7 and 0, 4, 8, 12, 18, 25."""


def _check(outcome: Outcome) -> None:
    """No step but those of the ladders, each at the begin of its day; and the month was what it says."""
    for kind, days in _DAYS.items():
        steps = [d["at"] for d in outcome.decisions if d["kind"] == kind and d["stream"] == "trucking"]
        assert [at[:15] for at in steps] == [f"2026-03-{day}T00:0" for day in days]
    truth = outcome.truth
    assert truth.total(kind="first", stream="trucking") > 14_000
    for reply in ("google-unsolicited", "microsoft-block-list", "greylisted", "microsoft-busy", "google-over-quota"):
        assert truth.total(reply=reply) > 4, reply
    assert 0.01 < truth.total(status="bounced", kind="first") / truth.total(kind="first") < 0.03


CASES = {
    "month": Case(
        healthy_month(START, windows=2).but(
            personas={
                "google": NowAndThen("google-unsolicited", 2400, HEALTHY["google"]),
                "microsoft-consumer": NowAndThen("microsoft-block-list", 6000, HEALTHY["microsoft-consumer"]),
                "mimecast": Greylists(600),
            }
        ),
        check=_check,
    )
}
