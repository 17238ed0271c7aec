"""`pwmtad parse`: one JSON object per line, with the keys of the contract."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner, Result

from pwmtad.cli import main
from tests.unit.cli.mail_lines import attempt, block, entry, line, message, signed

_DATA: Final = Path(__file__).parents[2] / "data"
_KEYS: Final = [
    "line", "event", "at", "host", "tag", "pid", "queue_id", "recipient", "orig_recipient", "relay_host", "relay_ip",
    "relay_port", "conn_use", "delay", "delays", "enhanced_status", "status", "reply_code", "reply", "reply_phase", "operator",
    "class", "rule",
]  # fmt: skip
_QID: Final = "4jYS5G4dRNzJB4C"
_UNREACHED: Final = (
    f"{_QID}: to=<{{to}}>, relay=none, delay=1, delays=1/0/0/0, dsn=4.4.1, status=deferred "
    "(connect to mx.example.net[192.0.2.1]:25: Connection refused)"
)


def _run(*arguments: str, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(main, ["parse", *arguments], input=stdin)


def _parse(*arguments: str, stdin: bytes | None = None) -> list[dict[str, Any]]:
    result = _run(*arguments, stdin=stdin)
    assert result.exit_code == 0, result.output
    return [json.loads(one) for one in result.stdout.splitlines()]


def _write(folder: Path, lines: Sequence[str], name: str = "mail.log") -> str:
    path = folder / name
    path.write_text("".join(f"{one}\n" for one in lines), encoding="utf-8")
    return str(path)


def _one(text: str, *arguments: str) -> dict[str, Any]:
    (record,) = _parse("-", *arguments, stdin=text.encode())
    return record


# -- the contract


def test_a_bounce_says_everything_that_the_contract_names() -> None:
    text = (
        f"2026-11-24T02:51:29.499469+00:00 mta postfix/out05/smtp[15918]: {_QID}: to=<a@example.com>, orig_to=<b@example.com>, "
        "relay=gmail-smtp-in.l.google.com[192.0.2.27]:25, conn_use=2, delay=0.07, delays=0.04/0.02/0.01/0, dsn=5.7.1, "
        "status=bounced (host gmail-smtp-in.l.google.com[192.0.2.27] said: 550-5.7.1 [198.51.100.93] Our system has detected "
        "that this message is 550-5.7.1 likely unsolicited mail. 550 5.7.1 - gsmtp (in reply to end of DATA command))"
    )
    record = _one(text)
    assert {key: record[key] for key in _KEYS} == {
        "line": 1,
        "event": "attempt",
        "at": "2026-11-24T02:51:29.499469+00:00",
        "host": "mta",
        "tag": "postfix/out05/smtp",
        "pid": 15918,
        "queue_id": _QID,
        "recipient": "a@example.com",
        "orig_recipient": "b@example.com",
        "relay_host": "gmail-smtp-in.l.google.com",
        "relay_ip": "192.0.2.27",
        "relay_port": 25,
        "conn_use": 2,
        "delay": 0.07,
        "delays": [0.04, 0.02, 0.01, 0.0],
        "enhanced_status": "5.7.1",
        "status": "bounced",
        "reply_code": 550,
        "reply": "550-5.7.1 [198.51.100.93] Our system has detected that this message is 550-5.7.1 likely unsolicited mail. "
        "550 5.7.1 - gsmtp",
        "reply_phase": "end of DATA command",
        "operator": "google",
        "class": "reputation",
        "rule": "google-unsolicited",
    }


@pytest.mark.parametrize("log", ["postfix-lab.rfc3339.log", "postfix-lab.traditional.log"])
def test_every_line_has_all_keys_in_their_order(log: str) -> None:
    records = _parse(str(_DATA / log))
    assert len(records) == 1273
    assert [record["line"] for record in records] == list(range(1, 1274))
    assert all(list(record)[: len(_KEYS)] == _KEYS for record in records)


def test_both_formats_of_the_same_log_give_the_same_events() -> None:
    """The lab's daemons logged each line once, through rsyslog, in two formats; only the times are cut to seconds in one."""
    modern = _parse(str(_DATA / "postfix-lab.rfc3339.log"))
    traditional = _parse(str(_DATA / "postfix-lab.traditional.log"), "--year", "2026")
    for one, other in zip(modern, traditional, strict=True):
        assert f"{one['at'][:19]}+00:00" == other["at"]
        assert one | {"at": None} == other | {"at": None}
    events = Counter(record["event"] for record in modern)
    assert events["unparsed"] == 0
    assert events["attempt"] > 150


def test_what_a_line_does_not_say_is_null() -> None:
    record = _one(line(0, "postfix/qmgr", f"{_QID}: removed"))
    assert record["event"] == "removed"
    said = {"line", "event", "at", "host", "tag", "pid", "queue_id"}
    assert {key for key in _KEYS if record[key] is not None} == said


def test_nobody_reached_and_nothing_known_is_no_operator() -> None:
    record = _one(line(0, "postfix/out05/smtp", _UNREACHED.format(to="a@new.example")))
    assert (record["operator"], record["class"], record["relay_host"], record["reply_code"]) == (
        None,
        "infrastructure",
        None,
        None,
    )


def test_a_domain_keeps_the_operator_that_answered_for_it() -> None:
    known = attempt(0, to="a@company.example")
    later = line(1, "postfix/out05/smtp", _UNREACHED.format(to="b@company.example"))
    records = _parse("-", stdin=f"{known}\n{later}\n".encode())
    assert [record["operator"] for record in records] == ["google", "google"]


def test_the_postfix_that_defers_by_itself_is_no_attempt() -> None:
    text = f"{_QID}: to=<a@gmail.com>, relay=none, delay=1, delays=1/0/0/0, dsn=4.7.0, status=deferred (paused by pwmtad: h-1)"
    record = _one(line(0, "postfix/error", text))
    assert (record["event"], record["operator"], record["class"], record["rule"]) == ("local_deferral", None, None, None)
    assert record["reply"] == "paused by pwmtad: h-1"


def test_a_refusal_on_the_way_to_another_host_tells_its_operator_and_class() -> None:
    text = (
        f"{_QID}: host mta5.am0.yahoodns.net[192.0.2.64] refused to talk to me: 421 4.7.0 [TSS04] Messages from 198.51.100.92"
    )
    record = _one(line(0, "postfix/out05/smtp", f"{text} temporarily deferred due to unexpected volume or user complaints"))
    assert (record["event"], record["operator"], record["class"], record["rule"]) == (
        "remote_refused", "yahoo", "rate_limit", "yahoo-tss04",
    )  # fmt: skip
    assert (record["reply_code"], record["status"]) == (421, None)


# -- where lines come from


def test_standard_input_and_gzip_give_the_same_as_a_file(tmp_path: Path) -> None:
    lines = [*message(0, _QID), block(1), line(2, "opendkim", signed(_QID))]
    log = _write(tmp_path, lines)
    wanted = _parse(log)
    assert [record["event"] for record in wanted] == ["client", "queued", "attempt", "signed"]
    data = Path(log).read_bytes()
    packed = tmp_path / "mail.log.gz"
    packed.write_bytes(gzip.compress(data))
    assert _parse(str(packed)) == wanted
    assert _parse("-", stdin=data) == wanted
    assert _parse("-", stdin=data.rstrip(b"\n")) == wanted
    assert _parse("-", stdin=packed.read_bytes()) == wanted


def test_a_pipe_is_answered_line_by_line() -> None:
    command = [sys.executable, "-m", "pwmtad", "parse", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for at in (1, 2):
            process.stdin.write(attempt(at).encode() + b"\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["line"] == at
        process.stdin.close()
        assert process.wait() == 0


def test_entries_of_the_journal_are_read_as_well(tmp_path: Path) -> None:
    records = _parse(
        _write(tmp_path, [entry(0, "opendkim", signed(_QID)), entry(1, "postfix/qmgr", f"{_QID}: removed"), "{oops"])
    )
    assert [record["event"] for record in records] == ["signed", "removed", "unparsed"]
    assert (records[0]["at"], records[0]["host"], records[0]["pid"]) == ("2026-03-02T00:00:00+00:00", "mta", 77)
    assert (records[0]["selector"], records[0]["domain"]) == ("mail", "mailer.example")


def test_each_line_has_its_object_whatever_it_holds(tmp_path: Path) -> None:
    log = tmp_path / "mail.log"
    log.write_bytes(
        b"\xff\xfe\x00garbage\n\n" + attempt(1).encode() + b"\r\nno timestamp postfix/qmgr[7]: " + _QID.encode() + b": removed"
    )
    records = _parse(str(log))
    assert [(record["line"], record["event"]) for record in records] == [
        (1, "unparsed"), (2, "unparsed"), (3, "attempt"), (4, "removed"),
    ]  # fmt: skip
    assert records[3]["at"] is None


def test_what_a_terminal_would_obey_is_escaped_and_still_there() -> None:
    hostile = "NEL[\x85] LS[\u2028] RLO[\u202e] CSI[\x9b31m] DEL[\x7f] ALM[\u061c]"
    result = _run("-", stdin=attempt(0, f"deferred (host mx.example[192.0.2.9] said: 450 {hostile})").encode())
    assert result.stdout.rstrip("\n").isprintable()
    assert json.loads(result.stdout)["reply"].endswith(hostile)


# -- options


def test_bare_lines_have_no_prefix() -> None:
    text = attempt(0).partition("]: ")[2]
    record = _one(text, "--bare")
    assert (record["event"], record["status"], record["operator"]) == ("attempt", "sent", "google")
    assert (record["at"], record["host"], record["pid"]) == (None, None, None)
    assert _one(text)["event"] == "unparsed"


def test_a_bare_line_of_opendkim_is_told_by_the_source() -> None:
    record = _one(signed(_QID), "--bare", "--source", "opendkim")
    assert (record["event"], record["queue_id"], record["selector"]) == ("signed", _QID, "mail")
    assert _one(signed(_QID), "--bare", "--source", "postfix")["event"] != "signed"


def test_year_and_zone_complete_traditional_timestamps() -> None:
    body = attempt(0).partition(" ")[2]
    data = f"Dec 31 23:30:00 {body}\nJan  1 00:30:00 {body}\n".encode()
    records = _parse("-", "--year", "2019", "--timezone", "Europe/Berlin", stdin=data)
    assert [record["at"] for record in records] == ["2019-12-31T22:30:00+00:00", "2019-12-31T23:30:00+00:00"]


def test_a_file_tells_the_year_by_when_it_was_written(tmp_path: Path) -> None:
    body = attempt(0).partition(" ")[2]
    log = _write(tmp_path, [f"{stamp} 23:30:00 {body}" for stamp in ("Jul  1", "Dec 31")])
    os.utime(log, (1_577_840_000, 1_577_840_000))  # 2020-01-01
    assert [record["at"][:10] for record in _parse(log)] == ["2019-07-01", "2019-12-31"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["/nowhere/mail.log"], "pwmtad: cannot read /nowhere/mail.log: no such file or directory\n"),
        (["-", "--timezone", "Europe/Bielefeld"], "no IANA time zone"),
        (["-", "--source", "exim"], "'exim' is not one of"),
        (["-", "--year", "19"], "not in the range"),
        ([], "Missing argument"),
    ],
)
def test_what_can_not_be_done_ends_with_2(arguments: list[str], words: str) -> None:
    result = _run(*arguments, stdin=b"")
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in result.stderr


def test_a_damaged_file_ends_with_2_and_a_sentence(tmp_path: Path) -> None:
    log = tmp_path / "mail.log.gz"
    log.write_bytes(gzip.compress(os.urandom(5000))[:-100])
    result = _run(str(log))
    assert result.exit_code == 2
    assert "the gzip file is damaged or not complete" in result.stderr


def test_a_reader_that_has_enough_is_no_error(tmp_path: Path) -> None:
    log = _write(tmp_path, [attempt(at) for at in range(3000)])
    reader, writer = os.pipe()
    command = [sys.executable, "-m", "pwmtad", "parse", log]
    with subprocess.Popen(command, stdout=writer, stderr=subprocess.PIPE) as process:
        os.close(writer)
        os.read(reader, 10)
        os.close(reader)
        assert process.communicate()[1] == b""
        assert process.returncode == 0
