"""pwmtad and its helper as services on a host where things go wrong: each ends in a state that is stated and safe."""

from __future__ import annotations

import os
import time
from typing import Final

import pytest

from tests.lab import world
from tests.lab.configuration import PATH as CONFIG_PATH
from tests.lab.lab import Lab
from tests.lab.scenes import (
    PROMPT,
    acting,
    at_rest,
    begin,
    exempt_mail_leaves,
    findings,
    halt,
    held,
    in_queues,
    release,
    restarted,
    settled,
    tell,
)
from tests.tools.daemon import until

POOL: Final = "sender_dependent_default_transport_maps"
PAUSE: Final = "paused-by-pwmtad"


def nothing_leaves(lab: Lab) -> None:
    """Mail of the held stream is taken in, comes to rest in the queue, and a flush sends nothing of it."""
    taken = lab.inject(20, ["google.test", "comcast.test"])
    ids = {message.queue_id for message in taken}
    for _ in range(2):
        until("all of it waits", lambda: ids <= in_queues(lab).keys() and at_rest(lab, ids))
        assert not {message.id for message in taken} & {attempt.id for attempt in lab.reached()}
        lab.flush()
        exempt_mail_leaves(lab)  # after a flush Postfix has come by at all that is due


def unit(lab: Lab, *properties: str) -> list[str]:
    """What systemd says of pwmtad.service."""
    return [lab.run(["systemctl", "show", "-P", name, "pwmtad.service"]).out.strip() for name in properties]


# -- reload


def test_a_reload_takes_a_good_file_whole_and_of_a_bad_one_nothing(lab: Lab) -> None:
    begin(lab, **{**PROMPT, "trucking": {"ceiling_per_day": 1_000_000}})
    assert acting(lab, "trucking").rate_delay_s == 2
    main_cf = lab.read("/etc/postfix/main.cf")

    good = lab.read(CONFIG_PATH)
    begun = unit(lab, "InvocationID", "MainPID")
    writes = lab.state().acting.writes

    def goes_on_as_before() -> None:
        ticks = lab.state().ticks
        until("it went on", lambda: lab.state().ticks > ticks + 3)
        assert (lab.state().acting.writes, lab.read("/etc/postfix/main.cf")) == (writes, main_cf)
        assert {one.stream: one.window_per_hour for one in lab.state().desired}["trucking"] == 10_000

    lab.write(CONFIG_PATH, good.replace("0 = 10000", "0 = 50"))
    goes_on_as_before()  # a changed file alone does nothing
    assert lab.metrics()["pwmtad_config_last_reload_successful"] == 1

    lab.write(CONFIG_PATH, good.replace("0 = 10000", "0 = 50").replace("ceiling_per_day = 1000000", 'ceiling_per_day = "many"'))
    lab.reload_pwmtad()
    until("the reload failed", lambda: findings(lab, "reload_failed"))
    assert "streams.trucking.ceiling_per_day" in findings(lab, "reload_failed")[0].text
    assert lab.metrics()["pwmtad_config_last_reload_successful"] == 0
    assert lab.pwmtad("status").code == 1
    assert "ceiling_per_day" in lab.pwmtad("status").out
    until("`systemctl status` tells of it", lambda: "reload" in unit(lab, "StatusText")[0])
    assert unit(lab, "ActiveState", "SubState") == ["active", "running"]
    goes_on_as_before()

    lab.write(CONFIG_PATH, good.replace("0 = 10000", "0 = 3600"))
    lab.reload_pwmtad()
    until("the good file is in force", lambda: acting(lab, "trucking").rate_delay_s == 4)
    assert not findings(lab, "reload_failed")
    assert lab.metrics()["pwmtad_config_last_reload_successful"] == 1
    until("`systemctl status` tells of it no more", lambda: "reload" not in unit(lab, "StatusText")[0])
    (told,) = (line for line in lab.pwmtad_log().splitlines() if '"configuration_reloaded"' in line)
    assert "streams.trucking.warmup.window_ladder_per_hour" in told
    assert "3600" in told
    assert unit(lab, "InvocationID", "MainPID") == begun, "a reload is no restart"


def test_a_reload_in_a_halt_good_or_bad_lets_nothing_go(lab: Lab) -> None:
    begin(lab, **PROMPT)
    halt_id = halt(lab)
    good = lab.read(CONFIG_PATH)
    for text, loaded in ((good.replace("0 = 10000", "0 = 9000"), 1), (good + "[mistake]\n", 0)):
        lab.write(CONFIG_PATH, text)
        reloads = lab.state().reload
        lab.reload_pwmtad()
        until("it was looked at", lambda before=reloads: lab.state().reload != before)  # type: ignore[misc]
        assert lab.metrics()["pwmtad_config_last_reload_successful"] == loaded
        settled(lab)
        assert held(lab) == halt_id
        nothing_leaves(lab)
    release(lab, halt_id)


# -- restart, stop, hang, twice


def test_a_restart_changes_nothing_and_a_stop_leaves_postfix_held(lab: Lab) -> None:
    begin(lab, **PROMPT)
    halt_id = halt(lab)
    main_cf = lab.read("/etc/postfix/main.cf")
    restarted(lab, lambda: lab.run("systemctl restart pwmtad.service"))
    settled(lab)
    until("it knows the halt", lambda: held(lab) == halt_id)
    nothing_leaves(lab)
    lab.stop_pwmtad()
    # Not a timeout, not a kill; and not a failure that a person is told of in the morning.
    assert unit(lab, "ActiveState", "Result", "ExecMainCode", "ExecMainStatus") == ["inactive", "success", "1", "0"]
    until("its end is logged", lambda: '"daemon_stopped"' in lab.pwmtad_log())
    lab.run("systemctl stop pwmtad-helper.socket pwmtad-helper.service")
    assert lab.read("/etc/postfix/main.cf") == main_cf
    lab.run("postfix reload")
    nothing_leaves(lab)
    assert lab.read("/etc/postfix/main.cf") == main_cf
    lab.start_pwmtad()
    until("it knows the halt", lambda: held(lab) == halt_id)
    release(lab, halt_id)


@pytest.mark.timeout(200)
def test_a_daemon_that_hangs_is_killed_by_the_watchdog_and_goes_on_where_it_was(lab: Lab) -> None:
    lab.write("/etc/systemd/system/pwmtad.service.d/hang.conf", "[Service]\nWatchdogSec=10\nTimeoutAbortSec=2\n")
    lab.run("systemctl daemon-reload")
    begin(lab, **PROMPT)
    halt_id = halt(lab)
    restarted(lab, lambda: lab.kill_pwmtad("STOP"), patience_s=90)
    assert "Watchdog timeout" in lab.run("journalctl --no-pager -u pwmtad.service").out
    assert unit(lab, "NRestarts") == ["1"]
    until("it knows the halt", lambda: held(lab) == halt_id)
    nothing_leaves(lab)
    # The file of the unit has what this test made shorter.
    assert "WatchdogSec=30" in lab.read("/etc/systemd/system/pwmtad.service")


def test_a_second_daemon_refuses_to_start_and_the_first_does_not_notice(lab: Lab) -> None:
    begin(lab, **PROMPT)
    before = lab.state()
    beside = (
        lab.read(CONFIG_PATH).replace("127.0.0.1:9850", "127.0.0.1:9851").replace("[http]", '[http]\nsocket = "/tmp/second"')
    )
    lab.write("/tmp/second.toml", beside)
    as_daemon = "timeout 20 setpriv --reuid=pwmtad --regid=pwmtad --init-groups /opt/pwmtad/bin/pwmtad"
    for config, why in ((CONFIG_PATH, "another pwmtad"), ("/tmp/second.toml", "/var/lib/pwmtad/pwmtad.db")):
        ran = lab.run(f"{as_daemon} run --config {config}", check=False)
        assert ran.code not in {0, 124}, ran
        assert why in ran.err + ran.out, ran
    assert lab.run("/opt/pwmtad/bin/pwmtad helper --socket /tmp/helper.sock", check=False).code not in {0, 124}
    after = lab.state()
    assert (after.started_at, after.acting.writes, after.halts) == (before.started_at, before.acting.writes, ())
    settled(lab)


# -- the helper


def test_a_helper_that_is_killed_is_there_again_for_the_next_action(lab: Lab) -> None:
    begin(lab, **PROMPT)
    lab.run("systemctl kill --signal=KILL pwmtad-helper.service")
    release(lab, halt(lab))
    lab.run("systemctl stop pwmtad-helper.service")  # its socket stays, and starts it
    halt_id = halt(lab)
    nothing_leaves(lab)
    release(lab, halt_id)


@pytest.mark.timeout(200)
def test_a_halt_without_the_helper_is_stated_and_carried_out_as_soon_as_it_is_back(lab: Lab) -> None:
    begin(lab, **PROMPT)
    lab.run("systemctl stop pwmtad-helper.socket pwmtad-helper.service")
    assert lab.pwmtad("halt", "trucking", "--why", "test").code == 0
    until("it is stated", lambda: findings(lab, "postfix_not_as_it_should_be"))
    assert "systemctl enable --now pwmtad-helper.socket" in findings(lab, "postfix_not_as_it_should_be")[0].text
    assert lab.metrics()["pwmtad_helper_reachable"] == lab.metrics()["pwmtad_postfix_as_desired"] == 0
    failures = lab.state().acting.failures
    until("it is tried again", lambda: lab.state().acting.failures > failures, patience_s=60)
    assert not held(lab)
    lab.run("systemctl start pwmtad-helper.socket")
    until("Postfix holds", lambda: held(lab), patience_s=60)
    assert not findings(lab, "postfix_not_as_it_should_be")
    assert lab.metrics()["pwmtad_helper_reachable"] == lab.metrics()["pwmtad_postfix_as_desired"] == 1
    nothing_leaves(lab)


SLOW: Final = "/var/lib/slow-postconf"


def slow_postconf(lab: Lab, seconds: float) -> None:
    """Let the helper's postconf(1) take its time before it writes. Before the start."""
    lab.run(f"mkdir -p {SLOW} && cp /usr/sbin/postconf {SLOW}/real")
    script = (
        f'#!/bin/sh\ncase "$*" in *" -e "*|*" -X "*) touch {SLOW}/writing; sleep {seconds:g};; esac\nexec {SLOW}/real "$@"\n'
    )
    lab.write(f"{SLOW}/postconf", script, mode=0o755)
    lab.write(
        "/etc/systemd/system/pwmtad-helper.service.d/slow.conf",
        f"[Service]\nBindReadOnlyPaths={SLOW}/postconf:/usr/sbin/postconf\nReadWritePaths={SLOW}\n",
    )
    lab.run("systemctl daemon-reload")


@pytest.mark.timeout(200)
@pytest.mark.parametrize("stopped", ["pwmtad.service", "pwmtad-helper.service"])
def test_a_change_of_main_cf_that_has_begun_is_carried_to_its_end_when_either_side_is_told_to_stop(
    lab: Lab, stopped: str
) -> None:
    slow_postconf(lab, 4)
    begin(lab, **PROMPT)
    until("the first change is made", lambda: lab.state().acting.writes)
    settled(lab)
    lab.run(f"rm -f {SLOW}/writing")
    reloads = lab.mail_log().count("reload -- version")
    assert lab.pwmtad("halt", "trucking", "--why", "test").code == 0
    until("main.cf is being written", lambda: lab.run(f"test -e {SLOW}/writing", check=False).code == 0)
    assert PAUSE not in lab.postconf(POOL)
    lab.run(f"systemctl stop {stopped}")
    until("it is written to its end", lambda: PAUSE in lab.postconf(POOL))
    until("and Postfix was told", lambda: lab.mail_log().count("reload -- version") > reloads)
    nothing_leaves(lab)
    lab.start_pwmtad()
    until("both know", lambda: held(lab) and lab.state().acting.problem is None, patience_s=60)
    assert lab.run("postfix check", check=False).err == ""
    release(lab, lab.state().halts[0].id)


# -- Postfix, and other people's hands


@pytest.mark.timeout(200)
def test_a_halt_while_postfix_is_stopped_holds_from_its_next_start_and_so_does_a_release(lab: Lab) -> None:
    begin(lab, **PROMPT)
    lab.run("postfix stop")
    halt_id = halt(lab)
    assert findings(lab, "postfix_stopped")
    assert PAUSE in lab.postconf(POOL)
    lab.run("postfix start")
    nothing_leaves(lab)
    lab.run("postfix stop")
    release(lab, halt_id)
    lab.run("postfix start")
    taken = lab.inject(10, "google.test")
    until("mail leaves", lambda: {one.id for one in taken} <= {one.id for one in lab.delivered()})


def test_that_postfix_is_stopped_is_said_for_as_long_as_it_is(lab: Lab) -> None:
    begin(lab, **PROMPT)
    lab.run("postfix stop")
    halt(lab)
    ticks = lab.state().ticks
    until("it was looked at again and again", lambda: lab.state().ticks > ticks + 5)
    assert findings(lab, "postfix_stopped")
    lab.run("postfix start")
    until("it is not said any more", lambda: not findings(lab, "postfix_stopped"))


@pytest.mark.timeout(200)
def test_who_edits_main_cf_in_the_same_second_keeps_the_edit_and_the_halt_stands(lab: Lab) -> None:
    begin(lab, **PROMPT)
    edits = 'for n in $(seq 60); do postconf -e "smtp_connect_timeout=$((20 + n))s"; echo $n >/tmp/edits; sleep 0.05; done'
    lab.run(f"rm -f /tmp/edits; systemd-run --quiet --unit=editor sh -c '{edits}'")
    until("somebody edits", lambda: lab.read("/tmp/edits"))
    release(lab, halt(lab))
    halt(lab)
    until("the editor is done", lambda: lab.read("/tmp/edits").strip() == "60", patience_s=60)
    settled(lab)
    until("the halt stands", lambda: PAUSE in lab.postconf(POOL) and held(lab))
    assert lab.postconf("smtp_connect_timeout") == "80s"
    nothing_leaves(lab)


@pytest.mark.timeout(200)
def test_who_undoes_a_halt_by_hand_is_corrected_and_told_of(lab: Lab) -> None:
    begin(lab, **PROMPT)
    halt(lab)
    lab.set_pool("out02", "out09")  # the old cron job still runs
    until("it is corrected", lambda: PAUSE in lab.postconf(POOL) and lab.state().acting.drifts)
    nothing_leaves(lab)
    assert [record for record in lab.records() if record["kind"] == "drift"]


def test_what_a_person_defers_stays_deferred_through_halt_release_and_restore(lab: Lab) -> None:
    lab.set_postfix(defer_transports="uucp out20")
    begin(lab, **PROMPT)
    one = halt(lab)
    assert {"uucp", "out20", "out02"} <= set(lab.postconf("defer_transports").split())
    release(lab, one)
    assert lab.postconf("defer_transports") == "uucp out20"


def as_it_is(lab: Lab) -> list[str]:
    """Postfix's settings and files as a person sees them."""
    return sorted(lab.run("postconf -n").out.splitlines()) + lab.run("ls /etc/postfix").out.splitlines()


@pytest.mark.timeout(200)
def test_restore_puts_everything_back_in_a_halt_with_a_backlog_on_hold(lab: Lab) -> None:
    lab.set_postfix(defer_transports="uucp", maximal_queue_lifetime="3d", out04_transport_rate_delay="1s")
    before = as_it_is(lab)
    configured = {**PROMPT, "trucking": {"ceiling_per_day": 1_000_000, "excluded_operators": ["yahoo"]}}
    begin(lab, **configured)
    halt(lab)
    halt(lab, "healthcare")
    taken = lab.inject(20, "google.test", client=world.HEALTHCARE)
    until("it is on hold", lambda: acting(lab, "healthcare").held_messages == 20)
    assert as_it_is(lab) != before
    lab.stop_pwmtad()
    ran = lab.pwmtad("restore")
    assert ran.code == 0, ran
    assert "20 message(s) stay on hold" in ran.out
    assert as_it_is(lab) == before
    ran = lab.pwmtad("restore", "--release-held")
    assert ran.code == 0, ran
    until("all of it is delivered", lambda: lab.account(taken).delivered == 20)
    assert as_it_is(lab) == before


# -- disks, stores, large queues


@pytest.mark.timeout(200)
def test_a_full_disk_under_main_cf_leaves_it_as_it_was_and_the_halt_follows_when_there_is_room(lab: Lab) -> None:
    lab.run(
        "cp -a /etc/postfix /tmp/postfix && mount -t tmpfs -o size=1m small /etc/postfix && cp -a /tmp/postfix/. /etc/postfix"
    )
    try:
        begin(lab, **PROMPT)
        lab.run("cat /dev/zero >/etc/postfix/filler", check=False)
        before = lab.read("/etc/postfix/main.cf")
        assert lab.pwmtad("halt", "trucking", "--why", "test").code == 0
        until("it is stated", lambda: findings(lab, "postfix_not_as_it_should_be"))
        assert "disk is full" in findings(lab, "postfix_not_as_it_should_be")[0].text
        assert lab.pwmtad("status").code == 1
        failures = lab.state().acting.failures
        until("it is tried again", lambda: lab.state().acting.failures > failures, patience_s=60)
        assert lab.read("/etc/postfix/main.cf") == before
        lab.run("rm /etc/postfix/filler")
        until("Postfix holds", lambda: held(lab), patience_s=60)
        nothing_leaves(lab)
    finally:
        lab.run("systemctl stop pwmtad.service pwmtad-helper.socket pwmtad-helper.service; umount -l /etc/postfix", check=False)


def test_a_store_that_is_deleted_in_a_halt_resumes_nothing(lab: Lab) -> None:
    begin(lab, **PROMPT)
    halts = {stream: halt(lab, stream) for stream in ("trucking", "healthcare")}
    lab.run("rm -f /var/lib/pwmtad/pwmtad.db*")
    restarted(lab, lab.kill_pwmtad)
    until(
        "the halts are adopted",
        lambda: {(one.id, one.rule) for one in lab.state().halts} == {(i, "adopted") for i in halts.values()},
    )
    settled(lab)
    assert {held(lab, stream) for stream in halts} == set(halts.values())
    nothing_leaves(lab)
    assert all(one.hold_until is None for one in lab.state().halts), "only a person lets them go"
    for halt_id in halts.values():
        release(lab, halt_id)


def test_a_store_that_can_not_be_read_resumes_nothing_and_is_complained_of(lab: Lab) -> None:
    begin(lab, **PROMPT)
    halt(lab)
    lab.stop_pwmtad()
    lab.run("rm -f /var/lib/pwmtad/pwmtad.db-* && head -c 100000 /dev/urandom >/var/lib/pwmtad/pwmtad.db")
    main_cf = lab.read("/etc/postfix/main.cf")
    lab.run("systemctl start pwmtad.service", check=False)
    until("it is complained of", lambda: "/var/lib/pwmtad/pwmtad.db" in lab.pwmtad_log())
    assert lab.read("/etc/postfix/main.cf") == main_cf
    nothing_leaves(lab)


QUEUED: Final = int(os.environ.get("QUEUE_MESSAGES", "50000"))
_CLONE: Final = f"""\
import os, pathlib, shutil, sys, time
digits = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxy"
def base_51(number):
    return (base_51(number // 51) if number >= 51 else "") + digits[number % 51]
(first,) = [path for path in pathlib.Path("/var/spool/postfix/deferred").rglob("*") if path.is_file()]
due_at = time.time() + 86400
for number in range({QUEUED} - 1):
    new = first.with_name("new")
    shutil.copy(first, new)
    found = os.stat(new)
    os.chown(new, os.stat(first).st_uid, -1)
    new.chmod(0o700)
    os.utime(new, (due_at, due_at))
    new.rename(first.with_name(first.name[:10] + "z" + base_51(found.st_ino)))
"""
"""Makes many of the one message that is deferred: named as Postfix names them (by inode), and not due before tomorrow."""


@pytest.mark.timeout(400)
def test_a_queue_of_fifty_thousand_is_listed_and_put_on_hold_while_ticks_and_a_halt_go_on(lab: Lab) -> None:
    begin(lab, **PROMPT)
    lab.inject(1, "down.test")
    until("it is deferred", lambda: list(in_queues(lab).values()) == ["deferred"])
    lab.run(["/opt/pwmtad/bin/python3", "-c", _CLONE], timeout_s=120)
    began, slowest, ticked, seen, halt_asked = time.monotonic(), 0.0, time.monotonic(), lab.state().ticks, 0.0
    held_after, slowest_tick = 0.0, 0.0

    while (on_hold := int(lab.run("find /var/spool/postfix/hold -type f | wc -l").out)) < QUEUED - 2 * 1000:
        asked = time.monotonic()
        state = lab.state()
        now = time.monotonic()
        slowest = max(slowest, now - asked)
        if state.ticks != seen:
            seen, ticked = state.ticks, now
        slowest_tick = max(slowest_tick, now - ticked)
        if not halt_asked and "postqueue" in lab.run("ps -eo comm").out:
            halt_asked = time.monotonic()
            assert lab.pwmtad("halt", "trucking", "--why", "test").code == 0
        if halt_asked and not held_after and held(lab):
            held_after = time.monotonic() - halt_asked
        assert now - began < 300, f"only {on_hold} are on hold"
    until("Postfix holds", lambda: held(lab))
    assert halt_asked, "it was not halted while the queue was listed"
    memory = {
        unit: int(lab.run(f"grep VmHWM /proc/$(systemctl show -P MainPID {unit})/status").out.split()[1]) / 1024
        for unit in ("pwmtad.service", "pwmtad-helper.service")
    }
    tell(
        queue_messages=QUEUED,
        queue_on_hold_after_s=time.monotonic() - began,
        queue_slowest_answer_s=slowest,
        queue_longest_between_ticks_s=slowest_tick,
        queue_halt_while_listing_s=held_after,
        queue_daemon_peak_mib=memory["pwmtad.service"],
        queue_helper_peak_mib=memory["pwmtad-helper.service"],
    )
    assert slowest_tick < 10, "systemd's watchdog bites after 30 s without a tick"
    until("all are there", lambda: len(lab.queue()) == QUEUED)  # one put on hold while the queue is listed is there twice
