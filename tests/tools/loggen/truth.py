"""What really happened: counted as each line is handed out, so it is exact after every line, not only at the end."""

from __future__ import annotations

from collections import Counter
from typing import Final, TypedDict

from tests.tools.loggen.model import FIRST, JOURNAL, AttemptKey, AttemptNote, Entry, Note

HOUR_S: Final = 3600
UNKNOWN: Final = "unknown"
"""The operator of an attempt that reached nobody, for a domain where nobody was ever reached before."""

_TIMES_KEPT = 64


class TruthDict(TypedDict):
    """Truth as JSON: what bench and tests keep beside a generated file."""

    lines: int
    journal_lines: int
    attempts: dict[str, int]
    by_egress: dict[str, int]
    by_operator: dict[str, int]
    by_kind: dict[str, int]
    by_reply: dict[str, int]
    counts: dict[str, int]


class Truth:
    """Exact counts of everything that was written so far."""

    def __init__(self, known_domains: dict[str, str]) -> None:
        self.mail_lines = 0
        self.journal_lines = 0
        self.attempts: Counter[AttemptKey] = Counter()
        """Attempts of smtp(8) clones: never the lines of error(8), local(8) or interim refusals."""
        self.counts: Counter[tuple[str, str]] = Counter()
        """(what, who): `injected`, `signed`, `local_deferral`, `notification`, `removed`, `expired`, `interim`, ..."""
        self.first_by_hour: Counter[tuple[str, int]] = Counter()
        """First attempts by (stream, start of the hour in epoch seconds)."""
        self.reply_times: dict[str, list[float]] = {}
        """The first 64 times of each reply that was not an acceptance."""
        self.domains: dict[str, str] = dict(known_domains)
        """Operator by recipient domain, as far as the log has shown it (and those that are the operator's own)."""

    def take(self, when: float, note: Note) -> None:
        """Count the line that is handed out now."""
        if isinstance(note, AttemptNote):
            self._attempt(when, note)
        else:
            self.counts[note] += 1

    def take_all(self, entries: list[Entry]) -> None:
        """As `take`, for many lines at once."""
        rest: list[tuple[str, str]] = []
        for when, _, _, note in entries:
            if note is None:
                continue
            if isinstance(note, AttemptNote):
                self._attempt(when, note)
            else:
                rest.append(note)
        self.counts.update(rest)

    def _attempt(self, when: float, note: AttemptNote) -> None:
        key, domain = note
        if key.operator:
            self.domains[domain] = key.operator
        else:
            key = key._replace(operator=self.domains.get(domain, UNKNOWN))
        self.attempts[key] += 1
        if key.kind == FIRST:
            self.first_by_hour[key.stream, int(when) // HOUR_S * HOUR_S] += 1
        if key.reply != "accepted":
            times = self.reply_times.setdefault(key.reply, [])
            if len(times) < _TIMES_KEPT:
                times.append(when)

    def count_line(self, place: int) -> None:
        """A line went to this place."""
        if place == JOURNAL:
            self.journal_lines += 1
        else:
            self.mail_lines += 1

    def total(self, **wanted: str) -> int:
        """Attempts whose key has these fields: `total(status="sent", kind="first")`."""
        return sum(count for key, count in self.attempts.items() if _matches(key, wanted))

    def by(self, field: str, **wanted: str) -> Counter[str]:
        """Attempts by one field of the key: `by("operator", status="bounced")`."""
        index = AttemptKey._fields.index(field)
        totals: Counter[str] = Counter()
        for key, count in self.attempts.items():
            if _matches(key, wanted):
                totals[key[index]] += count
        return totals

    def count(self, what: str, who: str | None = None) -> int:
        """Things that happened to messages, of one stream or of all."""
        return sum(n for (kind, name), n in self.counts.items() if kind == what and who in (None, name))

    def unsigned(self, stream: str) -> int:
        """Messages of the stream's injector that were accepted and not signed."""
        return self.count("injected", stream) - self.count("signed", stream)

    def as_dict(self) -> TruthDict:
        """For JSON."""
        return {
            "lines": self.mail_lines,
            "journal_lines": self.journal_lines,
            "attempts": dict(self.by("status")),
            "by_egress": dict(self.by("egress")),
            "by_operator": dict(self.by("operator")),
            "by_kind": dict(self.by("kind")),
            "by_reply": dict(self.by("reply")),
            "counts": {f"{what}/{who}": count for (what, who), count in sorted(self.counts.items())},
        }


def _matches(key: AttemptKey, wanted: dict[str, str]) -> bool:
    return all(getattr(key, name) == value for name, value in wanted.items())
