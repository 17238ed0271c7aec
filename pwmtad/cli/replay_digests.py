"""Digests of log files, in order: made here, or in a process beside this one while the digests before are judged.

Reading lines costs about as much as counting and judging them, and does not depend on it, so two processes take half the time
(own measurement). A third would have little to do: what is left is one sequence. A log that is read within the blink of an eye
is read here.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from fcntl import F_SETPIPE_SZ, fcntl
from multiprocessing.connection import Connection
from typing import Final, TypeAlias

from pwmtad.cli.log_files import UnreadableLogError, line_lists, size_of
from pwmtad.cli.log_order import LogFile
from pwmtad.core.digest import Digest
from pwmtad.core.digester import Digester
from pwmtad.core.lines import LineReader

WORTH_A_PROCESS: Final = 8 << 20
"""Bytes on the disk: a fraction of a second of reading."""
_PIPE_BYTES: Final = 1 << 20
"""What a pipe of an ordinary user may hold (pipe(7), pipe-max-size): a digest of a whole block, so that nobody waits."""
_Told: TypeAlias = tuple[Digest | UnreadableLogError | None, int]
"""A digest, or why there is none, or the end; and bytes taken from the disk since the last one."""


class Digests:
    """Reads files one after the other."""

    def __init__(
        self,
        digester: Digester,
        reader_of: Callable[[LogFile], LineReader],
        *,
        worth_bytes: int = WORTH_A_PROCESS,
        processors: int | None = None,
    ) -> None:
        """`worth_bytes`: from how many on another process reads; `processors`: None for as many as this one may use."""
        self._worth_bytes = worth_bytes
        self._processors = len(os.sched_getaffinity(0)) if processors is None else processors
        self._digester = digester
        self._reader_of = reader_of

    @contextmanager
    def of(self, files: Sequence[LogFile], advance: Callable[[int], None] | None) -> Iterator[Iterator[Digest]]:
        """Give an iterator over the digests of `files`, which raises UnreadableLogError; `advance` is told of bytes read."""
        if sum(size_of(file.path) for file in files) < self._worth_bytes or self._processors == 1:
            yield self._read(files, advance)
            return
        context = multiprocessing.get_context("fork")  # the rules are there at once, and their memory is shared
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=self._tell, args=(files, theirs, ours), name="pwmtad reader", daemon=True)
        process.start()
        theirs.close()
        try:
            yield _heard(ours, advance)
        finally:
            ours.close()
            process.terminate()
            process.join()

    def _read(self, files: Sequence[LogFile], advance: Callable[[int], None] | None) -> Iterator[Digest]:
        for file in files:
            reader = self._reader_of(file)
            for lines in line_lists(file.path, advance):
                yield self._digester(reader, lines)

    def _tell(self, files: Sequence[LogFile], pipe: Connection, others: Connection) -> None:
        """What the other process does."""
        others.close()  # else the pipe would never break
        taken = [0]

        def advance(count: int) -> None:
            taken[0] += count

        with suppress(OSError):  # as an ordinary user with too many pipes; it is slower then
            fcntl(pipe.fileno(), F_SETPIPE_SZ, _PIPE_BYTES)
        with suppress(BrokenPipeError, KeyboardInterrupt):
            try:
                for digest in self._read(files, advance):
                    pipe.send((digest, taken[0]))
                    taken[0] = 0
            except UnreadableLogError as error:
                pipe.send((error, 0))
            else:
                pipe.send((None, taken[0]))


def _heard(pipe: Connection, advance: Callable[[int], None] | None) -> Iterator[Digest]:
    while True:
        try:
            told, taken = _received(pipe)
        except (EOFError, OSError) as error:  # at a digest's end, or within one
            raise UnreadableLogError("the process that read the log ended before the log did") from error
        if advance is not None:
            advance(taken)
        if told is None:
            return
        if isinstance(told, UnreadableLogError):
            raise told
        yield told


def _received(pipe: Connection) -> _Told:
    told: _Told = pipe.recv()
    return told
