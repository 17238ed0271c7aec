"""What comes after a generation that is read to its end: later rotated files, then the log itself."""

from __future__ import annotations

import os
from contextlib import closing
from typing import NamedTuple

from pwmtad.adapters.tail.files import (
    FINGERPRINT_BYTES,
    DamagedFileError,
    Identity,
    LogFile,
    Match,
    PackedFile,
    PlainFile,
    match,
)
from pwmtad.adapters.tail.rotated import Sibling, siblings
from pwmtad.adapters.tail.search import names, open_sibling
from pwmtad.model.sources import FileCheckpoint


class View(NamedTuple):
    """The files to read next, as they were when somebody looked."""

    after: list[Sibling]
    """Rotated files after the one that was read to its end, oldest first."""
    later: list[Sibling]
    """Of these, the ones to read: neither empty nor given up."""
    current: Identity | None
    """The log itself, if it is there."""
    current_is_next: bool
    """The log itself is there, is not the file that was read to its end, and is not empty."""
    fingerprint: tuple[object, ...]
    """Equal in two views: nothing was rotated in between."""

    def goes_on(self, writer: Identity, at: int = 0) -> bool:
        """Whether the file that the writer wrote to is among these, from the one at `at`: then it was truncated, those
        before it are copies of it, and the writer went on in the middle of its line. (If that file was packed since
        then, nobody can tell any more.)
        """
        if at > len(self.later):  # after the log itself
            return False
        start = self.after.index(self.later[at - 1]) + 1 if at else 0
        return writer == self.current or writer in {entry.identity for entry in self.after[start:]}


class Chain:
    """Looks beyond the end of a generation, and remembers which files can't be read."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._given_up: set[Identity] = set()
        self._same: dict[Identity, bool] = {}
        self._filled: dict[Identity, bool] = {}

    @property
    def gaps(self) -> int:
        """How many files were given up."""
        return len(self._given_up)

    def give_up(self, identity: Identity) -> None:
        """Skip this file from now on: it can't be read (any further)."""
        self._given_up.add(identity)

    def forget(self) -> None:
        """Another generation will be asked about from now on."""
        self._same.clear()
        self._filled.clear()

    def look(self, file: LogFile, mark: FileCheckpoint) -> View:
        """What comes after `file`, which holds `mark` and is read to its end. Raises OSError, FilesMovedError."""
        entries = siblings(self._path)
        after = [entry for entry in self._after(file, mark, entries) if entry.rotated]
        later = [entry for entry in after if self._has_content(entry)]
        current: Identity | None = None
        is_next = False
        try:
            status = os.stat(self._path)
        except FileNotFoundError:
            pass
        else:
            current = Identity(status.st_dev, status.st_ino)
            is_next = current != file.identity and status.st_size > 0
        if is_next:
            with closing(PlainFile(self._path)) as log:
                # A copy of the log that is not truncated yet is no generation of its own.
                later = [entry for entry in later if not _is_start_of(entry, log)]
        for entry in later:
            if not entry.readable:
                self.give_up(entry.identity)
        later = [entry for entry in later if entry.identity not in self._given_up]
        return View(after, later, current, is_next, (names(entries), names(later), current, is_next))

    def _after(self, file: LogFile, mark: FileCheckpoint, entries: list[Sibling]) -> list[Sibling]:
        for at, entry in enumerate(entries):
            if entry.rotated and entry.identity == file.identity:
                return entries[at + 1 :]
        for at, entry in enumerate(entries):
            if entry.rotated and self._is_same(entry, mark):
                return entries[at + 1 :]
        # It is gone, or was never one of them: there is only the time to go by.
        modified_ns = file.status().st_mtime_ns
        return [entry for entry in entries if entry.modified_ns > modified_ns and entry.identity != file.identity]

    def _has_content(self, entry: Sibling) -> bool:
        """An empty log is rotated and packed as well, and then its file is not empty."""
        if not entry.path.endswith(".gz") or entry.identity in self._given_up:
            return entry.size > 0
        known = self._filled.get(entry.identity)
        if known is None:
            file = open_sibling(entry)
            if file is None:
                return True  # may not be read: a gap, when its turn comes
            with closing(file):
                try:
                    known = bool(file.read_at(0, 1))
                except DamagedFileError:
                    known = True
            self._filled[entry.identity] = known
        return known

    def _is_same(self, entry: Sibling, mark: FileCheckpoint) -> bool:
        """Whether it is the same generation, packed since. Remembered, for to unpack a day of log takes seconds."""
        known = self._same.get(entry.identity)
        if known is None:
            file = open_sibling(entry)
            if file is None:
                return False
            with closing(file):
                try:
                    known = match(file, mark) is Match.SAME
                except DamagedFileError:
                    known = False
            self._same[entry.identity] = known
        return known


def _is_start_of(entry: Sibling, log: PlainFile) -> bool:
    """Whether the content of `entry` is also the start of the log."""
    file = open_sibling(entry)
    if file is None:
        return False
    with closing(file):
        if isinstance(file, PackedFile):
            return _packed_is_start_of(file, log)
        size = file.size()
        length = min(FINGERPRINT_BYTES, size)
        return all(file.read_at(at, length) == log.read_at(at, length) for at in (0, size - length))


def _packed_is_start_of(file: PackedFile, log: PlainFile) -> bool:
    try:
        head = file.read_at(0, FINGERPRINT_BYTES)
    except DamagedFileError:
        return False
    return bool(head.strip(b"\0")) and head == log.read_at(0, len(head))
