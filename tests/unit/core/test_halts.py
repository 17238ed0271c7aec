"""The life of a halt: a latch that only a person or its own quiet expiry opens, and never a clock."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from pwmtad.core.halts import (
    MANUAL_RULE,
    ReturnPolicy,
    begin_halt,
    halt_id,
    lengthened,
    more_evidence,
    open_halts,
    release,
    standing,
    step,
)
from pwmtad.model.judgement import EvidenceLine, Halt, HaltPhase, Scope
from pwmtad.model.names import Instant
from tests.tools.judging import DAY, HOUR, START

POLICY = ReturnPolicy()
HOLD = 72 * HOUR


def begin(
    at: Instant = START, *, rule: str = "google-blocks", hold_s: int | None = HOLD, earlier: tuple[Halt, ...] = ()
) -> Halt:
    return begin_halt(
        stream="trucking",
        scope=Scope.STREAM,
        subject="trucking",
        rule=rule,
        reason="Gmail says no",
        evidence=[EvidenceLine(at, f"line {number}") for number in range(20)],
        hold_s=hold_s,
        at=at,
        earlier=earlier,
        policy=POLICY,
    )


def go_on(halt: Halt, *times: Instant) -> list[HaltPhase]:
    phases = []
    for now in times:
        halt = step(halt, now, policy=POLICY)
        phases.append(halt.phase)
    return phases


def probing(at: Instant = START, *, probed: int = 0) -> Halt:
    halt = step(begin(at), at + HOLD, policy=POLICY)
    assert halt.phase is HaltPhase.PROBING
    return replace(halt, probed=probed)


def recovering(at: Instant = START) -> Halt:
    return step(probing(at, probed=5), at + HOLD + 6 * HOUR, policy=POLICY)


def ended(at: Instant = START) -> Halt:
    return step(recovering(at), at + HOLD + 30 * HOUR, policy=POLICY)


# -- begin


def test_a_new_halt_is_active_for_its_hold_and_quotes_at_most_ten_lines() -> None:
    halt = begin()
    assert (halt.phase, halt.hold_until, halt.relapses) == (HaltPhase.ACTIVE, START + HOLD, 0)
    assert [line.text for line in halt.evidence] == [f"line {number}" for number in range(10, 20)]


def test_an_id_can_be_typed_and_says_stream_rule_and_time() -> None:
    assert begin().id == "trucking-google-blocks-20260602T000000"


@given(st.floats(allow_nan=False), st.sets(st.integers(0, 5)))
def test_any_moment_gives_an_id_that_is_free_and_can_be_typed(at: float, numbers: set[int]) -> None:
    taken: set[str] = set()
    for _ in range(len(numbers) + 1):
        name = halt_id("health_care", "spike", at, taken)
        assert re.fullmatch(r"[a-z0-9_T-]{1,120}", name)
        assert name not in taken
        taken.add(name)


def test_two_halts_of_one_second_have_two_ids() -> None:
    first = begin()
    second = begin(earlier=(first,))
    third = begin(earlier=(first, second))
    assert [second.id, third.id] == [f"{first.id}-2", f"{first.id}-3"]


def test_the_same_rule_within_a_week_of_its_end_is_a_relapse_and_holds_twice_as_long() -> None:
    former = ended()
    assert former.ended_at is not None
    again = begin(former.ended_at + 7 * DAY - 1, earlier=(former,))
    assert (again.relapses, again.hold_s) == (1, 2 * HOLD)
    later = begin(former.ended_at + 7 * DAY, earlier=(former,))
    assert (later.relapses, later.hold_s) == (0, HOLD)


def test_another_rule_or_subject_is_no_relapse() -> None:
    former = ended()
    assert begin(START + 5 * DAY, rule="yahoo-tss04", earlier=(former,)).relapses == 0
    assert begin(START + 5 * DAY, earlier=(replace(former, subject="out05"),)).relapses == 0
    assert begin(START + 5 * DAY, earlier=(recovering(),)).relapses == 0


def test_what_a_person_says_holds_as_it_was_said_however_often() -> None:
    former = release(begin(rule=MANUAL_RULE), "root", START + 60)
    assert begin(START + HOUR, rule=MANUAL_RULE, earlier=(former,)).hold_s == HOLD


@given(st.integers(1, 60 * DAY), st.integers(0, 10_000))
def test_a_hold_is_never_shorter_than_its_rule_says_nor_longer_than_a_month(hold_s: int, relapses: int) -> None:
    hold = lengthened(hold_s, relapses, POLICY)
    assert hold is not None
    assert hold_s <= hold <= max(hold_s, 30 * DAY)


def test_a_hold_until_released_stays_that() -> None:
    assert lengthened(None, 3, POLICY) is None
    assert begin(hold_s=None).hold_until is None


# -- time


def test_a_quiet_halt_goes_from_hold_to_probes_to_the_ladder_to_its_end() -> None:
    halt = begin()
    assert go_on(halt, START + HOLD - 1, START + HOLD) == [HaltPhase.ACTIVE, HaltPhase.PROBING]
    halt = probing(probed=5)
    begun = START + HOLD
    assert go_on(halt, begun + 6 * HOUR - 1, begun + 6 * HOUR) == [HaltPhase.PROBING, HaltPhase.RECOVERING]
    halt, begun = recovering(), begun + 6 * HOUR
    assert go_on(halt, begun + DAY - 1, begun + DAY, begun + 9 * DAY) == [
        HaltPhase.RECOVERING,
        HaltPhase.ENDED,
        HaltPhase.ENDED,
    ]
    assert ended().ended_by == "expiry"


def test_after_a_long_absence_a_halt_goes_on_by_one_phase_and_still_probes() -> None:
    assert go_on(begin(), START + 60 * DAY, START + 60 * DAY + 1) == [HaltPhase.PROBING, HaltPhase.PROBING]


def test_a_hold_does_not_end_while_evidence_still_comes() -> None:
    halt = more_evidence(begin(), (), START + HOLD - 60, POLICY)
    assert halt.hold_until == START + HOLD
    assert go_on(halt, START + HOLD, START + HOLD + HOUR - 61) == [HaltPhase.ACTIVE] * 2
    assert go_on(halt, START + HOLD + HOUR - 60) == [HaltPhase.PROBING]


def test_a_hold_shorter_than_an_hour_needs_quiet_no_longer_than_itself() -> None:
    halt = begin(hold_s=600)
    assert go_on(halt, START + 599, START + 600) == [HaltPhase.ACTIVE, HaltPhase.PROBING]


def test_without_answered_probes_nothing_was_probed() -> None:
    assert go_on(probing(probed=4), START + 90 * DAY) == [HaltPhase.PROBING]


def test_a_halt_until_released_never_ends_by_itself() -> None:
    assert go_on(begin(hold_s=None), START + 1000 * DAY) == [HaltPhase.ACTIVE]


@given(
    st.sampled_from([begin(), begin(hold_s=None), probing(probed=5), recovering(), ended()]),
    st.lists(st.integers(-40 * DAY, 0), max_size=10),
)
def test_a_clock_that_steps_back_moves_no_phase_on(halt: Halt, back: list[int]) -> None:
    for seconds in back:
        assert step(halt, halt.phase_at + seconds, policy=POLICY) is halt


@given(st.lists(st.integers(-10 * DAY, 10 * DAY), min_size=1, max_size=30))
def test_whatever_the_clock_does_no_hold_ends_before_the_clock_shows_its_end(moves: list[int]) -> None:
    halt, now = begin(), START
    for move in moves:
        now += move
        halt = step(halt, now, policy=POLICY)
        if halt.phase is not HaltPhase.ACTIVE:
            assert now >= START + HOLD
            return


# -- relapse


def test_evidence_while_active_only_prolongs_the_quiet_time() -> None:
    halt = more_evidence(begin(), [EvidenceLine(START, "more")], START + 100, POLICY)
    assert halt == replace(begin(), last_evidence_at=START + 100)
    assert more_evidence(halt, (), START - DAY, POLICY) == halt


@pytest.mark.parametrize("former", [probing(), recovering()])
def test_evidence_on_the_way_back_doubles_the_hold_from_now_on(former: Halt) -> None:
    at = former.phase_at + 100
    halt = more_evidence(former, [EvidenceLine(at, "again")], at, POLICY)
    assert (halt.phase, halt.hold_s, halt.hold_until) == (HaltPhase.ACTIVE, 2 * HOLD, at + 2 * HOLD)
    assert (halt.relapses, halt.probed, halt.held_until_phase) == (1, 0, None)
    assert halt.evidence[-1].text == "again"
    assert len(halt.evidence) == 10


def test_relapses_double_up_to_a_month_and_no_further() -> None:
    halt, holds = begin(), []
    for _ in range(6):
        halt = step(halt, halt.phase_at + (halt.hold_s or 0), policy=POLICY)
        halt = more_evidence(halt, (), halt.phase_at, POLICY)
        holds.append((halt.hold_s or 0) // HOUR)
    assert holds == [144, 288, 576, 720, 720, 720]


def test_a_halt_until_released_relapses_to_until_released() -> None:
    halt = more_evidence(release(begin(hold_s=None), "root", START + 60), (), START + 120, POLICY)
    assert (halt.phase, halt.hold_until, halt.ended_by) == (HaltPhase.ACTIVE, None, "")


# -- people


def test_a_release_leads_to_probing_and_says_who_did_it() -> None:
    halt = release(begin(), "alice", START + 60)
    assert (halt.phase, halt.phase_at, halt.held_until_phase) == (HaltPhase.PROBING, START + 60, START + 60)
    assert halt.ended_at is None
    done = step(replace(halt, probed=5), START + 7 * HOUR, policy=POLICY)
    assert step(done, START + 40 * HOUR, policy=POLICY).ended_by == "alice"


@pytest.mark.parametrize("former", [probing(), recovering()])
def test_a_release_on_the_way_back_ends_it(former: Halt) -> None:
    halt = release(former, "alice", former.phase_at + 60)
    assert (halt.phase, halt.ended_by, halt.held_until_phase) == (HaltPhase.ENDED, "alice", START + HOLD)


def test_a_release_of_a_halt_that_a_person_made_ends_it_at_once() -> None:
    halt = release(begin(rule=MANUAL_RULE), "alice", START + 60)
    assert (halt.phase, halt.ended_at, halt.held_until_phase) == (HaltPhase.ENDED, START + 60, START + 60)


def test_what_has_ended_can_not_be_released() -> None:
    assert release(ended(), "alice", START + 100 * DAY) is not None
    assert release(ended(), "alice", START + 100 * DAY) == ended()


def test_only_an_active_halt_holds_and_all_but_the_ended_are_open() -> None:
    halts = [begin(), probing(), recovering(), ended()]
    assert standing(halts) == [halts[0]]
    assert open_halts(halts) == halts[:3]
