"""What a log source delivers, and how far it was read."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

from pwmtad.model.names import Instant


class FileCheckpoint(Struct, frozen=True, tag="file"):
    """Everything before `offset` of this file is accounted for.

    `head` and `tail` are the raw first bytes of the file and the raw bytes just before `offset` (at most 256 each):
    a file whose bytes there differ is not the file that was read, whatever its inode says (copytruncate).
    """

    path: str
    device: int
    inode: int
    offset: int
    head: bytes
    tail: bytes


class JournalCheckpoint(Struct, frozen=True, tag="journal"):
    """Everything up to and including the entry at `cursor` is accounted for; `at` is that entry's time (0: not known)."""

    cursor: str
    at: Instant = 0.0


Checkpoint: TypeAlias = FileCheckpoint | JournalCheckpoint


class JournalEntry(Struct, frozen=True, gc=False):
    """One journal entry that matched the filter; `message` has no line break of its own (they become spaces)."""

    at: Instant
    host: str
    tag: str
    pid: int | None
    message: str


class SourceHealth(Struct, frozen=True):
    """What a source has to say about itself besides lines. Counts are since the source started."""

    cut_lines: int = 0
    """Lines longer than the limit: cut, their rest dropped."""
    gaps: int = 0
    """Times that lines may have been missed: checkpoint's file not found any more, journal vacuumed."""
    rotations: int = 0
    error: str | None = None
    """Why it can't read now, and what to do; None while all is well."""
    progress: float | None = None
    """Share of a backlog that was read, 0 to 1; None if it is not known or there is none."""


class Batch(Struct, frozen=True):
    """Complete lines in order, and the checkpoint that accounts for them.

    `records` are syslog lines without their line break (file) or entries (journal); it may be empty.
    `caught_up` says that the source was at its end after these records.
    """

    source: str
    records: list[str] | list[JournalEntry]
    checkpoint: Checkpoint | None
    caught_up: bool
    health: SourceHealth
