"""A window that a person set: a larger one is lowered and reported, a smaller one stays."""

from __future__ import annotations

from msgspec.structs import replace

from pwmtad.core.listmonk_hand import allowed_per_hour, notice
from pwmtad.model.listmonk import EngineSettings, HandWindow, ListmonkMemory, SendWindow, Writing
from tests.unit.core.listmonk_values import FRESH, ours, window


def typed(rate: int, duration_s: float = 3600.0, *, limited: bool = True) -> EngineSettings:
    return EngineSettings(limited, rate, duration_s, 1000, "1h")


SET = ListmonkMemory(window=window(), per_hour=300)


def test_a_fresh_installation_is_found_and_means_no_wish() -> None:
    noticed = notice(ListmonkMemory(), FRESH, 300, 0)
    assert noticed.news == HandWindow(FRESH, None)
    assert noticed.first
    assert allowed_per_hour(noticed.memory, 300) == 300
    assert notice(noticed.memory, FRESH, 300, 0).news is None


def test_a_smaller_window_that_nobody_remembers_counts_as_a_persons_wish() -> None:
    noticed = notice(ListmonkMemory(), typed(100), 300, 0)
    assert noticed.news == HandWindow(typed(100), 100)
    assert allowed_per_hour(noticed.memory, 300) == 100
    assert allowed_per_hour(noticed.memory, 50) == 50


def test_our_own_window_of_todays_rung_is_no_wish_though_nobody_remembers_it() -> None:
    noticed = notice(ListmonkMemory(), ours(), 300, 0)
    assert noticed.news == HandWindow(ours(), None)


def test_what_we_set_is_no_news() -> None:
    noticed = notice(SET, ours(), 300, 0)
    assert (noticed.memory, noticed.news) == (SET, None)
    assert notice(SET, ours(batch=1000), 300, 0).news is None


def test_a_window_that_somebody_raised_is_news_each_time_anew() -> None:
    first = notice(SET, typed(5000), 300, 0)
    assert first.news == HandWindow(typed(5000), None)
    assert not first.first
    lowered = notice(first.memory, ours(), 300, 0)
    assert lowered.memory == SET
    assert notice(lowered.memory, typed(5000), 300, 0).news is not None


def test_a_window_that_somebody_lowered_stays_when_the_ladder_goes_up_and_until_somebody_sets_a_larger_one() -> None:
    lowered = notice(SET, typed(40), 300, 0)
    assert lowered.news == HandWindow(typed(40), 40)
    ours_of_40 = replace(lowered.memory, window=SendWindow(2, 225))
    kept = notice(ours_of_40, EngineSettings(True, 2, 225.0, 2, "225s"), 1000, 0)
    assert allowed_per_hour(kept.memory, 1000) == 40
    raised = notice(kept.memory, typed(2000), 1000, 0)
    assert allowed_per_hour(raised.memory, 1000) == 1000


def test_a_window_that_was_switched_off_is_news_and_no_wish() -> None:
    noticed = notice(SET, replace(ours(), limited=False), 300, 0)
    assert noticed.news is not None
    assert noticed.news.per_hour is None


def test_with_a_rung_that_no_window_can_hold_nobody_has_a_wish() -> None:
    assert notice(ListmonkMemory(), typed(1), 3, 0).news == HandWindow(typed(1), None)


# -- while we write


WRITING = Writing(FRESH, window(), 2, 300)


def test_half_of_our_own_change_is_nobodys_wish() -> None:
    memory = ListmonkMemory(hand=HandWindow(FRESH, None), writing=WRITING)
    for half in (FRESH, replace(FRESH, limited=True), replace(FRESH, limited=True, rate=2)):
        noticed = notice(memory, half, 300, 0)
        assert (noticed.memory, noticed.news) == (memory, None)


def test_a_change_that_is_stored_as_a_whole_is_ours_from_then_on() -> None:
    noticed = notice(ListmonkMemory(hand=HandWindow(FRESH, None), writing=WRITING), ours(batch=1000), 300, 0)
    assert noticed.memory == ListmonkMemory(hand=HandWindow(FRESH, None), window=window(), per_hour=300)
    assert notice(noticed.memory, ours(), 300, 0).memory.hand is None


def test_somebody_who_sets_something_else_while_we_write_is_heard() -> None:
    noticed = notice(ListmonkMemory(writing=WRITING), typed(70), 300, 0)
    assert noticed.memory.writing is None
    assert allowed_per_hour(noticed.memory, 300) == 70
