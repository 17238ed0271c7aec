"""Stop rules files: TOML bytes -> stop rules, or all that is wrong with them at once.

A later file overrides a rule of the same id; `enabled = false` removes it. A rule that can't fire is a mistake: it names no
class and no reply rule, or an operator or reply rule that there is not, or asks for more recipients than attempts.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from typing import Annotated, Final

from msgspec.structs import replace
from pydantic import Field, ValidationError

from pwmtad.config.explain import explain
from pwmtad.config.fields import Section
from pwmtad.model.counters import HOUR_S
from pwmtad.model.errors import ConfigError
from pwmtad.model.judgement import Effect, Scope, StopRule
from pwmtad.model.names import OperatorName, ReplyClass, RuleId
from pwmtad.model.replies import RuleSet

_ID: Final = re.compile(r"""^[ \t]*id[ \t]*=[ \t]*["']([^"'\n]*)["']""", re.MULTILINE)
_RESERVED: Final = frozenset(
    {
        "manual", "spike", "ceiling", "dkim-coverage", "dkim-milter", "dkim-unverified", "excluded-operator", "bind-failed",
        "ladder",
    }
)  # fmt: skip
_MAX_WINDOW_H: Final = 72
"""Evidence is kept in memory for the longest window of any rule; longer spans are what reports are for."""


class _StopRule(Section):
    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$", description="Name: lower-case letters, digits, `-`.")]
    title: Annotated[str, Field(min_length=1, max_length=200, description="What fired, in words.")] = ""
    operators: list[str] = Field(default=[], description="Operators; empty: any known one, each counted by itself.")
    excluded_operators: list[str] = Field(default=[], description="Known operators that the rule leaves to others.")
    classes: list[str] = Field(default=[], description="Reply classes that are evidence.")
    reply_rules: list[str] = Field(default=[], description="Reply rules that are evidence, besides the classes.")
    count: Annotated[int, Field(ge=1, le=10_000, description="Pieces of evidence.")] = 1
    distinct_recipients: Annotated[int, Field(ge=0, le=10_000, description="Different recipients among them.")] = 1
    window_h: Annotated[float, Field(gt=0, le=_MAX_WINDOW_H, description="Hours.", strict=False)] = 1.0
    share: Annotated[float, Field(gt=0, lt=1, description="Share of the operator's attempts, besides the count.")] | None = None
    min_sample: Annotated[int, Field(ge=0, le=1_000_000, description="Attempts below which a share means nothing.")] = 0
    effect: str = Field(default="halt", description="`halt`, `freeze` (no growth) or `alert`.")
    scope: str = Field(default="stream", description="`stream`, `operator` or `egress`.")
    hold_h: Annotated[float, Field(gt=0, le=720, strict=False)] | None = Field(
        default=None, description="Hours; absent: until somebody releases it."
    )
    source: Annotated[str, Field(min_length=1, max_length=1000, description="Where the numbers come from.")] = ""
    enabled: bool = True


def load_stop_rules(files: Sequence[tuple[str, bytes]], reply_rules: RuleSet) -> tuple[StopRule, ...] | tuple[ConfigError, ...]:
    """Read `files` ((name, content), in order). Returns the rules in force, or every mistake of every file."""
    mistakes: list[ConfigError] = []
    rules: dict[str, StopRule] = {}
    for name, content in files:
        for rule, enabled in _read(name, content, reply_rules, mistakes):
            rules.pop(rule.id, None)
            if enabled:
                rules[rule.id] = rule
    return tuple(mistakes) if mistakes else tuple(rules.values())


def _read(name: str, content: bytes, reply_rules: RuleSet, mistakes: list[ConfigError]) -> Iterator[tuple[StopRule, bool]]:
    try:
        text = content.decode()
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        mistakes.append(ConfigError("", str(error), "TOML in UTF-8", file=name))
        return
    strange = sorted(document.keys() - {"stop_rule"})
    mistakes.extend(ConfigError(key, "an unknown key", "[[stop_rule]]", file=name) for key in strange)
    tables = document.get("stop_rule", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        mistakes.append(ConfigError("stop_rule", "something else", "a list of tables: [[stop_rule]]", file=name))
        return
    lines = {found[1]: text.count("\n", 0, found.start()) + 1 for found in _ID.finditer(text)}
    for number, table in enumerate(tables):
        label = table.get("id") if isinstance(table.get("id"), str) else f"stop_rule[{number}]"
        where = f"{name}:{lines.get(str(label), 1)}"
        try:
            read = _StopRule.model_validate(table)
        except ValidationError as error:
            mistakes.extend(
                replace(mistake, path=f"{label}.{mistake.path}", file=where)
                for mistake in explain(error.errors(include_url=False))
            )
            continue
        if not read.enabled:
            yield _rule(read, where), False
            continue
        wrong = [replace(m, path=f"{label}.{m.path}", file=where) for m in _relations(read, reply_rules)]
        mistakes.extend(wrong)
        if not wrong:
            yield _rule(read, where), True


def _relations(rule: _StopRule, reply_rules: RuleSet) -> Iterable[ConfigError]:
    operators = {operator.name for operator in reply_rules.operators}
    known_rules = {reply_rule.id for reply_rule in reply_rules.rules}
    yield from _unknown("operators", rule.operators, operators)
    yield from _unknown("excluded_operators", rule.excluded_operators, operators)
    yield from _unknown("classes", rule.classes, {item.value for item in ReplyClass})
    yield from _unknown("reply_rules", rule.reply_rules, known_rules)
    yield from _unknown("effect", [rule.effect], {item.value for item in Effect})
    yield from _unknown("scope", [rule.scope], {item.value for item in Scope})
    if rule.id in _RESERVED:
        yield ConfigError("id", repr(rule.id), "another name: this one is built in")
    if not rule.title or not rule.source:
        yield ConfigError("title" if not rule.title else "source", "nothing", "a sentence: people read it when the rule fires")
    if not rule.classes and not rule.reply_rules:
        yield ConfigError("classes", "neither classes nor reply_rules", "at least one: this rule can never fire")
    if rule.distinct_recipients > rule.count:
        expected = f"at most count ({rule.count}): so few attempts can't have more recipients"
        yield ConfigError("distinct_recipients", str(rule.distinct_recipients), expected)
    if rule.share is not None and rule.min_sample < 1:
        yield ConfigError("min_sample", str(rule.min_sample), "at least 1 beside a share: a share of nothing means nothing")


def _unknown(key: str, values: Sequence[str], known: Iterable[str]) -> Iterator[ConfigError]:
    names = sorted(str(name) for name in known)
    for value in values:
        if value not in names:
            close = get_close_matches(value, names, n=1)
            hint = f"did you mean {close[0]!r}?" if close else ""
            yield ConfigError(key, repr(value), "one of " + ", ".join(names), hint)


def _rule(read: _StopRule, where: str) -> StopRule:
    return StopRule(
        id=RuleId(read.id),
        title=read.title,
        operators=tuple(OperatorName(name) for name in read.operators),
        excluded_operators=tuple(OperatorName(name) for name in read.excluded_operators),
        classes=tuple(ReplyClass(name) for name in read.classes),
        reply_rules=tuple(RuleId(name) for name in read.reply_rules),
        count=read.count,
        distinct_recipients=read.distinct_recipients,
        window_s=round(read.window_h * HOUR_S),
        share=read.share,
        min_sample=read.min_sample,
        effect=Effect(read.effect),
        scope=Scope(read.scope),
        hold_s=None if read.hold_h is None else round(read.hold_h * HOUR_S),
        source=read.source,
        where=where,
    )
