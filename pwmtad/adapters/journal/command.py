"""The arguments of journalctl, and why each stands there (seen in runs of systemd 252)."""

from __future__ import annotations

import re
from typing import Final

from pwmtad.adapters.journal.entries import FIELDS
from pwmtad.model.names import Instant

SEARCH_PATH: Final = "/usr/bin:/bin:/usr/local/bin"
ENVIRONMENT: Final = {"PATH": SEARCH_PATH, "LC_ALL": "C"}
"""The sentences that `trouble` knows are English; JSON is UTF-8 whatever the locale."""
JOURNALD: Final = "systemd-journald"
"""Tag of journald's own messages."""
_SUPPRESSED: Final = re.compile(r"Suppressed \d+ messages from (\S+)")


def matches(unit: str, machine_id: str | None) -> tuple[str, ...]:
    """Choose the entries of `unit` and journald's own, of which `concerns` says which matter.

    Fields with `_` are written by journald and can't be forged, as a tag can: any local user may say `logger -t opendkim`.
    `_TRANSPORT=driver` is what journald says itself. `--merge` reads other hosts' journals in /var/log/journal/remote as well,
    hence this machine's id.
    """
    machine = () if machine_id is None else (f"_MACHINE_ID={machine_id}",)
    return (
        f"_SYSTEMD_UNIT={unit}",
        *machine,
        "+",
        "_TRANSPORT=driver",
        f"SYSLOG_IDENTIFIER={JOURNALD}",
        *machine,
    )


def concerns(unit: str, tag: str, message: str) -> bool:
    """Whether an entry is to be delivered: all of the unit's, and of journald's only that it dropped some of the unit's."""
    if tag != JOURNALD:
        return True
    found = _SUPPRESSED.match(message)
    return found is not None and found[1].rpartition("/")[2] == unit


def reading(directory: str | None) -> tuple[str, ...]:
    """Say where to read.

    Without `--merge` a following journalctl shows the running boot only, and shows nothing at all, without an error, where it
    can't find that boot (a sandbox, a journal that was copied): `-b all` does not help.
    """
    return ("--merge", "--no-pager", *(() if directory is None else (f"--directory={directory}",)))


def show(
    *,
    directory: str | None,
    matched: tuple[str, ...],
    cursor: str | None,
    since: Instant | None,
    follow: bool,
) -> tuple[str, ...]:
    """Return the arguments that print entries, oldest first.

    `--cursor` includes the cursor's own entry: `--after-cursor` with matches can lose the first entry (systemd 252), and the
    entry shows that nothing between is missing. `-f` alone shows only the last ten (`-n all`). Without `--all` a message over
    4,096 bytes is null.
    """
    start = () if cursor is None else (f"--cursor={cursor}",)
    if cursor is None and since is not None:
        start = (f"--since=@{since:.6f}",)
    return (
        *reading(directory),
        "--output=json",
        "--all",
        f"--output-fields={','.join(FIELDS)}",
        *(("--follow", "--lines=all") if follow else ()),
        *start,
        *matched,
    )


def probe(directory: str | None) -> tuple[str, ...]:
    """Return the arguments that print no entry, but on stderr why there may be none: with `-o json` journalctl keeps silent
    about journals that it may not read.
    """
    return (*reading(directory), "--lines=0")
