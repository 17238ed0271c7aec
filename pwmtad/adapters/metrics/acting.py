"""Metrics of what was done to the host: Postfix's settings, holds, the backlog."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import Metric

from pwmtad.adapters.metrics.families import Row, counter, gauge, one
from pwmtad.model.acting import Acting


def acting_metrics(acting: Acting) -> Iterator[Metric]:
    """Yield the families; what is not known is absent."""
    reachable = None if acting.reachable is None else float(acting.reachable)
    yield gauge("pwmtad_helper_reachable", "1: the root helper answers; absent while only observing.", (), one(reachable))
    as_wanted = None if acting.reachable is None else float(acting.problem is None)
    yield gauge("pwmtad_postfix_as_desired", "1: Postfix is set as it should be.", (), one(as_wanted))
    yield counter("pwmtad_postfix_writes", "Changes of main.cf, each with one reload.", (), one(acting.writes))
    yield counter("pwmtad_postfix_failures", "Looks and changes that failed or were refused.", (), one(acting.failures))
    yield counter("pwmtad_postfix_drifts", "Corrections of what somebody else had changed.", (), one(acting.drifts))
    yield gauge("pwmtad_postfix_last_write_timestamp_seconds", "When main.cf was last changed.", (), one(acting.last_write_at))
    raised = "1: queue lifetimes are raised, so that nothing expires for a halt."
    yield gauge("pwmtad_queue_lifetimes_raised", raised, (), one(acting.keeps_queued))
    streams = acting.streams
    held: list[Row] = [((it.stream,), bool(it.held_by)) for it in streams]
    yield gauge("pwmtad_held", "1: Postfix holds the stream, as read back.", ("stream",), held)
    leaking: list[Row] = [((it.stream,), it.leaking_at is not None) for it in streams]
    yield gauge("pwmtad_halt_leaking", "1: mail was seen to leave although the stream is held.", ("stream",), leaking)
    delays: list[Row] = [((it.stream,), it.rate_delay_s) for it in streams]
    yield gauge("pwmtad_governor_delay_seconds", "Pause between two deliveries of an egress; 0: none.", ("stream",), delays)
    backlog: list[Row] = []
    for it in streams:
        if it.queued is not None:
            backlog.append(((it.stream, "queued"), it.queued))
        backlog += [((it.stream, "held"), it.held_messages), ((it.stream, "parked"), it.parked_messages)]
    yield gauge("pwmtad_backlog_messages", "Messages of the stream that wait, by where.", ("stream", "state"), backlog)
