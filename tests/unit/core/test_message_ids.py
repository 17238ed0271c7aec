"""Message-IDs at localhost are counted by stream, for a day."""

from __future__ import annotations

import pytest

from pwmtad.core import message_ids
from pwmtad.core.message_ids import MARK, LocalhostIds
from tests.tools.judging import DAY, HOUR, START


@pytest.mark.parametrize(
    ("message_id", "counted"),
    [
        ("<1782.1.2@localhost.localdomain>", 1),
        ("<1782.1.2@LOCALHOST>", 1),
        ("<a@localhost>, <b@localhost>", 1),
        ("<1782@localhost.example.org.evil>", 1),
        ("<1782@localhosting.example>", 0),
        ("<x@localhost@mail.example.org>", 0),
    ],
)
def test_only_those_at_localhost_count(message_id: str, counted: int) -> None:
    watch = LocalhostIds()
    watch.see("trucking", message_id, START)
    assert watch.count("trucking", START) == counted
    assert watch.count("healthcare", START) == 0


def test_a_day_later_they_are_forgotten() -> None:
    watch = LocalhostIds()
    for hour in range(3):
        watch.see("trucking", "<1@localhost>", START + hour * HOUR)
        watch.see("healthcare", "<1@localhost>", START + hour * HOUR)
    assert watch.count("trucking", START + 3 * HOUR) == 3
    assert watch.count("trucking", START + DAY + HOUR + 60) == 1
    assert watch.count("healthcare", START + 2 * DAY) == 0


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(message_ids, "_MAX_STREAMS", 2)
    watch = LocalhostIds()
    for name in ("a", "b", "c", "a"):
        watch.see(name, "<1@localhost>", START)
    assert [watch.count(name, START) for name in "abc"] == [2, 1, 0]
    assert MARK == "@localhost"
