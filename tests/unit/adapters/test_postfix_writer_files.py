"""The root helper's files and commands, without a Postfix: what is remembered, what is edited, what is run and ended."""

from __future__ import annotations

import asyncio
import os
import stat
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pwmtad.adapters.postfix_writer.commands import Answer, Commands
from pwmtad.adapters.postfix_writer.main_cf_file import ConfigFiles
from pwmtad.adapters.postfix_writer.memory import Memory, StateError, write_file
from pwmtad.adapters.postfix_writer.reading import master_runs, tell_master
from pwmtad.model.target import Owned, Remembered, Step
from tests.unit.adapters.helper_world import until

_REMEMBERED = Remembered(
    Owned({"a": None, "b": ""}, {"a": "x"}, ("out05",), ("out05",), {"news": "h1"}, {"out05": 72}, reload_due=True),
    Step({"a": "y"}, ("b",), Owned()),
)
_TEXTS = st.dictionaries(st.text(max_size=5), st.none() | st.text(max_size=5), max_size=3)


# -- what is remembered


@given(_TEXTS, st.lists(st.text(max_size=5), max_size=3).map(tuple))
def test_what_is_remembered_comes_back(prior: dict[str, str | None], deferred: tuple[str, ...]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        remembered = Remembered(Owned(prior=prior, deferred=deferred), _REMEMBERED.step)
        Memory(folder).save(remembered)
        assert Memory(folder).load() == remembered


def test_nothing_remembered_is_not_the_same_as_a_record_that_can_not_be_read(tmp_path: Path) -> None:
    memory = Memory(str(tmp_path))
    assert memory.load() is None
    record = tmp_path / "owned.json"
    for content in (b"", b"{", b"[]", b'{"owned": {"written": 5}}', b"\xff\xfe", b"[" * 100_000):
        record.write_bytes(content)
        with pytest.raises(StateError, match="is damaged"):
            memory.load()
    record.unlink()
    record.mkdir()
    with pytest.raises(StateError, match="can't be used: Is a directory"):
        memory.load()


def test_damaged_records_are_all_kept(tmp_path: Path) -> None:
    memory = Memory(str(tmp_path))
    for content in ("one", "two"):
        (tmp_path / "owned.json").write_text(content)
        assert Path(memory.set_aside()).read_text() == content
    assert sorted(path.name for path in tmp_path.iterdir()) == ["owned.json.damaged-1", "owned.json.damaged-2"]
    with pytest.raises(StateError):
        memory.set_aside()


def test_a_crash_while_writing_leaves_the_old_record(tmp_path: Path) -> None:
    memory = Memory(str(tmp_path))
    memory.save(_REMEMBERED)
    (tmp_path / "owned.json.new").write_text('{"owned": half')
    assert memory.load() == _REMEMBERED
    memory.save(Remembered())
    assert memory.load() == Remembered()
    assert stat.S_IMODE((tmp_path / "owned.json").stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["owned.json"]


def test_a_file_that_can_not_be_written_is_told_and_leaves_the_old_one(tmp_path: Path) -> None:
    memory = Memory(str(tmp_path))
    memory.save(_REMEMBERED)
    (tmp_path / "owned.json.new").mkdir()
    with pytest.raises(StateError, match="can't be used: Is a directory"):
        memory.save(Remembered())
    assert memory.load() == _REMEMBERED


def test_a_link_in_the_place_of_the_new_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("theirs")
    (tmp_path / "table.new").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="symbolic links"):
        write_file(str(tmp_path / "table"), b"ours", 0o644)
    assert (tmp_path / "victim").read_text() == "theirs"


def test_held_messages_are_remembered_one_a_line_and_nonsense_is_left_out(tmp_path: Path) -> None:
    memory = Memory(str(tmp_path))
    assert memory.held() == frozenset()
    ids = {f"{number:012X}" for number in range(50_000)}
    memory.save_held(ids)
    assert memory.held() == ids
    assert (tmp_path / "held").read_text().startswith("000000000000\n000000000001\n")
    (tmp_path / "held").write_bytes(b"731D420C053\nALL\n-\n\xff\xff\n4jYS5G4dRNzJB4C")
    assert memory.held() == {"731D420C053", "4jYS5G4dRNzJB4C"}
    (tmp_path / "held").unlink()
    (tmp_path / "held").mkdir()
    with pytest.raises(StateError):
        memory.held()


def test_one_process_at_a_time_is_the_owner(tmp_path: Path) -> None:
    first, second = Memory(str(tmp_path / "state")), Memory(str(tmp_path / "state"))
    first.open()
    with pytest.raises(StateError, match="another helper runs already"):
        second.open()
    first.close()
    first.close()
    second.open()
    second.close()
    with pytest.raises(StateError, match="can't be used"):
        Memory("/proc/nonexistent").open()


# -- the files of Postfix


def _config(folder: Path, text: str = "myhostname = mta.example.org\n") -> ConfigFiles:
    (folder / "main.cf").write_text(text)
    return ConfigFiles(str(folder))


def test_only_what_we_have_written_is_made_to_look_older(tmp_path: Path) -> None:
    files = _config(tmp_path)
    before = files.inode()
    main = tmp_path / "main.cf"
    assert not files.cool_down(before, {}, ())  # the same file as before: nobody renamed
    new = tmp_path / "new"
    new.write_text("a = 1\n# b = 2\nc = x\n   y\nA = 5\n")
    new.rename(main)
    young = main.stat().st_mtime_ns
    assert not files.cool_down(before, {"a": "2"}, ())
    assert not files.cool_down(before, {"b": "2"}, ())
    assert not files.cool_down(before, {"a": "1"}, ("c",))
    assert main.stat().st_mtime_ns == young
    assert files.cool_down(before, {"a": "1", "c": "x  y"}, ("b",))
    assert main.stat().st_mtime_ns == young - 10_000_000_000
    main.unlink()
    assert not files.cool_down(before, {}, ())
    assert files.inode() == 0


def test_why_main_cf_must_not_be_edited_is_told(tmp_path: Path) -> None:
    files = _config(tmp_path)
    if os.geteuid() == 0:
        assert files.refusal() is None
        (tmp_path / "main.cf").chmod(0o664)
        assert "can be written by others than root" in (files.refusal() or "")
    (tmp_path / "main.cf").unlink()
    assert "No such file" in (files.refusal() or "")
    (tmp_path / "main.cf").mkdir()
    assert (files.refusal() or "").endswith("is no file")
    (tmp_path / "main.cf").rmdir()
    (tmp_path / "main.cf").symlink_to(tmp_path / "elsewhere")
    assert f"cp --remove-destination {tmp_path}/elsewhere {tmp_path}/main.cf" in (files.refusal() or "")


def test_tables_are_written_when_they_differ_and_taken_away(tmp_path: Path) -> None:
    files = _config(tmp_path)
    tables = {"pwmtad-exempt": "/^a@b$/ smtp:\n", "pwmtad-excluded": "x.example y:\n"}
    assert files.write_tables(tables) == (True, None)
    assert files.write_tables(tables) == (False, None)
    table = tmp_path / "pwmtad-exempt"
    assert (table.read_text(), stat.S_IMODE(table.stat().st_mode)) == (tables["pwmtad-exempt"], 0o644)
    table.chmod(0o600)  # trivial-rewrite could not read it
    assert files.write_tables(tables) == (True, None)
    table.unlink()
    table.symlink_to("/etc/hostname")
    assert files.write_tables(tables) == (True, None)
    assert not table.is_symlink()
    (tmp_path / "main.cf").write_text("x")
    assert files.remove_tables() is None
    assert [path.name for path in tmp_path.iterdir()] == ["main.cf"]
    table.mkdir()
    changed, problem = files.write_tables(tables)
    assert not changed
    assert "can't write" in (problem or "")
    assert "can't remove pwmtad-exempt" in (files.remove_tables() or "")


# -- Postfix's master


def _pid_file(folder: Path, text: str) -> str:
    (folder / "pid").mkdir(exist_ok=True)
    (folder / "pid" / "master.pid").write_text(text)
    return str(folder)


def test_another_process_with_the_number_of_a_former_master_is_left_alone(tmp_path: Path) -> None:
    queue = _pid_file(tmp_path, f"{os.getpid():>10}\n")
    assert not tell_master(queue)
    assert not master_runs(queue)
    for text, runs in (("4194305", False), ("", True), ("x", True), ("-1", False)):
        queue = _pid_file(tmp_path, text)
        assert not tell_master(queue)
        assert master_runs(queue) is runs, text
    assert not tell_master("/nonexistent")
    assert not master_runs("/nonexistent")


# -- commands


def _stand_in(folder: Path, script: str) -> str:
    folder.mkdir(exist_ok=True)
    program = folder / "postconf"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return f"{folder}:/usr/bin:/bin"


async def test_a_command_gets_its_text_and_nothing_of_what_surrounds_us(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAIL_CONFIG", "/evil")
    monkeypatch.setenv("LD_PRELOAD_X", "/evil")
    path = _stand_in(tmp_path / "bin", 'echo "$@"; env; cat')
    answer = await Commands("/etc/x", search_path=path).run("postconf", "-n", timeout_s=20, text="one\ntwo\n")
    assert answer.problem is None
    assert answer.text.splitlines()[0] == "-c /etc/x -n"
    assert answer.text.endswith("one\ntwo\n")
    assert "evil" not in answer.text
    assert "LC_ALL=C" in answer.text.splitlines()


async def test_a_failure_is_quoted_and_cleaned(tmp_path: Path) -> None:
    path = _stand_in(tmp_path / "bin", r"printf '\033[31mno\n\nway\n' >&2; exit 3")
    answer = await Commands("/etc/x", search_path=path).run("postconf", "-e", "secret=1", timeout_s=20)
    assert answer == Answer("", "\x1b[31mno\n\nway\n", "`postconf -e ...`: ?[31mno way", 3)
    path = _stand_in(tmp_path / "bin", "exit 3")
    answer = await Commands("/etc/x", search_path=path).run("postconf", timeout_s=20)
    assert answer.problem == "`postconf`: exit code 3"


async def test_what_a_command_leaves_behind_is_not_waited_for(tmp_path: Path) -> None:
    # `postfix reload` leaves a postsuper behind, which keeps its output open.
    path = _stand_in(tmp_path / "bin", f"sleep 600 & echo $! > {tmp_path}/pid; echo done")
    answer = await Commands("/etc/x", search_path=path).run("postconf", timeout_s=20)
    assert answer.text == "done\n"
    pid = int(_read(tmp_path / "pid"))
    assert _lives(pid)
    os.kill(pid, 9)


async def test_a_command_that_nobody_waits_for_any_more_is_ended_with_all_it_started(tmp_path: Path) -> None:
    path = _stand_in(tmp_path / "bin", f"sleep 600 & echo $$ $! > {tmp_path}/new; mv {tmp_path}/new {tmp_path}/pids; wait")
    commands = Commands("/etc/x", search_path=path)

    async def chunks() -> list[bytes | Answer]:
        return [piece async for piece in commands.chunks("postconf", timeout_s=60)]

    for running in (commands.run("postconf", timeout_s=60), chunks()):
        task = asyncio.create_task(running)
        await until(lambda: _read(tmp_path / "pids"))
        pids = [int(pid) for pid in _read(tmp_path / "pids").split()]
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(partial(_all_gone, pids))
        _forget(tmp_path / "pids")


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


def _all_gone(pids: list[int]) -> bool:
    return not any(_lives(pid) for pid in pids)


def _forget(path: Path) -> None:
    path.unlink()


def _lives(pid: int) -> bool:
    status = _read(Path(f"/proc/{pid}/stat")).rpartition(") ")[2][:1]
    return status not in ("", "Z", "X")


async def test_output_in_pieces_ends_with_how_it_ended(tmp_path: Path) -> None:
    async def pieces(script: str, timeout_s: float = 20) -> tuple[bytes, Answer]:
        commands = Commands("/etc/x", search_path=_stand_in(tmp_path / "bin", script))
        *data, last = [piece async for piece in commands.chunks("postconf", timeout_s=timeout_s)]
        assert isinstance(last, Answer)
        return b"".join(piece for piece in data if isinstance(piece, bytes)), last

    data, last = await pieces("head -c 300000 /dev/zero")
    assert (len(data), last.problem) == (300_000, None)
    data, last = await pieces("echo some; echo sorry >&2; exit 1")
    assert (data, last.problem) == (b"some\n", "`postconf`: sorry")
    data, last = await pieces("echo some; sleep 600", 3.0)
    assert (data, last.problem) == (b"some\n", "`postconf` did not end within 3 s and was ended")
    absent = [piece async for piece in Commands("/etc/x", search_path="/nonexistent").chunks("postconf", timeout_s=5)]
    assert isinstance(absent[0], Answer)
    assert "is not installed" in (absent[0].problem or "")


async def test_a_program_that_may_not_be_run_is_told(tmp_path: Path) -> None:
    path = _stand_in(tmp_path / "bin", "")
    (tmp_path / "bin" / "postconf").chmod(0o644)
    answer = await Commands("/etc/x", search_path=path.partition(":")[0]).run("postconf", timeout_s=20)
    assert answer.problem == "can't run postconf: Permission denied"
