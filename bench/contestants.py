"""What is measured, how each is called, and what each counted, as far as it says so."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.corpus import ROOT, Corpus

Counts = dict[str, int]
"""delivered, deferred, bounced."""

MINE: Final = "pwmtad"


@dataclass(frozen=True, slots=True)
class Contestant:
    """A command line over the corpus. `missing` says what to install, or why it can't run now."""

    name: str
    command: tuple[str, ...]
    counts: Callable[[Path], Counts] | None = None
    """Reads its counts from its output."""
    missing: str = ""
    once: bool = False
    """It is slow: only the first round."""
    all_agents: bool = False
    """It counts the lines of error(8) and local(8) as well, not only the attempts of smtp(8)."""


def contestants(corpus: Corpus, pwmtad: str | None, chosen: frozenset[str]) -> list[Contestant]:
    """All of them, or those chosen by name."""
    log = str(corpus.path)
    listed = [
        Contestant("split", (sys.executable, str(ROOT / "bench" / "split_lines.py"), log)),
        Contestant("grep", ("bash", "-c", _RUNBOOK, "runbook", corpus.day, log), missing=_needs("bash", "bash")),
        Contestant(
            "pflogsumm",
            # Without the pattern it would skip the lines of half the egresses (`postfix-out06/smtp`).
            ("pflogsumm", "--syslog-name=postfix-out[0-9]+", log),
            _of_pflogsumm,
            _needs("pflogsumm", "pflogsumm"),
            all_agents=True,
        ),
        Contestant(
            "mtail",
            (
                *("mtail", "--one_shot", "--one_shot_format=json", "--logtostderr", "--address=127.0.0.1", "--port=0"),
                *("--progs", str(ROOT / "bench" / "postfix.mtail"), "--logs", log),
            ),
            _of_mtail,
            _needs("mtail", "mtail"),
        ),
        Contestant(
            "fail2ban",
            ("fail2ban-regex", log, "postfix[mode=aggressive]"),
            missing=_needs("fail2ban-regex", "fail2ban"),
            once=True,
        ),
        *_pwmtad(log, pwmtad),
    ]
    return [one for one in listed if not chosen or one.name in chosen]


def truth_of(corpus: Corpus, *, all_agents: bool) -> Counts:
    """What the generator knows: attempts of smtp(8), and with `all_agents` what error(8) deferred and local(8) delivered."""
    attempts = corpus.truth["attempts"]
    more = _by_kind(corpus.truth["counts"]) if all_agents else {}
    return {
        "delivered": attempts.get("sent", 0) + more.get("local_delivery", 0),
        "deferred": attempts.get("deferred", 0) + more.get("local_deferral", 0),
        "bounced": attempts.get("bounced", 0),
    }


def _by_kind(counts: Mapping[str, int]) -> Counts:
    totals: Counts = {}
    for name, count in counts.items():
        kind = name.partition("/")[0]
        totals[kind] = totals.get(kind, 0) + count
    return totals


def _needs(program: str, package: str) -> str:
    return "" if shutil.which(program) else f"not installed (Debian package {package})"


# The monitoring commands of the runbook, over one day: mix, per address, top reasons, signatures against messages.
_RUNBOOK: Final = r"""
day() { grep "^$1" "$2"; }
day "$1" "$2" | grep -oE 'status=(sent|deferred|bounced)' | sort | uniq -c
for ip in 94 95 96; do echo -n ".$ip: "; day "$1" "$2" | grep -c "198.51.100.$ip"; done
day "$1" "$2" | grep status=deferred | grep -oE 'said: [0-9]{3}[^)]{0,50}' | sort | uniq -c | sort -rn | head
day "$1" "$2" | grep -c 'DKIM-Signature field added'
day "$1" "$2" | grep -c postfix/cleanup
"""


def _pwmtad(log: str, given: str | None) -> list[Contestant]:
    """As it runs by itself, and kept to one processor, where it reads and judges in one process."""
    if given:
        return [Contestant(MINE, (*shlex.split(given), log), _of_pwmtad)]
    command = (sys.executable, "-m", "pwmtad", "replay", "--json", "--mail-log", log)
    probe = subprocess.run([*command[:4], "--help"], capture_output=True, check=False, cwd=ROOT)
    missing = "" if probe.returncode == 0 else "`pwmtad replay` does not start"
    only = str(min(os.sched_getaffinity(0)))
    return [
        Contestant(MINE, command, _of_pwmtad, missing),
        Contestant(f"{MINE}, 1 process", ("taskset", "-c", only, *command), _of_pwmtad, missing),
    ]


def _of_pflogsumm(output: Path) -> Counts:
    text = output.read_text(encoding="utf-8", errors="replace")
    found = {name: re.search(rf"^ +(\d+)([km ])\s+{name}", text, re.MULTILINE) for name in ("delivered", "bounced")}
    deferrals = re.search(r"\((\d+)([km ])\s+deferrals\)", text)
    counts = {name: match for name, match in [*found.items(), ("deferred", deferrals)] if match}
    # above 512k it prints thousands of 1,024
    return {name: int(match[1]) * {"k": 1024, "m": 1024**2}.get(match[2], 1) for name, match in counts.items()}


def _of_mtail(output: Path) -> Counts:
    metrics = json.loads(output.read_text(encoding="utf-8"))
    by_status = {"sent": 0, "deferred": 0, "bounced": 0}
    for label in metrics["deliveries_total"][0]["LabelValues"]:
        by_status[label["Labels"][1]] += label["Value"]["Value"]
    return {"delivered": by_status["sent"], "deferred": by_status["deferred"], "bounced": by_status["bounced"]}


def _of_pwmtad(output: Path) -> Counts:
    last: dict[str, Any] = {}
    with output.open("rb") as file:
        for line in file:
            last = json.loads(line)
    return {"delivered": last["sent"], "deferred": last["deferred"], "bounced": last["bounced"]}
