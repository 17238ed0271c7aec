"""Follow one log through growth, rotation and restarts. Blocking, without a clock: each `step` is one bounded read.

The log is one stream of bytes; its files are generations of that stream. `position` is a place in one generation:
everything before it was handed out. It moves only together with lines, and on to the next generation only when a line
of that was taken. So it can be stored at any time and found again in whatever the generation has become: renamed,
copied and truncated, packed, moved on twice. A file is known by its content; an inode is a hint.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, suppress
from typing import Final, Literal, NamedTuple

from pwmtad.adapters.tail.chain import Chain, View
from pwmtad.adapters.tail.files import DamagedFileError, Identity, LogFile, Match, PlainFile, match
from pwmtad.adapters.tail.lines import Taken, is_inside_line, take_lines, unfinished
from pwmtad.adapters.tail.progress import Progress
from pwmtad.adapters.tail.rotated import Sibling
from pwmtad.adapters.tail.search import (
    FilesMovedError,
    Found,
    advanced,
    find,
    find_written_anew,
    identity_of,
    mark_at,
    open_sibling,
)
from pwmtad.adapters.tail.trouble import deleted, explain
from pwmtad.model.sources import FileCheckpoint, SourceHealth

StartAt = Literal["beginning", "end"]


class Step(NamedTuple):
    """What one step brought."""

    lines: list[str]
    caught_up: bool
    """Nothing is left to read for now."""
    again: bool
    """Step again at once: there is, or may be, more."""


_AGAIN: Final = Step([], caught_up=False, again=True)
_WAIT: Final = Step([], caught_up=False, again=False)
_CAUGHT_UP: Final = Step([], caught_up=True, again=False)


class Follower:
    """The state of following. One call at a time."""

    def __init__(
        self, path: str, *, position: FileCheckpoint | None, start_at: StartAt, max_line_bytes: int, read_bytes: int
    ) -> None:
        self.position = position
        self._path = path
        self._start_at = start_at
        self._limit = max_line_bytes
        # A read must be longer than the longest line, else nothing could be said about it.
        self._read_bytes = max(read_bytes, max_line_bytes + 1)
        self._file: LogFile | None = None
        self._chain = Chain(path)
        self._progress = Progress(path)
        self._cut_lines = 0
        self._gaps = 0
        self._rotations = 0
        self._error: str | None = None

    @property
    def health(self) -> SourceHealth:
        """Counts since the start, and what is wrong now."""
        return SourceHealth(
            cut_lines=self._cut_lines,
            gaps=self._gaps + self._chain.gaps,
            rotations=self._rotations,
            error=self._error,
            progress=self._progress.share,
        )

    def step(self) -> Step:
        """Read on, at most one chunk. Never raises for what a file system can do."""
        step = self._step()
        if step.caught_up:
            self._progress.end()
        elif self._file is not None and self.position is not None:
            with suppress(OSError):  # of a file system that lost it; the next read will tell
                self._progress.at(self._file, self.position.offset)
        return step

    def _step(self) -> Step:
        try:
            if self._file is None:
                self._open()
            if self._file is None or self.position is None:
                return _WAIT
            return self._read_on(self._file, self.position)
        except FilesMovedError:
            return _WAIT  # a rotation is under way, and soon over
        except OSError as error:
            if not isinstance(error, PermissionError):  # that is about another file
                self.close()
            self._error = explain(error, self._path)
            return _WAIT

    def close(self) -> None:
        """Let go of the file; `step` would open it again."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> None:
        if self.position is not None:
            self._adopt(find(self._path, self.position))
            return
        try:
            file = PlainFile(self._path)
        except FileNotFoundError:
            self._start_at = "beginning"  # what comes later is all new
            raise
        self._adopt(Found(file, mark_at(file, file.size() if self._start_at == "end" else 0), gap=False))

    def _adopt(self, found: Found) -> None:
        self._file, self.position, gap = found
        self._gaps += gap
        self._chain.forget()

    def _read_on(self, file: LogFile, mark: FileCheckpoint) -> Step:
        data = self._read(file, mark)
        if data is None:  # truncated or written anew: what it held is elsewhere now
            self.close()
            return _AGAIN
        self._error = None
        taken = take_lines(data, self._limit, inside=is_inside_line(mark.tail))
        if not taken.consumed:
            return self._move_on(file, mark, data)
        self._cut_lines += taken.cut
        self.position = advanced(mark, data[: taken.consumed])
        caught_up = len(data) < self._read_bytes and self._is_current(file)
        return Step(taken.lines, caught_up=caught_up, again=not caught_up)

    def _read(self, file: LogFile, mark: FileCheckpoint) -> bytes | None:
        """What follows `mark`. None if that is not in the file any more, checked before and after: a file that is
        truncated and grows again in between must not be taken for its own continuation.
        """
        checked = isinstance(file, PlainFile)  # a packed file doesn't change
        if checked and mark.offset and match(file, mark) is not Match.SAME:
            return None
        try:
            data = file.read_at(mark.offset, self._read_bytes)
        except DamagedFileError:
            self._chain.give_up(file.identity)
            return b""
        if checked and data and match(file, advanced(mark, data)) is not Match.SAME:
            return None
        return data

    def _is_current(self, file: LogFile) -> bool:
        try:
            status = os.stat(self._path)
        except FileNotFoundError:
            return False
        return Identity(status.st_dev, status.st_ino) == file.identity

    def _move_on(self, file: LogFile, mark: FileCheckpoint, rest: bytes) -> Step:
        """At the end of `file`, but for `rest`, a line without its line break: go on to the next generation, if any."""
        if self._is_current(file):
            return _CAUGHT_UP
        anew = find_written_anew(self._path, mark)
        if anew is not None:
            self.close()
            self._adopt(anew)
            return _AGAIN
        view = self._chain.look(file, mark)
        if not view.later and not view.current_is_next:
            if view.current is None and file.status().st_nlink == 0:
                self._error = deleted(self._path)
            return _CAUGHT_UP
        # Whoever wrote here has opened a newer file by now. What it wrote here until then comes first.
        if self._read(file, mark) != rest:
            return _AGAIN
        if rest and not view.goes_on(identity_of(mark)):
            # A new file starts with a new line. (After copytruncate the writer goes on in the middle of its line.)
            self._confirm(file, mark, view)
            self.position = advanced(mark, rest)
            return Step([unfinished(rest)], caught_up=False, again=True)
        return self._enter_next(file, mark, view, carry=rest)

    def _enter_next(self, file: LogFile, mark: FileCheckpoint, view: View, carry: bytes) -> Step:
        """Take the first lines after `mark` from the files of `view`; `carry` is the start of the first of them.

        Nothing is kept of files that hold no complete line yet: they are looked at anew, for they may be rotated too.
        """
        writer = identity_of(mark)
        inside = view.goes_on(writer) and is_inside_line(mark.tail)
        following: list[Sibling | None] = [*view.later, *([None] if view.current_is_next else [])]
        for at, entry in enumerate(following):
            with ExitStack() as stack:
                opened = self._open_next(entry)
                if opened is None:
                    return _AGAIN
                stack.callback(opened.close)
                data = self._first_chunk(opened)
                if data is None:
                    return _AGAIN
                taken = _take_first(data, carry, self._limit, inside=inside)
                ended = at + 1 < len(following) and not view.goes_on(writer, at + 1)
                if not taken.consumed and data and ended:
                    taken = Taken([unfinished(carry + data)], len(data), 0)
                if taken.consumed:
                    self._confirm(file, mark, view)
                    stack.pop_all()
                    written = writer if view.goes_on(writer, at) else opened.identity
                    return self._switch(opened, written, data, taken)
            carry += data.lstrip(b"\0") if view.goes_on(writer, at + 1) else b""
        return _CAUGHT_UP

    def _confirm(self, file: LogFile, mark: FileCheckpoint, view: View) -> None:
        """Raise FilesMovedError if `view` is not what there is now: what was read since then may be out of order."""
        if self._chain.look(file, mark).fingerprint != view.fingerprint:
            raise FilesMovedError

    def _open_next(self, entry: Sibling | None) -> LogFile | None:
        """Open a rotated file, or the log itself. None: it may not be read, and is given up."""
        if entry is not None:
            opened = open_sibling(entry)
            if opened is None:
                self._chain.give_up(entry.identity)
            return opened
        return PlainFile(self._path)

    def _first_chunk(self, opened: LogFile) -> bytes | None:
        """None: it can't be unpacked, and is given up."""
        try:
            return opened.read_at(0, self._read_bytes)
        except DamagedFileError:
            self._chain.give_up(opened.identity)
            return None

    def _switch(self, opened: LogFile, written: Identity, data: bytes, taken: Taken) -> Step:
        """Go on in `opened`, behind what was taken from the front of its `data`."""
        self.close()
        self._file = opened
        start = FileCheckpoint(opened.path, written.device, written.inode, 0, b"", b"")
        self.position = advanced(start, data[: taken.consumed])
        self._chain.forget()
        self._rotations += 1
        self._cut_lines += taken.cut
        return Step(taken.lines, caught_up=False, again=True)


def _take_first(data: bytes, carry: bytes, limit: int, *, inside: bool) -> Taken:
    """As `take_lines` of `carry` and `data`, but `consumed` counts only bytes of `data`.

    A hole between them (see take_lines) is no part of the line.
    """
    hole = len(data) - len(data.lstrip(b"\0")) if carry else 0
    taken = take_lines(carry + data[hole:], limit, inside=inside)
    return taken._replace(consumed=hole + taken.consumed - len(carry)) if taken.consumed else taken
