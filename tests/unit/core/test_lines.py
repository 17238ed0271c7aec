"""From a line to an event: prefixes, tags, journal entries, and lines that nobody would write but an attacker."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Final
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pwmtad.core.lines import LineReader, daemon_of, handler_for
from pwmtad.core.opendkim_log import opendkim
from pwmtad.core.postfix_log import HANDLERS, anything
from pwmtad.model import events
from pwmtad.model.events import AnyEvent
from pwmtad.model.sources import JournalEntry

NOW: Final = 1795500000.0
ATTEMPT: Final = "3F2A1B4C: to=<a@example.org>, relay=none, delay=0, delays=0/0/0/0, dsn=4.0.0, status=deferred (x)"
PIECES: Final = (
    "2026-11-24T02:52:02.689749+00:00", "2026-11-24T02:52:02Z", "Nov 24 02:51:29", "Feb 29 00:00:00", "Nov  4 02:51:29", "<22>",
    " mx ", " ", "postfix/out05/smtp[1]:", "postfix/qmgr[22]:", "postfix/smtpd[3]:", "postfix/cleanup[4]:", "opendkim[5]:",
    "postfix/postsuper:", "systemd-journald[1]:", "rsyslogd:", "dovecot:", "postfix", "[", "]", ":", "4jYS5G4dRNzJB4C: ",
    "NOQUEUE: ", "to=<a@example.org>, ", 'to=<"a>, ', "orig_to=<", "relay=mx[192.0.2.1]:25, ", "conn_use=2, ", "delay=1, ",
    "delays=0/0/0/0, ", "tls=may, ", "dsn=4.7.1, ", "status=deferred (", "status=", "from=<",
    ">, size=1, nrcpt=1 (queue active)", "removed", "client=a[192.0.2.4]", "message-id=<x>", "uid=0 ", "host a[1.2.3.4] said: ",
    "connect to a[1.2.3.4]:25: x", "warning: ", "fatal: ", "connect to Milter service inet:x: no",
    "milter-reject: ", "END-OF-MESSAGE from a[::1]: ", "hold: ",
    "DKIM-Signature field added (s=a, d=b)", "no signing table match for ", "Suppressed 9 messages from a.service",
    "imuxsock lost 9 messages", "\u2028", "\x85", "\x00", "\r", "\t", "\ud800", "é", "\U0001f600", "9" * 40,
)  # fmt: skip
"""Parts of real lines, so that random lines come far into the grammar."""

any_lines = st.one_of(
    st.text(max_size=80),
    st.binary(max_size=80).map(lambda raw: raw.decode("utf-8", "replace")),
    st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=5)), max_size=14).map("".join),
    st.lists(st.sampled_from(PIECES), max_size=14).map(" ".join),
)


def read(line: str) -> AnyEvent:
    return LineReader(now=NOW).line(line)


@settings(deadline=None, max_examples=300)
@given(any_lines)
@example("2026-11-24T02:52:02.689749+00:00 mx postfix/smtp[1]: ")
@example("2026-11-24T")
@example("\ud800" * 20)
def test_no_line_raises(line: str) -> None:
    reader = LineReader(now=NOW, zone=ZoneInfo("Europe/Berlin"))

    assert isinstance(reader.line(line), events.Event)
    assert isinstance(reader.bare(line), events.Event)
    assert isinstance(reader.bare(line, source="opendkim"), events.Event)


@settings(deadline=None, max_examples=300)
@given(any_lines, st.text(max_size=20), st.one_of(st.none(), st.integers(0, 2**31)))
def test_no_journal_entry_raises(message: str, tag: str, pid: int | None) -> None:
    event = LineReader().entry(JournalEntry(5.0, "mx", tag, pid, message))

    assert (event.at, event.host, event.pid) == (5.0, "mx", pid)


@pytest.mark.parametrize("filler", ["x", " ", '"', "\\", "<", "(", "=", ", a=b", "\u2028", "\x00", "a: "])
@pytest.mark.parametrize(
    "start", ["", "2026-11-24T02:52:02.689749+00:00 mx postfix/smtp[1]: 3F2A1B4C: to=<", "Nov 24 02:52:02 mx "]
)
def test_a_line_of_a_mebibyte_is_one_event(start: str, filler: str) -> None:
    line = (start + filler * (1 << 20))[: 1 << 20]

    assert isinstance(read(line), events.Unparsed | events.Other)


@settings(deadline=None, max_examples=200)
@given(st.lists(any_lines, max_size=12))
def test_what_was_read_before_changes_no_line_with_a_full_timestamp(lines: list[str]) -> None:
    reader = LineReader(now=NOW)
    for line in lines:
        event = reader.line(line)
        if line[10:11] == "T":
            assert event == read(line)


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.tuples(st.integers(0, 10_000), st.sampled_from(["qmgr", "smtp", "x"]), st.booleans()), min_size=1, max_size=30)
)
def test_the_cache_of_tags_mixes_no_two_processes_up(seen: list[tuple[int, str, bool]]) -> None:
    reader = LineReader(now=NOW)
    for pid, program, journal in seen:
        if journal:
            event = reader.entry(JournalEntry(1.0, "mx", f"postfix/{program}", pid, "3F2A1B4C: removed"))
        else:
            event = reader.line(f"Nov 24 02:52:02 mx postfix/{program}[{pid}]: 3F2A1B4C: removed")
        assert (event.tag, event.pid) == (f"postfix/{program}", pid)
        assert isinstance(event, events.Removed) == (program == "qmgr")


def test_more_tags_than_the_cache_holds_are_still_read() -> None:
    reader = LineReader(now=NOW)
    for pid in range(10_000):
        event = reader.line(f"Nov 24 02:52:02 mx postfix/out05/smtp[{pid}]: {ATTEMPT}")
        assert isinstance(event, events.Attempt)
        assert event.pid == pid

    assert len(reader.tags) < 5000, "each process has a tag of its own: they must not fill the memory"


def test_more_syslog_names_than_the_cache_holds_are_still_read() -> None:
    reader = LineReader(now=NOW)
    for number in range(5000):
        known = reader.known(f"postfix/out{number}/smtp[1]:")
        assert known is not None
        assert (known.program, known.session) == ("smtp", f"postfix/out{number}/smtp[1]")
    assert len(reader._grammars) < 5000


def test_a_file_may_change_its_timestamps_in_the_middle() -> None:
    reader = LineReader(now=NOW)
    lines = [
        f"Nov 24 02:52:02 mx postfix/smtp[1]: {ATTEMPT}",
        f"2026-11-24T02:52:03.5+00:00 mx postfix/smtp[1]: {ATTEMPT}",
        f"Nov 24 02:52:04 mx postfix/smtp[1]: {ATTEMPT}",
    ]

    assert [reader.line(line).at for line in lines] == [1795488722.0, 1795488723.5, 1795488724.0]


def test_the_moment_that_chooses_the_year_moves_on() -> None:
    reader = LineReader(now=datetime(2026, 12, 31, tzinfo=UTC).timestamp())
    line = "Jan 15 00:00:00 mx postfix/qmgr[1]: 3F2A1B4C: removed"
    before = reader.line(line).at
    reader.set_now(datetime(2027, 1, 15, tzinfo=UTC).timestamp())
    after = reader.line(line.replace("00:00:00", "00:00:01")).at

    assert before == datetime(2026, 1, 15, tzinfo=UTC).timestamp()
    assert after == datetime(2027, 1, 15, 0, 0, 1, tzinfo=UTC).timestamp()


def test_an_entry_of_the_journal_is_read_like_its_line() -> None:
    line = LineReader(now=NOW).line(f"2026-11-24T02:52:02.5+00:00 mx postfix/out05/smtp[7]: {ATTEMPT}")

    assert LineReader().entry(JournalEntry(1795488722.5, "mx", "postfix/out05/smtp", 7, ATTEMPT)) == line


def test_an_entry_whose_identifier_is_no_tag_is_unparsed() -> None:
    event = LineReader().entry(JournalEntry(1.0, "mx", "two words", 7, ATTEMPT))

    assert event == events.Unparsed(1.0, "mx", "two words", 7, ATTEMPT)


def test_a_journal_identifier_that_holds_a_pid_is_taken_apart() -> None:
    event = LineReader().entry(JournalEntry(1.0, "mx", "postfix/qmgr[9]", 7, "3F2A1B4C: removed"))

    assert event == events.Removed(1.0, "mx", "postfix/qmgr", 7, "3F2A1B4C")


@pytest.mark.parametrize(
    ("tag", "daemon"),
    [
        ("postfix/smtp", "postfix"),
        ("postfix", "postfix"),
        ("postfix-bulk/postfix-script", "postfix"),
        ("out05/smtp", "postfix"),
        ("opendkim", "opendkim"),
        ("systemd-journald", "other"),
        ("rsyslogd", "other"),
        ("dovecot", "other"),
        ("", "other"),
    ],
)
def test_unparsed_lines_are_counted_by_daemon(tag: str, daemon: str) -> None:
    assert daemon_of(tag) == daemon


def test_the_grammar_is_chosen_by_the_last_part_of_the_tag() -> None:
    assert handler_for("anything/at/all/qmgr") is HANDLERS["qmgr"]
    assert handler_for("postfix/unheard-of") is anything
    assert handler_for("opendkim") is opendkim
    assert handler_for("qmgr") is not HANDLERS["qmgr"]


@settings(deadline=None, max_examples=200)
@given(
    st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)),  # noqa: DTZ001  the zone is added
    st.integers(-1439, 1439),
    st.sampled_from(["auto", "seconds", "milliseconds", "microseconds"]),
)
def test_a_full_timestamp_in_any_zone_and_precision_is_read(moment: datetime, offset: int, precision: str) -> None:
    stamp = moment.replace(tzinfo=timezone(timedelta(minutes=offset)))
    text = stamp.isoformat(timespec=precision)

    assert read(f"{text} mx postfix/qmgr[1]: 3F2A1B4C: removed").at == datetime.fromisoformat(text).timestamp()
