"""Words for suppressions: the records, and the findings. Recipients are in neither, only their number and domains."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec.structs import replace

from pwmtad.core.suppress_brake import HardShare
from pwmtad.core.text import clean
from pwmtad.model.audience import BounceSettings
from pwmtad.model.judgement import Record, RecordKind
from pwmtad.model.names import Instant
from pwmtad.model.state import Finding, Level
from pwmtad.model.suppression import HELD_BACK, ReportState, SuppressionCount, SuppressionKey, shown_state

SUPPRESS_RULE: Final = "suppressions"
HELD_RULE: Final = "hard-bounces-held-back"
_NAMED: Final = 5
_LIMIT: Final = 300
_LEVELS: Final = {"suppression_waits": Level.WARNING, "suppression_forbidden": Level.ERROR}


def blocklisted_record(stream: str, done: Mapping[str, int], at: Instant) -> Record:
    """Return the record of what was read back as done."""
    by_class = ", ".join(f"{name} {count}" for name, count in sorted(done.items()))
    text = f"{sum(done.values())} suppression(s) seen in force at Listmonk: {by_class}"
    return Record(at, RecordKind.ACTION, stream, SUPPRESS_RULE, text)


def person_record(stream: str, keys: Iterable[SuppressionKey], done: str, why: str, by: str, at: Instant) -> Record:
    """Return the record of what a person added or removed."""
    subjects = {(key.kind, key.subject) for key in keys}
    domains = sorted({subject.rpartition("@")[2] for _, subject in subjects})
    shown = ", ".join(domains[:_NAMED]) + (f" and {len(domains) - _NAMED} more" if len(domains) > _NAMED else "")
    text = f"{len(subjects)} {done}, of {shown}" + (f": {why}" if why else "") + f" ({by})"
    return Record(at, RecordKind.ACTION, stream, SUPPRESS_RULE, clean(text, _LIMIT))


def held_back_record(stream: str, operator: str, share: HardShare, at: Instant) -> Record:
    """Return the record of an operator that is not believed any more."""
    return Record(at, RecordKind.FINDING, stream, HELD_RULE, held_back_words(operator, share))


def held_back_findings(held: Iterable[tuple[str, str, HardShare]]) -> Iterable[Finding]:
    """Yield what a person should know of operators that are not believed now."""
    for stream, operator, share in held:
        text = (
            f"{stream}: {held_back_words(operator, share)}. Wait: who is refused again on another day, when {operator} is "
            f"well, is suppressed then. Or, if it is right: pwmtad suppressions list --state {HELD_BACK}, "
            f"pwmtad suppressions add"
        )
        yield Finding(Level.WARNING, "suppression_held_back", text, stream)


def held_back_words(operator: str, share: HardShare) -> str:
    """Say why an operator is not believed."""
    return (
        f"{operator} refused {share.hard:.0f} of its newest {share.attempts} recipients for good, which is more likely its own "
        f"mistake than theirs: its hard bounces are held back, and Listmonk is not told of them"
    )


def as_shown(counts: Iterable[SuppressionCount]) -> tuple[SuppressionCount, ...]:
    """Return counts in which hard bounces that wait for a second day are called held back."""
    return tuple(replace(one, state=shown_state(one.reply_class, one.state)) for one in counts)


def suppression_findings(
    stream: str, troubles: Mapping[str, str], bounces: BounceSettings | None, choice: str
) -> Iterable[Finding]:
    """Yield what a person should know of telling one instance."""
    for code, text in troubles.items():
        yield Finding(_LEVELS.get(code, Level.WARNING), code, clean(f"{stream}: {text}", _LIMIT), stream)
    if bounces is not None and bounces.deletes:
        what = "it is told all the same, as listmonk.suppress says" if choice == "webhook" else "pwmtad blocklists instead"
        text = (
            f"{stream}: Listmonk deletes who bounces hard (bounce.actions): with the subscriber goes all that says not to mail "
            f"again, and the next import brings it back; {what}. Set the action to blocklist"
        )
        yield Finding(Level.WARNING, "bounce_action_deletes", text, stream)


def count_findings(counts: Iterable[SuppressionCount]) -> Iterable[Finding]:
    """Yield what a person should know of rows that are not in force."""
    left: dict[str, int] = {}
    failed: dict[str, int] = {}
    for count in counts:
        table = {ReportState.LEFT.value: left, ReportState.FAILED.value: failed}.get(count.state)
        if table is not None:
            table[count.stream] = table.get(count.stream, 0) + count.rows
    for stream, rows in left.items():
        text = (
            f"{stream}: {rows} dead domain(s) have more subscribers than suppression.max_domain_subscribers, so nobody there "
            f"is blocklisted: pwmtad suppressions list --state left"
        )
        yield Finding(Level.WARNING, "suppression_left", text, stream)
    for stream, rows in failed.items():
        text = (
            f"{stream}: {rows} suppression(s) that Listmonk was told of, or can't be asked about, are not in force there: "
            f"pwmtad suppressions list --state failed"
        )
        yield Finding(Level.ERROR, "suppression_not_in_force", text, stream)
