"""Arithmetic of Listmonk's send window, which it calls sliding and which tumbles.

It begins with the process and moves only when a message is pushed after its end; within it all messages leave as a burst. So an
hour that begins anywhere can meet one window more than fit into it, and each restart opens one more. The window for a rung of
the ladder is therefore short, lets few out, and leaves room for restarts: then no hour exceeds the rung, and mail is spread
as a side effect (facts of listmonk, pipe.go:95-135; the choice of numbers is our own).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Final, TypeAlias

from pwmtad.core.text import clean
from pwmtad.model.counters import HOUR_S
from pwmtad.model.listmonk import MIN_RATE, EngineSettings, SendWindow

FLAG: Final = "app.message_sliding_window"
RATE: Final = "app.message_sliding_window_rate"
DURATION: Final = "app.message_sliding_window_duration"
BATCH: Final = "app.batch_size"

Assignment: TypeAlias = tuple[str, bool | int | str]
"""A settings key and its new value, of exactly the JSON type that Listmonk's struct has."""

SHORTEST_S: Final = 10
"""Shorter windows would be held to Listmonk's own clockwork (scan 5 s, restart 3 s) more than to time."""
_SPARE_RESTARTS: Final = 3
"""Restarts within an hour that stay inside its allowance, where it is large enough."""
_SHARE_SPARED: Final = 8
"""At most this part of an hour's windows is kept for restarts, but one always."""
_DEFAULT_BATCH: Final = 1000
"""What Listmonk makes of a batch size below 1."""
DRAIN_SLACK_S: Final = 60.0
"""Above the time that the window asks for: messages in transmission, and the cleaning up."""

_GO_DURATION: Final = re.compile(r"[-+]?(?:[0-9]{1,18}(?:\.[0-9]{0,18})?(?:ns|us|\u00b5s|\u03bcs|ms|s|m|h)){1,16}", re.ASCII)
_GO_PART: Final = re.compile(r"([0-9.]+)([a-z\u00b5\u03bc]+)")
_GO_UNITS: Final = {
    "ns": 1e-9, "us": 1e-6, "\u00b5s": 1e-6, "\u03bcs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0,
}  # fmt: skip


def window_for(per_hour: int, extra: int) -> SendWindow | None:
    """Return the window that lets at most `per_hour` out of any hour; None if there is none (below 6, or 9 with `extra`).

    `extra`: messages that this version lets out above the rate.
    """
    let_out = MIN_RATE + extra
    while True:
        windows = per_hour // let_out
        spared = max(1, min(_SPARE_RESTARTS, windows // _SHARE_SPARED))
        within = windows - 1 - spared
        if within < 1:
            return None
        duration_s = math.ceil(HOUR_S / within)
        if duration_s >= SHORTEST_S:
            return SendWindow(let_out - extra, duration_s)
        let_out += 1


def go_seconds(text: str) -> float:
    """Return the seconds of a Go duration (`1h30m`); 0.0 for what Go does not take, as Listmonk does."""
    if not _GO_DURATION.fullmatch(text):
        return 0.0
    seconds = sum(float(number) * _GO_UNITS[unit] for number, unit in _GO_PART.findall(text))
    return -seconds if text.startswith("-") else seconds


def go_text(seconds: int) -> str:
    """Return a Go duration."""
    return f"{seconds // HOUR_S}h" if seconds % HOUR_S == 0 else f"{seconds}s"


def engine_of(settings: Mapping[str, object]) -> EngineSettings | None:
    """Read the four keys; None where one of them is missing. A value of another type is no limit, as Listmonk takes it."""
    if any(key not in settings for key in (FLAG, RATE, DURATION, BATCH)):
        return None
    duration = settings[DURATION]
    text = duration if isinstance(duration, str) else ""
    return EngineSettings(
        limited=settings[FLAG] is True,
        rate=_whole(settings[RATE]),
        duration_s=go_seconds(text),
        batch_size=_whole(settings[BATCH]),
        duration=clean(text, 40),
    )


def _whole(value: object) -> int:
    return value if type(value) is int else 0


def limits(engine: EngineSettings) -> bool:
    """Tell whether the window limits anything: a rate of 0 or a duration of a second does not."""
    return engine.limited and engine.rate > 0 and engine.duration_s > 1


def most_per_hour(engine: EngineSettings, extra: int, restarts: int = 1) -> float:
    """Return what any one hour can see at most, with so many restarts in it; infinity where nothing is limited."""
    if not limits(engine):
        return math.inf
    windows = math.ceil(HOUR_S / engine.duration_s) + 1 + restarts
    return windows * (engine.rate + extra)


def usual_per_hour(engine: EngineSettings, extra: int) -> float:
    """Return what an hour sees on average while there is enough to send; infinity where nothing is limited."""
    return (engine.rate + extra) * HOUR_S / engine.duration_s if limits(engine) else math.inf


def as_engine(window: SendWindow, batch_size: int) -> EngineSettings:
    """Return the window as Listmonk's settings hold it."""
    return EngineSettings(True, window.rate, float(window.duration_s), batch_size, go_text(window.duration_s))


def is_window(engine: EngineSettings, window: SendWindow) -> bool:
    """Tell whether this is that window, however its duration is written."""
    return (engine.limited, engine.rate, engine.duration_s) == (True, window.rate, window.duration_s)


def drain_s(engine: EngineSettings | None) -> float:
    """Return how long Listmonk may go on with a paused campaign's fetched batch: each of it counts, though none is sent."""
    if engine is None:
        return HOUR_S + DRAIN_SLACK_S
    if not limits(engine):
        return DRAIN_SLACK_S
    batch = engine.batch_size if engine.batch_size >= 1 else _DEFAULT_BATCH
    return (math.ceil(batch / engine.rate) + 1) * engine.duration_s + DRAIN_SLACK_S


def assignments(stored: EngineSettings, window: SendWindow, batch_size: int) -> tuple[Assignment, ...]:
    """Return what differs, in an order of which no beginning is faster than both old and new.

    The process may end after any of them, and the next one works with what is stored. The batch goes first: a large one behind
    a small rate would drain for weeks. Then the flag: any limit is better than none. Then the rate, if that makes it smaller;
    else the duration.
    """
    flag: Assignment = (FLAG, True)
    rate: Assignment = (RATE, window.rate)
    duration: Assignment = (DURATION, go_text(window.duration_s))
    batch: Assignment = (BATCH, batch_size)
    order = [batch, flag, rate, duration] if window.rate <= stored.rate else [batch, flag, duration, rate]
    wrong = {
        BATCH: stored.batch_size != batch_size,
        FLAG: not stored.limited,
        RATE: stored.rate != window.rate,
        DURATION: stored.duration_s != window.duration_s,
    }
    return tuple(one for one in order if wrong[one[0]])
