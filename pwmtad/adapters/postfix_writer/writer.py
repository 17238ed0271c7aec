"""Changes one Postfix: main.cf and our tables beside it, then a reload. As root, in the helper.

In: what Postfix should do. Out: what must be written for it (core/main_cf_edit), messages (queue.py). Nothing here raises for
what the outside does: failures are values, in words. Order: remember, tables, main.cf, reload, forget that it is due.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

import structlog
from msgspec import Struct
from msgspec.structs import replace

from pwmtad.adapters.postfix_writer.commands import SEARCH_PATH, Commands
from pwmtad.adapters.postfix_writer.main_cf_file import ConfigFiles
from pwmtad.adapters.postfix_writer.memory import Memory
from pwmtad.adapters.postfix_writer.queue import HeldQueue, Timeouts
from pwmtad.adapters.postfix_writer.reading import Reader, master_runs, tell_master
from pwmtad.adapters.postfix_writer.record import Record
from pwmtad.core.main_cf_edit import Edits, MainCf, actual_of, edits, is_seen, restored, settled
from pwmtad.core.target_check import refused_target
from pwmtad.model.target import (
    Applied,
    Change,
    Owned,
    PostfixActual,
    PostfixTarget,
    QueueListing,
    Remembered,
    Step,
)

_log = structlog.get_logger()


class _Done(Struct, frozen=True):
    """What came of writing."""

    owned: Owned
    problems: tuple[str, ...]
    wrote: bool = False


class PostfixWriter:
    """The instance whose configuration is in `config_directory`; what is ours is remembered in `state_directory`.

    Reading and writing files, and the queue, go on beside each other: a halt does not wait for a listing of the queue.
    """

    def __init__(
        self,
        config_directory: str,
        queue_directory: str,
        state_directory: str,
        *,
        search_path: str = SEARCH_PATH,
        timeouts: Timeouts | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue_directory = queue_directory
        self._commands = Commands(config_directory, search_path=search_path)
        self._files = ConfigFiles(config_directory)
        self._memory = Memory(state_directory)
        self._timeouts = timeouts = timeouts or Timeouts()
        self._monotonic = monotonic
        self._reader = Reader(self._commands, config_directory, timeout_s=timeouts.postconf_s)
        self._queue = HeldQueue(self._commands, self._memory, queue_directory, timeouts=timeouts, monotonic=monotonic)
        self._lock = asyncio.Lock()
        self._record = Record(self._memory, self._files)

    def open(self) -> None:
        """Become the only one who writes. Raises StateError: another helper runs."""
        self._memory.open()

    def close(self) -> None:
        """Let another one write."""
        self._memory.close()

    # -- files

    async def look(self) -> PostfixActual:
        """Read what Postfix's files say."""
        async with self._lock:
            main = await self._read()
            if isinstance(main, str):
                return PostfixActual(problem=main)
            return actual_of(main, self._record.owned(main))

    async def apply(self, target: PostfixTarget) -> Applied:
        """Make it so: one write and one reload, or neither where nothing differs."""
        refused = refused_target(target)
        if refused is not None:
            _log.error("target_refused", problem=refused)
            return Applied(await self.look(), problem=f"the helper takes no such target: {refused}")
        halts = any(stream.paused_by for stream in target.streams)
        async with self._lock:
            return await self._change(lambda main, owned: edits(target, main, owned), even_unremembered=halts)

    async def restore(self, *, release_held: bool = False) -> Applied:
        """Put people's own values back. Messages on hold stay there, and are named, unless `release_held`."""
        async with self._lock:
            applied = await self._change(restored, even_unremembered=False)
            problems = [applied.problem] if applied.problem else []
            if not problems:
                problems += _some(await asyncio.to_thread(self._files.remove_tables))
        held, problem = await self._queue.let_go(release=release_held)
        return replace(applied, held=held, problem="; ".join([*problems, *_some(problem)]) or None)

    # -- queue

    async def queue(self) -> QueueListing:
        """List the queue."""
        return await self._queue.listing()

    async def hold(self, queue_ids: Sequence[str]) -> str | None:
        """Put messages on hold, and remember that it was us; return what failed."""
        return await self._queue.hold(queue_ids)

    async def unhold(self, queue_ids: Sequence[str]) -> str | None:
        """Let messages go that we hold, and have them tried soon; return what failed."""
        return await self._queue.unhold(queue_ids)

    # -- one change

    async def _change(self, plan: Callable[[MainCf, Owned], Edits], *, even_unremembered: bool) -> Applied:
        began = self._monotonic()
        main = await self._read()
        if isinstance(main, str):
            return Applied(PostfixActual(problem=main), problem=main)
        owned = self._record.owned(main)
        wanted = plan(main, owned)
        done = await self._write(main, owned, wanted, even_unremembered=even_unremembered)
        problems = [*_some(self._record.told_doubt()), *wanted.problems, *done.problems]
        running, reloaded = master_runs(self._queue_directory), False
        if done.owned.reload_due and (done.wrote or owned.reload_due):
            running, problem = await self._reload()
            reloaded = running and problem is None
            problems += _some(problem)
            if problem is None:
                done = replace(done, owned=replace(done.owned, reload_due=False))
        problems += _some(await self._record.remember(Remembered(done.owned)))
        after = await self._read() if done.wrote else main
        if isinstance(after, str):
            actual, seen = PostfixActual(problem=after), main.values
            problems.append(after)
        else:
            actual, seen = actual_of(after, done.owned), after.values
            problems += _not_as_written(wanted, seen) if done.wrote else []
        applied = Applied(
            actual=actual,
            changes=_changes(main.values, seen),
            drift=wanted.drift,
            reloaded=reloaded,
            running=running,
            problem="; ".join(problems) or None,
            took_s=self._monotonic() - began,
        )
        _tell(applied)
        return applied

    async def _write(self, main: MainCf, owned: Owned, wanted: Edits, *, even_unremembered: bool) -> _Done:
        """Remember, then write tables and main.cf. What can't be written leaves the rest undone."""
        refusal = self._files.refusal() if wanted.changes_main_cf else None
        if refusal is not None:
            return _Done(owned, (refusal,))
        problems: list[str] = []
        if wanted.changes_main_cf:
            due = replace(owned, reload_due=True)
            problem = await self._record.keep_before(owned, wanted.owned) or await self._record.remember(
                Remembered(due, Step(wanted.assignments, wanted.removals, wanted.owned))
            )
            if problem is not None and not even_unremembered:
                return _Done(owned, (problem,))
            # A halt goes on without: its text in main.cf is known again, and mail must not leave because a disk is full.
            problems += _some(problem)
        changed, problem = await asyncio.to_thread(self._files.write_tables, wanted.files)
        result = replace(wanted.owned, reload_due=wanted.owned.reload_due or changed)
        if problem is not None:
            # main.cf must not name a table that is not there: all mail would be deferred.
            return _Done(replace(owned, reload_due=owned.reload_due or changed), (*problems, problem), wrote=changed)
        if not wanted.changes_main_cf:
            return _Done(result, tuple(problems), wrote=changed)
        problem = await self._edit(wanted)
        if problem is None:
            return _Done(result, tuple(problems), wrote=True)
        after = await self._read()
        present = main.values if isinstance(after, str) else after.values
        step = Step(wanted.assignments, wanted.removals, result)
        if not is_seen(step, owned, present):
            return _Done(replace(owned, reload_due=owned.reload_due or changed), (*problems, problem), wrote=changed)
        return _Done(settled(Remembered(owned, step), present), (*problems, problem), wrote=True)

    async def _edit(self, wanted: Edits) -> str | None:
        """Have postconf(1) edit main.cf, under its own lock, and make the file look older at once."""
        pairs = [f"{name}={value}" for name, value in wanted.assignments.items()]
        for option, arguments in (("-e", pairs), ("-X", wanted.removals)):
            if arguments:
                before = self._files.inode()
                answer = await self._commands.run("postconf", option, *arguments, timeout_s=self._timeouts.postconf_s)
                if answer.problem is not None:
                    return _advised(answer.problem)
                self._files.cool_down(before, wanted.assignments, wanted.removals if option == "-X" else ())
        return None

    async def _reload(self) -> tuple[bool, str | None]:
        """Tell Postfix to read its files. Returns whether it runs, and what failed."""
        if tell_master(self._queue_directory):
            return True, None
        answer = await self._commands.run("postfix", "reload", timeout_s=self._timeouts.reload_s)
        if answer.problem is None:
            return True, None
        # Not by the exit code of `postfix status`, which is 1 as well where it could not look (seen in the lab).
        if answer.code is not None and not master_runs(self._queue_directory):
            return False, None
        return True, f"Postfix was not told of the change: {answer.problem}. It is tried again; or: postfix reload"

    async def _read(self) -> MainCf | str:
        return await self._reader.read()


def _some(problem: str | None) -> list[str]:
    return [] if problem is None else [problem]


def _changes(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[Change, ...]:
    names = sorted(before.keys() | after.keys())
    return tuple(Change(name, before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name))


def _not_as_written(wanted: Edits, seen: Mapping[str, str]) -> list[str]:
    lost = [name for name, value in wanted.assignments.items() if seen.get(name, "").split() != value.split()]
    lost += [name for name in wanted.removals if name in seen]
    if not lost:
        return []
    return [f"somebody else changed main.cf at the same moment: {', '.join(lost[:5])} is not as written; it is written again"]


def _advised(problem: str) -> str:
    if "No space left" in problem:
        return f"{problem}. The disk is full: make room; until then main.cf is as it was"
    if "Read-only file system" in problem:
        return f"{problem}. Remount it, or look at ReadWritePaths= of pwmtad-helper.service"
    return problem


def _tell(applied: Applied) -> None:
    if applied.changes or applied.reloaded or applied.problem:
        _log.info(
            "postfix_changed",
            changes={change.name: [change.before, change.after] for change in applied.changes},
            drift=applied.drift,
            reloaded=applied.reloaded,
            running=applied.running,
            problem=applied.problem,
            took_s=round(applied.took_s, 3),
        )
