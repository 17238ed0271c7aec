"""Generates the log of a case, replays it as a user would, and compares what came out with `expected.toml`.

`expected.toml` has a table per case:

    [case]
    halts = 2                          # exactly so many
    never = ["cap", "freeze"]          # kinds of decisions that must not come
    [[case.decisions]]                 # must come, those of a kind in this order; others may come between them
    kind = "halt"                      # always given; and stream, rule, subject, before, after: equal
    at = "2026-03-02T12:0"             # begins so (UTC)
    at_reply = ["google-unsolicited", 3]    # or: at the moment of the third such reply
    hold_h = 72                        # ends_at - at
    reason = "window of 50"            # is part of it
    evidence = "TSS04"                 # is part of one of its lines
    evidence_lines = 3
    [case.summary]                     # bounds of numbers in the summary
    attempts_after_first_halt = { min = 1000 }
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from tests.tools.loggen import Scenario, Truth
from tests.tools.loggen.replies import CLASS_OF

START: Final = 1_772_409_600.0
"""2026-03-02 00:00:00 UTC, a Monday."""
HOUR_S: Final = 3600.0
DAY_S: Final = 86_400.0

FOLDER: Final = Path(__file__).parent
_ROOT: Final = FOLDER.parents[1]
_ATTEMPT: Final = re.compile(r" postfix\S*/smtp\[\d+\]: \w+: to=<.* status=(?:sent|deferred|bounced) \(")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a replay said, and what really happened."""

    decisions: list[dict[str, Any]]
    summary: dict[str, Any]
    truth: Truth
    mail_log: Path

    def halts(self) -> list[dict[str, Any]]:
        """Decisions of kind halt."""
        return [decision for decision in self.decisions if decision["kind"] == "halt"]

    def lines(self) -> Iterator[str]:
        """The lines of mail.log."""
        with self.mail_log.open(encoding="utf-8", newline="\n") as file:
            yield from file


@dataclass(frozen=True, slots=True)
class Case:
    """One replay: what was logged, by which configuration it is judged, and what else is said on the command line."""

    scenario: Scenario
    arguments: tuple[str, ...] = ()
    config: str = "pwmtad.toml"
    """In the scenario's folder; `@FOLDER@` in it becomes that folder."""
    check: Callable[[Outcome], None] | None = field(default=None)
    """What can't be said in expected.toml."""


def all_cases() -> dict[str, tuple[str, Case]]:
    """`folder/case` -> (folder, case)."""
    folders = sorted(path.parent.name for path in FOLDER.glob("*/scenario.py"))
    return {
        f"{folder}/{name}": (folder, case)
        for folder in folders
        for name, case in import_module(f"tests.scenarios.{folder}.scenario").CASES.items()
    }


def expected_of(folder: str) -> dict[str, Any]:
    """All tables of a folder's expected.toml."""
    return tomllib.loads((FOLDER / folder / "expected.toml").read_text(encoding="utf-8"))


def write_logs(case: Case, place: Path) -> tuple[Truth, list[str]]:
    """Write the case's files; return what really happened, and the arguments that name the files."""
    mail_log, journal = place / "mail.log", place / "journal.json"
    run = case.scenario.play()
    with (
        mail_log.open("w", encoding="utf-8", newline="\n") as to_mail,
        journal.open("w", encoding="utf-8", newline="\n") as to_journal,
    ):
        truth = run.write(to_mail, to_journal)
    arguments = ["--mail-log", str(mail_log)]
    return truth, arguments + (["--journal", str(journal)] if truth.journal_lines else [])


def run_case(folder: str, case: Case, place: Path) -> Outcome:
    """Generate and replay a case."""
    truth, files = write_logs(case, place)
    decisions, summary = replay([*config_of(folder, case, place), *files, *case.arguments])
    return Outcome(decisions, summary, truth, place / "mail.log")


def config_of(folder: str, case: Case, place: Path) -> list[str]:
    """Write the configuration; return the arguments that name it."""
    text = (FOLDER / folder / case.config).read_text(encoding="utf-8")
    config = place / case.config
    config.write_text(text.replace("@FOLDER@", str(FOLDER / folder)), encoding="utf-8")
    return ["-c", str(config)]


def replay(arguments: list[str]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Run `pwmtad replay --json` as a process of its own; return decisions and summary."""
    done = subprocess.run(
        [sys.executable, "-m", "pwmtad", "replay", "--json", *arguments], cwd=_ROOT, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    assert done.stderr == b""
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert said[-1]["kind"] == "summary"
    return said[:-1], said[-1]


# -- what must always hold


def check_counts(outcome: Outcome) -> None:
    """The replay counted what was logged, to the last attempt."""
    summary, truth = outcome.summary, outcome.truth
    assert summary["lines"] == truth.mail_lines + truth.journal_lines
    assert summary["unparsed"] == 0
    statuses = ("sent", "deferred", "bounced")
    assert summary["attempts"] == truth.total()
    assert {status: summary[status] for status in statuses} == {status: truth.total(status=status) for status in statuses}
    for part in ("stream", "egress", "operator"):
        counted = {(name, status): count for name, row in summary[f"by_{part}"].items() for status, count in row.items()}
        really = {
            (name, status): count for status in statuses for name, count in truth.by(part, status=status).items() if count
        }
        assert counted == really, f"by {part}"
    by_class: Counter[str] = Counter()
    for reply, count in (truth.by("reply") - truth.by("reply", status="sent")).items():
        by_class[CLASS_OF.get(reply, "infrastructure") or "unclassified"] += count
    assert summary["by_class"] == dict(by_class)


def check_halts(outcome: Outcome) -> None:
    """The summary agrees with the decisions, and tells how many attempts came after the first halt."""
    halts = outcome.halts()
    assert outcome.summary["halts"] == len(halts)
    after = outcome.summary["attempts_after_first_halt"]
    if not halts:
        assert after == 0
    elif not outcome.truth.journal_lines or "T" in next(outcome.lines())[:11]:
        at = datetime.fromisoformat(halts[0]["at"]).isoformat(timespec="microseconds")
        times = [line[: len(at)] for line in outcome.lines() if _ATTEMPT.search(line)]
        # The deciding attempt itself does not come after the halt; a halt that time brought has none.
        assert after in {sum(time > at for time in times), sum(time >= at for time in times)}


# -- what a case expects


def check_expected(outcome: Outcome, expected: Mapping[str, Any]) -> None:
    """All that expected.toml says of the case."""
    told = "\n".join(f"{d['at']} {d['kind']} {d['rule']} {d['subject']}: {d['reason']}" for d in outcome.decisions)
    if "halts" in expected:
        assert len(outcome.halts()) == expected["halts"], told
    for kind in expected.get("never", ()):
        assert kind not in {decision["kind"] for decision in outcome.decisions}, told
    left: dict[str, Iterator[dict[str, Any]]] = {}
    for wanted in expected.get("decisions", ()):
        kind = wanted["kind"]
        of_kind = left.setdefault(kind, iter([decision for decision in outcome.decisions if decision["kind"] == kind]))
        assert any(_matches(decision, wanted, outcome.truth) for decision in of_kind), f"missing: {wanted} in\n{told}"
    for name, bounds in expected.get("summary", {}).items():
        assert bounds.get("min", 0) <= outcome.summary[name] <= bounds.get("max", float("inf")), name


def _matches(decision: Mapping[str, Any], wanted: Mapping[str, Any], truth: Truth) -> bool:
    return all(_holds(decision, name, value, truth) for name, value in wanted.items())


def _holds(decision: Mapping[str, Any], name: str, value: Any, truth: Truth) -> bool:
    match name:
        case "at":
            return str(decision["at"]).startswith(value)
        case "at_reply":
            reply, number = value
            return abs(at_of(decision) - truth.reply_times[str(reply)][int(number) - 1]) < 0.00001
        case "hold_h":
            return bool(at_of(decision, "ends_at") - at_of(decision) == value * HOUR_S)
        case "reason":
            return str(value) in decision["reason"]
        case "evidence":
            return any(value in line["text"] for line in decision["evidence"])
        case "evidence_lines":
            return bool(len(decision["evidence"]) == value)
        case _:
            return bool(decision[name] == value)


def at_of(decision: Mapping[str, Any], name: str = "at") -> float:
    """A moment of a decision as epoch seconds."""
    return datetime.fromisoformat(decision[name]).timestamp()
