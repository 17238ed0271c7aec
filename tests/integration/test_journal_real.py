"""The real journalctl over real journal files, which systemd-journal-remote writes from the export format."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from pwmtad.adapters.journal import JournalSource, entry_from_json
from pwmtad.adapters.journal.command import matches, show
from pwmtad.core.lines import LineReader
from pwmtad.model.events import Suppressed
from pwmtad.model.sources import Batch, JournalCheckpoint, JournalEntry

pytestmark = pytest.mark.services

WRITER: Final = "/lib/systemd/systemd-journal-remote"
UNIT: Final = "opendkim.service"
BOOTS: Final = ("1" * 32, "2" * 32)
MACHINE: Final = "a" * 32
AT: Final = 1_700_000_000


def field(name: str, value: bytes) -> bytes:
    """One field in the journal's export format: what is no printable text goes with its length in front."""
    if all(32 <= byte < 127 for byte in value):
        return name.encode() + b"=" + value + b"\n"
    return name.encode() + b"\n" + struct.pack("<Q", len(value)) + value + b"\n"


def entry(
    number: int,
    message: bytes | None = None,
    *,
    boot: str = BOOTS[1],
    unit: str = UNIT,
    tag: str = "opendkim",
    machine: str = MACHINE,
    more: bytes = b"",
) -> bytes:
    fields = {
        "__REALTIME_TIMESTAMP": b"%d" % ((AT + number) * 1_000_000),
        "__MONOTONIC_TIMESTAMP": b"%d" % (number * 1_000_000),
        "_BOOT_ID": boot.encode(),
        "_MACHINE_ID": machine.encode(),
        "_HOSTNAME": b"relay",
        "_SYSTEMD_UNIT": unit.encode(),
        "SYSLOG_IDENTIFIER": tag.encode(),
        "_PID": b"231",
        "MESSAGE": b"message %d" % number if message is None else message,
    }
    return b"".join(field(name, value) for name, value in fields.items()) + more + b"\n"


def suppressed(number: int, unit: str) -> bytes:
    words = f"Suppressed 7 messages from {unit}".encode()
    return entry(number, words, unit="systemd-journald.service", tag="systemd-journald", more=b"_TRANSPORT=driver\n")


def write(file: Path, entries: Iterable[bytes]) -> None:
    assert Path(WRITER).exists(), "systemd-journal-remote is missing: apt-get install -y systemd-journal-remote"
    file.parent.mkdir(exist_ok=True)
    subprocess.run([WRITER, "-o", str(file), "-"], input=b"".join(entries), check=True, capture_output=True, timeout=60)


def source(directory: Path, *, command: str = "journalctl", silence_s: float = 60.0) -> JournalSource:
    return JournalSource(UNIT, name="opendkim", directory=str(directory), command=command, silence_s=silence_s)


async def read(
    journal: JournalSource,
    checkpoint: JournalCheckpoint | None = None,
    until: Callable[[Batch], bool] = lambda batch: batch.caught_up,
) -> list[Batch]:
    seen: list[Batch] = []
    async with aclosing(journal.batches(checkpoint)) as batches:
        async for batch in batches:
            seen.append(batch)
            if until(batch):
                break
    return seen


def entries_of(batches: Iterable[Batch]) -> list[JournalEntry]:
    return [record for batch in batches for record in batch.records if isinstance(record, JournalEntry)]


def messages(batches: Iterable[Batch]) -> list[str]:
    return [found.message for found in entries_of(batches)]


def cursors(directory: Path) -> dict[str, JournalCheckpoint]:
    """The checkpoint after each message of the unit."""
    asked = show(directory=str(directory), matched=matches(UNIT, None), cursor=None, since=None, follow=False)
    done = subprocess.run(["journalctl", *asked], check=True, capture_output=True, timeout=60)
    found = [entry_from_json(line) for line in done.stdout.splitlines()]
    return {item[1].message: JournalCheckpoint(item[0], item[1].at) for item in found if item is not None}


@asynccontextmanager
async def written_live(file: Path, first: bytes) -> AsyncIterator[Callable[[bytes], None]]:
    """A journal file that grows while it is read; yield what appends to it."""
    write(file, [first])
    process = await asyncio.create_subprocess_exec(
        WRITER, "-o", str(file), "-", stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    assert process.stdin is not None
    yield process.stdin.write
    process.stdin.close()
    await process.wait()


@pytest.fixture
def two_boots(tmp_path: Path) -> Path:
    """Twelve entries of the unit over two boots, in three files, with others between."""
    first = [entry(number, boot=BOOTS[0]) for number in range(4)]
    both = [entry(4, boot=BOOTS[0]), entry(5, unit="other.service"), *(entry(number) for number in range(6, 9))]
    second = [suppressed(9, "other.service"), *(entry(number) for number in range(10, 14))]
    for name, entries in (("a", first), ("b", both), ("c", second)):
        write(tmp_path / f"{name}.journal", entries)
    return tmp_path


EXPECTED: Final = [f"message {number}" for number in (0, 1, 2, 3, 4, 6, 7, 8, 10, 11, 12, 13)]


async def test_all_boots_are_read_in_order_and_nothing_of_others(two_boots: Path) -> None:
    batches = await read(source(two_boots))
    assert messages(batches) == EXPECTED
    assert (batches[-1].health.gaps, batches[-1].health.error) == (0, None)
    assert entries_of(batches)[0] == JournalEntry(float(AT), "relay", "opendkim", 231, "message 0")


async def test_resuming_after_any_entry_gives_each_other_entry_once(two_boots: Path) -> None:
    checkpoints = cursors(two_boots)
    for at, message in enumerate(EXPECTED):
        batches = await read(source(two_boots), checkpoints[message])
        assert messages(batches) == EXPECTED[at + 1 :]
        assert batches[-1].health.gaps == 0


async def test_following_shows_entries_of_the_boot_before(two_boots: Path) -> None:
    """Without --merge journalctl -f would add a match for the last boot (systemd 252)."""
    matched = matches(UNIT, None)
    checkpoint = cursors(two_boots)["message 2"]
    asked = show(directory=str(two_boots), matched=matched, cursor=checkpoint.cursor, since=None, follow=True)
    process = await asyncio.create_subprocess_exec("journalctl", *asked, stdout=subprocess.PIPE)
    assert process.stdout is not None
    found = [entry_from_json(await process.stdout.readline()) for _ in range(11)]
    told = [item[1].message for item in found if item is not None]
    assert [message for message in told if message.startswith("message")] == EXPECTED[2:]
    process.kill()
    await process.wait()


async def test_an_entry_that_is_written_while_we_follow_is_delivered(tmp_path: Path) -> None:
    seen: list[str] = []
    live = written_live(tmp_path / "live.journal", entry(1))
    async with live as append, aclosing(source(tmp_path).batches(None)) as batches:
        number = 1
        async for batch in batches:
            seen += messages([batch])
            if batch.caught_up and len(seen) == number:
                if number == 5:
                    break
                number += 1
                append(entry(number, boot=BOOTS[number % 2]))
    assert seen == [f"message {number}" for number in range(1, 6)]


async def test_all_shapes_of_a_message_arrive(tmp_path: Path) -> None:
    write(
        tmp_path / "a.journal",
        [
            entry(1, b"\xff\x00bad"),
            entry(2, b"two\nlines"),
            entry(3, "grüße \u2028 \u0085".encode()),
            entry(4, b"x" * 5000),
            entry(5, b"y" * 70_000),
            entry(6, b"\x01" * 70_000),
            entry(7, b"", more=b"MESSAGE=second\n"),
            entry(8, b"z" * 3_000_000),
            entry(9, b"first", more=b"MESSAGE=second\nSYSLOG_IDENTIFIER=other\n"),
        ],
    )
    batches = await read(source(tmp_path))
    found = entries_of(batches)
    assert [item.message for item in found[:4]] == ["\ufffd\0bad", "two lines", "grüße \u2028 \u0085", "x" * 5000]
    assert [item.message for item in found[4:6]] == ["y" * 65536, "\x01" * 65536]
    assert {found[6].message} <= {"", "second"}
    assert {found[7].message} <= {"first", "second"}
    assert [item.at - AT for item in found] == [1, 2, 3, 4, 5, 6, 7, 9]  # 8 is longer than any line that is read
    assert (batches[-1].health.cut_lines, batches[-1].health.gaps) == (3, 0)


async def test_journald_says_that_it_dropped_entries_of_the_unit(tmp_path: Path) -> None:
    forged = entry(4, b"Suppressed 9 messages from opendkim.service", unit="cron.service", tag="systemd-journald")
    write(tmp_path / "a.journal", [entry(1), suppressed(2, UNIT), suppressed(3, "other.service"), forged])
    batches = await read(source(tmp_path))
    events = [LineReader().entry(item) for item in entries_of(batches)]
    assert [(event.count, event.unit) for event in events if isinstance(event, Suppressed)] == [(7, UNIT)]
    assert len(events) == 2
    assert [event.at for event in events] == [AT + 1, AT + 2]


def test_the_machine_narrows_both_sides_of_the_disjunction(tmp_path: Path) -> None:
    """As it is asked without a directory, where --merge would read what other hosts sent to this one."""
    remote = "b" * 32
    write(
        tmp_path / "a.journal",
        [
            entry(1),
            entry(2, machine=remote),
            suppressed(3, UNIT),
            suppressed(4, UNIT).replace(MACHINE.encode(), remote.encode()),
            entry(5),
        ],
    )
    asked = show(directory=str(tmp_path), matched=matches(UNIT, MACHINE), cursor=None, since=None, follow=False)
    done = subprocess.run(["journalctl", *asked], check=True, capture_output=True, timeout=60)
    found = [entry_from_json(line) for line in done.stdout.splitlines()]
    assert [item[1].at - AT for item in found if item is not None] == [1, 3, 5]


async def test_a_vacuumed_cursor_is_a_gap_and_the_rest_is_delivered(two_boots: Path) -> None:
    checkpoint = cursors(two_boots)["message 2"]
    (two_boots / "a.journal").unlink()
    batches = await read(source(two_boots), checkpoint)
    assert messages(batches) == EXPECTED[4:]
    assert batches[-1].health.gaps == 1


async def test_after_everything_was_vacuumed_only_what_is_new_is_delivered(two_boots: Path) -> None:
    last = cursors(two_boots)["message 13"]
    for name in "abc":
        (two_boots / f"{name}.journal").unlink()
    write(two_boots / "d.journal", [entry(20, unit="other.service")])
    seen: list[Batch] = []
    written = False
    async with aclosing(source(two_boots).batches(last)) as batches:
        async for batch in batches:
            seen.append(batch)
            if batch.caught_up and not written:
                written = True
                write(two_boots / "e.journal", [entry(21), entry(22)])
            if len(messages(seen)) == 2:
                break
    assert messages(seen) == ["message 21", "message 22"]
    assert seen[-1].health.gaps == 1


async def test_a_bad_cursor_is_a_gap_and_nothing_is_read_twice(two_boots: Path) -> None:
    known = cursors(two_boots)["message 7"]
    batches = await read(source(two_boots), JournalCheckpoint("no such form", known.at))
    assert messages(batches) == EXPECTED[7:]
    assert batches[-1].health.gaps == 1


async def test_a_journal_that_journald_moved_is_read_on_without_a_gap(tmp_path: Path) -> None:
    """From /run to /var at boot: the same entries, in a file with another sequence id."""
    before, after = tmp_path / "run", tmp_path / "var"
    write(before / "system.journal", [entry(number) for number in range(3)])
    write(after / "system.journal", [entry(number) for number in range(5)])
    checkpoint = cursors(before)["message 1"]
    assert checkpoint.cursor not in [other.cursor for other in cursors(after).values()]
    batches = await read(source(after), checkpoint)
    assert messages(batches) == ["message 2", "message 3", "message 4"]
    assert batches[-1].health.gaps == 0


async def test_a_directory_without_journals_is_told_and_watched(tmp_path: Path) -> None:
    seen: list[Batch] = []
    told = ""
    async with aclosing(source(tmp_path).batches(None)) as batches:
        async for batch in batches:
            seen.append(batch)
            if batch.health.error is not None and not told:  # not the first: that may be a mere sign of life
                told = batch.health.error
                write(tmp_path / "a.journal", [entry(1)])
            if batch.caught_up:
                break
    assert "no journal files" in told
    assert messages(seen) == ["message 1"]
    assert seen[-1].health.error is None


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A folder that anybody may enter, with a journalctl that runs as nobody."""
    folder = Path(tempfile.mkdtemp(prefix="pwmtad-journal-"))
    folder.chmod(0o755)
    wrapper = folder / "journalctl"
    as_nobody = "setpriv --reuid 65534 --regid 65534 --clear-groups " if os.geteuid() == 0 else ""
    wrapper.write_text(f'#!/bin/sh\nexec {as_nobody}journalctl "$@"\n')
    wrapper.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("own", [False, True], ids=["nothing-readable", "own-entries-readable"])
async def test_missing_permission_is_told_with_the_group(unprivileged: Path, own: bool) -> None:
    write(unprivileged / "system.journal", [entry(1)])
    (unprivileged / "system.journal").chmod(0)
    if own:
        write(unprivileged / "user-65534.journal", [entry(2, unit="other.service")])
        (unprivileged / "user-65534.journal").chmod(0o644)
    journal = source(unprivileged, command=str(unprivileged / "journalctl"))
    batches = await read(journal, until=lambda batch: batch.health.error is not None)
    assert "usermod -aG systemd-journal pwmtad" in str(batches[-1].health.error)
    assert not any(batch.caught_up for batch in batches)


def test_our_fields_are_those_that_journalctl_writes(tmp_path: Path) -> None:
    write(tmp_path / "a.journal", [entry(1)])
    asked = show(directory=str(tmp_path), matched=matches(UNIT, None), cursor=None, since=None, follow=False)
    done = subprocess.run(["journalctl", *asked], check=True, capture_output=True, timeout=60)
    names = set(json.loads(done.stdout))
    assert {"__CURSOR", "__REALTIME_TIMESTAMP", "_HOSTNAME", "SYSLOG_IDENTIFIER", "_PID", "MESSAGE"} <= names
    assert "_SYSTEMD_UNIT" not in names
