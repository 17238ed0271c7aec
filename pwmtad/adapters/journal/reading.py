"""Where reading the journal stands: what to start next, which entries are new, which may be missing. No I/O, no clock.

Each start of journalctl is one phase. DRAIN reads to the end of the journal and so knows when it has caught up. If it showed
nothing at all, PROBE asks why. FOLLOW goes on from there until journalctl ends or has been silent for long.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from pwmtad.adapters.journal import trouble
from pwmtad.adapters.journal.command import concerns
from pwmtad.adapters.journal.entries import Read, read_entry, same_entry
from pwmtad.model.names import Instant
from pwmtad.model.sources import Checkpoint, JournalCheckpoint, JournalEntry, SourceHealth

_MAX_CURSOR: Final = 512
"""Characters; systemd 252 writes at most 150. One beyond that was not written by journalctl."""


class Phase(Enum):
    """What journalctl is started for."""

    DRAIN = "drain"
    PROBE = "probe"
    FOLLOW = "follow"


class Reading:
    """From one checkpoint on. `begin` before each start of journalctl, `take` what it prints, and one of the ends after it."""

    def __init__(self, unit: str, checkpoint: Checkpoint | None) -> None:
        # A checkpoint of another kind is of no use: the source was a file before.
        known = checkpoint if isinstance(checkpoint, JournalCheckpoint) else None
        self.phase = Phase.DRAIN
        self.checkpoint: JournalCheckpoint | None = known
        self.cursor: str | None = None if known is None else known.cursor
        """The last entry that was read; where journalctl starts, inclusive."""
        self.since: Instant | None = None
        """Without a usable cursor: the time of the last entry that was read."""
        self._unit = unit
        self._gaps = 0
        self._cut_lines = 0
        self._error: str | None = None
        self._seen = False
        self._gone = False
        self._live = False
        if self.cursor is not None and not _is_cursor(self.cursor):
            self._forget_cursor()

    @property
    def health(self) -> SourceHealth:
        """What the source has to say about itself."""
        return SourceHealth(cut_lines=self._cut_lines, gaps=self._gaps, error=self._error)

    @property
    def failed(self) -> bool:
        """Whether the journal can't be read now."""
        return self._error is not None

    @property
    def proven(self) -> bool:
        """Whether this journalctl has shown that it works: the entry it was started at came. If that is not in the journal any
        more, or nothing was ever read, the drain just before must do.
        """
        return self._seen or self._gone or self.cursor is None

    def begin(self) -> None:
        """A new journalctl is started."""
        self._seen = False

    def take(self, lines: list[bytes]) -> list[JournalEntry]:
        """Return the new entries of the unit; the checkpoint then accounts for them."""
        found: list[JournalEntry] = []
        for line in lines:
            read = read_entry(line)
            if read is None:
                # journalctl never writes such a line, but if it did, an entry is missing. Others are for people ("-- ...").
                self._gaps += line.startswith(b"{")
            elif self._is_new(read):
                self._cut_lines += read.cut
                self.cursor = read.cursor
                self.checkpoint = JournalCheckpoint(read.cursor, read.entry.at)
                if concerns(self._unit, read.entry.tag, read.entry.message):
                    found.append(read.entry)
        return found

    def _is_new(self, read: Read) -> bool:
        if not self._seen:
            self._seen = True
            self._error = None
            if self.cursor is not None:
                if same_entry(read.cursor, self.cursor):
                    self._gone = False
                    return False
                # journalctl starts at the next one if the cursor's is gone: those between may be gone, too.
                self._gaps += not self._gone
                self._gone = False
        if self.since is not None:
            if read.entry.at <= self.since:
                return False
            self.since = None
        return True

    def cut(self, lines: int) -> None:
        """Count lines that were too long to be read at all."""
        self._cut_lines += lines

    # -- how a phase ends

    def ended(self, returncode: int, stderr: str) -> None:
        """Journalctl has ended by itself: right for DRAIN and PROBE, trouble in FOLLOW."""
        if self.phase is Phase.FOLLOW:
            self.fail(trouble.ended(returncode, stderr))
        elif self.phase is Phase.DRAIN and returncode != 0 and self.cursor is not None and trouble.is_bad_cursor(stderr):
            self._forget_cursor()
        elif returncode != 0:
            self.fail(trouble.ended(returncode, stderr))
        elif self.phase is Phase.DRAIN and not self._seen:
            self.phase = Phase.PROBE
        elif self.phase is Phase.PROBE and (reason := trouble.explain(stderr)) is not None:
            self.fail(reason)
        else:
            self._arrive()

    def renew(self) -> None:
        """FOLLOW has been silent for long: see by a new DRAIN whether it is the journal or journalctl that is silent."""
        self.phase = Phase.DRAIN
        self._live = True

    def fail(self, reason: str) -> None:
        """The journal can't be read; begin again with DRAIN."""
        self.phase = Phase.DRAIN
        # What comes and is vacuumed until the journal is read again is missed.
        self._live = self._gone = False
        self._error = reason

    def _arrive(self) -> None:
        if self.phase is Phase.PROBE and self.cursor is not None and not self._gone:
            # Neither the last entry that was read nor a later one exists. If it was followed till now, nothing is missing.
            self._gone = True
            self._gaps += not self._live
        self.phase = Phase.FOLLOW
        self._error = None

    def _forget_cursor(self) -> None:
        """Start at the last entry's time: entries of that very microsecond may be missing, none is read twice."""
        self._gaps += 1
        self.cursor = None
        self.since = self.checkpoint.at if self.checkpoint is not None and self.checkpoint.at > 0 else None


def _is_cursor(text: str) -> bool:
    """Whether it can be an argument: no control characters, and no NUL, which no process can be given."""
    return 0 < len(text) <= _MAX_CURSOR and text.isascii() and text.isprintable()
