"""From the configuration to the parts that count."""

from __future__ import annotations

from pwmtad.config import Settings, load_settings
from pwmtad.core.wiring import OPENDKIM_SOURCE, POSTFIX_SOURCE, parts_of, source_kinds
from pwmtad.model.names import NO_EGRESS, SourceKind
from pwmtad.model.postfix import Clone
from pwmtad.model.replies import RuleSet

RULES = RuleSet((), ())
STREAM = """
[streams.trucking]
egresses = ["out05"]
injector_clients = ["172.18.0.5"]
injector_services = ["postfix/hc2526"]
warmup.start = 2026-06-02T00:00:00Z
"""
EGRESS = """
[egresses.out05]
address = "192.0.2.94"
syslog_name = "mail-five"
"""


def settings(text: str) -> Settings:
    loaded = load_settings(text.encode(), file="pwmtad.toml")
    assert isinstance(loaded, Settings), loaded
    return loaded


def test_each_way_to_read_opendkim_makes_each_event_come_from_one_source() -> None:
    assert source_kinds(settings('[log]\nopendkim = "mail.log"')) == {POSTFIX_SOURCE: SourceKind.BOTH}
    assert source_kinds(settings('[log]\nopendkim = "none"')) == {POSTFIX_SOURCE: SourceKind.POSTFIX}
    assert source_kinds(settings("")) == {POSTFIX_SOURCE: SourceKind.POSTFIX, OPENDKIM_SOURCE: SourceKind.OPENDKIM}


def test_where_nobody_signs_nothing_is_judged_as_unsigned() -> None:
    assert parts_of(settings('[log]\nopendkim = "none"'), RULES, None).grace_s is None
    assert parts_of(settings("[dkim]\ngrace_s = 45"), RULES, None).grace_s == 45.0


def test_master_cf_goes_before_the_tables_of_the_configuration_and_these_before_guesses() -> None:
    clone = Clone(name="out05", syslog_name="postfix/five")
    without_tables, with_tables = settings(STREAM), settings(STREAM + EGRESS)
    assert parts_of(with_tables, RULES, (clone,)).routes.egress("postfix/five/smtp") == ("out05", "trucking")
    assert parts_of(with_tables, RULES, (clone,)).routes.egress("mail-five/smtp")[0] == NO_EGRESS
    assert parts_of(with_tables, RULES, None).routes.egress("mail-five/smtp") == ("out05", "trucking")
    assert parts_of(without_tables, RULES, None).routes.egress("postfix-out05/smtp") == ("out05", "trucking")


def test_injectors_are_known_by_service_and_by_address() -> None:
    routes = parts_of(settings(STREAM), RULES, None).routes
    assert routes.injector("127.0.0.1", "postfix/hc2526/smtpd") == "trucking"
    assert routes.injector("172.18.0.5", "postfix/smtpd") == "trucking"
    assert routes.injector("127.0.0.1", "postfix/smtpd") == ""


def test_limits_come_from_the_configuration() -> None:
    limits = parts_of(settings("[limits]\nmax_open_messages = 5000\nmax_domains = 200"), RULES, None).limits
    assert (limits.max_open_messages, limits.max_domains) == (5000, 200)
