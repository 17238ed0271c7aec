"""Why a log can't be read, in a sentence for people that says what to do."""

from __future__ import annotations

import grp
import os
import stat
from typing import Final

_USER: Final = "pwmtad"
"""The system user that the unit file runs the daemon as."""


def explain(error: OSError, path: str) -> str:
    """Say what is wrong with `path`, whose reading ended in `error`."""
    if isinstance(error, PermissionError):
        return _no_permission(str(error.filename or path))
    if isinstance(error, FileNotFoundError):
        return missing(path)
    return f"{error.filename or path}: {error.strerror or error}: retrying"


def missing(path: str) -> str:
    """Say that there is no log file, or not even its directory."""
    directory = os.path.dirname(path) or "."
    if not os.path.isdir(directory):
        return f"{path}: the directory {directory} does not exist (or may not be entered): waiting for it"
    return (
        f"{path}: no such file: waiting for it. If Postfix logs only to the journal (Debian 12 without rsyslog), "
        'set log = "journal:postfix@-.service"'
    )


def deleted(path: str) -> str:
    """Say that the log was deleted while it is still being written."""
    return (
        f"{path}: deleted, but still open: its lines are read, but a restart of pwmtad would lose them; "
        "make the logger open a new file (`postfix reload` or `systemctl reload rsyslog`)"
    )


def _no_permission(path: str) -> str:
    """Name the group that may read, or say that no group may."""
    closed = _first_closed(path)
    try:
        status = os.stat(closed)
    except OSError:
        return f"{closed}: permission denied"
    needed = stat.S_IRGRP if stat.S_ISREG(status.st_mode) else stat.S_IXGRP
    if status.st_mode & needed:
        group = _group_name(status.st_gid)
        return f"{closed}: permission denied: run `usermod -aG {group} {_USER}` and restart {_USER}"
    # postlogd creates its file with mode 0600 (seen in a run of Postfix 3.7.11), so no group helps by itself.
    kind = "640" if stat.S_ISREG(status.st_mode) else "750"
    return (
        f"{closed}: permission denied: its mode {stat.S_IMODE(status.st_mode):04o} keeps every group out: run "
        f"`chgrp adm {closed} && chmod {kind} {closed}` and `usermod -aG adm {_USER}`, and restart {_USER}"
    )


def _first_closed(path: str) -> str:
    """The outermost directory on the way to `path` that may not be entered, or `path` itself."""
    parent = os.path.dirname(os.path.abspath(path))
    at = "/"
    for part in parent.split("/"):
        at = os.path.join(at, part)
        if not os.access(at, os.X_OK, effective_ids=os.access in os.supports_effective_ids):
            return at
    return path


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
