"""A Postfix in memory for tests of what decides: main.cf as a dict, the queue as a list; edits are made by the real core.

It does what the root helper does with a real one (tests/integration and tests/lab hold the two together), and can fail in the
ways a real one fails.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from pwmtad.core.main_cf_edit import MainCf, actual_of, edits
from pwmtad.model.postfix import Clone
from pwmtad.model.target import Applied, Change, Owned, PostfixActual, PostfixTarget, QueueEntry, QueueListing


def clone(name: str) -> Clone:
    """Return a clone as it should be; `out05` has 192.0.2.5, `hc1` 192.0.2.101."""
    last = int(name.removeprefix("out").replace("hc", "10"))
    return Clone(
        name=name,
        bind_address=f"192.0.2.{last}",
        bind_enforced=True,
        helo_name=f"mta{last:02}.example.org",
        syslog_name=f"postfix/{name}",
        inet_protocols="ipv4",
    )


class FakePostfix:
    """Fulfils `PostfixActor`."""

    def __init__(self, names: Iterable[str]) -> None:
        self.values: dict[str, str] = {}
        self.clones = {name: clone(name) for name in names}
        self.owned = Owned()
        self.entries: dict[str, QueueEntry] = {}
        self.ours: set[str] = set()
        self.writes: list[tuple[str, ...]] = []
        self.looks = 0
        self.stamp = 0
        self.problem: str | None = None
        """What every call answers with while it is set."""
        self.refuses: str | None = None
        """What `apply` answers with, having changed nothing."""
        self.unlisted: str | None = None
        """Why the queue can't be listed."""
        self.running = True

    def edit(self, name: str, value: str | None) -> None:
        """Somebody else edits main.cf."""
        if value is None:
            self.values.pop(name, None)
        else:
            self.values[name] = value
        self.stamp += 1

    async def look(self) -> PostfixActual:
        self.looks += 1
        return PostfixActual(problem=self.problem) if self.problem is not None else self.actual()

    async def apply(self, target: PostfixTarget) -> Applied:
        if self.problem is not None:
            return Applied(PostfixActual(problem=self.problem), problem=self.problem)
        if self.refuses is not None:
            return Applied(self.actual(), problem=self.refuses)
        wanted = edits(target, self._main(), self.owned)
        before = dict(self.values)
        self.owned = replace(wanted.owned, reload_due=False)
        self.values.update(wanted.assignments)
        for name in wanted.removals:
            self.values.pop(name, None)
        names = (*wanted.assignments, *wanted.removals)
        changes = tuple(Change(name, before.get(name), self.values.get(name)) for name in names)
        if changes:
            self.stamp += 1
            self.writes.append(names)
        problem = "; ".join(wanted.problems) or None
        return Applied(self.actual(), changes, wanted.drift, bool(changes) and self.running, self.running, problem)

    async def queue(self) -> QueueListing:
        if self.problem is not None or self.unlisted is not None:
            return QueueListing(problem=self.problem or self.unlisted)
        return QueueListing(tuple(self.entries.values()), frozenset(self.ours), took_s=0.01)

    async def hold(self, queue_ids: Sequence[str]) -> str | None:
        if self.problem is None:
            self.ours.update(queue_ids)
            self._move(queue_ids, "hold")
        return self.problem

    async def unhold(self, queue_ids: Sequence[str]) -> str | None:
        if self.problem is None:
            assert set(queue_ids) <= self.ours, "only what is ours is ever let go"
            self.ours.difference_update(queue_ids)
            self._move(queue_ids, "deferred")
        return self.problem

    def actual(self) -> PostfixActual:
        """Return what the files say."""
        return actual_of(self._main(), self.owned)

    def queue_up(self, entries: Iterable[QueueEntry]) -> None:
        """Messages arrive."""
        self.entries |= {entry.queue_id: entry for entry in entries}

    def in_queue(self, name: str) -> list[str]:
        """Return the queue ids of one queue, the oldest first."""
        found = [entry for entry in self.entries.values() if entry.queue_name == name]
        return [entry.queue_id for entry in sorted(found, key=lambda entry: (entry.arrival_at, entry.queue_id))]

    def _main(self) -> MainCf:
        return MainCf(self.values, tuple(self.clones.values()), "/etc/postfix")

    def _move(self, queue_ids: Iterable[str], to: str) -> None:
        for queue_id in queue_ids:
            if queue_id in self.entries:
                self.entries[queue_id] = replace(self.entries[queue_id], queue_name=to)
