"""The files in Postfix's configuration directory: whether main.cf may be edited, its age, and our lookup tables beside it.

In: the files themselves. Out: what stands in them (core). Nothing here raises: what is wrong comes back in words.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping, Sequence
from typing import Final

from pwmtad.adapters.postfix_writer.memory import write_file
from pwmtad.core.main_cf_edit import FILES

_TABLE_MODE: Final = 0o644
"""trivial-rewrite(8) reads tables as Postfix's own user."""
_COOL_NS: Final = 10_000_000_000
"""Postfix programs wait while main.cf is younger than some 2 s, lest they read half a file (dict.c; seen in runs)."""
_MAX_BYTES: Final = 16 * 1024 * 1024


class ConfigFiles:
    """The files in `directory`."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._main_cf = os.path.join(directory, "main.cf")

    def refusal(self) -> str | None:
        """Return why main.cf must not be edited, with what to do; None if it may."""
        path = self._main_cf
        try:
            found = os.lstat(path)
            folder = os.stat(self._directory)
        except OSError as error:
            return f"can't look at {path}: {error.strerror or error}"
        if stat.S_ISLNK(found.st_mode):
            return (
                f"{path} is a link. postconf(1) would put a plain file in its place, and what is behind the link would not be "
                f"used any more. Make it a file: cp --remove-destination {os.path.realpath(path)} {path}"
            )
        if not stat.S_ISREG(found.st_mode):
            return f"{path} is no file"
        if os.geteuid() == 0 and _others_write(found, folder):
            return f"{path} or its directory can be written by others than root: chown root and chmod go-w them first"
        return None

    def read(self) -> bytes:
        """Return main.cf. Raises OSError."""
        with open(self._main_cf, "rb") as file:
            return file.read(_MAX_BYTES)

    def inode(self) -> int:
        """Return which file main.cf is; 0 if there is none."""
        try:
            return os.stat(self._main_cf).st_ino
        except OSError:
            return 0

    def cool_down(self, before: int, assignments: Mapping[str, str], removals: Sequence[str]) -> bool:
        """Make main.cf look older, if it is the file that postconf(1) has just written: renamed, so it is whole.

        `before`: the inode that it replaced. False: it is somebody else's, and may be half written; then Postfix waits.
        """
        try:
            descriptor = os.open(self._main_cf, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return False
        try:
            found = os.fstat(descriptor)
            present = _values(os.pread(descriptor, _MAX_BYTES, 0).decode("utf-8", "replace"))
            ours = all(present.get(name) == " ".join(value.split()) for name, value in assignments.items())
            ours = ours and not any(name in present for name in removals)
            if not ours or found.st_ino == before or os.fstat(descriptor).st_mtime_ns != found.st_mtime_ns:
                return False
            os.utime(descriptor, ns=(found.st_atime_ns, found.st_mtime_ns - _COOL_NS))
        except OSError:
            return False
        else:
            return True
        finally:
            os.close(descriptor)

    def write_tables(self, tables: Mapping[str, str]) -> tuple[bool, str | None]:
        """Make our lookup tables hold this. Returns whether any was changed, and what failed."""
        changed = False
        for name, text in tables.items():
            path = os.path.join(self._directory, name)
            content = text.encode()
            if _holds(path, content):
                continue
            try:
                write_file(path, content, _TABLE_MODE)
            except OSError as error:
                return changed, f"can't write {path}: {error.strerror or error}{_advice(error)}"
            changed = True
        return changed, None

    def remove_tables(self) -> str | None:
        """Take our lookup tables away; return what failed."""
        for name in FILES:
            try:
                os.unlink(os.path.join(self._directory, name))
            except FileNotFoundError:
                continue
            except OSError as error:
                return f"can't remove {name} from {self._directory}: {error.strerror or error}"
        return None


def _others_write(*found: os.stat_result) -> bool:
    # Sticky or not: who owns a directory may rename what is in it.
    return any(one.st_uid != 0 or one.st_mode & (stat.S_IWGRP | stat.S_IWOTH) for one in found)


def _holds(path: str, content: bytes) -> bool:
    try:
        found = os.lstat(path)
        if not stat.S_ISREG(found.st_mode) or stat.S_IMODE(found.st_mode) != _TABLE_MODE:
            return False
        with open(path, "rb") as file:
            return file.read(len(content) + 1) == content
    except OSError:
        return False


def _values(text: str) -> dict[str, str]:
    """Read main.cf: logical lines `name = value`, of which a later one wins (postconf(5))."""
    lines: list[str] = []
    for line in text.split("\n"):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if line[0].isspace() and lines:
            lines[-1] += f" {line.strip()}"
        else:
            lines.append(line)
    pairs = (line.partition("=") for line in lines)
    return {name.strip(): " ".join(value.split()) for name, equals, value in pairs if equals}


def _advice(error: OSError) -> str:
    advice = {
        errno.ENOSPC: ". The disk is full: make room",
        errno.EROFS: ". The filesystem is read-only: remount it, or look at ReadWritePaths= of pwmtad-helper.service",
    }
    return advice.get(error.errno or 0, "")
