"""What `postqueue -j` prints, however long, broken or hostile."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from pwmtad.core.queue_listing import QueueReader
from pwmtad.model.target import QueueEntry

# Printed by postqueue -j of Postfix 3.7.11.
_LINE = (
    '{"queue_name": "deferred", "queue_id": "4jYbGp31NFz1SDl6", "arrival_time": 1795508146, "message_size": 322, '
    '"forced_expire": false, "sender": "news@lists.example.org", "recipients": [{"address": "a@Example.NET", '
    '"delay_reason": "mail transport unavailable"}]}\n'
)
_ENTRY = QueueEntry(
    queue_name="deferred",
    queue_id="4jYbGp31NFz1SDl6",
    arrival_at=1795508146.0,
    sender="news@lists.example.org",
    domains=("example.net",),
    delay_reason="mail transport unavailable",
)


def _read(data: bytes, step: int = 65536, max_entries: int = 1000) -> QueueReader:
    reader = QueueReader(max_entries)
    for start in range(0, len(data), step):
        reader.take(data[start : start + step])
    return reader


def test_a_message_is_read() -> None:
    assert _read(_LINE.encode()).entries == [_ENTRY]


@given(st.integers(1, 700))
def test_output_may_come_in_any_pieces(step: int) -> None:
    reader = _read((_LINE * 3).encode(), step)
    assert reader.entries == [_ENTRY] * 3


def test_a_message_without_recipients_that_are_left_is_one() -> None:
    line = b'{"queue_name": "active", "queue_id": "731D420C053", "arrival_time": 1, "sender": "", "recipients": []}\n'
    assert _read(line).entries == [QueueEntry("active", "731D420C053", 1.0, "", ())]


def test_keys_of_later_versions_are_ignored() -> None:
    line = _LINE.replace('"forced_expire"', '"something_new": {"a": [1]}, "forced_expire"')
    assert _read(line.encode()).entries == [_ENTRY]


def test_domains_are_few_and_each_is_there_once() -> None:
    recipients = [{"address": f"r{number}@d{number % 30}.example"} for number in range(100)] + [{"address": "nobody"}]
    line = json.dumps({"queue_name": "hold", "queue_id": "731D420C053", "arrival_time": 1, "recipients": recipients}) + "\n"
    (entry,) = _read(line.encode()).entries
    assert len(entry.domains) == len(set(entry.domains)) == 10


def test_a_line_too_long_to_keep_still_names_its_message() -> None:
    recipients = [{"address": f"r{number}@example.net", "delay_reason": "x" * 200} for number in range(6000)]
    head = (
        '{"queue_name": "deferred", "queue_id": "731D420C053", "arrival_time": 5, "message_size": 1, "forced_expire": false, '
    )
    line = head + '"sender": "a\\"b@example.org", "recipients": ' + json.dumps(recipients) + "}\n"
    assert len(line) > 1024 * 1024
    reader = _read(line.encode() + _LINE.encode())
    assert reader.entries[0] == QueueEntry("deferred", "731D420C053", 5.0, 'a\\"b@example.org', ())
    assert reader.entries[1] == _ENTRY


def test_texts_of_others_are_cleaned_and_bounded() -> None:
    reason = "\u202e\x1b[31m" + "x" * 5000
    line = json.dumps(
        {"queue_name": "hold", "queue_id": "731D420C053", "arrival_time": 1, "sender": "a\x85@b", "recipients":
         [{"address": "x@\u2028evil.example", "delay_reason": reason}]}
    ) + "\n"  # fmt: skip
    (entry,) = _read(line.encode()).entries
    assert (entry.sender, entry.domains) == ("a?@b", ("?evil.example",))
    assert entry.delay_reason.startswith("??[31m")
    assert len(entry.delay_reason) == 200


def test_a_queue_larger_than_the_bound_is_cut_and_says_so() -> None:
    reader = _read((_LINE * 10).encode(), max_entries=4)
    assert (len(reader.entries), reader.cut) == (4, True)
    reader = _read((_LINE * 4).encode(), max_entries=4)
    assert (len(reader.entries), reader.cut) == (4, False)


def test_what_is_no_message_is_counted() -> None:
    reader = _read(b'nonsense\n{"queue_name": 1}\n\n\xff\xfe\n' + b"x" * 2_000_000 + b"\n" + _LINE.encode())
    assert reader.entries == [_ENTRY]
    assert reader.unread == 4


@given(st.binary(max_size=300))
def test_no_output_raises(data: bytes) -> None:
    _read(data + b"\n")
