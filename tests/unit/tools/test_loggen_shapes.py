"""The generator's lines look like those of a real host, are in order, and are the same every time."""

from __future__ import annotations

import io
import json
from datetime import datetime, timedelta, timezone
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tools.loggen import JOURNAL, MAIL_LOG, HostConfig, Scenario, Traditional
from tests.tools.loggen.engine import Engine
from tests.tools.loggen.ids import ALPHABET, LongIds, ShortIds
from tests.tools.loggen.personas import TSS04
from tests.tools.loggen.pieces import BindFailure, MilterDown, Reload, Unsigned
from tests.unit.tools.loggen_reading import SHAPES, START, STREAM, body, busy_hours, outcome, shape_of, shapes

HOUR = 3600.0

EVERYTHING = busy_hours(
    MilterDown(START + 0.3 * HOUR, START + 0.4 * HOUR),
    Unsigned(START + 0.1 * HOUR, "trucking", START + 0.2 * HOUR, says_why=True),
    BindFailure(START + 0.2 * HOUR, "out06", START + 0.3 * HOUR),
    BindFailure(START + 0.4 * HOUR, "out06", enforced=True),
    Reload(START + 0.35 * HOUR),
    host=HostConfig(queue_lifetime_s=3 * HOUR),
    personas={"yahoo": TSS04},
)


def lines_of(scenario: Scenario) -> list[str]:
    return [line for _, line in scenario.mail_log()]


def test_every_line_has_a_shape_seen_in_a_real_log_and_every_shape_occurs() -> None:
    found = shapes(lines_of(EVERYTHING))
    assert None not in found
    assert set(found) == set(SHAPES)


def test_the_same_seed_gives_the_same_lines_and_another_seed_others() -> None:
    first = lines_of(busy_hours(count=200))
    assert first == lines_of(busy_hours(count=200))
    assert first != lines_of(busy_hours(count=200, seed=6))


def test_lines_are_in_order_and_carry_their_true_time() -> None:
    last = 0.0
    for when, line in busy_hours(count=400).mail_log():
        assert when >= last
        last = when
        assert abs(datetime.fromisoformat(line.split(" ", 1)[0]).timestamp() - when) < 0.000_002


def test_reading_line_by_line_and_writing_to_a_file_give_the_same() -> None:
    file = io.StringIO()
    written = busy_hours(count=300).play().write(file)
    run = busy_hours(count=300).play()
    assert "".join(line + "\n" for _, _, line in run) == file.getvalue()
    assert written.as_dict() == run.truth.as_dict()


@pytest.mark.parametrize("limit", [1, 1000, 1024, 4000])
def test_a_file_with_a_limit_has_exactly_that_many_lines(limit: int) -> None:
    file = io.StringIO()
    truth = busy_hours().play().write(file, max_lines=limit)
    assert file.getvalue().count("\n") == truth.mail_lines == limit


def test_traditional_timestamps_have_local_time_and_a_padded_day() -> None:
    cet = timezone(timedelta(hours=1))
    _, line = next(busy_hours(count=1, style=Traditional(cet)).mail_log())
    assert line.startswith("Mar  2 01:00:00 mta postfix/")


def test_a_clock_step_changes_what_is_shown_and_not_the_order() -> None:
    steady = list(busy_hours(count=200).mail_log())
    stepped = list(busy_hours(count=200, clock_steps=((START + 120, -60.0),)).mail_log())
    assert [when for when, _ in steady] == [when for when, _ in stepped]
    shown = [datetime.fromisoformat(line.split(" ", 1)[0]).timestamp() for _, line in stepped]
    differences = {round(when - stamp) for (when, _), stamp in zip(stepped, shown, strict=True)}
    assert differences == {0, 60}


def test_opendkim_can_log_to_the_journal_instead_or_as_well() -> None:
    for where, in_log, in_journal in (("mail", True, False), ("journal", False, True), ("both", True, True)):
        records = list(busy_hours(count=50, host=HostConfig(opendkim_log=where)).play())
        assert any("opendkim[" in line for _, place, line in records if place == MAIL_LOG) is in_log
        assert any('"opendkim"' in line for _, place, line in records if place == JOURNAL) is in_journal


def test_a_signature_logged_in_both_places_is_counted_once() -> None:
    run = busy_hours(count=50, host=HostConfig(opendkim_log="both")).play()
    list(run)
    assert run.truth.count("signed", "trucking") == run.truth.count("injected", "trucking") == 50


def test_journal_entries_are_as_journalctl_writes_them() -> None:
    entries = [
        (when, json.loads(line)) for when, line in busy_hours(count=50, host=HostConfig(opendkim_log="journal")).journal()
    ]
    assert len({entry["__CURSOR"] for _, entry in entries}) == len(entries)
    for when, entry in entries:
        assert abs(int(entry["__REALTIME_TIMESTAMP"]) / 1e6 - when) < 0.000_01
        assert entry["_SYSTEMD_UNIT"] == "opendkim.service"
        assert entry["SYSLOG_IDENTIFIER"] == "opendkim"
        assert shape_of(f"opendkim[{entry['_PID']}]: {entry['MESSAGE']}") == "signed"


def test_a_host_without_rsyslog_has_everything_in_the_journal() -> None:
    run = busy_hours(count=50, host=HostConfig(postfix_log="journal", opendkim_log="journal")).play()
    entries = [json.loads(line) for _, place, line in run if place == JOURNAL]
    assert run.truth.mail_lines == 0
    assert {"postfix/out05/smtp", "postfix-out06/smtp", "postfix/qmgr"} <= {entry["SYSLOG_IDENTIFIER"] for entry in entries}
    assert {entry["_SYSTEMD_UNIT"] for entry in entries} == {"postfix@-.service", "opendkim.service"}


@pytest.mark.parametrize("long_ids", [True, False])
def test_no_two_messages_in_the_queue_have_the_same_id(long_ids: bool) -> None:
    in_queue: set[str] = set()
    for line in lines_of(busy_hours(host=HostConfig(long_ids=long_ids, id_reuse_share=0.3))):
        text = body(line)
        kind = shape_of(text)
        if kind in {"client", "pickup"} and (found := SHAPES[kind].fullmatch(text)):
            assert found[1] not in in_queue
            in_queue.add(found[1])
        elif kind == "removed" and (found := SHAPES[kind].fullmatch(text)):
            in_queue.discard(found[1])


def test_short_ids_come_again_after_they_were_removed() -> None:
    found = [body(line) for line in lines_of(busy_hours(host=HostConfig(long_ids=False, id_reuse_share=0.3)))]
    ids = [match[1] for text in found if (match := SHAPES["client"].fullmatch(text))]
    assert len(ids) - len(set(ids)) > 100


def test_a_long_id_holds_the_time_of_its_message() -> None:
    # a message of a real run arrived at 02:52:02.653 on 2026-11-24 and was called 4jYS5G4dRNzJB4C
    when = datetime.fromisoformat("2026-11-24T02:52:02.652880+00:00").timestamp() + 2e-7
    assert LongIds(0x20C000).new(when).startswith("4jYS5G4dRNz")


@given(st.lists(st.tuples(st.floats(START, START + 1000), st.booleans()), max_size=40), st.booleans())
@settings(max_examples=60)
def test_ids_of_messages_in_the_queue_are_unique(events: list[tuple[float, bool]], long_ids: bool) -> None:
    ids = LongIds(4000) if long_ids else ShortIds(4000, Random(1), 0.5)
    in_queue: list[str] = []
    for when, leaves in sorted(events):
        if leaves and in_queue:
            ids.release(in_queue.pop(0), when)
        else:
            made = ids.new(when)
            assert made not in in_queue
            in_queue.append(made)
    assert all(set(made) <= set(ALPHABET + "AEIOU") for made in in_queue)


def test_an_action_that_logs_into_the_past_is_refused() -> None:
    engine = Engine(float("inf"))

    def honest(now: float) -> None:
        for step in range(3000):
            engine.log((now + step / 1e6, MAIL_LOG, "postfix/qmgr[1]: x", None))

    engine.at(10.0, honest)
    engine.at(20.0, lambda _now: engine.log((5.0, MAIL_LOG, "postfix/qmgr[1]: late", None)))
    with pytest.raises(AssertionError, match="into the past"):
        list(engine.batches())


def test_connections_are_used_again_only_when_they_are_recent() -> None:
    slow = [found.conn_use for line in lines_of(busy_hours(count=300)) if (found := outcome(body(line)))]
    assert max(slow) > 1
    assert slow.count(1) > len(slow) / 2


def test_injectors_keep_a_session_for_several_messages() -> None:
    found = shapes(lines_of(busy_hours(count=600)))
    assert found["connect"] < found["client"]
    assert STREAM.connections <= found["connect"] == found["disconnect"]
