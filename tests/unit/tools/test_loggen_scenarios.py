"""The ready-made scenarios are what the incidents were."""

from __future__ import annotations

import io
from collections import Counter

from tests.tools.loggen import Traditional, scenarios
from tests.tools.loggen.replies import CLASS_OF
from tests.tools.loggen.scenarios import HOUR_S, WINDOW_LADDER
from tests.unit.tools.loggen_reading import START, outcomes, shapes

DAY_S = 86_400


def test_the_blast_goes_far_over_the_window_and_is_blocked() -> None:
    run = scenarios.blast(START, count=6000, hours_after=1).play()
    lines = [line for _, _, line in run]
    truth = run.truth
    assert None not in shapes(lines)
    busiest = max(count for (stream, _), count in truth.first_by_hour.items() if stream == "trucking")
    assert busiest > 2 * WINDOW_LADDER[0]
    assert truth.count("injected", "trucking") == 6000
    assert truth.by("egress").keys() == {"out02", "out03", "out04"}
    assert len(truth.reply_times["google-unsolicited"]) > 3
    assert min(truth.reply_times["yahoo-tss04"]) > START + 12 * HOUR_S
    assert truth.total(operator="yahoo", reply="yahoo-tss04") > truth.total(operator="yahoo", reply="accepted")


def test_the_whole_blast_ends_near_the_users_share_of_delivered_mail() -> None:
    # runbook: 10k sent, 68k deferred, 7k bounced in a day, grepped from the whole log: about 13 % delivered
    truth = scenarios.blast(START).play().write(io.StringIO())
    delivery_lines = truth.total() + truth.count("local_deferral")
    assert 0.10 < truth.total(status="sent") / delivery_lines < 0.18
    assert truth.total(status="deferred") > 5 * truth.total(status="bounced")


def test_the_unsigned_campaign_hides_behind_signed_cron_mail() -> None:
    run = scenarios.unsigned_campaign(START).play()
    lines = [line for _, _, line in run]
    assert None not in shapes(lines)
    assert run.truth.count("injected", "trucking") == run.truth.unsigned("trucking") == 2620
    assert run.truth.unsigned("none") == 0
    assert run.truth.count("signed", "none") == 288
    assert run.truth.by("reply")["google-unsolicited"] > 50


def test_signing_can_break_in_the_middle_of_a_campaign() -> None:
    run = scenarios.unsigned_campaign(START, signed_hours=2).play()
    signed = [when for when, _, line in run if "field added" in line]
    assert run.truth.count("signed", "trucking") > 400
    assert run.truth.unsigned("trucking") > 1500
    assert len([when for when in signed if when > START + 11 * HOUR_S]) == 12 * 13


def test_a_healthy_month_stays_below_its_windows_and_has_nothing_that_halts() -> None:
    run = scenarios.healthy_month(START, days=9).play()
    lines = [line for _, _, line in run]
    truth = run.truth
    assert None not in shapes(lines)
    classes = Counter({CLASS_OF.get(reply, ""): 0 for reply in truth.by("reply")})
    for reply, count in truth.by("reply").items():
        classes[CLASS_OF.get(reply, "")] += count
    assert classes["reputation"] == classes["authentication"] == 0
    assert "yahoo" not in truth.by("operator")
    assert truth.unsigned("trucking") == truth.unsigned("healthcare") == 0
    cron_per_hour = 12
    for (stream, hour), count in truth.first_by_hour.items():
        if stream == "trucking":
            day = int(hour - START) // DAY_S
            assert count <= scenarios.step(WINDOW_LADDER, day) + cron_per_hour
    days = Counter[int]()
    for (stream, hour), count in truth.first_by_hour.items():
        if stream == "trucking":
            days[int(hour - START) // DAY_S] += count
    assert max(days.values()) < 4000


def test_the_pool_of_a_healthy_month_grows_and_the_second_stream_keeps_its_egresses() -> None:
    run = scenarios.healthy_month(START, days=5).play()
    seen: dict[str, float] = {}
    for when, _, line in run:
        for one in outcomes([line]):
            if one.attempt:
                seen.setdefault(one.tag, when)
    pool = {tag for tag in seen if "out3" not in tag}
    assert {tag for tag, when in seen.items() if tag in pool and when < START + 4 * DAY_S} == {
        "postfix-out02/smtp",
        "postfix/out03/smtp",
        "postfix-out04/smtp",
    }
    assert len(pool) == 5
    assert {key.egress for key in run.truth.attempts if key.stream == "healthcare"} == {"out30", "out31"}


def test_the_corpus_has_the_mix_of_a_campaign_host() -> None:
    truth = scenarios.campaign_host(START).play().write(io.StringIO(), max_lines=150_000)
    delivery_lines = truth.total() + truth.count("local_deferral")
    assert 0.70 < truth.total(status="sent") / delivery_lines < 0.82  # retries grow with the length of the corpus
    assert 0.10 < truth.total(status="deferred") / delivery_lines < 0.20
    assert 0.04 < truth.total(status="bounced") / delivery_lines < 0.08
    assert 6 < truth.mail_lines / truth.count("injected") < 8.5
    assert len(truth.by("egress")) == 20


def test_every_named_scenario_can_be_built_for_any_start() -> None:
    for build in scenarios.BY_NAME.values():
        when, _ = next(iter(build(START + 1000).mail_log()))
        assert START + 1000 <= when < START + 1000 + DAY_S


def test_a_blast_can_be_written_with_traditional_timestamps() -> None:
    _, line = next(scenarios.blast(START, style=Traditional()).mail_log())
    assert line.startswith("Mar  2 00:0")
