"""Patterns of reply rules: a subset of Python's regular expressions that stays fast on hostile text.

A pattern is searched in up to 2,000 characters that a remote wrote. Python's engine backtracks, so what can make it slow is
refused when the rules are read: a repeated group, a back reference, more than one unbounded wide repeat (`.*`, `[^x]+`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

MAX_PATTERN: Final = 1000
"""Characters. Own choice: twice the longest list of phrases that is shipped."""
MIN_LITERAL: Final = 3
"""A shorter literal is in nearly every reply: looking for it first would not save anything."""

_TOKEN: Final = re.compile(
    r"""(?P<escape>\\.)
      | (?P<set>\[\^?\]?(?:\\.|[^\]\\])*\])
      | (?P<open>\((?:\?(?:P[<=]|P>|<[=!]|.)?)?)
      | (?P<close>\))
      | (?P<either>\|)
      | (?P<repeat>(?:[*+?]|\{[0-9]*,?[0-9]*\})[?+]?)
      | (?P<anchor>[\^$])
      | (?P<char>.)""",
    re.VERBOSE | re.DOTALL,
)
_GROUPS: Final = frozenset({"(", "(?:", "(?=", "(?!"})
_WIDE_ESCAPES: Final = frozenset({r"\S", r"\D", r"\W"})
_UPPER: Final = re.compile(r"(\\.)|([A-Z]+)")


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Compile for a search in lower-cased text: quicker than ignoring case there. Raises `re.error`."""
    lowered = _UPPER.sub(lambda found: found[1] or found[2].lower(), pattern)
    return re.compile(lowered, re.ASCII)


def pattern_fault(pattern: str) -> str | None:
    """Say in words what is wrong with `pattern`, or None."""
    if not 0 < len(pattern) <= MAX_PATTERN:
        return f"a pattern of 1 to {MAX_PATTERN} characters"
    fault = _slow(pattern)
    if fault is not None:
        return fault
    try:
        found = compile_pattern(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        return f"a regular expression (Python's re: {error})"
    if found.search("") is not None:
        return "a pattern that does not match an empty reply"
    return None


def literals_of(pattern: str) -> tuple[str, ...]:
    """Return texts of which at least one is in any text that `pattern` matches, lower-case; () if none can be told."""
    literals = []
    for alternative in _alternatives(pattern):
        longest = max(alternative, key=len, default="")
        if len(longest) < MIN_LITERAL:
            return ()
        literals.append(longest)
    return tuple(dict.fromkeys(literals))


def _tokens(pattern: str) -> Iterator[tuple[str, str]]:
    for found in _TOKEN.finditer(pattern):
        yield found.lastgroup or "char", found[0]


def _slow(pattern: str) -> str | None:
    wide = unbounded = 0
    before = ("", "")
    for kind, text in _tokens(pattern):
        if kind == "open" and text not in _GROUPS:
            return "groups `(...)`, `(?:...)`, `(?=...)` and `(?!...)` only"
        if kind == "escape" and text[1].isdigit():
            return "no back references"
        if kind == "repeat" and before[0] == "close" and text[0] != "?":
            return "no repeated group: `(...)?` at most (repeats of repeats are slow on hostile text)"
        if kind == "repeat" and text[0] != "?" and _is_wide(*before):
            wide += 1
            unbounded += text[0] in "*+" or ",}" in text
        before = (kind, text)
    if unbounded > 1 or wide > 2:
        return "at most two repeats of `.` or of a negated set, one of them without limit (write `.{0,60}`)"
    return None


def _is_wide(kind: str, text: str) -> bool:
    return text == "." or text in _WIDE_ESCAPES or (kind == "set" and text[1] == "^")


def _alternatives(pattern: str) -> list[list[str]]:
    """Runs of plain characters outside of groups, for each alternative at the top."""
    found: list[list[str]] = [[]]
    run = ""
    depth = 0
    for kind, text in _tokens(pattern):
        char = _plain(kind, text) if depth == 0 else ""
        if char:
            run += char
            continue
        if kind == "repeat" and depth == 0 and (text[0] in "*?" or text.startswith(("{0", "{,"))):
            run = run[:-1]  # the character before may be absent
        if run:
            found[-1].append(run)
            run = ""
        depth += (kind == "open") - (kind == "close")
        if kind == "either" and depth == 0:
            found.append([])
    if run:
        found[-1].append(run)
    return found


def _plain(kind: str, text: str) -> str:
    """The one character, lower-case, that a token stands for; '' if it may stand for others or for none."""
    if kind == "char" and text != ".":
        return text.lower()
    if kind == "escape" and not text[1].isalnum():
        return text[1]
    return ""
