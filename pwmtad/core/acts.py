"""Words for what was done to Postfix: the records, and the findings that stand meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from pwmtad.core.egress_health import HEALTHY_S
from pwmtad.core.steps import Steps
from pwmtad.core.text import clean
from pwmtad.model.acting import Acting
from pwmtad.model.judgement import Action, ActionKind, EvidenceLine, Record, RecordKind
from pwmtad.model.names import Instant
from pwmtad.model.state import Finding, Level
from pwmtad.model.target import Applied, Change

ACT_RULE: Final = "postfix"
_VALUE_LIMIT: Final = 300
"""Characters of a value that a record quotes."""
_WORDS: Final = {
    ActionKind.HALT: "held",
    ActionKind.SHRINK_POOL: "pool made smaller",
    ActionKind.LOWER_WINDOW: "window lowered",
    ActionKind.RELEASE: "let go again",
    ActionKind.RAISE_WINDOW: "window raised",
    ActionKind.GROW_POOL: "pool made larger",
}


def applied_records(applied: Applied, steps: Steps, at: Instant) -> list[Record]:
    """Return what to remember of one application of a target; empty where nothing was changed and nothing failed."""
    records = []
    names = [stream.stream for stream in steps.target.streams]
    first = names[0] if names else ""
    if applied.drift:
        text = f"somebody else had changed {', '.join(applied.drift)}: put right"
        records.append(Record(at, RecordKind.DRIFT, first, ACT_RULE, text, _lines(applied.changes, at)))
    if applied.changes:
        concerned = dict.fromkeys([action.stream for action in steps.actions] or [first])
        records.extend(_action(name, applied, steps, at) for name in concerned)
    if applied.problem is not None:
        text = clean(f"Postfix could not be set as it should be: {applied.problem}", 500)
        records.append(Record(at, RecordKind.ACTION_FAILED, first, ACT_RULE, text))
    return records


def _action(stream: str, applied: Applied, steps: Steps, at: Instant) -> Record:
    actions = [action for action in steps.actions if action.stream == stream]
    what = "; ".join(_sentence(action) for action in actions) or "settings brought up to date"
    told = "Postfix reloaded" if applied.reloaded else ("Postfix is stopped" if not applied.running else "not reloaded")
    target = next((one for one in steps.target.streams if one.stream == stream), None)
    return Record(
        at,
        RecordKind.ACTION,
        stream,
        ACT_RULE,
        clean(f"{what} ({told}, {applied.took_s:.2f} s)", 500),
        _lines(applied.changes, at),
        halt_id=target.paused_by if target is not None else "",
    )


def _sentence(action: Action) -> str:
    details = action.reason
    if action.pool is not None:
        details = f"{details}: {', '.join(action.pool)}"
    return f"{_WORDS[action.kind]} ({details})"


def _lines(changes: Sequence[Change], at: Instant) -> tuple[EvidenceLine, ...]:
    return tuple(EvidenceLine(at, f"{one.name}: {_value(one.before)} -> {_value(one.after)}") for one in changes)


def _value(value: str | None) -> str:
    return "(not set)" if value is None else clean(value, _VALUE_LIMIT) or "(empty)"


def acting_findings(acting: Acting, mode: str) -> Iterable[Finding]:
    """Yield what of acting a person should know."""
    if acting.problem is not None:
        yield Finding(Level.ERROR, "postfix_not_as_it_should_be", acting.problem, "postfix")
    if acting.postfix_running is False:
        text = "Postfix is stopped: nothing leaves, and what was set holds from its next start"
        yield Finding(Level.WARNING, "postfix_stopped", text, "postfix")
    for one in acting.streams:
        if one.leaking_at is not None:
            text = f"mail still leaves from {one.stream} although Postfix holds it: `pwmtad explain` has the lines"
            yield Finding(Level.ERROR, "halt_leaks", text, one.stream)
        if one.held_messages:
            text = f"{one.held_messages} messages wait on hold until the window has room, the oldest goes first"
            yield Finding(Level.WARNING, "backlog", text, one.stream)
        if one.parked_messages:
            text = f"{one.parked_messages} messages to domains that must not be mailed are parked on hold"
            yield Finding(Level.WARNING, "excluded_mail_parked", text, one.stream)
        if one.held_by and mode != "enforce":
            text = f"observe mode, but Postfix still holds {one.stream} ({one.held_by}): `pwmtad restore` lets it go"
            yield Finding(Level.WARNING, "held_while_observing", text, one.stream)


def egress_findings(broken: Mapping[str, Mapping[str, str]]) -> Iterable[Finding]:
    """Yield the egresses that can't be used. `broken`: by stream, egress -> what is wrong with it."""
    for stream, egresses in broken.items():
        for egress, fault in egresses.items():
            text = f"{stream} does without {egress}: {fault}. It is used again after {int(HEALTHY_S // 60)} min without a fault"
            yield Finding(Level.ERROR, "egress_out", text, egress)
