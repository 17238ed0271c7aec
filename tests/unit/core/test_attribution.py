"""Whose mail it is: the egress by its tag, the stream by its injector."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from pwmtad.core.attribution import AnyRoutes, Routes, StreamRoutes
from pwmtad.model.names import NO_EGRESS, NO_STREAM
from pwmtad.model.postfix import Clone

NEWS = StreamRoutes(
    "news", frozenset({"out05", "out06"}), (ip_network("172.18.0.0/16"), ip_network("2001:db8:1::/48")), frozenset()
)
SHOP = StreamRoutes("shop", frozenset({"out20"}), (ip_network("172.18.5.0/24"),), frozenset({"postfix/submission"}))
CLONES = (
    Clone("out05", bind_address="198.51.100.5", syslog_name="postfix/out05"),
    Clone("out06", bind_address="198.51.100.6", syslog_name="postfix-out06"),
    Clone("out20", bind_address="198.51.100.20", syslog_name="anything"),
    Clone("out21", bind_address="198.51.100.21", syslog_name="postfix/out21"),
    Clone("out22", bind_address="198.51.100.22"),
)


def routes() -> Routes:
    return Routes([NEWS, SHOP], CLONES)


@pytest.mark.parametrize(
    ("tag", "route"),
    [
        ("postfix/out05/smtp", ("out05", "news")),
        ("postfix-out06/smtp", ("out06", "news")),
        ("anything/smtp", ("out20", "shop")),
        ("postfix/out21/smtp", ("out21", NO_STREAM)),
        ("postfix/out22/smtp", (NO_EGRESS, NO_STREAM)),
        ("postfix/smtp", (NO_EGRESS, NO_STREAM)),
        ("postfix/out050/smtp", (NO_EGRESS, NO_STREAM)),
        ("out05/smtp", (NO_EGRESS, NO_STREAM)),
        ("postfix/out05", (NO_EGRESS, NO_STREAM)),
        ("", (NO_EGRESS, NO_STREAM)),
    ],
)
def test_the_egress_is_the_clone_whose_syslog_name_the_tag_has(tag: str, route: tuple[str, str]) -> None:
    assert routes().egress(tag) == route


@pytest.mark.parametrize("tag", ["postfix/out05/smtp", "postfix-out05/smtp"])
def test_without_a_master_cf_both_usual_syslog_names_are_assumed(tag: str) -> None:
    assert Routes([NEWS], None).egress(tag) == ("out05", "news")


@pytest.mark.parametrize(
    ("client_ip", "tag", "stream"),
    [
        ("172.18.0.5", "postfix/smtpd", "news"),
        ("172.18.5.9", "postfix/smtpd", "news"),
        ("2001:db8:1::5", "postfix/smtpd", "news"),
        ("2001:db8:2::5", "postfix/smtpd", ""),
        ("127.0.0.1", "postfix/smtpd", ""),
        ("unknown", "postfix/smtpd", ""),
        ("private/socket", "postfix/smtpd", ""),
        ("fe80::1%eth0", "postfix/smtpd", ""),
        ("127.0.0.1", "postfix/submission/smtpd", "shop"),
        ("unknown", "postfix/submission/smtpd", "shop"),
        ("172.18.0.5", "postfix/submission/smtpd", "shop"),
        ("172.18.0.5", "postfix/submissions/smtpd", "news"),
    ],
)
def test_an_injector_is_known_by_its_service_or_else_by_its_address(client_ip: str, tag: str, stream: str) -> None:
    assert routes().injector(client_ip, tag) == stream


def test_a_service_may_be_named_with_its_program() -> None:
    named = StreamRoutes("shop", frozenset(), (), frozenset({"postfix/smtps/smtpd"}))

    assert Routes([named], ()).injector("192.0.2.1", "postfix/smtps/smtpd") == "shop"


def test_the_answers_stay_the_same_however_many_tags_and_clients_come() -> None:
    asked, fresh = routes(), routes()
    for number in range(10_000):
        asked.egress(f"postfix/{number}/smtp")
        asked.injector(f"10.0.{number // 256}.{number % 256}", "postfix/smtpd")
        for tag in ("postfix/out05/smtp", "postfix/smtp", "anything/smtp"):
            assert asked.egress(tag) == fresh.egress(tag)
            assert asked.injector("172.18.0.5", tag) == fresh.injector("172.18.0.5", tag)

    assert max(len(asked._tags), len(asked._clients)) < 5000, "what strangers choose must not fill the memory"


@pytest.mark.parametrize(
    ("tag", "egress"),
    [
        ("postfix/out05/smtp", "out05"),
        ("postfix-out05/smtp", "out05"),
        ("postfix-192.0.2.135/smtp", "192.0.2.135"),
        ("out05/smtp", "out05"),
        ("postfix/smtp", NO_EGRESS),
        ("smtp", NO_EGRESS),
    ],
)
def test_without_a_configuration_each_clone_is_an_egress_of_the_one_stream(tag: str, egress: str) -> None:
    assert AnyRoutes("mail").egress(tag) == (egress, "mail")


@pytest.mark.parametrize(
    ("client_ip", "stream"), [("172.18.0.5", "mail"), ("2001:db8::5", "mail"), ("127.0.0.1", ""), ("::1", ""), ("unknown", "")]
)
def test_without_a_configuration_every_client_but_this_host_is_an_injector(client_ip: str, stream: str) -> None:
    assert AnyRoutes("mail").injector(client_ip, "postfix/smtpd") == stream
