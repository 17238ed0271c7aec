"""The State as JSON: for people and scripts, and back without loss."""

from __future__ import annotations

import json
import math
import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from pwmtad.core.state_json import decode, encode, moment, plain
from pwmtad.model.judgement import HaltPhase
from pwmtad.model.state import State
from tests.tools.states import AT, sample_halt, sample_records, sample_state


def test_a_state_comes_back_as_it_was() -> None:
    assert decode(encode(sample_state())) == sample_state()


def test_moments_are_rfc_3339_in_utc() -> None:
    data = json.loads(encode(sample_state()))
    assert data["at"] == "2026-06-17T18:22:41.000Z"
    assert data["reload"]["loaded_at"] == "2026-06-17T16:22:41.000Z"
    assert data["sources"][1]["watermark"] == "2026-06-17T18:21:06.000Z"
    assert data["tick_s"] == 0.0021


def test_moments_of_halts_are_dates_and_spans_are_seconds() -> None:
    halt = json.loads(encode(sample_state()))["halts"][0]
    assert halt["started_at"] == "2026-06-17T03:12:41.000Z"
    assert halt["hold_until"] == "2026-06-20T03:12:41.000Z"
    assert (halt["hold_s"], halt["phase"], halt["scope"], halt["ended_at"]) == (259_200, "active", "stream", None)


def test_every_halt_and_record_has_only_dates_and_comes_back() -> None:
    halts = (
        replace(sample_halt(), held_until_phase=AT, ended_at=AT + 0.5, phase=HaltPhase.ENDED),
        replace(sample_halt(), hold_until=None, hold_s=None),
    )
    state = replace(sample_state(), halts=halts)
    assert decode(encode(state)) == state
    for record in sample_records():
        text = json.dumps(plain(record))
        assert not re.search(r"\b1[78]\d{8}\b", text), text
        assert plain(record)["ends_at"] is None or plain(record)["ends_at"].endswith("Z")


def test_keys_and_counts_are_objects_with_the_words_of_the_contract() -> None:
    row = json.loads(encode(sample_state()))["mix"][1]
    assert row["key"] == {
        "stream": "trucking", "egress": "out05", "operator": "google", "status": "bounced", "class": "reputation",
    }  # fmt: skip
    assert row["utc_day"] == {"first": 41, "retries": 0, "notifications": 0}


def test_keys_that_a_newer_daemon_adds_are_skipped() -> None:
    data = json.loads(encode(sample_state()))
    data["something_new"] = {"at": "2026-01-01T00:00:00Z"}
    data["mix"][0]["key"]["halt"] = None
    data["mix"][0]["hour"]["probes"] = 7
    assert decode(json.dumps(data).encode()) == sample_state()


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"<html>", b'{"at": "yesterday"}', b"\xff", b"[" * 100_000])
def test_what_is_no_state_is_refused(data: bytes) -> None:
    with pytest.raises((msgspec.MsgspecError, RecursionError)):
        decode(data)


@given(st.floats())
def test_any_number_becomes_a_moment_that_a_calendar_has(at: float) -> None:
    assert moment(at).startswith(("1", "2", "3", "4", "5", "6", "7", "8", "9"))
    assert moment(at).endswith("Z")


@given(st.floats(), st.floats())
def test_odd_numbers_keep_the_json_readable(at: float, tick_s: float) -> None:
    state = msgspec.structs.replace(sample_state(), at=at, tick_s=tick_s)
    found: State = decode(encode(state))
    assert math.isfinite(found.at)
    assert found.tick_s == (tick_s if math.isfinite(tick_s) else 0.0)
