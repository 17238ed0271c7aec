"""What /metrics exports, and that docs/metrics.md says the same."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from pwmtad.adapters.metrics import Metrics
from pwmtad.model.counters import AttemptCounts, MessageCounts
from pwmtad.model.judgement import HaltPhase
from pwmtad.model.state import Snapshot
from tests.tools.states import healthy_snapshot, sample_halt, sample_snapshot, sample_state

_DOC = Path(__file__).parents[3] / "docs" / "metrics.md"
_OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def _text(snapshot: Snapshot, metrics: Metrics | None = None) -> str:
    return (metrics or Metrics()).exposition(snapshot, "")[0].decode()


def _values(text: str) -> dict[str, float]:
    """Samples by `name{label="value",...}`."""
    lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in lines}


def _with_unsigned(count: int) -> Snapshot:
    snapshot = sample_snapshot()
    totals = msgspec.structs.replace(snapshot.totals, messages={"trucking": MessageCounts(100, 90, count, 0)})
    return msgspec.structs.replace(snapshot, totals=totals)


def _exported() -> dict[str, tuple[str, frozenset[str]]]:
    """Type and labels of each family, by the name under which it is queried."""
    found: dict[str, tuple[str, frozenset[str]]] = {}
    for family in read_text(_text(sample_snapshot())):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        if name.startswith("pwmtad_"):
            found[name] = (family.type, frozenset(label for sample in family.samples for label in sample.labels))
    return found


def _documented() -> dict[str, tuple[str, frozenset[str]]]:
    rows = re.findall(r"^\| `(pwmtad_\w+)` \| (\w+) \| ([^|]*)\| [^|]+ \|$", _DOC.read_text(), re.MULTILINE)
    return {name: (kind, frozenset(re.findall(r"\w+", labels))) for name, kind, labels in rows}


def test_the_document_lists_exactly_what_is_exported_with_type_and_labels() -> None:
    assert _documented() == _exported()


def test_attempts_are_the_sum_of_first_ones_retries_and_notifications() -> None:
    snapshot = sample_snapshot()
    values = _values(_text(snapshot))
    for key, counts in snapshot.totals.attempts.items():
        labels = (
            f'{{class="{key.reply_class}",egress="{key.egress}",operator="{key.operator}",'
            f'status="{key.status}",stream="{key.stream}"}}'
        )
        assert values[f"pwmtad_attempts_total{labels}"] == sum(counts)
        assert values.get(f"pwmtad_first_attempts_total{labels}", 0) == counts.first
        assert values.get(f"pwmtad_retries_total{labels}", 0) == counts.retries
        assert values.get(f"pwmtad_notification_attempts_total{labels}", 0) == counts.notifications


def test_lookbacks_add_up_over_egresses_and_over_operators() -> None:
    snapshot = sample_snapshot()
    values = _values(_text(snapshot))
    for label, field in (("1h", "hour"), ("24h", "day"), ("utc_day", "utc_day")):
        counted: list[AttemptCounts] = [getattr(row, field) for row in snapshot.state.mix]
        attempts = [n for name, n in values.items() if name.startswith("pwmtad_lookback_attempts{") and f'"{label}"' in name]
        volumes = [n for name, n in values.items() if name.startswith("pwmtad_lookback_first_") and f'"{label}"' in name]
        assert sum(attempts) == sum(sum(counts) for counts in counted)
        assert sum(volumes) == sum(counts.first for counts in counted)


def test_what_is_not_known_is_absent_and_not_zero() -> None:
    values = _values(_text(sample_snapshot()))
    assert values['pwmtad_warmup_day{stream="trucking"}'] == 15
    assert 'pwmtad_warmup_day{stream="healthcare"}' not in values
    assert 'pwmtad_window_messages{stream="healthcare"}' not in values
    assert 'pwmtad_pool_egresses{state="active",stream="healthcare"}' not in values
    assert values['pwmtad_pool_egresses{state="active",stream="trucking"}'] == 3
    assert values['pwmtad_pool_egresses{state="allowed",stream="trucking"}'] == 12
    assert values['pwmtad_queue_messages{queue="deferred"}'] == 1846
    assert 'pwmtad_queue_messages{queue="maildrop"}' not in values


def test_sources_and_lines_are_told_by_name() -> None:
    values = _values(_text(sample_snapshot()))
    assert values['pwmtad_lines_total{source="mail.log"}'] == 1_284_551
    assert values['pwmtad_unparsed_lines_total{daemon="postfix"}'] == 10
    assert values['pwmtad_source_caught_up{source="mail.log"}'] == 1
    assert values['pwmtad_source_caught_up{source="opendkim"}'] == 0
    assert values['pwmtad_source_readable{source="opendkim"}'] == 1


def test_halts_are_counted_by_stream_rule_and_phase() -> None:
    halt = sample_halt()
    others = (replace(halt, id="b"), replace(halt, id="c", phase=HaltPhase.PROBING), replace(halt, id="d", rule="manual"))
    state = replace(sample_state(), halts=(halt, *others))
    found = {
        name: n
        for name, n in _values(_text(replace(sample_snapshot(), state=state))).items()
        if name.startswith("pwmtad_halts{")
    }
    assert found == {
        'pwmtad_halts{phase="active",rule="google-blocks",stream="trucking"}': 2,
        'pwmtad_halts{phase="probing",rule="google-blocks",stream="trucking"}': 1,
        'pwmtad_halts{phase="active",rule="manual",stream="trucking"}': 1,
    }
    assert not any(name.startswith("pwmtad_halts{") for name in _values(_text(healthy_snapshot())))


def test_what_a_stream_should_look_like_is_told_and_what_is_not_known_is_absent() -> None:
    halted, well = _values(_text(sample_snapshot())), _values(_text(healthy_snapshot()))
    assert halted['pwmtad_sending{stream="trucking"}'] == 0 < well['pwmtad_sending{stream="trucking"}']
    assert halted['pwmtad_growth_frozen{stream="trucking"}'] == 1 > well['pwmtad_growth_frozen{stream="trucking"}']
    assert halted['pwmtad_effective_day{stream="trucking"}'] == 13
    assert halted['pwmtad_desired_window_messages{stream="trucking"}'] == 250
    assert halted['pwmtad_desired_pool_egresses{stream="trucking"}'] == 12
    assert 'pwmtad_effective_day{stream="healthcare"}' not in halted
    assert 'pwmtad_desired_pool_egresses{stream="healthcare"}' not in halted
    assert halted['pwmtad_unknown{code="warmup_start",stream="healthcare"}'] == 1
    assert not any(name.startswith("pwmtad_unknown{") for name in well)
    assert halted['pwmtad_decisions_total{kind="halt",stream="trucking"}'] == 1


def test_ready_and_findings_follow_the_snapshot() -> None:
    sick, well = _values(_text(sample_snapshot())), _values(_text(healthy_snapshot()))
    assert sick["pwmtad_ready"] == 0
    assert sick['pwmtad_findings{code="egress_without_syslog_name",level="error"}'] == 1
    assert well["pwmtad_ready"] == 1
    assert not any(name.startswith("pwmtad_findings{") for name in well)


def test_a_counter_never_steps_back_when_late_signatures_correct_it() -> None:
    name = 'pwmtad_messages_unsigned_total{stream="trucking"}'
    metrics = Metrics()
    assert [_values(_text(_with_unsigned(count), metrics))[name] for count in (5, 4, 3, 5, 6)] == [5, 5, 5, 5, 6]


@given(st.lists(st.lists(st.floats(0, 20), max_size=5), max_size=8), st.booleans())
def test_each_tick_is_in_the_histogram_once_however_often_it_is_scraped(rounds: list[list[float]], handed_twice: bool) -> None:
    metrics, snapshot = Metrics(), sample_snapshot()
    ticks = 0
    for durations in rounds:
        ticks += len(durations)
        state = msgspec.structs.replace(snapshot.state, ticks=ticks)
        taken = msgspec.structs.replace(snapshot, state=state, tick_durations=tuple(durations))
        for _ in range(1 + handed_twice):
            metrics.observe(taken)
    empty = msgspec.structs.replace(snapshot, state=msgspec.structs.replace(snapshot.state, ticks=ticks), tick_durations=())
    values = _values(_text(empty, metrics))
    assert values["pwmtad_tick_duration_seconds_count"] == ticks
    assert values["pwmtad_tick_duration_seconds_sum"] == pytest.approx(sum(sum(durations) for durations in rounds))
    assert values['pwmtad_tick_duration_seconds_bucket{le="0.1"}'] == sum(d <= 0.1 for ds in rounds for d in ds)


def test_both_formats_say_the_same() -> None:
    snapshot = sample_snapshot()
    plain = {(s.name, tuple(s.labels.items())): s.value for f in read_text(_text(snapshot)) for s in f.samples}
    body, content_type = Metrics().exposition(snapshot, _OPENMETRICS)
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    families = read_openmetrics(body.decode())  # type: ignore[no-untyped-call]  # its parser has no annotations
    rich = {(s.name, tuple(s.labels.items())): s.value for f in families for s in f.samples}
    ours = {key for key in plain if key[0].startswith("pwmtad_")}
    assert ours
    assert {key: rich[key] for key in ours} == {key: plain[key] for key in ours}


def test_a_hostile_label_can_not_add_a_sample() -> None:
    snapshot = sample_snapshot()
    stream = msgspec.structs.replace(snapshot.state.streams[0], name='x"} 1\nevil_metric{a="\\')
    state = msgspec.structs.replace(snapshot.state, streams=(stream,))
    names = {family.name for family in read_text(_text(msgspec.structs.replace(snapshot, state=state)))}
    assert "evil_metric" not in names


def test_the_process_tells_its_own_memory() -> None:
    assert _values(_text(sample_snapshot()))["process_resident_memory_bytes"] > 1_000_000
