import pytest
from hypothesis import given
from hypothesis import strategies as st

from pwmtad.config.rule_files import load_rules
from pwmtad.model.errors import ConfigError
from pwmtad.model.names import OperatorName, ReplyClass
from pwmtad.model.replies import RuleSet, Sample

OPERATOR = """
[[operator]]
name = "north"
title = "North"
mx_suffixes = ["north.example"]
source = "test"
"""
RULE = """
[[rule]]
id = "north-blocked"
class = "reputation"
operators = ["north"]
pattern = 'bad reputation'
source = "test"
[[rule.sample]]
reply = "550 5.7.1 bad reputation"
relay = "mx.north.example"
[[rule.counter_sample]]
reply = "550 5.7.1 bad reputation"
relay = "mx.other.example"
"""
ANYBODY = RULE.replace("north-blocked", "anybody").replace('operators = ["north"]\n', "").replace("reputation", "content")


def loaded(*texts: str) -> RuleSet:
    rules = load_rules([(f"{number}.toml", text.encode()) for number, text in enumerate(texts)])
    assert isinstance(rules, RuleSet), rules
    return rules


def errors_of(*texts: str) -> tuple[ConfigError, ...]:
    errors = load_rules([(f"{number}.toml", text.encode()) for number, text in enumerate(texts)])
    assert isinstance(errors, tuple)
    return errors


def error_of(*texts: str) -> ConfigError:
    (error,) = errors_of(*texts)
    return error


def ids(rules: RuleSet) -> list[str]:
    return [rule.id for rule in rules.rules]


# -- what is read


def test_an_operator_and_a_rule_are_read_whole() -> None:
    rules = loaded(OPERATOR + RULE)
    (operator,) = rules.operators
    (rule,) = rules.rules
    assert (operator.name, operator.title, operator.mx_suffixes, operator.domains) == ("north", "North", ("north.example",), ())
    assert (rule.id, rule.reply_class, rule.operators) == ("north-blocked", ReplyClass.REPUTATION, (OperatorName("north"),))
    assert (rule.pattern, rule.codes, rule.enhanced, rule.local) == ("bad reputation", (), (), False)
    assert rule.samples == (Sample(reply="550 5.7.1 bad reputation", relay="mx.north.example"),)
    assert rule.where == "0.toml:8"


def test_no_files_are_no_rules() -> None:
    assert loaded() == loaded("") == RuleSet((), ())


def test_a_later_file_overrides_a_rule_and_an_operator_of_the_same_name() -> None:
    rules = loaded(OPERATOR + RULE, RULE.replace("bad reputation", "blocked"), OPERATOR.replace("North", "Far North"))
    assert [operator.title for operator in rules.operators] == ["Far North"]
    assert [(rule.pattern, rule.where) for rule in rules.rules] == [("blocked", "1.toml:2")]


def test_a_later_file_removes_a_rule_by_enabled_false() -> None:
    assert ids(loaded(OPERATOR + RULE + ANYBODY, '[[rule]]\nid = "north-blocked"\nenabled = false\n')) == ["anybody"]


def test_enabled_true_may_be_written() -> None:
    assert ids(loaded(OPERATOR + RULE.replace("source", "enabled = true\nsource"))) == ["north-blocked"]


def test_a_removed_operator_takes_the_rules_that_named_only_it_along() -> None:
    rules = loaded(OPERATOR + RULE + ANYBODY, '[[operator]]\nname = "north"\nenabled = false\n')
    assert rules.operators == ()
    assert ids(rules) == ["anybody"]


def test_a_removed_suffix_may_be_claimed_by_another_operator() -> None:
    removed = '[[operator]]\nname = "north"\nenabled = false\n'
    rules = loaded(OPERATOR, removed, OPERATOR.replace('"north"', '"arctic"'))
    assert [operator.name for operator in rules.operators] == ["arctic"]


def test_a_star_stands_for_every_operator_of_all_files() -> None:
    south = OPERATOR.replace("north", "south")
    rules = loaded(OPERATOR + RULE.replace('["north"]', '["*"]'), south)
    assert rules.rules[0].operators == ("north", "south")


def test_rules_are_tried_by_priority_then_the_narrower_first_then_in_file_order() -> None:
    def rule(name: str, operators: str, priority: int = 100) -> str:
        text = ANYBODY.replace("anybody", name).replace("source", f"priority = {priority}\nsource", 1)
        return text.replace("pattern", f"operators = {operators}\npattern", 1)

    rules = loaded(
        OPERATOR + rule("all", "[]") + rule("known", "['*']") + rule("first", "[]", 5) + rule("named", "['north']"),
        rule("named-later", "['north']") + rule("last", "['north']", 900),
    )
    assert ids(rules) == ["first", "named", "named-later", "known", "all", "last"]


def test_tables_written_inline_are_read_and_placed_by_their_name() -> None:
    text = (
        "\n"
        'rule = [{ class = "content", pattern = "spam", source = "test", sample = [{ reply = "550 spam" }],\n'
        'counter_sample = [{ reply = "550 no" }],\n'
        'id = "inline" }]\n'
    )
    error = error_of(text)
    assert error.expected == "TOML"
    one_line = text.replace("\n", " ")
    assert loaded("\n" + one_line).rules[0].where == "0.toml:1"


def test_windows_line_ends_are_read() -> None:
    assert ids(loaded((OPERATOR + RULE).replace("\n", "\r\n"))) == ["north-blocked"]


# -- what is refused


def test_all_mistakes_of_all_files_are_told_at_once() -> None:
    errors = errors_of("[[rule]\n", OPERATOR.replace("title", "titel"), RULE.replace("reputation", "repute", 1))
    assert {(error.file, error.path) for error in errors} >= {
        ("0.toml", "line 1, column 7"),
        ("1.toml:2", "operator.north.titel"),
        ("1.toml:2", "operator.north.title"),
        ("2.toml:2", "rule.north-blocked.class"),
    }


def test_broken_toml_is_told_with_its_place() -> None:
    error = error_of("[[rule]]\nid = \n")
    assert (error.path, error.found, error.expected, error.file) == ("line 2, column 6", "Invalid value", "TOML", "0.toml")


def test_a_file_that_is_not_utf_8_is_told() -> None:
    errors = load_rules([("latin.toml", b"# caf\xe9\n")])
    assert errors == (ConfigError(path="byte 5", found="b'\\xe9'", expected="UTF-8", file="latin.toml"),)


def test_tables_nested_without_end_are_told() -> None:
    error = error_of("a = " + "[" * 100_000)
    assert error.expected == "TOML"


def test_a_key_that_is_unknown_is_told_with_the_one_that_was_meant() -> None:
    error = error_of(OPERATOR + RULE.replace("pattern", "codes = [550]\npatern"))
    assert error.path == "rule.north-blocked.patern"
    assert error.found == "an unknown key"
    assert error.hint == "did you mean 'pattern'?"
    assert "counter_sample" in error.expected


def test_an_unknown_key_of_a_sample_is_told() -> None:
    error = error_of(OPERATOR + RULE.replace("relay", "relai", 1))
    assert error.path == "rule.north-blocked.sample[0].relai"
    assert error.hint == "did you mean 'relay'?"


def test_an_unknown_table_is_told() -> None:
    error = error_of("[[rules]]\nid = 'x'\n")
    assert (error.path, error.hint) == ("rules", "did you mean 'rule'?")


@pytest.mark.parametrize("text", ["rule = 1", "rule = [1]", "[rule]\nid = 'x'", "operator = 'x'"])
def test_what_is_no_list_of_tables_is_told(text: str) -> None:
    assert "a list of tables" in error_of(text).expected


def test_a_name_twice_in_a_file_is_told_where_it_is_for_the_second_time() -> None:
    error = error_of(OPERATOR + RULE + RULE)
    assert (error.path, error.file) == ("rule.north-blocked", "0.toml:21")


def test_a_rule_without_a_name_is_told_by_its_place() -> None:
    error = error_of(OPERATOR + RULE.replace('id = "north-blocked"\n', ""))
    assert (error.path, error.found, error.file) == ("rule.[0].id", "nothing", "0.toml:8")


@pytest.mark.parametrize(
    ("key", "line", "path"),
    [
        ("id", 'id = "North_Blocked"', "rule.North_Blocked.id"),
        ("id", "id = 7", "rule.[0].id"),
        ("class", 'class = "reputatoin"', "rule.north-blocked.class"),
        ("operators", 'operators = ["nort"]', "rule.north-blocked.operators"),
        ("operators", 'operators = ["*", "north"]', "rule.north-blocked.operators"),
        ("pattern", "pattern = '(x'", "rule.north-blocked.pattern"),
        ("pattern", "pattern = 7", "rule.north-blocked.pattern"),
        ("source", "source = ''", "rule.north-blocked.source"),
        ("source", 'source = "x"\ncodes = [250]', "rule.north-blocked.codes[0]"),
        ("source", 'source = "x"\ncodes = [true]', "rule.north-blocked.codes[0]"),
        ("source", 'source = "x"\nenhanced = ["5.7.x"]', "rule.north-blocked.enhanced[0]"),
        ("source", 'source = "x"\npriority = 1001', "rule.north-blocked.priority"),
        ("source", 'source = "x"\nenabled = "no"', "rule.north-blocked.enabled"),
        ("relay", 'relay = "MX.north.example"', "rule.north-blocked.sample[0].relay"),
        ("reply", "reply = ''", "rule.north-blocked.sample[0].reply"),
    ],
)
def test_a_value_that_is_wrong_is_told_with_its_path(key: str, line: str, path: str) -> None:
    lines = RULE.split("\n")
    index = next(number for number, text in enumerate(lines) if text.startswith(f"{key} = "))
    error = error_of(OPERATOR + "\n".join([*lines[:index], line, *lines[index + 1 :]]))
    assert error.path == path
    assert error.file == "0.toml:8"
    assert error.expected


@pytest.mark.parametrize(
    "line",
    [
        'mx_suffixes = ["example"]',
        'mx_suffixes = [".north.example"]',
        'mx_suffixes = ["north.example."]',
        'mx_suffixes = ["NORTH.example"]',
        "mx_suffixes = []",
        'mx_suffixes = ["north.example"]\ndomains = ["*.north.example"]',
    ],
)
def test_a_suffix_is_whole_labels_and_at_least_two(line: str) -> None:
    assert error_of(OPERATOR.replace('mx_suffixes = ["north.example"]', line)).path.startswith("operator.north.")


@pytest.mark.parametrize(("kind", "key", "name"), [("rule", "id", "north-blockt"), ("operator", "name", "nort")])
def test_a_removal_of_what_is_not_there_is_told(kind: str, key: str, name: str) -> None:
    error = error_of(OPERATOR + RULE, f'[[{kind}]]\n{key} = "{name}"\nenabled = false\n')
    assert (error.path, error.file) == (f"{kind}.{name}", "1.toml:1")
    assert error.hint.startswith("did you mean 'north")


def test_a_broken_operator_is_told_once_and_not_by_every_rule_that_names_it() -> None:
    assert error_of(OPERATOR.replace('"North"', '""') + RULE).path == "operator.north.title"


def test_a_suffix_that_would_do_in_other_letters_is_shown() -> None:
    assert error_of(OPERATOR.replace('["north.example"]', '["North.Example."]')).hint == "write 'north.example'"


@pytest.mark.parametrize("name", ["other", "unknown", "none"])
def test_names_with_a_meaning_of_their_own_are_refused(name: str) -> None:
    assert "another name" in error_of(OPERATOR.replace('"north"', f'"{name}"')).expected


def test_a_suffix_of_two_operators_is_told() -> None:
    error = error_of(OPERATOR, OPERATOR.replace('"north"', '"arctic"'))
    assert (error.path, error.file) == ("operator.arctic.mx_suffixes", "1.toml:2")
    assert "'north'" in error.expected


@pytest.mark.parametrize("name", ["reputation", "rate_limit", "authentication"])
def test_a_class_that_can_halt_needs_operators(name: str) -> None:
    error = error_of(ANYBODY.replace('class = "content"', f'class = "{name}"'))
    assert error.found == "no operators"
    assert "known operator" in error.expected
    assert "['*']" in error.hint


def test_postfix_itself_cannot_halt() -> None:
    error = error_of(OPERATOR + RULE.replace("source", "local = true\nsource"))
    assert error.found == "class 'reputation' for a sentence of Postfix itself"


def test_a_rule_for_postfix_itself_names_no_operators() -> None:
    error = error_of(OPERATOR + RULE.replace("source", "local = true\nsource").replace('"reputation"', '"infrastructure"'))
    assert (error.path, error.expected) == ("rule.north-blocked.operators", "none: Postfix itself speaks")


def test_a_rule_without_a_condition_is_told() -> None:
    assert error_of(OPERATOR + RULE.replace("pattern = 'bad reputation'\n", "")).found == "no condition"


@pytest.mark.parametrize("kind", ["sample", "counter_sample"])
def test_every_rule_has_samples_and_counter_samples(kind: str) -> None:
    head, _, tail = RULE.partition(f"[[rule.{kind}]]")
    rest = tail[tail.index("[[") :] if "[[" in tail else ""
    missing = error_of(OPERATOR + head + rest)
    assert (missing.path, missing.found) == (f"rule.north-blocked.{kind}", "nothing")
    empty = error_of(OPERATOR + head.replace("source", f"{kind} = []\nsource") + rest)
    assert empty.expected == f"at least one [[rule.{kind}]]"


def test_a_long_value_is_shown_short() -> None:
    error = error_of(OPERATOR + RULE.replace("'bad reputation'", "'(" + "x" * 500 + "'"))
    assert len(error.found) == 80


@given(st.binary(max_size=200))
def test_any_bytes_are_rules_or_errors(content: bytes) -> None:
    assert isinstance(load_rules([("any.toml", content)]), RuleSet | tuple)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=10),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "class", "sample", "reply"]), inner),
        max_leaves=8,
    )
)
def test_any_value_in_a_rules_place_is_an_error_in_words(value: object) -> None:
    def toml(item: object) -> str:
        match item:
            case None:
                return "0.5"
            case bool():
                return str(item).lower()
            case int():
                return str(item % 2**63)
            case str():
                return '"' + "".join(char if char.isalnum() and char.isascii() else "_" for char in item) + '"'
            case list():
                return "[" + ", ".join(toml(part) for part in item) + "]"
            case dict():
                return "{ " + ", ".join(f"{key} = {toml(part)}" for key, part in item.items()) + " }"
            case _:
                raise AssertionError(item)

    found = load_rules([("any.toml", f"rule = {toml(value)}\n".encode())])
    assert isinstance(found, tuple) or found.rules == ()
    for error in found if isinstance(found, tuple) else ():
        assert error.expected
        assert error.file.startswith("any.toml")
