"""The rules that are shipped, judged by their own samples and by what a hostile domain would say."""

import re
from collections import Counter
from pathlib import Path

import pytest

import pwmtad.rules
from pwmtad.config.rule_files import HALTING_CLASSES, load_rules
from pwmtad.core.classify import Classifier
from pwmtad.core.reply import parse_reply
from pwmtad.core.rule_check import check_samples, classify_sample
from pwmtad.model.names import OTHER_OPERATOR, UNKNOWN_OPERATOR, OperatorName, ReplyClass
from pwmtad.model.replies import ReplyRule, RuleSet, Sample


def shipped() -> RuleSet:
    folder = Path(next(iter(pwmtad.rules.__path__)))
    rules = load_rules([(path.name, path.read_bytes()) for path in sorted(folder.glob("*.toml"))])
    assert isinstance(rules, RuleSet), rules
    return rules


RULES = shipped()
CLASSIFIER = Classifier(RULES)
SAMPLES = [(rule, sample) for rule in RULES.rules for sample in rule.samples]


def rule_of(relay: str, reply: str, enhanced_status: str | None = None) -> str | None:
    return classify_sample(CLASSIFIER, Sample(reply=reply, relay=relay, enhanced_status=enhanced_status)).rule


def test_every_sample_holds() -> None:
    assert check_samples(RULES) == ()


def test_no_sample_of_one_class_is_taken_for_another() -> None:
    confusion = Counter((rule.reply_class, classify_sample(CLASSIFIER, sample).reply_class) for rule, sample in SAMPLES)
    assert {pair: count for pair, count in confusion.items() if pair[0] is not pair[1]} == {}
    assert {pair[0] for pair in confusion} == set(ReplyClass)


@pytest.mark.parametrize("operator", [OTHER_OPERATOR, UNKNOWN_OPERATOR])
def test_no_words_of_an_unknown_host_are_in_a_class_that_can_halt(operator: OperatorName) -> None:
    for rule, sample in SAMPLES:
        verdict = CLASSIFIER.classify(operator, parse_reply(sample.reply), sample.enhanced_status)
        assert verdict.reply_class not in HALTING_CLASSES, (rule.id, verdict)


def test_no_operators_words_count_in_the_mouth_of_another_as_its_own_block() -> None:
    """A tag such as [TSS04] means something at Yahoo only."""
    google = OperatorName("google")
    for rule, sample in SAMPLES:
        if rule.operators and google not in rule.operators:
            verdict = CLASSIFIER.classify(google, parse_reply(sample.reply), sample.enhanced_status)
            assert verdict.rule != rule.id


@pytest.mark.parametrize(
    ("relay", "operator"),
    [
        ("gmail-smtp-in.l.google.com", "google"),
        ("ALT1.ASPMX.L.GOOGLE.COM.", "google"),
        ("aspmx2.googlemail.com", "google"),
        ("gmail-smtp-in.l.google.com.evil.example", "other"),
        ("notgoogle.com", "other"),
        ("outlook-com.olc.protection.outlook.com", "microsoft-consumer"),
        ("example-com.mail.protection.outlook.com", "microsoft-365"),
        ("example-com.a-v1.mx.microsoft", "microsoft-365"),
        ("mta7.am0.yahoodns.net", "yahoo"),
        ("mx-aol.mail.gm0.yahoodns.net", "yahoo"),
        ("mx3.mail.yahoo.co.jp", "yahoo-japan"),
        ("mx01.mail.icloud.com", "apple"),
        ("mx1.mxge.comcast.net", "comcast"),
        ("c-203-0-113-5.hsd1.pa.comcast.net", "other"),
        ("mx0.charter.net", "charter"),
        ("cxr.mx.a.cloudfilter.net", "cox"),
        ("eir-01.mx.a.cloudfilter.net", "cloudmark"),
        ("ff-ip4-mx-vip1.prodigy.net", "att"),
        ("mx.centurylink.net", "centurylink"),
        ("mxb-00000001.gslb.pphosted.com", "proofpoint"),
        ("mx2-us1.ppe-hosted.com", "proofpoint"),
        ("eu-smtp-inbound-2.mimecast.com", "mimecast"),
        ("d000001a.ess.barracudanetworks.com", "barracuda"),
        ("mx2.hc0000-00.iphmx.com", "cisco"),
        ("example.in.tmes.trendmicro.com", "trendmicro"),
        ("mx.zoho.eu", "zoho"),
        ("mx-ha02.web.de", "gmx"),
        ("mx00.kundenserver.de", "ionos"),
        ("mx03.t-online.de", "t-online"),
        ("smtp-in.orange.fr", "orange"),
        ("lfbn-1.w203-0.abo.wanadoo.fr", "other"),
        ("mxs.mail.ru", "mailru"),
        ("inbound.luxsci.com", "luxsci"),
        ("mailstore1.secureserver.net", "godaddy"),
        ("ip-203-0-113-5.ip.secureserver.net", "other"),
        ("inbound-smtp.eu-west-1.amazonaws.com", "amazon-workmail"),
        ("ec2-203-0-113-5.compute-1.amazonaws.com", "other"),
        ("in2-smtp.messagingengine.com", "fastmail"),
        ("mx2.emailsrvr.com", "rackspace"),
    ],
)
def test_mx_hosts_belong_to_their_operators(relay: str, operator: str) -> None:
    assert CLASSIFIER.operator_of_relay(relay) == operator


@pytest.mark.parametrize(
    ("domain", "operator"),
    [
        *(("gmail.com", "google"), ("hotmail.com", "microsoft-consumer"), ("icloud.com", "apple"), ("comcast.net", "comcast")),
        *((name, "yahoo") for name in ("yahoo.com", "aol.com", "verizon.net", "frontier.com", "att.net", "sbcglobal.net")),
        *((name, "yahoo") for name in ("bellsouth.net", "ymail.com", "rocketmail.com", "aim.com", "compuserve.com")),
        ("example.com", None),
    ],
)
def test_own_domains_are_known_before_any_host_answered(domain: str, operator: str | None) -> None:
    assert CLASSIFIER.operator_of_domain(domain) == operator


def test_the_rules_of_the_runbook_keep_their_names() -> None:
    """Configurations and stored records refer to them."""
    found = {str(rule.id): (rule.reply_class, rule.operators) for rule in RULES.rules}
    assert found["google-unsolicited"] == (ReplyClass.REPUTATION, ("google",))
    assert found["yahoo-tss04"] == (ReplyClass.RATE_LIMIT, ("yahoo",))
    assert found["microsoft-dead-tenant"][0] is ReplyClass.DEAD_DOMAIN
    assert found["luxsci-deferred"] == (ReplyClass.RATE_LIMIT, ("luxsci",))


def test_a_ban_at_microsoft_is_one_operators_word_over_all_tenants() -> None:
    reply = parse_reply("550 5.7.606 Access denied, banned sending IP [203.0.113.5].")
    hosts = [f"tenant{number}-example.mail.protection.outlook.com" for number in range(50)] + ["example-com.a-v1.mx.microsoft"]
    verdicts = {
        (CLASSIFIER.operator_of_relay(host), CLASSIFIER.classify(CLASSIFIER.operator_of_relay(host), reply, None).rule)
        for host in hosts
    }
    assert verdicts == {("microsoft-365", "microsoft-banned-ip")}


def test_a_block_at_the_greeting_is_told_by_the_reply_and_not_by_the_lines_code() -> None:
    text = "host mx0.charter.net[192.0.2.68] refused to talk to me: 554 cmsmtp 203.0.113.5 blocked. AUP#In-1000"
    assert rule_of("mx0.charter.net", text, "4.0.0") == "charter-blocked"


def test_the_reply_of_a_small_domain_that_speaks_like_google_is_only_named() -> None:
    reply = "550-5.7.1 [203.0.113.5 12] Our system has detected that this 550 5.7.1 message is likely unsolicited mail."
    assert rule_of("gmail-smtp-in.l.google.com", reply) == "google-unsolicited"
    assert rule_of("mx.small.example", reply) == "generic-block-list"


def test_a_gateways_customer_does_not_speak_for_the_gateway() -> None:
    words = "550 permanent failure for one or more recipients (reader@example.com:550 5.7.1 blocked using zen.spamhaus.org)"
    assert rule_of("d000001a.ess.barracudanetworks.com", words) == "barracuda-relayed"


def test_a_long_reply_cannot_push_the_mark_of_a_customers_words_out_of_sight() -> None:
    words = (
        "550-5.7.1 message is likely unsolicited mail. "
        + "550-5.7.1 padding and padding " * 200
        + "550 5.7.1 gcdp a1si2 - gsmtp"
    )
    assert rule_of("aspmx.l.google.com", words) == "google-custom-policy"


def test_the_examples_of_the_documentation_hold_beside_the_shipped_rules() -> None:
    text = (Path(__file__).parents[3] / "docs" / "rules.md").read_text()
    examples = "\n".join(re.findall(r"```toml\n(.*?)```", text, re.DOTALL))
    folder = Path(next(iter(pwmtad.rules.__path__)))
    files = [(path.name, path.read_bytes()) for path in sorted(folder.glob("*.toml"))]
    rules = load_rules([*files, ("rules.md", examples.encode())])
    assert isinstance(rules, RuleSet), rules
    assert len(rules.rules) == len(RULES.rules) + 1
    assert check_samples(rules) == ()


def test_every_class_has_rules_and_the_set_is_of_a_useful_size() -> None:
    assert len(RULES.rules) >= 100
    assert {rule.reply_class for rule in RULES.rules} == set(ReplyClass)
    assert len(RULES.operators) >= 25


def test_every_operator_that_the_user_meets_has_rules_of_its_own() -> None:
    named = Counter(operator for rule in RULES.rules if len(rule.operators) < 5 for operator in rule.operators)
    for operator in (
        "google",
        "microsoft-365",
        "microsoft-consumer",
        "yahoo",
        "apple",
        "comcast",
        "charter",
        "cox",
        "proofpoint",
    ):
        assert named[OperatorName(operator)] >= 3, operator


def test_samples_hold_no_real_address_of_anybody() -> None:
    """RFC 5737, RFC 3849 addresses and example domains only, apart from the operators' own names and pages.

    Yahoo's own numbers (4.16.55.1) and a list's answer (127.24.0.2) look like addresses.
    """
    address = re.compile(r"(?<![\d.])(\d{1,3}(?:\.\d{1,3}){3})(?![\d.])")
    for rule in RULES.rules:
        for sample in _all_samples(rule):
            for found in address.findall(sample.reply):
                assert found.startswith(("203.0.113.", "192.0.2.", "198.51.100.", "127.24.0.", "4.16.")), (rule.id, found)


def _all_samples(rule: ReplyRule) -> list[Sample]:
    return [*rule.samples, *rule.counter_samples]
