"""What many live tests begin with or wait for: Postfix set by pwmtad, a stream held, mail that moves or does not."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from pwmtad.model.acting import StreamActing
from pwmtad.model.judgement import Halt
from pwmtad.model.state import Finding
from tests.lab import world
from tests.lab.lab import Lab
from tests.tools.daemon import until

PROMPT: Final[dict[str, Any]] = {
    "window_ladder": {0: 10_000},
    "trucking": {"governor": False, "ceiling_per_day": 1_000_000},
    "healthcare": {"governor": False},
    "sections": {"postfix": {"write_interval_s": 1}},
}
"""Nothing but halts keeps mail from leaving at once, and nothing waits for a minute to pass. `configure(**PROMPT)`."""
IN_FLIGHT_S: Final = 3.0
"""What had begun before a reload ends after it: 1.2 s later where smtp(8) talks to scache(8) in that moment, and sleeps for a
second (seen in runs of Postfix 3.7.11). Nothing begins anew, which the tests see by hundreds of messages that wait.
"""
FIGURES: Final = Path(__file__).resolve().parents[2] / ".run" / "lab" / "figures.json"


def begin(lab: Lab, **configured: Any) -> None:
    """Start pwmtad in enforce mode, and return when Postfix is as it should be."""
    lab.configure("enforce", **configured)
    lab.start_pwmtad(at_boot=True)
    settled(lab)


def settled(lab: Lab) -> None:
    """Wait until pwmtad has looked at Postfix and has nothing left to do there."""
    until("Postfix is as it should be", lambda: lab.state().acting.streams and lab.state().acting.problem is None)


def restarted(lab: Lab, how: Callable[[], object], *, patience_s: float = 60.0) -> None:
    """Do something that ends pwmtad, and wait until it runs anew and answers."""
    before = _invocation(lab)
    how()
    until("pwmtad runs anew", lambda: _invocation(lab) not in {before, ""}, patience_s=patience_s)
    until("pwmtad is ready", lambda: lab.pwmtad_is() == "active", patience_s=patience_s)


def _invocation(lab: Lab) -> str:
    """Return systemd's name of the service's present run; '' if it does not run."""
    return lab.run("systemctl show -P InvocationID pwmtad.service", check=False).out.strip()


def warm_up(lab: Lab) -> None:
    """Let the log begin with a delivery of two hours ago: counters that do not cover an hour are doubted, also after the next
    start, and no halt goes on meanwhile. Before the start of pwmtad.
    """
    then = datetime.now(UTC) - timedelta(hours=2)  # noqa: TID251  lines as Postfix wrote them two hours ago
    # Postlogd's own form: local time (UTC here) without a year.
    before = f"{then:%b} {then.day:2} {then:%H:%M:%S} mta"
    lines = (
        f"postfix/qmgr[1]: 4jYB0B0B0Bz1B: from=<{world.TRUCKING_SENDER}>, size=500, nrcpt=1 (queue active)",
        "postfix/out02/smtp[1]: 4jYB0B0B0Bz1B: to=<first@small.test>, relay=mx.small.test[127.0.2.60]:25, delay=0.1, "
        "delays=0.1/0/0/0, dsn=2.0.0, status=sent (250 2.0.0 Ok)",
        "postfix/qmgr[1]: 4jYB0B0B0Bz1B: removed",
    )
    text = "".join(f"{before} {line}\n" for line in lines)
    # The same file, because postlogd has it open.
    lab.run("cd /var/log && touch mail.log && cat - mail.log >/tmp/log && cat /tmp/log >mail.log", stdin=text)


def acting(lab: Lab, stream: str) -> StreamActing:
    """Return what pwmtad does with a stream."""
    return next((one for one in lab.state().acting.streams if one.stream == stream), StreamActing(stream))


def held(lab: Lab, stream: str = "trucking") -> str:
    """Return what holds a stream in Postfix, as pwmtad read it back; '' if nothing does."""
    return acting(lab, stream).held_by


def halt(lab: Lab, stream: str = "trucking", *, hold: str = "") -> str:
    """Halt a stream by hand, wait until Postfix holds it, and return the halt's id."""
    for_so_long = ["--for", hold] if hold else []
    before = {one.id for one in lab.state().halts}
    ran = lab.pwmtad("halt", stream, "--why", "test", *for_so_long)
    assert ran.code == 0, ran
    until(f"Postfix holds {stream}", lambda: held(lab, stream))
    return next(one.id for one in lab.state().halts if one.id not in before and one.stream == stream)


def release(lab: Lab, halt_id: str) -> None:
    """Release a halt by hand, and wait until Postfix holds its stream no more."""
    stream = next(one.stream for one in lab.state().halts if one.id == halt_id)
    ran = lab.pwmtad("release", halt_id)
    assert ran.code == 0, ran
    until(f"Postfix lets {stream} go", lambda: not held(lab, stream))


def halted(lab: Lab, rule: str, stream: str = "trucking", *, patience_s: float = 40.0) -> Halt:
    """Wait until a rule has halted a stream and Postfix holds it; return the halt."""

    def found() -> Halt | None:
        return next((one for one in lab.state().halts if (one.rule, one.stream) == (rule, stream)), None)

    until(f"{rule} halts {stream}", found, patience_s=patience_s)
    until(f"Postfix holds {stream}", lambda: held(lab, stream))
    halt = found()
    assert halt is not None
    return halt


def last_write_at(lab: Lab) -> float:
    """Return when pwmtad changed main.cf last and Postfix had taken it."""
    at = lab.state().acting.last_write_at
    assert at is not None, "nothing was written"
    return at


def findings(lab: Lab, code: str) -> list[Finding]:
    """Return what pwmtad says of this now."""
    return [finding for finding in lab.state().findings if finding.code == code]


def decided_at(lab: Lab, event: str, **having: str) -> float:
    """Return when pwmtad logged such an event first, by its own clock."""

    def found() -> float:
        for line in lab.pwmtad_log().splitlines():
            told = json.loads(line) if line.startswith("{") else {}
            if told.get("event") == event and all(told.get(name) == value for name, value in having.items()):
                return datetime.fromisoformat(told["timestamp"]).timestamp()
        return 0.0

    return until(f"{event} with {having} is logged", found)  # journald has it a moment later


def in_queues(lab: Lab) -> dict[str, str]:
    """Return which queue each message with recipients left is in, by queue id."""
    return {entry["queue_id"]: entry["queue_name"] for entry in lab.queue() if entry["recipients"]}


def at_rest(lab: Lab, queue_ids: Collection[str]) -> bool:
    """Whether none of these is on its way."""
    return not {"maildrop", "incoming", "active"}.intersection(
        name for queue_id, name in in_queues(lab).items() if queue_id in queue_ids
    )


def flushed(lab: Lab) -> bool:
    """Have what is deferred tried now, rather than when it is due; whether the queue is empty."""
    lab.flush()
    return lab.queue_is_empty()


def exempt_mail_leaves(lab: Lab, *, patience_s: float = 40.0) -> float:
    """Send one transactional mail and wait until it has left: Postfix works, and has had its turn with what came before.
    Return the seconds that it took.
    """
    began = time.monotonic()
    message_id = lab.cron_mail("admin@small.test", sender=world.TRANSACTIONAL_SENDER)
    mine = until("exempt mail leaves", lambda: lab.reached(where=lambda one: one.id == message_id), patience_s=patience_s)
    return mine[0].monotonic - began


def tell(**figures: float | Sequence[float]) -> None:
    """Print what was measured, for whoever runs the tests with -s, and keep it in .run/lab/figures.json."""
    rounded = {
        name: round(value, 3) if isinstance(value, int | float) else [round(one, 3) for one in value]
        for name, value in figures.items()
    }
    print(json.dumps(rounded))  # noqa: T201
    FIGURES.parent.mkdir(parents=True, exist_ok=True)
    known = json.loads(FIGURES.read_text(encoding="utf-8")) if FIGURES.exists() else {}
    FIGURES.write_text(json.dumps(known | rounded, indent=1) + "\n", encoding="utf-8")
