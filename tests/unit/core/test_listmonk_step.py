"""The next step: what is paused, set and resumed, in which order, and what is left alone."""

from __future__ import annotations

import math

import pytest
from msgspec.structs import replace

from pwmtad.core.listmonk_engine import Belief, expect_restart, see
from pwmtad.core.listmonk_plan import Fit, window_plan
from pwmtad.core.listmonk_step import UNREAD_S, Pause, Rest, Resume, SetWindow, Wait, next_step
from pwmtad.core.listmonk_versions import traits_of
from pwmtad.core.listmonk_window import BATCH, DURATION, FLAG, RATE
from pwmtad.model.listmonk import (
    EngineSettings,
    HandWindow,
    Holding,
    ListmonkActual,
    ListmonkMemory,
    ListmonkTarget,
    SendWindow,
    Writing,
)
from tests.unit.core.listmonk_values import (
    FRESH,
    HALTED,
    SENDING,
    actual,
    campaign,
    held,
    looked_at,
    ours,
    view,
    window,
)

MINE = ListmonkMemory(campaigns=(held(12),), window=window(), per_hour=300)
TYPED = EngineSettings(True, 300, 3600.0, 1000, "1h")


def ids(step: object) -> list[int]:
    assert isinstance(step, Pause | Resume), step
    return [one.id for one in step.campaigns]


# -- at rest


def test_while_all_is_as_it_should_be_nothing_is_done() -> None:
    assert next_step(view(actual(campaign(12), campaign(13, "paused")))) == Rest()


# -- halts


def test_in_a_halt_everything_that_runs_is_paused_and_what_is_scheduled_is_left() -> None:
    seen = actual(campaign(1), campaign(2, "scheduled"), campaign(3, "paused"), campaign(4))
    step = next_step(view(seen, HALTED))
    assert ids(step) == [1, 4]
    assert isinstance(step, Pause)
    assert step.why == "google-blocks (x)"


def test_a_halt_without_reasons_is_a_halt() -> None:
    step = next_step(view(actual(campaign(1)), replace(HALTED, reasons=())))
    assert step == Pause((campaign(1),), "the stream is held")


def test_a_halt_pauses_at_the_very_first_look_and_while_a_restart_is_awaited() -> None:
    seen = actual(campaign(1), engine=FRESH)
    first = view(seen, HALTED, belief=see(Belief(), seen, 0.0))
    assert ids(next_step(first)) == [1]
    assert ids(next_step(replace(first, belief=expect_restart(first.belief, 0.0)))) == [1]


def test_a_halt_pauses_although_version_and_settings_can_not_be_read() -> None:
    seen = ListmonkActual((campaign(1),), complete=False, blind="settings: 500")
    assert ids(next_step(view(seen, HALTED, belief=Belief()))) == [1]
    assert next_step(view(seen, SENDING, belief=Belief())) == Wait("settings: 500")
    assert next_step(view(ListmonkActual((), True), HALTED, belief=Belief())) == Wait("")


def test_a_version_that_is_too_old_is_only_paused() -> None:
    old = actual(campaign(1), version="v2.5.1", engine=FRESH)
    assert ids(next_step(view(old, HALTED))) == [1]
    step = next_step(view(old))
    assert isinstance(step, Wait)
    assert "v2.5.1 is not supported" in step.why


def test_in_a_halt_nothing_is_resumed_and_nothing_raised() -> None:
    slow = actual(campaign(12, "paused"), engine=ours(50))
    assert next_step(view(slow, HALTED, replace(MINE, window=window(50)))) == Wait("google-blocks (x)")


def test_in_a_halt_a_window_that_is_too_large_is_lowered_all_the_same() -> None:
    step = next_step(view(actual(engine=FRESH), HALTED))
    assert isinstance(step, SetWindow)
    assert not step.grows


# -- release


def test_after_a_release_only_what_is_ours_and_was_seen_paused_is_resumed() -> None:
    memory = replace(MINE, campaigns=(held(12), held(13, Holding.UNSURE), held(14, Holding.ASKED), held(15, first_at=None)))
    seen = actual(*(campaign(number, "paused") for number in (12, 13, 14, 15, 16)))
    assert ids(next_step(view(seen, memory=memory))) == [12]


def test_i13_what_a_human_paused_is_never_resumed() -> None:
    assert next_step(view(actual(campaign(12, "paused")))) == Rest()


@pytest.mark.parametrize(
    "change",
    [
        {"complete": False},
        {"blind": "settings: timeout"},
        {"engine": None},
    ],
)
def test_whoever_can_not_see_everything_resumes_nothing(change: dict[str, object]) -> None:
    good = actual(campaign(12, "paused"))
    step = next_step(view(replace(good, **change), memory=MINE, belief=looked_at(good)))
    assert isinstance(step, Wait)


def test_just_after_the_start_nothing_is_resumed() -> None:
    seen = actual(campaign(12, "paused"))
    step = next_step(view(seen, memory=MINE, belief=looked_at(seen, since=3.0)))
    assert step == Wait("it was looked at for too short a time")


def test_while_a_restart_is_awaited_nothing_is_resumed() -> None:
    seen = actual(campaign(12, "paused"))
    step = next_step(view(seen, memory=MINE, belief=expect_restart(looked_at(seen), 0.0)))
    assert step == Wait("Listmonk restarts")


def test_while_the_window_in_force_may_be_too_large_nothing_is_resumed() -> None:
    seen = actual(campaign(12, "paused"), needs_restart=True)
    step = next_step(view(seen, memory=MINE))
    assert step == SetWindow(Writing(ours(), window(), 2, 300), ((FLAG, True),), False, step.why)  # type: ignore[union-attr]
    assert "nobody knows with which it does" in step.why


@pytest.mark.parametrize("version", ["v3.0.0", "v4.1.0", "v5.1.0", "v6.0.0", "v6.2.0"])
def test_campaigns_are_resumed_only_when_they_have_drained_or_restarted(version: str) -> None:
    """#2313: resumed too fast, a campaign is marked finished and its rest is lost; since v5 all of it is dropped first."""
    batch, extra = 100 if version.startswith("v3") else 2, int(version < "v6.1")
    seen = actual(campaign(12, "paused"), engine=ours(300, extra, batch), version=version)
    memory = replace(MINE, window=window(300, extra))
    just = view(seen, memory=memory, belief=looked_at(seen, since=80.0))
    assert next_step(just) == Wait("Listmonk still works through what it had fetched of paused campaigns")
    assert ids(next_step(replace(just, belief=looked_at(seen, since=95.0)))) == [12]
    restarted = replace(just.belief, waiting={12: -math.inf})
    assert ids(next_step(replace(just, belief=restarted))) == [12]


# -- the window


def test_i10_a_fresh_installation_is_paused_first_and_set_then_and_never_to_0() -> None:
    running = actual(campaign(12), engine=FRESH)
    assert ids(next_step(view(running))) == [12]
    step = next_step(view(actual(campaign(12, "paused"), engine=FRESH)))
    assert isinstance(step, SetWindow)
    assert step.changes == ((BATCH, 2), (FLAG, True), (RATE, 2), (DURATION, "25s"))


def test_a_window_that_is_too_large_is_not_written_again_at_once() -> None:
    step = next_step(view(actual(engine=FRESH), write_due=10.0))
    assert step == Wait("its send window limits nothing")


def test_settings_that_can_not_be_read_now_are_not_written() -> None:
    seen = actual(campaign(1, "paused"), engine=FRESH)
    blind = view(replace(seen, engine=None, blind="500"), belief=looked_at(seen))
    assert next_step(blind) == Wait("its send window limits nothing")


def test_a_window_that_could_not_be_read_yet_is_borne_for_a_while() -> None:
    seen = replace(actual(campaign(1)), engine=None, blind="500")
    early = view(seen, belief=looked_at(seen, since=UNREAD_S - 1))
    assert next_step(early) == Rest()
    assert ids(next_step(replace(early, belief=looked_at(seen, since=UNREAD_S)))) == [1]


def test_a_batch_that_is_larger_than_the_rate_is_made_smaller_and_a_smaller_one_stays() -> None:
    step = next_step(view(actual(engine=ours(batch=1000))))
    assert isinstance(step, SetWindow)
    assert step.changes == ((BATCH, 2),)
    assert next_step(view(actual(engine=ours(batch=1)))) == Rest()


def test_in_version_3_a_batch_is_not_made_smaller_than_a_hundred() -> None:
    assert next_step(view(actual(engine=ours(300, 1, 60), version="v3.0.0"))) == Rest()
    step = next_step(view(actual(engine=ours(300, 1, 1000), version="v3.0.0")))
    assert isinstance(step, SetWindow)
    assert step.changes == ((BATCH, 100),)


# -- growth


GROWN = actual(campaign(12, sent=7), engine=ours(50))
AT_50 = ListmonkMemory(window=window(50), per_hour=50)


def grown(**changes: object) -> object:
    first = actual(campaign(12, sent=6), engine=ours(50))
    return next_step(replace(view(GROWN, memory=AT_50, belief=looked_at(first)), **changes))


def test_a_rung_up_pauses_sets_and_resumes() -> None:
    step = grown()
    assert ids(step) == [12]
    paused = actual(campaign(12, "paused"), engine=ours(50))
    step = next_step(view(paused, memory=replace(AT_50, campaigns=(held(12),))))
    assert step == SetWindow(Writing(ours(50), window(), 2, 300), ((DURATION, "25s"),), True, "the ladder allows 300 an hour")
    waits = next_step(view(paused, memory=replace(AT_50, campaigns=(held(12),)), write_due=5.0))
    assert waits == Wait("the ladder allows 300 an hour")


@pytest.mark.parametrize(
    "changes",
    [
        {"target": replace(SENDING, may_grow=False)},
        {"grow_due": 10.0},
        {"actual": replace(GROWN, complete=False)},
        {"belief": looked_at(actual(campaign(12, sent=6), engine=ours(50)), since=3.0)},
    ],
)
def test_nothing_grows_while_growth_is_frozen_or_something_is_not_known(changes: dict[str, object]) -> None:
    assert grown(**changes) == Rest()


def test_while_a_rung_up_waits_what_was_paused_for_it_is_resumed() -> None:
    paused = actual(campaign(12, "paused"), engine=ours(50))
    memory = replace(AT_50, campaigns=(held(12),))
    assert ids(next_step(view(paused, replace(SENDING, may_grow=False), memory))) == [12]


@pytest.mark.parametrize(("version", "waits"), [("v6.0.0", True), ("v6.1.0", False)])
def test_a_campaign_that_has_sent_nothing_yet_is_not_paused_for_growth_where_that_spoils_it(version: str, waits: bool) -> None:
    extra = int(version == "v6.0.0")
    seen = actual(campaign(12, sent=6), engine=ours(50, extra), version=version)
    memory = ListmonkMemory(window=window(50, extra), per_hour=50)
    step = next_step(view(seen, memory=memory))
    assert isinstance(step, Rest if waits else Pause)
    assert isinstance(next_step(view(seen, HALTED, memory)), Pause)


def test_the_day_is_left_some_room_for_what_one_window_lets_out() -> None:
    assert ids(next_step(view(actual(campaign(12)), replace(SENDING, room_today=1)))) == [12]
    assert next_step(view(actual(campaign(12)), replace(SENDING, room_today=2))) == Rest()
    assert next_step(view(actual(campaign(12)), replace(SENDING, room_today=None))) == Rest()


# -- plans


def plan(engine: EngineSettings, memory: ListmonkMemory | None = None, per_hour: int = 300, version: str = "v6.2.0") -> object:
    seen = actual(engine=engine, version=version)
    return window_plan(looked_at(seen), memory or ListmonkMemory(), per_hour, traits_of(version))


def test_a_window_by_hand_that_is_within_the_ladder_is_left_as_it_is() -> None:
    by_hand = replace(TYPED, rate=90, batch_size=90)
    memory = ListmonkMemory(hand=HandWindow(by_hand, 90))
    assert window_plan(looked_at(actual(engine=by_hand)), memory, 300, traits_of("v6.2.0")).fit is Fit.RIGHT


def test_a_window_by_hand_gets_a_batch_that_drains_within_one_window() -> None:
    by_hand = replace(TYPED, rate=90)
    memory = ListmonkMemory(hand=HandWindow(by_hand, 90))
    found = window_plan(looked_at(actual(engine=by_hand)), memory, 300, traits_of("v6.2.0"))
    assert (found.fit, found.changes) == (Fit.BELOW, ((BATCH, 90),))
    assert found.writing == Writing(by_hand, SendWindow(90, 3600), 90, 90)


@pytest.mark.parametrize("change", [{"rate": 1}, {"duration_s": 86_400.0}, {"duration_s": 90.5, "rate": 2}])
def test_a_window_by_hand_in_a_form_that_pwmtad_does_not_write_is_left_wholly(change: dict[str, float]) -> None:
    by_hand = replace(TYPED, **{"rate": 90, **change})
    memory = ListmonkMemory(hand=HandWindow(by_hand, 20))
    found = window_plan(looked_at(actual(engine=by_hand)), memory, 300, traits_of("v6.2.0"))
    assert (found.fit, found.writing) == (Fit.RIGHT, None)


def test_a_window_by_hand_that_could_exceed_an_hour_is_made_safe_and_no_larger() -> None:
    by_hand = replace(TYPED, rate=200)
    memory = ListmonkMemory(hand=HandWindow(by_hand, 200))
    found = window_plan(looked_at(actual(engine=by_hand)), memory, 300, traits_of("v6.2.0"))
    assert found.fit is Fit.ABOVE
    assert "600 out within an hour" in found.why
    assert found.writing == Writing(by_hand, window(200), 2, 200)


def test_a_rung_for_which_there_is_no_window_holds() -> None:
    seen = actual(campaign(12), engine=ours())
    step = next_step(view(seen, ListmonkTarget(True, 5, True)))
    assert isinstance(step, Pause)
    paused = actual(campaign(12, "paused"), engine=ours())
    assert next_step(view(paused, ListmonkTarget(True, 5, True))) == Wait("no send window is small enough for 5 an hour")


def test_a_change_under_way_keeps_what_was_before_it() -> None:
    before = Writing(FRESH, window(), 2, 300)
    half = replace(FRESH, limited=True)
    found = window_plan(looked_at(actual(engine=half)), ListmonkMemory(writing=before), 300, traits_of("v6.2.0"))
    assert found.writing == before
    other = window_plan(looked_at(actual(engine=half)), ListmonkMemory(writing=before), 50, traits_of("v6.2.0"))
    assert other.writing == Writing(half, window(50), 2, 50)


def test_what_may_be_in_force_besides_what_is_stored_decides() -> None:
    seen = actual(engine=ours())
    belief = replace(looked_at(seen), live=frozenset({ours(), TYPED}))
    found = window_plan(belief, ListmonkMemory(), 300, traits_of("v6.2.0"))
    assert found.fit is Fit.ABOVE
    assert found.changes == ((FLAG, True),)
    assert found.let_out == 300


def test_nothing_is_planned_before_the_settings_were_read() -> None:
    assert window_plan(Belief(), ListmonkMemory(), 300, traits_of("v6.2.0")).fit is Fit.UNKNOWN


def test_a_larger_window_in_another_form_is_put_into_ours_when_that_may_be() -> None:
    found = window_plan(looked_at(actual(engine=replace(TYPED, rate=95))), ListmonkMemory(), 300, traits_of("v6.2.0"))
    assert found.fit is Fit.BELOW
    assert found.writing is not None
    assert found.writing.window == SendWindow(2, 25)
