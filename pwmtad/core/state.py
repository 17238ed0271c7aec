"""Builds the State that people see from counters, sources and what was observed. Pure: same input, same page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from pwmtad.config import Settings, StreamSettings
from pwmtad.core.halts import open_halts, standing
from pwmtad.core.observe import Observer, SourceReading
from pwmtad.core.tally import Readings
from pwmtad.core.warmup import warmup_day
from pwmtad.model.acting import Acting
from pwmtad.model.counters import AttemptCounts, AttemptKey, MessageCounts
from pwmtad.model.judgement import Desired, Halt, Scope, StreamMemory
from pwmtad.model.names import Instant
from pwmtad.model.observed import Observed
from pwmtad.model.state import (
    Coverage,
    Finding,
    Level,
    MixRow,
    ReasonRow,
    ReloadState,
    SourceState,
    State,
    StoreState,
    StreamState,
)

MAX_REASONS: Final = 50
"""Rows of the state; a person reads ten, a script may want some more. The store has them all."""
_NO_ATTEMPTS: Final = AttemptCounts()
_NO_MESSAGES: Final = MessageCounts()


class About(Struct, frozen=True):
    """Facts about the process itself."""

    version: str
    host: str
    started_at: Instant
    ticks: int
    tick_s: float
    places: dict[str, str]
    """Where each source reads, by its name."""


class Inputs(Struct, frozen=True):
    """What a state is built from."""

    about: About
    settings: Settings
    observer: Observer
    observed: Observed
    store: StoreState
    reload: ReloadState
    now: Instant
    acting: Acting | None = None
    acting_findings: tuple[Finding, ...] = ()


def build_state(given: Inputs) -> State:
    """Return everything at `given.now`."""
    about, settings, observer, observed, now = given.about, given.settings, given.observer, given.observed, given.now
    readings = observer.tally.readings(now)
    if given.acting is not None and given.acting.pool:
        observed = replace(observed, pool=given.acting.pool)  # read back after each change
    judges = observer.guard.streams
    streams = tuple(
        _judged(_stream(name, stream, readings, observed, now), judges[name].memory, now)
        for name, stream in settings.streams.items()
    )
    news = _news(given)
    return State(
        version=about.version,
        mode=settings.mode,
        host=about.host,
        at=now,
        started_at=about.started_at,
        summary=_summary(given, news),
        findings=news.findings,
        sources=news.sources,
        streams=streams,
        mix=_mix(readings),
        reasons=_reasons(observer, now),
        queue=observed.queue,
        store=given.store,
        reload=given.reload,
        open_messages=observer.correlator.open_messages,
        evicted_messages=observer.correlator.evicted,
        events=dict(observer.event_counts),
        ticks=about.ticks,
        tick_s=about.tick_s,
        halts=news.halts,
        desired=news.desired,
        acting=given.acting if given.acting is not None else Acting(),
    )


def build_summary(given: Inputs) -> str:
    """Return the sentence of `build_state` alone. It is said every few seconds, and the rows of the mix, thousands on a large
    host, took 40 ms of processor time each time: more than all else that a daemon at rest does (own measurement).
    """
    return _summary(given, _news(given))


class _News(Struct, frozen=True):
    """What the sentence is made of, and the state has as well."""

    sources: tuple[SourceState, ...]
    findings: tuple[Finding, ...]
    halts: tuple[Halt, ...]
    desired: tuple[Desired, ...]


def _news(given: Inputs) -> _News:
    observer, observed, now = given.observer, given.observed, given.now
    sources = tuple(
        _source(name, source, given.about.places.get(name, name), observer.tally.line_totals())
        for name, source in observer.sources.items()
    )
    judges = observer.guard.streams.values()
    problems: dict[str, str] = {}
    for name in given.settings.streams:
        _, problem = _warmup(name, observed, now)
        if problem is not None:
            problems[name] = problem
    return _News(
        sources=sources,
        findings=(*_findings(sources, given.store, given.reload, problems, observed), *given.acting_findings),
        halts=tuple(replace(halt, evidence=()) for judge in judges for halt in open_halts(judge.halts.values())),
        desired=tuple(observer.guard.desired(now)),
    )


def _summary(given: Inputs, news: _News) -> str:
    """Return the tick's sentence: one line for `systemctl status`. What is held comes first."""
    behind = [source for source in news.sources if not source.caught_up]
    mode, hour = given.settings.mode, given.observer.tally.hour_by_status(given.now)
    parts = [
        *_held(mode, news.halts, news.desired),
        f"last hour {hour.get('sent', 0)} sent, {hour.get('deferred', 0)} deferred, {hour.get('bounced', 0)} bounced",
    ]
    for source in behind:
        share = "" if source.progress is None else f" ({source.progress:.0%})"
        parts.append(f"cannot read {source.name}" if source.error else f"reading {source.name}{share}")
    worst = [finding for finding in news.findings if finding.level in (Level.ERROR, Level.UNKNOWN)]
    if worst:
        parts.append(f"{len(worst)} finding{'s' if len(worst) > 1 else ''}: {worst[0].text}")
    return f"{mode}: " + "; ".join(parts)


def _held(mode: str, halts: Iterable[Halt], desired: Iterable[Desired]) -> Iterable[str]:
    """`trucking halted (google-blocks)`, by stream. In observe mode nothing is held, and that must show."""
    rules: dict[str, list[str]] = {}
    for halt in standing(halts):
        what = halt.rule if halt.scope is Scope.STREAM else f"{halt.rule} at {halt.subject}"
        rules.setdefault(halt.stream, []).append(what)
    for one in desired:
        if not one.sending:
            rules.setdefault(one.stream, list(one.reasons))
    would = "" if mode == "enforce" else "would be "
    for stream, held in rules.items():
        yield f"{stream} {would}halted ({', '.join(held)})"


def first_attempts(attempts: Mapping[AttemptKey, AttemptCounts], stream: str) -> int:
    """Sum the first attempts of a stream."""
    return sum(counts.first for key, counts in attempts.items() if key.stream == stream)


def _source(name: str, source: SourceReading, place: str, totals: Mapping[tuple[str, str, str], int]) -> SourceState:
    own = {key: count for key, count in totals.items() if key[0] == name}
    return SourceState(
        name=name,
        where=place,
        caught_up=source.caught_up,
        lines=sum(own.values()),
        unparsed=sum(count for key, count in own.items() if key[2] == "unparsed"),
        last_line_at=source.last_line_at,
        watermark=source.watermark,
        cut_lines=source.health.cut_lines,
        gaps=source.health.gaps,
        rotations=source.health.rotations,
        error=source.health.error,
        progress=source.health.progress if not source.caught_up else None,
    )


def _stream(name: str, stream: StreamSettings, readings: Readings, observed: Observed, now: Instant) -> StreamState:
    day, problem = _warmup(name, observed, now)
    return StreamState(
        name=name,
        warmup_day=day,
        warmup_problem=problem,
        pool=tuple(member for member in observed.pool if member in stream.egresses) if stream.pool else (),
        pool_allowed=len(stream.egresses_at(day)) if stream.pool and day is not None else None,
        egresses=tuple(stream.egresses),
        window_per_hour=stream.warmup.window_ladder_per_hour.value_at(day) if day is not None else None,
        ceiling_per_day=stream.ceiling_per_day,
        first_attempts_hour=first_attempts(readings.hour.attempts, name),
        first_attempts_utc_day=first_attempts(readings.utc_day.attempts, name),
        coverage=Coverage(
            hour=readings.hour.messages.get(name, _NO_MESSAGES),
            day=readings.day.messages.get(name, _NO_MESSAGES),
            utc_day=readings.utc_day.messages.get(name, _NO_MESSAGES),
        ),
    )


def _warmup(name: str, observed: Observed, now: Instant) -> tuple[int | None, str | None]:
    """Return a stream's day, and what keeps it from being known."""
    start = observed.warmup_starts.get(name)
    problem = observed.warmup_problems.get(name)
    day = warmup_day(start, now) if start is not None else None
    if start is None and problem is None:
        problem = "the warmup start was not read yet"
    elif start is not None and day is None:
        problem = "the warmup start lies in the future"
    return day, problem


def _judged(stream: StreamState, memory: StreamMemory, now: Instant) -> StreamState:
    """Add what the judgement remembers of the stream."""
    frozen = memory.frozen_until > now
    return replace(
        stream,
        unknown=memory.unknown,
        frozen_until=memory.frozen_until if frozen else None,
        frozen_rule=memory.frozen_rule if frozen else "",
    )


def _mix(readings: Readings) -> tuple[MixRow, ...]:
    keys = readings.day.attempts.keys() | readings.utc_day.attempts.keys() | readings.hour.attempts.keys()
    return tuple(
        MixRow(
            key,
            readings.hour.attempts.get(key, _NO_ATTEMPTS),
            readings.day.attempts.get(key, _NO_ATTEMPTS),
            readings.utc_day.attempts.get(key, _NO_ATTEMPTS),
        )
        for key in sorted(keys)
    )


def _reasons(observer: Observer, now: Instant) -> tuple[ReasonRow, ...]:
    counted = sorted(observer.tally.reasons(now).items(), key=lambda item: (-item[1], item[0]))
    return tuple(ReasonRow(key.stream, key.status, key.reply_class, key.reason, count) for key, count in counted[:MAX_REASONS])


def _findings(
    sources: Iterable[SourceState],
    store: StoreState,
    reload: ReloadState,
    problems: Mapping[str, str],
    observed: Observed,
) -> Iterable[Finding]:
    if store.error is not None:
        yield Finding(Level.ERROR, "store_failing", store.error, store.url)
    if reload.error is not None:
        text = f"the last reload changed nothing: {reload.error}"
        yield Finding(Level.ERROR, "reload_failed", text, reload.file)
    for source in sources:
        if source.error is not None:
            yield Finding(Level.UNKNOWN, "source_unreadable", source.error, source.name)
        if source.gaps:
            text = f"lines may have been missed {source.gaps} time(s): the log rotated further than could be followed"
            yield Finding(Level.WARNING, "log_gap", text, source.name)
    for stream, problem in problems.items():
        yield Finding(Level.UNKNOWN, "warmup_start_unknown", problem, stream)
    yield from observed.findings
