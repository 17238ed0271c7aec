"""Taking a reply apart: the text in the last parentheses of a delivery line, or of an interim smtp(8) line.

Shapes (Postfix smtp_trouble.c, smtp_proto.c):
    host H[IP] said: R (in reply to PHASE)          a reply to a command
    host H[IP] refused to talk to me: R             a greeting, or a reply to EHLO
    250 2.0.0 OK ...                                a reply alone (`status=sent`)
    connect to H[IP]:25: Connection refused ...     Postfix's own sentence
R is written by the remote, so only its place makes a part structural: the words before it, and the one
`(in reply to PHASE)` at the very end. syslog may have cut the line anywhere.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from pwmtad.model.replies import Reply

MAX_NORMALISED: Final = 2000
"""Characters of a normalised reply. Postfix cuts each reply line at 2,048 (seen in a run of 3.7.11)."""
_MAX_RAW: Final = 8192
"""Characters of a reply that are looked at: rsyslog's default maxMessageSize is 8 KiB."""
_HEAD: Final = 1500
"""Of a reply that is too long the middle is left out: what a gateway appends in the end tells whose words they are."""
_GAP: Final = " [...] "
_TAIL: Final = MAX_NORMALISED - _HEAD - len(_GAP)

# H is at most 255 characters (RFC 1035 s2.3.4), IP may be the path of a Unix socket.
_FROM_HOST: Final = re.compile(r"host [^\s\[]{1,255}\[[^\s\[\]]{1,255}\](?::[0-9]{1,5})? (?:said|(refused to talk to me)): ")
# RFC 5321 s4.2: a reply line is three digits, then a hyphen (more follow) or a space, then text. RFC 3463 s2 for the rest.
_CODE: Final = re.compile(r"([2-5][0-9]{2})(?=[- ]|$)(?:[- ]([245]\.[0-9]{1,3}\.[0-9]{1,3})(?![^\s]))?")
_THREE_DIGITS: Final = re.compile(r"[2-5][0-9]{2}\Z")
_ENHANCED: Final = re.compile(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}\Z")
_PREFIX: Final = re.compile(r" [2-5][0-9]{2}[- ][245]\.[0-9]{1,3}\.[0-9]{1,3}(?![^ ])")
_GLUED: Final = re.compile(r"[2-5][0-9]{2}-[245]\.[0-9]{1,3}\.[0-9]{1,3}\Z")
_IN_REPLY_TO: Final = "(in reply to "
_PHASES: Final = (
    # smtp_proto.c, xfer_request[], and the commands before a transaction
    "MAIL FROM command",
    "RCPT TO command",
    "DATA command",
    "end of DATA command",
    "EHLO command",
    "HELO command",
    "LHLO command",
    "STARTTLS command",
    "AUTH command",
    "XFORWARD name/address command",
    "XFORWARD protocol/helo_name command",
    "final RSET command",
    "RSET probe command",
    "QUIT command",
)
_PHASE_SET: Final = frozenset(_PHASES)

_BLANK: Final = "\t\n\v\f\r\x1c\x1d\x1e\x1f\x85\u2028\u2029"
_INVISIBLE: Final = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
_TO_SPACE: Final = {ord(char): " " for char in _BLANK}


def parse_reply(text: str) -> Reply:
    """Take `text` apart. Never fails: what is no reply code gives `code` None, what no remote said gives `said` False."""
    host = _FROM_HOST.match(text)
    if host is not None:
        reply, phase = _split_phase(text[host.end() :])
        return _said(reply, phase, greeting=host[1] is not None)
    reply, phase = _split_phase(text)
    if _CODE.match(reply):
        return _said(reply, phase, greeting=False)
    return Reply(said=False, code=None, enhanced=None, text=text, normalised=normalise(text), phase=None, greeting=False)


def normalise(text: str) -> str:
    """Return `text` on one line: controls dropped, white space folded, repeated code prefixes of a folded multi-line
    reply removed (`550-5.7.1 a 550 5.7.1 b` -> `550 5.7.1 a b`), at most 2,000 characters. Idempotent, linear in time.
    """
    if len(text) > _MAX_RAW:
        text = text[: _MAX_RAW - 2048] + _GAP + text[-2048:]
    if not text.isprintable():
        text = _INVISIBLE.sub("", text.translate(_TO_SPACE))
    line = text
    if "  " in text or text[:1].isspace() or text[-1:].isspace() or not text.isprintable():
        line = " ".join(text.split())
    found = _CODE.match(line)
    if found is not None:
        line = _unfold(line, found[1])
    return line if len(line) <= MAX_NORMALISED else _without_middle(line)


def _said(reply: str, phase: str | None, *, greeting: bool) -> Reply:
    normalised = normalise(reply)
    found = _CODE.match(normalised)
    code, enhanced = (int(found[1]), found[2]) if found is not None else (None, None)
    return Reply(True, code, enhanced, reply, normalised, phase, greeting)


def _split_phase(text: str) -> tuple[str, str | None]:
    """Cut the structural `(in reply to PHASE)` off the end; only the last one counts, only of a known command."""
    start = text.rfind(_IN_REPLY_TO)
    if start < 0:
        return text, None
    phase = text[start + len(_IN_REPLY_TO) :]
    if phase[-1:] == ")":
        phase = phase.rstrip(")")
        if phase not in _PHASE_SET:
            return text, None
    else:  # cut by syslog: told from the part that is left, if that fits one command only
        whole = [known for known in _PHASES if known.startswith(phase)]
        if not whole:
            return text, None
        phase = whole[0] if len(whole) == 1 else ""
    return text[:start].rstrip(), phase or None


def _unfold(line: str, code: str) -> str:
    """Remove the prefixes of the lines after the first.

    Postfix folds the lines of a reply with a space and keeps each line's prefix: `550-5.7.1 ` or `550-` in front of all
    but the last, which has `550 5.7.1 ` or `550 `. Any code that is followed by an enhanced status code goes, too.
    """
    folded = line[3:4] == "-"
    if folded:
        prefix = _prefix_of(code)
        short = " ".join((code + prefix.sub(" ", " " + line[4:])).split())
        if prefix.search(short) is None and _PREFIX.search(short) is None:
            return short
    elif _PREFIX.search(line) is None:
        return line
    return " ".join(_reduce(line.split(" "), folded=folded))


@lru_cache(maxsize=400)  # one for each reply code from 200 to 599
def _prefix_of(code: str) -> re.Pattern[str]:
    return re.compile(rf" {code}(?:[- ][245]\.[0-9]{{1,3}}\.[0-9]{{1,3}}(?= |$)|-|(?= |$))")


def _reduce(tokens: list[str], *, folded: bool) -> list[str]:
    """Do the same with prefixes in prefixes: a hostile reply must not come out as one that would be shortened again."""
    code = tokens[0][:3]
    out = [code]
    first = tokens[0][4:]
    if first:
        _push(out, first, code + "-" if folded else None)
    for token in tokens[1:]:
        _push(out, token, code + "-" if folded else None)
    return [code, *(token for token in out[1:] if token != code)] if folded else out


def _push(out: list[str], token: str, prefix: str | None) -> None:
    """Append `token` unless it completes a prefix, which then goes as a whole: linear, and `out` never holds one."""
    if prefix is not None and token.startswith(prefix):
        while token.startswith(prefix):
            token = token[4:]
        if not token or (len(out) > 1 and _ENHANCED.match(token)):
            return
    if _GLUED.match(token):
        return
    if len(out) > 1 and _ENHANCED.match(token) and _THREE_DIGITS.match(out[-1]):
        out.pop()
        return
    out.append(token)


def _without_middle(line: str) -> str:
    """Leave the middle out, at spaces where there are some near: half a number must not become a code."""
    head, tail = line[:_HEAD], line[-_TAIL:]
    if line[_HEAD] != " ":
        space = head.rfind(" ", _HEAD - 100)
        head = head[:space] if space > 0 else head
    if line[-_TAIL - 1] != " ":
        space = tail.find(" ", 0, 100)
        tail = tail[space + 1 :] if space >= 0 else tail
    return head.rstrip() + _GAP + tail.lstrip()
