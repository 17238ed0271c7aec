"""Checks within streams and between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from pwmtad.config.partial import Partial, PartialStream, Table, read_streams, table
from pwmtad.config.show import Path, did_you_mean, dotted, show
from pwmtad.config.streams import WarmupSettings
from pwmtad.model.errors import ConfigError

MAX_WINDOW_PER_EGRESS: Final = 3600
"""Messages an hour. What holds an egress to its window inside Postfix, transport_rate_delay, counts whole seconds and
takes 0 for no limit (postconf(5)), so one second is the least it can hold to."""


def stream_mistakes(raw: Table) -> Iterator[ConfigError]:
    """Yield the mistakes in and between streams; `file` is left empty."""
    streams = tuple(read_streams(raw))
    yield from _egress_owners(streams)
    yield from _pool_owners(streams)
    yield from _injector_overlaps(streams)
    tables = tuple(table(raw, "egresses"))
    for stream in streams:
        if tables:
            yield from _unknown_egresses(stream, tables)
        yield from _retired_mistakes(stream)
        yield from _warmup_mistakes(stream)


def _mistake(stream: PartialStream, keys: Path, found: object, expected: str, hint: str = "") -> ConfigError:
    return ConfigError(path=dotted(("streams", stream.name, *keys)), found=show(found), expected=expected, hint=hint)


def _place(stream: PartialStream, *keys: str | int) -> str:
    return dotted(("streams", stream.name, *keys))


def _egress_owners(streams: Sequence[PartialStream]) -> Iterator[ConfigError]:
    owners: dict[str, str] = {}
    for stream in streams:
        for place, egress in stream.egresses:
            where = _place(stream, "egresses", place)
            first = owners.setdefault(egress, where)
            if first != where:
                expected = "an egress that is listed once, by one stream only"
                yield _mistake(stream, ("egresses", place), egress, expected, f"{first} is the same")


def _pool_owners(streams: Sequence[PartialStream]) -> Iterator[ConfigError]:
    owners = [stream for stream in streams if stream.pool]
    for stream in owners[1:]:
        expected = "at most one stream with a pool, as Postfix has one default route"
        yield _mistake(stream, ("pool",), True, expected, f"{_place(owners[0], 'pool')} is true already")


def _injector_overlaps(streams: Sequence[PartialStream]) -> Iterator[ConfigError]:
    """A message belongs to one stream, so neither a client nor a service may belong to two."""
    for number, stream in enumerate(streams):
        for earlier in streams[:number]:
            yield from _client_overlaps(earlier, stream)
            services = {name: place for place, name in earlier.services}
            for place, name in stream.services:
                if name in services:
                    hint = f"{_place(earlier, 'injector_services', services[name])} is the same"
                    yield _mistake(stream, ("injector_services", place), name, "a service of one stream only", hint)


def _client_overlaps(earlier: PartialStream, stream: PartialStream) -> Iterator[ConfigError]:
    for place, network in stream.clients:
        for other_place, other in earlier.clients:
            if network.version == other.version and network.overlaps(other):
                hint = f"{_place(earlier, 'injector_clients', other_place)} is {other}"
                expected = "clients that no other stream lists"
                yield _mistake(stream, ("injector_clients", place), str(network), expected, hint)
                break


def _unknown_egresses(stream: PartialStream, tables: Sequence[str]) -> Iterator[ConfigError]:
    for place, egress in stream.egresses:
        if egress not in tables:
            expected = f"an egress that [egresses] describes, such as {tables[0]!r}"
            yield _mistake(stream, ("egresses", place), egress, expected, did_you_mean(egress, tables, numbered=True))


def _retired_mistakes(stream: PartialStream) -> Iterator[ConfigError]:
    egresses = [name for _, name in stream.egresses]
    seen: set[str] = set()
    for place, egress in stream.retired:
        # A mistyped name here would leave a burned address in the pool.
        if egresses and egress not in egresses:
            expected = f"an egress that {_place(stream, 'egresses')} lists"
            yield _mistake(stream, ("retired", place), egress, expected, did_you_mean(egress, egresses, numbered=True))
        elif egress in seen:
            yield _mistake(stream, ("retired", place), egress, "each egress once")
        seen.add(egress)
    if egresses and stream.usable_egresses == 0:
        retired = [name for _, name in stream.retired]
        yield _mistake(stream, ("retired",), retired, "not all egresses: an empty pool is never written")


def _warmup_mistakes(stream: PartialStream) -> Iterator[ConfigError]:
    warmup = stream.warmup
    if warmup is None:  # told already, or no table
        return
    starts = sorted((warmup.given | warmup.refused) & {"start", "start_file"})
    if len(starts) != 1:
        hint = "" if starts else "without the moment of day 0 there is no warmup day"
        yield _mistake(stream, ("warmup",), starts or None, "either start or start_file", hint)
    yield from _pool_ladder_mistakes(stream, warmup)
    yield from _window_mistakes(stream, warmup)


def _pool_ladder_mistakes(stream: PartialStream, warmup: Partial[WarmupSettings]) -> Iterator[ConfigError]:
    if "pool_ladder" not in warmup.given:
        return
    keys = ("warmup", "pool_ladder")
    ladder = warmup.values.pool_ladder
    if stream.pool is False:
        hint = "all its egresses are in rotation from day 0"
        yield _mistake(stream, keys, ladder, "no pool_ladder in a stream without pool = true", hint)
        return
    usable = stream.usable_egresses if stream.pool else None
    before = 0
    for day, value in ladder.rungs:
        if value < before:
            yield _mistake(stream, (*keys, str(day)), value, f"at least {before}: the pool never shrinks with the day")
        if usable and value > usable:
            expected = f"at most {usable}, the egresses of {_place(stream)} that are not retired"
            yield _mistake(stream, (*keys, str(day)), value, expected)
        before = value


def _window_mistakes(stream: PartialStream, warmup: Partial[WarmupSettings]) -> Iterator[ConfigError]:
    if "window_ladder_per_hour" not in warmup.given:
        return
    keys = ("warmup", "window_ladder_per_hour")
    ladder = warmup.values.window_ladder_per_hour
    for day, value in ladder.rungs:
        count = stream.egress_count_at(day, warmup)
        if count and value > MAX_WINDOW_PER_EGRESS * count:
            expected = f"at most {MAX_WINDOW_PER_EGRESS * count}: {MAX_WINDOW_PER_EGRESS} an hour for each egress in rotation"
            hint = "Postfix can hold an egress to one message a second, and to nothing faster"
            yield _mistake(stream, (*keys, str(day)), value, expected, hint)
    ceiling = stream.ceiling_per_day
    if ceiling is not None and 0 < ceiling < ladder.max_value:
        expected = f"at least {ladder.max_value}, the largest hourly window of the stream"
        yield _mistake(stream, ("ceiling_per_day",), ceiling, expected)
