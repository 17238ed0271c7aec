"""The whole judgement: what it makes of attempts, signals and levels, and that a restart anywhere changes nothing."""

from __future__ import annotations

from itertools import accumulate
from typing import TypeAlias

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pwmtad.core.evidence import MAX_HITS
from pwmtad.core.guard import Guard
from pwmtad.core.halts import ReturnPolicy
from pwmtad.core.judge import START_CODE
from pwmtad.core.policy import Policy
from pwmtad.core.tally import Column, MessageColumn
from pwmtad.model import events
from pwmtad.model.judgement import Desired, Effect, HaltPhase, JudgementDeltas, Record, RecordKind, Scope
from pwmtad.model.names import Instant, ReplyClass
from tests.tools.judging import DAY, HOUR, START, Run, attempt, block, rule, settings_of

MINUTE = 60
DKIM = "[dkim]\nmin_unsigned = 10"


def bind_failed(egress: str = "out05", address: str = "192.0.2.94") -> events.BindFailed:
    return events.BindFailed(
        None, "mail", f"postfix/{egress}/smtp", 1, address, f"bind {address}: Cannot assign requested address"
    )


def milter_gone() -> events.MilterUnreachable:
    return events.MilterUnreachable(None, "mail", "postfix/smtpd", 1, "inet:127.0.0.1:8891", "Connection refused")


def first(run: Run, at: Instant, number: int = 0) -> None:
    run.see(attempt(at, recipient=f"c{number}@example.com"), at)


def rules_of(records: list[Record]) -> list[str]:
    return [record.rule for record in records]


def wish(run: Run, now: Instant, stream: str = "trucking") -> Desired:
    return next(one for one in run.guard.desired(now) if one.stream == stream)


# -- stop rules


def test_the_third_block_within_an_hour_halts_and_nothing_is_sent() -> None:
    run = Run(rule())
    run.look(START)
    for number in range(3):
        assert wish(run, START + number).sending
        run.see(block(START + number, number), START + number)
    (record,) = run.kinds(RecordKind.HALT)
    assert record.halt_id == "trucking-google-blocks-20260602T000002"
    assert not wish(run, START + 2).sending
    assert wish(run, START + 2, "healthcare").sending


def test_attempts_of_no_stream_are_counted_and_halt_nothing() -> None:
    run = Run(rule(count=1))
    run.see(block(START, 1, stream="none", egress="none"), START)
    run.commit()
    run.restart(START)
    run.see(block(START, 1, stream="none", egress="none"), START)
    assert (run.guard.attempts, run.records) == (1, [])


def test_attempts_after_the_first_halt_can_be_counted() -> None:
    run = Run(rule(count=2))
    for number in range(5):
        run.see(block(START + number, number), START + number)
    assert (run.guard.attempts, run.guard.attempts_at_first_halt) == (5, 2)


def test_a_notification_brings_nothing_about() -> None:
    run = Run(rule(count=1), excluded_domains={"trucking": frozenset({"example.com"})})
    for reply_class in (ReplyClass.REPUTATION, ReplyClass.DEAD_DOMAIN, None):
        for _ in range(5):
            run.see(attempt(operator="yahoo", reply_class=reply_class, column=Column.NOTIFICATIONS), START)
    assert run.records == []


def test_after_the_hold_the_halt_probes_and_a_probe_that_meets_a_block_is_a_relapse() -> None:
    run = Run(rule())
    for number in range(3):
        run.see(block(START + number, number), START + number)
    end = START + 2 + 72 * HOUR
    run.look(end - 1)
    assert not wish(run, end - 1).sending
    run.look(end)
    assert (wish(run, end).sending, wish(run, end).window_per_hour) == (True, 10)
    run.see(block(end + MINUTE, 9), end + MINUTE)
    run.look(end + MINUTE)
    assert not wish(run, end + MINUTE).sending
    assert run.halts()[0].hold_until == end + MINUTE + 144 * HOUR


def test_a_block_at_an_operator_that_the_rule_leaves_to_others_is_no_relapse_of_it() -> None:
    run = Run(rule("blocks", operators=(), excluded=("google",), count=1))
    run.see(block(START, 1, operator="cox"), START)
    run.look(START + 72 * HOUR)
    run.see(block(START + 73 * HOUR, 2), START + 73 * HOUR)
    assert run.halts()[0].phase is HaltPhase.PROBING


def test_retries_and_connections_that_failed_are_no_volume_and_no_probe() -> None:
    run = Run(rule(count=1))
    run.see(block(START, 1), START)
    run.look(START + 72 * HOUR)
    at = START + 73 * HOUR
    for _ in range(20):
        run.see(attempt(at, relay=None, reply_class=ReplyClass.INFRASTRUCTURE, column=Column.RETRIES), at)
        assert run.halts()[0].probed == 0
    for number in range(20):
        first(run, at, number)
    assert run.halts()[0].probed == 5
    run.look(START + 78 * HOUR)
    assert run.halts()[0].phase is HaltPhase.RECOVERING


def test_evidence_from_before_a_release_does_not_count_again_when_the_rule_is_on_the_ladder() -> None:
    run = Run(rule(window_s=72 * HOUR), returning=ReturnPolicy(probe_s=60, probe_min_attempts=1))
    for number in range(3):
        run.see(block(START + number, number), START + number)
    run.guard.release(run.halts()[0].id, "alice", START + HOUR)
    first(run, START + HOUR + 1)
    run.look(START + HOUR + MINUTE)
    assert run.halts()[0].phase is HaltPhase.RECOVERING
    run.see(block(START + 2 * HOUR, 9), START + 2 * HOUR)
    assert run.halts()[0].phase is HaltPhase.RECOVERING
    run.commit()
    run.restart(START + 2 * HOUR)
    run.see(block(START + 3 * HOUR, 10), START + 3 * HOUR)
    assert run.halts()[0].phase is HaltPhase.RECOVERING
    run.see(block(START + 4 * HOUR, 11), START + 4 * HOUR)
    assert run.halts()[0].phase is HaltPhase.ACTIVE


def test_the_release_of_one_egress_does_not_forget_the_evidence_against_another_one() -> None:
    run = Run(rule(count=2, scope=Scope.EGRESS))
    for number, egress in enumerate(("out05", "out05", "out06")):
        run.see(block(START + number, number, egress=egress), START + number)
    run.guard.release(run.halts()[0].id, "alice", START + 10)
    run.see(block(START + 20, 8, egress="out06"), START + 20)
    assert [halt.subject for halt in run.halts() if halt.phase is HaltPhase.ACTIVE] == ["out06"]


# -- volume


def test_a_blast_is_a_spike_with_the_101st_message_of_the_hour_on_day_0() -> None:
    run = Run()
    run.look(START)
    for number in range(101):
        assert run.kinds(RecordKind.HALT) == []
        first(run, START + number, number)
    (record,) = run.kinds(RecordKind.HALT)
    assert record.rule == "spike"
    assert [line.at - START for line in record.evidence] == [98, 99, 100]


def test_what_is_no_spike_for_want_of_a_start_is_one_as_soon_as_the_start_is_known() -> None:
    run = Run()
    run.starts = {}
    run.look(START)
    assert rules_of(run.records) == [START_CODE] * 2
    for number in range(150):
        first(run, START + number, number)
    run.starts = {"trucking": START, "healthcare": START}
    run.look(START + 200)
    assert rules_of(run.kinds(RecordKind.HALT)) == ["spike"]


def test_a_month_at_the_ladders_volume_is_no_spike_and_no_cap() -> None:
    ladder = "warmup.window_ladder_per_hour = { 0 = 5, 2 = 15, 4 = 25, 7 = 30 }"
    run = Run(settings=settings_of(ceiling=720, more=ladder))
    for hour in range(30 * 24):
        at = START + hour * HOUR
        run.look(at)
        for number in range(wish(run, at).window_per_hour - (hour % 24 == 0)):
            first(run, at + number, hour * 1000 + number)
    assert {record.kind for record in run.records} == {RecordKind.WINDOW, RecordKind.POOL}
    assert [record.after for record in run.kinds(RecordKind.POOL)] == ["3", "5", "8", "12", "16", "19"]
    assert [record.after for record in run.kinds(RecordKind.WINDOW) if record.stream == "trucking"] == [
        "5",
        "15",
        "25",
        "30",
    ]


def test_a_released_spike_does_not_come_back_from_what_was_sent_before_even_after_a_restart() -> None:
    run = Run()
    run.look(START)
    for number in range(101):
        first(run, START + number / 2, number)
    run.guard.release(run.halts()[0].id, "alice", START + MINUTE)
    run.look(START + MINUTE)
    assert run.halts()[0].phase is HaltPhase.PROBING
    run.commit()
    run.restart(START + 2 * MINUTE)
    run.look(START + 2 * MINUTE)
    assert run.halts()[0].phase is HaltPhase.PROBING
    for number in range(101):
        first(run, START + 3 * MINUTE, 1000 + number)
    assert run.halts()[0].phase is HaltPhase.ACTIVE


def test_a_halt_that_steps_the_ladder_back_makes_no_spike_of_what_was_allowed_before() -> None:
    run, day = Run(rule()), START + 2 * DAY
    run.look(day)
    for number in range(140):
        first(run, day + number, number)
    for number in range(3):
        run.see(block(day + 200, number), day + 200)
    run.look(day + 201)
    assert wish(run, day + 201).window_per_hour == 50
    first(run, day + 202, 999)
    run.look(day + 203)
    assert rules_of(run.kinds(RecordKind.HALT)) == ["google-blocks"]
    run.commit()
    run.restart(day + 204)
    run.look(day + 204)
    assert [halt.rule for halt in run.halts()] == ["google-blocks"]


def test_the_ceiling_holds_from_the_message_that_reaches_it_until_midnight_utc() -> None:
    run = Run(settings=settings_of(ceiling=1000, more="spike_factor = 100.0"))
    run.look(START)
    for number in range(1000):
        assert wish(run, START + number).sending
        first(run, START + number, number)
    assert rules_of(run.kinds(RecordKind.CAP)) == ["ceiling"]
    for now in (START + 1000, START + DAY - 1):
        run.look(now)
        assert not wish(run, now).sending
    run.look(START + DAY)
    assert wish(run, START + DAY).sending
    assert rules_of(run.kinds(RecordKind.CAP_ENDED)) == ["ceiling"]


@pytest.mark.parametrize("committed", [True, False])
def test_the_ceiling_holds_across_a_restart(committed: bool) -> None:
    run = Run(settings=settings_of(ceiling=1000, more="spike_factor = 100.0"))
    run.look(START)
    for number in range(999):
        first(run, START + number, number)
    run.commit()
    first(run, START + 1000, 1000)
    if committed:
        run.commit()
    run.restart(START + 1001)
    if not committed:
        first(run, START + 1000, 1000)  # the line is read again
    assert not wish(run, START + 1001).sending
    run.look(START + DAY - 1)
    assert not wish(run, START + DAY - 1).sending


moments_of_day = st.lists(st.tuples(st.integers(0, 3 * DAY), st.sampled_from(["first", "look", "restart"])), max_size=60)


@given(moments_of_day)
@settings(max_examples=60)
def test_no_sequence_of_inputs_allows_more_than_the_ceiling_a_day(steps: list[tuple[int, str]]) -> None:
    ladder = "spike_factor = 100.0\nwarmup.window_ladder_per_hour = { 0 = 5 }"
    run = Run(settings=settings_of(ceiling=5, more=ladder))
    sent: dict[int, int] = {}
    for number, (second, what) in enumerate(sorted(steps)):
        now = START + second
        if what == "look":
            run.look(now)
        elif what == "restart":
            run.commit()
            run.restart(now)
        elif wish(run, now).sending:
            first(run, now, number)
            sent[second // DAY] = sent.get(second // DAY, 0) + 1
    assert max(sent.values(), default=0) <= 5


# -- signatures


def test_the_tenth_unsigned_message_halts_though_the_other_streams_mail_is_signed() -> None:
    run = Run()
    for number in range(10):
        run.message(START + number, MessageColumn.SIGNED, 100, stream="healthcare")
        run.message(START + number, MessageColumn.SIGNED, 100, stream="none")
        run.message(START + number, MessageColumn.UNSIGNED)
        run.look(START + number)
        assert bool(run.kinds(RecordKind.HALT)) is (number == 9)
    (record,) = run.kinds(RecordKind.HALT)
    assert (record.rule, record.stream) == ("dkim-coverage", "trucking")
    assert [line.text for line in record.evidence] == ["10 unsigned and 0 signed messages were queued in this minute"]


def test_signatures_that_come_late_prevent_a_halt_but_do_not_end_one() -> None:
    run = Run()
    run.message(START, MessageColumn.UNSIGNED, 10)
    run.message(START, MessageColumn.UNSIGNED, -1)
    run.message(START, MessageColumn.SIGNED)
    run.look(START + MINUTE)
    assert run.halts() == []
    run.message(START + 70, MessageColumn.UNSIGNED)
    run.look(START + 70)
    run.message(START + 70, MessageColumn.UNSIGNED, -5)
    run.look(START + 80)
    assert [(halt.rule, halt.phase) for halt in run.halts()] == [("dkim-coverage", HaltPhase.ACTIVE)]


def test_a_released_coverage_halt_does_not_come_back_from_what_was_sent_before_even_after_a_restart() -> None:
    run = Run()
    run.message(START, MessageColumn.UNSIGNED, 50)
    run.look(START + 40)
    run.guard.release(run.halts()[0].id, "alice", START + 45)
    run.look(START + 46)
    run.commit()
    run.restart(START + 2 * MINUTE)
    run.look(START + 2 * MINUTE)
    assert run.halts()[0].phase is HaltPhase.PROBING
    run.message(START + 2 * MINUTE, MessageColumn.UNSIGNED, 10)
    run.look(START + 2 * MINUTE)
    assert run.halts()[0].phase is HaltPhase.ACTIVE


def test_a_reloaded_lookback_holds_at_once() -> None:
    run = Run(settings=settings_of(dkim="[dkim]\nlookback_s = 60"))
    run.message(START, MessageColumn.UNSIGNED, 10)
    run.look(START + 10 * MINUTE)
    assert run.halts() == []
    run.guard.reconfigure(Policy(settings=settings_of(), stop_rules=()))
    run.look(START + 10 * MINUTE)
    assert [halt.rule for halt in run.halts()] == ["dkim-coverage"]


def test_messages_of_no_stream_are_nobodys() -> None:
    run = Run()
    run.message(START, MessageColumn.UNSIGNED, 100, stream="none")
    run.look(START)
    assert run.halts() == []


def test_mail_that_nobody_could_verify_halts_its_own_stream_at_the_limit() -> None:
    run = Run()
    run.unverified = {"trucking": 99, "healthcare": 0}
    run.look(START)
    run.unverified = {"trucking": 100}
    run.look(START + 1)
    assert [(record.rule, record.stream) for record in run.kinds(RecordKind.HALT)] == [("dkim-unverified", "trucking")]


@pytest.mark.parametrize(("accepts", "halted"), [(True, 2), (False, 0), (None, 0)])
def test_a_milter_that_is_gone_halts_all_streams_at_once_where_mail_passes_without_it(
    accepts: bool | None, halted: int
) -> None:
    run = Run(milter_accepts=accepts)
    for second in range(50):
        run.guard.signal(milter_gone(), "none", "none", START + second)
    run.look(START + 60)
    halts = run.halts() + run.halts("healthcare")
    assert [halt.rule for halt in halts] == ["dkim-milter"] * halted


def test_mail_that_passed_without_the_milter_halts_its_stream_whatever_is_known_of_the_setting() -> None:
    run = Run(milter_accepts=None)
    for _ in range(3):
        run.guard.unfiltered("trucking", "4XkJ2l1zq9z1", "milter inet:127.0.0.1:8891: Connection refused", START)
    run.guard.unfiltered("none", "4XkJ2l1zq9z2", "milter inet:127.0.0.1:8891: Connection refused", START)
    run.look(START)
    (record,) = run.kinds(RecordKind.HALT)
    assert (record.rule, record.stream) == ("dkim-milter", "trucking")
    assert record.evidence[0].text.startswith("4XkJ2l1zq9z1 was queued after: milter")


def test_a_look_that_could_not_read_main_cf_keeps_what_was_known_of_the_milter() -> None:
    run = Run(milter_accepts=True)
    run.guard.know_milter(accepts=None)
    run.guard.reconfigure(msgspec.structs.replace(run.guard._policy, milter_accepts=None))
    run.guard.signal(milter_gone(), "none", "none", START)
    assert [halt.rule for halt in run.halts()] == ["dkim-milter"]


def test_a_reload_that_reads_main_cf_takes_what_it_says_of_the_milter() -> None:
    run = Run(milter_accepts=True)
    run.guard.reconfigure(msgspec.structs.replace(run.guard._policy, milter_accepts=False))
    run.guard.signal(milter_gone(), "none", "none", START)
    assert run.halts() == []


def test_other_lines_are_no_signals() -> None:
    run = Run(milter_accepts=True)
    run.guard.signal(events.Reload(START, "mail", "postfix/master", 1, None), "none", "none", START)
    assert not run.guard.has_deltas


# -- exclusions, addresses, domains


def test_one_attempt_to_an_excluded_operator_halts_the_stream_even_if_it_was_taken() -> None:
    run = Run()
    for _ in range(3):
        run.see(attempt(START, operator="yahoo", relay="mta5.am0.yahoodns.net"), START)
    (record,) = run.kinds(RecordKind.HALT)
    assert (record.rule, record.ends_at) == ("excluded-operator", None)
    assert "mail to example.com (yahoo) was attempted" in record.reason


def test_one_attempt_to_an_excluded_domain_halts_the_stream_and_another_stream_may_mail_it() -> None:
    run = Run(excluded_domains={"trucking": frozenset({"aol.example"})})
    run.see(
        attempt(START, recipient="x@AOL.example", relay=None, reply_class=ReplyClass.INFRASTRUCTURE, operator="unknown"), START
    )
    run.see(attempt(START, recipient="x@aol.example", stream="healthcare", egress="hc1"), START)
    assert [(record.rule, record.stream) for record in run.kinds(RecordKind.HALT)] == [("excluded-operator", "trucking")]


def test_the_first_bind_failure_takes_its_egress_out_of_the_pool_and_no_other() -> None:
    run = Run()
    run.look(START)
    for second in range(20):
        run.guard.signal(bind_failed(), "trucking", "out05", START + second)
    run.look(START + 30)
    (record,) = run.kinds(RecordKind.HALT)
    assert (record.subject, record.rule) == ("out05", "bind-failed")
    assert "192.0.2.94" in record.reason
    assert (wish(run, START + 30).pool, wish(run, START + 30).sending) == (("out06", "out07", "out08"), True)


def test_with_all_addresses_gone_nothing_is_sent() -> None:
    run = Run()
    run.look(START)
    for egress in settings_of().streams["trucking"].egresses:  # type: ignore[index]
        run.guard.signal(bind_failed(egress), "trucking", egress, START)
    assert len({halt.id for halt in run.halts()}) == 20
    assert not wish(run, START).sending


def test_a_bind_failure_of_no_streams_egress_halts_nothing() -> None:
    run = Run()
    run.guard.signal(bind_failed("other"), "none", "other", START)
    assert not run.guard.has_deltas


def test_a_dead_tenant_is_listed_once_and_halts_nothing() -> None:
    run = Run(rule("blocks", operators=(), count=1))
    for number in range(10):
        counted = attempt(recipient="x@dead.example", operator="microsoft-365", reply_class=ReplyClass.DEAD_DOMAIN)
        run.see(counted, START + number * HOUR)
    assert [(record.kind, record.subject) for record in run.records] == [(RecordKind.SUPPRESS, "dead.example")]


# -- repeats


def test_a_list_that_is_mailed_day_after_day_is_a_finding_once_a_day() -> None:
    run = Run()
    for day in range(7):
        for number in range(30):
            run.see(attempt(recipient=f"r{number}@example.com"), START + day * DAY + number)
        run.look(START + day * DAY + HOUR)
        run.look(START + day * DAY + 2 * HOUR)
    found = run.kinds(RecordKind.FINDING)
    assert [int((record.at - START) // DAY) for record in found] == [4, 5, 6]
    assert found[0].reason == (
        "30 of 30 recipients (100%) were mailed more than 3 times in 7 days, one of them 4 times: does the list only grow?"
    )


def test_a_few_recipients_or_a_small_share_of_them_are_no_finding() -> None:
    few, share = Run(), Run()
    for day in range(7):
        for number in range(19):
            few.see(attempt(recipient=f"r{number}@example.com"), START + day * DAY)
        for number in range(40):
            if number < 2 or day == 0:
                share.see(attempt(recipient=f"r{number}@example.com"), START + day * DAY)
        few.look(START + day * DAY + HOUR)
        share.look(START + day * DAY + HOUR)
    assert few.kinds(RecordKind.FINDING) == share.kinds(RecordKind.FINDING) == []


def test_a_clock_that_steps_back_over_midnight_asks_no_second_time() -> None:
    run = Run()
    run.look(START + DAY)
    run.look(START)
    run.look(START + DAY)
    assert run.kinds(RecordKind.FINDING) == []


# -- unknown and warmup starts


def test_a_start_that_can_not_be_read_is_unknown_and_keeps_the_last_known_day() -> None:
    run = Run()
    run.look(START + 9 * DAY)
    run.starts = {}
    run.look(START + 9 * DAY + 1)
    assert [record.reason for record in run.kinds(RecordKind.UNKNOWN)] == [
        "the warmup start can't be read: the last known one stays, and nothing grows"
    ] * 2
    found = wish(run, START + 9 * DAY + 1)
    assert (found.window_per_hour, len(found.pool), found.growth, found.day) == (300, 8, False, 9)


def test_a_start_in_the_future_is_unknown_and_resets_nothing() -> None:
    run = Run()
    run.look(START + 9 * DAY)
    run.starts = {"trucking": START + 10 * DAY, "healthcare": START}
    run.look(START + 9 * DAY + 1)
    assert [record.reason for record in run.kinds(RecordKind.UNKNOWN)] == [
        "the warmup start lies in the future: the last known one stays, and nothing grows"
    ]
    assert wish(run, START + 9 * DAY + 1).window_per_hour == 300


def test_what_is_unknown_freezes_growth_and_holds_halts_from_the_look_that_finds_it() -> None:
    run = Run(rule(count=1))
    run.look(START)
    run.see(block(START, 1), START)
    run.unknown = {"still_reading": "mail.log is not read to its end yet"}
    run.look(START + 80 * HOUR)
    assert run.halts()[0].phase is HaltPhase.ACTIVE
    run.unknown = {}
    run.look(START + 81 * HOUR)
    assert run.halts()[0].phase is HaltPhase.PROBING


# -- people


def test_a_person_can_halt_and_release_a_stream() -> None:
    run = Run()
    halt_id = run.guard.halt("trucking", 2 * HOUR, "main\x1btenance", START)
    assert not wish(run, START).sending
    run.look(START)
    assert run.kinds(RecordKind.HALT)[0].reason == "main?tenance"
    run.guard.release(halt_id, "al\x07ice", START + 60)
    run.look(START + 60)
    assert run.kinds(RecordKind.RELEASE)[0].reason == "released by al?ice: it is over"
    assert wish(run, START + 60).sending


def test_a_halt_without_a_reason_says_so() -> None:
    run = Run()
    run.guard.halt("trucking", None, "", START)
    run.look(START)
    assert run.kinds(RecordKind.HALT)[0].reason == "no reason given"


def test_what_there_is_not_can_neither_be_halted_nor_released() -> None:
    run = Run()
    with pytest.raises(KeyError):
        run.guard.halt("nobody", None, "", START)
    with pytest.raises(KeyError):
        run.guard.release("trucking-spike-20260602T000000", "alice", START)


# -- reload


def without_trucking() -> Policy:
    healthcare = {"healthcare": settings_of().streams["healthcare"]}  # type: ignore[index]
    return Policy(settings=settings_of().model_copy(update={"streams": healthcare}), stop_rules=())


def test_a_halt_survives_a_reload_that_leaves_its_stream_out() -> None:
    run = Run(rule(count=1))
    run.see(block(START, 1), START)
    run.guard.reconfigure(without_trucking())
    assert list(run.guard.streams) == ["healthcare"]
    run.commit()
    run.guard.reconfigure(run.policy)
    assert not wish(run, START).sending
    run.restart(START)
    assert not wish(run, START).sending


def test_a_halt_of_a_stream_that_was_left_out_at_the_start_is_there_when_it_returns() -> None:
    run = Run(rule(count=1))
    run.see(block(START, 1), START)
    run.commit()
    guard = Guard(without_trucking(), run.store.state())
    guard.reconfigure(run.policy)
    assert not next(one for one in guard.desired(START) if one.stream == "trucking").sending


def test_a_reload_keeps_counts_and_evidence_and_takes_the_new_rules() -> None:
    run = Run(rule())
    run.look(START)
    for number in range(60):
        first(run, START + number, number)
    for number in range(2):
        run.see(block(START + number, number), START + number)
    run.guard.reconfigure(Policy(settings=settings_of(), stop_rules=(rule("mine", count=3),)))
    run.see(block(START + 10, 9), START + 10)
    for number in range(41):
        first(run, START + 60 + number, 100 + number)
    assert rules_of(run.kinds(RecordKind.HALT)) == ["mine", "spike"]


# -- store


def test_a_quiet_look_changes_nothing_and_records_nothing() -> None:
    run = Run(rule())
    run.look(START)
    run.commit()
    for second in range(1, 5 * MINUTE):
        run.look(START + second)
        assert not run.guard.has_deltas
    assert run.guard.take_deltas() == JudgementDeltas()


def test_standing_trouble_records_nothing_more_at_each_look() -> None:
    run = Run(rule(count=1), rule("alert", effect=Effect.ALERT, count=1), rule("freeze", effect=Effect.FREEZE, count=1))
    run.unknown = {"log_silent": "x"}
    run.starts = {}
    run.unverified = {"trucking": 500}
    run.message(START, MessageColumn.UNSIGNED, 500)
    run.guard.signal(bind_failed(), "trucking", "out05", START)
    for number in range(200):
        run.see(block(START, number), START)
        first(run, START, number)
    run.look(START)
    before = len(run.records)
    for second in range(1, 10 * MINUTE):
        run.see(block(START + second, second), START + second)
        run.guard.signal(bind_failed(), "trucking", "out05", START + second)
        run.look(START + second)
    assert len(run.records) == before


def test_each_halt_and_each_change_of_rung_has_a_record() -> None:
    run = Run(rule(count=1))
    run.look(START)
    run.see(block(START, 1), START)
    run.look(START + 72 * HOUR)
    assert {record.halt_id for record in run.records if record.halt_id} == {halt.id for halt in run.halts()}
    assert {(record.kind, record.after) for record in run.records} >= {
        (RecordKind.WINDOW, "50"),
        (RecordKind.POOL, "3"),
        (RecordKind.HALT, "active"),
        (RecordKind.PHASE, "probing"),
    }


def test_evidence_that_no_store_takes_costs_no_memory() -> None:
    run = Run(rule())
    counted = block(START, 1)
    for _ in range(MAX_HITS + 100):
        run.guard.see(counted, START)
    assert len(run.guard.take_deltas().evidence) == MAX_HITS


def test_deltas_are_copies_that_later_looks_do_not_change() -> None:
    run = Run(rule("alert", effect=Effect.ALERT, count=1))
    run.look(START)
    run.see(block(START, 1), START)
    deltas = run.guard.take_deltas()
    told = dict(deltas.memories["trucking"].told_until)
    run.see(block(START, 1, operator="google", egress="out06"), START + 2 * DAY)
    run.look(START + 3 * DAY)
    assert deltas.memories["trucking"].told_until == told
    assert deltas.memories["trucking"].highest_day == 0


def test_a_standing_halt_is_there_after_a_restart_whatever_else_was_lost() -> None:
    run = Run(rule(count=1))
    run.see(block(START, 1), START)
    run.commit()
    for day in (1, 2, 2.9):
        run.restart(START + day * DAY)
        run.look(START + day * DAY)
        assert not wish(run, START + day * DAY).sending


# -- a restart anywhere

Step: TypeAlias = tuple[str, int, int]
_SMALL = "spike_factor = 1.0\nwarmup.window_ladder_per_hour = { 0 = 5, 1 = 10, 2 = 20 }"
_QUICK = ReturnPolicy(probe_per_hour=3, probe_s=1200, probe_min_attempts=2, recover_s=2400, relapse_s=7200, step_back_days=1)
_RULES = (
    rule(count=2, hold_s=1800),
    rule("blocks", operators=(), excluded=("google",), count=3, distinct=2, window_s=2 * HOUR, hold_s=None),
    rule("by-egress", operators=(), count=2, distinct=1, scope=Scope.EGRESS, hold_s=3600),
    rule(
        "limits",
        operators=(),
        classes=(ReplyClass.RATE_LIMIT,),
        count=2,
        distinct=1,
        share=0.3,
        min_sample=3,
        effect=Effect.FREEZE,
        hold_s=1800,
    ),
    rule("content", operators=(), classes=(ReplyClass.CONTENT,), count=1, effect=Effect.ALERT, hold_s=None),
)
_WHAT = (
    "first",
    "block",
    "limit",
    "content",
    "sent",
    "signed",
    "unsigned",
    "look",
    "look",
    "unknown",
    "halt",
    "release",
    "bind",
)


def do(run: Run, step: Step, now: Instant) -> None:
    """Look, as each tick does, and carry one step out; `x` chooses operator, egress, recipient or halt."""
    run.look(now)
    what, _, x = step
    operator, egress = ("google", "cox", "other")[x % 3], ("out05", "out06")[x % 2]
    classes = {"block": ReplyClass.REPUTATION, "limit": ReplyClass.RATE_LIMIT, "content": ReplyClass.CONTENT}
    match what:
        case "look":
            pass
        case "unknown":
            run.unknown = {"log_silent": "x"} if x % 2 else {}
        case "signed" | "unsigned":
            column = MessageColumn.SIGNED if what == "signed" else MessageColumn.UNSIGNED
            run.message(now, column, 1 + 5 * (x % 3))
        case "halt":
            run.guard.halt("trucking", 1800 if x % 2 else None, "x", now)
        case "release":
            halts = sorted(run.halts(), key=lambda halt: halt.id)  # whatever order a store gives them back in
            if halts:
                run.guard.release(halts[x % len(halts)].id, "alice", now)
        case "bind":
            run.guard.signal(bind_failed(egress), "trucking", egress, now)
        case _:
            column_of = Column.FIRST if what == "first" else Column.RETRIES
            counted = attempt(
                now,
                recipient=f"r{x}@example.com",
                operator=operator,
                egress=egress,
                reply_class=classes.get(what),
                column=column_of,
            )
            run.see(counted, now)


steps = st.lists(
    st.tuples(st.sampled_from(_WHAT), st.sampled_from([1, 20, 61, 400, 1801, 3700, 30000]), st.integers(0, 11)), max_size=50
)


@given(steps, st.dictionaries(st.integers(0, 49), st.integers(0, 3), max_size=6))
@settings(max_examples=150, deadline=None)
def test_a_crash_anywhere_changes_nothing(sequence: list[Step], crashes: dict[int, int]) -> None:
    """Before a step there is a commit, then a few steps more, then a crash; the lost steps are read again."""
    straight, broken = (
        Run(*_RULES, settings=settings_of(ceiling=20, more=_SMALL, dkim=DKIM), returning=_QUICK) for _ in range(2)
    )
    times = [START + seconds for seconds in accumulate(seconds for _, seconds, _ in sequence)]
    timed = list(zip(sequence, times, strict=True))
    for number, (step, now) in enumerate(timed):
        do(straight, step, now)
        straight.commit()
        if number in crashes:
            broken.commit()
            unknown = broken.unknown
            for lost, then in timed[number : number + crashes[number]]:
                do(broken, lost, then)
            broken.restart(times[number - 1] if number else START)
            broken.unknown = unknown
        do(broken, step, now)
        broken.commit()
        assert judged(broken, now) == judged(straight, now)
    for run in (broken, straight):
        run.look(START + 40 * DAY)
    assert judged(broken, START + 40 * DAY) == judged(straight, START + 40 * DAY)


def judged(run: Run, now: Instant) -> tuple[object, ...]:
    return (
        [judge.halts for judge in run.guard.streams.values()],
        [judge.memory for judge in run.guard.streams.values()],
        run.guard.desired(now),
    )
