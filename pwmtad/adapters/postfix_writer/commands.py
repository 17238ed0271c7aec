"""Runs one of Postfix's commands: bounded in time and output, ended when nobody waits for it any more, never through a shell.

In: argument lists, text for standard input. Out: what the output means.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Final

from msgspec import Struct

from pwmtad.core.text import clean

SEARCH_PATH: Final = "/usr/sbin:/usr/bin:/sbin:/bin"
"""Where Postfix's commands are looked for: directories that only root writes to."""
_MAX_OUTPUT: Final = 16 * 1024 * 1024
"""Own choice: postconf of a host with a thousand clones prints some 500 KB."""
_CHUNK: Final = 64 * 1024
_SAID: Final = 300
"""Characters of a complaint that are quoted."""


class Answer(Struct, frozen=True):
    """What a command printed; `problem` says in words why that is not all, or nothing."""

    text: str
    complaint: str = ""
    """Its standard error."""
    problem: str | None = None
    code: int | None = None
    """Its exit code; None if it did not end by itself."""


class Commands:
    """Runs commands on the instance whose configuration is in `config_directory`."""

    def __init__(self, config_directory: str, *, search_path: str = SEARCH_PATH) -> None:
        self._config_directory = config_directory
        # Nothing of what surrounds this process may reach them (MAIL_CONFIG and the like, postfix(1)).
        self._environment: Mapping[str, str] = {"PATH": search_path, "LC_ALL": "C"}

    async def run(self, program: str, *arguments: str, timeout_s: float, text: str = "") -> Answer:
        """Run until the program ends. `text` is its standard input.

        Output goes to files in memory, not to pipes: `postfix reload` leaves a postsuper behind that would keep a pipe open for
        as long as it takes to go through the queue (postfix-script).
        """
        with _memory("in") as given, _memory("out") as output, _memory("err") as complaint:
            os.pwrite(given, text.encode(), 0)
            try:
                process = await self._start(program, arguments, given, output, complaint)
            except OSError as error:
                return Answer("", problem=_cannot_run(program, error))
            try:
                async with asyncio.timeout(timeout_s):
                    await process.wait()
            except TimeoutError:
                return Answer("", problem=_too_late(program, arguments, timeout_s))
            finally:
                await _end(process)
            printed, said = _content(output), _content(complaint)
        return Answer(printed, said, _failure(program, arguments, process, said), process.returncode)

    async def chunks(self, program: str, *arguments: str, timeout_s: float) -> AsyncGenerator[bytes | Answer, None]:
        """Yield the output as it comes, and last an Answer that tells how it ended."""
        with _memory("err") as complaint:
            try:
                process = await self._start(program, arguments, asyncio.subprocess.DEVNULL, asyncio.subprocess.PIPE, complaint)
            except OSError as error:
                yield Answer("", problem=_cannot_run(program, error))
                return
            deadline = asyncio.get_running_loop().time() + timeout_s
            try:
                while chunk := await _read(process, deadline):
                    yield chunk
                async with asyncio.timeout_at(deadline):
                    await process.wait()
            except TimeoutError:
                yield Answer("", problem=_too_late(program, arguments, timeout_s))
                return
            finally:
                await _end(process)
            said = _content(complaint)
            yield Answer("", said, _failure(program, arguments, process, said), process.returncode)

    async def _start(
        self, program: str, arguments: Sequence[str], given: int, output: int, complaint: int
    ) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            program,
            "-c",
            self._config_directory,
            *arguments,
            stdin=given,
            stdout=output,
            stderr=complaint,
            env=self._environment,
            start_new_session=True,  # what a script starts is ended with it
        )


@contextmanager
def _memory(name: str) -> Iterator[int]:
    descriptor = os.memfd_create(f"pwmtad-{name}")
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _content(descriptor: int) -> str:
    return os.pread(descriptor, _MAX_OUTPUT, 0).decode("utf-8", "replace")


async def _read(process: asyncio.subprocess.Process, deadline: float) -> bytes:
    if process.stdout is None:
        return b""
    async with asyncio.timeout_at(deadline):
        return await process.stdout.read(_CHUNK)


async def _end(process: asyncio.subprocess.Process) -> None:
    """End what did not end by itself, with all that it started; wait for it even while being cancelled."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await asyncio.shield(process.wait())


def _failure(program: str, arguments: Sequence[str], process: asyncio.subprocess.Process, said: str) -> str | None:
    if process.returncode == 0:
        return None
    words = clean(" ".join(said.split()), _SAID) or f"exit code {process.returncode}"
    return f"`{_shown(program, arguments)}`: {words}"


def _too_late(program: str, arguments: Sequence[str], timeout_s: float) -> str:
    return f"`{_shown(program, arguments)}` did not end within {timeout_s:g} s and was ended"


def _shown(program: str, arguments: Sequence[str]) -> str:
    return " ".join((program, *arguments[:1])) + (" ..." if len(arguments) > 1 else "")


def _cannot_run(program: str, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{program} is not installed, or not where only root writes: {SEARCH_PATH}"
    return f"can't run {program}: {error.strerror or error}"
