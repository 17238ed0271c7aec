"""The generator knows exactly what it wrote, at every line."""

from __future__ import annotations

from collections import Counter
from itertools import islice, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tools.loggen import Audience, HostConfig, Mix, Scenario
from tests.tools.loggen.pieces import BindFailure, Campaign, MilterDown, Paused, Reload, Unsigned
from tests.tools.loggen.replies import CLASS_OF
from tests.unit.tools.loggen_reading import EVERYBODY, SHAPES, START, STREAM, body, busy_hours, outcomes, shapes, statuses

HOUR = 3600.0


@given(st.integers(0, 20_000))
@settings(max_examples=12, deadline=None)
def test_truth_is_exact_after_any_number_of_lines(count: int) -> None:
    run = busy_hours(count=800).play()
    lines = [line for _, _, line in islice(run, count)]
    truth, found = run.truth, shapes(lines)
    assert truth.mail_lines == len(lines)
    assert truth.by("status") == statuses(lines)
    assert truth.count("signed") == found["signed"]
    assert truth.count("injected") == found["client"] + found["pickup"]
    assert truth.count("removed") == found["removed"]
    assert truth.count("interim") == found["interim"]


def test_truth_by_egress_and_kind_agrees_with_the_lines() -> None:
    run = busy_hours().play()
    found = outcomes(line for _, _, line in run)
    senders = set(_null_senders(run_again()))
    tried: set[tuple[str, str]] = set()
    counted: Counter[tuple[str, str, str]] = Counter()
    names = {egress.tag + "/smtp": egress.name for egress in STREAM.egresses}
    for one in found:
        if one.attempt:
            key = (one.queue_id, one.recipient)
            kind = "notification" if one.queue_id in senders else "retry" if key in tried else "first"
            tried.add(key)
            counted[names[one.tag], one.status, kind] += 1
    expected: Counter[tuple[str, str, str]] = Counter()
    for attempt, count in run.truth.attempts.items():
        expected[attempt.egress, attempt.status, attempt.kind] += count
    assert counted == expected
    assert sum(run.truth.first_by_hour.values()) == run.truth.total(kind="first")


def run_again() -> list[str]:
    return [line for _, line in busy_hours().mail_log()]


def _null_senders(lines: list[str]) -> list[str]:
    found = [SHAPES["queued"].fullmatch(body(line)) for line in lines]
    return [match[1] for match in found if match and not match[2]]


def test_lines_of_error_are_no_attempts() -> None:
    run = busy_hours().play()
    found = outcomes(line for _, _, line in run)
    suspended = [one for one in found if one.tag == "postfix/error"]
    assert suspended
    assert all("delivery temporarily suspended: " in one.text for one in suspended)
    assert run.truth.count("local_deferral") == len(suspended)
    assert run.truth.total() == sum(one.attempt for one in found)


def test_hostile_text_is_counted_as_what_it_was() -> None:
    only = Mix.of({"hostile": 1.0})
    scenario = Scenario(START, 1, (STREAM,), (Campaign(START, "trucking", Audience("liars", 300, only), 3000),), START + HOUR)
    run = scenario.play()
    lines = [line for _, _, line in run]
    assert any("dsn=2.0.0, status=sent (250 2.0.0 queued" in line for line in lines)
    assert run.truth.by("status") == statuses(lines)
    assert set(run.truth.by("operator")) == {"other"}
    assert {CLASS_OF.get(reply, "") for reply in run.truth.by("reply")} == {""}


def test_a_domain_that_nobody_ever_answered_for_has_an_unknown_operator() -> None:
    only = Mix.of({"unreachable": 1.0})
    scenario = Scenario(START, 1, (STREAM,), (Campaign(START, "trucking", Audience("gone", 100, only), 3000),), START + HOUR)
    run = scenario.play()
    assert all("relay=none" in line for _, _, line in run if " to=<" in line and "postfix/local[" not in line)
    assert run.truth.by("operator").keys() == {"unknown"}


def test_a_message_to_many_is_split_over_egresses_and_removed_once() -> None:
    campaign = Campaign(START, "trucking", Audience("groups", 300, EVERYBODY), 3000, recipients_per_message=5)
    run = Scenario(START, 1, (STREAM,), (campaign,), START + 12 * HOUR).play()
    lines = [line for _, _, line in run]
    queued = [match for line in lines if (match := SHAPES["queued"].fullmatch(body(line)))]
    assert {match[3] for match in queued if match[2]} == {"5"}
    per_message: dict[str, set[str]] = {}
    for one in outcomes(lines):
        if one.attempt:
            per_message.setdefault(one.queue_id, set()).add(one.tag)
    assert max(len(tags) for tags in per_message.values()) > 1
    removed = Counter(match[1] for line in lines if (match := SHAPES["removed"].fullmatch(body(line))))
    assert set(removed.values()) == {1}


def test_deferred_mail_is_tried_with_growing_distance_and_expires_with_a_notification() -> None:
    only = Mix.of({"dead-365": 1.0})
    campaign = Campaign(START, "trucking", Audience("dead", 1, only), 3000)
    host = HostConfig(queue_lifetime_s=6 * HOUR)
    run = Scenario(START, 1, (STREAM,), (campaign,), START + 12 * HOUR, host=host).play()
    times = [when for when, _, line in run if "status=deferred" in line]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert gaps[0] >= 299
    assert max(gaps) < 4000 + 300 + 30
    assert gaps[-1] > gaps[0]
    assert run.truth.count("expired") == run.truth.count("notification") == 1
    assert run.truth.total(status="deferred", kind="first") == 1


@pytest.mark.parametrize("action", ["accept", "tempfail"])
def test_without_a_milter_mail_is_unsigned_or_refused(action: str) -> None:
    down, up = START + 300, START + 900
    scenario = busy_hours(MilterDown(down, up), count=1000, host=HostConfig(milter_default_action=action))
    run = scenario.play()
    signed_while_down = [line for when, _, line in run if "field added" in line and down + 1 < when < up]
    assert signed_while_down == []
    if action == "accept":
        assert run.truth.unsigned("trucking") > 300
    else:
        assert run.truth.unsigned("trucking") == 0
        assert run.truth.count("milter_rejected", "trucking") > 300
    assert run.truth.count("milter_unreachable") > 0


@pytest.mark.parametrize("says_why", [True, False])
def test_an_unsigned_stream_does_not_touch_cron_mail(says_why: bool) -> None:
    run = busy_hours(Unsigned(START, "trucking", says_why=says_why), count=200).play()
    lines = [line for _, _, line in run]
    assert run.truth.unsigned("trucking") == 200
    assert run.truth.unsigned("none") == 0 < run.truth.count("signed", "none")
    assert any("[172.18.0.5] not internal" in line for line in lines) is says_why


@pytest.mark.parametrize("enforced", [True, False])
def test_an_egress_without_its_address_warns_before_each_delivery(enforced: bool) -> None:
    run = busy_hours(BindFailure(START, "out06", enforced=enforced), count=300).play()
    lines = [line for _, _, line in run]
    warnings = sum("bind 198.51.100.94: Cannot assign" in line for line in lines)
    assert warnings == run.truth.total(egress="out06") == run.truth.count("bind_failed", "trucking")
    assert (run.truth.total(egress="out06", status="sent") > 0) is not enforced


def test_a_new_pool_takes_all_attempts_after_the_reload() -> None:
    at = START + 900
    old, new = STREAM.egresses[:2], STREAM.egresses[2:]
    run = busy_hours(Reload(at, new), pool=old).play()
    before: set[str] = set()
    after: set[str] = set()
    for when, _, line in run:
        for one in outcomes([line]):
            if one.attempt and when < at:
                before.add(one.tag)
            elif one.attempt and when > at + 60:  # deliveries begun before the reload end a few seconds after it
                after.add(one.tag)
    assert before == {egress.tag + "/smtp" for egress in old}
    assert after == {egress.tag + "/smtp" for egress in new}


def test_nothing_leaves_while_the_pool_is_paused() -> None:
    at, until = START + 600, START + 1500
    run = busy_hours(Paused(at, until)).play()
    times = [when for when, _, line in run for one in outcomes([line]) if one.attempt]
    assert not [when for when in times if at + 60 < when < until]
    assert [when for when in times if when > until]


def test_the_same_audience_is_mailed_again_by_another_campaign() -> None:
    shorter, longer = Audience("list", 40, EVERYBODY), Audience("list", 60, EVERYBODY)
    first = [person.address for person in shorter.recipients(1)]
    assert first == [person.address for person in longer.recipients(1)][:40]
    assert first != [person.address for person in Audience("other", 40, EVERYBODY).recipients(1)]


def test_domains_in_turn_are_mailed_equally_often() -> None:
    tenants = Audience("tenants", 200, Mix.of({"microsoft-365": 1.0}, {"microsoft-365": 100}), in_turn=True)
    domains = Counter(person.domain.name for person in tenants.recipients(1))
    assert len(domains) == 100
    assert set(domains.values()) == {2}
