"""What the judgement is given: the policy, which a reload replaces, and the context of each look."""

from __future__ import annotations

from msgspec import Struct, field

from pwmtad.config import Settings
from pwmtad.core.halts import ReturnPolicy
from pwmtad.model.judgement import StopRule
from pwmtad.model.names import Instant


class Policy(Struct, frozen=True):
    """What a reload may replace."""

    settings: Settings
    stop_rules: tuple[StopRule, ...]
    returning: ReturnPolicy = field(default_factory=ReturnPolicy)
    excluded_domains: dict[str, frozenset[str]] = field(default_factory=dict)
    """By stream: `excluded_domains` and the content of its `excluded_domains_file`."""
    milter_accepts: bool | None = None
    """Whether Postfix lets mail pass when the milter is gone (milter_default_action=accept); None if not known."""
    own_domains: frozenset[str] = frozenset()
    """Recipient domains of operators (gmail.com): whatever an MX of theirs says, they are not dead."""


class Context(Struct, frozen=True):
    """What a look needs besides what was fed."""

    warmup_starts: dict[str, Instant]
    unknown: dict[str, str]
    """Codes of what is not known now, with a sentence each."""
    unverified: dict[str, int]
    """By stream: messages queued while OpenDKIM's log could not be read."""
