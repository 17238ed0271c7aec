"""What the root helper refuses to take from a daemon that may have been taken over."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pwmtad.core.target_check import MAX_QUEUE_IDS, is_queue_id, refused_target, usable_ids
from pwmtad.model.target import PostfixTarget, StreamTarget

_EGRESSES = ("out05", "out06")


def _stream(**changes: object) -> StreamTarget:
    given = {"stream": "news", "egresses": _EGRESSES, "pool": _EGRESSES, "deferred": ("out05",)} | changes
    return StreamTarget(**given)  # type: ignore[arg-type]


def _target(*streams: StreamTarget, **changes: object) -> PostfixTarget:
    return PostfixTarget(streams or (_stream(),), **changes)  # type: ignore[arg-type]


def test_what_a_sound_daemon_sends_is_taken() -> None:
    target = _target(
        _stream(paused_by="news-google-unsolicited-20261124T031201-2", rate_delay_s=3601),
        _stream(stream="care", egresses=("out_30", "A.b-c"), pool=(), deferred=()),
        exempt_senders=("cron@example.org", "@mail.example.org", "o'neil+x@example.org", "root@mta"),
        excluded_domains=("yahoo.example", "xn--bcher-kva.example", "a.b.c.d.example"),
    )
    assert refused_target(target) is None


_BAD = ["", "a b", "a,b", "out05}", "{x", "$x", "a\nb", "a:b", "-x", "x" * 65, "é", "a/b", "a\x00"]


@pytest.mark.parametrize("name", _BAD)
def test_names_that_main_cf_could_not_carry_are_refused(name: str) -> None:
    assert refused_target(_target(_stream(egresses=(*_EGRESSES, name)))) is not None
    assert refused_target(_target(_stream(stream=name))) is not None
    assert refused_target(_target(exempt_transport=name)) is not None
    if name != "":
        assert refused_target(_target(_stream(paused_by=name.replace("-x", "-é").replace("x" * 65, "x" * 161)))) is not None


@pytest.mark.parametrize("sender", ["", "a", "a b@example.org", "a@", '"a b"@example.org', "a@b@c", "a\n@example.org", "a@b/c",
                                    "<>", "x" * 65 + "@example.org", "a@" + "b" * 254, "é@example.org"])  # fmt: skip
def test_senders_that_are_no_addresses_are_refused(sender: str) -> None:
    assert refused_target(_target(exempt_senders=(sender,))) is not None


_BAD_DOMAINS = ["", "example", "Example.org", "a b.example", "a.example retry:4.7.0 x", "-a.example", "a..example",
                "a.example\nb.example", "é.example", "a." * 127 + "example", "@a.example"]  # fmt: skip


@pytest.mark.parametrize("domain", _BAD_DOMAINS)
def test_domains_that_are_none_are_refused(domain: str) -> None:
    assert refused_target(_target(excluded_domains=(domain,))) is not None


@pytest.mark.parametrize(
    "target",
    [
        _target(_stream(rate_delay_s=-1)),
        _target(_stream(rate_delay_s=3602)),
        _target(_stream(pool=("out07",))),
        _target(_stream(deferred=("out07",))),
        _target(_stream(pool=("out05", "out05"))),
        _target(_stream(egresses=("out05", "out05"), pool=())),
        _target(_stream(), _stream(stream="care", pool=(), deferred=())),
        _target(_stream(), _stream(stream="care", egresses=("out07",), pool=("out07",), deferred=())),
        _target(_stream(egresses=tuple(f"out{number}" for number in range(1001)), pool=(), deferred=())),
        _target(*(_stream(stream=f"s{n}", egresses=(f"o{n}",), pool=(), deferred=()) for n in range(101))),
        _target(exempt_senders=("a@example.org",) * 1001),
        _target(excluded_domains=("a.example",) * 100_001),
    ],
)
def test_what_no_sound_daemon_sends_is_refused_wholly(target: PostfixTarget) -> None:
    assert refused_target(target) is not None


@given(st.text(max_size=40))
def test_a_refusal_shows_no_control_characters(name: str) -> None:
    refusal = refused_target(_target(_stream(egresses=(*_EGRESSES, name))))
    assert refusal is None or refusal.isprintable()


_SAFE: Final = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz"
"""Postfix's safe alphabet (safe_ultostr.c); the inode is written in base 51, without its last letter."""


def _safe(number: int, base: int, width: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, base)
        digits = _SAFE[digit] + digits
    return digits.rjust(width, "0")


@given(st.integers(1_000_000_000, 4_000_000_000), st.integers(0, 999_999), st.integers(1, 2**63))
def test_every_queue_id_that_postfix_can_make_is_taken(seconds: int, micros: int, inode: int) -> None:
    assert is_queue_id(f"{_safe(seconds, 52, 6)}{_safe(micros, 52, 4)}z{_safe(inode, 51, 1)}")
    assert is_queue_id(f"{micros:05X}{inode:X}")


@pytest.mark.parametrize("queue_id", ["4jYb0p31NFz1SDl6", "4jYcCF1SDFz26Z", "731D420C053", "00D5A76", "A" * 12])
def test_queue_ids_of_both_shapes_are_taken(queue_id: str) -> None:
    assert is_queue_id(queue_id)
    assert usable_ids([queue_id, queue_id]) == ((queue_id,), None)


_BAD_IDS = ["ALL", "-", "", "deferred", "4jYb", "../x", "4jYS5G4dRNzJB4C\n", "a1b2c3d4", "4jYa5G4dRNzJB4C", "A" * 31, "NOQUEUE",
            "4jYS5G4dRNzJB4C ALL", "\uff14jYS5G4dRNzJB4C"]  # fmt: skip


@pytest.mark.parametrize("queue_id", _BAD_IDS)
def test_what_is_no_queue_id_is_left_out_and_told_and_the_others_are_taken(queue_id: str) -> None:
    assert not is_queue_id(queue_id)
    usable, problem = usable_ids([queue_id, "731D420C053"])
    assert usable == ("731D420C053",)
    assert "left out what is no queue id" in (problem or "")


def test_the_number_of_queue_ids_is_bounded() -> None:
    assert usable_ids(["731D420C053"] * MAX_QUEUE_IDS) == (("731D420C053",), None)
    usable, problem = usable_ids(["731D420C053"] * (MAX_QUEUE_IDS + 1))
    assert usable == ()
    assert problem is not None
