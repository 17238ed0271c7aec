"""The operator last seen behind a recipient domain: all that tells whose answer is missing where there was no relay."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from pwmtad.model.counters import DomainOperator


class DomainMemory:
    """Bounded; the domain learned longest ago goes first."""

    def __init__(self) -> None:
        self._known: dict[str, DomainOperator] = {}
        self._dirty: set[str] = set()

    def get(self, domain: str) -> str | None:
        """Return the operator last seen behind `domain`."""
        known = self._known.get(domain)
        return None if known is None else known.operator

    def learn(self, seen: DomainOperator, limit: int) -> None:
        """Remember an operator; keep at most `limit` domains."""
        self._known.pop(seen.domain, None)
        if len(self._known) >= limit:
            # A hundredth at once: a dictionary that loses its first entry one by one searches for it.
            for oldest in list(islice(self._known, len(self._known) - limit + 1 + limit // 100)):
                del self._known[oldest]
                self._dirty.add(oldest)
        self._known[seen.domain] = seen
        self._dirty.add(seen.domain)

    def take_deltas(self) -> tuple[list[DomainOperator], list[str]]:
        """Return what was learned and what was forgotten since the last call."""
        put = [self._known[domain] for domain in self._dirty if domain in self._known]
        removed = [domain for domain in self._dirty if domain not in self._known]
        self._dirty = set()
        return put, removed

    def load(self, rows: Iterable[DomainOperator]) -> None:
        """Take what the store has, oldest first."""
        self._known = {row.domain: row for row in rows}
