"""Stop rules files: the shipped one, the user's own, and every mistake with its place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pwmtad.adapters.config_files import read_rules, read_stop_rules
from pwmtad.config.stop_rules import STOP_RULE_KEYS, load_stop_rules
from pwmtad.model.errors import ConfigError
from pwmtad.model.judgement import Effect, Scope, StopRule
from pwmtad.model.names import ReplyClass
from pwmtad.model.replies import RuleSet

ROOT = Path(__file__).parents[3]
DOC = (ROOT / "docs" / "stop-rules.md").read_text(encoding="utf-8")


def reply_rules() -> RuleSet:
    rules = read_rules(())
    assert isinstance(rules, RuleSet), rules
    return rules


RULES = reply_rules()
GOOD = {
    "id": '"mine"',
    "title": '"An operator says no"',
    "operators": '["google"]',
    "classes": '["reputation"]',
    "count": "3",
    "distinct_recipients": "2",
    "window_h": "1.5",
    "hold_h": "24",
    "source": '"our own wish"',
}


def table(**changes: str | None) -> str:
    given = {key: value for key, value in (GOOD | changes).items() if value is not None}
    return "\n".join(("[[stop_rule]]", *(f"{key} = {value}" for key, value in given.items()), ""))


def load(*files: str | bytes) -> tuple[StopRule, ...]:
    rules = load_stop_rules([(f"file{number}", as_bytes(text)) for number, text in enumerate(files)], RULES)
    found = tuple(item for item in rules if isinstance(item, StopRule))
    assert len(found) == len(rules), rules
    return found


def mistakes(*files: str | bytes) -> list[ConfigError]:
    rules = load_stop_rules([(f"file{number}", as_bytes(text)) for number, text in enumerate(files)], RULES)
    found = [item for item in rules if isinstance(item, ConfigError)]
    assert len(found) == len(rules) > 0, rules
    return found


def as_bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


def shipped() -> dict[str, StopRule]:
    rules = read_stop_rules((), RULES)
    return {item.id: item for item in rules if isinstance(item, StopRule)}


# -- what is shipped


def test_the_runbooks_numbers_are_shipped() -> None:
    rules = shipped()
    gmail, yahoo, others = rules["google-blocks"], rules["yahoo-tss04"], rules["blocks"]
    assert (gmail.operators, gmail.classes) == (("google",), (ReplyClass.REPUTATION,))
    assert (gmail.count, gmail.distinct_recipients, gmail.window_s, gmail.hold_s) == (3, 3, 3600, 72 * 3600)
    assert (yahoo.count, yahoo.distinct_recipients, yahoo.hold_s) == (1, 1, 72 * 3600)
    assert (others.count, others.distinct_recipients, others.window_s, others.hold_s) == (5, 5, 6 * 3600, 72 * 3600)
    assert (others.operators, others.excluded_operators) == ((), ("google",))
    assert rules["authentication-refused"].hold_s is None
    assert (rules["rate-limits"].effect, rules["content-refused"].effect) == (Effect.FREEZE, Effect.ALERT)
    assert {rule.scope for rule in rules.values()} == {Scope.STREAM}


def test_shipped_rules_say_where_they_stand_and_where_their_numbers_come_from() -> None:
    for rule in shipped().values():
        assert re.fullmatch(r"pwmtad/rules/stop/stop-rules\.toml:\d+", rule.where)
        assert rule.source
        assert rule.title


# -- one's own file


def test_a_rule_of_ones_own_is_read_with_all_its_keys() -> None:
    (rule,) = load(
        table(share="0.2", min_sample="50", effect='"freeze"', scope='"egress"', reply_rules='["yahoo-tss04"]', operators=None)
    )
    assert (rule.id, rule.title, rule.window_s, rule.hold_s) == ("mine", "An operator says no", 5400, 86400)
    assert (rule.share, rule.min_sample, rule.effect, rule.scope) == (0.2, 50, Effect.FREEZE, Scope.EGRESS)
    assert (rule.operators, rule.reply_rules, rule.where) == ((), ("yahoo-tss04",), "file0:2")


def test_what_is_left_out_has_the_defaults_of_the_document() -> None:
    (rule,) = load(table(count=None, distinct_recipients=None, window_h=None, hold_h=None, operators=None))
    assert (rule.count, rule.distinct_recipients, rule.window_s, rule.hold_s) == (1, 1, 3600, None)
    assert (rule.operators, rule.share, rule.effect, rule.scope) == ((), None, Effect.HALT, Scope.STREAM)


def test_a_later_file_overrides_a_rule_of_the_same_id_wholly() -> None:
    (rule,) = load(table(hold_h="72"), table(count="9", hold_h=None))
    assert (rule.count, rule.hold_s, rule.where) == (9, None, "file1:2")


def test_a_rule_can_be_removed_with_two_keys() -> None:
    assert load(table(), '[[stop_rule]]\nid = "mine"\nenabled = false\n') == ()


def test_a_removed_rule_is_not_looked_at_further_and_can_be_made_again() -> None:
    off = table(enabled="false", classes='["nonsense"]', operators='["nobody"]')
    assert load(table(), off) == ()
    assert len(load(table(), off, table())) == 1


def test_an_empty_file_is_no_mistake() -> None:
    assert load("") == ()


def test_line_ends_of_windows_are_line_ends() -> None:
    (rule,) = load(("# mine\n" + table()).replace("\n", "\r\n"))
    assert rule.where == "file0:3"


# -- mistakes


@pytest.mark.parametrize(
    ("changes", "path", "words"),
    [
        ({"title": None}, "mine.title", "a sentence"),
        ({"source": None}, "mine.source", "a sentence"),
        ({"classes": None}, "mine.classes", "this rule can never fire"),
        ({"classes": '["reputations"]'}, "mine.classes", "did you mean 'reputation'?"),
        ({"operators": '["gogle"]'}, "mine.operators", "did you mean 'google'?"),
        ({"excluded_operators": '["gogle"]'}, "mine.excluded_operators", "did you mean 'google'?"),
        ({"excluded_operators": '["google"]'}, "mine.excluded_operators", "this rule can never fire"),
        ({"reply_rules": '["yahoo-tss4"]'}, "mine.reply_rules", "did you mean 'yahoo-tss04'?"),
        ({"reply_rules": '["yahoo-tss04"]'}, "mine.reply_rules", "can never be evidence"),
        ({"effect": '"stop"'}, "mine.effect", "one of alert, freeze, halt"),
        ({"scope": '"host"'}, "mine.scope", "one of egress, operator, stream"),
        ({"id": '"spike"'}, "spike.id", "built in"),
        ({"id": '"No Id"'}, "No Id.id", "lower-case letters"),
        ({"distinct_recipients": "4"}, "mine.distinct_recipients", "at most count (3)"),
        ({"count": "0"}, "mine.count", "greater than or equal to 1"),
        ({"window_h": "0.001"}, "mine.window_h", "greater than or equal to"),
        ({"window_h": "73"}, "mine.window_h", "less than or equal to 72"),
        ({"window_h": "nan"}, "mine.window_h", "less than or equal to 72"),
        ({"hold_h": "inf"}, "mine.hold_h", "less than or equal to 720"),
        ({"window_h": '"1"'}, "mine.window_h", "number"),
        ({"count": "true"}, "mine.count", "integer"),
        ({"share": "0.1"}, "mine.min_sample", "at least 1 beside a share"),
        ({"share": "0.1", "min_sample": "5", "window_h": "25"}, "mine.window_h", "at most 24 beside a share"),
        ({"share": "1.0", "min_sample": "5"}, "mine.share", "less than 1"),
        ({"operator": '["google"]'}, "mine.operator", "did you mean 'operators'?"),
        ({"count": "0x" + "f" * 5000}, "mine.count", "less than or equal to 10000"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_what_is_expected(changes: dict[str, str | None], path: str, words: str) -> None:
    (mistake,) = mistakes("\n\n" + table(**changes))
    assert mistake.path == path
    assert words in f"{mistake.expected} {mistake.hint}"
    assert mistake.file == "file0:4"


def test_a_class_that_the_operators_never_answer_is_a_mistake() -> None:
    only_google = RuleSet(RULES.operators, tuple(rule for rule in RULES.rules if rule.operators == ("google",)))
    text = table(operators='["cox"]').encode()
    (mistake,) = load_stop_rules([("file", text)], only_google)
    assert isinstance(mistake, ConfigError)
    assert (mistake.path, mistake.found) == ("mine.classes", "'reputation'")


def test_a_reply_rule_for_every_host_is_evidence_from_every_operator() -> None:
    anyone = next(rule.id for rule in RULES.rules if not rule.operators)
    (rule,) = load(table(classes=None, reply_rules=f'["{anyone}"]'))
    assert rule.reply_rules == (anyone,)


def test_all_mistakes_of_all_files_are_told_at_once() -> None:
    found = mistakes(table(count="0", effect='"no"'), "stop_rules = 1", table(title=None, source='"x"', scope='"no"'))
    assert {(mistake.path, mistake.file.partition(":")[0]) for mistake in found} == {
        ("mine.count", "file0"),
        ("stop_rules", "file1"),
        ("mine.title", "file2"),
        ("mine.scope", "file2"),
    }


def test_a_rule_without_an_id_is_told_by_its_number() -> None:
    (mistake,) = mistakes(table(id=None))
    assert (mistake.path, mistake.expected) == ("stop_rule[0].id", "a value: this key is required")


def test_an_id_twice_in_one_file_is_a_mistake() -> None:
    (mistake,) = mistakes(table() + table())
    assert (mistake.path, mistake.expected) == ("mine", "each id once")


def test_the_removal_of_a_rule_that_there_is_not_is_a_mistake() -> None:
    (mistake,) = mistakes(table(), '[[stop_rule]]\nid = "nine"\nenabled = false\n')
    assert (mistake.path, mistake.hint, mistake.file) == ("nine", "did you mean 'mine'?", "file1:2")


def test_the_removal_of_a_rule_with_mistakes_is_no_mistake() -> None:
    (mistake,) = mistakes(table(count="0"), '[[stop_rule]]\nid = "mine"\nenabled = false\n')
    assert mistake.path == "mine.count"


@pytest.mark.parametrize(
    "content",
    [
        b"\xff",
        b"[[stop_rule",
        b"x = " + b"[" * 50_000,
        b'stop_rule = "x"',
        b"stop_rule = [1]",
        b"[stop_rule]\nid = 'x'",
        b"a = 1",
    ],
)
def test_what_is_no_list_of_stop_rules_is_one_mistake(content: bytes) -> None:
    (mistake,) = mistakes(content)
    assert mistake.file == "file0"


# -- the document


def documented(heading: str) -> set[str]:
    section = DOC.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return set(re.findall(r"^\| `([a-z0-9_-]+)` \|", section, re.MULTILINE))


def test_the_document_explains_each_key_and_no_other() -> None:
    assert documented("Keys") == set(STOP_RULE_KEYS)


def test_the_document_lists_each_shipped_rule_and_no_other() -> None:
    assert documented("Rules that are shipped") == set(shipped())
