"""Logging: JSON lines under systemd, colours on a terminal. Event names are constant; values stand beside them."""

from __future__ import annotations

from typing import TextIO

import structlog
from structlog.typing import Processor

from pwmtad.core.text import clean

_LIMIT = 2000
"""Characters of a value: what a remote said may be 2 KiB a line (smtp_line_length_limit)."""


def set_up_logging(stream: TextIO) -> None:
    """Make structlog write to `stream`."""
    terminal = stream.isatty()
    last: list[Processor] = (
        [structlog.dev.ConsoleRenderer(colors=True)]
        if terminal
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(sort_keys=False)]
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _clean_values,
            *last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(20),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )


def _clean_values(_logger: object, _name: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = clean(value, _LIMIT)
    return event
