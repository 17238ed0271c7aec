"""What Listmonk is told of a suppression, by what it shows of the subscriber."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from pwmtad.core.suppress_step import (
    LOOKS_S,
    Settle,
    Tell,
    TellDomain,
    bounce_settings,
    next_domain_step,
    next_step,
    report_of,
    told,
    unasked,
    way_for,
)
from pwmtad.model.audience import BounceSettings, DomainFound, Subscriber
from pwmtad.model.listmonk import Outcome
from pwmtad.model.suppression import (
    MANUAL,
    Grounds,
    Mark,
    Report,
    ReportState,
    SubjectKind,
    Suppression,
    SuppressionKey,
    Way,
)
from tests.tools.judging import DAY, START

NOW = START + DAY
UUID = "0e2b9c5e-3b0f-4ba0-8f0b-5bb0a4a1f0a1"
READER = Subscriber(7, UUID, "reader@example.org", "enabled")
BLOCKED = replace(READER, status="blocklisted")
GROUNDS = Grounds("4Zy1", "out05", "google", "mx.example.net", "google-no-such-user", "550-5.1.1 no such account")


def row(subject: str = "reader@example.org", reply_class: str = "hard_bounce", **report: Any) -> Suppression:
    kind = SubjectKind.ADDRESS if "@" in subject else SubjectKind.DOMAIN
    key = SuppressionKey("trucking", kind.value, subject, reply_class)
    return Suppression(key, 2, START, START + 60, START, "", GROUNDS, Report(**report), START)


def settled(step: object) -> Mark:
    assert isinstance(step, Settle)
    return step.mark


# -- how


@pytest.mark.parametrize(
    ("hard", "choice", "way"),
    [
        ({"count": 1, "action": "blocklist"}, "auto", Way.WEBHOOK),
        ({"count": 0, "action": "blocklist"}, "auto", Way.WEBHOOK),
        ({"count": 2, "action": "blocklist"}, "auto", Way.BLOCKLIST),
        ({"count": 1, "action": "delete"}, "auto", Way.BLOCKLIST),
        ({"count": 1, "action": "none"}, "auto", Way.BLOCKLIST),
        (None, "auto", Way.BLOCKLIST),
        ({"count": 1, "action": "blocklist"}, "blocklist", Way.BLOCKLIST),
        ({"count": 1, "action": "delete"}, "webhook", Way.WEBHOOK),
    ],
)
def test_the_webhook_is_taken_only_where_it_blocklists_or_was_chosen(hard: Any, choice: str, way: Way) -> None:
    settings = {
        "app.root_url": "https://lists.example.org/",
        "bounce.enabled": True,
        "bounce.webhooks_enabled": True,
        "bounce.actions": {"soft": {"count": 2, "action": "none"}} | ({} if hard is None else {"hard": hard}),
    }
    found = bounce_settings(settings)
    assert found.root_url == "https://lists.example.org"
    assert way_for(choice, found) is way
    assert found.deletes is (hard is not None and hard["action"] == "delete")


@pytest.mark.parametrize("off", ["bounce.enabled", "bounce.webhooks_enabled"])
def test_a_webhook_that_is_switched_off_is_not_taken(off: str) -> None:
    on = {
        "bounce.enabled": True,
        "bounce.webhooks_enabled": True,
        "bounce.actions": {"hard": {"count": 1, "action": "blocklist"}},
    }
    assert way_for("auto", bounce_settings(on)) is Way.WEBHOOK
    assert way_for("auto", bounce_settings({**on, off: False})) is Way.BLOCKLIST


@pytest.mark.parametrize("actions", [None, [], {"hard": 1}, {"hard": {"count": "1", "action": ["x"]}}])
def test_settings_of_another_shape_are_off(actions: object) -> None:
    assert bounce_settings({"bounce.actions": actions, "app.root_url": 3}) == BounceSettings("", False, "", 0)


# -- addresses


def test_whom_listmonk_does_not_know_is_not_told_of() -> None:
    mark = settled(next_step(row(), None, Way.WEBHOOK, NOW))
    assert (mark.report.state, mark.due_at, mark.seen_at, mark.report.verified_at) == (
        ReportState.UNKNOWN,
        None,
        START + 60,
        None,
    )


def test_who_is_blocklisted_already_is_verified_without_a_report() -> None:
    mark = settled(next_step(row(), BLOCKED, Way.WEBHOOK, NOW))
    assert (mark.report.state, mark.report.verified_at, mark.report.way, mark.due_at) == (ReportState.VERIFIED, NOW, "", None)


@pytest.mark.parametrize("status", ["enabled", "disabled", "something new"])
@pytest.mark.parametrize("state", [ReportState.UNTOLD, ReportState.VERIFIED, ReportState.UNKNOWN, ReportState.FAILED])
def test_who_is_mailed_is_told_of(status: str, state: ReportState) -> None:
    subscriber = replace(READER, status=status)
    assert next_step(row(state=state), subscriber, Way.WEBHOOK, NOW) == Tell(row(state=state), subscriber, Way.WEBHOOK)


def test_a_persons_wish_is_no_bounce() -> None:
    step = next_step(row(reply_class=MANUAL), READER, Way.WEBHOOK, NOW)
    assert isinstance(step, Tell)
    assert step.way is Way.BLOCKLIST


def test_after_a_report_it_looks_a_few_times_and_then_blocklists() -> None:
    one, at = row(state=ReportState.SENT, way="webhook"), NOW
    for number, wait_s in enumerate(LOOKS_S):
        mark = settled(next_step(one, READER, Way.WEBHOOK, at))
        assert (mark.report.tries, mark.due_at) == (number + 1, at + wait_s)
        one, at = replace(one, report=mark.report), at + wait_s
    step = next_step(one, READER, Way.WEBHOOK, at)
    assert step == Tell(one, READER, Way.BLOCKLIST)


def test_blocklisting_that_changes_nothing_is_a_failure_and_tried_again_on_the_next_day() -> None:
    one = row(state=ReportState.SENT, way="blocklist", tries=len(LOOKS_S))
    mark = settled(next_step(one, READER, Way.WEBHOOK, NOW))
    assert (mark.report.state, mark.due_at) == (ReportState.FAILED, NOW + DAY)
    assert mark.report.problem == "told, and the subscriber is still enabled"
    assert isinstance(next_step(replace(one, report=mark.report), READER, Way.WEBHOOK, NOW + DAY), Tell)


def test_who_was_told_of_and_is_gone_is_mailed_no_more() -> None:
    """`bounce.actions` deletes."""
    assert (
        settled(next_step(row(state=ReportState.SENT, way="webhook"), None, Way.WEBHOOK, NOW)).report.state
        is ReportState.VERIFIED
    )


@pytest.mark.parametrize(
    ("outcome", "way", "state", "tries", "due_s"),
    [
        (Outcome.DONE, Way.WEBHOOK, ReportState.SENT, 0, LOOKS_S[0]),
        (Outcome.UNSURE, Way.WEBHOOK, ReportState.SENT, 0, LOOKS_S[0]),
        (Outcome.UNSURE, Way.BLOCKLIST, ReportState.SENT, 0, LOOKS_S[0]),
        (Outcome.REFUSED, Way.WEBHOOK, ReportState.SENT, len(LOOKS_S), 0),
        (Outcome.REFUSED, Way.BLOCKLIST, ReportState.FAILED, 0, DAY),
    ],
)
def test_what_came_of_a_report_is_noted(outcome: Outcome, way: Way, state: ReportState, tries: int, due_s: float) -> None:
    mark = told(Tell(row(), READER, way), outcome, "400 no", NOW)
    assert mark is not None
    assert (mark.report.state, mark.report.tries, mark.due_at) == (state, tries, NOW + due_s)


@pytest.mark.parametrize("outcome", [Outcome.NOT_SENT, Outcome.FORBIDDEN])
def test_a_report_that_was_not_made_leaves_no_note(outcome: Outcome) -> None:
    assert told(Tell(row(), READER, Way.WEBHOOK), outcome, "", NOW) is None
    assert told(TellDomain(row("dead.example", "dead_domain"), (1,), 1), outcome, "", NOW) is None


def test_the_webhook_gets_the_evidence() -> None:
    report = report_of(Tell(row(), READER, Way.WEBHOOK))
    assert (report.subscriber_uuid, report.created_at) == (UUID, START + 60)
    assert report.meta == {
        "by": "pwmtad",
        "class": "hard_bounce",
        "stream": "trucking",
        "operator": "google",
        "rule": "google-no-such-user",
        "queue_id": "4Zy1",
        "egress": "out05",
        "relay": "mx.example.net",
        "reply": "550-5.1.1 no such account",
        "count": 2,
    }


# -- domains


def found(number: int, total: int | None = None) -> DomainFound:
    people = tuple(Subscriber(n, UUID, f"r{n}@dead.example", "enabled") for n in range(1, number + 1))
    return DomainFound(people, number if total is None else total)


DOMAIN = row("dead.example", "dead_domain")


def test_a_dead_domain_of_few_subscribers_is_blocklisted_in_pages_until_nobody_is_left() -> None:
    one, total, pages = DOMAIN, 120, []
    for _ in range(9):
        step = next_domain_step(one, found(min(total, 50), total), 200, NOW)
        if isinstance(step, Settle):
            one = replace(one, report=step.mark.report)
            break
        assert isinstance(step, TellDomain)
        pages.append(len(step.ids))
        mark = told(step, Outcome.DONE, "", NOW)
        assert mark is not None
        assert mark.due_at == NOW + LOOKS_S[0]
        one, total = replace(one, report=mark.report), total - len(step.ids)
    assert pages == [50, 50, 20]
    assert (one.report.state, one.report.subscribers, one.report.verified_at) == (ReportState.VERIFIED, 120, NOW)


def test_a_dead_domain_of_many_subscribers_is_left_to_a_person_who_may_say_so() -> None:
    mark = settled(next_domain_step(DOMAIN, found(50, 101), 100, NOW))
    assert (mark.report.state, mark.due_at) == (ReportState.LEFT, None)
    assert mark.report.problem.startswith("101 subscribers, more than")
    assert "pwmtad suppressions add @dead.example" in mark.report.problem
    manual = row("dead.example", MANUAL)
    assert isinstance(next_domain_step(manual, found(50, 5000), 100, NOW), TellDomain)


def test_a_domain_without_subscribers_is_not_told_of() -> None:
    assert settled(next_domain_step(DOMAIN, found(0), 100, NOW)).report.state is ReportState.UNKNOWN


def test_a_domain_whose_subscribers_stay_is_a_failure_in_the_end() -> None:
    one = DOMAIN
    for _ in range(12):
        step = next_domain_step(one, found(50, 80), 100, NOW)
        if isinstance(step, Settle):
            assert step.mark.report.state is ReportState.FAILED
            return
        assert isinstance(step, TellDomain)
        mark = told(step, Outcome.DONE, "", NOW)
        assert mark is not None
        one = replace(one, report=mark.report)
    raise AssertionError("it goes on for ever")


def test_a_refused_domain_is_a_failure() -> None:
    mark = told(TellDomain(DOMAIN, (1,), 1), Outcome.REFUSED, "400 no", NOW)
    assert mark is not None
    assert (mark.report.state, mark.report.problem) == (ReportState.FAILED, "400 no")


@given(
    st.lists(st.sampled_from([Outcome.DONE, Outcome.UNSURE, Outcome.REFUSED, Outcome.NOT_SENT]), min_size=40, max_size=40),
    st.integers(0, 12),
    st.booleans(),
)
def test_a_subscriber_is_told_of_at_most_twice_a_day_and_ends_settled(
    outcomes: list[Outcome], taken_after: int, webhook: bool
) -> None:
    """Whatever is answered, and whenever Listmonk acts on it: no report is repeated but by the other way."""
    one, at, reports, looks = row(), NOW, 0, 0
    for outcome in outcomes:
        subscriber = BLOCKED if reports and looks >= taken_after else READER
        step = next_step(one, subscriber, Way.WEBHOOK if webhook else Way.BLOCKLIST, at)
        looks += 1
        if isinstance(step, Settle):
            mark: Mark | None = step.mark
        else:
            assert isinstance(step, Tell)
            mark = told(step, outcome, "no", at)
            reports += mark is not None
        if mark is None:
            at += 5
            continue
        one = replace(one, report=mark.report)
        if mark.due_at is None or mark.report.state is ReportState.FAILED:
            break
        at = mark.due_at
    assert reports <= 2
    if all(outcome is not Outcome.NOT_SENT for outcome in outcomes):
        assert one.report.state in (ReportState.VERIFIED, ReportState.FAILED)


def test_what_can_not_be_asked_for_is_a_failure_that_says_what_to_do() -> None:
    mark = unasked(row("weird%@example.org"), NOW)
    assert (mark.report.state, mark.due_at) == (ReportState.FAILED, NOW + DAY)
    assert "database_url" in mark.report.problem
