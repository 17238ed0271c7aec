"""What the root helper refuses to take from the daemon, however it is asked.

The daemon parses hostile text, so the helper treats it as somebody who may have been taken over: names, numbers and sizes are
checked again here. What is left to such a daemon: to stop mail, to let it go, to slow it, and to move it between smtp services.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from pwmtad.core.main_cf_values import is_pause_name
from pwmtad.core.text import clean
from pwmtad.model.target import PostfixTarget, StreamTarget

MAX_DOMAINS: Final = 100_000
MAX_SENDERS: Final = 1_000
MAX_STREAMS: Final = 100
MAX_EGRESSES: Final = 1_000
MAX_QUEUE_IDS: Final = 100_000
"""In one request. Own choice: twice the queue that must be dealt with."""
MAX_DELAY_S: Final = 3_601
"""One delivery an hour (core/governor)."""
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DOMAIN: Final = re.compile(r"(?=.{1,253}\Z)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}")
_SENDER: Final = re.compile(r"[A-Za-z0-9.!#$%&'+*/=?^_`{|}~-]{0,64}@[A-Za-z0-9.-]{1,253}")
"""RFC 5322 s3.2.3: a dot-atom. Quoted local parts are not for senders of one's own."""
_SHORT_ID: Final = r"[0-9A-F]{6,30}"
_LONG_ID: Final = r"[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-z]{10,20}z[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-y]{1,20}"
_QUEUE_ID: Final = re.compile(f"{_SHORT_ID}|{_LONG_ID}")
"""Postfix's global/mail_queue.h: digits and upper-case hex; or at least ten of 52 without vowels, `z`, the inode in 51."""


def is_queue_id(text: str) -> bool:
    """Whether it has one of the two shapes that Postfix makes."""
    return _QUEUE_ID.fullmatch(text) is not None


def usable_ids(queue_ids: Sequence[str]) -> tuple[tuple[str, ...], str | None]:
    """Return those that are taken, each once, and why the others are not, in words: one that is odd must not keep a whole
    backlog from being put on hold.
    """
    if len(queue_ids) > MAX_QUEUE_IDS:
        return (), f"more than {MAX_QUEUE_IDS} queue ids in one request"
    usable = tuple(one for one in dict.fromkeys(queue_ids) if is_queue_id(one))
    wrong = next((one for one in queue_ids if not is_queue_id(one)), None)
    return usable, None if wrong is None else f"left out what is no queue id, such as {clean(wrong, 40)!r}"


def refused_target(target: PostfixTarget) -> str | None:
    """Return why no part of the target is carried out, in words: what is wrong here never comes from a sound daemon."""
    return next(iter(_wrong(target)), None)


def _wrong(target: PostfixTarget) -> Iterable[str]:
    egresses = [egress for stream in target.streams for egress in stream.egresses]
    counts = (
        (len(target.streams), MAX_STREAMS, "streams"),
        (len(egresses), MAX_EGRESSES, "egresses"),
        (len(target.exempt_senders), MAX_SENDERS, "exempt senders"),
        (len(target.excluded_domains), MAX_DOMAINS, "excluded domains"),
    )
    yield from (f"more than {limit} {what}" for count, limit, what in counts if count > limit)
    yield from _not_shaped(_NAME, egresses, "the name of a service")
    yield from _not_shaped(_NAME, (target.exempt_transport,), "the name of a service")
    yield from _not_shaped(_SENDER, target.exempt_senders, "an envelope sender")
    yield from _not_shaped(_DOMAIN, target.excluded_domains, "a domain")
    if len(set(egresses)) != len(egresses):
        yield "an egress is named twice"
    if sum(bool(stream.pool) for stream in target.streams) > 1:
        yield "more than one stream has a pool"
    yield from _not_shaped(_NAME, (stream.stream for stream in target.streams), "the name of a stream")
    for stream in target.streams:
        yield from _wrong_stream(stream)


def _wrong_stream(stream: StreamTarget) -> Iterable[str]:
    if not {*stream.pool, *stream.deferred} <= {*stream.egresses}:
        yield "a stream's pool has what is none of its egresses"
    if len({*stream.pool}) != len(stream.pool):
        yield "a pool names an egress twice"
    if stream.paused_by and not is_pause_name(stream.paused_by):
        yield f"not the name of a halt: {clean(stream.paused_by, 60)!r}"
    if not 0 <= stream.rate_delay_s <= MAX_DELAY_S:
        yield f"a rate delay of {stream.rate_delay_s} s is not from 0 to {MAX_DELAY_S}"


def _not_shaped(shape: re.Pattern[str], texts: Iterable[str], what: str) -> Iterable[str]:
    return (f"not {what}: {clean(text, 60)!r}" for text in texts if shape.fullmatch(text) is None)
