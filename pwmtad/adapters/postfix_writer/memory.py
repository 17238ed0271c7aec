"""What the helper remembers on disk: what of main.cf is ours, and which messages it put on hold.

In: whole files, written beside and renamed, so that a crash or a full disk leaves the old one. Out: what they mean.
Raises StateError, whose text says what to do; a file that can't be read is never taken for an empty one.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable
from typing import Final

import msgspec

from pwmtad.core.target_check import is_queue_id
from pwmtad.model.errors import PwmtadError
from pwmtad.model.target import Remembered

_OWNED: Final = "owned.json"
_HELD: Final = "held"
_LOCK: Final = "lock"
_BEFORE: Final = "main.cf.before"
_MODE: Final = 0o600


class StateError(PwmtadError):
    """The state directory can't be used."""


class Memory:
    """The files in `directory`, of which one process at a time is the owner."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._lock: int | None = None

    def open(self) -> None:
        """Become the owner. Raises StateError: another helper runs, or the directory can't be used."""
        path = self._path(_LOCK)
        try:
            os.makedirs(self._directory, mode=0o700, exist_ok=True)
            self._lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, _MODE)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise StateError(
                f"another helper runs already: it holds {path}. Two would undo each other. `fuser {path}` says which"
            ) from None
        except OSError as error:
            self.close()
            raise _unusable(path, error) from error

    def close(self) -> None:
        """Let another one be the owner."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    # -- what is ours

    def load(self) -> Remembered | None:
        """Return what was remembered; None: nothing was. Raises StateError if the file can't be read or understood."""
        path = self._path(_OWNED)
        try:
            with open(path, "rb") as file:
                return msgspec.json.decode(file.read(), type=Remembered)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unusable(path, error) from error
        except (msgspec.MsgspecError, RecursionError) as error:
            raise StateError(f"{path} is damaged: {error}") from error

    def save(self, remembered: Remembered) -> None:
        """Remember it, durably. Raises StateError."""
        self._write(_OWNED, msgspec.json.format(msgspec.json.encode(remembered)) + b"\n")

    def set_aside(self) -> str:
        """Put a file that can't be understood out of the way, and return where it is now. Raises StateError."""
        path = self._path(_OWNED)
        kept = next(name for number in range(1, 1_000_000) if not os.path.exists(name := f"{path}.damaged-{number}"))
        try:
            os.rename(path, kept)
        except OSError as error:
            raise _unusable(path, error) from error
        return kept

    def keep_before(self, content: bytes) -> None:
        """Keep main.cf as it was before pwmtad first wrote it, for people. Raises StateError."""
        self._write(_BEFORE, content)

    # -- messages on hold

    def held(self) -> frozenset[str]:
        """Return the queue ids that we put on hold. Raises StateError.

        A line that is no queue id is left out: it could not be released anyway.
        """
        try:
            with open(self._path(_HELD), encoding="ascii", errors="replace") as file:
                return frozenset(line for line in file.read().split("\n") if is_queue_id(line))
        except FileNotFoundError:
            return frozenset()
        except OSError as error:
            raise _unusable(self._path(_HELD), error) from error

    def save_held(self, queue_ids: Iterable[str]) -> None:
        """Remember exactly these, durably. Raises StateError."""
        self._write(_HELD, "".join(f"{one}\n" for one in sorted(queue_ids)).encode())

    def _write(self, name: str, content: bytes) -> None:
        path = self._path(name)
        try:
            write_file(path, content, _MODE)
        except OSError as error:
            raise _unusable(path, error) from error

    def _path(self, name: str) -> str:
        return os.path.join(self._directory, name)


def write_file(path: str, content: bytes, mode: int) -> None:
    """Write a file beside and rename it over `path`, so that there is always a whole one. Raises OSError."""
    beside = f"{path}.new"
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    try:
        os.fchmod(descriptor, mode)
        left = memoryview(content)
        while left:
            left = left[os.write(descriptor, left) :]
        os.fsync(descriptor)
    except OSError:
        os.unlink(beside)
        raise
    finally:
        os.close(descriptor)
    os.rename(beside, path)
    folder = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _unusable(path: str, error: OSError) -> StateError:
    return StateError(f"{path} can't be used: {error.strerror or error}")
