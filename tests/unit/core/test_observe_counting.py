"""Batches in, counters and one commit out."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from pwmtad.core.correlate import StateDeltas
from pwmtad.core.guard import Guard
from pwmtad.core.observe import Observer
from pwmtad.core.policy import Policy
from pwmtad.core.tally import Deltas
from pwmtad.core.wiring import OPENDKIM_SOURCE, POSTFIX_SOURCE, parts_of
from pwmtad.model.counters import AttemptKey
from pwmtad.model.judgement import RecordKind
from pwmtad.model.ledger import Commit
from pwmtad.model.names import SourceKind
from pwmtad.model.replies import RuleSet
from pwmtad.model.sources import Batch, FileCheckpoint, JournalEntry, SourceHealth
from tests.tools.judging import START, settings_of
from tests.unit.core.ledgers import Book

SETTINGS = settings_of(more='injector_clients = ["172.18.0.5"]')
NOW = START + 3600.0
SENT = "to=<{to}>, relay=mx.example.net[192.0.2.7]:25, delay=1, delays=0/0/1/0, dsn=2.0.0, status=sent (250 ok)"


def observer_of(journal: bool = False) -> Observer:
    kinds = {POSTFIX_SOURCE: SourceKind.POSTFIX, OPENDKIM_SOURCE: SourceKind.OPENDKIM}
    return Observer(
        parts=parts_of(SETTINGS, RuleSet((), ()), None),
        sources=kinds if journal else {POSTFIX_SOURCE: SourceKind.BOTH},
        max_reasons_per_day=10,
        now=NOW,
        guard=Guard(Policy(settings=SETTINGS, stop_rules=())),
    )


def line(second: float, tag: str, text: str) -> str:
    return f"{datetime.fromtimestamp(START + second, tz=UTC).isoformat(timespec='microseconds')} mail {tag}[7]: {text}"


def message(number: int, second: float) -> list[str]:
    """The lines of one campaign message that is signed and sent."""
    queue_id = f"4XkJ2l1zq{number:05}"
    return [
        line(second, "postfix/smtpd", f"{queue_id}: client=unknown[172.18.0.5]"),
        line(second, "opendkim", f"{queue_id}: DKIM-Signature field added (s=mail, d=example.org)"),
        line(second, "postfix/qmgr", f"{queue_id}: from=<a@example.org>, size=1, nrcpt=1 (queue active)"),
        line(second + 0.5, "postfix/out05/smtp", f"{queue_id}: {SENT.format(to=f'r{number}@example.net')}"),
        line(second + 0.5, "postfix/qmgr", f"{queue_id}: removed"),
    ]


def checkpoint(offset: int) -> FileCheckpoint:
    return FileCheckpoint("/var/log/mail.log", 1, 2, offset, b"", b"")


def batch(*lines: str, offset: int = 1, source: str = POSTFIX_SOURCE, caught_up: bool = True, gaps: int = 0) -> Batch:
    return Batch(source, list(lines), checkpoint(offset), caught_up, SourceHealth(gaps=gaps))


def test_a_batch_and_its_checkpoint_become_one_commit() -> None:
    observer = observer_of()
    before = observer.changed
    observer.take(batch(*message(1, 0), offset=500), NOW)
    assert (before, observer.changed) == (False, True)
    commit = observer.commit(NOW)
    assert commit.checkpoints == {POSTFIX_SOURCE: checkpoint(500)}
    assert [(bucket.key, bucket.counts.first) for bucket in commit.attempts] == [
        (AttemptKey("trucking", "out05", "other", "sent", ""), 1)
    ]
    assert [(row.stream, row.counts.injected, row.counts.signed) for row in commit.messages] == [("trucking", 1, 1)]
    assert {(row.daemon, row.outcome, row.count) for row in commit.lines} == {
        ("postfix", "parsed", 4),
        ("opendkim", "parsed", 1),
    }
    assert not observer.changed


def test_an_empty_sign_of_life_changes_nothing_that_must_be_stored() -> None:
    observer = observer_of()
    observer.take(batch(offset=5), NOW)
    observer.commit(NOW)
    observer.take(batch(offset=5), NOW + 1)
    assert not observer.changed


def test_lines_of_opendkim_in_mail_log_are_not_counted_beside_its_journal() -> None:
    observer = observer_of(journal=True)
    observer.take(batch(*message(1, 0)), NOW)
    entry = JournalEntry(START, "mail", "opendkim", 9, "4XkJ2l1zq00001: DKIM-Signature field added (s=mail, d=example.org)")
    observer.take(Batch(OPENDKIM_SOURCE, [entry], None, True, SourceHealth()), NOW)
    assert observer.event_counts["signed"] == 1
    assert observer.tally.message_totals()["trucking"].signed == 1


def test_lines_of_postfix_in_opendkims_journal_are_not_counted() -> None:
    observer = observer_of(journal=True)
    entry = JournalEntry(START, "mail", "postfix/qmgr", 9, "4XkJ2l1zq00001: removed")
    observer.take(Batch(OPENDKIM_SOURCE, [entry], None, True, SourceHealth()), NOW)
    assert observer.event_counts == {}


def test_what_is_not_understood_is_counted_by_daemon() -> None:
    observer = observer_of()
    observer.take(
        batch("\x00\x00 nonsense", line(1, "dovecot", "hello"), line(1, "postfix/out05/smtp", "4XkJ2l1zq00001: to=<a, b")), NOW
    )
    counted = {(row.daemon, row.outcome): row.count for row in observer.commit(NOW).lines}
    assert counted == {("other", "unparsed"): 2, ("postfix", "unparsed"): 1}


def test_lines_whose_time_can_not_be_read_count_when_they_arrive() -> None:
    observer = observer_of()
    lines = [text.partition(" ")[2] for text in message(1, 0)]
    observer.take(batch(*(f"32 Foo 99:00:00 {text}" for text in lines)), NOW)
    assert [bucket.start for bucket in observer.commit(NOW).attempts] == [int(NOW // 60 * 60)]


def test_a_replay_without_a_store_drops_what_a_commit_would_write() -> None:
    observer = observer_of()
    observer.take(batch(*message(1, 0)), NOW)
    observer.drop_deltas()
    assert not observer.changed
    assert observer.tally.attempt_totals()[AttemptKey("trucking", "out05", "other", "sent", "")].first == 1


def test_a_reload_replaces_routes_while_counting_goes_on() -> None:
    observer = observer_of()
    other = settings_of(egresses=("out06", "out07"))
    observer.reconfigure(parts_of(other, RuleSet((), ()), None))
    observer.take(batch(*message(1, 0)), NOW)
    assert [bucket.key.egress for bucket in observer.commit(NOW).attempts] == ["none"]


def test_a_message_that_passes_a_milter_that_is_gone_reaches_the_judgement() -> None:
    observer = observer_of()
    gone = line(0, "postfix/smtpd", "warning: connect to Milter service inet:127.0.0.1:8891: Connection refused")
    unsigned = [text for text in message(1, 1) if "opendkim" not in text]
    observer.take(batch(gone, *unsigned), NOW)
    assert [r.rule for r in observer.guard.take_news() if r.kind is RecordKind.HALT] == ["dkim-milter"]


def test_lines_merged_by_time_tell_of_a_milter_that_is_gone_as_batches_do() -> None:
    observer = observer_of()
    observer.doubts = lambda _now: {}
    gone = line(0, "postfix/smtpd", "warning: connect to Milter service inet:127.0.0.1:8891: Connection refused")
    reader = observer.sources[POSTFIX_SOURCE].reader
    for text in (gone, *message(1, 61)):
        if "opendkim" not in text:
            observer.take_event(POSTFIX_SOURCE, reader.line(text))
    assert [r.rule for r in observer.guard.take_news() if r.kind is RecordKind.HALT] == ["dkim-milter"]
    assert observer.unknown == {}


def test_lines_merged_by_time_tell_of_lines_that_were_dropped() -> None:
    observer = observer_of(journal=True)
    dropped = line(7, "systemd-journald", "Suppressed 9 messages from opendkim.service")
    observer.take_event(OPENDKIM_SOURCE, observer.sources[OPENDKIM_SOURCE].reader.line(dropped))
    assert observer.suppressed_at == START + 7


def test_what_main_cf_says_of_a_milter_that_is_gone_reaches_the_judgement() -> None:
    observer = observer_of()
    gone = line(5, "postfix/smtpd", "warning: connect to Milter service inet:127.0.0.1:8891: Connection refused")
    observer.take(batch(gone), NOW)
    assert not [r for r in observer.guard.take_news() if r.kind is RecordKind.HALT]
    observer.know_milter(accepts=True)
    observer.take(batch(gone, offset=2), NOW)
    assert {r.rule for r in observer.guard.take_news() if r.kind is RecordKind.HALT} == {"dkim-milter"}


def test_lines_merged_by_time_count_as_batches_do() -> None:
    whole, merged = observer_of(), observer_of()
    lines = [text for number in range(30) for text in message(number, 7.0 * number)]
    whole.take(batch(*lines), NOW)
    reader = merged.sources[POSTFIX_SOURCE].reader
    for text in lines:
        merged.take_event(POSTFIX_SOURCE, reader.line(text))
    assert merged.tally.attempt_totals() == whole.tally.attempt_totals()
    assert merged.tally.message_totals() == whole.tally.message_totals()
    assert dict(merged.tally.line_totals()) == dict(whole.tally.line_totals())
    assert merged.event_counts == whole.event_counts


@given(st.lists(st.integers(1, 9), max_size=12), st.data())
def test_a_restart_at_any_commit_counts_what_one_run_would_have(sizes: list[int], data: st.DataObject) -> None:
    lines = [text for number in range(12) for text in message(number, 9.0 * number)]
    straight = observer_of()
    straight.take(batch(*lines), NOW)
    commits: list[Commit] = []
    observer, begin = observer_of(), 0
    for size in [*sizes, len(lines)]:
        observer.take(batch(*lines[begin : begin + size], offset=min(begin + size, len(lines))), NOW)
        if data.draw(st.booleans(), label="commit"):
            commits.append(observer.commit(NOW))
            begin = min(begin + size, len(lines))
        elif data.draw(st.booleans(), label="crash"):
            observer, begin = restarted(commits), stored_offset(commits)
        else:
            begin = min(begin + size, len(lines))
    observer.take(batch(*lines[begin:], offset=len(lines)), NOW)
    assert observer.tally.attempt_totals() == straight.tally.attempt_totals()
    assert observer.tally.message_totals() == straight.tally.message_totals()


def restarted(commits: list[Commit]) -> Observer:
    observer = observer_of()
    book = Book()
    for commit in commits:
        book.commit(
            Deltas(commit.attempts, commit.messages, commit.reasons, commit.lines),
            StateDeltas(commit.open_put, commit.open_removed, commit.domains_put, commit.domains_removed),
        )
    ledger = book.ledger()
    offset = stored_offset(commits)
    observer.load(msgspec.structs.replace(ledger, checkpoints={POSTFIX_SOURCE: checkpoint(offset), "gone": checkpoint(1)}), NOW)
    assert observer.sources[POSTFIX_SOURCE].checkpoint == checkpoint(offset)
    return observer


def stored_offset(commits: list[Commit]) -> int:
    offsets = [place.offset for commit in commits for place in commit.checkpoints.values() if isinstance(place, FileCheckpoint)]
    return offsets[-1] if offsets else 0
