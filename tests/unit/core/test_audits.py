"""What audits find in campaigns that run or will run, and how it is told."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from pwmtad.core.audits import (
    EXCLUDED,
    LOCALHOST,
    MAILED_OFTEN,
    NO_ALTBODY,
    NO_MESSENGER,
    NOT_AUDITED,
    TOO_LARGE,
    Audited,
    LogSight,
    acting_of,
    audit,
    audit_findings,
    log_sight,
)
from pwmtad.core.repeats import Repeats
from pwmtad.model.audience import ListedDomain
from pwmtad.model.audit import AuditedCampaign, AuditLimits, AuditView
from pwmtad.model.state import Finding, Level
from tests.tools.judging import DAY, HOUR, START, Run, attempt

NOON = START + 12 * HOUR
LIMITS = AuditLimits(NOON, window_per_hour=250, ceiling_per_day=4000, room_today=3500)


def campaign(number: int = 12, **changes: Any) -> AuditedCampaign:
    made = AuditedCampaign(number, "News", "running", "email", "richtext", True, 100, 0)
    return replace(made, **changes)


def view(*campaigns: AuditedCampaign, messengers: frozenset[str] | None = frozenset({"email"})) -> AuditView:
    return AuditView("https://lists.example.org", campaigns, messengers)


def audited(*campaigns: AuditedCampaign, sizes: dict[int, int] | None = None, limits: AuditLimits = LIMITS) -> Audited:
    return audit(view(*campaigns), limits, sizes or {}, None)


def told(found: Audited | None, sight: LogSight | None = None, problem: str = "") -> list[Finding]:
    return list(audit_findings("trucking", found, sight or LogSight(), problem))


def test_a_campaign_that_is_well_is_not_spoken_of() -> None:
    assert told(audited(campaign(), campaign(13, content_type="plain", has_altbody=False))) == []


def test_html_without_a_text_part_is_found() -> None:
    (finding,) = told(audited(campaign(has_altbody=False), campaign(13, content_type="markdown", has_altbody=False)))
    assert (finding.code, finding.level, finding.subject) == (NO_ALTBODY, Level.WARNING, "trucking")
    assert "12 (News), 13 (News)" in finding.text


def test_a_messenger_that_is_not_loaded_is_found_where_listmonk_says_which_are() -> None:
    one = campaign(messenger="email-bulk")
    (finding,) = told(audited(one))
    assert (finding.code, finding.level) == (NO_MESSENGER, Level.ERROR)
    assert told(audit(view(one, messengers=None), LIMITS, {}, None)) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"to_send": 3000, "sent": 0}, ""),
        ({"to_send": 3001, "sent": 0}, "3,001 to send, 3,000 today, 4,000 a day: 2 days"),
        ({"to_send": 9000, "sent": 6000}, ""),
        (
            {"to_send": 12_000, "sent": 900},
            "11,100 to send, above the ceiling of 4,000 a day, 3,000 today, 4,000 a day: 4 days",
        ),
        ({"to_send": 100, "sent": 400}, ""),
        ({"status": "scheduled", "send_at": START + 22 * HOUR, "to_send": 501}, "501 to send, 500 today"),
        ({"status": "scheduled", "send_at": START + 2 * DAY, "to_send": 4000}, ""),
        ({"status": "scheduled", "send_at": START + 2 * DAY, "to_send": 9000}, "9,000 to send, 4,000 a day: 3 days"),
    ],
)
def test_more_than_may_be_sent_is_found_with_the_days_that_it_takes(changes: dict[str, Any], words: str) -> None:
    findings = told(audited(campaign(**changes)))
    assert [finding.code for finding in findings] == ([TOO_LARGE] if words else [])
    if words:
        assert words in findings[0].text


def test_the_window_counts_where_it_lets_out_less_than_the_ceiling() -> None:
    limits = replace(LIMITS, window_per_hour=50)
    (finding,) = told(audited(campaign(to_send=3000), limits=limits))
    assert "3,000 to send, 600 today, 1,200 a day: 3 days" in finding.text


def test_a_scheduled_campaign_is_measured_by_its_lists() -> None:
    """Listmonk says 0 until it picks it up."""
    one = campaign(status="scheduled", send_at=START + 13 * HOUR, to_send=0)
    assert told(audited(one)) == []
    (finding,) = told(audited(one, sizes={12: 20_000}))
    assert "20,000 to send, above the ceiling" in finding.text


def test_recipients_at_domains_that_must_not_be_mailed_are_found() -> None:
    excluded = [ListedDomain(12, "yahoo.com", 900), ListedDomain(12, "aol.com", 300), ListedDomain(13, "aol.com", 4)]
    (finding,) = told(audit(view(campaign()), LIMITS, {}, excluded))
    assert (finding.code, finding.level) == (EXCLUDED, Level.ERROR)
    assert "1,204 recipient(s) of campaign(s) 12, 13" in finding.text
    assert "take yahoo.com, aol.com off the lists" in finding.text
    many = [ListedDomain(12, f"d{n}.example", n) for n in range(1, 9)]
    assert (
        "d8.example, d7.example, d6.example, d5.example, d4.example and 3 more"
        in told(audit(view(campaign()), LIMITS, {}, many))[0].text
    )


def test_what_the_log_tells_is_found_without_a_listmonk() -> None:
    often = Repeats(recipients=100, repeated=30, limit=3, worst=7)
    findings = told(None, LogSight(41, often))
    assert [finding.code for finding in findings] == [LOCALHOST, MAILED_OFTEN]
    assert "30 of 100 recipients (30%) were mailed more than 3 times" in findings[1].text
    assert told(None, LogSight(0, replace(often, repeated=5))) == []


def test_why_nothing_could_be_looked_at_is_told() -> None:
    (finding,) = told(None, problem="no answer\x1b[31m")
    assert (finding.code, finding.text) == (NOT_AUDITED, "trucking: campaigns can't be audited: no answer?[31m")


def test_many_campaigns_are_named_by_the_first_few() -> None:
    large = [campaign(number, has_altbody=False, to_send=9000) for number in range(20)]
    altbody, size = told(audited(*large))
    assert "and 15 more" in altbody.text
    assert "and 15 more campaigns" in size.text


def test_numbers_that_are_not_known_are_none() -> None:
    nothing = acting_of("trucking", None, LogSight())
    assert (nothing.campaigns, nothing.excluded_subscribers, nothing.mailed_often_ratio) == (None, None, None)
    one = campaign(has_altbody=False, messenger="gone", to_send=9000)
    acting = acting_of("trucking", audited(one), LogSight(3, Repeats(10, 1, 3, 4)), NOON)
    assert (acting.campaigns, acting.without_altbody, acting.without_messenger, acting.too_large) == (1, 1, 1, 1)
    assert (acting.with_excluded_domains, acting.localhost_message_ids, acting.mailed_often_ratio) == (None, 3, 0.1)
    excluded = [ListedDomain(12, "a.example", 2), ListedDomain(12, "b.example", 3)]
    acting = acting_of("trucking", audit(view(one), LIMITS, {}, excluded), LogSight(), NOON)
    assert (acting.with_excluded_domains, acting.excluded_subscribers) == (1, 5)


def test_the_judgement_tells_who_was_mailed_often_from_the_second_day_on() -> None:
    run = Run()
    run.look(START + 60)
    for day in range(5):
        for number in range(30):
            run.see(attempt(recipient=f"r{number}@example.com"), START + day * DAY + 3600 + number)
        run.look(START + day * DAY + 7200)
    assert log_sight(run.guard, "healthcare", START).repeats is not None
    run.look(START + 5 * DAY + 60)
    sight = log_sight(run.guard, "trucking", START + 5 * DAY)
    assert sight.repeats is not None
    assert (sight.repeats.recipients, sight.repeats.repeated, sight.repeats.worst) == (30, 30, 5)
    assert [finding.code for finding in told(None, sight)] == [MAILED_OFTEN]


@given(
    st.integers(0, 100_000), st.integers(0, 100_000), st.integers(10, 5000), st.integers(1, 20_000), st.integers(0, 20_000),
    st.floats(0, DAY, exclude_max=True), st.none() | st.floats(-DAY, 3 * DAY),
)  # fmt: skip
def test_what_fits_into_today_is_never_too_large_and_what_is_above_the_ceiling_always_is(
    to_send: int, sent: int, window: int, ceiling: int, room: int, second: float, send_after: float | None
) -> None:
    limits = AuditLimits(START + second, window, ceiling, min(room, ceiling))
    one = campaign(to_send=to_send, sent=sent, send_at=None if send_after is None else START + send_after)
    large = audited(one, limits=limits).too_large
    left = to_send - sent
    if left <= 0:
        assert not large
    if left > ceiling:
        assert large
    for _, why in large:
        days = int(why.rpartition(": ")[2].removesuffix(" days").replace(",", ""))
        assert days >= 1
        assert days * min(ceiling, 24 * window) + limits.room_today >= left
