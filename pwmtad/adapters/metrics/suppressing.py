"""Metrics of suppressions and audits. Streams, classes and states are the only labels: no recipient, no domain, no campaign."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from prometheus_client.core import Metric

from pwmtad.adapters.metrics.families import Row, counter, gauge
from pwmtad.model.audit import AuditActing
from pwmtad.model.suppression import SuppressionActing


def suppression_metrics(streams: Sequence[SuppressionActing]) -> Iterator[Metric]:
    """Yield the families; what is not known is absent."""
    rows: list[Row] = [
        ((it.stream, count.kind, count.reply_class, count.state), count.rows) for it in streams for count in it.counts
    ]
    text = "Recipients and domains that are suppressed, or counted towards it, by how far Listmonk was told."
    yield gauge("pwmtad_suppressions", text, ("stream", "kind", "class", "state"), rows)
    waiting: list[Row] = [((it.stream,), it.waiting) for it in streams if it.waiting is not None]
    yield gauge("pwmtad_suppressions_waiting", "Suppressions that Listmonk was not told of yet.", ("stream",), waiting)
    for name, text, count_of in _COUNTERS:
        yield counter(name, text, ("stream",), [((it.stream,), count_of(it)) for it in streams])


_COUNTERS: Final[tuple[tuple[str, str, Callable[[SuppressionActing], int]], ...]] = (
    ("pwmtad_suppression_reports", "Subscribers and domains that Listmonk was told of.", lambda it: it.reported),
    ("pwmtad_suppressions_verified", "Suppressions seen in force at Listmonk.", lambda it: it.verified),
    ("pwmtad_suppression_failures", "Passes that could not tell or look.", lambda it: it.failures),
)


def audit_metrics(streams: Sequence[AuditActing]) -> Iterator[Metric]:
    """Yield the families; what is not known is absent."""
    problems: list[Row] = []
    for it in streams:
        if it.campaigns is None:
            continue
        found = (
            ("no_altbody", it.without_altbody),
            ("no_messenger", it.without_messenger),
            ("too_large", it.too_large),
            ("excluded_domains", it.with_excluded_domains),
        )
        problems += [((it.stream, problem), count) for problem, count in found if count is not None]
    text = "Running and scheduled campaigns with something wrong, by what it is."
    yield gauge("pwmtad_audited_problems", text, ("stream", "problem"), problems)
    for name, text, number_of in _GAUGES:
        rows: list[Row] = [((it.stream,), number) for it in streams if (number := number_of(it)) is not None]
        yield gauge(name, text, ("stream",), rows)


_GAUGES: Final[tuple[tuple[str, str, Callable[[AuditActing], float | None]], ...]] = (
    ("pwmtad_audited_campaigns", "Running and scheduled campaigns.", lambda it: it.campaigns),
    (
        "pwmtad_audited_excluded_subscribers",
        "Their recipients at domains that must not be mailed.",
        lambda it: it.excluded_subscribers,
    ),
    (
        "pwmtad_localhost_message_ids",
        "Messages of the last 24 hours whose Message-ID is at localhost.",
        lambda it: it.localhost_message_ids,
    ),
    (
        "pwmtad_mailed_often_ratio",
        "Share of the recipients of seven days that were mailed more than three times.",
        lambda it: it.mailed_often_ratio,
    ),
    ("pwmtad_last_audit_timestamp_seconds", "When campaigns were last looked at.", lambda it: it.at),
)
