"""What one line of `journalctl -o json` means, and where reading stands after it: pure, without any journalctl."""

from __future__ import annotations

import json
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pwmtad.adapters.journal import entry_from_json
from pwmtad.adapters.journal.command import concerns, matches, probe, show
from pwmtad.adapters.journal.entries import MAX_MESSAGE, read_entry, same_entry
from pwmtad.adapters.journal.reading import Phase, Reading
from pwmtad.model.sources import FileCheckpoint, JournalCheckpoint, JournalEntry

UNIT = "opendkim.service"


def cursor(number: int) -> str:
    return f"s=5eed;i={number:x};b=b007;m={number:x};t={number:x};x=0"


def line(number: int = 1, **fields: Any) -> bytes:
    known = {
        "__CURSOR": cursor(number),
        "__REALTIME_TIMESTAMP": str(1_700_000_000_000_000 + number),
        "_HOSTNAME": "relay",
        "SYSLOG_IDENTIFIER": "opendkim",
        "_PID": "42",
        "MESSAGE": f"message {number}",
    }
    return json.dumps({name: value for name, value in {**known, **fields}.items() if value is not ...}).encode()


def entry(**fields: Any) -> JournalEntry:
    found = entry_from_json(line(**fields))
    assert found is not None
    return found[1]


# -- one line


def test_an_entry_of_opendkim_is_read() -> None:
    raw = (
        b'{"_PID":"231","__REALTIME_TIMESTAMP":"1795486322689749","_HOSTNAME":"relay","SYSLOG_IDENTIFIER":"opendkim",'
        b'"MESSAGE":"00D5A76: DKIM-Signature field added (s=mail, d=example.org)","__CURSOR":"s=e4;i=1;b=11;m=0;t=60a;x=7c"}'
    )
    assert entry_from_json(raw) == (
        "s=e4;i=1;b=11;m=0;t=60a;x=7c",
        JournalEntry(
            1795486322.689749, "relay", "opendkim", 231, "00D5A76: DKIM-Signature field added (s=mail, d=example.org)"
        ),
    )


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("plain", "plain"),
        ("grüße \u2028 \U0001f4e7", "grüße \u2028 \U0001f4e7"),
        ([255, 0, 98, 97, 100], "\ufffd\0bad"),
        ([], ""),
        (None, ""),
        (..., ""),
        (["first", "second"], "first"),
        ([[98, 195, 164], "second"], "bä"),
        ([None, "second"], ""),
        ([[], "second"], ""),
        ("two\nlines\n\n", "two lines"),
        ([116, 10, 117], "t u"),
    ],
)
def test_every_shape_of_a_message_is_read(message: Any, text: str) -> None:
    assert entry(MESSAGE=message).message == text


@pytest.mark.parametrize(
    ("fields", "pid"),
    [
        ({"_PID": "7", "SYSLOG_PID": "8"}, 7),
        ({"_PID": ..., "SYSLOG_PID": "8"}, 8),
        ({"_PID": ..., "SYSLOG_PID": "eight"}, None),
        ({"_PID": ..., "SYSLOG_PID": "\u0661"}, None),
        ({"_PID": ["9", "10"]}, 9),
        ({"_PID": ...}, None),
    ],
)
def test_the_process_id_is_journalds_word_before_the_senders(fields: dict[str, Any], pid: int | None) -> None:
    assert entry(**fields).pid == pid


def test_what_others_write_is_bounded() -> None:
    read = read_entry(line(MESSAGE="x" * (MAX_MESSAGE + 1), SYSLOG_IDENTIFIER="y" * 100_000))
    assert read is not None
    assert (len(read.entry.message), len(read.entry.tag), read.cut) == (MAX_MESSAGE, 256, True)
    exactly = read_entry(line(MESSAGE="x" * MAX_MESSAGE))
    assert exactly is not None
    assert not exactly.cut


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"-- No entries --",
        b"null",
        b"[]",
        b"{}",
        line()[:-1],
        line(__CURSOR=...),
        line(__CURSOR=""),
        line(__CURSOR=7),
        line(__REALTIME_TIMESTAMP=...),
        line(__REALTIME_TIMESTAMP="now"),
        line(__REALTIME_TIMESTAMP="-1"),
        line(__REALTIME_TIMESTAMP="9" * 18),
        line(__REALTIME_TIMESTAMP="1" * 5000),
        line(MESSAGE=[256]),
        line(MESSAGE=[-1]),
        line(MESSAGE=[1, "x"]),
        line(MESSAGE=[{}]),
        line(MESSAGE={"a": 1}),
        line(MESSAGE=5),
        b'{"MESSAGE":' + b"[" * 100_000,
        line().replace(b"message", b"\xff\xfe"),
    ],
)
def test_what_is_no_entry_is_none(raw: bytes) -> None:
    assert entry_from_json(raw) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.binary())
def test_arbitrary_bytes_never_raise(raw: bytes) -> None:
    entry_from_json(raw)


@given(JSON, JSON, JSON, JSON, JSON)
def test_arbitrary_values_of_the_fields_never_raise(moment: Any, message: Any, tag: Any, pid: Any, host: Any) -> None:
    entry_from_json(line(__REALTIME_TIMESTAMP=moment, MESSAGE=message, SYSLOG_IDENTIFIER=tag, _PID=pid, _HOSTNAME=host))


@given(st.binary(max_size=300))
def test_any_bytes_in_a_message_make_one_line(raw: bytes) -> None:
    message = entry(MESSAGE=list(raw)).message
    assert "\n" not in message
    assert message == raw.decode("utf-8", "replace").rstrip("\n").replace("\n", " ")


def test_an_entry_that_journald_moved_to_another_file_is_the_same() -> None:
    in_run = "s=4a01;i=2f;b=9c;m=1e8480;t=60a24183cc480;x=9376d141d7c2583"
    in_var = "s=77bd;i=1;b=9c;m=1e8480;t=60a24183cc480;x=9376d141d7c2583"
    assert same_entry(in_run, in_var)
    assert not same_entry(in_run, in_var + "0")
    assert not same_entry("one", "two")


# -- what journalctl is asked


def test_the_unit_and_journalds_own_word_are_asked_for() -> None:
    assert matches(UNIT, "cafe") == (
        "_SYSTEMD_UNIT=opendkim.service",
        "_MACHINE_ID=cafe",
        "+",
        "_TRANSPORT=driver",
        "SYSLOG_IDENTIFIER=systemd-journald",
        "_MACHINE_ID=cafe",
    )
    assert not any("MACHINE" in match for match in matches(UNIT, None))


def test_following_reads_all_boots_and_begins_at_the_cursor() -> None:
    asked = show(directory=None, matched=("_SYSTEMD_UNIT=x",), cursor="s=1", since=None, follow=True)
    assert {"--merge", "--follow", "--lines=all", "--all", "--cursor=s=1"} <= set(asked)
    assert asked[-1] == "_SYSTEMD_UNIT=x"
    assert not any("directory" in argument for argument in asked)


def test_a_drain_ends_by_itself() -> None:
    asked = show(directory="/j", matched=(), cursor=None, since=1_700_000_000.000001, follow=False)
    assert "--directory=/j" in asked
    assert "--since=@1700000000.000001" in asked
    assert not {"--follow", "--lines=all"} & set(asked)


def test_the_probe_does_not_ask_for_json_which_would_keep_journalctl_silent() -> None:
    assert probe("/j") == ("--merge", "--no-pager", "--directory=/j", "--lines=0")


@pytest.mark.parametrize(
    ("tag", "message", "delivered"),
    [
        ("opendkim", "anything", True),
        ("systemd-journald", "Suppressed 7 messages from opendkim.service", True),
        ("systemd-journald", "Suppressed 7 messages from /system.slice/opendkim.service", True),
        ("systemd-journald", "Suppressed 7 messages from other.service", False),
        ("systemd-journald", "Journal started", False),
    ],
)
def test_of_journalds_own_entries_only_dropped_ones_of_the_unit_are_delivered(tag: str, message: str, delivered: bool) -> None:
    assert concerns(UNIT, tag, message) is delivered


# -- where reading stands


def numbers(entries: list[JournalEntry]) -> list[int]:
    return [int(found.message.split()[1]) for found in entries]


def test_the_entry_at_the_cursor_is_skipped_and_those_after_it_are_delivered() -> None:
    reading = Reading(UNIT, JournalCheckpoint(cursor(3)))
    assert numbers(reading.take([line(3), line(4), line(5)])) == [4, 5]
    assert reading.checkpoint == JournalCheckpoint(cursor(5), 1_700_000_000.000005)
    assert reading.health.gaps == 0


def test_the_checkpoint_moves_over_entries_that_are_not_delivered() -> None:
    reading = Reading(UNIT, None)
    assert reading.take([line(1, SYSLOG_IDENTIFIER="systemd-journald", MESSAGE="Journal started")]) == []
    assert reading.checkpoint is not None
    assert reading.checkpoint.cursor == cursor(1)


def test_a_gap_is_counted_when_the_entry_at_the_cursor_was_vacuumed() -> None:
    reading = Reading(UNIT, JournalCheckpoint(cursor(3)))
    assert numbers(reading.take([line(5), line(6)])) == [5, 6]
    assert reading.health.gaps == 1


def test_a_gap_is_counted_once_when_nothing_is_left_of_the_journal() -> None:
    reading = Reading(UNIT, JournalCheckpoint(cursor(3)))
    for _ in range(3):
        for _ in (Phase.DRAIN, Phase.PROBE):
            reading.begin()
            reading.ended(0, "")
        assert reading.phase is Phase.FOLLOW
        assert reading.proven
        reading.renew()
    reading.begin()
    assert numbers(reading.take([line(9)])) == [9]
    assert reading.health.gaps == 1


def test_no_gap_is_counted_when_what_was_followed_till_now_is_vacuumed() -> None:
    reading = Reading(UNIT, None)
    reading.take([line(1)])
    reading.ended(0, "")
    assert reading.phase is Phase.FOLLOW
    reading.renew()
    for _ in (Phase.DRAIN, Phase.PROBE):
        reading.begin()
        reading.ended(0, "")
    assert (reading.phase, reading.health.gaps) == (Phase.FOLLOW, 0)


def test_a_journal_that_was_away_and_came_back_is_watched_for_gaps_as_before() -> None:
    reading = Reading(UNIT, JournalCheckpoint(cursor(3)))
    for _ in (Phase.DRAIN, Phase.PROBE):
        reading.begin()
        reading.ended(0, "")
    reading.renew()
    reading.begin()
    reading.take([line(3)])
    reading.begin()
    reading.take([line(5)])
    assert reading.health.gaps == 2


def test_what_is_vacuumed_while_journalctl_is_down_is_a_gap() -> None:
    reading = Reading(UNIT, None)
    reading.take([line(1)])
    reading.ended(0, "")
    reading.renew()
    for _ in (Phase.DRAIN, Phase.PROBE):
        reading.begin()
        reading.ended(0, "")
    reading.fail("died")
    reading.begin()
    assert numbers(reading.take([line(3)])) == [3]
    assert reading.health.gaps == 1


def test_a_broken_json_line_is_a_gap_and_words_for_people_are_not() -> None:
    reading = Reading(UNIT, None)
    assert numbers(reading.take([b"-- Boot 1 --", b"", line(1), b'{"__CURSOR":', line(2)])) == [1, 2]
    assert reading.health.gaps == 1


def test_a_cut_message_is_counted() -> None:
    reading = Reading(UNIT, None)
    reading.take([line(1, MESSAGE="x" * 70_000), line(2)])
    reading.cut(2)
    assert reading.health.cut_lines == 3


BAD_CURSOR = "Failed to seek to cursor: Invalid argument\n"


def test_a_bad_cursor_is_a_gap_and_reading_begins_at_the_last_entrys_time() -> None:
    reading = Reading(UNIT, JournalCheckpoint("bogus", 1_700_000_000.000003))
    reading.ended(1, BAD_CURSOR)
    assert (reading.phase, reading.failed, reading.cursor, reading.since) == (Phase.DRAIN, False, None, 1_700_000_000.000003)
    reading.begin()
    # A clock that was set back: an earlier time after a later one is a new entry all the same.
    assert numbers(reading.take([line(3), line(4), line(2)])) == [4, 2]
    assert reading.health.gaps == 1


def test_a_bad_cursor_without_a_time_begins_at_the_oldest_entry() -> None:
    reading = Reading(UNIT, JournalCheckpoint("bogus"))
    reading.ended(1, BAD_CURSOR)
    assert (reading.cursor, reading.since, reading.health.gaps) == (None, None, 1)


@pytest.mark.parametrize("damaged", ["", "a\0b", "s=1\n", "ü", "s" * 513])
def test_a_cursor_that_no_process_can_be_given_is_bad_without_asking(damaged: str) -> None:
    reading = Reading(UNIT, JournalCheckpoint(damaged, 5.0))
    assert (reading.cursor, reading.since, reading.health.gaps) == (None, 5.0, 1)


def test_the_checkpoint_of_a_file_is_of_no_use() -> None:
    reading = Reading(UNIT, FileCheckpoint("/var/log/mail.log", 1, 2, 3, b"", b""))
    assert (reading.cursor, reading.checkpoint, reading.health.gaps) == (None, None, 0)


@pytest.mark.parametrize(
    ("stderr", "words"),
    [
        (
            "Hint: You are currently not seeing messages from other users and the system.\n",
            "usermod -aG systemd-journal pwmtad",
        ),
        ("No journal files were found.\n", "no journal files"),
    ],
)
def test_a_silent_journal_is_asked_why(stderr: str, words: str) -> None:
    reading = Reading(UNIT, None)
    phases = [reading.phase]
    for said in ("", stderr):
        reading.ended(0, said)
        phases.append(reading.phase)
    assert phases == [Phase.DRAIN, Phase.PROBE, Phase.DRAIN]
    assert words in str(reading.health.error)


def test_journalctl_must_not_end_while_it_follows() -> None:
    reading = Reading(UNIT, None)
    reading.take([line(1)])
    reading.ended(0, "")
    reading.ended(1, "\nFailed to iterate through journal: \x1b[31mBad message\n\n")
    assert reading.phase is Phase.DRAIN
    assert reading.health.error == (
        "journalctl ended with exit code 1: Failed to iterate through journal: ?[31mBad message: starting it again"
    )
    reading.begin()
    reading.take([line(1)])
    assert not reading.failed


class Journal(RuleBasedStateMachine):
    """A journal that grows and is vacuumed, a journalctl that dies at any line, a daemon that forgets what it did not commit.

    What the daemon has counted is what was committed, plus what was taken since.
    """

    @initialize()
    def start(self) -> None:
        self.end = 0
        self.oldest = 0
        self.gaps = 0
        self.counted: list[int] = []
        self.committed: tuple[int, JournalCheckpoint | None] = (0, None)
        self.cursor_was_vacuumed = False
        self.following = False
        self.reading = Reading(UNIT, None)

    @rule(count=st.integers(1, 4))
    def write(self, count: int) -> None:
        self.end += count
        if self.following:
            self._take([line(number) for number in range(self.end - count, self.end)])

    @rule(count=st.integers(1, 4))
    def vacuum(self, count: int) -> None:
        self.oldest = min(self.oldest + count, self.end)
        kept = self.counted[self.committed[0] - 1 :] if self.committed[0] else self.counted
        self.cursor_was_vacuumed |= any(number < self.oldest for number in kept)

    @rule(share=st.floats(0, 1))
    def read_and_die(self, share: float) -> None:
        if not self.following:
            lines = self._begin()
            self._take(lines[: int(share * len(lines))])
        self.reading.fail("died")
        self.following = False

    @rule()
    def read_and_follow(self) -> None:
        if self.following:
            self.reading.renew()
        while self.reading.phase is not Phase.FOLLOW:
            self._take(self._begin() if self.reading.phase is Phase.DRAIN else [])
            self.reading.ended(0, "")
        self._take(self._begin())
        self.following = True

    @rule()
    def commit(self) -> None:
        self.committed = (len(self.counted), self.reading.checkpoint)

    @rule()
    def crash(self) -> None:
        self.gaps += self.reading.health.gaps
        del self.counted[self.committed[0] :]
        self.reading = Reading(UNIT, self.committed[1])
        self.following = False

    def _begin(self) -> list[bytes]:
        """Start journalctl; return what it prints."""
        self.reading.begin()
        at = self.reading.cursor
        first = self.oldest if at is None else max(self.oldest, int(at.split(";")[1][2:], 16))
        return [line(number) for number in range(first, self.end)]

    def _take(self, lines: list[bytes]) -> None:
        self.counted += numbers(self.reading.take(lines))

    @invariant()
    def each_is_counted_once_in_order(self) -> None:
        assert self.counted == sorted(set(self.counted))

    @invariant()
    def none_is_missing_without_a_gap(self) -> None:
        gaps = self.gaps + self.reading.health.gaps
        if not gaps:
            # Without a cursor yet, what was vacuumed was before our time.
            first = self.counted[0] if self.counted else self.end
            assert self.counted == list(range(first, first + len(self.counted)))

    @invariant()
    def a_gap_has_a_reason(self) -> None:
        assert self.cursor_was_vacuumed or not self.gaps + self.reading.health.gaps


TestJournal = Journal.TestCase
