"""Reads one Postfix instance: master.cf and main.cf through postconf(1), the size of its queue by counting files.

In: short commands and directory listings, each bounded. Out: any change to Postfix, and what the values mean (core).
Nothing here raises: what can't be read comes back as a finding, in words.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from pwmtad.core.main_cf import MAIN_NAMES, main_findings, milter_accepts, pool_of, read_main
from pwmtad.core.master_cf import CLONE_OPTIONS, clone_findings, clones_of
from pwmtad.core.text import clean
from pwmtad.model.observed import PostfixView
from pwmtad.model.state import Finding, Level, QueueState

_TIMEOUT_S: Final = 10.0
"""postconf answers in 10 ms, and in some 3 s just after main.cf changed (seen in runs of Postfix 3.7.11)."""
_QUEUES: Final = ("incoming", "active", "deferred", "hold", "maildrop")
_MAX_FILES: Final = 1_000_000
"""Own choice: 50 times qmgr_message_active_limit's default; counting so many takes about a second."""
_MAX_DEPTH: Final = 8
"""hash_queue_depth is at most 3 in practice; its default is 1 (postconf(5))."""
SEARCH_PATH: Final = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin"
"""Where postconf is looked for. Debian's is in /usr/sbin, which is not on an ordinary user's PATH."""


class _Answer(Struct, frozen=True):
    """What a command printed, or why there is nothing, in words."""

    text: str
    problem: str | None = None


class PostfixReader:
    """Reads the instance whose configuration is in `config_directory` and whose queue is in `queue_directory`."""

    def __init__(
        self,
        config_directory: str,
        queue_directory: str,
        *,
        search_path: str = SEARCH_PATH,
        timeout_s: float = _TIMEOUT_S,
    ) -> None:
        self._config_directory = config_directory
        self._queue_directory = queue_directory
        self._environment = {"PATH": search_path, "LC_ALL": "C"}
        self._timeout_s = timeout_s

    async def view(self) -> PostfixView:
        """Read clones and pool, as the files say: running daemons may have read older ones.

        A single option that names itself (`-o syslog_name=$syslog_name/out05`) makes every postconf fail, as it makes the
        clone itself fail: then nothing is read, and the finding has Postfix's own words.
        """
        services, options, main = await asyncio.gather(
            self._postconf("-M", "*/unix"),
            self._postconf("-x", "-P", *(f"*/unix/{option}" for option in CLONE_OPTIONS)),
            self._postconf("-x", *MAIN_NAMES),
        )
        problem = services.problem or options.problem or main.problem
        if problem is not None:
            return PostfixView(findings=(_unreadable(problem, self._config_directory),))
        parameters = read_main(main.text)
        clones = clones_of(services.text, options.text, parameters)
        return PostfixView(
            clones=clones,
            pool=pool_of(parameters) or (),
            milter_accepts=milter_accepts(parameters),
            findings=(*main_findings(parameters, clones), *clone_findings(clones)),
        )

    def stamp(self) -> object:
        """Return what changes whenever main.cf or master.cf does; cheap, and never raises."""
        return tuple(_stamp(os.path.join(self._config_directory, name)) for name in ("main.cf", "master.cf"))

    async def queue(self) -> QueueState:
        """Count queue files by directory, without opening any."""
        return await asyncio.to_thread(count_queue, self._queue_directory)

    async def _postconf(self, *arguments: str) -> _Answer:
        return await _run(("postconf", "-c", self._config_directory, *arguments), self._environment, self._timeout_s)


def count_queue(queue_directory: str, *, max_files: int = _MAX_FILES, max_depth: int = _MAX_DEPTH) -> QueueState:
    """Count the files of each queue, at most `max_files`; a directory that can't be read is None, `problem` says why."""
    counts: dict[str, int] = {}
    problems: list[str] = []
    for name in _QUEUES:
        path = os.path.join(queue_directory, name)
        try:
            counts[name] = _count_files(path, max_files, max_depth)
        except FileNotFoundError:
            # Postfix makes its queue directories at its first start; without their parent this is the wrong place.
            if os.path.isdir(queue_directory):
                counts[name] = 0
            elif not problems:
                problems.append(f"there is no queue directory {queue_directory}")
        except PermissionError:
            problems.append(f"no permission to read {path}")
        except OSError as error:
            problems.append(f"{path}: {error.strerror or error}")
    problem = "; ".join(problems) or None
    return QueueState(**counts, problem=None if problem is None else clean(problem, 500))


def _stamp(path: str) -> tuple[int, ...]:
    # ctime as well: pwmtad sets the modification time back, to spare Postfix its wait for a file that is hot (dict.c).
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _count_files(path: str, limit: int, depth: int) -> int:
    """Count what is no directory below `path`; queue directories are hashed, and Postfix moves files meanwhile."""
    count = 0
    with os.scandir(path) as entries:
        for entry in entries:
            if count >= limit:
                break
            if not entry.is_dir(follow_symlinks=False):
                count += 1
            elif depth > 0:
                count += _count_below(entry.path, limit - count, depth - 1)
    return count


def _count_below(path: str, limit: int, depth: int) -> int:
    try:
        return _count_files(path, limit, depth)
    except FileNotFoundError:  # removed since it was listed
        return 0


async def _run(command: Sequence[str], environment: Mapping[str, str], timeout_s: float) -> _Answer:
    """Run a command that prints and ends; it is killed when it takes longer or when the caller is cancelled."""
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe, env=environment
        )
    except OSError as error:
        return _Answer("", _cannot_run(command[0], error))
    try:
        async with asyncio.timeout(timeout_s):
            output, complaint = await process.communicate()
    except TimeoutError:
        return _Answer("", f"`{' '.join(command[:3])} ...` did not end within {timeout_s:g} s")
    finally:
        await _end(process)
    if process.returncode != 0:
        said = clean(complaint.decode("utf-8", "replace").strip(), 300) or f"exit code {process.returncode}"
        return _Answer("", f"`{' '.join(command[:3])} ...`: {said}")
    return _Answer(output.decode("utf-8", "replace"))


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.wait()


def _cannot_run(program: str, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return (
            f"{program} is not installed. On a host without Postfix set postfix.read_master_cf = false "
            f"and describe the egresses in [egresses.NAME]"
        )
    return f"can't run {program}: {error.strerror or error}"


def _unreadable(problem: str, where: str) -> Finding:
    return Finding(Level.UNKNOWN, "postfix_unreadable", f"can't read Postfix's settings: {problem}", where)
