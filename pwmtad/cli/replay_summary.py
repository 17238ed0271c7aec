"""What a replay counted: the last line of `pwmtad replay --json`. The names of its fields are a contract (docs/cli.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from msgspec import Struct

from pwmtad.cli.json_lines import iso
from pwmtad.core.tally import Tally
from pwmtad.model.counters import AttemptCounts, AttemptKey
from pwmtad.model.names import Instant

ByStatus: TypeAlias = dict[str, int]


class Summary(Struct, frozen=True):
    """Attempts are recipients' attempts of smtp(8), retries and those of notifications included."""

    lines: int
    attempts: int
    sent: int
    deferred: int
    """`SOFTBOUNCE` included: the message stays queued."""
    bounced: int
    unparsed: int
    """Lines of no program of Postfix or OpenDKIM, or that break their grammar."""
    by_stream: dict[str, ByStatus]
    """`none`: left through an egress of no stream."""
    by_egress: dict[str, ByStatus]
    by_operator: dict[str, ByStatus]
    by_class: dict[str, int]
    """Attempts that were not sent."""
    messages: dict[str, dict[str, int]]
    """By stream: `injected`, `signed`, `unsigned`, `expired`."""
    halts: int
    attempts_after_first_halt: int
    first_at: Instant | None
    last_at: Instant | None
    coverage_from: Instant | None
    """From when on it was judged whether mail is signed; None: there is no line of OpenDKIM."""
    stopped_at: Instant | None
    """The first halt, if reading stopped there: what came after it was not read."""

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name; moments as ISO 8601 in UTC."""
        fields: dict[str, Any] = {name: getattr(self, name) for name in self.__struct_fields__}
        for name in ("first_at", "last_at", "coverage_from", "stopped_at"):
            fields[name] = iso(fields[name])
        return fields


class Sums(Struct):
    """Attempts by what people ask for."""

    by_status: ByStatus
    by_stream: dict[str, ByStatus]
    by_egress: dict[str, ByStatus]
    by_operator: dict[str, ByStatus]
    by_class: dict[str, int]


def sums_of(totals: Mapping[AttemptKey, AttemptCounts]) -> Sums:
    """Add up the counters of all attempts."""
    sums = Sums({}, {}, {}, {}, {})
    for key, counts in totals.items():
        number = sum(counts)
        status = "deferred" if key.status == "softbounce" else key.status
        for part in (
            sums.by_status,
            sums.by_stream.setdefault(key.stream, {}),
            sums.by_egress.setdefault(key.egress, {}),
            sums.by_operator.setdefault(key.operator, {}),
        ):
            part[status] = part.get(status, 0) + number
        if key.reply_class:
            sums.by_class[key.reply_class] = sums.by_class.get(key.reply_class, 0) + number
    return sums


def summary_of(
    tally: Tally,
    *,
    halts: int,
    attempts_after_first_halt: int,
    first_at: Instant | None,
    last_at: Instant | None,
    coverage_from: Instant | None,
    stopped_at: Instant | None,
) -> Summary:
    """Return the summary of what `tally` counted."""
    sums = sums_of(tally.attempt_totals())
    lines = tally.line_totals()
    return Summary(
        lines=sum(lines.values()),
        attempts=sum(sums.by_status.values()),
        sent=sums.by_status.get("sent", 0),
        deferred=sums.by_status.get("deferred", 0),
        bounced=sums.by_status.get("bounced", 0),
        unparsed=sum(count for key, count in lines.items() if key[2] == "unparsed"),
        by_stream=sums.by_stream,
        by_egress=sums.by_egress,
        by_operator=sums.by_operator,
        by_class=sums.by_class,
        messages={stream: counts._asdict() for stream, counts in tally.message_totals().items()},
        halts=halts,
        attempts_after_first_halt=attempts_after_first_halt,
        first_at=first_at,
        last_at=last_at,
        coverage_from=coverage_from,
        stopped_at=stopped_at,
    )
