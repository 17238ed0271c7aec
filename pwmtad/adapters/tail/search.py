"""Find the file that holds a checkpoint, whatever rotation did to it meanwhile."""

from __future__ import annotations

from contextlib import ExitStack
from typing import NamedTuple

import msgspec

from pwmtad.adapters.tail.files import (
    FINGERPRINT_BYTES,
    DamagedFileError,
    Identity,
    LogFile,
    Match,
    PlainFile,
    match,
    open_log,
)
from pwmtad.adapters.tail.rotated import Sibling, siblings
from pwmtad.model.sources import FileCheckpoint


class Found(NamedTuple):
    """Where reading goes on. The file is open, and the caller's to close."""

    file: LogFile
    position: FileCheckpoint
    """Its device and inode stay those of the file that was written when `file` is its copy or is packed."""
    gap: bool
    """Lines may have been missed before `position`."""


class FilesMovedError(Exception):
    """Files were renamed, packed or truncated meanwhile: look again."""


def find(path: str, mark: FileCheckpoint) -> Found:
    """Look for `mark` in the log at `path`, then in its rotated files, youngest first.

    Not found at all, reading goes on at the start of the log, with a gap. Raises FilesMovedError; OSError if it was not
    found and the log itself is not there or may not be read.
    """
    # The log first: if it was truncated before it is opened here, its copy is complete before the directory is read.
    with ExitStack() as stack:
        log: PlainFile | None = None
        trouble: OSError | None = None
        verdict = Match.OTHER
        try:
            log = PlainFile(path)
            stack.callback(log.close)
            verdict = _compare(log, mark)
        except OSError as error:
            trouble = error
        found = None if verdict is Match.SAME else _find_rotated(path, mark, short=verdict is Match.OTHER)
        if found is None:
            if log is None or trouble is not None:
                raise trouble or FileNotFoundError(path)
            found = _at_the_log(log, mark, verdict)
            stack.pop_all()
        return found


def find_written_anew(path: str, mark: FileCheckpoint) -> Found | None:
    """Whether the log itself has the content that was read up to `mark`: an editor or `sed -i` does that, no rotation."""
    try:
        log = PlainFile(path)
    except FileNotFoundError:
        return None
    verdict = match(log, mark)
    if verdict is Match.OTHER:
        log.close()
        return None
    return _at_the_log(log, mark, verdict)


def _at_the_log(log: PlainFile, mark: FileCheckpoint, verdict: Match) -> Found:
    if verdict is Match.SAME:
        position = msgspec.structs.replace(mark, path=log.path, device=log.identity.device, inode=log.identity.inode)
    elif verdict is Match.OTHER:
        position = mark_at(log, 0)
    else:
        # It lost its end (a crash before that reached the disk), or was edited. From its start would count all twice.
        position = mark_at(log, min(mark.offset, log.size()))
    return Found(log, position, gap=verdict is not Match.SAME)


def mark_at(file: LogFile, offset: int) -> FileCheckpoint:
    """The checkpoint of `offset`, which must not be beyond the end. Raises DamagedFileError."""
    length = min(FINGERPRINT_BYTES, offset)
    return FileCheckpoint(
        path=file.path,
        device=file.identity.device,
        inode=file.identity.inode,
        offset=offset,
        head=file.read_at(0, length),
        tail=file.read_at(offset - length, length),
    )


def advanced(mark: FileCheckpoint, data: bytes) -> FileCheckpoint:
    """The checkpoint behind `data`, which was read at `mark`."""
    head = mark.head
    if len(head) < FINGERPRINT_BYTES:  # then the head is all there is before `mark`
        head = (head + data[:FINGERPRINT_BYTES])[:FINGERPRINT_BYTES]
    tail = (mark.tail + data[-FINGERPRINT_BYTES:])[-FINGERPRINT_BYTES:]
    return msgspec.structs.replace(mark, offset=mark.offset + len(data), head=head, tail=tail)


def identity_of(mark: FileCheckpoint) -> Identity:
    """Of the file that was being written."""
    return Identity(mark.device, mark.inode)


def _compare(file: LogFile, mark: FileCheckpoint) -> Match:
    if not mark.head:  # nothing was read yet: there is only the inode to go by
        return Match.SAME if file.identity == identity_of(mark) else Match.OTHER
    try:
        return match(file, mark)
    except DamagedFileError:
        return Match.OTHER


def _find_rotated(path: str, mark: FileCheckpoint, *, short: bool) -> Found | None:
    """`short`: also take a copy that was made before the last lines were written: those were read in the log itself,
    and then truncated away.
    """
    entries = siblings(path)
    found = _open_matching(entries, mark, Match.SAME)
    if found is not None:
        return Found(found, msgspec.structs.replace(mark, path=found.path), gap=False)
    found = _open_matching([entry for entry in entries if entry.rotated], mark, Match.SHORT) if short else None
    if found is not None:
        return Found(found, mark_at(found, found.size()), gap=False)
    if names(siblings(path)) != names(entries):
        raise FilesMovedError
    return None


def _open_matching(entries: list[Sibling], mark: FileCheckpoint, wanted: Match) -> LogFile | None:
    """The youngest that matches as `wanted`."""
    for entry in reversed(entries):
        file = open_sibling(entry)
        if file is None:
            continue
        if _compare(file, mark) is wanted:
            return file
        file.close()
    return None


def names(entries: list[Sibling]) -> list[tuple[str, Identity]]:
    """What must be equal for two listings to show the same files."""
    return [(entry.path, entry.identity) for entry in entries]


def open_sibling(entry: Sibling) -> LogFile | None:
    """None if it can't be read. Raises FilesMovedError if it is gone; it may be another file by now."""
    if not entry.readable:
        return None
    try:
        return open_log(entry.path)
    except PermissionError:
        return None
    except FileNotFoundError as error:
        raise FilesMovedError from error
