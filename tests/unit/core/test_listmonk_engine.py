"""What the running process may work with: nobody says so, and what is stored proves nothing."""

from __future__ import annotations

import math

from msgspec.structs import replace

from pwmtad.core.listmonk_engine import (
    GONE_AFTER_S,
    MAX_KEPT,
    Belief,
    expect_restart,
    has_sent,
    is_settled,
    is_watched,
    miss,
    see,
)
from pwmtad.model.listmonk import ListmonkActual
from tests.unit.core.listmonk_values import FRESH, actual, campaign, looked_at, ours


def test_before_the_first_look_nothing_is_believed() -> None:
    assert Belief().live == frozenset()
    assert not is_settled(Belief(), 1000.0)


def test_at_the_first_look_what_is_stored_is_in_force_unless_a_restart_is_needed() -> None:
    assert see(Belief(), actual(engine=FRESH), 0.0).live == {FRESH}
    assert see(Belief(), actual(engine=FRESH, needs_restart=True), 0.0).live == {FRESH, None}


def test_a_change_of_what_is_stored_leaves_open_what_is_in_force() -> None:
    belief = see(looked_at(actual(engine=FRESH)), actual(engine=ours(), needs_restart=True), 1.0)
    assert belief.live == {FRESH, ours()}


def test_a_restart_that_is_not_needed_any_more_has_taken_place() -> None:
    belief = see(looked_at(actual(engine=FRESH)), actual(engine=ours(), needs_restart=True), 1.0)
    assert see(belief, actual(engine=ours()), 2.0).live == {ours()}


def test_settings_that_can_not_be_read_change_nothing() -> None:
    belief = looked_at(actual(engine=FRESH))
    after = see(belief, ListmonkActual((), True), 1.0)
    assert after == replace(belief, looks=belief.looks + 1, last_at=1.0)


def test_somebody_who_changes_the_settings_on_and_on_leaves_nothing_known() -> None:
    belief = Belief()
    for number in range(MAX_KEPT + 5):
        belief = see(belief, actual(engine=ours(batch=number + 1)), float(number))
    assert None in belief.live
    assert len(belief.live) <= MAX_KEPT


# -- restarts


def changed() -> Belief:
    """Return what is believed just after our change was answered with a restart."""
    return expect_restart(see(looked_at(actual(engine=FRESH)), actual(engine=ours()), 0.0), 0.0)


def test_the_old_process_still_answers_for_half_a_second() -> None:
    assert see(changed(), actual(), 0.5).restart is not None
    assert see(see(changed(), actual(), 0.5), actual(), 0.9).live == {FRESH, ours()}


def test_after_a_closed_port_two_good_looks_are_enough() -> None:
    belief = see(miss(changed()), actual(), 1.5)
    assert belief.restart is not None
    belief = see(belief, actual(), 2.5)
    assert (belief.restart, belief.live, belief.restarts) == (None, frozenset({ours()}), 1)


def test_without_a_closed_port_it_is_waited_until_the_old_process_must_be_gone() -> None:
    belief = see(see(changed(), actual(), 2.0), actual(), GONE_AFTER_S - 0.1)
    assert belief.restart is not None
    belief = see(see(belief, actual(), GONE_AFTER_S), actual(), GONE_AFTER_S + 1)
    assert (belief.restart, belief.live) == (None, frozenset({ours()}))


def test_a_look_that_fails_in_between_begins_the_counting_anew() -> None:
    belief = miss(see(miss(changed()), actual(), 2.0))
    assert see(belief, actual(), 3.0).restart is not None


def test_a_process_that_still_needs_a_restart_has_not_restarted() -> None:
    busy = actual(needs_restart=True)
    belief = see(see(changed(), busy, GONE_AFTER_S), busy, GONE_AFTER_S + 1)
    assert belief.restart is None
    assert belief.restarts == 0
    assert belief.live == {FRESH, ours()}


def test_a_failed_look_at_an_instance_that_does_not_restart_proves_nothing() -> None:
    belief = looked_at(actual(engine=FRESH))
    assert miss(belief) == replace(belief, last_at=None)


def test_a_restart_drains_every_campaign() -> None:
    belief = see(expect_restart(looked_at(actual(campaign(12, "paused"))), 0.0), actual(campaign(12, "paused")), 6.0)
    assert belief.waiting[12] == -100.0
    assert see(belief, actual(campaign(12, "paused")), 7.0).waiting[12] == -math.inf


def test_what_was_paused_since_the_restart_drains_in_the_new_process() -> None:
    belief = miss(expect_restart(looked_at(actual(campaign(12))), 0.0))
    belief = see(see(belief, actual(campaign(12)), 2.0), actual(campaign(12, "paused")), 2.5)
    assert belief.restart is None
    assert belief.waiting == {12: 2.5}


# -- campaigns


def test_a_campaign_has_sent_when_its_count_has_grown_since_it_was_first_seen_running() -> None:
    belief = looked_at(actual(campaign(12, sent=40)))
    assert not has_sent(belief, 12, 40)
    assert has_sent(belief, 12, 41)
    assert not has_sent(belief, 13, 41)
    paused = see(belief, actual(campaign(12, "paused", sent=41)), 1.0)
    assert not has_sent(see(paused, actual(campaign(12, sent=41)), 2.0), 12, 41)


def test_looks_that_are_far_apart_may_have_missed_somebody() -> None:
    belief = see(Belief(), actual(), 0.0)
    assert not is_watched(Belief(), 0.0)
    assert is_watched(belief, 30.0)
    assert not is_watched(belief, 30.1)
    assert not is_watched(miss(belief), 1.0)
    assert is_watched(miss(expect_restart(belief, 0.5)), 1.0)


def test_enough_was_seen_after_two_looks_and_six_seconds() -> None:
    once = see(Belief(), actual(), 0.0)
    assert not is_settled(once, 60.0)
    assert not is_settled(see(once, actual(), 1.0), 5.9)
    assert is_settled(see(once, actual(), 1.0), 6.0)
