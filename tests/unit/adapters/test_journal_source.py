"""The source and a journalctl that can be made to do anything: a script that knows the arguments it is given."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

import pytest

from pwmtad.adapters.journal import JournalSource
from pwmtad.adapters.journal.process import Process
from pwmtad.model.sources import Batch, Checkpoint, JournalCheckpoint, JournalEntry

_SCRIPT = """\
#!{python} -IS
import json, os, sys, time

HERE = {here!r}
options = dict(argument.partition("=")[::2] for argument in sys.argv[1:])
follow, cursor = "--follow" in options, options.get("--cursor")
phase = "probe" if options.get("--lines") == "0" else "follow" if follow else "drain"
with open(HERE + "/calls", "a+") as calls:
    options["matches"] = [argument for argument in sys.argv[1:] if argument[:2] != "--"]
    calls.write(json.dumps([os.getpid(), phase, options]) + "\\n")
    calls.seek(0)
    turn = len(calls.readlines())


def journal():
    global size
    with open(HERE + "/journal", "rb") as file:
        data = file.read()
    size = len(data)
    lines = data.splitlines(keepends=True)
    at = [i for i, line in enumerate(lines) if cursor is not None and json.dumps(cursor).encode() in line]
    return lines[at[0]:] if at else lines


def show(lines):
    sys.stdout.buffer.write(b"".join(lines))
    sys.stdout.flush()


def fail(words, code=1):
    sys.stderr.write(words)
    sys.exit(code)


def hang():
    while True:
        time.sleep(60)


def work():
    if phase == "probe":
        return
    show(journal())
    shown = size
    while follow:
        time.sleep(0.005)
        with open(HERE + "/journal", "rb") as file:
            file.seek(shown)
            fresh = file.read()
        shown += len(fresh)
        show([fresh])


{body}
"""


class Fake:
    """A journal of one file, and a journalctl whose `body` decides what it does; `work()` is what a good one does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.command = folder / "journalctl"
        self.calls_file = folder / "calls"
        self.journal_file = folder / "journal"
        self.journal_file.touch()
        self.body()

    def body(self, text: str = "work()") -> None:
        self.command.write_text(_SCRIPT.format(python=sys.executable, here=str(self.folder), body=text))
        self.command.chmod(0o755)

    def write(self, *numbers: int) -> None:
        with self.journal_file.open("ab") as file:
            file.write(b"".join(line(number) for number in numbers))

    def vacuum(self, count: int) -> None:
        lines = self.journal_file.read_bytes().splitlines(keepends=True)
        self.journal_file.write_bytes(b"".join(lines[count:]))

    def calls(self) -> list[tuple[int, str, dict[str, Any]]]:
        """Process id, phase and options of each start."""
        if not self.calls_file.exists():
            return []
        return [tuple(json.loads(text)) for text in self.calls_file.read_text().splitlines()]

    def source(self, **options: Any) -> JournalSource:
        return JournalSource("opendkim.service", name="opendkim", command=str(self.command), directory="/nowhere", **options)


def cursor(number: int) -> str:
    return f"s=5eed;i={number:x};b=b007;m={number:x};t={number:x};x=0"


def line(number: int) -> bytes:
    fields = {
        "__CURSOR": cursor(number),
        "__REALTIME_TIMESTAMP": str(1_700_000_000_000_000 + number),
        "SYSLOG_IDENTIFIER": "opendkim",
        "MESSAGE": str(number),
    }
    return json.dumps(fields).encode() + b"\n"


@pytest.fixture
def fake(tmp_path: Path) -> Fake:
    return Fake(tmp_path)


class Seen:
    """What a run of the source delivered."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []

    @property
    def numbers(self) -> list[int]:
        entries = [record for batch in self.batches for record in batch.records]
        return [int(entry.message) for entry in entries if isinstance(entry, JournalEntry)]

    @property
    def last(self) -> Batch:
        return self.batches[-1]

    @property
    def errors(self) -> list[str]:
        return list(dict.fromkeys(batch.health.error for batch in self.batches if batch.health.error is not None))


async def until(batches: AsyncGenerator[Batch, None], seen: Seen, condition: Callable[[], bool]) -> None:
    """Read on until `condition` holds after a batch."""
    async for batch in batches:
        seen.batches.append(batch)
        if condition():
            return


async def read(source: JournalSource, condition: Callable[[Seen], bool], checkpoint: Checkpoint | None = None) -> Seen:
    seen = Seen()
    async with aclosing(source.batches(checkpoint)) as batches:
        await until(batches, seen, lambda: condition(seen))
    return seen


def is_gone(pid: int) -> bool:
    """Neither running nor a zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


async def test_a_drain_ends_caught_up_and_following_goes_on_from_its_last_entry(fake: Fake) -> None:
    fake.write(1, 2, 3)
    seen = Seen()
    async with aclosing(fake.source().batches(None)) as batches:
        await until(batches, seen, lambda: seen.last.caught_up)
        assert seen.numbers == [1, 2, 3]
        assert [batch.caught_up for batch in seen.batches].count(True) == 1
        fake.write(4)
        await until(batches, seen, lambda: 4 in seen.numbers)
        fake.write(5, 6)
        await until(batches, seen, lambda: 6 in seen.numbers)
    assert seen.numbers == [1, 2, 3, 4, 5, 6]
    assert seen.last.checkpoint == JournalCheckpoint(cursor(6), 1_700_000_000.000006)
    assert [call[1] for call in fake.calls()] == ["drain", "follow"]
    assert fake.calls()[1][2]["--cursor"] == cursor(3)
    assert seen.last.source == "opendkim"


@pytest.mark.services
async def test_without_a_directory_only_this_machines_entries_are_asked_for(fake: Fake) -> None:
    source = JournalSource("opendkim.service", name="opendkim", command=str(fake.command))
    await read(source, lambda seen: seen.last.caught_up)
    this = "_MACHINE_ID=" + Path("/etc/machine-id").read_text().strip()  # noqa: ASYNC240 - 33 bytes
    assert fake.calls()[0][2]["matches"].count(this) == 2
    assert source.name == "opendkim"


async def test_an_entry_written_between_drain_and_follow_is_not_lost(fake: Fake) -> None:
    fake.write(1)
    fake.body(f'if follow:\n    open(HERE + "/journal", "ab").write({line(2)!r})\nwork()')
    assert (await read(fake.source(), lambda seen: 2 in seen.numbers)).numbers == [1, 2]


async def test_reading_goes_on_after_a_checkpoint_without_its_entry(fake: Fake) -> None:
    fake.write(1, 2, 3, 4)
    seen = await read(fake.source(), lambda seen: seen.last.caught_up, JournalCheckpoint(cursor(2)))
    assert (seen.numbers, seen.last.health.gaps) == ([3, 4], 0)


async def test_an_empty_caught_up_batch_comes_again_and_again(fake: Fake) -> None:
    fake.write(1)
    seen = await read(fake.source(), lambda seen: [batch.caught_up for batch in seen.batches[-4:]] == [True] * 4)
    assert seen.numbers == [1]


async def test_a_backlog_comes_in_bounded_batches_whose_checkpoints_account_for_them(fake: Fake) -> None:
    fake.write(*range(5000))
    seen = await read(fake.source(), lambda seen: seen.last.caught_up)
    assert seen.numbers == list(range(5000))
    assert max(len(batch.records) for batch in seen.batches) <= 1000
    count = 0
    for batch in seen.batches[:-1]:
        if not count and not batch.records:
            continue  # a sign of life: journalctl was slow to begin
        count += len(batch.records)
        assert isinstance(batch.checkpoint, JournalCheckpoint)
        assert batch.checkpoint.cursor == cursor(count - 1)
        assert not batch.caught_up


async def test_of_a_burst_only_the_last_batch_is_caught_up(fake: Fake) -> None:
    fake.write(0)
    seen = Seen()
    async with aclosing(fake.source().batches(None)) as batches:
        await until(batches, seen, lambda: seen.last.caught_up and len(fake.calls()) == 2)
        first = len(seen.batches)
        fake.write(*range(1, 2501))
        await asyncio.sleep(0.5)  # a reader that is busy meanwhile finds them all at once
        await until(batches, seen, lambda: 2500 in seen.numbers and seen.last.caught_up)
    with_entries = [batch for batch in seen.batches[first:] if batch.records]
    assert len(with_entries) >= 3
    assert not any(batch.caught_up for batch in with_entries[:-1])
    assert seen.numbers == list(range(2501))


async def test_a_slow_reader_makes_journalctl_wait_instead_of_filling_memory(fake: Fake) -> None:
    # 1.4 MB: more than a pipe and the waiting lines hold, so it can only end if it is read.
    fake.write(*range(10000))
    fake.body("if follow:\n    hang()\nwork()")
    seen = Seen()
    async with aclosing(fake.source().batches(None)) as batches:
        await until(batches, seen, lambda: bool(seen.numbers))
        await asyncio.sleep(0.3)
        assert not is_gone(fake.calls()[0][0])
        await until(batches, seen, lambda: seen.last.caught_up)
    assert seen.numbers == list(range(10000))


async def test_journalctl_is_started_again_from_the_last_entry(fake: Fake) -> None:
    fake.write(1, 2)
    fake.body('if turn == 2:\n    show(journal())\n    fail("Failed to iterate through journal: Bad message\\n")\nwork()')
    seen = Seen()
    async with aclosing(fake.source().batches(None)) as batches:
        await until(batches, seen, lambda: bool(seen.errors))
        fake.write(3)
        await until(batches, seen, lambda: seen.last.caught_up)
    assert seen.numbers == [1, 2, 3]
    assert "Failed to iterate through journal: Bad message" in seen.errors[0]
    assert (seen.last.health.error, seen.last.health.gaps) == (None, 0)
    assert [call[1] for call in fake.calls()][:3] == ["drain", "follow", "drain"]


async def test_a_line_that_was_cut_off_by_the_end_of_journalctl_is_read_again(fake: Fake) -> None:
    fake.write(1, 2)
    fake.body('if turn == 1:\n    show([journal()[0], journal()[1][:40]])\n    fail("")\nwork()')
    seen = await read(fake.source(), lambda seen: seen.last.caught_up)
    assert (seen.numbers, seen.last.health.gaps) == ([1, 2], 0)


async def test_a_journalctl_that_dies_after_each_entry_still_gets_through(fake: Fake) -> None:
    fake.write(*range(6))
    fake.body('if not follow and len(journal()) > 2:\n    show(journal()[:2])\n    fail("")\nwork()')
    assert (await read(fake.source(), lambda seen: seen.last.caught_up)).numbers == list(range(6))


async def test_a_bad_cursor_is_a_gap_and_nothing_is_read_twice(fake: Fake) -> None:
    fake.write(1, 2, 3)
    fake.body('if cursor == "bogus":\n    fail("Failed to seek to cursor: Invalid argument\\n")\nwork()')
    checkpoint = JournalCheckpoint("bogus", 1_700_000_000.000002)
    seen = await read(fake.source(), lambda seen: seen.last.caught_up, checkpoint)
    assert (seen.numbers, seen.last.health.gaps, seen.errors) == ([3], 1, [])
    assert fake.calls()[1][2]["--since"] == "@1700000000.000002"


async def test_a_vacuumed_cursor_is_a_gap(fake: Fake) -> None:
    fake.write(1, 2, 3, 4)
    fake.vacuum(2)
    seen = await read(fake.source(), lambda seen: seen.last.caught_up, JournalCheckpoint(cursor(2)))
    assert (seen.numbers, seen.last.health.gaps) == ([3, 4], 1)


async def test_a_missing_permission_is_told_with_the_group_and_the_command(fake: Fake) -> None:
    fake.body(
        "if phase == 'probe':\n    fail('Hint: You are currently not seeing messages from other users and the system.\\n', 0)\n"
        "work()"
    )
    seen = await read(fake.source(), lambda _: len([call for call in fake.calls() if call[1] == "probe"]) == 2)
    assert "usermod -aG systemd-journal pwmtad" in seen.errors[0]
    assert not any(batch.caught_up for batch in seen.batches)


async def test_a_silent_unit_is_silence_and_no_error(fake: Fake) -> None:
    seen = await read(
        fake.source(), lambda seen: [batch.caught_up for batch in seen.batches[-3:]] == [True] * 3 and len(fake.calls()) == 3
    )
    assert seen.errors == []
    assert seen.numbers == []
    assert [call[1] for call in fake.calls()] == ["drain", "probe", "follow"]


async def test_a_missing_journalctl_is_told_and_tried_again(fake: Fake) -> None:
    fake.write(1)
    hidden = fake.command.rename(fake.folder / "hidden")
    seen = Seen()
    async with aclosing(fake.source().batches(None)) as batches:
        await until(batches, seen, lambda: len(seen.batches) >= 3)
        hidden.rename(fake.command)
        await until(batches, seen, lambda: seen.last.caught_up)
    assert "not found" in seen.errors[0]
    assert (seen.numbers, seen.last.health.error) == ([1], None)


async def test_a_journalctl_that_may_not_be_run_is_told(fake: Fake) -> None:
    fake.command.chmod(0o644)
    seen = await read(fake.source(), lambda seen: bool(seen.errors))
    assert "Permission denied" in seen.errors[0]


async def test_garbage_is_passed_over(fake: Fake) -> None:
    fake.body(
        "if follow:\n    hang()\n"
        f"show([b'-- No entries --\\n', b'\\xff\\xfe\\n', b'\\n', {line(1)!r}, b'{{half\\n', {line(2)!r}, b'[1]\\n'])"
    )
    seen = await read(fake.source(), lambda seen: seen.last.caught_up)
    assert (seen.numbers, seen.last.health.gaps) == ([1, 2], 1)


async def test_a_huge_line_is_dropped_and_counted_and_the_next_is_read(fake: Fake) -> None:
    fake.body(f"show([{line(1)!r}, b'{{' + b'x' * 5_000_000 + b'}}\\n', {line(2)!r}])\nif follow:\n    hang()")
    seen = await read(fake.source(), lambda seen: seen.last.caught_up)
    assert (seen.numbers, seen.last.health.cut_lines, seen.last.health.gaps) == ([1, 2], 1, 0)


async def test_endless_words_on_stderr_do_not_stop_journalctl(fake: Fake) -> None:
    fake.write(1)
    fake.body(
        "for _ in range(2000):\n    sys.stderr.write('Journal file corrupted, ignoring file.\\n' * 50)\n"
        "fail('the last word\\n', 3)"
    )
    seen = await read(fake.source(), lambda seen: bool(seen.errors))
    assert seen.errors == ["journalctl ended with exit code 3: the last word: starting it again"]


def test_of_stderr_only_the_beginning_and_the_end_are_kept() -> None:
    process = Process()
    for number in range(2000):
        process.pipe_data_received(2, b"%d " % number * 20)
    assert process.stderr.startswith("0 0 ")
    assert process.stderr.endswith(" 1999 ")
    assert len(process.stderr) == 8192


async def test_a_hanging_drain_is_told_and_ended(fake: Fake) -> None:
    fake.write(1, 2)
    fake.body("if turn == 1:\n    show(journal()[:1])\n    hang()\nwork()")
    seen = await read(fake.source(patience_s=0.2), lambda seen: seen.last.caught_up)
    assert "has shown nothing" in seen.errors[0]
    assert (seen.numbers, seen.last.health.error, seen.last.health.gaps) == ([1, 2], None, 0)
    assert is_gone(fake.calls()[0][0])


async def test_following_is_not_caught_up_before_the_entry_it_began_at_was_shown(fake: Fake) -> None:
    fake.write(1)
    fake.body("if turn == 2:\n    hang()\nwork()")
    seen = Seen()
    async with aclosing(fake.source(patience_s=1.0).batches(None)) as batches:
        await until(batches, seen, lambda: seen.last.caught_up)
        await until(batches, seen, lambda: not seen.last.caught_up)
        assert not seen.errors
        fake.write(2)
        await until(batches, seen, lambda: seen.last.caught_up)
    assert "has shown nothing" in seen.errors[0]
    assert seen.numbers == [1, 2]


async def test_a_following_journalctl_that_went_deaf_is_replaced_without_a_word(fake: Fake) -> None:
    fake.write(1)
    fake.body("if turn == 2:\n    show(journal())\n    hang()\nwork()")
    seen = Seen()
    async with aclosing(fake.source(silence_s=1.0).batches(None)) as batches:
        await until(batches, seen, lambda: seen.last.caught_up)
        await until(batches, seen, lambda: seen.last.caught_up and len(fake.calls()) == 2)
        fake.write(2)
        await until(batches, seen, lambda: 2 in seen.numbers)
    assert (seen.numbers, seen.errors, seen.last.health.gaps) == ([1, 2], [], 0)


async def test_closing_ends_journalctl_and_leaves_no_zombie(fake: Fake) -> None:
    fake.write(1)
    await read(fake.source(), lambda _: len(fake.calls()) == 2)
    assert [is_gone(pid) for pid, _, _ in fake.calls()] == [True, True]


@pytest.mark.parametrize("body", ["import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nhang()", "work()"])
async def test_cancelling_ends_journalctl_and_leaves_no_zombie(fake: Fake, body: str) -> None:
    fake.write(1)
    fake.body(body)

    async def follow() -> None:
        async with aclosing(fake.source().batches(None)) as batches:
            async for _ in batches:
                pass

    task = asyncio.create_task(follow())
    while not fake.calls():  # noqa: ASYNC110 - another process says that it runs
        await asyncio.sleep(0.01)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert all(is_gone(pid) for pid, _, _ in fake.calls())


async def test_closing_in_the_middle_of_a_backlog_ends_a_journalctl_that_waits_for_its_reader(fake: Fake) -> None:
    fake.write(*range(10000))
    await read(fake.source(), lambda seen: bool(seen.numbers))
    assert [is_gone(pid) for pid, _, _ in fake.calls()] == [True]
