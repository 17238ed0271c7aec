"""What is read of Postfix: through its real postconf, through stand-ins that misbehave, and by counting queue files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pwmtad.adapters.postfix import SEARCH_PATH, PostfixReader, count_queue
from pwmtad.adapters.stamp import read_stamp
from pwmtad.model.postfix import Clone
from pwmtad.model.state import Level, QueueState

_MAIN = """\
compatibility_level = 3.6
myhostname = mail.example.org
inet_protocols = ipv4
enable_long_queue_ids = yes
the_pool = out05,out06
sender_dependent_default_transport_maps = randmap:{$the_pool,
    out07}
"""
_MASTER = """\
smtp       inet  n       -       y       -       -       smtpd
qmgr       unix  n       -       n       300     1       qmgr
smtp       unix  -       -       y       -       -       smtp
relay      unix  -       -       y       -       -       smtp
    -o syslog_name=postfix/$service_name
"""


def _clone_lines(number: int) -> str:
    name = "postfix/$service_name" if number % 2 else f"postfix-out{number:02}"
    return (
        f"out{number:02} unix - - y - - smtp\n"
        f"    -o smtp_bind_address=192.0.2.{number}\n"
        f"    -o {{ smtp_helo_name = mta{number:02}.example.org }}\n"
        f"    -o smtp_bind_address_enforce=yes -o syslog_name={name}\n"
    )


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A Postfix configuration with 20 clones."""
    folder = tmp_path / "postfix"
    folder.mkdir()
    (folder / "main.cf").write_text(_MAIN)
    (folder / "master.cf").write_text(_MASTER + "".join(_clone_lines(number) for number in range(1, 21)))
    _cool_down(folder)
    return folder


def _cool_down(folder: Path) -> None:
    """Postfix programs wait while a main.cf is younger than two seconds."""
    for file in folder.iterdir():
        os.utime(file, (1_780_000_000, 1_780_000_000))


def _reader(config: Path, search_path: str = SEARCH_PATH) -> PostfixReader:
    return PostfixReader(str(config), "/nonexistent", search_path=search_path)


@pytest.mark.services
async def test_twenty_clones_are_read_from_a_real_postfix_configuration(config: Path) -> None:
    view = await _reader(config).view()
    assert view.clones is not None
    assert view.clones[:2] == (
        Clone("smtp", inet_protocols="ipv4"),
        Clone("relay", syslog_name="postfix/relay", inet_protocols="ipv4"),
    )
    assert view.clones[2:] == tuple(
        Clone(
            name=f"out{number:02}",
            bind_address=f"192.0.2.{number}",
            bind_enforced=True,
            helo_name=f"mta{number:02}.example.org",
            syslog_name=f"postfix/out{number:02}" if number % 2 else f"postfix-out{number:02}",
            inet_protocols="ipv4",
        )
        for number in range(1, 21)
    )
    assert view.pool == ("out05", "out06", "out07")
    assert view.milter_accepts is False
    assert view.findings == ()


@pytest.mark.services
async def test_traps_in_a_real_configuration_are_found(config: Path) -> None:
    with (config / "main.cf").open("a") as main:
        main.write(
            "transport_maps = hash:/etc/postfix/transport, randmap:{out05,out44}\n"
            "inet_protocols = all\nenable_long_queue_ids = no\n"
            "smtpd_milters = inet:127.0.0.1:8891\nmilter_default_action = accept\ndefer_transports = relay\n"
        )
    _cool_down(config)
    view = await _reader(config).view()
    assert view.pool == ("out05", "out44")
    assert view.milter_accepts is True
    assert [found.code for found in view.findings] == [
        "pool_member_missing",
        "domain_routes_dead",
        "transports_deferred",
        "short_queue_ids",
        "milter_failure_accepts",
        "ipv6_address_not_chosen",
    ]


@pytest.mark.services
async def test_a_clone_that_postfix_can_not_expand_is_told_in_postfixs_own_words(config: Path) -> None:
    with (config / "master.cf").open("a") as master:
        master.write("out21 unix - - y - - smtp -o syslog_name=${syslog_name}/out21 -o smtp_bind_address=192.0.2.21\n")
    view = await _reader(config).view()
    assert view.clones is None
    (found,) = view.findings
    assert (found.level, found.code) == (Level.UNKNOWN, "postfix_unreadable")
    assert "unreasonable macro call nesting" in found.text


@pytest.mark.services
async def test_a_missing_configuration_is_a_finding_in_postfixs_own_words(tmp_path: Path) -> None:
    view = await _reader(tmp_path / "none").view()
    assert view.clones is None
    (found,) = view.findings
    assert (found.level, found.code) == (Level.UNKNOWN, "postfix_unreadable")
    assert "No such file or directory" in found.text


async def test_a_host_without_postfix_is_a_finding_that_says_what_to_set(config: Path, tmp_path: Path) -> None:
    view = await _reader(config, search_path=str(tmp_path / "empty")).view()
    assert view.clones is None
    assert view.findings[-1].code == "postfix_unreadable"
    assert "read_master_cf = false" in view.findings[-1].text


def _stand_in(folder: Path, script: str) -> str:
    folder.mkdir()
    program = folder / "postconf"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return str(folder)


def _lives(pid: str) -> bool:
    return Path("/proc", pid).exists()


async def test_a_postconf_that_hangs_is_ended(config: Path, tmp_path: Path) -> None:
    path = _stand_in(tmp_path / "bin", f"echo $$ >> {tmp_path}/pids; exec /bin/sleep 600")
    view = await PostfixReader(str(config), "/nonexistent", search_path=path, timeout_s=3.0).view()
    assert view.clones is None
    assert "did not end within 3 s" in view.findings[-1].text
    pids = (tmp_path / "pids").read_text().split()
    assert not any(_lives(pid) for pid in pids)


async def test_a_postconf_that_fails_is_quoted_without_control_characters(config: Path, tmp_path: Path) -> None:
    path = _stand_in(tmp_path / "bin", r"printf '\033[31mno\n' >&2; exit 3")
    view = await _reader(config, search_path=path).view()
    assert "?[31mno" in view.findings[-1].text
    path = _stand_in(tmp_path / "bin2", "exit 3")
    view = await _reader(config, search_path=path).view()
    assert view.findings[-1].text.endswith("exit code 3")


async def test_a_postconf_that_is_no_program_is_told(config: Path, tmp_path: Path) -> None:
    path = _stand_in(tmp_path / "bin", "")
    (tmp_path / "bin" / "postconf").chmod(0o644)
    view = await _reader(config, search_path=path).view()
    assert view.findings[-1].text.endswith("can't run postconf: Permission denied")


async def test_a_postconf_that_prints_garbage_is_no_error(config: Path, tmp_path: Path) -> None:
    path = _stand_in(tmp_path / "bin", "/bin/head -c 100000 /dev/urandom")
    view = await _reader(config, search_path=path).view()
    assert view.clones == ()


def _fill(folder: Path, count: int) -> None:
    folder.mkdir(parents=True)
    for number in range(count):
        (folder / f"4jYS{number:05}zJB4C").touch()


async def test_queue_files_are_counted_through_hashed_directories(tmp_path: Path) -> None:
    _fill(tmp_path / "active", 3)
    for digit in "0123456789ABCDEF":
        _fill(tmp_path / "deferred" / digit, 5)
    _fill(tmp_path / "hold" / "A" / "B", 2)
    _fill(tmp_path / "maildrop", 0)
    queue = await PostfixReader("/nonexistent", str(tmp_path)).queue()
    assert queue == QueueState(incoming=0, active=3, deferred=80, hold=2, maildrop=0)


def test_counting_stops_at_its_bounds(tmp_path: Path) -> None:
    _fill(tmp_path / "active", 30)
    _fill(tmp_path / "deferred" / "A", 10)
    _fill(tmp_path / "deferred" / "B" / "C" / "D", 10)
    assert count_queue(str(tmp_path), max_files=12, max_depth=8).active == 12
    assert count_queue(str(tmp_path), max_files=12, max_depth=8).deferred == 12
    assert count_queue(str(tmp_path), max_files=100, max_depth=1).deferred == 10


def test_a_missing_queue_directory_is_told(tmp_path: Path) -> None:
    queue = count_queue(str(tmp_path / "none"))
    assert queue == QueueState(problem=f"there is no queue directory {tmp_path}/none")


def test_a_link_out_of_the_queue_is_one_file(tmp_path: Path) -> None:
    (tmp_path / "active").mkdir()
    os.symlink("/usr/share", tmp_path / "active" / "away")
    assert count_queue(str(tmp_path)).active == 1


def test_what_is_no_directory_is_told_and_the_rest_is_counted(tmp_path: Path) -> None:
    (tmp_path / "incoming").write_text("")
    _fill(tmp_path / "active", 1)
    queue = count_queue(str(tmp_path))
    assert (queue.incoming, queue.active) == (None, 1)
    assert queue.problem == f"{tmp_path}/incoming: Not a directory"


def test_a_stamp_is_read_as_date_writes_it(tmp_path: Path) -> None:
    stamp = tmp_path / "pw-warmup-start"
    for text in ("1780358400\n", "1780358400", "  1780358400 \n\n"):
        stamp.write_text(text)
        assert read_stamp(str(stamp)).start == 1780358400.0


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"2026-06-02\n", b"-1", b"0", b"20260602", b"1780358400000", b"1780358400.5", b"1e9", b"0x6a1e",
     "\u0661\u0667\u0668\u0660\u0663\u0665\u0668\u0664\u0660\u0660".encode(), b"\x00" * 64, b"1780358400\n1780358400\n",
     b"9" * 5000],
)  # fmt: skip
def test_a_stamp_that_is_no_moment_is_told(tmp_path: Path, content: bytes) -> None:
    stamp = tmp_path / "stamp"
    stamp.write_bytes(content)
    reading = read_stamp(str(stamp))
    assert reading.start is None
    assert reading.problem.startswith(f"{stamp} holds ")
    assert reading.problem.isprintable()


def test_a_stamp_that_can_not_be_read_is_told(tmp_path: Path) -> None:
    assert read_stamp(str(tmp_path / "none")).problem == f"can't read {tmp_path}/none: No such file or directory"
    assert read_stamp(str(tmp_path)).start is None
