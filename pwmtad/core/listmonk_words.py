"""Words for what was done to Listmonk: the records, and the findings that stand meanwhile."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from pwmtad.core.listmonk_campaigns import unsure
from pwmtad.core.listmonk_hand import Noticed
from pwmtad.core.listmonk_window import limits
from pwmtad.core.text import clean
from pwmtad.model.acting import ListmonkActing
from pwmtad.model.judgement import Record, RecordKind
from pwmtad.model.listmonk import (
    Campaign,
    EngineSettings,
    HandWindow,
    Holding,
    ListmonkMemory,
    Outcome,
    PausedCampaign,
    SendWindow,
    Traits,
)
from pwmtad.model.names import Instant
from pwmtad.model.state import Finding, Level

LISTMONK_RULE: Final = "listmonk"
_LIMIT: Final = 500
_NAMED: Final = 5
"""Campaigns that one sentence names."""
_LEVELS: Final[dict[str, Level]] = {
    "listmonk_unreachable": Level.UNKNOWN,
    "listmonk_settings_unread": Level.UNKNOWN,
    "listmonk_not_drained": Level.WARNING,
    "listmonk_not_stored": Level.WARNING,
}
"""Of troubles; all others are errors."""


def engine_words(engine: EngineSettings) -> str:
    """Return a send window in words: `300 each 1h`."""
    return f"{engine.rate} each {engine.duration}" if limits(engine) else "no limit"


def window_words(window: SendWindow) -> str:
    """Return a send window in words: `2 each 25s`."""
    return f"{window.rate} each {window.duration_s}s"


def _named(campaigns: Sequence[Campaign | PausedCampaign]) -> str:
    names = [f"{one.id} ({one.name})" for one in campaigns[:_NAMED]]
    more = len(campaigns) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")


def _count(campaigns: Sequence[Campaign | PausedCampaign]) -> str:
    return "1 campaign" if len(campaigns) == 1 else f"{len(campaigns)} campaigns"


def paused_records(
    stream: str,
    campaigns: Sequence[Campaign],
    outcomes: Mapping[int, Outcome],
    why: str,
    *,
    early: Collection[int],
    halt_id: str,
    at: Instant,
) -> list[Record]:
    """Return what to remember of requests to pause. `early`: those that had sent nothing yet, where that is harmful."""
    done = [one for one in campaigns if outcomes[one.id] is Outcome.DONE]
    if not done:
        return []
    text = f"paused {_count(done)}: {_named(done)}; {why}"
    spoiled = [one for one in done if one.id in early]
    if spoiled:
        text += (
            f"; {_named(spoiled)} had not been seen to send since it started: this version of Listmonk may skip or repeat "
            f"recipients of it (#2070)"
        )
    text = clean(text, _LIMIT)
    return [Record(at, RecordKind.ACTION, stream, LISTMONK_RULE, text, before="running", after="paused", halt_id=halt_id)]


def resumed_records(
    stream: str, campaigns: Sequence[PausedCampaign], outcomes: Mapping[int, Outcome], at: Instant
) -> list[Record]:
    """Return what to remember of requests to resume."""
    done = [one for one in campaigns if outcomes[one.id] is Outcome.DONE]
    if not done:
        return []
    text = clean(f"resumed {_count(done)} that pwmtad had paused: {_named(done)}", _LIMIT)
    return [Record(at, RecordKind.ACTION, stream, LISTMONK_RULE, text, before="paused", after="running")]


def window_record(stream: str, before: str, window: SendWindow, per_hour: int, at: Instant) -> Record:
    """Return the record of a window that was set and is in force."""
    text = f"send window set for {per_hour} an hour: {window_words(window)}; Listmonk has restarted with it"
    return Record(at, RecordKind.ACTION, stream, LISTMONK_RULE, text, before=before, after=window_words(window))


def hand_record(stream: str, noticed: Noticed, at: Instant) -> Record | None:
    """Return the record of a window that somebody else had set; None if there is no news."""
    news = noticed.news
    if news is None:
        return None
    found = engine_words(news.engine)
    what = f"it stays at {news.per_hour} an hour" if news.per_hour is not None else "it is set to what the ladder allows"
    if noticed.first:
        return Record(at, RecordKind.FINDING, stream, LISTMONK_RULE, f"found with a send window of {found}: {what}")
    text = f"somebody set the send window to {found}: {what}"
    return Record(at, RecordKind.DRIFT, stream, LISTMONK_RULE, text, after=found)


def given_up_record(stream: str, held: PausedCampaign, at: Instant) -> Record:
    """Return the record of a campaign of which nobody knows any more whose pause it is."""
    why = f"campaign {held.id} ({held.name}) is paused, and not known any more to be paused by pwmtad: it is not resumed"
    return Record(at, RecordKind.DRIFT, stream, LISTMONK_RULE, clean(why, _LIMIT))


def failed_record(stream: str, text: str, at: Instant) -> Record:
    """Return the record of something that could not be done."""
    return Record(at, RecordKind.ACTION_FAILED, stream, LISTMONK_RULE, clean(text, _LIMIT))


def listmonk_findings(
    acting: ListmonkActing, troubles: Mapping[str, str], memory: ListmonkMemory, traits: Traits | None, mode: str
) -> Iterable[Finding]:
    """Yield what a person should know of one instance."""
    stream = acting.stream
    for code, text in troubles.items():
        yield Finding(_LEVELS.get(code, Level.ERROR), code, f"{stream}: {text}", stream)
    yield from _hand_findings(stream, memory.hand)
    nobodys = unsure(memory)
    if nobodys:
        text = (
            f"{stream}: {_count(nobodys)} paused, not known whether by pwmtad: {_named(nobodys)}; what shall go on has to be "
            f"resumed in Listmonk"
        )
        yield Finding(Level.WARNING, "listmonk_pause_of_nobody", clean(text, _LIMIT), stream)
    held_count = sum(held.holding is not Holding.UNSURE for held in memory.campaigns)
    if held_count and mode != "enforce":
        text = f"{stream}: observe mode, but {held_count} campaign(s) are still paused by pwmtad: resume them in Listmonk"
        yield Finding(Level.WARNING, "listmonk_held_while_observing", text, stream)
    if traits is not None:
        yield from _version_findings(stream, traits)


def _hand_findings(stream: str, hand: HandWindow | None) -> Iterable[Finding]:
    if hand is not None and hand.per_hour is not None:
        text = (
            f"{stream}: a send window of {engine_words(hand.engine)} was set by somebody else, so no more than {hand.per_hour} "
            f"an hour are let out; to give it back to pwmtad, set a larger one in Listmonk's settings"
        )
        yield Finding(Level.WARNING, "listmonk_window_by_hand", text, stream)


def _version_findings(stream: str, traits: Traits) -> Iterable[Finding]:
    if not traits.known:
        text = f"{stream}: Listmonk says it is {traits.name!r}, which is not known here: it is taken for the nearest version"
        yield Finding(Level.WARNING, "listmonk_version_unknown", text, stream)
    if traits.supported and traits.least_batch > 1:
        text = (
            f"{stream}: Listmonk 3 ends a campaign when a whole batch of recipients may not be mailed, and batches of up to "
            f"{traits.least_batch} take long to drain after a pause: upgrade it to 4 or later"
        )
        yield Finding(Level.WARNING, "listmonk_ends_campaigns_early", text, stream)
