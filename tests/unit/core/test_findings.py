"""What master.cf lacks for the streams of the configuration."""

from __future__ import annotations

import msgspec

from pwmtad.core.findings import stream_findings
from pwmtad.model.observed import PostfixView
from pwmtad.model.postfix import Clone
from tests.tools.judging import settings_of

SETTINGS = settings_of(egresses=("out05", "out06", "out07", "out08"))
GOOD = tuple(
    Clone(
        name=name,
        bind_address=f"192.0.2.{number}",
        bind_enforced=True,
        helo_name=f"{name}.example.org",
        syslog_name=f"postfix/{name}",
    )
    for number, name in enumerate(("out05", "out06", "out07", "out08", "hc1", "hc2"), start=90)
)


def codes(*changed: Clone, without: str = "") -> set[tuple[str, str]]:
    new = {clone.name: clone for clone in changed}
    clones = tuple(new.get(clone.name, clone) for clone in GOOD if clone.name != without)
    return {(finding.code, finding.subject) for finding in stream_findings(SETTINGS, PostfixView(clones=clones))}


def test_nothing_is_said_of_clones_that_have_all_they_need() -> None:
    assert codes() == set()


def test_nothing_is_said_where_master_cf_was_not_read() -> None:
    assert stream_findings(SETTINGS, PostfixView()) == ()


def test_a_listed_egress_that_master_cf_does_not_have_is_an_error() -> None:
    assert codes(without="out06") == {("egress_missing", "out06")}


def test_a_clone_without_a_syslog_name_of_its_own_is_refused_with_what_to_add() -> None:
    clone = msgspec.structs.replace(GOOD[0], syslog_name=None)
    found = stream_findings(SETTINGS, PostfixView(clones=(clone, *GOOD[1:])))
    assert [finding.code for finding in found] == ["egress_without_syslog_name"]
    assert "-o syslog_name=postfix/$service_name" in found[0].text


def test_a_clone_that_may_send_from_another_address_is_told() -> None:
    unbound = msgspec.structs.replace(GOOD[0], bind_address=None)
    lax = msgspec.structs.replace(GOOD[1], bind_enforced=False)
    only6 = msgspec.structs.replace(GOOD[2], bind_address=None, bind_address6="2001:db8::7")
    assert codes(unbound, lax, only6) == {("egress_without_bind_address", "out05"), ("bind_not_enforced", "out06")}


def test_a_clone_that_greets_with_the_name_of_the_host_is_told() -> None:
    assert codes(msgspec.structs.replace(GOOD[3], helo_name=None)) == {("egress_without_helo_name", "out08")}


def test_two_clones_that_log_alike_can_not_be_told_apart() -> None:
    assert codes(msgspec.structs.replace(GOOD[1], syslog_name="postfix/out05")) == {("syslog_name_shared", "out06")}


def test_clones_of_no_stream_may_log_as_they_like() -> None:
    others = tuple(Clone(name=name, bind_address="192.0.2.1", syslog_name="postfix/x") for name in ("relay", "slow"))
    assert stream_findings(SETTINGS, PostfixView(clones=(*GOOD, *others))) == ()
