"""Running the samples that every rule carries: a rule that can't fire, or fires where it must not, is an error."""

from __future__ import annotations

from pwmtad.core.classify import Classifier
from pwmtad.core.reply import parse_reply
from pwmtad.model.errors import ConfigError
from pwmtad.model.names import UNKNOWN_OPERATOR
from pwmtad.model.replies import Classification, ReplyRule, RuleSet, Sample


def check_samples(rules: RuleSet) -> tuple[ConfigError, ...]:
    """Run the whole classifier on every sample (must be classified by its rule) and counter sample (must not)."""
    classifier = Classifier(rules)
    errors: list[ConfigError] = []
    for rule in rules.rules:
        for index, sample in enumerate(rule.samples):
            verdict = classify_sample(classifier, sample)
            if verdict.rule != rule.id:
                errors.append(_error(rule, f"sample[{index}]", sample, verdict, f"rule {rule.id!r}"))
        for index, sample in enumerate(rule.counter_samples):
            verdict = classify_sample(classifier, sample)
            if verdict.rule == rule.id:
                errors.append(_error(rule, f"counter_sample[{index}]", sample, verdict, "any other rule, or none"))
    return tuple(errors)


def classify_sample(classifier: Classifier, sample: Sample) -> Classification:
    """Classify a sample as if its reply had been logged with `relay=` its MX host (none: the operator is unknown)."""
    operator = UNKNOWN_OPERATOR if sample.relay is None else classifier.operator_of_relay(sample.relay)
    return classifier.classify(operator, parse_reply(sample.reply), sample.enhanced_status)


def _error(rule: ReplyRule, key: str, sample: Sample, verdict: Classification, expected: str) -> ConfigError:
    text = sample.reply if len(sample.reply) <= 80 else sample.reply[:77] + "..."
    found = "no rule" if verdict.rule is None else f"rule {verdict.rule!r}"
    return ConfigError(f"rule.{rule.id}.{key}", found, expected, f"the reply is {text!r}", rule.where)
