"""A remote reply taken apart, and what the rules say about it."""

from __future__ import annotations

from msgspec import Struct

from pwmtad.model.names import OperatorName, ReplyClass, RuleId


class Reply(Struct, frozen=True, gc=False):
    """The text in a delivery line's last parentheses (or of an interim refusal), taken apart.

    `said` is True when a remote spoke: then `text` is its reply as logged (folded multi-line prefixes kept), `code` the
    3-digit reply code (RFC 5321 4.2) and `enhanced` the enhanced status code in the reply (RFC 3463), each None if absent.
    Otherwise `text` is Postfix's own sentence (connection refused, lost connection, name service error).
    `normalised` is `text` with repeated code prefixes removed, control characters dropped and white space folded.
    """

    said: bool
    code: int | None
    enhanced: str | None
    text: str
    normalised: str
    phase: str | None
    """The command that was answered: `RCPT TO command`, `end of DATA command`; None if the line does not say."""
    greeting: bool
    """`refused to talk to me`: a banner or EHLO reply, logged 4.x.x and deferred even where the code is 5xx."""


class Operator(Struct, frozen=True):
    """A receiving organisation and the MX host suffixes (label-bounded, lower case, no dots at the ends) it answers from.

    `domains` are recipient domains that are its own: used only when no relay was ever seen (`relay=none`).
    """

    name: OperatorName
    title: str
    mx_suffixes: tuple[str, ...]
    domains: tuple[str, ...]
    source: str


class Sample(Struct, frozen=True):
    """A line that a rule must, or must not, match: the reply as logged and the MX host it came from."""

    reply: str
    """Text in the parentheses of the delivery line, or a bare reply."""
    relay: str | None
    enhanced_status: str | None = None


class ReplyRule(Struct, frozen=True):
    """Operator(s) and a pattern or codes -> class. Rules are tried in order of `priority`, then file order."""

    id: RuleId
    reply_class: ReplyClass
    operators: tuple[OperatorName, ...]
    """Empty: any operator. Then the class can't be one that halts (reputation, rate_limit, authentication)."""
    pattern: str | None
    """Regular expression, searched in the normalised reply, case-insensitive."""
    codes: tuple[int, ...]
    """Reply codes; a single digit (4, 5) stands for all codes that begin with it."""
    enhanced: tuple[str, ...]
    """Exact enhanced status codes (`5.7.1`) or prefixes that end in a dot (`5.7.`)."""
    source: str
    samples: tuple[Sample, ...]
    counter_samples: tuple[Sample, ...]
    where: str
    """File and line of the rule, for messages."""
    local: bool = False
    """True: matches only Postfix's own sentences (`said` is False); False: only what a remote said."""


class RuleSet(Struct, frozen=True):
    """All operators, and all rules in the order in which they are tried."""

    operators: tuple[Operator, ...]
    rules: tuple[ReplyRule, ...]


class Classification(Struct, frozen=True, gc=False):
    """What the rules make of a reply."""

    reply_class: ReplyClass
    rule: RuleId | None
