"""From what Postfix should do and what main.cf says to what must be written. Pure; the root helper carries it out.

Own what we add, only that: other people's tables and entries stay where they are, the values that ours replaced are remembered
and put back, and what somebody changes meanwhile becomes the value to put back (main_cf_draft keeps these books).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace

from pwmtad.core import main_cf_values as values
from pwmtad.core.main_cf import table_list
from pwmtad.core.main_cf_draft import Draft
from pwmtad.model.postfix import Clone
from pwmtad.model.target import Owned, PostfixActual, PostfixTarget, Remembered, Step, StreamTarget

EXEMPT_FILE: Final = "pwmtad-exempt"
EXCLUDED_FILE: Final = "pwmtad-excluded"
FILES: Final = (EXEMPT_FILE, EXCLUDED_FILE, f"{EXCLUDED_FILE}.regexp")
"""Our lookup tables, in Postfix's configuration directory."""
_BEFORE_POOL: Final = ("regexp", "pcre", "static", "randmap")
"""Tables that may stand before a pool: they know full addresses. A `@domain` key of any other would never be asked."""
_WAITING: Final = f"{values.WAITING_S}s"
_SHARED: Final = (values.TRANSPORT_MAPS, values.POOL)
"""Lists of tables; transport_maps is asked first."""


class Edits(Struct, frozen=True):
    """What must be written, in one `postconf -e` with one reload."""

    assignments: dict[str, str] = field(default_factory=dict)
    removals: tuple[str, ...] = ()
    """Parameters that go back to Postfix's default."""
    files: dict[str, str] = field(default_factory=dict)
    """By name, in Postfix's configuration directory: tables that must hold this before main.cf names them."""
    owned: Owned = field(default_factory=Owned)
    """What to remember, before anything is written."""
    drift: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    """What is refused, in words; all else is still done."""

    @property
    def changes_main_cf(self) -> bool:
        """Whether main.cf must be written."""
        return bool(self.assignments or self.removals)


class MainCf(Struct, frozen=True):
    """main.cf and master.cf as they were read."""

    values: Mapping[str, str]
    """Parameters that are set there, raw."""
    clones: tuple[Clone, ...]
    config_directory: str
    other_services: frozenset[str] = frozenset()
    """Names in master.cf that are no smtp clients: none of our business."""


def actual_of(main: MainCf, owned: Owned) -> PostfixActual:
    """Return what the files say now, as far as pwmtad sets it."""
    settings = main.values
    holding = [settings.get(name, "") for name in _SHARED]
    # transport_maps is asked first, so a pool or pause there hides the other.
    last = next((table for value in holding if (table := values.last_table(value))), "")
    paused = values.paused_by(last)
    deferred = [word for word in values.words_of(settings.get(values.DEFER)) if word not in values.WAITING_NAMES]
    delays = {clone.name: _governor_s(clone.name, settings, owned) for clone in main.clones}
    return PostfixActual(
        pool=owned.pool if paused else values.pool_in(last),
        paused_by=paused,
        paused=owned.paused,
        deferred=tuple(deferred),
        ours=tuple(word for word in owned.deferred if word in deferred),
        rate_delays={name: delay for name, delay in delays.items() if delay},
        keeps_queued=any(name in owned.written for name in values.LIFETIMES),
        clones=main.clones,
        reload_due=owned.reload_due,
    )


def _governor_s(egress: str, settings: Mapping[str, str], owned: Owned) -> int:
    delay = values.time_s(settings.get(egress + values.RATE_DELAY, ""), "s") or 0
    return owned.delays.get(egress, 0) if delay >= values.WAITING_S else delay


def is_seen(step: Step, owned: Owned, present: Mapping[str, str]) -> bool:
    """Whether main.cf has been written: postconf(1) renames, so all assignments are seen or none.

    `owned`: what was ours before. People may have changed single values since, put tables beside our pool, or put back by hand
    what the step would have: so what they would not write counts, where there is any.
    """
    ours = {name: value for name, value in step.assignments.items() if name in step.owned.prior}
    if ours:
        known = {*owned.deferred, *step.owned.deferred}.intersection(values.words_of(present.get(values.DEFER)))
        return (bool(known) and known == {*step.owned.deferred} != {*owned.deferred}) or any(
            present.get(name) == value or _is_new_last(name, step, owned, present) for name, value in ours.items()
        )
    return any(present.get(name) == step.assignments.get(name) for name in (*step.assignments, *step.removals))


def _is_new_last(name: str, step: Step, owned: Owned, present: Mapping[str, str]) -> bool:
    """Whether a list of tables has the pool or pause that the step put there, and that nobody had there before."""
    last = step.owned.written.get(name, "")
    before = (owned.written.get(name, ""), values.last_table(step.owned.prior.get(name) or ""))
    return name in _SHARED and last not in ("", *before) and last in table_list(present.get(name, ""))


def settled(remembered: Remembered, present: Mapping[str, str]) -> Owned:
    """Return what is ours after a change of main.cf that may have been cut short, by what is seen of it.

    Removals are a command of their own, after the assignments, and may be missing: what was not given back yet stays ours.
    """
    owned, step = remembered.owned, remembered.step
    if step is None:
        return owned
    if not is_seen(step, owned, present):
        return replace(owned, reload_due=True)  # tables may have been written
    prior, written = dict(step.owned.prior), dict(step.owned.written)
    given_back = [name for name in (*step.assignments, *step.removals) if name not in step.owned.prior]
    left = [name for name in given_back if name in owned.prior and present.get(name) != step.assignments.get(name)]
    for name in left:
        prior[name] = owned.prior[name]
        written |= {name: owned.written[name]} if name in owned.written else {}
    deferred = owned.deferred if values.DEFER in left else step.owned.deferred
    return replace(step.owned, prior=prior, written=written, deferred=deferred)


def adopted(main: MainCf) -> tuple[Owned, str]:
    """Return what can be known of our doing from main.cf alone, and what can't be, in words ('' if nothing of ours is there).

    A pause, the entries behind our mark in defer_transports and the delay of those that wait tell whose they are; a pool, a
    governor's delay and a long queue lifetime don't, so they are taken for other people's, and stay.
    """
    settings = main.values
    words = values.words_of(settings.get(values.DEFER))
    deferred = words[words.index(values.SET_MARK) :] if values.SET_MARK in words else ()
    pauses = {name: last for name in _SHARED if values.paused_by(last := values.last_table(settings.get(name, "")))}
    delays = {name: value for name, value in settings.items() if name.endswith(values.RATE_DELAY) and value == _WAITING}
    own = own_tables(main.config_directory)
    named = [table for name in _SHARED for table in table_list(settings.get(name, "")) if table in own]
    if not (deferred or pauses or delays or named):
        return Owned(), ""
    text = (
        "it is not known any more what stood in main.cf before pwmtad: the pool, delays (NAME_transport_rate_delay) and queue "
        "lifetimes that are there now are taken for somebody's own, and stay after a restore"
    )
    return Owned(prior=pauses | dict.fromkeys(delays), written=pauses | delays, deferred=deferred), text


def edits(target: PostfixTarget, main: MainCf, owned: Owned) -> Edits:
    """Return what leads from what is to what should be; empty where nothing differs."""
    draft = Draft(main.values, owned, own_tables(main.config_directory))
    exempts = bool(target.exempt_senders) and target.exempt_transport in _names(main)
    problems = list(_problems(target, main))
    pool_stream = next((stream for stream in target.streams if stream.pool), None)
    if pool_stream is not None:
        problems += _set_pool(draft, pool_stream, main, exempts=exempts)
    _set_excluded(draft, main, wanted=bool(target.excluded_domains))
    wait = [word for stream in target.streams for word in _waiting(stream) if word not in main.other_services]
    wait += [values.PAUSED_TRANSPORT] if values.paused_by(_all_tables(draft)) else []
    wait += [values.EXCLUDED_TRANSPORT] if target.excluded_domains else []
    draft.set_deferred(wait)
    _set_delays(draft, target, main, owned)
    draft.paused = {stream.stream: stream.paused_by for stream in target.streams if stream.paused_by}
    for name in values.LIFETIMES:
        if not target.keep_queued:
            draft.give_back(name)
        elif not values.is_long(main.values.get(name)):
            draft.own(name, values.LONG_LIFETIME)
    return _edits(draft, owned, files=_files(target, exempts=exempts), problems=problems)


def restored(main: MainCf, owned: Owned) -> Edits:
    """Return what puts people's own values back, and takes ours away."""
    draft = Draft(main.values, owned, own_tables(main.config_directory))
    problems = [
        f"{name} is left as it is: what stood where pwmtad's pause is, is not known any more"
        for name in _SHARED
        if not draft.give_back_tables(name)
    ]
    draft.set_deferred([])
    for name in owned.written:
        if name not in _SHARED:
            draft.give_back(name)
    result = _edits(draft, owned, files={}, problems=problems)
    kept = Owned(prior=result.owned.prior, written=result.owned.written, reload_due=result.owned.reload_due)
    return replace(result, owned=kept, drift=())


def own_tables(config_directory: str) -> tuple[str, ...]:
    """Return our lookup tables as main.cf names them: exempt senders, excluded domains, the same as a regexp."""
    # texthash: reads the text itself, no postmap(1) needed; read anew at each reload (DATABASE_README).
    kinds = ("regexp", "texthash", "regexp")
    return tuple(f"{kind}:{config_directory}/{name}" for kind, name in zip(kinds, FILES, strict=True))


def _edits(draft: Draft, owned: Owned, *, files: dict[str, str], problems: Sequence[str]) -> Edits:
    changes = bool(draft.assignments or draft.removals)
    return Edits(
        assignments=draft.assignments,
        removals=draft.removals,
        files=files,
        owned=draft.owned(reload_due=owned.reload_due or changes),
        drift=tuple(draft.drift),
        problems=tuple(problems),
    )


def _set_pool(draft: Draft, stream: StreamTarget, main: MainCf, *, exempts: bool) -> Iterable[str]:
    """Put the pool, or the pause, where the host has it. Returns what is refused."""
    exempt = own_tables(main.config_directory)[0]
    in_maps = values.has_pool(draft.value(values.TRANSPORT_MAPS))
    hidden = _hidden_tables(draft.value(values.POOL))
    if not in_maps:
        draft.lost_pool(values.TRANSPORT_MAPS)
        if hidden and not values.has_pool(draft.value(values.POOL)):
            draft.lost_pool(values.POOL)
            return [
                f"the pool is not set: {values.POOL} has {', '.join(hidden)}, whose @domain lines a pool behind it would "
                f"silence. Turn it into a regexp: table, which knows full addresses"
            ]
    missing = sorted(set(stream.pool) - _bound(main))
    if missing and not stream.paused_by:
        return [
            f"the pool is left as it is: {', '.join(missing)} is no smtp service with a bind address in master.cf, and "
            f"its share of the mail would be stuck or leave from another address"
        ]
    last = values.pause_table(stream.paused_by) if stream.paused_by else values.pool_table(stream.pool)
    if in_maps:
        draft.put_pool(values.TRANSPORT_MAPS, last)
    if not in_maps or values.has_pool(draft.value(values.POOL)):
        draft.put_pool(values.POOL, last)
        draft.put_front(values.POOL, exempt if exempts else "", (exempt,))
    draft.pool = stream.pool
    return []


def _set_excluded(draft: Draft, main: MainCf, *, wanted: bool) -> None:
    _, plain, regexp = own_tables(main.config_directory)
    front = regexp if values.has_pool(draft.value(values.TRANSPORT_MAPS)) else plain
    draft.put_front(values.TRANSPORT_MAPS, front if wanted else "", (plain, regexp))


def _set_delays(draft: Draft, target: PostfixTarget, main: MainCf, owned: Owned) -> None:
    ours = [(egress, stream) for stream in target.streams for egress in stream.egresses if egress not in main.other_services]
    wanted = {egress: values.WAITING_S if egress in _waiting(stream) else stream.rate_delay_s for egress, stream in ours}
    draft.delays = {egress: stream.rate_delay_s for egress, stream in ours if egress in _waiting(stream)}
    gone = [name.removesuffix(values.RATE_DELAY) for name in owned.written if name.endswith(values.RATE_DELAY)]
    for egress, delay_s in (dict.fromkeys(gone, 0) | wanted).items():
        if delay_s > 0:
            draft.own_delay(egress + values.RATE_DELAY, delay_s)
            draft.own(egress + values.RECIPIENT_LIMIT, "1")
        else:
            draft.give_back(egress + values.RATE_DELAY)
            draft.give_back(egress + values.RECIPIENT_LIMIT)


def _waiting(stream: StreamTarget) -> Sequence[str]:
    return stream.egresses if stream.paused_by else stream.deferred


def _files(target: PostfixTarget, *, exempts: bool) -> dict[str, str]:
    files = {}
    if exempts:
        files[EXEMPT_FILE] = values.exempt_table(target.exempt_senders, target.exempt_transport)
    if target.excluded_domains:
        files[EXCLUDED_FILE] = values.excluded_table(target.excluded_domains, regexp=False)
        files[f"{EXCLUDED_FILE}.regexp"] = values.excluded_table(target.excluded_domains, regexp=True)
    return files


def _all_tables(draft: Draft) -> str:
    return f"{draft.value(values.TRANSPORT_MAPS)}, {draft.value(values.POOL)}"


def _names(main: MainCf) -> set[str]:
    return {clone.name for clone in main.clones}


def _bound(main: MainCf) -> set[str]:
    return {clone.name for clone in main.clones if clone.bind_address is not None or clone.bind_address6 is not None}


def _hidden_tables(value: str) -> tuple[str, ...]:
    """Return tables whose `@domain` keys a pool behind them would hide."""
    kinds = ((table, table.partition(":")[0]) for table in table_list(value))
    return tuple(table for table, kind in kinds if kind not in _BEFORE_POOL)


def _problems(target: PostfixTarget, main: MainCf) -> Iterable[str]:
    names = {egress for stream in target.streams for egress in stream.egresses}
    for name in sorted(names & main.other_services):
        yield f"{name} is left alone: it is a service of master.cf, but no smtp client"
    if not target.exempt_senders:
        return
    if target.exempt_transport not in _names(main):
        yield f"exempt_senders go with the rest: {target.exempt_transport} is no smtp service of master.cf"
    elif values.has_pool(main.values.get(values.TRANSPORT_MAPS, "")) and any(stream.pool for stream in target.streams):
        yield (
            f"exempt_senders can't be kept out of a pool in {values.TRANSPORT_MAPS}, which is asked by recipient: "
            f"move the randmap to {values.POOL}"
        )
