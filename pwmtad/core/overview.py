"""The page at `/`: what the daemon sees, for a person who opens it in a browser. Pure: same snapshot, same page."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Final

from pwmtad.core.state_json import moment
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
        *_findings(state),
        *_streams(state.streams),
        "<h2>More</h2><ul>",
        *(f'<li><a href="{path}">{path}</a>: {text}</li>' for path, text in _LINKS),
        "</ul><p>On the host: <code>pwmtad status</code>, <code>pwmtad report</code>.</p>",
    )
    head = f'<meta charset="utf-8"><title>pwmtad on {escape(state.host)}</title><style>{_STYLE}</style>'
    return "\n".join((f'<!doctype html><html lang="en"><head>{head}</head><body>', *parts, "</body></html>\n"))


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


def _streams(streams: Iterable[StreamState]) -> Iterable[str]:
    names = ("last hour", "window an hour", "today (UTC)", "ceiling")
    columns = "".join(f'<th class="number">{name}</th>' for name in names)
    yield f"<h2>Streams</h2><table><tr><th>stream</th><th>warmup day</th>{columns}</tr>"
    for stream in streams:
        numbers = (
            stream.first_attempts_hour,
            stream.window_per_hour,
            stream.first_attempts_utc_day,
            stream.ceiling_per_day,
        )
        cells = "".join(f'<td class="number">{"?" if number is None else f"{number:,}"}</td>' for number in numbers)
        day = "?" if stream.warmup_day is None else str(stream.warmup_day)
        yield f"<tr><td>{escape(stream.name)}</td><td>{day}</td>{cells}</tr>"
    yield "</table>"
