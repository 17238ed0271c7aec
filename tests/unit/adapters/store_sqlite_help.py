"""Helpers of the tests of the SQLite file: commits whose parts prove each other, and other processes that make them."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from pwmtad.adapters.store import SqliteStore
from pwmtad.model.counters import OpenMessage
from pwmtad.model.judgement import HaltPhase, JudgementDeltas, StreamMemory
from pwmtad.model.ledger import Commit, Ledger
from pwmtad.model.names import QueueId
from pwmtad.model.sources import FileCheckpoint
from tests.unit.adapters.store_data import DAWN, attempts, checkpoint, ended, halt, piece, record

ROOT = Path(__file__).parents[3]


async def prepared(path: Path, *commits: Commit) -> None:
    store = SqliteStore(str(path))
    await store.open()
    for commit in commits:
        await store.commit(commit)
    await store.close()


def many(number: int, size: int = 40) -> Commit:
    """Return a commit that needs new pages. Its halt begins as the one of the commit before ends."""
    puts = {QueueId(f"{number}-{n}"): OpenMessage(DAWN, recipient="x" * 200 + "@example.org") for n in range(size)}
    before, now = f"h{number - 1}", f"h{number}"
    judged = JudgementDeltas(
        halts=(*((ended(before, DAWN),) if number > 1 else ()), halt(now)),
        memories={"trucking": StreamMemory(highest_day=number)},
        evidence=(piece(),),
        records=(record(halt_id=now),),
    )
    return Commit(
        at=DAWN,
        attempts=[attempts(DAWN)],
        open_put=puts,
        checkpoints={"mail.log": checkpoint(number)},
        judgement=judged,
    )


async def check_consistent(path: Path, at_least: int) -> Ledger:
    """Every commit of `many` is there as a whole: its counts, its checkpoint, its messages, and what was judged."""
    store = SqliteStore(str(path))
    await store.open()
    found = await store.load(0)
    records = await store.records(limit=1_000_000)
    await store.close()
    last = found.checkpoints["mail.log"]
    assert isinstance(last, FileCheckpoint)
    done = last.offset
    assert done >= at_least
    assert found.attempt_totals[0].counts.first == done
    assert len(found.open_messages) == done * 40
    judged = found.judgement
    assert sorted(one.id for one in judged.halts) == sorted(one.halt_id for one in records)
    assert [one.id for one in judged.halts if one.phase is not HaltPhase.ENDED] == [f"h{done}"]
    assert [one.halt_id for one in records] == [f"h{number}" for number in range(1, done + 1)]
    assert (judged.memories["trucking"].highest_day, len(judged.evidence)) == (done, done)
    return found


def run_python(body: str, path: Path, *, before: str = "", as_owner_without_write: bool = False) -> subprocess.Popen[str]:
    """Run `body` in a coroutine of another process, with a `store` at `path`.

    Root may write everything: `as_owner_without_write` takes that privilege away, so that modes mean what they say.
    """
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    program = (
        "import asyncio, os, resource\n"
        "from pwmtad.adapters.store import SqliteReader, SqliteStore\n"
        "from pwmtad.model.errors import StoreError\n"
        "from tests.unit.adapters.store_data import full_commit\n"
        "from tests.unit.adapters.store_sqlite_help import many\n"
        f"{before}\n"
        f"store = SqliteStore({str(path)!r})\n"
        f"async def main():\n{lines}\n"
        "asyncio.run(main())\n"
    )
    unprivileged = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    user = unprivileged if as_owner_without_write and os.geteuid() == 0 else []
    command = [*user, sys.executable, "-c", program]
    return subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


async def finish(process: subprocess.Popen[str]) -> str:
    output, _ = await asyncio.to_thread(process.communicate, timeout=60)
    return output
