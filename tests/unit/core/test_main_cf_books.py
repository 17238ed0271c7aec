"""Whatever pwmtad, people and crashes do to main.cf in turn: people get back what they set last; nothing of theirs is lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from pwmtad.core import main_cf_values as values
from pwmtad.core.main_cf import table_list
from pwmtad.core.target_check import refused_target
from pwmtad.model.target import PostfixTarget, StreamTarget
from tests.unit.core.main_cf_world import EGRESSES, TABLES, World, is_ours

_DELAY = "out05_transport_rate_delay"
_SCALARS = (
    _DELAY,
    "out05_destination_recipient_limit",
    "maximal_queue_lifetime",
    "bounce_queue_lifetime",
    "myhostname",
)
# None of these is a value that pwmtad would write: then nobody could tell whose it is.
_SCALAR_VALUES = {
    _DELAY: ("11s", "2m", "1h", "nonsense"),
    "out05_destination_recipient_limit": ("7", "50"),
    "maximal_queue_lifetime": ("5d", "1h", "30d", "99d"),
    "bounce_queue_lifetime": ("5d", "$maximal_queue_lifetime"),
    "myhostname": ("mta.example.org",),
}
_PEOPLES_TABLES = st.sampled_from(
    ["hash:/etc/postfix/transport", "regexp:/etc/postfix/by-sender", "pcre:/x", "randmap:{outA,outB}", "randmap:{outC}"]
)
_TABLE_VALUES = st.lists(_PEOPLES_TABLES, max_size=3, unique=True).flatmap(
    lambda tables: st.sampled_from([", ".join(tables), " ".join(tables), ",".join(tables)])
)
_WORDS = st.sampled_from(["relay", "smtp", "lmtp", "local"])


@st.composite
def targets(draw: st.DrawFn) -> PostfixTarget:
    """What a sound daemon may ask for."""
    pool_stream = draw(st.booleans())
    first = StreamTarget(
        stream="news",
        egresses=EGRESSES[:2],
        pool=tuple(draw(st.lists(st.sampled_from(EGRESSES[:2]), min_size=1, unique=True))) if pool_stream else (),
        paused_by=draw(st.sampled_from(["", "news-h1", "news-ceiling-20261124"])),
        deferred=tuple(draw(st.lists(st.sampled_from(EGRESSES[:2]), unique=True))),
        rate_delay_s=draw(st.sampled_from([0, 1, 72, 3601])),
    )
    second = StreamTarget(stream="care", egresses=EGRESSES[2:], paused_by=draw(st.sampled_from(["", "care-h2"])))
    return PostfixTarget(
        streams=(first, second) if draw(st.booleans()) else (first,),
        exempt_senders=draw(st.sampled_from([(), ("cron@example.org",)])),
        excluded_domains=draw(st.sampled_from([(), ("yahoo.example",)])),
        keep_queued=draw(st.booleans()),
    )


@dataclass(frozen=True)
class Happening:
    """Something that is done to the world."""

    words: str
    do: Callable[[World], object]


@st.composite
def _applied(draw: st.DrawFn) -> Happening:
    target, crash = draw(targets()), draw(st.sampled_from([0, 1, 2, 3, 9, 9, 9, 9]))
    return Happening(f"apply {target} crash={crash}", lambda world: world.apply(target, crash=crash))


@st.composite
def _edited(draw: st.DrawFn) -> Happening:
    kind = draw(st.sampled_from(["scalar", "tables", "front", "defer", "word", "unword"]))
    match kind:
        case "scalar":
            name = draw(st.sampled_from(_SCALARS))
            value = draw(st.sampled_from([None, *_SCALAR_VALUES[name]]))
            return Happening(f"set {name} {value}", lambda world: world.set(name, value))
        case "tables":
            name, tables = draw(st.sampled_from(TABLES)), draw(st.none() | _TABLE_VALUES)
            return Happening(f"set {name} {tables}", lambda world: world.set(name, tables))
        case "front":
            name, table = draw(st.sampled_from(TABLES)), draw(_PEOPLES_TABLES)
            return Happening(f"front {name} {table}", lambda world: world.add_table(name, table))
        case "defer":
            words = draw(st.none() | st.lists(_WORDS | st.just("out06"), unique=True).map(", ".join))
            return Happening(f"defer {words}", lambda world: world.set(values.DEFER, words))
        case "word":
            word = draw(_WORDS)
            return Happening(f"defer + {word}", lambda world: world.add_word(word))
        case _:
            word = draw(_WORDS)
            return Happening(f"defer - {word}", lambda world: world.remove_word(word))


@st.composite
def people_first(draw: st.DrawFn) -> dict[str, str]:
    """A main.cf before pwmtad."""
    found = {name: draw(st.none() | st.sampled_from(_SCALAR_VALUES[name])) for name in _SCALARS}
    found |= {name: draw(st.none() | _TABLE_VALUES) for name in TABLES}
    found[values.DEFER] = draw(st.none() | st.lists(_WORDS | st.just("out06"), unique=True).map(" ".join))
    return {name: value for name, value in found.items() if value is not None}


@settings(deadline=None)
@given(people_first(), st.lists(_applied(), max_size=6))
def test_what_was_there_before_comes_back_to_the_letter(people: dict[str, str], happenings: list[Happening]) -> None:
    world = World.of(people)
    for happening in happenings:
        happening.do(world)
    world.restore()
    assert world.present == people


@settings(deadline=None)
@given(people_first(), st.lists(_applied() | _edited(), max_size=8), st.sampled_from([0, 1, 2, 3, 9]))
def test_what_people_set_meanwhile_comes_back(people: dict[str, str], happenings: list[Happening], crash: int) -> None:
    world = World.of(people)
    for happening in happenings:
        happening.do(world)
    world.restore(crash=crash)
    world.restore()
    assert world.meaning(world.present) == world.meaning(world.people)


@settings(deadline=None)
@given(people_first(), st.lists(_applied() | _edited(), max_size=6), targets())
def test_applying_twice_is_the_same_as_once(people: dict[str, str], happenings: list[Happening], target: PostfixTarget) -> None:
    world = World.of(people)
    for happening in happenings:
        happening.do(world)
    world.apply(target)
    before = dict(world.present)
    again = world.apply(target)
    assert (again.assignments, again.removals, again.drift) == ({}, (), ())
    assert world.present == before


@settings(deadline=None)
@given(people_first(), st.lists(_applied() | _edited(), max_size=6), targets())
def test_other_peoples_tables_and_waiting_transports_are_still_there(
    people: dict[str, str], happenings: list[Happening], target: PostfixTarget
) -> None:
    world = World.of(people)
    for happening in happenings:
        happening.do(world)
    kept = {name: [one for one in table_list(world.people.get(name, "")) if not values.is_last(one)] for name in TABLES}
    waiting = values.words_of(world.people.get(values.DEFER))
    world.apply(target)
    for name in TABLES:
        tables = table_list(world.present.get(name, ""))
        assert [one for one in tables if not is_ours(one) and not values.is_last(one)] == kept[name]
    assert set(waiting) <= set(values.words_of(world.present.get(values.DEFER)))
    assert world.present.get("myhostname") == world.people.get("myhostname")


@settings(deadline=None)
@given(people_first(), st.lists(_applied() | _edited(), max_size=6), targets())
def test_a_pool_is_never_empty_and_a_pause_has_all_its_mechanisms(
    people: dict[str, str], happenings: list[Happening], target: PostfixTarget
) -> None:
    world = World.of(people)
    for happening in happenings:
        happening.do(world)
    wanted = world.apply(target)
    for name in TABLES:
        assert not any(table == "randmap:{}" for table in table_list(world.present.get(name, "")))
    deferred = values.words_of(world.present.get(values.DEFER))
    for stream in target.streams:
        waiting = stream.egresses if stream.paused_by else stream.deferred
        for egress in waiting:
            assert egress in deferred
            assert values.time_s(world.present[egress + values.RATE_DELAY], "s") == values.WAITING_S
        if stream.paused_by and stream.pool and not wanted.problems:
            shown = next(
                last for name in TABLES if (last := values.last_table(world.present.get(name, "")))
            )  # transport_maps is asked first
            assert values.paused_by(shown) == stream.paused_by
            assert values.PAUSED_TRANSPORT in deferred


@settings(deadline=None)
@given(targets())
def test_the_helper_takes_what_a_sound_daemon_asks_for(target: PostfixTarget) -> None:
    assert refused_target(target) is None
