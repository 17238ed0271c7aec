"""Why the journal can't be read, in a sentence for people that says what to do."""

from __future__ import annotations

from typing import Final

from pwmtad.core.text import clean

_USER: Final = "pwmtad"
"""The system user that the unit file runs the daemon as."""
_MAX_WORDS: Final = 300
"""Characters of what journalctl said, in an error."""
_NO_PERMISSION: Final = ("not seeing messages from other users", "insufficient permissions", "Permission denied")
_NO_JOURNAL: Final = "No journal files were found"
_BAD_CURSOR: Final = "Failed to seek to cursor"


def cannot_start(command: str, error: OSError) -> str:
    """Say that there is no journalctl, or that it can't be run."""
    if isinstance(error, FileNotFoundError):
        return f"{command}: not found: it is part of systemd; set log.opendkim or log.postfix to a file if there is no journal"
    return f"{command}: can't be started: {error.strerror or error}: retrying"


def is_bad_cursor(stderr: str) -> bool:
    """Whether journalctl refused the cursor."""
    return _BAD_CURSOR in stderr


def explain(stderr: str) -> str | None:
    """Say why journalctl shows nothing; None if its words give no reason."""
    if any(words in stderr for words in _NO_PERMISSION):
        return (
            f"the system's journal may not be read: run `usermod -aG systemd-journal {_USER}` and restart {_USER} "
            "(its group systemd-journal is missing)"
        )
    if _NO_JOURNAL in stderr:
        return "there are no journal files: is systemd-journald running, and Storage= in journald.conf not none? Retrying"
    return None


def ended(returncode: int, stderr: str) -> str:
    """Say how journalctl ended that should not have."""
    how = f"was ended by signal {-returncode}" if returncode < 0 else f"ended with exit code {returncode}"
    words = _last_line(stderr)
    return explain(stderr) or f"journalctl {how}{f': {words}' if words else ''}: starting it again"


def silent(seconds: float) -> str:
    """Say that journalctl hangs."""
    return f"journalctl runs but has shown nothing for {seconds:.0f} s: starting it again"


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return clean(lines[-1].strip(), _MAX_WORDS) if lines else ""
