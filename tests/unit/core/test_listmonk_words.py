"""What people read of what was done to Listmonk."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from msgspec.structs import replace

from pwmtad.core.listmonk_engine import Belief
from pwmtad.core.listmonk_hand import notice
from pwmtad.core.listmonk_show import doing_words, shown
from pwmtad.core.listmonk_step import Pause, Rest, Resume, SetWindow, Step, Wait
from pwmtad.core.listmonk_versions import traits_of
from pwmtad.core.listmonk_words import (
    failed_record,
    given_up_record,
    hand_record,
    listmonk_findings,
    paused_records,
    resumed_records,
    window_record,
)
from pwmtad.model.acting import ListmonkActing
from pwmtad.model.judgement import RecordKind
from pwmtad.model.listmonk import (
    Campaign,
    EngineSettings,
    HandWindow,
    Holding,
    ListmonkMemory,
    Outcome,
    Traits,
    Writing,
)
from pwmtad.model.state import Finding, Level
from tests.unit.core.listmonk_values import FRESH, NOW, actual, campaign, held, looked_at, ours, window

ACTING = ListmonkActing("trucking", "http://127.0.0.1:9000")


def paused(*campaigns: Campaign, outcome: Outcome = Outcome.DONE, early: frozenset[int] = frozenset()) -> list[str]:
    outcomes = dict.fromkeys((one.id for one in campaigns), outcome)
    found = paused_records("trucking", campaigns, outcomes, "a test", early=early, halt_id="h", at=NOW)
    assert all((one.kind, one.halt_id, one.before, one.after) == (RecordKind.ACTION, "h", "running", "paused") for one in found)
    return [one.reason for one in found]


def test_a_pause_names_its_campaigns_and_its_reason() -> None:
    assert paused(campaign(12)) == ["paused 1 campaign: 12 (News 12); a test"]
    assert paused(*(campaign(number) for number in range(1, 8)))[0].startswith("paused 7 campaigns: 1 (News 1), ")
    assert " and 2 more; a test" in paused(*(campaign(number) for number in range(1, 8)))[0]


def test_what_was_not_paused_is_not_said_to_be() -> None:
    assert paused(campaign(12), outcome=Outcome.REFUSED) == []


def test_a_campaign_that_the_pause_may_have_spoiled_is_named() -> None:
    found = paused(campaign(12), campaign(13), early=frozenset({13}))[0]
    assert "13 (News 13) had not been seen to send" in found
    assert "#2070" in found


def test_a_hostile_name_is_cleaned_and_bounded() -> None:
    evil = Campaign(1, "u", "\x1b[31m\u202e" + "x" * 900, "running", NOW)
    found = paused(evil)[0]
    assert found.isprintable()
    assert len(found) <= 500


def test_a_resume_names_what_was_resumed() -> None:
    outcomes = {12: Outcome.DONE, 13: Outcome.REFUSED}
    (found,) = resumed_records("trucking", (held(12), held(13)), outcomes, NOW)
    assert found.reason == "resumed 1 campaign that pwmtad had paused: 12 (News 12)"
    assert resumed_records("trucking", (held(13),), outcomes, NOW) == []


def test_a_window_is_told_before_and_after() -> None:
    found = window_record("trucking", "no limit", window(), 300, NOW)
    assert (found.before, found.after) == ("no limit", "2 each 25s")
    assert found.reason == "send window set for 300 an hour: 2 each 25s; Listmonk has restarted with it"


def test_a_window_by_hand_is_told_as_found_as_lowered_or_as_staying() -> None:
    typed = EngineSettings(True, 40, 3600.0, 1000, "1h")
    first = hand_record("trucking", notice(ListmonkMemory(), FRESH, 300, 0), NOW)
    assert first is not None
    assert (first.kind, first.reason) == (
        RecordKind.FINDING,
        "found with a send window of no limit: it is set to what the ladder allows",
    )
    later = hand_record("trucking", notice(ListmonkMemory(window=window()), typed, 300, 0), NOW)
    assert later is not None
    assert (later.kind, later.reason) == (
        RecordKind.DRIFT,
        "somebody set the send window to 40 each 1h: it stays at 40 an hour",
    )
    assert hand_record("trucking", notice(ListmonkMemory(window=window()), ours(), 300, 0), NOW) is None


def test_a_pause_of_nobody_and_a_failure_are_told() -> None:
    assert "it is not resumed" in given_up_record("trucking", held(12), NOW).reason
    assert failed_record("trucking", "can't \x07", NOW).reason == "can't ?"


# -- findings


def findings(
    memory: ListmonkMemory | None = None,
    troubles: Mapping[str, str] | None = None,
    traits: Traits | None = None,
    mode: str = "enforce",
) -> dict[str, Finding]:
    found = listmonk_findings(ACTING, troubles or {}, memory or ListmonkMemory(), traits, mode)
    return {one.code: one for one in found}


def test_troubles_are_findings_with_their_level() -> None:
    found = findings(troubles={"listmonk_unreachable": "no answer", "listmonk_forbidden": "403", "listmonk_not_drained": "x"})
    assert {code: one.level for code, one in found.items()} == {
        "listmonk_unreachable": Level.UNKNOWN,
        "listmonk_forbidden": Level.ERROR,
        "listmonk_not_drained": Level.WARNING,
    }
    assert found["listmonk_forbidden"].text == "trucking: 403"


def test_a_window_by_hand_a_pause_of_nobody_and_campaigns_held_while_observing_are_told() -> None:
    memory = ListmonkMemory(
        campaigns=(held(12, Holding.UNSURE), held(13)),
        hand=HandWindow(EngineSettings(True, 40, 3600.0, 1000, "1h"), 40),
    )
    found = findings(memory, mode="observe")
    assert found.keys() == {"listmonk_window_by_hand", "listmonk_pause_of_nobody", "listmonk_held_while_observing"}
    assert "12 (News 12)" in found["listmonk_pause_of_nobody"].text
    assert findings(memory).keys() == {"listmonk_window_by_hand", "listmonk_pause_of_nobody"}
    assert findings(ListmonkMemory(hand=HandWindow(FRESH, None))) == {}


@pytest.mark.parametrize(
    ("version", "codes"),
    [
        ("v6.2.0", set()),
        ("nightly", {"listmonk_version_unknown", "listmonk_ends_campaigns_early"}),
        ("v3.0.0", {"listmonk_ends_campaigns_early"}),
        ("v7.0.0", {"listmonk_version_unknown"}),
        ("v2.0.0", set()),
    ],
)
def test_what_a_version_does_is_told(version: str, codes: set[str]) -> None:
    assert findings(traits=traits_of(version)).keys() == codes


# -- rows


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (Pause((campaign(1), campaign(2)), "a test"), "pauses 2 campaign(s): a test"),
        (SetWindow(Writing(FRESH, window(), 2, 300), (), True, "x"), "sets its send window for 300 an hour"),
        (Resume((held(1),)), "resumes 1 campaign(s)"),
        (Wait("it restarts"), "it restarts"),
        (Rest(), ""),
    ],
)
def test_each_step_has_words(step: Step, words: str) -> None:
    assert doing_words(step) == words


def test_a_row_shows_what_is_known() -> None:
    seen = actual(campaign(1), campaign(2, "scheduled"), campaign(3, "paused"))
    memory = ListmonkMemory(campaigns=(held(3), held(4, Holding.UNSURE)))
    row = shown(ACTING, seen, looked_at(seen), traits_of("v6.2.0"), memory, Rest())
    assert row == replace(
        ACTING, version="v6.2.0", window="2 each 25s", window_per_hour=288, in_force=True, running=1, scheduled=1, held=1,
        unsure=1,
    )  # fmt: skip


def test_a_row_of_an_instance_that_was_never_seen_shows_nothing() -> None:
    row = shown(ACTING, None, Belief(), None, ListmonkMemory(), Wait("no answer"))
    assert row == replace(ACTING, doing="no answer")


def test_a_row_of_an_instance_without_a_limit_has_no_number() -> None:
    seen = actual(engine=FRESH)
    row = shown(ACTING, seen, looked_at(seen), traits_of("v6.2.0"), ListmonkMemory(), Rest())
    assert (row.window, row.window_per_hour) == ("no limit", None)
