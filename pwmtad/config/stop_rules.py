"""Stop rules files: TOML bytes -> stop rules, or all that is wrong with them at once.

A later file overrides a rule of the same id; `enabled = false` removes it. A rule that can't fire is a mistake: it names no
class and no reply rule, or an operator or reply rule that there is not, or what its operators never answer, or asks for more
recipients than attempts. So is the removal of a rule that there is not: the one that was meant would stay in force.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any, Final

from msgspec.structs import replace
from pydantic import Field, ValidationError
from pydantic_core import ErrorDetails

from pwmtad.config.fields import Section
from pwmtad.config.show import did_you_mean, dotted, show
from pwmtad.model.counters import HOUR_S
from pwmtad.model.errors import ConfigError
from pwmtad.model.judgement import Effect, Scope, StopRule
from pwmtad.model.names import OperatorName, ReplyClass, RuleId
from pwmtad.model.replies import RuleSet

_ID: Final = re.compile(r"""^[ \t]*id[ \t]*=[ \t]*["']([^"'\n]*)["']""", re.MULTILINE)
_RESERVED: Final = frozenset(
    {
        "manual", "spike", "ceiling", "dkim-coverage", "dkim-milter", "dkim-unverified", "excluded-operator", "bind-failed",
        "ladder", "warmup-reset", "mailed-often",
    }
)  # fmt: skip
_MIN_WINDOW_H: Final = 1 / 60
_MAX_WINDOW_H: Final = 72
"""Evidence is kept in memory for the longest window of any rule; longer spans are what reports are for."""
_MAX_SHARE_WINDOW_H: Final = 24
"""A share needs all attempts by the minute, and a store may keep minutes for no more than a day (store.keep_minutes_h)."""


class _StopRule(Section):
    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
    title: Annotated[str, Field(min_length=1, max_length=200)] = ""
    operators: Annotated[tuple[str, ...], Field(strict=False)] = ()
    excluded_operators: Annotated[tuple[str, ...], Field(strict=False)] = ()
    classes: Annotated[tuple[str, ...], Field(strict=False)] = ()
    reply_rules: Annotated[tuple[str, ...], Field(strict=False)] = ()
    count: Annotated[int, Field(ge=1, le=10_000)] = 1
    distinct_recipients: Annotated[int, Field(ge=0, le=10_000)] = 1
    window_h: Annotated[float, Field(ge=_MIN_WINDOW_H, le=_MAX_WINDOW_H)] = 1.0
    share: Annotated[float, Field(gt=0, lt=1)] | None = None
    min_sample: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    effect: str = "halt"
    scope: str = "stream"
    hold_h: Annotated[float, Field(ge=_MIN_WINDOW_H, le=720)] | None = None
    source: Annotated[str, Field(min_length=1, max_length=1000)] = ""
    enabled: bool = True


STOP_RULE_KEYS: Final = tuple(_StopRule.model_fields)
"""The keys of a `[[stop_rule]]`; docs/stop-rules.md explains each."""


def load_stop_rules(files: Sequence[tuple[str, bytes]], reply_rules: RuleSet) -> tuple[StopRule, ...] | tuple[ConfigError, ...]:
    """Read `files` ((name, content), in order). Returns the rules in force, or every mistake of every file."""
    mistakes: list[ConfigError] = []
    rules: dict[str, StopRule] = {}
    known: set[str] = set()  # also those with mistakes: their removal is none
    for name, content in files:
        own: dict[str, StopRule | None] = {}
        for label, where, table in _tables(name, content, mistakes):
            if label in own:
                mistakes.append(ConfigError(label, "the id for the second time in this file", "each id once", file=where))
            elif table.get("enabled") is False and label not in known:
                mistakes.append(
                    ConfigError(label, "enabled = false", "a rule of a file before", did_you_mean(label, sorted(known)), where)
                )
            else:
                own[label] = _read(label, where, table, reply_rules, mistakes)
        known |= own.keys()
        for label, rule in own.items():
            rules.pop(label, None)
            if rule is not None:
                rules[label] = rule
    return tuple(mistakes) if mistakes else tuple(rules.values())


def _tables(name: str, content: bytes, mistakes: list[ConfigError]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Each table of a file with its id and its place."""
    try:
        text = content.decode().replace("\r\n", "\n")
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
        given = table.get("id")
        label = given if isinstance(given, str) else f"stop_rule[{number}]"
        yield label, f"{name}:{lines.get(label, 1)}", table


def _read(label: str, where: str, table: dict[str, Any], reply_rules: RuleSet, mistakes: list[ConfigError]) -> StopRule | None:
    """Return a table's rule; None if it is removed, or has mistakes."""
    try:
        read = _StopRule.model_validate(table)
    except ValidationError as error:
        found = [_mistake(item) for item in error.errors(include_url=False)]
        mistakes.extend(replace(mistake, path=f"{label}.{mistake.path}", file=where) for mistake in found)
        return None
    if not read.enabled:
        return None
    found = list(_relations(read, reply_rules))
    mistakes.extend(replace(mistake, path=f"{label}.{mistake.path}", file=where) for mistake in found)
    return None if found else _rule(read, where)


def _mistake(error: ErrorDetails) -> ConfigError:
    """What pydantic found, in our words."""
    path, found = dotted(error["loc"]), show(error["input"])
    match error["type"]:
        case "missing":
            return ConfigError(path, "nothing", "a value: this key is required")
        case "extra_forbidden":
            hint = did_you_mean(str(error["loc"][-1]), STOP_RULE_KEYS)
            return ConfigError(path, "an unknown key", "one of " + ", ".join(STOP_RULE_KEYS), hint)
        case "string_pattern_mismatch":
            return ConfigError(path, found, "at most 40 lower-case letters, digits and '-', a letter or digit first")
        case _:
            return ConfigError(path, found, error["msg"])


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
    if rule.share is not None and rule.window_h > _MAX_SHARE_WINDOW_H:
        yield ConfigError("window_h", f"{rule.window_h:g}", f"at most {_MAX_SHARE_WINDOW_H} beside a share")
    yield from _idle(rule, reply_rules)


def _idle(rule: _StopRule, reply_rules: RuleSet) -> Iterable[ConfigError]:
    """What can never be evidence: no reply rule gives the class, or none of the operators' relays is asked that reply rule."""
    operators = {operator.name for operator in reply_rules.operators}
    counted = (operators.intersection(rule.operators) if rule.operators else operators) - set(rule.excluded_operators)
    if not counted:
        if operators.issuperset(rule.operators):
            yield ConfigError("excluded_operators", "every operator of the rule", "fewer: this rule can never fire")
        return
    for key, values in (("classes", rule.classes), ("reply_rules", rule.reply_rules)):
        for value in values:
            found = [r for r in reply_rules.rules if value == (r.id if key == "reply_rules" else r.reply_class.value)]
            if found and not any(not r.operators or counted.intersection(r.operators) for r in found):
                yield ConfigError(key, repr(value), "what the rule's operators answer: this can never be evidence")


def _unknown(key: str, values: Sequence[str], known: Iterable[str]) -> Iterator[ConfigError]:
    names = sorted(str(name) for name in known)
    for value in values:
        if value not in names:
            yield ConfigError(key, repr(value), "one of " + ", ".join(names), did_you_mean(value, names))


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
