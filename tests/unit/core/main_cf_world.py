"""A main.cf that the helper, people and crashes change in turn, for tests: what people last set is known at every moment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from msgspec.structs import replace

from pwmtad.core import main_cf_values as values
from pwmtad.core.main_cf import table_list
from pwmtad.core.main_cf_edit import Edits, MainCf, edits, own_tables, restored, settled
from pwmtad.model.postfix import Clone
from pwmtad.model.target import Owned, PostfixTarget, Remembered, Step

DIRECTORY = "/etc/postfix"
EGRESSES = ("out05", "out06", "out07")
CLONES = (Clone("smtp"), *(Clone(name, bind_address=f"192.0.2.{number}") for number, name in enumerate(EGRESSES, 5)))
EXEMPT, EXCLUDED, EXCLUDED_REGEXP = own_tables(DIRECTORY)
TABLES = (values.TRANSPORT_MAPS, values.POOL)


def is_ours(table: str) -> bool:
    """Whether only pwmtad can have written the table; pools are people's as well."""
    return table in (EXEMPT, EXCLUDED, EXCLUDED_REGEXP) or bool(values.paused_by(table))


@dataclass
class World:
    """main.cf, what the helper's file holds, and what people would have had without pwmtad."""

    present: dict[str, str] = field(default_factory=dict)
    people: dict[str, str] = field(default_factory=dict)
    remembered: Remembered = field(default_factory=Remembered)
    clones: tuple[Clone, ...] = CLONES

    @classmethod
    def of(cls, people: dict[str, str]) -> World:
        """Return a world that pwmtad has not touched yet."""
        return cls(dict(people), dict(people))

    @property
    def main(self) -> MainCf:
        """What is read."""
        return MainCf(dict(self.present), self.clones, DIRECTORY, frozenset({"local", "retry", "error"}))

    @property
    def owned(self) -> Owned:
        """What is ours, by what is remembered and what is seen."""
        return settled(self.remembered, self.present)

    def apply(self, target: PostfixTarget, *, crash: int = 9) -> Edits:
        """Do as the helper does; `crash`: how many of its four steps it lived for."""
        return self._change(lambda main, owned: edits(target, main, owned), crash)

    def restore(self, *, crash: int = 9) -> Edits:
        """Put people's values back."""
        return self._change(restored, crash)

    def _change(self, plan: Callable[[MainCf, Owned], Edits], crash: int) -> Edits:
        owned = self.owned
        wanted = plan(self.main, owned)
        if wanted.changes_main_cf and crash > 0:
            self.remembered = Remembered(
                replace(owned, reload_due=True), Step(wanted.assignments, wanted.removals, wanted.owned)
            )
        if crash > 1:
            self.present |= wanted.assignments
        if crash > 2:
            for name in wanted.removals:
                del self.present[name]
        if crash > 3:
            self.remembered = Remembered(replace(wanted.owned, reload_due=False))
        return wanted

    # -- people

    def set(self, name: str, value: str | None) -> None:
        """Somebody sets a parameter, or takes it out (None)."""
        for place in (self.present, self.people):
            if value is None:
                place.pop(name, None)
            else:
                place[name] = value

    def add_table(self, name: str, table: str) -> None:
        """Somebody puts a table in front of what is there."""
        for place in (self.present, self.people):
            place[name] = ", ".join([table, *table_list(place.get(name, ""))])

    def add_word(self, word: str) -> None:
        """Somebody has a transport wait that does not yet. What pwmtad put there stays pwmtad's, whoever writes it again."""
        present = values.words_of(self.present.get(values.DEFER))
        if word not in present and not (word in self.owned.deferred and values.SET_MARK in present):
            for place in (self.present, self.people):
                place[values.DEFER] = f"{place.get(values.DEFER, '')} {word}".strip()

    def remove_word(self, word: str) -> None:
        """Somebody lets a transport go."""
        for place in (self.present, self.people):
            if word in values.words_of(place.get(values.DEFER)):
                place[values.DEFER] = " ".join(one for one in values.words_of(place[values.DEFER]) if one != word)

    def meaning(self, of: dict[str, str]) -> dict[str, object]:
        """Return the values without what makes no difference: how lists are written, that empty ones are written at all, and
        what stands behind a table that answers everything.
        """
        lists: dict[str, object] = {name: _asked(of.get(name, "")) for name in TABLES}
        lists[values.DEFER] = list(values.words_of(of.get(values.DEFER)))
        return {name: value for name, value in of.items() if name not in lists} | {k: v for k, v in lists.items() if v}


def _asked(value: str) -> list[str]:
    tables = table_list(value)
    last = next((number for number, table in enumerate(tables) if values.is_last(table)), len(tables))
    return tables[: last + 1]
