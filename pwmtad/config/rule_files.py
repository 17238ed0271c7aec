"""Rules files: TOML bytes -> operators and reply rules, or all that is wrong with them at once.

In: parsing, checking, overriding. Out: reading files (the caller does), running the samples (`core.rule_check`).
A later file overrides an operator or a rule of the same name; `enabled = false` removes it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Annotated, Any, Final, Generic, Literal, NamedTuple, TypeAlias, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from pwmtad.config.rule_patterns import pattern_fault
from pwmtad.model.errors import ConfigError
from pwmtad.model.names import (
    NO_EGRESS,
    OTHER_OPERATOR,
    UNKNOWN_OPERATOR,
    OperatorName,
    ReplyClass,
    RuleId,
)
from pwmtad.model.replies import Operator, ReplyRule, RuleSet, Sample

HALTING_CLASSES: Final = frozenset({ReplyClass.REPUTATION, ReplyClass.RATE_LIMIT, ReplyClass.AUTHENTICATION})
"""Classes that feed a halt or hold back growth: believed from a known operator only (any domain can write any text)."""
ANY_KNOWN: Final = "*"
"""In `operators`: every operator of the rules files, but not hosts that belong to none."""
DEFAULT_PRIORITY: Final = 100
_RESERVED: Final = frozenset({OTHER_OPERATOR, UNKNOWN_OPERATOR, NO_EGRESS, ANY_KNOWN})
_CLASSES: Final = tuple(item.value for item in ReplyClass)
_HOST: Final = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9][a-z0-9-]{0,61}[a-z0-9]")
_NAMED: Final = re.compile(r"""^[ \t]*(?:id|name)[ \t]*=[ \t]*["']([^"'\n]*)["']""", re.MULTILINE)
_TABLES: Final = {kind: re.compile(rf"^[ \t]*\[\[[ \t]*{kind}[ \t]*\]\]", re.MULTILINE) for kind in ("operator", "rule")}
_BROKEN_AT: Final = re.compile(r"(.*) \(at (line \d+, column \d+|end of document)\)", re.DOTALL)


def _refuse(expected: str, hint: str = "") -> PydanticCustomError:
    return PydanticCustomError("refused", "{expected}", {"expected": expected, "hint": hint})


def _host(value: str) -> str:
    if _HOST.fullmatch(value) is None:
        hint = f"write {value.lower().strip('.')!r}" if _HOST.fullmatch(value.lower().strip(".")) else ""
        raise _refuse("a domain name of at least two labels, lower-case, without dots at its ends", hint)
    return value


def _operator_name(value: str) -> str:
    if value in _RESERVED:
        raise _refuse(f"another name: {value!r} has a meaning of its own")
    return value


def _pattern(value: str) -> str:
    fault = pattern_fault(value)
    if fault is not None:
        raise _refuse(fault)
    return value


def _code(value: int) -> int:
    if value not in (4, 5) and not 400 <= value <= 599:
        raise _refuse("a reply code from 400 to 599, or 4 or 5 for all that begin with it")
    return value


def _class_name(value: str) -> str:
    if value not in _CLASSES:
        raise _refuse("one of " + ", ".join(_CLASSES), _did_you_mean(value, _CLASSES))
    return value


_Text: TypeAlias = Annotated[str, Field(min_length=1, max_length=10_000)]
_Word: TypeAlias = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
_Host: TypeAlias = Annotated[str, AfterValidator(_host)]
_Enhanced: TypeAlias = Annotated[str, Field(pattern=r"^[245]\.(?:[0-9]{1,3}\.(?:[0-9]{1,3})?)?$")]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class _OperatorTable(_Table):
    name: Annotated[_Word, AfterValidator(_operator_name)]
    title: _Text
    mx_suffixes: Annotated[list[_Host], Field(min_length=1)]
    domains: list[_Host] = []
    source: _Text
    enabled: Literal[True] = True


class _SampleTable(_Table):
    reply: _Text
    relay: _Host | None = None
    enhanced_status: Annotated[str, Field(pattern=r"^[245]\.[0-9]{1,3}\.[0-9]{1,3}$")] | None = None


class _RuleTable(_Table):
    id: _Word
    reply_class: Annotated[str, AfterValidator(_class_name)] = Field(alias="class")
    operators: list[str] = []
    pattern: Annotated[str, AfterValidator(_pattern)] | None = None
    codes: list[Annotated[int, AfterValidator(_code)]] = []
    enhanced: list[_Enhanced] = []
    local: bool = False
    priority: Annotated[int, Field(ge=0, le=1000)] = DEFAULT_PRIORITY
    source: _Text
    sample: Annotated[list[_SampleTable], Field(min_length=1)]
    counter_sample: Annotated[list[_SampleTable], Field(min_length=1)]
    enabled: Literal[True] = True


_Kind = TypeVar("_Kind", _OperatorTable, _RuleTable)


class _Entry(NamedTuple, Generic[_Kind]):
    """A table that passed its own checks, or a removal (`table` is None)."""

    name: str
    where: str
    table: _Kind | None


_Operators: TypeAlias = dict[str, _Entry[_OperatorTable]]
_Rules: TypeAlias = dict[str, _Entry[_RuleTable]]


def load_rules(files: Sequence[tuple[str, bytes]]) -> RuleSet | tuple[ConfigError, ...]:
    """Read `files` ((name, content), in order) as one set of rules. Returns every mistake of every file, or the rules.

    Order of trial: `priority` (lower first); then rules that name operators, rules for any known operator, rules for
    all; then the order in the files.
    """
    errors: list[ConfigError] = []
    operators: _Operators = {}
    rules: _Rules = {}
    names: set[str] = set()  # of all operators, with removed ones (a shipped rule may name them) and broken ones
    for name, content in files:
        reader = _File(name, errors)
        reader.read(content)
        errors += _removal_errors("operator", operators, reader.operators)
        errors += _removal_errors("rule", rules, reader.rules)
        operators.update(reader.operators)
        rules.update(reader.rules)
        names |= reader.operator_names
    known = {entry.name for entry in operators.values() if entry.table is not None}
    errors += _suffix_errors(operators.values())
    for entry in rules.values():
        if entry.table is not None:
            errors += _rule_errors(entry.table, entry.where, names)
    if errors:
        return tuple(errors)
    return RuleSet(
        operators=tuple(_operator(entry.table) for entry in operators.values() if entry.table is not None),
        rules=tuple(_ordered(rules.values(), tuple(sorted(known)))),
    )


class _File:
    """One file: its tables by name, its mistakes appended to `errors`."""

    def __init__(self, name: str, errors: list[ConfigError]) -> None:
        self._name = name
        self._errors = errors
        self._text = ""
        self.operators: _Operators = {}
        self.rules: _Rules = {}
        self.operator_names: set[str] = set()

    def read(self, content: bytes) -> None:
        try:
            self._text = content.decode().replace("\r\n", "\n")
            document = tomllib.loads(self._text)
        except UnicodeDecodeError as error:
            self._errors.append(
                ConfigError(f"byte {error.start}", repr(content[error.start : error.end]), "UTF-8", file=self._name)
            )
            return
        except tomllib.TOMLDecodeError as error:
            place = _BROKEN_AT.fullmatch(str(error))
            found, path = (place[1], place[2]) if place is not None else (str(error), "")
            self._errors.append(ConfigError(path, found, "TOML", file=self._name))
            return
        except RecursionError:
            self._errors.append(ConfigError("", "tables nested too deeply", "TOML", file=self._name))
            return
        for key, value in document.items():
            if key not in ("operator", "rule"):
                hint = _did_you_mean(key, ("operator", "rule"))
                self._errors.append(ConfigError(key, "an unknown key", "[[operator]] or [[rule]]", hint, self._name))
            elif not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
                self._errors.append(ConfigError(key, "something else", f"a list of tables: [[{key}]]", file=self._name))
            elif key == "operator":
                self.operator_names = {str(table.get("name")) for table in value}
                self._tables(key, "name", value, _OperatorTable, self.operators)
            else:
                self._tables(key, "id", value, _RuleTable, self.rules)

    def _tables(
        self, kind: str, key: str, tables: list[dict[str, Any]], model: type[_Kind], into: dict[str, _Entry[_Kind]]
    ) -> None:
        headers = [found.start() for found in _TABLES[kind].finditer(self._text)]
        for index, table in enumerate(tables):
            name = table.get(key)
            label = name if isinstance(name, str) else f"[{index}]"
            start = headers[index] if len(headers) == len(tables) else self._find(label)
            where = f"{self._name}:{self._text.count(chr(10), 0, start) + 1}"
            path = f"{kind}.{label}"
            if label in into:
                self._errors.append(
                    ConfigError(path, "the name for the second time in this file", "each name once", file=where)
                )
                continue
            if isinstance(name, str) and table.get("enabled") is False:
                into[name] = _Entry(name, where, None)
                continue
            try:
                checked = model.model_validate(table)
            except ValidationError as error:
                self._errors += [_as_error(item, path, where, model) for item in error.errors(include_url=False)]
            else:
                into[label] = _Entry(label, where, checked)

    def _find(self, label: str) -> int:
        """Where a table is that is not written as `[[rule]]`: where its name is; the start of the file if it has none."""
        return next((found.start() for found in _NAMED.finditer(self._text) if found[1] == label), 0)


def _as_error(item: ErrorDetails, path: str, where: str, model: type[BaseModel]) -> ConfigError:
    """One mistake that pydantic found, in our words."""
    where_in = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in item["loc"])
    context = item.get("ctx", {})
    found = _shown(item["input"])
    expected = context.get("expected", item["msg"])
    hint = str(context.get("hint", ""))
    match item["type"]:
        case "missing":
            found, expected = "nothing", "a value: this key is required"
        case "extra_forbidden":
            keys = _keys(model, item["loc"])
            found, expected = "an unknown key", "one of " + ", ".join(keys)
            hint = _did_you_mean(str(item["loc"][-1]), keys)
        case "string_pattern_mismatch":
            expected = f"text that matches {context['pattern']}"
        case "too_short" if item["loc"][-1] in ("sample", "counter_sample"):
            expected = f"at least one [[rule.{item['loc'][-1]}]]"
        case _:
            pass
    return ConfigError(path + where_in, found, str(expected), hint, where)


def _keys(model: type[BaseModel], loc: tuple[int | str, ...]) -> tuple[str, ...]:
    if len(loc) > 1:
        model = _SampleTable
    return tuple(field.alias or name for name, field in model.model_fields.items())


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    close = get_close_matches(word, list(known), n=1)
    return f"did you mean {close[0]!r}?" if close else ""


def _removal_errors(kind: str, known: dict[str, _Entry[_Kind]], new: dict[str, _Entry[_Kind]]) -> list[ConfigError]:
    """Removals of what no file before has: a mistyped name would leave the rule in force."""
    return [
        ConfigError(f"{kind}.{name}", "enabled = false", f"a {kind} of a file before", _did_you_mean(name, known), entry.where)
        for name, entry in new.items()
        if entry.table is None and name not in known
    ]


def _suffix_errors(operators: Iterable[_Entry[_OperatorTable]]) -> list[ConfigError]:
    """An MX suffix or a domain that two operators claim."""
    errors = []
    owners: dict[tuple[str, str], str] = {}
    for entry in operators:
        if entry.table is None:
            continue
        claims = [("mx_suffixes", value) for value in entry.table.mx_suffixes]
        claims += [("domains", value) for value in entry.table.domains]
        for key, value in claims:
            owner = owners.setdefault((key, value), entry.name)
            if owner != entry.name:
                expected = f"a value of one operator; {owner!r} has it, too"
                errors.append(ConfigError(f"operator.{entry.name}.{key}", repr(value), expected, file=entry.where))
    return errors


def _rule_errors(rule: _RuleTable, where: str, names: set[str]) -> list[ConfigError]:
    """Mistakes that only the whole rule, or the whole set of operators, shows."""
    path = f"rule.{rule.id}"
    errors = []
    for name in rule.operators:
        if name != ANY_KNOWN and name not in names:
            hint = _did_you_mean(name, names)
            errors.append(ConfigError(f"{path}.operators", repr(name), "a known operator", hint, where))
    if ANY_KNOWN in rule.operators and len(rule.operators) > 1:
        errors.append(ConfigError(f"{path}.operators", repr(rule.operators), f"[{ANY_KNOWN!r}] alone", file=where))
    if ReplyClass(rule.reply_class) in HALTING_CLASSES and (rule.local or not rule.operators):
        expected = "operators: a class that can halt is believed only from the MX hosts of a known operator"
        found = f"class {rule.reply_class!r} for a sentence of Postfix itself" if rule.local else "no operators"
        hint = "name them, or ['*'] for every known one; or use class 'unclassified'"
        errors.append(ConfigError(path, found, expected, hint, where))
    elif rule.local and rule.operators:
        errors.append(ConfigError(f"{path}.operators", repr(rule.operators), "none: Postfix itself speaks", file=where))
    if rule.pattern is None and not rule.codes and not rule.enhanced:
        errors.append(ConfigError(path, "no condition", "a pattern, codes, or enhanced status codes", file=where))
    return errors


def _ordered(entries: Iterable[_Entry[_RuleTable]], known: tuple[str, ...]) -> list[ReplyRule]:
    """All rules that can fire, in the order in which they are tried (sorting is stable)."""
    kept = []
    for entry in entries:
        rule = entry.table
        if rule is None:
            continue
        starred = rule.operators == [ANY_KNOWN]
        operators = known if starred else tuple(name for name in rule.operators if name in known)
        if operators or not rule.operators:  # else all its operators were removed
            breadth = 2 if not rule.operators else int(starred)
            kept.append((rule.priority, breadth, _rule(rule, operators, entry.where)))
    return [rule for _, _, rule in sorted(kept, key=lambda item: item[:2])]


def _operator(table: _OperatorTable) -> Operator:
    return Operator(OperatorName(table.name), table.title, tuple(table.mx_suffixes), tuple(table.domains), table.source)


def _rule(table: _RuleTable, operators: tuple[str, ...], where: str) -> ReplyRule:
    return ReplyRule(
        id=RuleId(table.id),
        reply_class=ReplyClass(table.reply_class),
        operators=tuple(OperatorName(name) for name in operators),
        pattern=table.pattern,
        codes=tuple(table.codes),
        enhanced=tuple(table.enhanced),
        source=table.source,
        samples=tuple(_sample(item) for item in table.sample),
        counter_samples=tuple(_sample(item) for item in table.counter_sample),
        where=where,
        local=table.local,
    )


def _sample(table: _SampleTable) -> Sample:
    return Sample(reply=table.reply, relay=table.relay, enhanced_status=table.enhanced_status)
