"""Message-IDs at localhost reach the judgement by the stream that the message is of."""

from __future__ import annotations

from pwmtad.model.sources import Batch, SourceHealth
from tests.tools.judging import START
from tests.unit.core.test_observe_judging import observer_of, stamp


def session(number: int, client: str, message_id: str) -> list[str]:
    queue_id = f"4XkJ2l1zq{number:05}"
    return [
        f"{stamp(START + number)} mail postfix/smtpd[7]: {queue_id}: client=unknown[{client}]",
        f"{stamp(START + number)} mail postfix/cleanup[8]: {queue_id}: message-id={message_id}",
    ]


def test_only_a_streams_own_messages_count_and_only_those_at_localhost() -> None:
    observer = observer_of(now=START + 100)
    lines = [
        *session(1, "172.18.0.5", "<1@localhost.localdomain>"),
        *session(2, "172.18.0.5", "<2@LOCALHOST>"),
        *session(3, "172.18.0.5", "<3@localhost>"),
        *session(4, "172.18.0.5", "<4@mail.example.org>"),
        *session(5, "192.0.2.77", "<5@localhost>"),
        f"{stamp(START + 6)} mail postfix/cleanup[8]: 4XkJ2l1zq99999: message-id=<6@localhost>",
    ]
    observer.take(Batch("mail.log", lines, None, True, SourceHealth()), START + 100)
    counts = [observer.guard.localhost_ids.count(name, START + 100) for name in ("trucking", "healthcare", "none", "")]
    assert counts == [2, 0, 0, 0]
    assert observer.event_counts["message_id"] == 6
