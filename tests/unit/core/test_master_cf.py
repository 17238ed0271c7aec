"""master.cf as postconf prints it, and what is uncertain about the clones in it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pwmtad.core.master_cf import clone_findings, clones_of
from pwmtad.model.postfix import Clone
from pwmtad.model.state import Level

SERVICES = """\
smtp       inet  n       -       y       -       -       smtpd
qmgr       unix  n       -       n       300     1       qmgr
smtp       unix  -       -       y       -       -       smtp
relay      unix  -       -       y       -       -       smtp -o syslog_name=postfix/$service_name
lmtp       unix  -       -       y       -       -       lmtp
postlog    unix-dgram n  -       n       -       1       postlogd
out05      unix  -       -       y       -       -       smtp -o smtp_bind_address=192.0.2.5 -o smtp_helo_name=mta05.example.org
scalemail-backend unix - n       n       -       2       pipe flags=R user=scalemail argv=/usr/bin/smtp x
out06      unix  -       -       y       -       1       smtp -v
"""
OPTIONS = """\
relay/unix/syslog_name = postfix/relay
out05/unix/smtp_bind_address = 192.0.2.5
out05/unix/smtp_bind_address_enforce = yes
out05/unix/smtp_helo_name = mta05.example.org
out05/unix/syslog_name = postfix/out05
out06/unix/syslog_name =
out06/unix/some_other_option = a = b
"""


def test_only_smtp_clients_become_clones_in_the_order_of_master_cf() -> None:
    clones = clones_of(SERVICES, OPTIONS, {"inet_protocols": "all"})
    assert clones == (
        Clone("smtp", inet_protocols="all"),
        Clone("relay", syslog_name="postfix/relay", inet_protocols="all"),
        Clone(
            "out05",
            bind_address="192.0.2.5",
            bind_enforced=True,
            helo_name="mta05.example.org",
            syslog_name="postfix/out05",
            inet_protocols="all",
        ),
        Clone("out06", inet_protocols="all"),
    )


def test_address_and_enforcement_come_from_main_cf_where_master_cf_sets_none() -> None:
    main = {"smtp_bind_address": "192.0.2.99", "smtp_bind_address_enforce": "yes", "smtp_bind_address6": ""}
    clones = {clone.name: clone for clone in clones_of(SERVICES, OPTIONS, main)}
    assert (clones["out06"].bind_address, clones["out06"].bind_enforced) == ("192.0.2.99", True)
    assert clones["out05"].bind_address == "192.0.2.5"
    assert clones["out05"].bind_address6 is None


def test_enforcement_that_a_clone_switches_off_is_off() -> None:
    options = "out06/unix/smtp_bind_address_enforce = no\n"
    clones = {clone.name: clone for clone in clones_of(SERVICES, options, {"smtp_bind_address_enforce": "yes"})}
    assert not clones["out06"].bind_enforced


def test_the_service_name_is_filled_in_in_all_its_spellings() -> None:
    for spelling in ("postfix/$service_name", "postfix/${service_name}", "postfix/$(service_name)"):
        clones = {c.name: c for c in clones_of(SERVICES, f"out06/unix/syslog_name = {spelling}\n", {})}
        assert clones["out06"].syslog_name == "postfix/out06"


def test_a_name_that_could_not_be_expanded_is_not_taken_for_a_value() -> None:
    clones = {c.name: c for c in clones_of(SERVICES, "out06/unix/syslog_name = $syslog_name/$service_names\n", {})}
    assert clones["out06"].syslog_name is None


@given(st.text(), st.text())
def test_any_text_is_read_without_an_error(services: str, options: str) -> None:
    for clone in clones_of(services, options, {}):
        assert clone.name


def test_an_address_that_is_none_is_an_error() -> None:
    (found,) = clone_findings([Clone("out05", bind_address="192.0.2.500", inet_protocols="ipv4")])
    assert (found.level, found.code, found.subject) == (Level.ERROR, "bind_address_invalid", "out05")
    (found,) = clone_findings([Clone("out05", bind_address6="192.0.2.5", inet_protocols="ipv4")])
    assert found.code == "bind_address_invalid"
    assert clone_findings([Clone("out05", bind_address="[192.0.2.5]", bind_address6="[2001:db8::5]")]) == ()


def test_clones_that_may_use_any_ipv6_address_are_told_in_one_finding() -> None:
    clones = [Clone(f"out{n:02}", bind_address=f"192.0.2.{n}", inet_protocols="all") for n in range(5, 12)]
    (found,) = clone_findings(clones)
    assert (found.level, found.code) == (Level.WARNING, "ipv6_address_not_chosen")
    assert found.text.startswith("out05, out06, out07, out08 and 3 more may send over IPv6")


def test_a_clone_with_ipv4_alone_or_with_an_ipv6_address_of_its_own_is_fine() -> None:
    assert clone_findings([Clone("a", bind_address="192.0.2.5", inet_protocols="ipv4")]) == ()
    own = Clone("a", bind_address="192.0.2.5", bind_address6="2001:db8::5", inet_protocols="all")
    assert clone_findings([own]) == ()
    assert clone_findings([Clone("smtp", inet_protocols="all")]) == ()
