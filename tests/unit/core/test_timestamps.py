"""Timestamps: both formats, the turn of the year, leap days, and the hour that DST gives twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pwmtad.core.timestamps import Rfc3339, Traditional

BERLIN: Final = ZoneInfo("Europe/Berlin")
NEW_YORK: Final = ZoneInfo("America/New_York")
ZONES: Final = (ZoneInfo("UTC"), BERLIN, NEW_YORK, ZoneInfo("Asia/Kolkata"), ZoneInfo("Australia/Lord_Howe"))


def stamp(moment: datetime) -> str:
    """Write a moment as syslog does: without year and zone, the day padded with a space."""
    return f"{moment:%b} {moment.day:2d} {moment:%H:%M:%S}"


def instant(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def read_all(
    stamps: list[str], *, zone: ZoneInfo = BERLIN, now: str = "2027-06-01T00:00Z", year: int | None = None
) -> list[str]:
    """Return the moments as they are in UTC, to the second."""
    reader = Traditional(zone=zone, now=instant(now), year=year)
    found = [reader.read(text) for text in stamps]
    return ["none" if at is None else f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%S}" for at in found]


# -- RFC 3339

digits = st.one_of(st.text("0123456789", min_size=6, max_size=6), st.text("0123456789", min_size=1, max_size=9))
rfc3339_texts = st.builds(
    "{}{}{}".format,
    st.sampled_from(
        ["2026-11-24T02:51:29", "2026-11-24T02:51:30", "2026-12-31T23:59:59", "2026-02-29T00:00:00", "20261124T025129"]
    ),
    st.one_of(
        st.just(""), digits.map(".".__add__), digits.map(",".__add__), st.sampled_from([".12_456", ".12e+03", ".", ".١٢٣٤٥٦"])
    ),
    st.sampled_from(["+00:00", "Z", "+05:30", "-05:00", "+0530", "", "z", " ", "+00:00:01", "+25:00", "00:00"]),
)


@settings(deadline=None, max_examples=300)
@given(st.lists(rfc3339_texts, max_size=10))
@example(["2026-11-24T02:51:29.499+00:00"] * 2)
@example(["2026-11-24T02:51:29.49946+00:00"] * 2)
@example(["2026-11-24T02:51:29,499469+00:00"] * 2)
@example(["20261124T025129.5+00:00"] * 2)
@example(["2026-11-24T02:51:29.499469+00:00", "2026-11-24T02:51:30.499469+00:00"])
@example(["2026-11-24T02:51:29.499469+00:00", "2026-11-24T02:51:29.499469+05:30", "2026-11-24T02:51:29.499469Z"])
def test_what_was_read_before_changes_no_full_timestamp(texts: list[str]) -> None:
    reader = Rfc3339()

    for text in texts:
        assert reader.read(text) == Rfc3339().read(text), text


@settings(deadline=None, max_examples=300)
@given(rfc3339_texts)
def test_a_full_timestamp_is_what_the_standard_library_says_or_nothing(text: str) -> None:
    try:
        moment = datetime.fromisoformat(text)
        expected = None if moment.tzinfo is None else moment.timestamp()
    except ValueError:
        expected = None

    assert Rfc3339().read(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "T",
        "2026-11-24",
        "2026-11-24T02:51:29",
        "x" * 40,
        "0001-01-01T00:00:00+23:59",
        "0001-01-01T00:00:00.000000+23:59",
        "1969-12-31T23:59:59.999999+00:00",
        "9999-12-31T23:59:59.999999-12:00",
    ],
)
def test_what_is_no_moment_that_could_be_shown_is_none(text: str) -> None:
    assert Rfc3339().read(text) is None


@settings(deadline=None)
@given(st.integers(0, 999_999), st.integers(0, 4_000_000_000))
def test_microseconds_are_exact_with_and_without_a_line_before(microsecond: int, second: int) -> None:
    moment = datetime.fromtimestamp(second, UTC).replace(microsecond=microsecond)
    reader = Rfc3339()
    reader.read(f"{moment:%Y-%m-%dT%H:%M:%S}.000000+00:00")

    assert reader.read(moment.isoformat(timespec="microseconds")) == moment.timestamp()


# -- the year of a traditional timestamp


@settings(deadline=None, max_examples=300)
@given(
    st.datetimes(datetime(1980, 1, 3), datetime(2080, 1, 1)),  # noqa: DTZ001  the zone is added
    st.integers(-86_000, 363 * 86_400),
    st.sampled_from(ZONES),
)
def test_a_line_of_the_last_363_days_or_of_the_next_day_gets_its_year(moment: datetime, age_s: int, zone: ZoneInfo) -> None:
    at = moment.replace(tzinfo=UTC, microsecond=0).timestamp()
    local = datetime.fromtimestamp(at, zone)
    found = Traditional(zone=zone, now=at + age_s).read(stamp(local))

    assert found is not None
    # In an hour that occurs twice, the first one is as good an answer.
    assert at - found in ({0.0} if local.fold == 0 else {0.0, 1800.0, 3600.0})


@settings(deadline=None)
@given(st.sampled_from(ZONES), st.integers(0, 4_000_000_000), st.text("JanFebDc 0123456789:", min_size=15, max_size=15))
def test_no_text_is_ever_more_than_a_day_ahead(zone: ZoneInfo, now: int, text: str) -> None:
    found = Traditional(zone=zone, now=now).read(text)

    assert found is None or found <= now + 86_400


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Nov",
        "Foo 24 02:51:29",
        "Nov 24x02:51:29",
        "Nov_24 02:51:29",
        "Nov 24 02-51:29",
        "Nov 24 02:51-29",
        "Nov xx 02:51:29",
    ],
)
def test_what_is_no_traditional_timestamp_is_none(text: str) -> None:
    assert read_all([text]) == ["none"]


def test_a_log_goes_on_over_the_turn_of_the_year() -> None:
    stamps = ["Dec 31 23:59:58", "Dec 31 23:59:59", "Jan  1 00:00:00", "Jan  1 00:00:01"]
    expected = ["2026-12-31T22:59:58", "2026-12-31T22:59:59", "2026-12-31T23:00:00", "2026-12-31T23:00:01"]

    assert read_all(stamps, now="2027-01-01T12:00Z") == expected
    assert read_all(stamps, year=2026) == expected


def test_lines_out_of_order_around_the_turn_of_the_year_stay_in_their_years() -> None:
    stamps = ["Dec 31 23:59:58", "Jan  1 00:00:00", "Dec 31 23:59:59", "Jan  1 00:00:01", "Dec 31 23:59:59", "Jan  2 00:00:00"]
    expected = [
        "2026-12-31T22:59:58",
        "2026-12-31T23:00:00",
        "2026-12-31T22:59:59",
        "2026-12-31T23:00:01",
        "2026-12-31T22:59:59",
        "2027-01-01T23:00:00",
    ]

    assert read_all(stamps, now="2027-01-02T12:00Z") == expected
    assert read_all(stamps, year=2026) == expected


def test_a_given_year_follows_the_months_through_several_years() -> None:
    stamps = ["Nov  1 12:00:00", "Feb  1 12:00:00", "Aug  1 12:00:00", "Dec  1 12:00:00", "Jan  1 12:00:00"]

    assert [text[:4] for text in read_all(stamps, year=2023)] == ["2023", "2024", "2024", "2024", "2025"]


def test_files_in_the_wrong_order_do_not_advance_a_given_year() -> None:
    stamps = ["Nov 24 12:00:00", "Nov 17 12:00:00", "Oct 17 12:00:00", "Nov 30 12:00:00"]

    assert [text[:4] for text in read_all(stamps, year=2026)] == ["2026"] * 4


def test_a_leap_day_belongs_to_a_leap_year() -> None:
    assert read_all(["Feb 29 12:00:00"], now="2028-03-01T00:00Z") == ["2028-02-29T11:00:00"]
    assert read_all(["Feb 29 12:00:00"], now="2028-02-29T00:00Z") == ["2028-02-29T11:00:00"]
    assert read_all(["Feb 29 12:00:00"], now="2028-02-01T00:00Z") == ["2024-02-29T11:00:00"]
    assert read_all(["Feb 29 12:00:00"], now="2103-06-01T00:00Z") == ["2096-02-29T11:00:00"]
    assert read_all(["Feb 28 12:00:00", "Feb 29 12:00:00", "Mar  1 12:00:00"], year=2027) == [
        "2027-02-28T11:00:00",
        "none",
        "2027-03-01T11:00:00",
    ]


def test_a_day_that_no_year_has_is_none() -> None:
    assert read_all(["Feb 30 12:00:00", "Nov 31 12:00:00", "Jan  0 12:00:00", "Jan  1 24:00:00"]) == ["none"] * 4


def test_a_year_beyond_the_calendar_is_none() -> None:
    assert read_all(["Dec 31 23:00:00", "Jan  1 00:00:00"], zone=NEW_YORK, year=9999) == ["none", "none"]
    assert read_all(["Jan  1 00:00:00"], year=1970) == ["none"]


def test_a_leap_second_is_the_last_second() -> None:
    assert read_all(["Jun 30 23:59:60"], zone=ZoneInfo("UTC"), year=2026) == ["2026-06-30T23:59:59"]


# -- DST


def test_the_hour_that_dst_skips_is_passed_over() -> None:
    spring = ["Mar 29 01:59:59", "Mar 29 03:00:00", "Mar 29 03:00:01"]

    assert read_all(spring, year=2026) == ["2026-03-29T00:59:59", "2026-03-29T01:00:00", "2026-03-29T01:00:01"]


def test_a_time_that_dst_skips_is_still_a_time() -> None:
    assert read_all(["Mar 29 02:30:00"], year=2026) == ["2026-03-29T01:30:00"]


@pytest.mark.parametrize(("zone", "midnight"), [(BERLIN, "2026-10-24T22:00Z"), (NEW_YORK, "2026-11-01T04:00Z")])
@pytest.mark.parametrize("step_s", [1, 7, 600, 2700, 3300])
@pytest.mark.parametrize("year", [None, 2026])
def test_each_line_of_a_night_when_dst_ends_gets_its_own_moment(
    zone: ZoneInfo, midnight: str, step_s: int, year: int | None
) -> None:
    start = instant(midnight)
    moments = [start + offset for offset in range(0, 6 * 3600, step_s)]
    reader = Traditional(zone=zone, now=start + 7 * 3600, year=year)

    assert [reader.read(stamp(datetime.fromtimestamp(at, zone))) for at in moments] == moments


@settings(deadline=None, max_examples=200)
@given(
    st.sampled_from([(BERLIN, "2026-10-25T00:00Z"), (NEW_YORK, "2026-11-01T05:00Z"), (ZONES[4], "2026-04-04T14:00Z")]),
    st.lists(st.tuples(st.integers(0, 1500), st.integers(0, 30)), min_size=1, max_size=40),
)
def test_lines_some_seconds_out_of_order_are_right_in_the_hour_that_occurs_twice(
    place: tuple[ZoneInfo, str], steps: list[tuple[int, int]]
) -> None:
    zone, before = place
    at = instant(before) - 600
    reader = Traditional(zone=zone, now=at + 86_400)
    reader.read(stamp(datetime.fromtimestamp(at, zone)))
    for forward, back in steps:
        at += forward
        assert reader.read(stamp(datetime.fromtimestamp(at, zone))) == at
        # A line that is late, but not from the other side of the hour's end: seen from there it has two readings.
        late = at - back
        if zone.utcoffset(datetime.fromtimestamp(late, zone)) == zone.utcoffset(datetime.fromtimestamp(at, zone)):
            assert reader.read(stamp(datetime.fromtimestamp(late, zone))) == late


def test_a_clock_that_steps_back_gives_the_times_that_the_lines_have() -> None:
    stamps = ["Jun 10 12:00:00", "Jun 10 11:00:00", "Jun 10 11:00:01", "Jun  9 11:00:00", "Jun 10 12:00:00"]

    assert read_all(stamps, zone=ZoneInfo("UTC"), now="2026-06-11T00:00Z") == [
        "2026-06-10T12:00:00",
        "2026-06-10T11:00:00",
        "2026-06-10T11:00:01",
        "2026-06-09T11:00:00",
        "2026-06-10T12:00:00",
    ]


def test_a_moment_that_moves_on_chooses_the_next_year() -> None:
    reader = Traditional(zone=ZoneInfo("UTC"), now=instant("2026-03-01T00:00Z"))
    before = reader.read("Jun 10 12:00:00")
    reader.set_now(instant("2026-06-10T12:00Z") + timedelta(seconds=1).total_seconds())

    assert before == instant("2025-06-10T12:00Z")
    assert reader.read("Jun 10 12:00:01") == instant("2026-06-10T12:00:01Z")
