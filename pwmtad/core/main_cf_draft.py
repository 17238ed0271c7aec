"""A draft of main.cf: gathers what to write, and keeps the books on what is ours and what people had before.

Three sorts of parameters: those whose whole value is ours (`own`), lists of tables that we share (`put_pool`, `put_front`), and
the list of transports that wait, shared word by word (`set_deferred`). What somebody changes meanwhile is what is put back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from pwmtad.core import main_cf_values as values
from pwmtad.model.target import Owned


class Draft:
    """Starts from what main.cf says and what is remembered; `assignments` and `removals` lead to what was asked for.

    `own_tables`: our lookup tables in front of other people's, in all their forms.
    """

    def __init__(self, present: Mapping[str, str], owned: Owned, own_tables: Collection[str]) -> None:
        self._present = present
        self._own_tables = own_tables
        self._prior = dict(owned.prior)
        self._written = dict(owned.written)
        self._ours = owned.deferred
        self._target: dict[str, str | None] = {}
        """What each parameter should be; None: not set."""
        self.drift: dict[str, None] = {}
        """Parameters of ours that somebody else changed, in order."""
        self.pool = owned.pool
        self.paused = dict(owned.paused)
        self.delays = dict(owned.delays)

    def value(self, name: str) -> str:
        """Return what the parameter will be; '' if not set."""
        return self._target.get(name, self._present.get(name)) or ""

    @property
    def assignments(self) -> dict[str, str]:
        """Return what must be set."""
        wanted = ((name, value) for name, value in self._target.items() if value is not None)
        return {name: value for name, value in wanted if value != self._present.get(name)}

    @property
    def removals(self) -> tuple[str, ...]:
        """Return what must not be set any more."""
        return tuple(name for name, value in self._target.items() if value is None and name in self._present)

    def owned(self, *, reload_due: bool) -> Owned:
        """Return what to remember once this is written."""
        return Owned(
            prior=self._prior,
            written=self._written,
            deferred=self._ours,
            pool=self.pool,
            paused=self.paused,
            delays=self.delays,
            reload_due=reload_due,
        )

    # -- whole values

    def own(self, name: str, value: str) -> None:
        """Set a parameter whose whole value is ours."""
        self.note_drift(name)
        self._prior.setdefault(name, self._present.get(name))
        self._written[name] = self._target[name] = value

    def own_delay(self, name: str, delay_s: int) -> None:
        """Set a rate delay. People may have a longer one of their own: the longer one holds."""
        self.note_drift(name)
        theirs = values.time_s(self._prior.get(name, self._present.get(name)) or "", "s") or 0
        self.own(name, f"{max(delay_s, theirs)}s")

    def note_drift(self, name: str) -> None:
        """Notice whether somebody else has set a parameter since we did: that is what they get back."""
        if name in self._written and self._present.get(name) != self._written[name]:
            self.drift[name] = None
            self._prior[name] = self._present.get(name)

    def give_back(self, name: str) -> None:
        """Let go of a parameter: people's own value comes back, unless they have set another one meanwhile."""
        if name not in self._written:
            return
        before, written = self._prior.pop(name, None), self._written.pop(name)
        if written == self._present.get(name):
            self._target[name] = before

    # -- lists of tables

    def put_pool(self, name: str, last: str) -> None:
        """Put a pool or a pause into a list of tables, where there is one already or else at its end."""
        written, present = self._written.get(name, ""), self._present.get(name, "")
        value = self.value(name)
        if written and values.last_table(present) != written:
            self.drift[name] = None
            value = values.with_front(value, "", (written,))  # somebody put another in front of it
        if not written or name in self.drift:
            self._learn(name)
        self._written[name] = last
        self._put(name, values.with_last(value, last))

    def put_front(self, name: str, front: str, own: Collection[str]) -> None:
        """Put one of our tables first; '' takes them (`own`: all its forms) away."""
        value = values.with_front(self.value(name), front, own)
        if not self._written.get(name):
            self._learn(name)  # only a pool of ours hides what people have there
        if front or not values.same_tables(value, self.value(name)):
            self._put(name, value)
        if not front and not self._written.get(name):
            self._prior.pop(name, None)  # nothing of ours is left in it

    def lost_pool(self, name: str) -> None:
        """Notice that a list of tables lost the pool that we had put there."""
        if self._written.pop(name, ""):
            self.drift[name] = None
            self._prior.pop(name, None)

    def give_back_tables(self, name: str) -> bool:
        """Take ours out of a list of tables. False: what stood where our pause is, is not known; the list is left alone."""
        if name not in self._prior:
            return True
        prior, written, present = self._prior[name], self._written.get(name, ""), self._present.get(name, "")
        value = self._theirs(name) or ""
        if written and values.last_table(present) == written:
            before = values.last_table(prior or "")
            if values.paused_by(before):
                return False
            others = values.other_tables(present, self._own_tables)
            same = others == values.other_tables(prior or "", self._own_tables)
            value = (prior or "") if same else values.with_last(value, before)
        self._put(name, value)
        del self._prior[name]
        self._written.pop(name, None)
        return True

    def _learn(self, name: str) -> None:
        """Remember what people have there, as they wrote it."""
        theirs = self._theirs(name)
        if name not in self._prior or not values.same_tables(theirs, self._prior[name]):
            self._prior[name] = theirs

    def _theirs(self, name: str) -> str | None:
        """What people have there: the value without our tables, but with the pool or pause that holds, whosever it is."""
        present, written = self._present.get(name), self._written.get(name, "")
        if present is None:
            return None
        behind = (written,) if written not in ("", values.last_table(present)) else ()
        return values.with_front(present, "", (*self._own_tables, *behind))

    def _put(self, name: str, value: str) -> None:
        prior = self._prior.get(name)
        # Written as people wrote it, and not at all where they had nothing.
        self._target[name] = prior if values.same_tables(value, prior) else value

    # -- transports that wait

    def set_deferred(self, wanted: Iterable[str]) -> None:
        """Make exactly these of our entries stand in defer_transports: other people's stay, also where both want one."""
        name = values.DEFER
        present = values.words_of(self._present.get(name))
        ours = (*self._ours, *values.WAITING_NAMES) if values.SET_MARK in present else values.WAITING_NAMES
        others = [word for word in present if word not in ours]
        mine = tuple(word for word in dict.fromkeys(wanted) if word not in others)
        mine = (values.SET_MARK, *mine) if mine else ()
        if any(word in self._ours and word not in present for word in mine):
            self.drift[name] = None
        if not any(word in ours for word in present):
            self._prior[name] = self._present.get(name)
        prior = self._prior.get(name)
        result = (*others, *mine)
        if set(result) != set(present):
            self._target[name] = prior if result == values.words_of(prior) else " ".join(result)
        self._ours = mine
        if not mine:
            self._prior.pop(name, None)
