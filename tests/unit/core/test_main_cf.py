"""main.cf as postconf prints it: the pool, and what a person should know of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pwmtad.core.main_cf import main_findings, milter_accepts, pool_members, pool_of, read_main, table_list
from pwmtad.model.postfix import Clone
from pwmtad.model.state import Level

_CLONES = [Clone("out05"), Clone("out06"), Clone("out07")]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("randmap:{out05,out06,out07}", ("out05", "out06", "out07")),
        ("randmap:{out05:,out06: out07}", ("out05", "out06", "out07")),
        ("randmap:{ out05 , out06\t}", ("out05", "out06")),
        ("randmap:{out05,out05,out05,out06}", ("out05", "out06")),
        ("randmap:{out05:[192.0.2.1]:26}", ("out05",)),
        ("hash:/etc/postfix/transport, randmap:{out05,out06}", ("out05", "out06")),
        ("hash:/etc/postfix/transport randmap:{out05}", ("out05",)),
        ("randmap:{}", ()),
        ("randmap:out05", ()),
        ("randmap:{ {out05}, {out06} }", ()),
        ("hash:/etc/postfix/transport", None),
        ("static:{retry:4.7.0 paused by pwmtad: 3}", None),
        ("inline:{ randmap=x }", None),
        ("", None),
    ],
)
def test_the_pool_is_what_randmap_draws_from(value: str, expected: tuple[str, ...] | None) -> None:
    assert pool_members(value) == expected


def test_tables_are_split_outside_braces_only() -> None:
    assert table_list("a:b, c:{d, e {f g}}  h") == ["a:b", "c:{d, e {f g}}", "h"]


@given(st.text(alphabet="randmp:{}, \t\n[]$xé\0"))
def test_any_value_is_read_without_an_error(value: str) -> None:
    members = pool_members(value)
    assert members is None or all(member and ":" not in member for member in members)


def test_transport_maps_goes_before_the_sender_dependent_map_as_in_postfix() -> None:
    main = {"transport_maps": "randmap:{out05}", "sender_dependent_default_transport_maps": "randmap:{out06}"}
    assert pool_of(main) == ("out05",)
    assert pool_of({"transport_maps": "hash:x", "sender_dependent_default_transport_maps": "randmap:{out06}"}) == ("out06",)
    assert pool_of({}) is None


def test_parameters_are_read_by_name_and_values_may_hold_an_equals_sign() -> None:
    assert read_main("a = b = c\nempty =\nnonsense\n") == {"a": "b = c", "empty": ""}


def _codes(main: dict[str, str]) -> dict[str, Level]:
    return {found.code: found.level for found in main_findings(main, _CLONES)}


@pytest.mark.parametrize(
    ("main", "code", "level"),
    [
        ({"transport_maps": "hash:/etc/postfix/transport, randmap:{out05,out06}"}, "domain_routes_dead", Level.WARNING),
        ({"sender_dependent_default_transport_maps": "randmap:{}"}, "pool_empty", Level.ERROR),
        ({"sender_dependent_default_transport_maps": "randmap:{out05,out99}"}, "pool_member_missing", Level.ERROR),
        ({"sender_dependent_default_transport_maps": "static:{retry:4.7.0 paused}"}, "pool_paused", Level.WARNING),
        ({"defer_transports": "out05 smtp"}, "transports_deferred", Level.WARNING),
        ({"enable_long_queue_ids": "no"}, "short_queue_ids", Level.WARNING),
        ({"smtpd_milters": "inet:127.0.0.1:8891", "milter_default_action": "accept"}, "milter_failure_accepts", Level.WARNING),
    ],
)
def test_each_trap_is_found(main: dict[str, str], code: str, level: Level) -> None:
    assert _codes(main) == {code: level}


@pytest.mark.parametrize(
    "main",
    [
        {},
        {"transport_maps": "hash:/etc/postfix/transport", "sender_dependent_default_transport_maps": "randmap:{out05,out06}"},
        {"transport_maps": "randmap:{out05}"},
        {"enable_long_queue_ids": "yes", "defer_transports": ""},
        {"milter_default_action": "accept"},
        {"smtpd_milters": "inet:127.0.0.1:8891", "milter_default_action": "tempfail"},
    ],
)
def test_a_sound_setting_brings_no_finding(main: dict[str, str]) -> None:
    assert _codes(main) == {}


def test_a_finding_quotes_no_control_characters_and_no_end_of_text() -> None:
    (found,) = main_findings({"defer_transports": "\x1b[31m" + "x" * 5000}, _CLONES)
    assert "\x1b" not in found.text
    assert len(found.text) < 400


@pytest.mark.parametrize(
    ("main", "expected"),
    [
        ({}, None),
        ({"milter_default_action": "accept"}, True),
        ({"milter_default_action": "tempfail", "smtpd_milters": "inet:127.0.0.1:8891"}, False),
        ({"milter_default_action": "tempfail", "smtpd_milters": "{ inet:127.0.0.1:8891, default_action = accept }"}, True),
        ({"milter_default_action": "tempfail", "non_smtpd_milters": "{unix:/x, default_action=accept}"}, True),
        ({"milter_default_action": "quarantine"}, False),
    ],
)
def test_whether_mail_passes_a_milter_that_is_down_is_known(main: dict[str, str], expected: bool | None) -> None:
    assert milter_accepts(main) is expected
