"""What people are told of suppressions: numbers and domains, never a recipient."""

from __future__ import annotations

from pwmtad.core.suppress_words import (
    SUPPRESS_RULE,
    blocklisted_record,
    count_findings,
    person_record,
    suppression_findings,
)
from pwmtad.model.audience import BounceSettings
from pwmtad.model.judgement import RecordKind
from pwmtad.model.state import Level
from pwmtad.model.suppression import SuppressionCount, SuppressionKey
from tests.tools.judging import START


def test_what_is_in_force_is_recorded_by_class() -> None:
    record = blocklisted_record("trucking", {"mailbox_full": 2, "hard_bounce": 30}, START)
    assert (record.kind, record.rule, record.stream) == (RecordKind.ACTION, SUPPRESS_RULE, "trucking")
    assert record.reason == "32 suppression(s) seen in force at Listmonk: hard_bounce 30, mailbox_full 2"


def test_what_a_person_did_is_recorded_with_domains_only() -> None:
    keys = [SuppressionKey("trucking", "address", f"secret{n}@d{n % 7}.example", "manual") for n in range(9)]
    keys.append(SuppressionKey("trucking", "domain", "dead.example", "manual"))
    record = person_record("trucking", [*keys, *keys], "suppressed", "they asked", "alice", START)
    assert record.reason == (
        "10 suppressed, of d0.example, d1.example, d2.example, d3.example, d4.example and 3 more: they asked (alice)"
    )


def test_troubles_and_a_webhook_that_deletes_are_findings() -> None:
    troubles = {"suppression_waits": "no answer", "suppression_forbidden": "it lacks a right"}
    deletes = BounceSettings("", True, "delete", 1)
    found = list(suppression_findings("trucking", troubles, deletes, "auto"))
    assert [(one.code, one.level, one.subject) for one in found] == [
        ("suppression_waits", Level.WARNING, "trucking"),
        ("suppression_forbidden", Level.ERROR, "trucking"),
        ("bounce_action_deletes", Level.WARNING, "trucking"),
    ]
    assert "pwmtad blocklists instead" in found[-1].text
    assert "told all the same" in next(iter(suppression_findings("trucking", {}, deletes, "webhook"))).text
    assert list(suppression_findings("trucking", {}, BounceSettings("", True, "blocklist", 1), "auto")) == []
    assert list(suppression_findings("trucking", {}, None, "auto")) == []


def test_rows_that_are_not_in_force_are_findings_by_stream() -> None:
    counts = [
        SuppressionCount("trucking", "domain", "dead_domain", "left", 2),
        SuppressionCount("trucking", "address", "hard_bounce", "failed", 3),
        SuppressionCount("trucking", "address", "manual", "failed", 1),
        SuppressionCount("healthcare", "address", "hard_bounce", "verified", 9),
    ]
    left, failed = count_findings(counts)
    assert (left.code, left.level) == ("suppression_left", Level.WARNING)
    assert left.text.startswith("trucking: 2 dead domain(s)")
    assert (failed.code, failed.level) == ("suppression_not_in_force", Level.ERROR)
    assert failed.text.startswith("trucking: 4 suppression(s)")
