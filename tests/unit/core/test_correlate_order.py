"""Two sources read in any order, commits anywhere and crashes anywhere: the counts stay the same."""

from __future__ import annotations

from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct

from pwmtad.core.correlate import Limits
from pwmtad.model.counters import AttemptCounts, MessageCounts
from pwmtad.model.events import AnyEvent
from tests.unit.core.correlating import (
    GRACE,
    START,
    World,
    attempt,
    client,
    expired,
    milter_reject,
    notification,
    pickup,
    queued,
    removed,
    signed,
)

END: Final = START + 20_000.0


class Mail(Struct, frozen=True):
    """One message, from its first line to its last, as both logs have it."""

    kind: str
    start_s: int
    """After START."""
    sign_s: tuple[float, ...]
    """When its signatures come, after the first line; the queue line comes 1 s after it."""
    tries: tuple[tuple[int, str], ...]
    """Per round of attempts: how many recipients are tried, and how it ends."""
    end: str


mails = st.lists(
    st.builds(
        Mail,
        kind=st.sampled_from(
            ["campaign", "campaign", "campaign", "cron", "stranger", "refused", "bounce", "notification", "requeued"]
        ),
        start_s=st.integers(0, 4000),
        sign_s=st.lists(st.sampled_from([0.5, 0.6, 2.0, GRACE + 0.5]), max_size=2).map(lambda times: tuple(sorted(times))),
        tries=st.lists(st.tuples(st.integers(1, 3), st.sampled_from(["sent", "deferred", "bounced"])), max_size=3).map(tuple),
        end=st.sampled_from(["removed", "expired", "open"]),
    ),
    max_size=12,
)


def lines_of(number: int, mail: Mail) -> tuple[list[AnyEvent], list[AnyEvent]]:
    """Return the lines of mail.log and of opendkim, each in order."""
    queue_id, at = f"A{number:05d}", START + mail.start_s
    signatures: list[AnyEvent] = [signed(at + after, queue_id) for after in mail.sign_s]
    if mail.kind == "refused":
        return [client(at, queue_id), milter_reject(at + 0.7, queue_id)], signatures
    first: dict[str, AnyEvent] = {
        "cron": pickup(at, queue_id),
        "stranger": client(at, queue_id, "192.0.2.9"),
        "notification": notification(at, "X00000", queue_id),
    }
    sender = "" if mail.kind in ("notification", "bounce") else "news@example.org"
    log = [first.get(mail.kind, client(at, queue_id)), queued(at + 1, queue_id, sender)]
    at += 1
    for round_, (recipients, status) in enumerate(mail.tries):
        if round_:
            at += 400
            log.append(queued(at, queue_id, sender))
        text = "host mx1.example.net[192.0.2.1] said: 450 4.2.0 later"
        for recipient in range(recipients):
            at += 0.25
            domain = f"d{number % 3}.test"
            relay = "aspmx.l.google.com" if number % 2 == 0 else "mx1.example.net"
            log.append(
                attempt(at, queue_id, f"r{recipient}@{domain}", status, text=text, relay=relay, delay=at - START - mail.start_s)
            )
    if mail.kind == "requeued":
        at += 50
        log.append(pickup(at, f"B{number:05d}", orig=queue_id))
        queue_id = f"B{number:05d}"
        log.append(queued(at, queue_id))
        log.append(attempt(at, queue_id, f"r0@d{number % 3}.test", delay=at - START - mail.start_s))
    if mail.end == "expired":
        log.append(expired(at + 1, queue_id, sender))
    if mail.end != "open":
        log.append(removed(at + 1, queue_id))
    return log, signatures


def sources_of(written: list[Mail]) -> tuple[list[AnyEvent], list[AnyEvent]]:
    """Merge all messages into two logs, by time."""
    log: list[AnyEvent] = []
    journal: list[AnyEvent] = []
    for number, mail in enumerate(written):
        mine, signatures = lines_of(number, mail)
        log += mine
        journal += signatures
    return sorted(log, key=time_of), sorted(journal, key=time_of)


def time_of(event: AnyEvent) -> float:
    assert event.at is not None
    return event.at


def expected_messages(written: list[Mail]) -> MessageCounts:
    """What a person with both logs and all time would count."""
    campaign = [mail for mail in written if mail.kind in ("campaign", "requeued")]
    # The signature may come up to the grace time after the queue line, which is 1 s after the first line.
    known = sum(1 for mail in campaign if any(after <= GRACE + 1 for after in mail.sign_s))
    gone = sum(1 for mail in campaign if mail.end == "expired" and mail.kind == "campaign")
    return MessageCounts(injected=len(campaign), signed=known, unsigned=len(campaign) - known, expired=gone)


def expected_attempts(written: list[Mail]) -> AttemptCounts:
    """The same for attempts."""
    first = retries = notifications = 0
    for mail in written:
        rounds = [recipients for recipients, _ in mail.tries] + ([1] if mail.kind == "requeued" else [])
        total, recipients = sum(rounds), max(rounds, default=0)
        if mail.kind in ("notification", "bounce"):
            notifications += total
        elif mail.kind != "refused":
            first += recipients
            retries += total - recipients
    return AttemptCounts(first, retries, notifications)


class Reading:
    """Reads both logs as the daemon does: batches, an honest watermark, commits, and crashes that lose what was not written."""

    def __init__(self, log: list[AnyEvent], journal: list[AnyEvent], limits: Limits | None = None) -> None:
        self.world = World(limits=limits)
        self.sources = (log, journal)
        self.read = [0, 0]
        self.committed = [0, 0]

    def more(self, source: int, count: int) -> None:
        """Read some lines of one source."""
        lines = self.sources[source][self.read[source] : self.read[source] + count]
        self.world.feed(*lines)
        self.read[source] += len(lines)

    def judge(self) -> None:
        """Move on to the time up to which both sources were read."""
        marks = [
            END if done == len(lines) else time_of(lines[done - 1]) if done else 0.0
            for done, lines in zip(self.read, self.sources, strict=True)
        ]
        self.world.correlator.advance(min(marks))

    def commit(self) -> None:
        """Make counters and positions durable together."""
        self.world.commit()
        self.committed = list(self.read)

    def crash(self) -> None:
        """Start again from what is durable."""
        self.world.restart()
        self.read = list(self.committed)

    def finish(self) -> None:
        """Read to the end of both."""
        for source in (0, 1):
            self.more(source, len(self.sources[source]))
        self.judge()


steps = st.lists(
    st.one_of(
        st.tuples(st.just("log"), st.integers(1, 12)),
        st.tuples(st.just("journal"), st.integers(1, 6)),
        st.tuples(st.just("judge"), st.just(0)),
    ),
    max_size=30,
)
steps_with_crashes = st.lists(
    st.one_of(
        st.tuples(st.just("log"), st.integers(1, 12)),
        st.tuples(st.just("journal"), st.integers(1, 6)),
        st.tuples(st.sampled_from(["judge", "commit", "crash"]), st.just(0)),
    ),
    max_size=40,
)


def perform(reading: Reading, todo: list[tuple[str, int]]) -> None:
    for step, count in todo:
        if step == "log":
            reading.more(0, count)
        elif step == "journal":
            reading.more(1, count)
        elif step == "judge":
            reading.judge()
        elif step == "commit":
            reading.commit()
        else:
            reading.crash()
    reading.finish()


@settings(deadline=None, max_examples=200)
@given(mails, steps)
def test_any_interleaving_of_both_sources_counts_what_is_true(written: list[Mail], todo: list[tuple[str, int]]) -> None:
    reading = Reading(*sources_of(written))
    perform(reading, todo)

    assert reading.world.messages == expected_messages(written)
    assert reading.world.attempts == expected_attempts(written)
    assert set(reading.world.tally.message_totals()) <= {"news", "none"}
    assert reading.world.tally.readings(END).day.messages == reading.world.tally.message_totals()


@settings(deadline=None, max_examples=150)
@given(mails, steps)
def test_after_each_commit_the_store_holds_what_the_memory_holds(written: list[Mail], todo: list[tuple[str, int]]) -> None:
    reading = Reading(*sources_of(written[:4]))
    for step, count in [*todo, ("log", 100), ("journal", 100), ("judge", 0)]:
        for _ in range(count or 1):
            if step == "judge":
                reading.judge()
            else:
                reading.more(0 if step == "log" else 1, 1)
            reading.commit()
            assert dict(reading.world.correlator.open_items()) == reading.world.book.open
            assert reading.world.tally.attempt_totals() == {
                row.key: row.counts for row in reading.world.book.ledger().attempt_totals
            }


@settings(deadline=None, max_examples=200)
@given(mails, steps_with_crashes)
def test_commits_and_crashes_anywhere_change_no_count(written: list[Mail], todo: list[tuple[str, int]]) -> None:
    straight, broken = Reading(*sources_of(written)), Reading(*sources_of(written))
    straight.finish()
    perform(broken, todo)
    broken.commit()

    for reading in (straight, broken):
        reading.world.tally.advance(END)
    assert broken.world.tally.attempt_totals() == straight.world.tally.attempt_totals()
    assert broken.world.messages == straight.world.messages == expected_messages(written)
    assert broken.world.tally.message_totals() == straight.world.tally.message_totals()
    assert broken.world.tally.reasons(START) == straight.world.tally.reasons(START)
    assert broken.world.tally.readings(END).day.attempts == straight.world.tally.readings(END).day.attempts
    ledger = broken.world.book.ledger()
    assert {row.key: row.counts for row in ledger.attempt_totals} == straight.world.tally.attempt_totals()
    assert set(ledger.open_messages) == set(broken.world.open_ids)


@settings(deadline=None, max_examples=100)
@given(mails, steps_with_crashes)
def test_when_all_is_read_only_what_is_still_queued_is_remembered(written: list[Mail], todo: list[tuple[str, int]]) -> None:
    reading = Reading(*sources_of(written))
    perform(reading, todo)
    left = {
        f"{'B' if mail.kind == 'requeued' else 'A'}{number:05d}"
        for number, mail in enumerate(written)
        if mail.end == "open" and mail.kind != "refused"
    }

    assert set(reading.world.open_ids) == left


@settings(deadline=None, max_examples=100)
@given(mails, steps_with_crashes, st.integers(1, 5))
def test_a_memory_that_is_too_small_is_never_exceeded_and_never_counts_a_message_twice(
    written: list[Mail], todo: list[tuple[str, int]], limit: int
) -> None:
    reading = Reading(*sources_of(written), limits=Limits(max_open_messages=limit, max_domains=1))
    perform(reading, todo)
    messages, truth = reading.world.messages, expected_messages(written)

    assert reading.world.correlator.open_messages <= limit
    assert messages.injected <= truth.injected
    assert messages.signed + messages.unsigned <= messages.injected
    assert sum(reading.world.attempts) == sum(expected_attempts(written))
