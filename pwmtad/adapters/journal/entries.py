"""One line of `journalctl -o json` to a journal entry. Pure; it never raises, whatever the line holds.

A field is a string; a list of integers (bytes) where it holds control characters or no UTF-8; null where it is longer than
4,096 bytes and `--all` was not given; a list of such values where the field stands several times in one entry
(systemd's JOURNAL_EXPORT_FORMATS, "Journal JSON Format").
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec

from pwmtad.model.sources import JournalEntry

MAX_MESSAGE: Final = 65536
"""Characters of a message that are kept; as much as of a line in a file. Postfix and OpenDKIM write less than 4 KiB."""
_MAX_NAME: Final = 256
"""Characters of a host or a tag: a host has at most 64 (hostname(7)); what a process calls itself has no limit."""
_END_OF_TIME: Final = 253_402_300_800_000_000
"""Microseconds to the year 10000: later moments have no date."""


class _Fields(msgspec.Struct, gc=False):
    """What is wanted of an entry; msgspec skips the rest without making objects of it."""

    cursor: str = msgspec.field(name="__CURSOR")
    realtime: str = msgspec.field(name="__REALTIME_TIMESTAMP")
    host: Any = msgspec.field(name="_HOSTNAME", default="")
    tag: Any = msgspec.field(name="SYSLOG_IDENTIFIER", default="")
    pid: Any = msgspec.field(name="_PID", default=None)
    syslog_pid: Any = msgspec.field(name="SYSLOG_PID", default=None)
    message: Any = msgspec.field(name="MESSAGE", default=None)


FIELDS: Final = ("MESSAGE", "SYSLOG_IDENTIFIER", "SYSLOG_PID", "_HOSTNAME", "_PID")
"""What journalctl shall write; it always adds the cursor and the times."""
_decode: Final = msgspec.json.Decoder(_Fields).decode


class Read(NamedTuple):
    """An entry as it was read, and whether its message had to be cut."""

    cursor: str
    entry: JournalEntry
    cut: bool


def entry_from_json(line: bytes) -> tuple[str, JournalEntry] | None:
    """Return the cursor and the entry of one line, or None if it is no journal entry. Never raises."""
    read = read_entry(line)
    return None if read is None else (read.cursor, read.entry)


def read_entry(line: bytes) -> Read | None:
    """As `entry_from_json`, with the word whether the message was cut at MAX_MESSAGE characters."""
    try:
        fields = _decode(line)
        if not fields.cursor:
            return None
        message = _text(fields.message)
        entry = JournalEntry(
            at=_moment(fields.realtime),
            host=_text(fields.host)[:_MAX_NAME],
            tag=_text(fields.tag)[:_MAX_NAME],
            pid=_number(fields.pid) if fields.pid is not None else _number(fields.syslog_pid),
            message=_one_line(message[:MAX_MESSAGE]),
        )
    except (ValueError, RecursionError):  # msgspec.MsgspecError is a ValueError
        return None
    return Read(fields.cursor, entry, len(message) > MAX_MESSAGE)


def same_entry(cursor: str, other: str) -> bool:
    """Whether two cursors mean one entry.

    When journald moves its journal from /run to /var at boot, or when asked to, an entry gets another sequence id and number
    (`s=`, `i=`); boot, monotonic and real time and the hash of its content (`b=`, `m=`, `t=`, `x=`) stay.
    """
    content = cursor.partition(";b=")[2]
    return cursor == other or (content != "" and content == other.partition(";b=")[2])


def _text(value: Any) -> str:
    """Return a field's first value. Raises ValueError for what journalctl never writes."""
    if type(value) is str:
        return value
    if value is None:
        return ""
    if not isinstance(value, list):
        raise ValueError("no field of an entry")  # noqa: TRY004 - one kind of error for all that is no entry
    if not value:
        return ""
    first = value[0]
    if isinstance(first, str):
        return first
    if first is None or isinstance(first, list):
        return _text_of_bytes(first or [])
    return _text_of_bytes(value)


def _text_of_bytes(values: list[Any]) -> str:
    try:
        return bytes(values).decode("utf-8", "replace")
    except TypeError as error:
        raise ValueError("no bytes") from error


def _one_line(message: str) -> str:
    if "\n" not in message:
        return message
    return message.rstrip("\n").replace("\n", " ")


def _moment(text: str) -> float:
    """Microseconds since the epoch, as seconds."""
    if len(text) > len(str(_END_OF_TIME)) or not (text.isascii() and text.isdigit()) or int(text) >= _END_OF_TIME:
        raise ValueError("no moment")
    return int(text) / 1_000_000


def _number(value: Any) -> int | None:
    """A process id; None if the field is absent or holds something else, as SYSLOG_PID may: its sender writes it."""
    text = _text(value)
    return int(text) if 0 < len(text) <= 10 and text.isascii() and text.isdigit() else None
