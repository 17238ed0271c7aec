from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pwmtad.rules
from pwmtad.config.rule_files import load_rules
from pwmtad.core.classify import Classifier
from pwmtad.core.reply import parse_reply
from pwmtad.core.rule_check import check_samples
from pwmtad.model.names import OTHER_OPERATOR, UNKNOWN_OPERATOR, OperatorName, ReplyClass
from pwmtad.model.replies import RuleSet

NORTH = OperatorName("north")
SOUTH = OperatorName("south")
EVERYONE = (NORTH, SOUTH, OTHER_OPERATOR, UNKNOWN_OPERATOR)

RULES = b"""
[[operator]]
name = "north"
title = "North"
mx_suffixes = ["north.example", "south.example.net"]
domains = ["north.example"]
source = "test"
[[operator]]
name = "south"
title = "South"
mx_suffixes = ["mx.south.example", "deep.south.example.net"]
source = "test"

[[rule]]
id = "north-blocked"
class = "reputation"
operators = ["north"]
pattern = 'Bad Reputation'
source = "test"
sample = [{ reply = "550 5.7.1 bad reputation", relay = "mx.north.example" }]
counter_sample = [{ reply = "550 5.7.1 bad reputation", relay = "mx.other.example" }]
[[rule]]
id = "north-policy"
class = "authentication"
operators = ["north"]
enhanced = ["5.7.26", "5.8."]
source = "test"
sample = [{ reply = "550 5.7.26 no", relay = "mx.north.example" }, { reply = "550 5.8.2 no", relay = "mx.north.example" }]
counter_sample = [{ reply = "550 5.7.2 no", relay = "mx.north.example" }]
[[rule]]
id = "known-throttled"
class = "rate_limit"
operators = ["*"]
codes = [421]
source = "test"
sample = [{ reply = "421 slow", relay = "mx.south.example" }]
counter_sample = [{ reply = "421 slow", relay = "mx.other.example" }]
[[rule]]
id = "any-unknown-user"
class = "hard_bounce"
codes = [5]
pattern = 'user unknown|(?:no|not) a user'
source = "test"
sample = [{ reply = "550 5.1.1 User unknown" }, { reply = "553 not a user" }]
counter_sample = [{ reply = "450 4.1.1 User unknown" }]
[[rule]]
id = "postfix-connect"
class = "infrastructure"
pattern = '^connect to '
local = true
source = "test"
sample = [{ reply = "connect to mx.example.com[192.0.2.1]:25: Connection refused" }]
counter_sample = [{ reply = "550 connect to nobody" }]
[[rule]]
id = "postfix-null-mx"
class = "dead_domain"
enhanced = ["5.1.0"]
local = true
source = "test"
sample = [{ reply = "Domain example.com does not accept mail (nullMX)", enhanced_status = "5.1.0" }]
counter_sample = [{ reply = "mail for example.com loops back to myself", enhanced_status = "5.4.6" }]
"""


def shipped_files() -> list[tuple[str, bytes]]:
    folder = Path(next(iter(pwmtad.rules.__path__)))
    return [(path.name, path.read_bytes()) for path in sorted(folder.glob("*.toml"))]


def rule_set(files: list[tuple[str, bytes]]) -> RuleSet:
    rules = load_rules(files)
    assert isinstance(rules, RuleSet), rules
    return rules


TEST_RULES = rule_set([("test.toml", RULES)])


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier(TEST_RULES)


@pytest.fixture(scope="module")
def shipped() -> Classifier:
    return Classifier(rule_set(shipped_files()))


def classified(classifier: Classifier, operator: OperatorName, reply: str, enhanced_status: str | None = None) -> str | None:
    return classifier.classify(operator, parse_reply(reply), enhanced_status).rule


# -- operators


@pytest.mark.parametrize(
    "host", ["north.example", "mx.north.example", "a.b.c.north.example", "MX.North.Example.", "x.south.example.net"]
)
def test_an_mx_host_belongs_to_the_operator_of_its_suffix(classifier: Classifier, host: str) -> None:
    assert classifier.operator_of_relay(host) == NORTH


def test_the_longest_suffix_wins(classifier: Classifier) -> None:
    assert classifier.operator_of_relay("mx1.deep.south.example.net") == SOUTH


@pytest.mark.parametrize(
    "host", ["mynorth.example", "north.example.evil.example", "example", "", ".", "south.example", "[192.0.2.1]"]
)
def test_a_host_outside_every_zone_is_other(classifier: Classifier, host: str) -> None:
    assert classifier.operator_of_relay(host) == OTHER_OPERATOR


def test_hosts_are_remembered_within_a_bound(classifier: Classifier) -> None:
    for number in range(10_000):
        assert classifier.operator_of_relay(f"mx{number}.evil.example") == OTHER_OPERATOR
    assert classifier.operator_of_relay("mx.north.example") == NORTH
    assert len(classifier._hosts) <= 4096


def test_a_domain_of_an_operators_own_is_known_without_a_host(classifier: Classifier) -> None:
    assert classifier.operator_of_domain("North.Example.") == NORTH
    assert classifier.operator_of_domain("mail.north.example") is None
    assert classifier.operator_of_domain("example.com") is None


@given(st.text(alphabet="a.B-[]:\u0130 ", max_size=40))
def test_any_host_has_an_operator(host: str) -> None:
    assert Classifier(TEST_RULES).operator_of_relay(host + ".north.example") == NORTH


# -- rules


def test_a_rule_of_an_operator_speaks_for_no_other(classifier: Classifier) -> None:
    assert classified(classifier, NORTH, "550 5.7.1 Bad reputation") == "north-blocked"
    for operator in (SOUTH, OTHER_OPERATOR, UNKNOWN_OPERATOR, OperatorName("nobody")):
        assert classified(classifier, operator, "550 5.7.1 Bad reputation") is None


def test_a_rule_for_every_known_operator_leaves_out_unknown_hosts(classifier: Classifier) -> None:
    found = {operator: classified(classifier, operator, "421 slow") for operator in EVERYONE}
    assert found == {NORTH: "known-throttled", SOUTH: "known-throttled", OTHER_OPERATOR: None, UNKNOWN_OPERATOR: None}


@pytest.mark.parametrize("operator", EVERYONE)
def test_a_rule_without_operators_is_for_everyone(classifier: Classifier, operator: OperatorName) -> None:
    assert classified(classifier, operator, "550 5.1.1 USER UNKNOWN") == "any-unknown-user"
    assert classified(classifier, operator, "553 sorry, not a user") == "any-unknown-user"


def test_one_digit_stands_for_all_codes_that_begin_with_it(classifier: Classifier) -> None:
    assert classified(classifier, OTHER_OPERATOR, "599 user unknown") == "any-unknown-user"
    assert classified(classifier, OTHER_OPERATOR, "450 user unknown") is None


def test_the_replys_own_enhanced_code_counts_and_not_the_lines(classifier: Classifier) -> None:
    assert classified(classifier, NORTH, "550 5.7.26 no", "5.0.0") == "north-policy"
    assert classified(classifier, NORTH, "550 no", "5.7.26") is None
    assert classified(classifier, NORTH, "550 5.8.99 no") == "north-policy"


def test_where_no_remote_spoke_the_lines_enhanced_code_counts(classifier: Classifier) -> None:
    own = "Domain example.com does not accept mail (nullMX)"
    assert classified(classifier, UNKNOWN_OPERATOR, own, "5.1.0") == "postfix-null-mx"
    assert classified(classifier, UNKNOWN_OPERATOR, own, None) is None


def test_a_remote_cannot_speak_in_the_name_of_postfix(classifier: Classifier) -> None:
    words = "connect to mx.example.com[192.0.2.1]:25: Connection refused"
    assert classified(classifier, OTHER_OPERATOR, words) == "postfix-connect"
    assert classified(classifier, OTHER_OPERATOR, f"host mx.example.com[192.0.2.1] said: {words}") is None


def test_accepted_mail_and_unknown_words_have_no_rule(classifier: Classifier) -> None:
    for reply in ("250 2.0.0 user unknown is what the subject says", "354 go", "550 5.7.1 go away"):
        verdict = classifier.classify(OTHER_OPERATOR, parse_reply(reply), None)
        assert (verdict.reply_class, verdict.rule) == (ReplyClass.UNCLASSIFIED, None)


def test_an_address_is_not_a_word_of_the_remote(classifier: Classifier) -> None:
    for address in ('<"user unknown"@example.com>', "bad-reputation@example.com", "<>"):
        assert classified(classifier, NORTH, f"550 5.7.1 {address}: go away") is None


def test_a_subscriber_cannot_trigger_a_halt_by_his_address(shipped: Classifier) -> None:
    google = OperatorName("google")
    for local in ("spamhaus", "dmarc", "blocked.using", '"likely unsolicited mail"', "poor-reputation"):
        verdict = shipped.classify(google, parse_reply(f"550 5.1.1 <{local}@example.com>: no such user"), None)
        assert verdict.reply_class is ReplyClass.HARD_BOUNCE


# -- samples


def test_rules_whose_samples_hold_have_no_errors() -> None:
    assert check_samples(TEST_RULES) == ()


def test_a_rule_that_cannot_fire_is_told_with_its_place() -> None:
    rules = rule_set([("test.toml", RULES.replace(b"'Bad Reputation'", b"'worse reputation'"))])
    (error,) = check_samples(rules)
    assert error.file == "test.toml:14"
    assert error.path == "rule.north-blocked.sample[0]"
    assert (error.found, error.expected) == ("no rule", "rule 'north-blocked'")
    assert "550 5.7.1 bad reputation" in error.hint


def test_a_rule_in_the_shadow_of_another_is_told() -> None:
    rules = rule_set([("test.toml", RULES.replace(b"'Bad Reputation'", b"'bad|no'"))])
    found = {(error.path, error.found) for error in check_samples(rules)}
    assert ("rule.north-policy.sample[0]", "rule 'north-blocked'") in found


def test_a_counter_sample_that_matches_is_told() -> None:
    broad = RULES.replace(b"'user unknown|(?:no|not) a user'", b"'user'").replace(b"codes = [5]", b"codes = [4, 5]")
    rules = rule_set([("long.toml", broad.replace(b"450 4.1.1 User unknown", b"450 4.1.1 User unknown " + b"x" * 100))])
    (error,) = check_samples(rules)
    assert (error.path, error.expected) == ("rule.any-unknown-user.counter_sample[0]", "any other rule, or none")
    assert error.hint.endswith("...'")
