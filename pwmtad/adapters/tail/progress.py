"""How much of a backlog was read, as a share of what there was and has come since. For people: nothing depends on it."""

from __future__ import annotations

import os
from contextlib import suppress

from pwmtad.adapters.tail.files import Identity, LogFile, PackedFile
from pwmtad.adapters.tail.rotated import siblings


class Progress:
    """Bytes read and left since the log's end was last left behind."""

    def __init__(self, path: str) -> None:
        self.share: float | None = None
        """0 to 1. None at the log's end, and where packed files are in between: nobody knows what they hold."""
        self._path = path
        self._generation: Identity | None = None
        self._begun_at = 0
        """Where reading of this generation began."""
        self._read_before = 0
        """Bytes of the generations before it."""
        self._offset = 0
        self._later: int | None = 0

    def at(self, file: LogFile, offset: int) -> None:
        """`file` was read up to `offset`, and there is more."""
        if self._generation is None:
            self._generation, self._begun_at = file.identity, offset
            self._later = _bytes_after(file, self._path)
        elif self._generation != file.identity or offset < self._offset:
            self._read_before += self._offset - self._begun_at
            self._generation, self._begun_at = file.identity, 0
            self._later = _bytes_after(file, self._path)
        self._offset = offset
        if isinstance(file, PackedFile) or self._later is None:
            self.share = None
            return
        read = self._read_before + offset - self._begun_at
        left = max(0, file.size() - offset) + self._later
        self.share = read / (read + left) if read + left else None

    def end(self) -> None:
        """The log's end is reached."""
        self.share, self._generation, self._read_before, self._offset = None, None, 0, 0


def _bytes_after(file: LogFile, path: str) -> int | None:
    """Bytes in the generations after `file`, as they are now; None if one of them is packed."""
    total = 0
    with suppress(OSError):
        status = os.stat(path)
        if Identity(status.st_dev, status.st_ino) == file.identity:
            return 0
        total += status.st_size
        since_ns = file.status().st_mtime_ns
        later = [one for one in siblings(path) if one.rotated and one.modified_ns > since_ns and one.identity != file.identity]
        if any(one.path.endswith(".gz") or not one.readable for one in later):
            return None
        total += sum(one.size for one in later)
    return total
