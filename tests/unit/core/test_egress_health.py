"""Egresses that can't be used: out at the first look that finds a fault, back after ten minutes without one."""

from __future__ import annotations

from collections.abc import Collection

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from pwmtad.core.egress_health import EGRESS_RULE, HEALTHY_S, EgressHealth, Sight, unfit
from pwmtad.model.judgement import Record, RecordKind
from pwmtad.model.names import Instant
from pwmtad.model.postfix import Clone

STREAMS = {"trucking": ("out05", "out06"), "healthcare": ("hc1",)}
NOW: Instant = 1_780_000_000.0


def clone(name: str, address: str | None = "192.0.2.94", address6: str | None = None) -> Clone:
    return Clone(
        name=name,
        bind_address=address,
        bind_address6=address6,
        bind_enforced=True,
        helo_name=f"{name}.example.org",
        syslog_name=f"postfix/{name}",
    )


CLONES = {"out05": clone("out05", "192.0.2.5"), "out06": clone("out06", "192.0.2.6"), "hc1": clone("hc1", "192.0.2.1")}
WELL = Sight(CLONES, ())


def without(name: str) -> Sight:
    return Sight({other: clone for other, clone in CLONES.items() if other != name}, ())


def missing(*addresses: str) -> Sight:
    return Sight(CLONES, addresses)


def told(records: list[Record]) -> list[tuple[RecordKind, str, str]]:
    return [(record.kind, record.stream, record.subject) for record in records]


def test_what_is_well_is_used_and_nothing_is_said() -> None:
    health = EgressHealth()
    assert health.look(STREAMS, WELL, NOW) == []
    assert health.broken(("out05", "out06", "hc1")) == {}


def test_an_address_that_is_gone_takes_its_egress_out_at_the_first_look() -> None:
    health = EgressHealth()
    (record,) = health.look(STREAMS, missing("192.0.2.6"), NOW)
    assert told([record]) == [(RecordKind.EGRESS_OUT, "trucking", "out06")]
    assert (record.rule, record.reason) == (EGRESS_RULE, "out06 is taken out: its address 192.0.2.6 is not on this host")
    assert health.broken(("out05", "out06")) == {"out06": "its address 192.0.2.6 is not on this host"}


def test_either_of_two_addresses_is_missed() -> None:
    health = EgressHealth()
    sight = Sight({**CLONES, "out05": clone("out05", "192.0.2.5", "2001:db8::5")}, ("2001:db8::5",))
    health.look(STREAMS, sight, NOW)
    assert health.broken(("out05",)) == {"out05": "its address 2001:db8::5 is not on this host"}


def test_a_clone_that_left_master_cf_is_out() -> None:
    health = EgressHealth()
    assert told(health.look(STREAMS, without("hc1"), NOW)) == [(RecordKind.EGRESS_OUT, "healthcare", "hc1")]
    assert health.broken(("hc1",)) == {"hc1": "master.cf has no such smtp service any more"}


def test_a_clone_without_an_address_would_send_from_the_hosts_own() -> None:
    health = EgressHealth()
    health.look(STREAMS, Sight({**CLONES, "out05": clone("out05", None)}, None), NOW)
    assert health.broken(("out05",)) == {
        "out05": "it has no smtp_bind_address, so its mail would leave from the host's own address"
    }


def test_a_fault_that_stays_or_changes_is_told_once() -> None:
    health = EgressHealth()
    health.look(STREAMS, missing("192.0.2.6"), NOW)
    assert health.look(STREAMS, missing("192.0.2.6"), NOW + 1) == []
    assert health.look(STREAMS, without("out06"), NOW + 2) == []
    assert health.broken(("out06",)) == {"out06": "master.cf has no such smtp service any more"}


def test_it_is_back_after_ten_minutes_without_a_fault_and_not_before() -> None:
    health = EgressHealth()
    health.look(STREAMS, missing("192.0.2.6"), NOW)
    for second in range(1, int(HEALTHY_S) + 1):
        assert health.look(STREAMS, WELL, NOW + second) == []
        assert "out06" in health.broken(("out06",))
    (record,) = health.look(STREAMS, WELL, NOW + 1 + HEALTHY_S)
    assert told([record]) == [(RecordKind.EGRESS_BACK, "trucking", "out06")]
    assert record.reason == (
        "out06 is back: no fault for 10 min (it was out because its address 192.0.2.6 is not on this host)"
    )
    assert health.broken(("out06",)) == {}
    assert health.look(STREAMS, WELL, NOW + 2 + HEALTHY_S) == []


def test_an_address_that_flaps_stays_out() -> None:
    health = EgressHealth()
    records = []
    for minute in range(60):
        sight = missing("192.0.2.6") if minute % 9 == 0 else WELL
        records += health.look(STREAMS, sight, NOW + minute * 60)
    assert told(records) == [(RecordKind.EGRESS_OUT, "trucking", "out06")]


def test_what_could_not_be_seen_changes_nothing() -> None:
    health = EgressHealth()
    assert health.look(STREAMS, Sight(None, None), NOW) == []
    assert health.look(STREAMS, Sight(CLONES, None), NOW) == []
    health.look(STREAMS, missing("192.0.2.6"), NOW)
    for sight in (Sight(None, ()), Sight(CLONES, None)):
        assert health.look(STREAMS, sight, NOW + 10 * HEALTHY_S) == []
        assert "out06" in health.broken(("out06",))


def test_a_clock_that_steps_back_makes_the_wait_longer_and_never_shorter() -> None:
    health = EgressHealth()
    health.look(STREAMS, missing("192.0.2.6"), NOW)
    health.look(STREAMS, WELL, NOW + 1)
    health.look(STREAMS, WELL, NOW - 5000)
    assert health.look(STREAMS, WELL, NOW - 5000 + HEALTHY_S - 1) == []
    assert told(health.look(STREAMS, WELL, NOW - 5000 + HEALTHY_S)) == [(RecordKind.EGRESS_BACK, "trucking", "out06")]


def test_how_long_it_is_well_counts_from_what_was_seen() -> None:
    health = EgressHealth()
    assert health.well_for("out05", NOW) == 0
    health.look(STREAMS, WELL, NOW)
    assert health.well_for("out05", NOW + 60) == 60
    assert health.well_for("out05", NOW - 60) == 0
    health.look(STREAMS, missing("192.0.2.5"), NOW + 100)
    assert health.well_for("out05", NOW + 200) == 0
    health.look(STREAMS, WELL, NOW + 300)
    assert health.well_for("out05", NOW + 310) == 10
    health.look(STREAMS, WELL, NOW + 300 + HEALTHY_S)
    assert health.well_for("out05", NOW + 300 + HEALTHY_S) == HEALTHY_S


def test_who_enters_a_pool_has_all_that_keeps_its_mail_apart() -> None:
    whole = clone("out05")
    assert unfit(whole) == ""
    assert unfit(replace(whole, bind_address=None, bind_address6="2001:db8::5")) == ""
    assert unfit(None) == "it is not in master.cf"
    assert unfit(replace(whole, bind_enforced=False)) == "it lacks smtp_bind_address_enforce=yes in master.cf"
    assert unfit(Clone("out05")) == (
        "it lacks smtp_bind_address, smtp_bind_address_enforce=yes, smtp_helo_name, syslog_name in master.cf"
    )


sights = st.sampled_from(
    [WELL, missing("192.0.2.5"), missing("192.0.2.6", "192.0.2.5"), without("out05"), Sight(None, None), Sight(CLONES, None)]
)


def is_seen_well(sight: Sight, egress: str) -> bool:
    return sight.clones is not None and egress in sight.clones and sight.missing == ()


def is_faulty(sight: Sight, egress: str) -> bool:
    gone: Collection[str] = sight.missing or ()
    return sight.clones is not None and (egress not in sight.clones or sight.clones[egress].bind_address in gone)


@settings(deadline=None)
@given(st.lists(st.tuples(sights, st.floats(0, 900)), max_size=60))
def test_no_egress_is_back_before_ten_minutes_without_any_fault(looks: list[tuple[Sight, float]]) -> None:
    health, now, faulty_at = EgressHealth(), NOW, -1.0
    for sight, passed in looks:
        now += passed
        before = set(health.broken(("out05",)))
        kinds = [record.kind for record in health.look(STREAMS, sight, now) if record.subject == "out05"]
        if is_faulty(sight, "out05"):
            faulty_at = now
            assert health.broken(("out05",))
        if before and not health.broken(("out05",)):
            assert kinds == [RecordKind.EGRESS_BACK]
            assert is_seen_well(sight, "out05")
            assert now - faulty_at >= HEALTHY_S
        assert len(kinds) <= 1
