"""`pwmtad replay`: what it reads, what it prints, how it ends. What it decides is in tests/scenarios."""

from __future__ import annotations

import gzip
import json
import os
import pty
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pwmtad.cli import main
from tests.unit.cli.mail_lines import BLOCK, attempt, block, entry, line, message, queue_id, signed, stamp

_CONFIG = """
[log]
opendkim = "journal:opendkim.service"
[streams.trucking]
egresses = ["out05", "out06"]
injector_clients = ["172.18.0.5"]
warmup.start = 2026-03-02T00:00:00Z
"""
_SUMMARY = {
    "kind", "lines", "attempts", "sent", "deferred", "bounced", "unparsed", "by_stream", "by_egress", "by_operator", "by_class",
    "messages", "halts", "attempts_after_first_halt", "first_at", "last_at", "coverage_from", "stopped_at",
}  # fmt: skip
_DECISION = {
    "kind", "at", "stream", "rule", "reason", "subject", "before", "after", "halt_id", "ends_at", "evidence",
}  # fmt: skip


def _write(folder: Path, lines: Sequence[str], name: str = "mail.log") -> str:
    path = folder / name
    path.write_text("".join(f"{one}\n" for one in lines), encoding="utf-8")
    return str(path)


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["replay", *arguments])


def _replay(*arguments: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Decisions and summary."""
    result = _run("--json", *arguments)
    assert result.exit_code == 0, result.output
    said = [json.loads(one) for one in result.stdout.splitlines()]
    assert [one["kind"] == "summary" for one in said] == [False] * (len(said) - 1) + [True]
    return said[:-1], said[-1]


def _config(folder: Path, text: str = _CONFIG) -> str:
    path = folder / "pwmtad.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def _kinds(decisions: list[dict[str, Any]]) -> list[str]:
    return [decision["kind"] for decision in decisions]


# -- the contract


def test_decisions_and_summary_have_all_their_keys(tmp_path: Path) -> None:
    decisions, summary = _replay("--mail-log", _write(tmp_path, [block(at) for at in (1, 2, 3, 4)]))
    assert set(summary) == _SUMMARY
    assert all(set(decision) == _DECISION for decision in decisions)
    halt = decisions[-1]
    assert (halt["kind"], halt["stream"], halt["rule"]) == ("halt", "default", "google-blocks")
    assert (halt["at"], halt["ends_at"]) == ("2026-03-02T00:00:03+00:00", "2026-03-05T00:00:03+00:00")
    assert (halt["subject"], halt["before"], halt["after"]) == (None, "none", "active")
    assert [one["at"] for one in halt["evidence"]] == [f"2026-03-02T00:00:0{at}+00:00" for at in (1, 2, 3)]
    assert (summary["halts"], summary["attempts"], summary["attempts_after_first_halt"]) == (1, 4, 1)
    assert (summary["first_at"], summary["last_at"]) == ("2026-03-02T00:00:01+00:00", "2026-03-02T00:00:04+00:00")
    assert summary["stopped_at"] is None


def test_the_summary_counts_attempts_by_stream_egress_operator_and_class(tmp_path: Path) -> None:
    lines = [
        attempt(1),
        attempt(2, tag="postfix-out06/smtp", relay="mx.example.org[192.0.2.9]"),
        block(3),
        attempt(4, "SOFTBOUNCE (host mx.example.org[192.0.2.9] said: 550 5.1.1 User unknown (in reply to RCPT TO command))",
                relay="mx.example.org[192.0.2.9]", enhanced="5.1.1", tag="postfix/smtp"),
        line(5, "cron", "not ours"),
    ]  # fmt: skip
    _, summary = _replay("--mail-log", _write(tmp_path, lines))
    assert [summary[name] for name in ("lines", "attempts", "sent", "deferred", "bounced", "unparsed")] == [5, 4, 2, 1, 1, 1]
    assert summary["by_stream"] == {"default": {"sent": 2, "bounced": 1, "deferred": 1}}
    assert summary["by_egress"] == {"out05": {"sent": 1, "bounced": 1}, "out06": {"sent": 1}, "none": {"deferred": 1}}
    assert summary["by_operator"] == {"google": {"sent": 1, "bounced": 1}, "other": {"sent": 1, "deferred": 1}}
    assert summary["by_class"] == {"reputation": 1, "hard_bounce": 1}


def test_without_a_configuration_any_client_but_this_host_is_an_injector(tmp_path: Path) -> None:
    ours, local = queue_id(), queue_id()
    lines = [*message(1, ours, "app[198.51.100.7]"), *message(2, local, "localhost[127.0.0.1]")]
    lines += [line(3, "opendkim", signed(ours)), line(4, "opendkim", signed(local))]
    _, summary = _replay("--mail-log", _write(tmp_path, lines))
    assert summary["messages"] == {"default": {"injected": 1, "signed": 1, "unsigned": 0, "expired": 0}}


def test_a_warmup_start_sets_the_ladders(tmp_path: Path) -> None:
    log = _write(tmp_path, [attempt(day * 86_400.0 + more) for day in range(5) for more in (0, 7200)])
    decisions, _ = _replay("--mail-log", log, "--warmup-start", "2026-03-02T00:00:00Z")
    steps = [(one["kind"], one["at"][:10], one["after"]) for one in decisions]
    assert sorted(steps) == [
        ("pool", "2026-03-02", "3"),
        ("pool", "2026-03-06", "5"),
        ("window", "2026-03-02", "50"),
        ("window", "2026-03-04", "150"),
        ("window", "2026-03-06", "250"),
    ]
    again, _ = _replay("--mail-log", log, "--warmup-start", "2026-03-01T19:00:00-05:00")
    assert again == decisions


def test_without_a_warmup_start_the_ladders_are_at_their_top(tmp_path: Path) -> None:
    decisions, _ = _replay("--mail-log", _write(tmp_path, [attempt(0)]))
    assert {one["kind"]: one["after"] for one in decisions} == {"pool": "19", "window": "300"}


def test_a_configuration_says_which_egresses_are_whose(tmp_path: Path) -> None:
    log = _write(tmp_path, [attempt(1), attempt(2, tag="postfix-out06/smtp"), attempt(3, tag="postfix/out09/smtp")])
    decisions, summary = _replay("-c", _config(tmp_path), "--mail-log", log)
    assert summary["by_stream"] == {"trucking": {"sent": 2}, "none": {"sent": 1}}
    assert [(one["kind"], one["stream"], one["after"]) for one in decisions] == [("window", "trucking", "50")]


# -- evidence and hostile text


def test_evidence_quotes_the_lines_without_what_a_terminal_would_obey(tmp_path: Path) -> None:
    hostile = BLOCK + " \x85\u2028\u202e\x9b31m[red]x[/]"
    result = _run("--json", "--mail-log", _write(tmp_path, [block(at, hostile) for at in (1, 2, 3)]))
    text = json.loads(result.stdout.splitlines()[-2])["evidence"][0]["text"]
    assert "to gmail.com by out05 via gmail-smtp-in.l.google.com [reputation/google-unsolicited]" in text
    assert "likely unsolicited mail" in text
    assert text.isprintable()
    assert result.stdout.replace("\n", "").isprintable()


def test_words_of_a_reply_are_no_markup_in_the_report(tmp_path: Path) -> None:
    reply = "550-5.7.1 [bold red]likely unsolicited mail[/bold] [link=http://evil.example]x[/] 550 5.7.1 - gsmtp"
    result = _run("--mail-log", _write(tmp_path, [block(at, reply) for at in (1, 2, 3)]))
    assert "[bold red]likely unsolicited mail[/bold] [link=http://evil.example]x[/]" in " ".join(result.stdout.split())


# -- files


def test_files_are_taken_in_the_order_of_their_times(tmp_path: Path) -> None:
    lines = [block(at) for at in (100, 200, 300, 400)]
    whole = _replay("--mail-log", _write(tmp_path, lines))
    packed = tmp_path / "mail.log.2.gz"
    packed.write_bytes(gzip.compress(f"{lines[0]}\n".encode()))
    first, last = _write(tmp_path, lines[1:3], "mail.log.1"), _write(tmp_path, lines[3:], "mail.log.0")
    assert _replay("--mail-log", last, str(packed), first) == whole
    assert _replay("--mail-log", first, "--mail-log", str(packed), "--mail-log", last) == whole


@pytest.mark.parametrize("cut", [(1, 0, 1, 0, 1, 0), (0, 1, 1, 1, 1, 0), (0, 0, 1, 0, 1, 1)])
def test_logs_of_the_same_time_are_merged(cut: tuple[int, ...], tmp_path: Path) -> None:
    lines = [block(at * 100.0) for at in range(6)]
    whole = _replay("--mail-log", _write(tmp_path, lines))
    parts = [
        _write(tmp_path, [one for one, where in zip(lines, cut, strict=True) if where == part], f"{part}.log")
        for part in (0, 1)
    ]
    assert _replay("--mail-log", *parts) == whole


def test_a_file_that_is_named_twice_is_counted_once_and_that_is_said(tmp_path: Path) -> None:
    log = _write(tmp_path, [attempt(1), attempt(2)])
    result = _run("--json", "--mail-log", log, log)
    assert json.loads(result.stdout.splitlines()[-1])["attempts"] == 2
    assert result.stderr == f"{log} holds the same lines as {log}: read once\n"


def test_an_empty_log_is_a_result(tmp_path: Path) -> None:
    log = _write(tmp_path, [])
    decisions, summary = _replay("--mail-log", log)
    assert decisions == []
    assert (summary["lines"], summary["attempts"], summary["first_at"], summary["last_at"]) == (0, 0, None, None)
    assert "is this a log of Postfix?" in _run("--mail-log", log).stdout


def test_a_last_line_without_its_line_break_counts(tmp_path: Path) -> None:
    log = tmp_path / "mail.log"
    log.write_text(attempt(1) + "\n" + attempt(2), encoding="utf-8")
    assert _replay("--mail-log", str(log))[1]["attempts"] == 2


def test_garbage_between_the_lines_is_counted_and_goes_by(tmp_path: Path) -> None:
    log = tmp_path / "mail.log"
    log.write_bytes(b"\x80\xff\x00\xfe\n\n" + attempt(1).encode() + b"\n\x1b[31m\n" + attempt(2).encode())
    _, summary = _replay("--mail-log", str(log))
    assert (summary["lines"], summary["unparsed"], summary["attempts"]) == (5, 3, 2)


def test_traditional_timestamps_need_a_year_and_a_zone(tmp_path: Path) -> None:
    body = attempt(0).partition(" ")[2]
    december = _write(tmp_path, [f"Dec 31 23:30:00 {body}"], "december")
    january = _write(tmp_path, [f"Jan  1 00:30:00 {body.replace('B', 'C')}"], "january")
    arguments = ("--year", "2019", "--timezone", "Europe/Berlin")
    _, summary = _replay("--mail-log", january, december, *arguments)
    assert (summary["first_at"], summary["last_at"]) == ("2019-12-31T22:30:00+00:00", "2019-12-31T23:30:00+00:00")


# -- the journal


def test_signatures_are_taken_from_the_journal_alone_if_there_is_one(tmp_path: Path) -> None:
    first, second = queue_id(), queue_id()
    log = [*message(1, first), line(1.1, "opendkim", signed(second)), *message(2, second), attempt(100)]
    journal = _write(
        tmp_path, [entry(0.5, "opendkim", "OpenDKIM Filter v2.11.0 starting"), entry(1.1, "opendkim", signed(first))], "j"
    )
    _, summary = _replay("--mail-log", _write(tmp_path, log), "--journal", journal)
    assert summary["messages"]["default"] == {"injected": 2, "signed": 1, "unsigned": 1, "expired": 0}
    assert summary["lines"] == 8


def test_coverage_is_judged_from_where_the_journal_begins(tmp_path: Path) -> None:
    ids = [queue_id() for _ in range(40)]
    log = [one for number, qid in enumerate(ids) for one in message(number * 60.0, qid)]
    # journald kept the newest half.
    journal = _write(tmp_path, [entry(number * 60.0, "opendkim", signed(ids[number])) for number in range(20, 40)], "journal")
    decisions, summary = _replay("--mail-log", _write(tmp_path, log), "--journal", journal)
    assert "halt" not in _kinds(decisions)
    assert summary["coverage_from"] == stamp(1200).replace(".000000", "")
    assert (summary["messages"]["default"]["signed"], summary["messages"]["default"]["unsigned"]) == (20, 0)
    report = " ".join(_run("--mail-log", str(tmp_path / "mail.log"), "--journal", journal).stdout.split())
    assert "Whether mail was signed is known only from 2026-03-02 00:20:00 on, where the journal begins." in report


def test_without_a_line_of_opendkim_coverage_is_unknown_and_halts_nothing(tmp_path: Path) -> None:
    log = _write(tmp_path, [one for number in range(40) for one in message(number * 10.0, queue_id())])
    decisions, summary = _replay("--mail-log", log)
    assert "halt" not in _kinds(decisions)
    assert summary["coverage_from"] is None
    assert "Whether mail was signed is not known" in _run("--mail-log", log).stdout


def test_a_configuration_that_says_where_opendkim_logs_is_believed(tmp_path: Path) -> None:
    log = _write(tmp_path, [one for number in range(40) for one in message(number * 10.0, queue_id())])
    config = _config(tmp_path, _CONFIG.replace("journal:opendkim.service", "mail.log"))
    decisions, _ = _replay("-c", config, "--mail-log", log)
    assert [one["rule"] for one in decisions if one["kind"] == "halt"] == ["dkim-coverage"]
    config = _config(tmp_path, _CONFIG.replace("journal:opendkim.service", "none"))
    assert _replay("-c", config, "--mail-log", log)[1]["halts"] == 0


@pytest.mark.parametrize("option", ["--journal", "--mail-log"])
def test_a_journal_alone_tells_of_postfix_and_opendkim(option: str, tmp_path: Path) -> None:
    qid = queue_id()
    lines = [*message(1, qid), line(1.1, "opendkim", signed(qid)), block(2), block(3), block(4)]
    entries = [entry(float(number), *one.partition(" mta ")[2].split("[77]: ", 1)) for number, one in enumerate(lines, start=1)]
    decisions, summary = _replay(option, _write(tmp_path, [*entries, "{broken"], "journal.json"))
    assert [one["rule"] for one in decisions if one["kind"] == "halt"] == ["google-blocks"]
    assert (summary["lines"], summary["unparsed"], summary["attempts"]) == (7, 1, 3)
    assert summary["messages"]["default"]["signed"] == 1


def test_two_journals_and_two_logs_may_come_in_any_order(tmp_path: Path) -> None:
    ids = [queue_id() for _ in range(4)]
    logs = [
        _write(tmp_path, [*message(at, qid), attempt(at + 1, qid=qid)], f"log{at}")
        for at, qid in zip((0, 99, 198, 297), ids, strict=True)
    ]
    journals = [
        _write(tmp_path, [entry(at + 0.01, "opendkim", signed(qid))], f"journal{at}")
        for at, qid in zip((0, 99, 198, 297), ids, strict=True)
    ]
    options = [option for journal in reversed(journals) for option in ("--journal", journal)]
    _, summary = _replay("--mail-log", *reversed(logs), *options)
    assert summary["messages"]["default"] == {"injected": 4, "signed": 4, "unsigned": 0, "expired": 0}


@pytest.mark.parametrize("source", ["log", "journal"])
def test_dropped_lines_are_unknown_for_an_hour(source: str, tmp_path: Path) -> None:
    dropped = "Suppressed 1432 messages from postfix@-.service"
    lines = [attempt(0), attempt(90), attempt(1900), attempt(7200)]
    options: tuple[str, ...] = ()
    if source == "log":
        lines.insert(1, line(60, "systemd-journald", dropped))
    else:
        options = ("--journal", _write(tmp_path, [entry(60, "systemd-journald", dropped)], "journal"))
    decisions, _ = _replay("--mail-log", _write(tmp_path, lines), *options)
    told = [(one["kind"], one["rule"]) for one in decisions if "known" in one["kind"]]
    assert told == [("unknown", "lines_suppressed"), ("known", "lines_suppressed")]


# -- until the first halt


def test_reading_stops_at_the_first_halt_if_asked_for(tmp_path: Path) -> None:
    log = _write(tmp_path, [block(at) for at in range(1, 10)])
    decisions, summary = _replay("--mail-log", log, "--until-first-halt")
    assert _kinds(decisions)[-1] == "halt"
    assert (summary["attempts"], summary["lines"], summary["attempts_after_first_halt"]) == (3, 3, 0)
    assert summary["stopped_at"] == "2026-03-02T00:00:03+00:00"
    assert "Reading stopped there (--until-first-halt)" in _run("--mail-log", log, "--until-first-halt").stdout


def test_until_the_first_halt_is_all_where_there_is_none(tmp_path: Path) -> None:
    log = _write(tmp_path, [attempt(at) for at in range(1, 10)])
    assert _replay("--mail-log", log, "--until-first-halt") == _replay("--mail-log", log)


# -- the report


def test_the_report_tells_what_happened_and_what_would_have_been_held(tmp_path: Path) -> None:
    lines = [attempt(0), block(10), block(20), block(30), attempt(40), attempt(50)]
    report = _run("--mail-log", _write(tmp_path, lines), "--warmup-start", "2026-03-02").stdout
    words = " ".join(report.split())
    for said in (
        "2026-03-02 00:00:00 to 2026-03-02 00:00:50 UTC",
        "6 lines, all of them understood; 6 attempts.",
        "Judged as one stream by the shipped rules (no -c).",
        "2026-03-02 00:00:30 HALT default (google-blocks) Gmail refuses mail as unsolicited",
        "Held until 2026-03-05 00:00:30, and longer while evidence comes.",
        "google 6 3 50% 0 0% 3 50%",
        "reputation 3",
        "1 halt. The first halt: 2026-03-02 00:00:30 UTC, rule google-blocks, after 4 attempts. "
        "2 attempts came after it: those would not have been made.",
    ):
        assert said in words
    assert max(len(one) for one in report.splitlines()) <= 80


def test_the_report_of_a_quiet_log_says_so(tmp_path: Path) -> None:
    report = _run("-c", _config(tmp_path), "--mail-log", _write(tmp_path, [attempt(0)])).stdout
    assert report.rstrip().endswith("No halt.")


def test_the_report_says_if_attempts_belong_to_no_stream(tmp_path: Path) -> None:
    log = _write(tmp_path, [attempt(0, tag="postfix/out99/smtp")])
    report = " ".join(_run("-c", _config(tmp_path), "--mail-log", log).stdout.split())
    assert "1 attempt left through no egress of any stream" in report


def test_the_report_counts_domains_for_suppression(tmp_path: Path) -> None:
    dead = (
        "deferred (host mx.mail.protection.outlook.com[192.0.2.8] said: 451 4.4.4 Mail received as unauthenticated, incoming "
        "to a recipient domain configured in a hosted tenant which has no mail-enabled subscriptions. ATTR5 (in reply to RCPT "
        "TO command))"
    )
    lines = [
        attempt(number * 10.0 + turn, dead, to=f"a@dead{number}.example", enhanced="4.4.4",
                relay="mx.mail.protection.outlook.com[192.0.2.8]")
        for number in range(12) for turn in range(3)
    ]  # fmt: skip
    words = " ".join(_run("--mail-log", _write(tmp_path, lines)).stdout.split())
    assert "12 domains listed for suppression: dead0.example, dead1.example," in words
    assert "dead9.example and 2 more (--json has all)." in words


# -- how it ends


def test_what_can_not_be_read_is_said_in_a_sentence(tmp_path: Path) -> None:
    damaged = tmp_path / "mail.log.2.gz"
    damaged.write_bytes(gzip.compress(os.urandom(5000))[:-100])
    result = _run("--json", "--mail-log", str(damaged))
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"pwmtad: cannot read {damaged}: the gzip file is damaged or not complete")
    result = _run("--mail-log", str(tmp_path / "nowhere"))
    assert result.exit_code == 2
    assert "nowhere' does not exist" in result.stderr
    log = _write(tmp_path, [attempt(0)])
    result = _run("-c", str(tmp_path / "nowhere.toml"), "--mail-log", log)
    assert result.exit_code == 2
    assert result.stderr == f"pwmtad: cannot read {tmp_path}/nowhere.toml: no such file or directory\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Give at least one --mail-log FILE, or --journal FILE."),
        (["--timezone", "Europe/Bielefeld"], "no IANA time zone"),
        (["--warmup-start", "yesterday"], "no ISO 8601 moment"),
        (["--year", "26"], "not in the range"),
    ],
)
def test_wrong_arguments_end_with_2(arguments: list[str], words: str, tmp_path: Path) -> None:
    log = ["--mail-log", _write(tmp_path, [attempt(0)])] if arguments else []
    result = _run(*log, *arguments)
    assert result.exit_code == 2
    assert words in result.stderr


def test_mistakes_in_the_configuration_end_with_1(tmp_path: Path) -> None:
    log = _write(tmp_path, [attempt(0)])
    result = _run("-c", _config(tmp_path, _CONFIG.replace("egresses", "egreses")), "--mail-log", log)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "streams.trucking.egreses" in result.stderr
    rules = tmp_path / "stop.toml"
    rules.write_text('[[stop_rule]]\nid = "x"\n', encoding="utf-8")
    config = _config(tmp_path, f'rules.stop_files = ["{rules}"]\n{_CONFIG}')
    result = _run("-c", config, "--mail-log", log)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "stop.toml" in result.stderr


def test_a_warmup_start_that_is_not_known_is_said_and_nothing_grows(tmp_path: Path) -> None:
    config = _config(tmp_path, _CONFIG.replace("warmup.start = 2026-03-02T00:00:00Z", 'warmup.start_file = "/nowhere/stamp"'))
    result = _run("--json", "-c", config, "--mail-log", _write(tmp_path, [attempt(0), attempt(9e6)]))
    assert "trucking: can't read /nowhere/stamp: No such file or directory; give --warmup-start" in result.stderr
    assert [json.loads(one)["kind"] for one in result.stdout.splitlines()] == ["unknown", "summary"]


def test_an_excluded_domains_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    config = _config(tmp_path, _CONFIG.replace("warmup.start", 'excluded_domains_file = "/nowhere/domains"\nwarmup.start'))
    result = _run("--json", "-c", config, "--mail-log", _write(tmp_path, [attempt(0)]))
    assert result.exit_code == 0
    assert result.stderr.startswith("/nowhere/domains: No such file or directory: its domains are not excluded")


def _process(*arguments: str, stderr: int, stdout: int = subprocess.PIPE) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "pwmtad", "replay", *arguments], stdout=stdout, stderr=stderr)


def test_a_progress_bar_shows_on_a_terminal_and_leaves_standard_output_alone(tmp_path: Path) -> None:
    log = _write(tmp_path, [attempt(at) for at in range(50)])
    ours, theirs = pty.openpty()
    with _process("--json", "--mail-log", log, stderr=theirs) as process:
        os.close(theirs)
        output, _ = process.communicate()
    shown = b""
    try:
        while data := os.read(ours, 4096):
            shown += data
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    assert b"reading" in shown
    assert json.loads(output.splitlines()[-1])["attempts"] == 50
    with _process("--json", "--mail-log", log, stderr=subprocess.PIPE) as process:
        assert process.communicate()[1] == b""


def test_a_reader_that_has_enough_is_no_error(tmp_path: Path) -> None:
    lines = [one for number in range(300) for one in [block(number * 4000.0 + turn) for turn in range(3)]]
    reader, writer = os.pipe()
    with _process("--json", "--mail-log", _write(tmp_path, lines), stdout=writer, stderr=subprocess.PIPE) as process:
        os.close(writer)
        os.read(reader, 10)
        os.close(reader)
        assert process.communicate()[1] == b""
        assert process.returncode == 0
