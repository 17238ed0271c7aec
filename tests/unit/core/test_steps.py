"""What Postfix should do next, carried out on a main.cf: pools within their ladder, whole pauses, and rest in the end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from pwmtad.config import Settings
from pwmtad.core import main_cf_values as values
from pwmtad.core.desire import desire
from pwmtad.core.egress_health import unfit
from pwmtad.core.governor import allowed_per_hour
from pwmtad.core.halts import ReturnPolicy, no_egress_name
from pwmtad.core.judge import StreamJudge
from pwmtad.core.main_cf_edit import Edits, MainCf, actual_of, edits
from pwmtad.core.steps import Steps, actual_stream, held_by, next_steps, pause_found
from pwmtad.model.judgement import ActionKind, Desired, Halt, HaltPhase, Scope, StreamMemory
from pwmtad.model.names import StreamName
from pwmtad.model.postfix import Clone
from pwmtad.model.target import Owned, PostfixActual, PostfixTarget, StreamTarget
from tests.tools.judging import DAY, START, settings_of

POOL = ("out05", "out06", "out07", "out08", "out09", "out10")
FIXED = ("hc1", "hc2")
RETIRED = "out07"
LADDERS = 'retired = ["out07"]\nwarmup.window_ladder_per_hour = { 0 = 2, 2 = 50, 4 = 300 }'
SETTINGS = settings_of(egresses=POOL, more=LADDERS)
TRUCKING, HEALTHCARE = StreamName("trucking"), StreamName("healthcare")
NOW = START + 5 * DAY
DIRECTORY = "/etc/postfix"
HALT = "trucking-google-blocks-20260602T000000"
POLICY = ReturnPolicy()


def clone(name: str) -> Clone:
    number = len(name) + int(name[-1])
    return Clone(name, f"192.0.2.{number}", None, True, f"{name}.example.org", f"postfix/{name}")


CLONES = tuple(clone(name) for name in (*POOL, *FIXED))


class Host:
    """A main.cf that takes each target exactly, as the root helper would write it."""

    def __init__(self, main: dict[str, str] | None = None, clones: Iterable[Clone] = CLONES) -> None:
        self.main = dict(main if main is not None else {})
        self.clones = tuple(clones)
        self.owned = Owned()

    @property
    def actual(self) -> PostfixActual:
        """What the files say."""
        return actual_of(MainCf(self.main, self.clones, DIRECTORY), self.owned)

    def missing(self, target: PostfixTarget) -> Edits:
        """What would have to be written."""
        return edits(target, MainCf(self.main, self.clones, DIRECTORY), self.owned)

    def apply(self, target: PostfixTarget) -> bool:
        """Write it; return whether anything was written."""
        found = self.missing(target)
        self.main |= found.assignments
        for name in found.removals:
            del self.main[name]
        self.owned = replace(found.owned, reload_due=False)
        assert not self.missing(target).changes_main_cf
        return found.changes_main_cf

    def step(self, *desired: Desired, settings: Settings = SETTINGS) -> Steps:
        """One pass."""
        steps = next_steps(self.actual, desired, settings)
        self.apply(steps.target)
        return steps

    def settle(self, *desired: Desired, settings: Settings = SETTINGS) -> None:
        """Pass after pass, until nothing is left to do; it must come to that soon."""
        for _ in range(6):
            self.step(*desired, settings=settings)
        steps = next_steps(self.actual, desired, settings)
        assert (steps.actions, steps.urgent) == ((), False)
        assert not self.missing(steps.target).changes_main_cf

    @property
    def lists(self) -> str:
        """The lists of tables that hold a pool or a pause."""
        return f"{self.main.get(values.TRANSPORT_MAPS, '')}, {self.main.get(values.POOL, '')}"

    @property
    def pool(self) -> tuple[str, ...]:
        """The pool that mail is drawn for; empty while paused."""
        return values.pool_in(values.last_table(self.lists))

    @property
    def deferred(self) -> set[str]:
        """Transports that wait, without the names that stand for waiting itself."""
        return set(values.words_of(self.main.get(values.DEFER, ""))) - set(values.WAITING_NAMES)

    def delay_s(self, egress: str) -> int:
        """Seconds between two deliveries."""
        return values.time_s(self.main.get(egress + values.RATE_DELAY, "0"), "s") or 0


def want(
    pool: Sequence[str] = ("out05", "out06", "out08"),
    window: int = 300,
    *,
    stream: str = "trucking",
    by: str = "",
    probe: int | None = None,
    broken: Sequence[str] = (),
    growth: bool = True,
    reasons: Sequence[str] | None = None,
) -> Desired:
    """A wish; `by`: what holds the stream."""
    told = [f"google-blocks ({by})"] if by else []
    return Desired(
        stream=stream,
        day=5,
        effective_day=5,
        pool=tuple(pool),
        window_per_hour=probe if probe is not None else window,
        sending=not by,
        probe_limit=probe,
        broken_egresses=tuple(broken),
        growth=growth and not by and probe is None,
        reasons=tuple(reasons if reasons is not None else told),
        held_by=by,
    )


def fixed(window: int = 300, *, by: str = "", broken: Sequence[str] = ()) -> Desired:
    return want((), window, stream="healthcare", by=by, broken=broken)


def running(*desired: Desired, clones: Iterable[Clone] = CLONES) -> Host:
    """A host that is as it should be."""
    host = Host(clones=clones)
    host.settle(*(desired or (want(), fixed())))
    return host


def kinds(steps: Steps) -> list[ActionKind]:
    return [action.kind for action in steps.actions]


def target_of(steps: Steps, stream: str = "trucking") -> StreamTarget:
    return next(one for one in steps.target.streams if one.stream == stream)


# -- a host that was never touched


def test_the_first_pass_sets_pool_and_governor() -> None:
    host = Host()
    steps = host.step(want(), fixed())
    assert host.pool == ("out05", "out06", "out08")
    assert [host.delay_s(egress) for egress in POOL] == [37] * 6  # retired ones as well
    assert [host.delay_s(egress) for egress in FIXED] == [25] * 2
    assert steps.urgent
    host.settle(want(), fixed())


def test_a_host_with_a_larger_pool_has_no_more_than_its_ladder_after_one_pass() -> None:
    host = Host({values.POOL: "randmap:{out05,out06,out07,out08,out09,out10}"})
    assert host.step(want(("out05", "out06", "out08")), fixed()).urgent
    assert host.pool == ("out05", "out06", "out08")


def test_a_host_with_a_smaller_pool_grows_one_step_a_pass() -> None:
    host = running(want(("out05",), 50), fixed())
    steps = host.step(want(), fixed())
    assert (kinds(steps), host.pool, steps.urgent) == ([ActionKind.RAISE_WINDOW], ("out05",), False)
    assert kinds(host.step(want(), fixed())) == [ActionKind.GROW_POOL]
    assert host.pool == ("out05", "out06", "out08")


def test_weights_that_somebody_gave_count_once() -> None:
    host = Host({values.POOL: "randmap:{out05,out05,out05,out06}"})
    host.settle(want(), fixed())
    assert host.pool == ("out05", "out06", "out08")


# -- the governor


def test_the_governor_holds_the_pool_to_its_window() -> None:
    host = running(want(window=50), fixed(50))
    assert allowed_per_hour(3, host.delay_s("out05")) <= 50
    assert allowed_per_hour(2, host.delay_s("hc1")) <= 50


def test_probing_rests_egresses_rather_than_exceed_a_handful() -> None:
    pool = ("out05", "out06", "out08", "out09")
    host = running(want(pool), fixed())
    steps = host.step(want(pool, probe=2), fixed())
    assert steps.urgent
    assert (len(host.pool), host.delay_s("out05")) == (2, 3601)
    host.settle(want(pool, probe=2), fixed())
    host.settle(want(pool), fixed())
    assert (set(host.pool), host.delay_s("out05")) == (set(pool), 49)


def test_a_stream_with_fixed_egresses_rests_them_by_deferring() -> None:
    host = running(want(), fixed(1))
    assert host.deferred == {"hc2"}
    assert host.actual.rate_delays["hc1"] == 3601
    host.settle(want(), fixed(1))
    host.settle(want(), fixed())
    assert host.deferred == set()


def test_a_pause_that_people_made_shorter_is_made_right_at_once() -> None:
    host = running()
    host.main["out06" + values.RATE_DELAY] = "1s"
    steps = host.step(want(), fixed())
    assert (kinds(steps), steps.urgent, host.delay_s("out06")) == ([ActionKind.LOWER_WINDOW], True, 37)


def test_a_longer_pause_stays_while_nothing_may_grow_and_goes_when_it_may() -> None:
    host = running()
    for egress in POOL:
        host.main[egress + values.RATE_DELAY] = "200s"
        host.owned.written[egress + values.RATE_DELAY] = "200s"
    steps = next_steps(host.actual, [want(growth=False), fixed()], SETTINGS)
    assert (steps.actions, target_of(steps).rate_delay_s) == ((), 190)  # as many in an hour as with 200
    assert kinds(host.step(want(), fixed())) == [ActionKind.RAISE_WINDOW]
    assert host.delay_s("out05") == 37


def test_without_the_governor_nothing_is_paced() -> None:
    free = settings_of(egresses=POOL, more=f"{LADDERS}\ngovernor = false")
    host = running()
    host.settle(want(), fixed(), settings=free)
    assert [host.delay_s(egress) for egress in POOL] == [0] * 6
    assert host.delay_s("hc1") == 25


# -- halts


def test_a_halt_is_a_pause_of_both_kinds_in_the_next_pass() -> None:
    host = running()
    steps = host.step(want(by=HALT), fixed())
    assert (kinds(steps), steps.urgent) == ([ActionKind.HALT], True)
    assert HALT in host.main[values.POOL]
    assert "randmap" not in host.main[values.POOL]
    assert set(POOL) <= host.deferred
    assert host.deferred.isdisjoint(FIXED)
    assert steps.target.keep_queued
    host.settle(want(by=HALT), fixed())


def test_the_halt_of_a_stream_with_fixed_egresses_leaves_the_pool_alone() -> None:
    host = running()
    before = host.main[values.POOL]
    host.step(want(), fixed(by="healthcare-spike-1"))
    assert host.main[values.POOL] == before
    assert host.deferred == set(FIXED)
    assert held_by(host.actual, "healthcare", SETTINGS.streams[HEALTHCARE]) == "healthcare-spike-1"
    host.settle(want(), fixed(by="healthcare-spike-1"))
    host.settle(want(), fixed())
    assert host.deferred == set()


def test_a_release_opens_with_the_pool_that_was_there() -> None:
    host = running()
    host.settle(want(by=HALT), fixed())
    steps = host.step(want(("out05", "out06", "out08", "out09"), probe=10), fixed())
    assert kinds(steps) == [ActionKind.LOWER_WINDOW, ActionKind.RELEASE]
    assert host.pool == ("out05", "out06", "out08")
    assert host.deferred == set()


def test_half_a_pause_is_none() -> None:
    stream = SETTINGS.streams[TRUCKING]
    for spoil in (values.POOL, values.DEFER):
        host = running()
        host.settle(want(by=HALT), fixed())
        if spoil == values.POOL:
            host.main[values.POOL] = "randmap:{out05}"
        else:
            host.main[values.DEFER] = host.main[values.DEFER].replace("out10", "")
        assert held_by(host.actual, "trucking", stream) == ""
        assert actual_stream(host.actual, want(), stream).sending
        assert pause_found(host.actual, "trucking", stream) == HALT
        assert kinds(host.step(want(by=HALT), fixed())) == [ActionKind.HALT]
        assert held_by(host.actual, "trucking", stream) == HALT


def test_half_a_pause_of_a_stream_that_may_send_is_taken_away() -> None:
    host = running()
    host.settle(want(by=HALT), fixed())
    del host.main[values.DEFER]
    host.step(want(), fixed())
    assert host.pool == ("out05", "out06", "out08")


def test_a_start_finds_any_trace_of_a_pause() -> None:
    stream = SETTINGS.streams[HEALTHCARE]
    host = running()
    assert pause_found(host.actual, "trucking", SETTINGS.streams[TRUCKING]) == ""
    host.settle(want(), fixed(by="healthcare-spike-1"))
    assert pause_found(host.actual, "healthcare", stream) == "healthcare-spike-1"
    del host.main[values.DEFER]
    assert held_by(host.actual, "healthcare", stream) == ""
    assert pause_found(host.actual, "healthcare", stream) == "healthcare-spike-1"


def test_a_pause_keeps_its_name_while_that_halt_stands() -> None:
    host = running()
    host.settle(want(by=HALT), fixed())
    two = replace(want(by="trucking-spike-1"), reasons=("spike (trucking-spike-1)", f"google-blocks ({HALT})"))
    assert next_steps(host.actual, [two, fixed()], SETTINGS).actions == ()
    assert target_of(next_steps(host.actual, [two, fixed()], SETTINGS)).paused_by == HALT
    steps = next_steps(host.actual, [want(by="trucking-spike-1"), fixed()], SETTINGS)
    assert (target_of(steps).paused_by, steps.urgent) == ("trucking-spike-1", False)


def test_a_stream_without_a_clone_is_held_by_what_is_left_and_again_when_they_return() -> None:
    host = Host({values.POOL: "randmap:{out05}"}, clones=())
    host.settle(want(by=HALT), fixed(by="healthcare-spike-1"))
    assert HALT in host.main[values.POOL]
    assert held_by(host.actual, "trucking", SETTINGS.streams[TRUCKING]) == HALT
    assert held_by(host.actual, "healthcare", SETTINGS.streams[HEALTHCARE]) == "healthcare-spike-1"
    host.clones = CLONES
    steps = host.step(want(by=HALT), fixed(by="healthcare-spike-1"))
    assert (kinds(steps).count(ActionKind.HALT), steps.urgent) == (2, True)
    assert host.deferred == {*POOL, *FIXED}


def test_queues_keep_their_mail_while_anything_is_held_or_somebody_says_so() -> None:
    host = running()
    assert not next_steps(host.actual, [want(), fixed()], SETTINGS).target.keep_queued
    assert next_steps(host.actual, [want(), fixed()], SETTINGS, keep_queued=True).target.keep_queued
    assert next_steps(host.actual, [want(), fixed(by="x")], SETTINGS).target.keep_queued


# -- egresses that can't be used


def test_a_broken_egress_leaves_the_pool_and_waits_and_its_place_is_taken_in_the_next_pass() -> None:
    host = running()
    wish = want(("out06", "out08", "out09"), broken=["out05"])
    steps = host.step(wish, fixed())
    assert (kinds(steps), steps.urgent) == ([ActionKind.SHRINK_POOL], True)
    assert (host.pool, host.deferred) == (("out06", "out08"), {"out05"})
    host.settle(wish, fixed())
    assert host.pool == ("out06", "out08", "out09")


def test_a_broken_egress_that_is_not_in_the_pool_waits_at_once_as_well() -> None:
    host = running()
    steps = host.step(want(broken=["out10"]), fixed(broken=["hc1"]))
    assert (steps.urgent, host.deferred) == (True, {"out10", "hc1"})
    host.settle(want(broken=["out10"]), fixed(broken=["hc1"]))
    assert host.actual.rate_delays["hc2"] == 13  # the whole window for the one that is left


def test_the_last_egress_is_swapped_and_the_pool_is_never_empty() -> None:
    host = running(want(("out05",)), fixed())
    host.step(want(("out06",), broken=["out05"]), fixed())
    assert host.pool == ("out06",)


def test_who_lacks_something_does_not_enter_and_who_is_there_stays() -> None:
    lame = tuple(replace(one, helo_name=None) if one.name in ("out06", "out08") else one for one in CLONES)
    host = Host({values.POOL: "randmap:{out06}"}, lame)
    host.settle(want(), fixed())
    assert set(host.pool) == {"out05", "out06"}


def test_where_nobody_may_take_the_place_of_a_retired_egress_the_stream_is_paused() -> None:
    lame = tuple(replace(one, helo_name=None) for one in CLONES)
    host = Host({values.POOL: "randmap:{out07}"}, lame)
    steps = host.step(want(("out05", "out06")), fixed())
    assert (steps.urgent, host.pool, set(POOL) <= host.deferred) == (True, (), True)
    assert host.actual.paused_by == no_egress_name("trucking")
    host.settle(want(("out05", "out06")), fixed())
    host.clones = CLONES
    assert kinds(host.step(want(("out05", "out06")), fixed())) == [ActionKind.SHRINK_POOL, ActionKind.RELEASE]
    assert host.pool == ("out05",)


def test_a_fit_egress_takes_the_place_even_if_it_is_not_the_first() -> None:
    lame = tuple(replace(one, helo_name=None) if one.name == "out05" else one for one in CLONES)
    host = Host({values.POOL: "randmap:{out07}"}, lame)
    host.step(want(("out05", "out06")), fixed())
    assert host.pool == ("out06",)


def test_where_there_is_no_pool_and_nobody_may_enter_nothing_is_written() -> None:
    lame = tuple(replace(one, helo_name=None) for one in CLONES)
    host = Host({}, lame)
    host.step(want(), fixed())
    assert values.POOL not in host.main
    host.step(want(by=HALT), fixed())  # a halt holds all the same
    assert held_by(host.actual, "trucking", SETTINGS.streams[TRUCKING]) == HALT


def test_a_clone_that_is_gone_from_a_paused_pool_does_not_make_the_window_drift() -> None:
    host = Host({values.POOL: "randmap:{out05,out06,out07}"}, CLONES[1:])
    wish = want(("out05",), 50)
    host.step(wish, fixed())
    before = host.actual.rate_delays
    host.settle(wish, fixed())
    assert (host.actual.paused_by, host.actual.rate_delays) == (no_egress_name("trucking"), before)


def test_a_pause_whose_pool_is_forgotten_stays_while_nobody_may_enter() -> None:
    host = Host({values.POOL: f"static:{{{values.PAUSED_TRANSPORT}:{HALT}}}"}, [replace(one, helo_name=None) for one in CLONES])
    host.step(want(), fixed())
    assert held_by(host.actual, "trucking", SETTINGS.streams[TRUCKING]) == no_egress_name("trucking")


# -- what goes along


def test_exempt_senders_and_excluded_domains_go_along() -> None:
    exempt = 'exempt_senders = ["root@example.org"]\nexempt_transport = "relay"'
    free = settings_of(egresses=POOL, more=f"{LADDERS}\n{exempt}")
    target = next_steps(running().actual, [want(), fixed()], free, excluded={"yahoo.com", "aol.com"}).target
    assert (target.exempt_senders, target.exempt_transport) == (("root@example.org",), "relay")
    assert target.excluded_domains == ("aol.com", "yahoo.com")


def test_a_host_without_a_pool_stream_needs_none() -> None:
    alone = SETTINGS.model_copy(update={"streams": {HEALTHCARE: SETTINGS.streams[HEALTHCARE]}})
    host = Host({values.POOL: "randmap:{out05}"})
    steps = host.step(fixed(by="x"), settings=alone)
    assert (steps.target.exempt_senders, steps.target.exempt_transport) == ((), "smtp")
    assert host.main[values.POOL] == "randmap:{out05}"


# -- properties

memories = st.builds(
    StreamMemory,
    warmup_start=st.sampled_from([START, START, None]),
    highest_day=st.integers(0, 8),
    pool_size=st.integers(0, 6),
    window_per_hour=st.sampled_from([0, 2, 50, 300]),
    capped_day=st.sampled_from([-1, -1, -1, int(NOW // DAY)]),
    step_back_days=st.integers(0, 8),
    unknown=st.sampled_from([(), (), ("log_silent",)]),
)
phases = st.sampled_from([HaltPhase.ACTIVE, HaltPhase.PROBING, HaltPhase.RECOVERING])


@st.composite
def wishes(draw: st.DrawFn) -> tuple[Desired, Desired]:
    """What the judgement wants of both streams, with whatever halts, caps, probes and broken egresses."""
    found = []
    for name, egresses in ((TRUCKING, POOL), (HEALTHCARE, FIXED)):
        halts = draw(st.lists(st.builds(_halt, st.just(name), phases, st.sampled_from([None, *egresses])), max_size=2))
        judge = StreamJudge(name, SETTINGS.streams[name], policy=POLICY, memory=draw(memories), halts=halts)
        found.append(desire(judge, NOW, broken=draw(st.sets(st.sampled_from(egresses), max_size=len(egresses)))))
    return found[0], found[1]


def _halt(stream: str, phase: HaltPhase, egress: str | None) -> Halt:
    return Halt(
        id=f"{stream}-{phase}-{egress or 'all'}",
        stream=stream,
        scope=Scope.STREAM if egress is None else Scope.EGRESS,
        subject=egress or stream,
        rule="rule",
        reason="no",
        evidence=(),
        started_at=START,
        hold_s=None,
        hold_until=None,
        phase=phase,
        phase_at=START,
        last_evidence_at=START,
    )


tables = st.lists(st.sampled_from([*POOL, "smtp", "gone"]), min_size=1, max_size=6).map(
    lambda pool: f"randmap:{{{','.join(pool)}}}"
)
edits_by_people = st.one_of(
    st.tuples(st.just("pool"), tables),
    st.tuples(st.just("pool in transport_maps"), tables),
    st.tuples(st.just("no pool"), st.just("")),
    st.tuples(st.just("defer"), st.sampled_from(["", "smtp", "out05", "hc1 smtp", "out05 out06 out07 out08 out09 out10"])),
    st.tuples(st.sampled_from(["pace"]), st.sampled_from([*POOL, *FIXED])),
    st.tuples(st.just("clone"), st.sampled_from([*POOL, *FIXED])),
    st.tuples(st.just("lame clone"), st.sampled_from([*POOL, *FIXED])),
    st.tuples(st.just("clones"), st.just("")),
)
plans = st.lists(st.tuples(wishes(), st.lists(edits_by_people, max_size=2)), min_size=1, max_size=6)
hosts = st.sampled_from(
    [
        {},
        {values.POOL: "randmap:{out05,out06,out07}"},
        {values.TRANSPORT_MAPS: "hash:/etc/postfix/transport, randmap:{out07,out05}"},
        {values.DEFER: "smtp", "maximal_queue_lifetime": "2d"},
    ]
)


def edited(host: Host, edit: tuple[str, str]) -> None:
    """Somebody else was here."""
    what, value = edit
    match what:
        case "pool":
            host.main[values.POOL] = value
        case "pool in transport_maps":
            host.main[values.TRANSPORT_MAPS] = value
        case "no pool":
            host.main.pop(values.POOL, None)
            host.main.pop(values.TRANSPORT_MAPS, None)
        case "defer":
            host.main[values.DEFER] = value
        case "pace":
            host.main.pop(value + values.RATE_DELAY, None)
        case "clone":
            host.clones = tuple(one for one in host.clones if one.name != value)
        case "lame clone":
            host.clones = tuple(replace(one, helo_name=None) if one.name == value else one for one in host.clones)
        case _:
            host.clones = CLONES


def check(host: Host, before: PostfixActual, pool: Desired, other: Desired, steps: Steps) -> None:
    """All that must hold after every pass, whatever was before."""
    stream, side = SETTINGS.streams[TRUCKING], SETTINGS.streams[HEALTHCARE]
    known = {one.name for one in host.clones}
    if not pool.sending:
        # Both mechanisms in the very next pass, at once unless they were there.
        assert values.paused_by(host.lists)
        assert "randmap" not in host.lists
        assert set(POOL) & known <= host.deferred
        assert steps.urgent or held_by(before, "trucking", stream)
        assert steps.target.keep_queued
    elif held_by(host.actual, "trucking", stream):
        # Held although it may send: only because nobody may take the place of what is there.
        assert host.actual.paused_by == no_egress_name("trucking")
        assert not [one for one in host.clones if one.name in pool.pool and not unfit(one)]
    else:
        assert set(host.pool) <= set(pool.pool)
        assert len(host.pool) == len(set(host.pool)) <= len(pool.pool)
        assert not {RETIRED, *pool.broken_egresses, "gone", "smtp"} & set(host.pool)
        assert host.pool or not values.has_pool(host.lists)
        if host.pool:
            slowest = min(host.delay_s(egress) for egress in host.pool)
            assert allowed_per_hour(len(host.pool), slowest) <= pool.window_per_hour
    assert "{}" not in host.lists
    able = [egress for egress in FIXED if egress in known and egress not in other.broken_egresses]
    if not other.sending:
        assert set(FIXED) & known <= host.deferred
    elif able:
        sending = [egress for egress in able if egress not in host.deferred]
        assert sending or (host.deferred - set(host.owned.deferred)) & set(FIXED)  # people's own entries stay
        paces = [host.delay_s(egress) for egress in sending]
        assert not sending or allowed_per_hour(len(sending), min(paces)) <= other.window_per_hour
    assert set(other.broken_egresses) & known <= host.deferred
    assert side.usable_egresses == FIXED


@settings(deadline=None)
@given(hosts, plans)
def test_whatever_is_wanted_and_whoever_edits_each_pass_ends_within_bounds(
    main: dict[str, str], plan: list[tuple[tuple[Desired, Desired], list[tuple[str, str]]]]
) -> None:
    host = Host(main)
    for (pool, other), people in plan:
        for edit in people:
            edited(host, edit)
        before = host.actual
        check(host, before, pool, other, host.step(pool, other))


@settings(deadline=None)
@given(hosts, plans)
def test_what_is_wanted_for_long_comes_to_rest_whoever_edited_before(
    main: dict[str, str], plan: list[tuple[tuple[Desired, Desired], list[tuple[str, str]]]]
) -> None:
    host = Host(main)
    for (pool, other), people in plan:
        for edit in people:
            edited(host, edit)
        host.step(pool, other)
    (pool, other), _ = plan[-1]
    host.settle(pool, other)
    held = held_by(host.actual, "trucking", SETTINGS.streams[TRUCKING])
    if pool.sending and not held and pool.growth:
        able = [one.name for one in host.clones if one.name in pool.pool and (one.name in host.pool or not unfit(one))]
        assert len(host.pool) == min(len(able), pool.window_per_hour)


@settings(deadline=None)
@given(wishes(), wishes(), st.lists(edits_by_people, max_size=2))
def test_one_stream_s_halt_is_nothing_to_the_other(
    one: tuple[Desired, Desired], two: tuple[Desired, Desired], people: list[tuple[str, str]]
) -> None:
    """The same stream beside two different ones is treated the same."""
    for first, second in ((0, 1), (1, 0)):
        results = []
        for beside in (one, two):
            host = Host({values.POOL: "randmap:{out05,out06}"})
            for edit in people:
                edited(host, edit)
            pair = [one[0], one[1]]
            pair[second] = beside[second]
            results.append(target_of(host.step(*pair), pair[first].stream))
        assert results[0] == results[1]


@pytest.mark.parametrize("maps", [{}, {values.TRANSPORT_MAPS: "regexp:/etc/postfix/special, randmap:{out05}"}])
def test_a_pool_in_transport_maps_is_paused_and_let_go_where_it_is(maps: dict[str, str]) -> None:
    host = Host(maps)
    host.settle(want(), fixed())
    host.settle(want(by=HALT), fixed())
    name = values.TRANSPORT_MAPS if maps else values.POOL
    assert HALT in host.main[name]
    host.settle(want(), fixed())
    assert host.pool == ("out05", "out06", "out08")
    assert values.has_pool(host.main[name])
