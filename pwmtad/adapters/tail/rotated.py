"""The rotated files beside a log file, in the order in which they were written.

Names as logrotate, savelog and Postfix's own `postfix logrotate` give them: `mail.log.1`, `mail.log.2.gz`,
`mail.log-20261124`, `mail.log-2026112403.gz`, `mail.log.20261124-025938`. An `olddir` elsewhere is not searched.
"""

from __future__ import annotations

import os
import re
from typing import Final, NamedTuple

from pwmtad.adapters.tail.files import Identity

_SUFFIX: Final = re.compile(
    r"(?P<separator>[.-])(?P<digits>\d[\d.:_+TZ-]*?)(?P<packing>\.(?:gz|bz2|xz|zst|lz4|lzma|Z))?", re.ASCII
)
_MOST_ROTATIONS: Final = 99_999
"""A longer number is a date or an epoch."""


class Sibling(NamedTuple):
    """A file whose name starts with the log file's name."""

    path: str
    identity: Identity
    modified_ns: int
    size: int
    number: int | None
    """N of `.N`: the higher, the older. None for other names."""
    stamp: str | None
    """The date of a dated name: the higher, the younger. None for other names."""
    readable: bool
    """False: packed by something else than gzip."""

    @property
    def rotated(self) -> bool:
        """Named by a rotation, so it has its place in the order; not an editor's backup or somebody's copy."""
        return self.number is not None or self.stamp is not None


def siblings(path: str) -> list[Sibling]:
    """All of them, oldest first. A file that is there both plain and packed is listed once, plain: gzip is at work.

    While files are renamed, one may be missed or listed twice: what is decided by a listing needs a second one that is
    the same. Raises OSError.
    """
    found = _listed(path)
    plain = {entry.path for entry in found}
    return _ordered([entry for entry in found if entry.path.removesuffix(".gz") not in plain - {entry.path}])


def _listed(path: str) -> list[Sibling]:
    directory, name = os.path.split(path)
    found: list[Sibling] = []
    with os.scandir(directory or ".") as entries:
        for entry in entries:
            suffix = entry.name.removeprefix(name)
            if suffix == entry.name or suffix[:1] not in {".", "-"}:
                continue
            try:
                if entry.is_file():
                    found.append(_sibling(entry, suffix))
            except FileNotFoundError:
                continue  # renamed or packed in this moment
    return sorted(found, key=lambda entry: entry.path)


def _sibling(entry: os.DirEntry[str], suffix: str) -> Sibling:
    status = entry.stat()
    number: int | None = None
    stamp: str | None = None
    parts = _SUFFIX.fullmatch(suffix)
    if parts:
        digits = parts["digits"]
        if parts["separator"] == "." and digits.isdecimal() and int(digits) <= _MOST_ROTATIONS:
            number = int(digits)
        else:
            stamp = digits
    packing = parts["packing"] if parts else os.path.splitext(suffix)[1]
    return Sibling(
        path=entry.path,
        identity=Identity(status.st_dev, status.st_ino),
        modified_ns=status.st_mtime_ns,
        size=status.st_size,
        number=number,
        stamp=stamp,
        readable=packing not in {".bz2", ".xz", ".zst", ".lz4", ".lzma", ".Z"},
    )


def _ordered(entries: list[Sibling]) -> list[Sibling]:
    """By name where all rotated files are named alike: a clock that was set back can't disturb that order, nor can two
    rotations within one tick of the file system's clock. Otherwise by time of modification. The not rotated come first.
    """
    rotated = [entry for entry in entries if entry.rotated]
    others = [entry for entry in entries if not entry.rotated]
    if all(entry.number is not None for entry in rotated):
        rotated.sort(key=lambda entry: -(entry.number or 0))
    elif all(entry.stamp is not None for entry in rotated):
        rotated.sort(key=lambda entry: entry.stamp or "")
    else:
        rotated.sort(key=lambda entry: entry.modified_ns)
    return sorted(others, key=lambda entry: entry.modified_ns) + rotated
