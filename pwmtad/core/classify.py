"""Whose MX it is, and what its reply says: the rules, made ready for one look-up per attempt."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from pwmtad.config.rule_patterns import compile_pattern, literals_of
from pwmtad.model.names import OTHER_OPERATOR, OperatorName, ReplyClass
from pwmtad.model.replies import Classification, Reply, ReplyRule, RuleSet

UNCLASSIFIED: Final = Classification(ReplyClass.UNCLASSIFIED, None)
_MAX_HOSTS: Final = 4096
"""MX hosts remembered. Own choice: a day's mail of the user went to fewer; when full, all are forgotten."""
_LOCAL: Final = -1
"""In the place of a reply code: Postfix's own sentence."""
_NO_CODE: Final = -2
"""In the place of a reply code: a remote spoke, but gave none."""


_ADDRESS: Final = re.compile(
    r"""<[^<>@]{0,255}@[^<>]{0,255}>|(?<![^\s<>()\[\]:;,"'])[^\s<>()\[\]:;,"'@]{1,255}@[^\s<>()\[\]:;,"']{1,255}"""
)
"""Addresses are hidden from the rules: a subscriber chooses his own (`spamhaus@...`), and replies quote it."""


class _Ready(Struct, frozen=True, gc=False):
    """A rule made ready: cheap conditions first."""

    verdict: Classification
    exact: frozenset[str]
    prefixes: tuple[str, ...]
    literals: tuple[str, ...]
    search: Callable[[str], object] | None


class Classifier:
    """All rules of a set. Holds no state but caches, which are bounded."""

    def __init__(self, rules: RuleSet) -> None:
        self._suffixes = {suffix: operator.name for operator in rules.operators for suffix in operator.mx_suffixes}
        self._domains = {domain: operator.name for operator in rules.operators for domain in operator.domains}
        self._known = frozenset(operator.name for operator in rules.operators)
        self._rules = [(rule, _ready(rule)) for rule in rules.rules]
        self._hosts: dict[str, OperatorName] = {}
        # At most (operators + 1) x (200 codes + 2), filled when asked for.
        self._candidates: dict[tuple[OperatorName, int], tuple[_Ready, ...]] = {}

    def operator_of_relay(self, host: str) -> OperatorName:
        """Return the operator of an MX host: by the longest suffix of whole labels; `other` if there is none."""
        operator = self._hosts.get(host)
        if operator is None:
            if len(self._hosts) >= _MAX_HOSTS:
                self._hosts.clear()
            operator = self._hosts[host] = self._operator(host)
        return operator

    def operator_of_domain(self, domain: str) -> OperatorName | None:
        """Return the operator whose own recipient domain this is: for mail that no MX host was reached for."""
        return self._domains.get(domain.casefold().rstrip("."))

    def classify(self, operator: OperatorName, reply: Reply, enhanced_status: str | None) -> Classification:
        """Return what the first rule that matches says; unclassified, without a rule, if none does or mail was accepted.

        `operator`: whose MX host answered. `enhanced_status`: the line's `dsn=`, used only where no remote spoke: what
        Postfix makes of a greeting is 4.x.x even where the reply is 5xx.
        """
        code, enhanced = _codes(reply, enhanced_status)
        if 0 <= code < 400:
            return UNCLASSIFIED
        text = reply.normalised.lower()
        if "@" in text:
            text = _ADDRESS.sub("@", text)
        for rule in self._candidates.get((operator, code)) or self._prepare(operator, code):
            if (rule.exact or rule.prefixes) and enhanced not in rule.exact and not enhanced.startswith(rule.prefixes):
                continue
            if rule.search is None:
                return rule.verdict
            for literal in rule.literals:
                if literal in text:
                    break
            else:
                if rule.literals:
                    continue
            if rule.search(text):
                return rule.verdict
        return UNCLASSIFIED

    def _operator(self, host: str) -> OperatorName:
        suffix = host.casefold().rstrip(".")
        while suffix:
            operator = self._suffixes.get(suffix)
            if operator is not None:
                return operator
            suffix = suffix.partition(".")[2]
        return OTHER_OPERATOR

    def _prepare(self, operator: OperatorName, code: int) -> tuple[_Ready, ...]:
        """Choose the rules that can match a reply with `code` at `operator`."""
        if operator not in self._known:
            operator = OTHER_OPERATOR
        key = (operator, code)
        chosen = self._candidates.get(key)
        if chosen is None:
            chosen = tuple(ready for rule, ready in self._rules if _may_match(rule, operator, code))
            self._candidates[key] = chosen
        return chosen


def _codes(reply: Reply, enhanced_status: str | None) -> tuple[int, str]:
    """The reply code, or what stands for it, and the enhanced status code that counts ('' if there is none)."""
    if not reply.said:
        return _LOCAL, enhanced_status or ""
    return _NO_CODE if reply.code is None else reply.code, reply.enhanced or ""


def _may_match(rule: ReplyRule, operator: OperatorName, code: int) -> bool:
    if rule.local != (code == _LOCAL) or (rule.operators and operator not in rule.operators):
        return False
    return not rule.codes or code in rule.codes or (code > 0 and code // 100 in rule.codes)


def _ready(rule: ReplyRule) -> _Ready:
    pattern = rule.pattern
    return _Ready(
        verdict=Classification(rule.reply_class, rule.id),
        exact=frozenset(item for item in rule.enhanced if not item.endswith(".")),
        prefixes=tuple(item for item in rule.enhanced if item.endswith(".")),
        literals=() if pattern is None else literals_of(pattern),
        search=None if pattern is None else compile_pattern(pattern).search,
    )
