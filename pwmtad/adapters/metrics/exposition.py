"""/metrics: a Snapshot as Prometheus metrics, in the text or the OpenMetrics format. docs/metrics.md has one line for each.

In: names, units, label sets. Out: any judgement; alerts are made of these. Labels come from closed sets only (streams,
egresses, operators, statuses, classes, daemons, event and finding names), never from addresses, domains or queue ids.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from threading import Lock
from typing import Final

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from typing_extensions import override

from pwmtad.adapters.metrics.acting import acting_metrics
from pwmtad.adapters.metrics.families import Row, counter, gauge, histogram, one
from pwmtad.adapters.metrics.listmonk import listmonk_metrics
from pwmtad.adapters.metrics.suppressing import audit_metrics, suppression_metrics
from pwmtad.core.histogram import Histogram
from pwmtad.model.counters import AttemptCounts
from pwmtad.model.judgement import Desired
from pwmtad.model.state import MixRow, Snapshot, SourceState, State, StreamState

_ATTEMPT_LABELS: Final = ("stream", "egress", "operator", "status", "class")
_LOOKBACKS: Final = (("1h", "hour"), ("24h", "day"), ("utc_day", "utc_day"))
"""Label value and field name of the lookbacks."""
_TICK_BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Own choice: a tick takes some ms; above 0.1 s it would delay a halt (design target: verdict within 100 ms)."""

_TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
"""The format that every Prometheus and every tool reads."""
_MESSAGES: Final = (
    ("injected", "Messages of the stream that reached the queue manager."),
    ("signed", "Of the injected ones: judged, with a DKIM signature."),
    ("unsigned", "Of the injected ones: judged, without a DKIM signature."),
    ("expired", "Messages that Postfix gave up for their age."),
)
_ATTEMPTS: Final = (
    ("pwmtad_first_attempts", "First delivery attempts of a recipient: the volume of the stream.", "first"),
    ("pwmtad_retries", "Later delivery attempts of a recipient.", "retries"),
    ("pwmtad_notification_attempts", "Delivery attempts of messages with the null sender (NDRs).", "notifications"),
)


class Metrics:
    """Makes expositions. It remembers the durations of ticks and the highest value of each counter that may be corrected."""

    def __init__(self) -> None:
        own = CollectorRegistry()
        self._process: Final[tuple[Collector, ...]] = (PlatformCollector(registry=own), ProcessCollector(registry=own))
        self._lock: Final = Lock()
        self._seen_ticks = 0
        self._ticks: Final = Histogram(_TICK_BUCKETS_S)
        self._highest: Final[dict[tuple[str, str], int]] = {}

    def observe(self, snapshot: Snapshot) -> None:
        """Take in what a snapshot says once only: durations of ticks. Twice the same snapshot counts once."""
        with self._lock:
            new = min(max(snapshot.state.ticks - self._seen_ticks, 0), len(snapshot.tick_durations))
            for duration_s in snapshot.tick_durations[len(snapshot.tick_durations) - new :]:
                self._ticks.add(duration_s)
            self._seen_ticks = snapshot.state.ticks

    def exposition(self, snapshot: Snapshot, accept: str) -> tuple[bytes, str]:
        """Return the body and its content type for a scrape whose Accept header is `accept`. May run in another thread."""
        self.observe(snapshot)
        registry = CollectorRegistry(auto_describe=False)
        for collector in (_Once(self._families(snapshot)), *self._process):
            registry.register(collector)
        encoder, content_type = choose_encoder(accept) if accept else (generate_latest, _TEXT)
        return encoder(registry), content_type

    def _families(self, snapshot: Snapshot) -> Iterator[Metric]:
        yield from _about(snapshot)
        yield from _attempts(snapshot)
        yield from self._messages(snapshot)
        yield from _sources(snapshot)
        yield from _streams(snapshot.state.streams)
        yield from _judgement(snapshot)
        yield from _parts(snapshot.state)
        yield from acting_metrics(snapshot.state.acting)
        yield from listmonk_metrics(snapshot.state.acting.listmonk)
        yield from suppression_metrics(snapshot.state.acting.suppressions)
        yield from audit_metrics(snapshot.state.acting.audits)
        yield from self._times(snapshot)

    def _messages(self, snapshot: Snapshot) -> Iterator[Metric]:
        totals = snapshot.totals.messages
        for field, text in _MESSAGES:
            rows = [((stream,), self._high(stream, field, getattr(counts, field))) for stream, counts in totals.items()]
            yield counter(f"pwmtad_messages_{field}", text, ("stream",), rows)
        yield gauge(
            "pwmtad_lookback_messages",
            "Messages of the stream in the lookback, by what became of them.",
            ("stream", "state", "lookback"),
            [
                ((stream.name, field, label), getattr(getattr(stream.coverage, lookback), field))
                for stream in snapshot.state.streams
                for field, _ in _MESSAGES
                for label, lookback in _LOOKBACKS
            ],
        )

    def _high(self, stream: str, field: str, count: int) -> int:
        """Never step back: a late signature takes one from `unsigned`, which Prometheus would take for a restart from 0."""
        with self._lock:
            highest = self._highest[stream, field] = max(count, self._highest.get((stream, field), 0))
        return highest

    def _times(self, snapshot: Snapshot) -> Iterator[Metric]:
        with self._lock:
            ticks = self._ticks.reading()
        yield histogram("pwmtad_tick_duration_seconds", "Durations of finished ticks.", (), [((), ticks)])
        intervals = [] if snapshot.tick_intervals is None else [((), snapshot.tick_intervals)]
        yield histogram("pwmtad_tick_interval_seconds", "From the beginning of a tick to that of the next.", (), intervals)
        ages = [((stage,), counted) for stage, counted in snapshot.latencies.items()]
        text = "Age of the oldest of the lines that were read together, by what had happened with them."
        yield histogram("pwmtad_latency_seconds", text, ("stage",), ages)


class _Once(Collector):
    """The families of one snapshot, for one exposition."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    @override
    def collect(self) -> Iterable[Metric]:
        return self._families


def _about(snapshot: Snapshot) -> Iterator[Metric]:
    state = snapshot.state
    yield gauge("pwmtad_build_info", "Always 1; the version is a label.", ("version",), [((state.version,), 1)])
    yield gauge("pwmtad_enforcing", "1: acts; 0: observes only.", (), one(state.mode == "enforce"))
    yield gauge("pwmtad_ready", "1: the counters are the truth now (see /readyz).", (), one(snapshot.ready))
    yield counter("pwmtad_ticks", "Finished ticks.", (), one(state.ticks))
    yield gauge("pwmtad_last_tick_timestamp_seconds", "When the last tick finished.", (), one(state.at))
    counts: dict[tuple[str, ...], float] = {}
    for finding in state.findings:
        key = (finding.code, finding.level.value)
        counts[key] = counts.get(key, 0) + 1
    yield gauge("pwmtad_findings", "What a person should know, by kind.", ("code", "level"), counts.items())


def _attempts(snapshot: Snapshot) -> Iterator[Metric]:
    totals = dict(snapshot.totals.attempts)
    yield counter(
        "pwmtad_attempts",
        "Delivery attempts: one recipient, one line of a Postfix delivery agent.",
        _ATTEMPT_LABELS,
        [(key, sum(counts)) for key, counts in totals.items()],
    )
    for name, text, field in _ATTEMPTS:
        rows = [(key, getattr(counts, field)) for key, counts in totals.items()]
        yield counter(name, text, _ATTEMPT_LABELS, [row for row in rows if row[1]])
    attempts: dict[tuple[str, ...], float] = {}
    volumes: dict[tuple[str, ...], float] = {}
    for row in snapshot.state.mix:
        _add_lookbacks(row, attempts, volumes)
    yield gauge(
        "pwmtad_lookback_attempts",
        "Delivery attempts in the lookback, over all egresses.",
        ("stream", "operator", "status", "class", "lookback"),
        attempts.items(),
    )
    yield gauge(
        "pwmtad_lookback_first_attempts",
        "First delivery attempts in the lookback, over all operators and outcomes.",
        ("stream", "egress", "lookback"),
        volumes.items(),
    )


def _add_lookbacks(row: MixRow, attempts: dict[tuple[str, ...], float], volumes: dict[tuple[str, ...], float]) -> None:
    key = row.key
    for label, lookback in _LOOKBACKS:
        counts: AttemptCounts = getattr(row, lookback)
        about = (key.stream, key.operator, key.status, key.reply_class, label)
        attempts[about] = attempts.get(about, 0) + sum(counts)
        where = (key.stream, key.egress, label)
        volumes[where] = volumes.get(where, 0) + counts.first


def _sources(snapshot: Snapshot) -> Iterator[Metric]:
    lines: dict[tuple[str, ...], float] = {}
    unparsed: dict[tuple[str, ...], float] = {}
    for (source, daemon, outcome), count in dict(snapshot.totals.lines).items():
        lines[source,] = lines.get((source,), 0) + count
        if outcome == "unparsed":
            unparsed[daemon,] = unparsed.get((daemon,), 0) + count
    yield counter("pwmtad_lines", "Log lines read.", ("source",), lines.items())
    yield counter("pwmtad_unparsed_lines", "Log lines that no parser knew.", ("daemon",), unparsed.items())
    sources = snapshot.state.sources
    for name, text, count_of in _SOURCE_COUNTERS:
        yield counter(name, text, ("source",), [((source.name,), count_of(source)) for source in sources])
    for name, text, number_of in _SOURCE_GAUGES:
        rows = [((source.name,), number) for source in sources if (number := number_of(source)) is not None]
        yield gauge(name, text, ("source",), rows)


_SOURCE_COUNTERS: Final[tuple[tuple[str, str, Callable[[SourceState], int]], ...]] = (
    ("pwmtad_cut_lines", "Lines longer than the limit, whose end was dropped.", lambda source: source.cut_lines),
    ("pwmtad_log_gaps", "Times that lines may have been missed.", lambda source: source.gaps),
    ("pwmtad_log_rotations", "Rotations that were followed.", lambda source: source.rotations),
)
_SOURCE_GAUGES: Final[tuple[tuple[str, str, Callable[[SourceState], float | None]], ...]] = (
    ("pwmtad_source_readable", "1: the source can be read.", lambda source: source.error is None),
    ("pwmtad_source_caught_up", "1: read to its end.", lambda source: source.caught_up),
    ("pwmtad_source_last_line_timestamp_seconds", "The newest line's own time.", lambda source: source.last_line_at),
    ("pwmtad_source_watermark_timestamp_seconds", "Up to this time all was read.", lambda source: source.watermark),
)


def _streams(streams: Iterable[StreamState]) -> Iterator[Metric]:
    streams = tuple(streams)
    for name, text, number_of in _STREAM_GAUGES:
        rows = [((stream.name,), number) for stream in streams if (number := number_of(stream)) is not None]
        yield gauge(name, text, ("stream",), rows)
    pools = [(stream, "active", float(len(stream.pool))) for stream in streams if stream.pool_allowed is not None]
    pools += [(stream, "allowed", float(stream.pool_allowed)) for stream in streams if stream.pool_allowed is not None]
    yield gauge(
        "pwmtad_pool_egresses",
        "Egresses of the pool: in rotation in main.cf, and allowed by the warmup day.",
        ("stream", "state"),
        [((stream.name, state), count) for stream, state, count in pools],
    )


_STREAM_GAUGES: Final[tuple[tuple[str, str, Callable[[StreamState], float | None]], ...]] = (
    ("pwmtad_warmup_day", "Warmup day, counted from 0; absent if the start is not known.", lambda stream: stream.warmup_day),
    ("pwmtad_window_messages", "Messages an hour that the warmup day allows.", lambda stream: stream.window_per_hour),
    ("pwmtad_ceiling_messages", "Messages a UTC day that are never exceeded.", lambda stream: stream.ceiling_per_day),
)


def _judgement(snapshot: Snapshot) -> Iterator[Metric]:
    state = snapshot.state
    halts: dict[tuple[str, ...], float] = {}
    for halt in state.halts:
        key = (halt.stream, halt.rule, halt.phase.value)
        halts[key] = halts.get(key, 0) + 1
    text = "Halts that are not ended, by rule and phase."
    yield gauge("pwmtad_halts", text, ("stream", "rule", "phase"), halts.items())
    for name, text, number_of in _DESIRED_GAUGES:
        rows = [((it.stream,), number) for it in state.desired if (number := number_of(it)) is not None]
        yield gauge(name, text, ("stream",), rows)
    unknown: list[Row] = [((stream.name, code), 1) for stream in state.streams for code in stream.unknown]
    yield gauge("pwmtad_unknown", "1: this is not known now, and nothing grows.", ("stream", "code"), unknown)
    decisions = dict(snapshot.totals.decisions)
    yield counter("pwmtad_decisions", "Decisions, by kind of record.", ("stream", "kind"), decisions.items())


_DESIRED_GAUGES: Final[tuple[tuple[str, str, Callable[[Desired], float | None]], ...]] = (
    ("pwmtad_sending", "1: the stream may send; 0: it is halted or capped.", lambda desired: desired.sending),
    ("pwmtad_effective_day", "Warmup day less what halts cost: the window's day.", lambda desired: desired.effective_day),
    ("pwmtad_desired_window_messages", "Messages an hour that should be let go now.", lambda desired: desired.window_per_hour),
    ("pwmtad_desired_pool_egresses", "Egresses that should be in rotation now.", lambda desired: len(desired.pool) or None),
    ("pwmtad_growth_frozen", "1: pool and window may shrink but not grow.", lambda desired: not desired.growth),
)


def _parts(state: State) -> Iterator[Metric]:
    yield counter("pwmtad_events", "Events read from lines.", ("event",), [((name,), n) for name, n in state.events.items()])
    yield gauge("pwmtad_open_messages", "Messages followed until Postfix removes them.", (), one(state.open_messages))
    evicted = "Messages forgotten before Postfix removed them, because too many were open."
    yield counter("pwmtad_evicted_messages", evicted, (), one(state.evicted_messages))
    queue = [((name,), getattr(state.queue, name)) for name in _QUEUES]
    yield gauge(
        "pwmtad_queue_messages", "Files in Postfix's queue directories.", ("queue",), [r for r in queue if r[1] is not None]
    )
    store, reload = state.store, state.reload
    yield counter("pwmtad_store_commits", "Commits to the store.", (), one(store.commits))
    yield counter("pwmtad_store_errors", "Commits that failed and were tried again.", (), one(store.errors))
    yield gauge(
        "pwmtad_store_last_commit_timestamp_seconds", "When counters last became durable.", (), one(store.last_commit_at)
    )
    outcomes: list[Row] = [(("applied",), reload.reloads), (("refused",), reload.failed_reloads)]
    yield counter("pwmtad_config_reloads", "Reloads of the configuration.", ("outcome",), outcomes)
    successful = "1: the last reload was applied, or there was none."
    yield gauge("pwmtad_config_last_reload_successful", successful, (), one(reload.error is None))
    loaded = "When the configuration in force was loaded."
    yield gauge("pwmtad_config_loaded_timestamp_seconds", loaded, (), one(reload.loaded_at))


_QUEUES: Final = ("incoming", "active", "deferred", "hold", "maildrop")
