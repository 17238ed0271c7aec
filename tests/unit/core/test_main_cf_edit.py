"""From what Postfix should do to what must be written: by examples; for all cases see test_main_cf_books."""

from __future__ import annotations

import pytest

from pwmtad.core import main_cf_values as values
from pwmtad.core.main_cf_edit import MainCf, actual_of, adopted
from pwmtad.model.postfix import Clone
from pwmtad.model.target import Owned, PostfixActual, PostfixTarget, Remembered, StreamTarget
from tests.unit.core.main_cf_world import CLONES, DIRECTORY, EXCLUDED, EXCLUDED_REGEXP, EXEMPT, World

_PAUSE = "static:{paused-by-pwmtad:news-h1}"


def _target(
    pool: tuple[str, ...] = ("out05", "out06"),
    *,
    paused_by: str = "",
    deferred: tuple[str, ...] = (),
    delay: int = 0,
    exempt: tuple[str, ...] = (),
    transport: str = "smtp",
    excluded: tuple[str, ...] = (),
    keep: bool = False,
) -> PostfixTarget:
    stream = StreamTarget("news", ("out05", "out06", "out07"), pool, paused_by=paused_by, deferred=deferred, rate_delay_s=delay)
    return PostfixTarget((stream,), exempt, transport, excluded, keep)


def _actual(world: World) -> PostfixActual:
    return actual_of(world.main, world.owned)


def test_a_pool_goes_to_the_sender_dependent_map() -> None:
    world = World()
    world.apply(_target())
    assert world.present == {values.POOL: "randmap:{out05,out06}"}
    assert _actual(world).pool == ("out05", "out06")


def test_a_host_with_its_pool_in_transport_maps_has_it_there() -> None:
    world = World.of({values.TRANSPORT_MAPS: "hash:/etc/postfix/transport, randmap:{out01}"})
    world.apply(_target())
    assert world.present == {values.TRANSPORT_MAPS: "hash:/etc/postfix/transport, randmap:{out05,out06}"}


def test_a_pool_that_somebody_puts_into_transport_maps_later_is_held_as_well() -> None:
    world = World()
    world.apply(_target())
    world.set(values.TRANSPORT_MAPS, "randmap:{out07}")
    world.apply(_target(paused_by="news-h1"))
    assert world.present[values.TRANSPORT_MAPS] == world.present[values.POOL] == _PAUSE


def test_a_halt_has_three_locks() -> None:
    world = World.of({values.DEFER: "lmtp"})
    world.apply(_target(delay=72))
    world.apply(_target(delay=72, paused_by="news-h1"))
    assert world.present[values.POOL] == _PAUSE
    assert world.present[values.DEFER] == "lmtp set-by-pwmtad out05 out06 out07 paused-by-pwmtad"
    assert {world.present[f"out0{number}_transport_rate_delay"] for number in (5, 6, 7)} == {"8640000s"}
    actual = _actual(world)
    assert (actual.paused_by, actual.paused, actual.pool) == ("news-h1", {"news": "news-h1"}, ("out05", "out06"))
    assert (actual.deferred, actual.ours) == (("lmtp", "out05", "out06", "out07"), ("out05", "out06", "out07"))
    assert actual.rate_delays == {"out05": 72, "out06": 72, "out07": 72}


def test_what_waits_alone_waits_behind_two_locks() -> None:
    world = World()
    world.apply(_target(deferred=("out07",), delay=10))
    assert world.present[values.DEFER] == "set-by-pwmtad out07"
    assert world.present["out07_transport_rate_delay"] == "8640000s"
    assert world.present["out05_transport_rate_delay"] == "10s"
    assert _actual(world).ours == ("out07",)
    world.apply(_target(delay=10))
    assert values.DEFER not in world.present
    assert world.present["out07_transport_rate_delay"] == "10s"


def test_a_list_that_somebody_wrote_anew_is_theirs() -> None:
    world = World()
    world.apply(_target(paused_by="news-h1"))
    world.set(values.DEFER, "out06")
    wanted = world.apply(_target(paused_by="news-h1"))
    assert values.DEFER in wanted.drift
    world.apply(_target())
    assert world.present[values.DEFER] == "out06"


def test_a_clone_that_is_gone_from_master_cf_does_not_keep_a_halt_from_holding() -> None:
    world = World()
    world.apply(_target())
    world.clones = CLONES[:2]
    wanted = world.apply(_target(paused_by="news-h1"))
    assert world.present[values.POOL] == _PAUSE
    assert "out06" in world.present[values.DEFER].split()
    assert wanted.problems == ()


@pytest.mark.parametrize("clones", [CLONES[:2], (*CLONES[:2], Clone("out06")), ()])
def test_a_pool_member_that_could_not_send_as_it_should_leaves_the_pool_as_it_is(clones: tuple[Clone, ...]) -> None:
    world = World.of({values.POOL: "randmap:{out05}"})
    world.clones = clones
    wanted = world.apply(_target())
    assert "out06 is no smtp service with a bind address in master.cf" in wanted.problems[0]
    assert world.present == {values.POOL: "randmap:{out05}"}


def test_an_egress_with_an_ipv6_address_alone_may_be_in_the_pool() -> None:
    world = World()
    world.clones = (Clone("out05", bind_address6="2001:db8::5"), Clone("out06", bind_address6="2001:db8::6"))
    assert world.apply(_target()).problems == ()
    assert world.present == {values.POOL: "randmap:{out05,out06}"}


def test_a_service_that_is_no_smtp_client_is_left_alone() -> None:
    world = World()
    stream = StreamTarget("news", ("out05", "local"), paused_by="news-h1", rate_delay_s=5)
    wanted = world.apply(PostfixTarget((stream,)))
    assert wanted.problems == ("local is left alone: it is a service of master.cf, but no smtp client",)
    assert "local" not in world.present[values.DEFER].split()
    assert not any(name.startswith("local_") for name in world.present)


def test_a_pool_behind_domain_keys_is_refused_for_it_would_silence_them() -> None:
    world = World.of({values.POOL: "hash:/etc/postfix/by-sender"})
    wanted = world.apply(_target())
    assert "hash:/etc/postfix/by-sender" in wanted.problems[0]
    assert "Turn it into a regexp: table" in wanted.problems[0]
    assert world.present == {values.POOL: "hash:/etc/postfix/by-sender"}


def test_a_pool_that_is_silencing_them_already_is_taken_as_it_is() -> None:
    world = World.of({values.POOL: "hash:/etc/postfix/by-sender, randmap:{out01}"})
    assert world.apply(_target()).problems == ()
    assert world.present == {values.POOL: "hash:/etc/postfix/by-sender, randmap:{out05,out06}"}


def test_exempt_senders_go_another_way_than_the_pool() -> None:
    world = World()
    wanted = world.apply(_target(exempt=("cron@example.org",)))
    assert world.present[values.POOL] == f"{EXEMPT}, randmap:{{out05,out06}}"
    assert "/^cron@example\\.org$/ smtp:" in wanted.files["pwmtad-exempt"]
    world.apply(_target(exempt=("cron@example.org",), paused_by="news-h1"))
    assert world.present[values.POOL] == f"{EXEMPT}, {_PAUSE}"
    world.apply(_target())
    assert world.present[values.POOL] == "randmap:{out05,out06}"


def test_exempt_senders_without_a_way_of_their_own_go_with_the_rest() -> None:
    world = World()
    wanted = world.apply(_target(exempt=("cron@example.org",), transport="nonesuch"))
    assert wanted.problems == ("exempt_senders go with the rest: nonesuch is no smtp service of master.cf",)
    assert world.present[values.POOL] == "randmap:{out05,out06}"
    assert wanted.files == {}


def test_exempt_senders_of_a_pool_in_transport_maps_are_told_to_be_impossible() -> None:
    world = World.of({values.TRANSPORT_MAPS: "randmap:{out01}"})
    wanted = world.apply(_target(exempt=("cron@example.org",)))
    assert "move the randmap to sender_dependent_default_transport_maps" in wanted.problems[0]
    assert world.present[values.TRANSPORT_MAPS] == "randmap:{out05,out06}"


def test_excluded_domains_are_asked_for_before_anything_else() -> None:
    world = World.of({values.TRANSPORT_MAPS: "hash:/etc/postfix/transport"})
    wanted = world.apply(_target(excluded=("yahoo.example",)))
    assert world.present[values.TRANSPORT_MAPS] == f"{EXCLUDED}, hash:/etc/postfix/transport"
    assert world.present[values.DEFER] == "set-by-pwmtad kept-out-by-pwmtad"
    assert set(wanted.files) == {"pwmtad-excluded", "pwmtad-excluded.regexp"}
    assert _actual(world).deferred == ()
    world.apply(_target())
    assert world.present[values.TRANSPORT_MAPS] == "hash:/etc/postfix/transport"


def test_excluded_domains_in_front_of_a_pool_are_a_regexp() -> None:
    world = World.of({values.TRANSPORT_MAPS: "randmap:{out01}"})
    world.apply(_target(excluded=("yahoo.example",)))
    assert world.present[values.TRANSPORT_MAPS] == f"{EXCLUDED_REGEXP}, randmap:{{out05,out06}}"


def test_peoples_own_longer_pause_between_deliveries_holds() -> None:
    world = World.of({"out05_transport_rate_delay": "5m"})
    world.apply(_target(delay=72))
    assert world.present["out05_transport_rate_delay"] == "300s"
    assert world.present["out06_transport_rate_delay"] == "72s"
    world.restore()
    assert world.present == {"out05_transport_rate_delay": "5m"}


def test_a_changed_delay_is_drift_and_what_is_put_back_later() -> None:
    world = World()
    world.apply(_target(delay=72))
    world.set("out05_transport_rate_delay", "1s")
    assert world.apply(_target(delay=72)).drift == ("out05_transport_rate_delay",)
    assert world.present["out05_transport_rate_delay"] == "72s"
    world.restore()
    assert world.present == {"out05_transport_rate_delay": "1s"}


def test_an_egress_that_nobody_lists_any_more_is_let_go() -> None:
    world = World()
    world.apply(_target(paused_by="news-h1", delay=5))
    world.apply(PostfixTarget((StreamTarget("news", ("out05",), ("out05",), rate_delay_s=5),)))
    assert world.present == {
        values.POOL: "randmap:{out05}",
        "out05_transport_rate_delay": "5s",
        "out05_destination_recipient_limit": "1",
    }


def test_queue_lifetimes_are_raised_for_a_halt_and_come_back() -> None:
    world = World.of({"maximal_queue_lifetime": "1d"})
    world.apply(_target(keep=True))
    assert world.present["maximal_queue_lifetime"] == world.present["bounce_queue_lifetime"] == "100d"
    assert _actual(world).keeps_queued
    world.apply(_target())
    assert world.present == {"maximal_queue_lifetime": "1d", values.POOL: "randmap:{out05,out06}"}
    assert not _actual(world).keeps_queued


def test_a_pool_taken_out_by_hand_is_put_back_as_drift() -> None:
    for name in (values.POOL, values.TRANSPORT_MAPS):
        world = World.of({name: "randmap:{out01}"})
        world.apply(_target())
        world.set(name, None)
        assert world.apply(_target()).drift == (name,)
        assert world.present == {values.POOL: "randmap:{out05,out06}"}
        world.restore()
        assert world.present == {}


def test_a_pool_that_became_impossible_by_somebodys_hand_is_told_once_and_left() -> None:
    world = World()
    world.apply(_target())
    world.set(values.POOL, "hash:/etc/postfix/by-sender")
    wanted = world.apply(_target(paused_by="news-h1"))
    assert wanted.drift == (values.POOL,)
    assert "the pool is not set" in wanted.problems[0]
    assert world.present[values.POOL] == "hash:/etc/postfix/by-sender"
    assert "out05" in world.present[values.DEFER].split()  # the other two locks hold


def test_a_reload_that_was_owed_is_still_owed_after_a_crash() -> None:
    world = World()
    world.apply(_target(), crash=1)
    assert world.present == {}
    owned = world.owned
    assert owned.reload_due
    assert owned.written == {}


def test_a_value_that_a_crash_left_behind_is_ours_and_not_peoples() -> None:
    world = World()
    world.apply(_target(delay=72))
    world.apply(_target(delay=10), crash=1)  # remembered, not written: main.cf has 72 s still
    world.apply(_target(delay=5))
    world.restore()
    assert world.present == {}


# -- a lost record


def _after_losing_the_record(world: World) -> str:
    owned, text = adopted(world.main)
    world.remembered = Remembered(owned)
    return text


def test_a_main_cf_without_anything_of_ours_is_a_fresh_start() -> None:
    main = MainCf({values.POOL: "randmap:{out01}", values.DEFER: "relay", "maximal_queue_lifetime": "100d"}, CLONES, DIRECTORY)
    assert adopted(main) == (Owned(), "")


def test_a_halt_whose_record_is_lost_still_holds_and_can_still_end() -> None:
    world = World.of({values.DEFER: "lmtp"})
    world.apply(_target(paused_by="news-h1", keep=True))
    text = _after_losing_the_record(world)
    assert "not known any more" in text
    actual = _actual(world)
    assert (actual.paused_by, actual.ours, actual.pool) == ("news-h1", ("out05", "out06", "out07"), ())
    world.apply(_target())
    assert world.present[values.POOL] == "randmap:{out05,out06}"
    assert world.present[values.DEFER] == "lmtp"
    assert "out05_transport_rate_delay" not in world.present


def test_restoring_over_a_lost_record_does_not_guess_the_pool_that_was() -> None:
    world = World.of({values.POOL: "randmap:{out01}"})
    world.apply(_target(paused_by="news-h1"))
    _after_losing_the_record(world)
    wanted = world.restore()
    assert "is left as it is" in wanted.problems[0]
    assert world.present[values.POOL] == _PAUSE
    assert values.DEFER not in world.present


def test_excluded_domains_alone_are_known_again() -> None:
    world = World()
    world.apply(_target((), excluded=("yahoo.example",)))
    assert _after_losing_the_record(world)
    world.apply(_target(()))
    assert world.meaning(world.present) == {}
