"""Metrics of what was done to Listmonk: send window, pauses, failures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from prometheus_client.core import Metric

from pwmtad.adapters.metrics.families import Row, counter, gauge
from pwmtad.model.acting import ListmonkActing


def listmonk_metrics(instances: Sequence[ListmonkActing]) -> Iterator[Metric]:
    """Yield the families, one sample a stream with a Listmonk; what is not known is absent."""
    for name, text, number_of in _GAUGES:
        rows: list[Row] = [((it.stream,), number) for it in instances if (number := number_of(it)) is not None]
        yield gauge(name, text, ("stream",), rows)
    campaigns: list[Row] = []
    for it in instances:
        states = (("running", it.running), ("scheduled", it.scheduled), ("held", it.held), ("unsure", it.unsure))
        campaigns += [((it.stream, state), count) for state, count in states if count is not None]
    text = "Campaigns: running, scheduled, held by pwmtad, or paused by nobody knows whom."
    yield gauge("pwmtad_listmonk_campaigns", text, ("stream", "state"), campaigns)
    for name, text, count_of in _COUNTERS:
        yield counter(name, text, ("stream",), [((it.stream,), count_of(it)) for it in instances])


def _known(value: bool | None) -> float | None:
    return None if value is None else float(value)


_GAUGES: Final[tuple[tuple[str, str, Callable[[ListmonkActing], float | None]], ...]] = (
    ("pwmtad_listmonk_reachable", "1: the last look at Listmonk went well.", lambda it: _known(it.reachable)),
    (
        "pwmtad_listmonk_as_desired",
        "1: nothing is wrong with it, and nothing waited for.",
        lambda it: not (it.problem or it.doing),
    ),
    (
        "pwmtad_listmonk_window_messages",
        "Messages an hour that the stored send window lets out.",
        lambda it: it.window_per_hour,
    ),
    ("pwmtad_listmonk_window_in_force", "1: the process is known to work with it.", lambda it: it.in_force),
    ("pwmtad_listmonk_last_change_timestamp_seconds", "When the window was last set.", lambda it: it.last_change_at),
)
_COUNTERS: Final[tuple[tuple[str, str, Callable[[ListmonkActing], int]], ...]] = (
    ("pwmtad_listmonk_changes", "Send windows set, each with one restart of Listmonk.", lambda it: it.changes),
    ("pwmtad_listmonk_pauses", "Campaigns paused.", lambda it: it.pauses),
    ("pwmtad_listmonk_resumes", "Campaigns resumed.", lambda it: it.resumes),
    ("pwmtad_listmonk_failures", "Requests that were refused or got no answer.", lambda it: it.failures),
    ("pwmtad_listmonk_drifts", "Windows and campaigns that somebody else changed.", lambda it: it.drifts),
)
