"""Whose pause it is: what is ours, what is in doubt, and what becomes of it."""

from __future__ import annotations

import pytest

from pwmtad.core.listmonk_campaigns import (
    FIRST_LOOK_S,
    MAX_HELD,
    RESTART_S,
    ask,
    keep,
    ours,
    paused,
    release,
    released,
    running_of,
    settle,
    unseen,
    unsure,
)
from pwmtad.model.listmonk import Campaign, Holding, ListmonkMemory, Outcome
from tests.unit.core.listmonk_values import NOW, SERVER, actual, campaign, held


def memory(*campaigns: object) -> ListmonkMemory:
    return ListmonkMemory(campaigns=tuple(campaigns))  # type: ignore[arg-type]


def after(held_: object, *seen: Campaign, now: float = NOW, complete: bool = True) -> ListmonkMemory:
    return settle(memory(held_), actual(*seen, complete=complete), now).memory


def test_only_what_runs_is_asked_for_and_what_was_thought_of_it_before_is_forgotten() -> None:
    before = memory(held(12, Holding.UNSURE), held(13))
    asked = ask(before, [campaign(12), campaign(14, "scheduled")], NOW, 90.0)
    assert asked.campaigns == (held(12, Holding.ASKED, first_at=None, last_at=None), held(13))


@pytest.mark.parametrize(
    ("outcome", "holding"),
    [
        (Outcome.DONE, Holding.OURS),
        (Outcome.UNSURE, Holding.ASKED),
        (Outcome.REFUSED, None),
        (Outcome.NOT_SENT, None),
        (Outcome.FORBIDDEN, None),
    ],
)
def test_a_pause_is_ours_only_if_listmonk_granted_it(outcome: Outcome, holding: Holding | None) -> None:
    asked = ask(memory(held(13)), [campaign(12)], NOW, 90.0)
    found = paused(asked, {12: outcome, 13: outcome}).campaigns
    assert [one.holding for one in found if one.id == 12] == ([] if holding is None else [holding])
    assert held(13) in found


@pytest.mark.parametrize(
    ("outcome", "holding"),
    [
        (Outcome.DONE, None),
        (Outcome.REFUSED, None),
        (Outcome.UNSURE, Holding.RELEASING),
        (Outcome.NOT_SENT, Holding.OURS),
        (Outcome.FORBIDDEN, Holding.OURS),
    ],
)
def test_what_was_resumed_or_refused_is_nobodys_any_more(outcome: Outcome, holding: Holding | None) -> None:
    found = released(release(memory(held(12), held(13)), [held(12)]), {12: outcome, 13: outcome}).campaigns
    assert [one.holding for one in found if one.id == 12] == ([] if holding is None else [holding])
    assert held(13) in found


def test_a_release_that_was_not_asked_for_is_taken_back() -> None:
    before = memory(held(12), held(13))
    assert keep(release(before, [held(12)]), [held(12)]) == before


@pytest.mark.parametrize("status", ["running", "scheduled", "draft", "something new"])
@pytest.mark.parametrize("holding", list(Holding))
def test_what_is_not_paused_any_more_is_nobodys(status: str, holding: Holding) -> None:
    assert after(held(12, holding), campaign(12, status)).campaigns == ()


@pytest.mark.parametrize("holding", list(Holding))
def test_what_is_gone_is_forgotten_but_only_if_the_list_is_whole(holding: Holding) -> None:
    assert after(held(12, holding)).campaigns == ()
    assert after(held(12, holding), complete=False).campaigns == (held(12, holding),)


def test_another_campaign_of_the_same_number_is_not_ours() -> None:
    other = Campaign(12, "another", "News", "paused", SERVER)
    assert after(held(12), other).campaigns == ()


def test_a_pause_whose_answer_was_lost_is_nobodys() -> None:
    found = settle(memory(held(12, Holding.ASKED)), actual(campaign(12, "paused")), NOW)
    assert [one.holding for one in found.memory.campaigns] == [Holding.UNSURE]
    assert [one.id for one in found.given_up] == [12]
    assert unsure(found.memory) == found.memory.campaigns
    again = settle(found.memory, actual(campaign(12, "paused")), NOW + 60)
    assert again.given_up == ()
    assert again.memory is found.memory


def test_a_pause_is_ours_to_resume_once_it_was_seen() -> None:
    granted = held(12, first_at=None, last_at=None)
    assert ours(memory(granted)) == ()
    seen = after(granted, campaign(12, "paused"), now=NOW + 1)
    assert ours(seen) == (held(12, seen_at=NOW + 1),)


@pytest.mark.parametrize("late", [FIRST_LOOK_S + 1, -1])
def test_a_pause_that_is_first_seen_late_may_be_a_persons(late: float) -> None:
    seen = after(held(12, first_at=None, last_at=None), campaign(12, "paused"), now=NOW + late)
    assert ours(seen) == ()


def test_listmonks_own_counting_after_a_pause_does_not_matter() -> None:
    drained = campaign(12, "paused", updated_at=SERVER + 89)
    seen = after(held(12), drained, now=NOW + 5000)
    assert ours(seen) == (held(12, last_at=SERVER + 89, seen_at=NOW + 5000),)
    assert settle(seen, actual(drained), NOW + 9000).memory is seen


def test_a_change_that_nobody_watched_may_be_a_persons_pause() -> None:
    seen = actual(campaign(12, "paused", updated_at=SERVER + 89))
    assert ours(settle(memory(held(12)), seen, NOW, watched=False).memory) == ()
    unchanged = actual(campaign(12, "paused"))
    assert ours(settle(memory(held(12)), unchanged, NOW, watched=False).memory) == (held(12),)


def test_what_drains_while_pwmtad_restarts_stays_its_own() -> None:
    before = after(held(12, first_at=None, last_at=None), campaign(12, "paused"), now=NOW + 1)
    drained = actual(campaign(12, "paused", updated_at=SERVER + 9))
    found = settle(before, drained, NOW + 1 + RESTART_S, watched=False, is_first=True)
    assert [one.id for one in ours(found.memory)] == [12]
    assert found.given_up == ()


@pytest.mark.parametrize("gone", [RESTART_S + 0.1, 3600.0, -1.0])
def test_a_change_while_pwmtad_was_away_for_longer_or_its_clock_stepped_back_may_be_a_persons_pause(gone: float) -> None:
    before = after(held(12, first_at=None, last_at=None), campaign(12, "paused"), now=NOW + 2)
    drained = actual(campaign(12, "paused", updated_at=SERVER + 9))
    found = settle(before, drained, NOW + 2 + gone, watched=False, is_first=True)
    assert ours(found.memory) == ()
    assert [one.id for one in found.given_up] == [12]


def test_a_restart_later_than_listmonk_drains_makes_nobodys_change_its_own() -> None:
    late = actual(campaign(12, "paused", updated_at=SERVER + 91))
    assert ours(settle(memory(held(12, seen_at=NOW + 90)), late, NOW + 91, watched=False, is_first=True).memory) == ()


def test_a_change_that_came_while_looks_failed_may_be_a_persons_pause_also_after_a_restart() -> None:
    before = after(held(12, first_at=None, last_at=None), campaign(12, "paused"), now=NOW + 1)
    drained = actual(campaign(12, "paused", updated_at=SERVER + 9))
    assert ours(settle(before, drained, NOW + 3, watched=False).memory) == ()
    assert ours(settle(unseen(before), drained, NOW + 3, watched=False, is_first=True).memory) == ()
    unchanged = actual(campaign(12, "paused"))
    assert [one.id for one in ours(settle(unseen(before), unchanged, NOW + 3, watched=False, is_first=True).memory)] == [12]


def test_that_it_is_paused_is_noted_every_few_seconds_and_only_until_it_has_drained() -> None:
    seen = after(held(12, first_at=None, last_at=None), campaign(12, "paused"), now=NOW)
    still = actual(campaign(12, "paused"))
    assert settle(seen, still, NOW + 1).memory is seen
    later = settle(seen, still, NOW + 60).memory
    assert later.campaigns == (held(12, seen_at=NOW + 60),)
    assert settle(later, still, NOW + 90 + FIRST_LOOK_S + 1).memory is later


def test_a_campaign_that_somebody_changed_while_it_was_ours_is_not_resumed() -> None:
    found = settle(memory(held(12)), actual(campaign(12, "paused", updated_at=SERVER + 91)), NOW + 91)
    assert ours(found.memory) == ()
    assert [one.id for one in found.given_up] == [12]


def test_a_resume_whose_answer_was_lost_and_that_never_arrived_is_still_ours() -> None:
    assert ours(after(held(12, Holding.RELEASING), campaign(12, "paused"))) == (held(12),)


def test_a_resume_whose_answer_was_lost_and_that_somebody_paused_again_is_not_ours() -> None:
    found = after(held(12, Holding.RELEASING), campaign(12, "paused", updated_at=SERVER + 3))
    assert [one.holding for one in found.campaigns] == [Holding.UNSURE]


def test_what_runs_is_told_apart_from_what_waits() -> None:
    seen = actual(campaign(1), campaign(2, "paused"), campaign(3, "scheduled"))
    assert [one.id for one in running_of(seen)] == [1]


def test_no_more_is_remembered_than_was_ever_seen_to_run_at_once() -> None:
    many = ask(ListmonkMemory(), [campaign(number) for number in range(1, MAX_HELD + 10)], NOW, 90.0)
    assert len(many.campaigns) == MAX_HELD
