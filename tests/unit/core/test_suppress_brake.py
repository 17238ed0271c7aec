"""An operator that calls too many recipients unknown is not believed: Gmail's 550 5.1.1 to everybody on 2020-12-15."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from pwmtad.config import SuppressionSettings
from pwmtad.core.correlate import Classified
from pwmtad.core.suppress import SuppressionBook
from pwmtad.core.suppress_brake import BounceBrake, HardShare
from pwmtad.core.suppress_words import HELD_RULE, as_shown, held_back_findings
from pwmtad.core.tally import Column
from pwmtad.model.counters import AttemptBucket, AttemptCounts, AttemptKey
from pwmtad.model.judgement import Record, RecordKind
from pwmtad.model.names import OTHER_OPERATOR, UNKNOWN_OPERATOR, Instant, OperatorName, ReplyClass
from pwmtad.model.suppression import MANUAL, Sighting, SubjectKind, SuppressionCount, SuppressionKey
from tests.tools.counts import series_of
from tests.tools.judging import DAY, HOUR, START, Run, attempt

SETTINGS = SuppressionSettings()


def answer(
    recipient: int | str,
    reply_class: ReplyClass | None = ReplyClass.HARD_BOUNCE,
    *,
    operator: str = "google",
    stream: str = "trucking",
    column: Column = Column.FIRST,
    status: str = "",
) -> Classified:
    name = recipient if isinstance(recipient, str) else f"r{recipient}@example.org"
    made = attempt(recipient=name, reply_class=reply_class, reply_rule="a-rule", column=column, stream=stream)
    status = status or ("sent" if reply_class is None else "bounced")
    return replace(made, operator=OperatorName(operator), attempt=replace(made.attempt, status=status))


class World:
    """A book and the rows that its commits leave."""

    def __init__(self) -> None:
        self.book = SuppressionBook(SETTINGS)
        self.rows: dict[SuppressionKey, Sighting] = {}
        self.records: list[Record] = []

    def see(self, answers: Iterable[Classified], at: Instant) -> World:
        for counted in answers:
            self.records += self.book.see(counted, at)
        return self.commit()

    def commit(self) -> World:
        deltas = self.book.take_deltas()
        for key in deltas.reset:
            if key in self.rows and self.rows[key].suppressed_at is None:
                del self.rows[key]
        for sighting in deltas.sightings:
            before = self.rows.get(sighting.key)
            told = before.suppressed_at if before is not None and before.suppressed_at is not None else sighting.suppressed_at
            self.rows[sighting.key] = replace(sighting, suppressed_at=told)
        return self

    @property
    def told(self) -> set[str]:
        return {key.subject for key, row in self.rows.items() if row.suppressed_at is not None}

    @property
    def held(self) -> set[str]:
        return {key.subject for key, row in self.rows.items() if row.suppressed_at is None}

    def not_believed(self, at: Instant) -> list[str]:
        return [operator for _, operator, _ in self.book.held_back(at)]


def outage(*numbers: int, **more: str) -> list[Classified]:
    return [answer(number, **more) for number in numbers]  # type: ignore[arg-type]


def well(count: int, **more: str) -> list[Classified]:
    return [answer(f"well{number}@example.org", None, **more) for number in range(count)]  # type: ignore[arg-type]


def test_an_operator_that_refuses_everybody_costs_no_more_than_half_a_sample() -> None:
    world = World().see(well(300), START)
    world.see(outage(*range(5000)), START + HOUR)
    assert len(world.told) == 50
    assert len(world.held) == 4950
    assert world.not_believed(START + HOUR) == ["google"]


@pytest.mark.parametrize("an_hour", [1, 3, 20])
def test_slow_streams_and_fresh_installations_find_it_out_as_soon(an_hour: int) -> None:
    world = World()
    for number in range(200):
        world.see(outage(number), START + number * HOUR / an_hour)
    assert len(world.told) == (50 if an_hour > 2 else 200)  # 24 a day are no sample: they may as well be a few dead boxes


def test_the_record_reaches_those_who_ask_why() -> None:
    run = Run()
    for number in range(100):
        run.see(answer(number, column=Column.RETRIES), START + HOUR)
    (record,) = [one for one in run.kinds(RecordKind.FINDING) if one.rule == HELD_RULE]
    assert record.stream == "trucking"


def test_that_it_is_not_believed_any_more_is_recorded_once() -> None:
    world = World().see(outage(*range(500)), START)
    (record,) = world.records
    assert (record.kind, record.stream, record.rule) == (RecordKind.FINDING, "trucking", HELD_RULE)
    assert "google refused 51 of its newest 51 recipients" in record.reason
    assert "example.org" not in record.reason


def test_usual_lists_are_believed_whatever_else_goes_wrong() -> None:
    """A fifth of a bad list bounces; we are blocked, and boxes are full, for the rest."""
    answers = [answer(number, ReplyClass.HARD_BOUNCE if number % 5 == 0 else ReplyClass.REPUTATION) for number in range(1000)]
    world = World().see(answers, START)
    assert len(world.told) == 200
    assert world.not_believed(START) == []


def test_retries_that_only_wait_make_nobody_well() -> None:
    world = World().see(outage(*range(60)), START)
    waiting = [answer(n, ReplyClass.GREYLIST, column=Column.RETRIES, status="deferred") for n in range(1000)]
    world.see(waiting, START)
    assert world.not_believed(START) == ["google"]
    late = World().see([answer(n, column=Column.RETRIES) for n in range(60)], START)
    assert len(late.told) == 50


def test_another_operator_another_stream_and_small_servers_are_believed() -> None:
    world = World().see(outage(*range(60)), START)
    world.see(outage(100, operator="yahoo"), START)
    world.see(outage(101, stream="healthcare"), START)
    for operator in (OTHER_OPERATOR, UNKNOWN_OPERATOR):
        world.see(outage(*range(200, 400), operator=operator), START)
    assert world.told == {f"r{n}@example.org" for n in [*range(50), 100, 101, *range(200, 400)]}
    assert world.not_believed(START) == ["google"]


def test_who_was_held_back_is_told_when_it_bounces_on_another_day_once_the_operator_is_well() -> None:
    world = World().see(outage(*range(60)), START)
    assert "r55@example.org" in world.held
    world.see(well(200), START + HOUR)
    assert world.not_believed(START + HOUR) == []
    world.see(outage(55), START + 2 * HOUR)
    assert "r55@example.org" in world.held  # of the same day: the operator was not well
    world.see(well(100), START + DAY).see(outage(55), START + DAY)
    assert "r55@example.org" in world.told
    world.see(outage(500), START + DAY)
    assert "r500@example.org" in world.told


def test_who_is_mailed_again_was_well_all_along() -> None:
    world = World().see(outage(*range(60)), START)
    world.see([answer(n, None) for n in range(50, 60)], START + HOUR)
    assert world.held == set()


def test_an_outage_over_midnight_tells_of_nobody() -> None:
    world = World().see(outage(*range(60)), START + DAY - 60)
    world.see(outage(*range(50, 60)), START + DAY + 60)
    assert len(world.told) == 50


def test_after_a_restart_the_newest_answers_are_those_of_the_newest_minutes_whatever_they_were() -> None:
    key = AttemptKey("trucking", "out05", "google", "bounced", "hard_bounce")
    well_now = [
        AttemptBucket(60, int(START) + 60 * n, key._replace(status="sent", reply_class=""), AttemptCounts(50)) for n in (8, 9)
    ]
    bad_before = [AttemptBucket(60, int(START) + 60 * n, key, AttemptCounts(50)) for n in (0, 1, 2, 3)]
    too_old = [AttemptBucket(60, int(START) - 60 * 1440, key, AttemptCounts(1000))]
    world = World()
    world.book.load(series_of([*well_now, *bad_before, *too_old]))
    assert world.not_believed(START + 600) == []
    world = World()
    world.book.load(series_of([*bad_before, well_now[0]._replace(counts=AttemptCounts(40))]))
    assert world.not_believed(START + 600) == ["google"]


def test_after_a_restart_what_several_egresses_saw_in_a_minute_is_one_share() -> None:
    at = int(START) + 60
    hard = [
        AttemptBucket(60, at, AttemptKey("trucking", egress, "google", "bounced", "hard_bounce"), AttemptCounts(30))
        for egress in ("out05", "out06")
    ]
    well_there = AttemptBucket(60, at, AttemptKey("trucking", "out07", "google", "sent", ""), AttemptCounts(50))
    world = World()
    world.book.load(series_of([*hard, well_there]))
    assert world.not_believed(START + 600) == ["google"]
    world = World()
    world.book.load(series_of([hard[0], well_there]))
    assert world.not_believed(START + 600) == []


def test_a_restart_in_an_outage_changes_nothing() -> None:
    world = World().see(well(30), START).see(outage(*range(80)), START + 60)
    again = World()
    held = [row for row in world.rows.values() if row.suppressed_at is None]
    again.book = SuppressionBook(SETTINGS, counting=held)
    again.book.load(
        series_of(
            [
                AttemptBucket(60, int(START), AttemptKey("trucking", "out05", "google", "sent", ""), AttemptCounts(first=30)),
                AttemptBucket(
                    60,
                    int(START) + 60,
                    AttemptKey("trucking", "out05", "google", "bounced", "hard_bounce"),
                    AttemptCounts(70, 10),
                ),
            ]
        )
    )
    assert again.not_believed(START + 120) == ["google"]
    again.see(outage(90), START + 120)
    assert again.told == set()
    again.see(well(200), START + DAY).see(outage(70), START + DAY)
    assert again.told == {"r70@example.org"}
    again.see(outage(75), START + DAY)
    assert "r75@example.org" in again.told


def test_a_person_who_believes_it_puts_its_own_row_in_the_place_of_the_held_one() -> None:
    world = World().see(outage(*range(60)), START)
    key = SuppressionKey("trucking", SubjectKind.ADDRESS.value, "r55@example.org", MANUAL)
    world.book.put([key], "they are gone", "alice", START)
    world.commit()
    assert {row.reply_class for row in world.rows if row.subject == "r55@example.org"} == {MANUAL}


def test_everything_is_believed_where_that_is_configured_and_nothing_is_kept_where_it_is_not() -> None:
    world = World()
    world.book.reconfigure(SuppressionSettings(hard_bounce_ratio=1.0), frozenset())
    assert len(world.see(outage(*range(200)), START).told) == 200
    world.book.reconfigure(SuppressionSettings(keep=False), frozenset())
    assert world.not_believed(START) == []


def test_people_are_told_what_to_do_and_see_what_is_held_back() -> None:
    world = World().see(outage(*range(60)), START)
    (finding,) = held_back_findings(world.book.held_back(START))
    assert finding.code == "suppression_held_back"
    assert "pwmtad suppressions list --state held_back" in finding.text
    counts = [SuppressionCount("trucking", "address", name, "counting", 3) for name in ("hard_bounce", "mailbox_full")]
    assert [count.state for count in as_shown(counts)] == ["held_back", "counting"]


def test_memory_holds_one_day() -> None:
    brake = BounceBrake(SETTINGS)
    for minute in range(3000):
        brake.see(answer(minute), START + minute * 60)
    assert [len(minutes) for minutes in brake._minutes.values()] == [1440]
    assert brake.share("trucking", "google", START + 3000 * 60 + DAY) == HardShare(0, 0)


def test_few_attempts_are_forgotten_by_their_age_as_well() -> None:
    brake = BounceBrake(SETTINGS)
    for hour in range(24 * 30):
        brake.see(answer(hour), START + hour * HOUR)
    assert [len(minutes) for minutes in brake._minutes.values()] == [25]


@pytest.mark.parametrize("wrong", [START + 400 * DAY, START - 400 * DAY])
def test_one_attempt_with_a_wrong_date_makes_nobody_believed(wrong: float) -> None:
    world = World().see(outage(*range(80)), START)
    world.see(outage(80), wrong)
    world.see(outage(81), START + 60)
    assert world.not_believed(START + 60) == ["google"]


answers = st.lists(st.tuples(st.booleans(), st.integers(0, 400)), max_size=400)


@given(answers)
def test_whatever_the_order_nobody_is_told_of_while_more_than_half_a_sample_is_hard(fed: list[tuple[bool, int]]) -> None:
    world = World()
    newest: list[bool] = []
    at = START
    for number, (hard, seconds) in enumerate(fed):
        told, at = len(world.told), at + 60 + seconds
        newest = [*newest, hard][-100:]
        world.see(outage(number) if hard else [answer(number, None)], at)
        assert len(world.told) - told == int(hard and sum(newest) <= 50)
