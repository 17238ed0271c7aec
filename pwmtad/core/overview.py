"""The page at `/`: what the daemon sees, for a person who opens it in a browser. Pure: same snapshot, same page."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Final

from pwmtad.core.state_json import moment
from pwmtad.model.judgement import Desired
from pwmtad.model.state import Snapshot, State, StreamState

_LINKS: Final = (
    ("/metrics", "for Prometheus"),
    ("/healthz", "whether ticks finish"),
    ("/readyz", "whether all logs are read"),
    ("/api/v1/state", "everything, as JSON"),
)
_STYLE: Final = (
    "body{font:16px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#222;background:#fff}"
    "table{border-collapse:collapse}td,th{padding:.2em 1.2em .2em 0;text-align:left;vertical-align:top}"
    "td.number,th.number{text-align:right}.error,.unknown{color:#b00020;font-weight:bold}.warning{color:#8a5a00}"
)


def overview_page(snapshot: Snapshot) -> str:
    """Return the page as HTML without scripts; all text that came from outside is escaped."""
    state = snapshot.state
    ready = "ready" if snapshot.ready else "not ready: " + "; ".join(snapshot.not_ready)
    parts = (
        f"<h1>pwmtad {escape(state.version)} on {escape(state.host)}</h1>",
        f"<p>{escape(state.summary)}</p>",
        f"<p>{escape(moment(state.at))}; {escape(ready)}</p>",
        *_halts(state),
        *_findings(state),
        *_streams(state),
        "<h2>More</h2><ul>",
        *(f'<li><a href="{path}">{path}</a>: {text}</li>' for path, text in _LINKS),
        "</ul><p>On the host: <code>pwmtad status</code>, <code>pwmtad report</code>.</p>",
    )
    head = f'<meta charset="utf-8"><title>pwmtad on {escape(state.host)}</title><style>{_STYLE}</style>'
    return "\n".join((f'<!doctype html><html lang="en"><head>{head}</head><body>', *parts, "</body></html>\n"))


def _halts(state: State) -> Iterable[str]:
    if not state.halts:
        return
    yield "<h2>Halts</h2>"
    if state.mode != "enforce":
        yield "<p>Observe mode: nothing is held. This is what enforce mode would hold.</p>"
    yield "<table><tr><th>halt</th><th>phase</th><th>holds until</th><th>why</th></tr>"
    for halt in state.halts:
        until = "released" if halt.hold_until is None else moment(halt.hold_until)
        cells = (halt.id, halt.phase.value, until, halt.reason)
        yield "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
    yield "</table>"


def _findings(state: State) -> Iterable[str]:
    yield "<h2>Findings</h2>"
    if not state.findings:
        yield "<p>None.</p>"
        return
    yield "<table>"
    for found in state.findings:
        level = escape(found.level.value)
        yield f'<tr><td class="{level}">{level}</td><td>{escape(found.subject)}</td><td>{escape(found.text)}</td></tr>'
    yield "</table>"


def _streams(state: State) -> Iterable[str]:
    names = ("last hour", "window an hour", "today (UTC)", "ceiling")
    columns = "".join(f'<th class="number">{name}</th>' for name in names)
    yield f"<h2>Streams</h2><table><tr><th>stream</th><th>may send</th><th>warmup day</th>{columns}</tr>"
    judged = {desired.stream: desired for desired in state.desired}
    for stream in state.streams:
        desired = judged.get(stream.name)
        numbers = (
            stream.first_attempts_hour,
            stream.window_per_hour if desired is None else desired.window_per_hour,
            stream.first_attempts_utc_day,
            stream.ceiling_per_day,
        )
        cells = "".join(f'<td class="number">{"?" if number is None else f"{number:,}"}</td>' for number in numbers)
        words = (stream.name, _may_send(desired), _day(stream, desired))
        yield "<tr>" + "".join(f"<td>{escape(word)}</td>" for word in words) + f"{cells}</tr>"
    yield "</table>"


def _may_send(desired: Desired | None) -> str:
    if desired is None:
        return "?"
    if not desired.sending:
        return "no: " + ", ".join(desired.reasons)
    return "yes" if desired.growth else "yes, but nothing grows"


def _day(stream: StreamState, desired: Desired | None) -> str:
    day = "?" if stream.warmup_day is None else str(stream.warmup_day)
    if desired is None or desired.effective_day in (None, stream.warmup_day):
        return day
    return f"{day}, counts as {desired.effective_day}"
