"""The lab is what it says: mail leaves by twenty addresses, receivers act as scripted, the record is true, nothing stays."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.lab import world
from tests.lab.container import CHECKOUT
from tests.lab.lab import Lab
from tests.lab.receivers.personas import Persona, accepts, blocks_after, drops, greylists, hangs, says, slow
from tests.lab.scenes import PROMPT, begin, flushed, halt
from tests.tools.daemon import until

_SENT: Final = re.compile(r"^.* postfix/(\w+)/smtp\[\d+\]: (\w+): to=<([^>]+)>, relay=[^n].* status=sent ", re.MULTILINE)
_DELIVERY: Final = re.compile(r"^.* (?:postfix/\w+/smtp|postfix/error)\[\d+\]: \w+: to=<([^>]+)>, (.*)$", re.MULTILINE)


def _deliveries(lab: Lab) -> dict[str, str]:
    """The first delivery line of each recipient, from `relay=` on."""
    found: dict[str, str] = {}
    for recipient, rest in _DELIVERY.findall(lab.mail_log()):
        found.setdefault(recipient, rest)
    return found


# -- Postfix and OpenDKIM


def test_each_of_twenty_egresses_sends_from_its_own_address(lab: Lab) -> None:
    lab.set_pool(*world.EGRESSES)
    taken = lab.inject(400, ["google.test", "yahoo.test", "small.test"])
    until("all is delivered", lambda: len(lab.delivered()) == len(taken))
    delivered = lab.delivered()
    assert {attempt.egress for attempt in delivered} == set(world.EGRESSES)
    assert all(attempt.helo == f"{attempt.egress}.lab.test" for attempt in delivered)
    tags = {(queue_id, recipient): tag for tag, queue_id, recipient in _SENT.findall(lab.mail_log())}
    assert tags == {(attempt.queue_id, attempt.recipient): attempt.egress for attempt in delivered}


def test_streams_leave_by_their_own_egresses(lab: Lab) -> None:
    lab.inject(30, "small.test", client=world.HEALTHCARE, port=world.HEALTHCARE_PORT)
    lab.inject(30, "small.test", client=world.TRUCKING)
    until("all is delivered", lambda: len(lab.delivered()) == 60)
    ways = Counter((attempt.sender, attempt.egress == "out01") for attempt in lab.delivered())
    assert ways == {(world.HEALTHCARE_SENDER, True): 30, (world.TRUCKING_SENDER, False): 30}
    log = lab.mail_log()
    assert f"postfix/hc{world.HEALTHCARE_PORT}/smtpd" in log
    assert f"client=unknown[{world.TRUCKING}]" in log


def test_a_bind_address_that_is_gone_defers_with_enforce_and_sends_from_the_host_without(lab: Lab) -> None:
    lab.set_postfix(sender_dependent_default_transport_maps="static:out05")
    lab.take_address_away("out05")
    lab.inject(1, "small.test")
    until("it is deferred", lambda: "status=deferred (server configuration error)" in lab.mail_log())
    assert lab.reached() == []
    lab.run("postconf -P 'out05/unix/smtp_bind_address_enforce=no' && postfix reload")
    # Again and again: a flush that qmgr takes as it leaves is lost.
    until("it left", lambda: flushed(lab) and lab.delivered())
    assert [attempt.source for attempt in lab.delivered()] == [world.HOST_ADDRESS]
    lab.give_address_back("out05")
    lab.inject(1, "small.test")
    until("the next one left", lambda: len(lab.delivered()) == 2)
    assert lab.delivered()[1].egress == "out05"


def test_campaign_mail_is_signed_and_in_the_state_of_i2_only_local_mail_is(lab: Lab) -> None:
    lab.inject(5, "google.test")
    until("it left", lambda: len(lab.delivered()) == 5)
    assert {attempt.signed for attempt in lab.delivered()} == {"lab.test"}
    lab.sign_only_local_mail()
    lab.inject(5, "yahoo.test")
    lab.cron_mail("admin@small.test", sender=world.TRANSACTIONAL_SENDER)
    until("it left as well", lambda: len(lab.delivered()) == 11)
    assert {attempt.signed for attempt in lab.delivered(receiver="yahoo")} == {""}
    assert [attempt.signed for attempt in lab.delivered(receiver="small")] == ["shop.lab.test"]
    assert f"[{world.TRUCKING}] not internal" in lab.journal("opendkim.service")


# -- receivers

_GMAIL: Final = "gmail-smtp-in.l.google.com"
_BEHAVIOURS: Final[tuple[tuple[str, str, Persona, str], ...]] = (
    # receiver, domain, persona, and what Postfix makes of it; ... stands for anything
    (
        "google",
        "google.test",
        blocks_after(0),
        f"dsn=5.7.1, status=bounced (host {_GMAIL}[127.0.2.10] said: 550-5.7.1 [127.0.1. ... 550-5.7.1 likely unsolicited mail."
        " ... 550 5.7.1  https ... - gsmtp (in reply to end of DATA command))",
    ),
    (
        "yahoo",
        "yahoo.test",
        says("yahoo-tss04"),
        "dsn=4.7.0, status=deferred (host mta ... said: 421 4.7.0 [TSS04] Messages ... (in reply to MAIL FROM command))",
    ),
    (
        "hotmail",
        "hotmail.test",
        says("microsoft-busy"),
        "dsn=4.7.500, status=deferred ( ... said: 451 4.7.500 Server busy. ... (in reply to MAIL FROM command))",
    ),
    (
        "dead",
        "dead7.test",
        says("microsoft-dead-tenant"),
        "dsn=4.4.4, status=deferred (host dead7-test.mail.protection.outlook.com[ ... ATTR5 ... (in reply to RCPT TO command))",
    ),
    (
        "charter",
        "charter.test",
        says("charter-blocked"),
        "dsn=4.0.0, status=deferred (host mx0.charter.net[127.0.2.41] refused to talk to me: 554 ... AUP#In-1000)",
    ),
    ("cox", "cox.test", greylists(3600), "dsn=4.2.0, status=deferred ( ... said: 450 4.2.0 ... Greylisted"),
    (
        "apple",
        "apple.test",
        drops("body"),
        "dsn=4.4.2, status=deferred (lost connection with ... while sending end of data -- message may be sent more than once)",
    ),
    (
        "proofpoint",
        "proofpoint.test",
        drops("greeting"),
        "dsn=4.4.2, status=deferred (lost connection with ... while receiving the initial server greeting)",
    ),
    ("luxsci", "luxsci.test", slow(0.5, "rcpt"), "dsn=2.0.0, status=sent"),
    (
        "comcast",
        "comcast.test",
        says("421 4.1.0 later", phase="mail"),
        "dsn=4.1.0, status=deferred ( ... said: 421 4.1.0 later (in reply to MAIL FROM command))",
    ),
    (
        "hostile",
        "hostile.test",
        says("hostile-fake-record"),
        "dsn=4.7.1, status=deferred (host mx.hostile.test[ ... said: 450 4.7.1 ok) bla, relay= ... status=sent (250 2.0.0 ",
    ),
    (
        "liar",
        "liar.test",
        says("hostile-gmail-words"),
        f"relay={_GMAIL}.liar.test[ ... dsn=5.7.1, status=bounced ( ... likely unsolicited mail",
    ),
)
_WITHOUT_RECEIVER: Final = {
    world.DOWN[0]: "relay=none, ... dsn=4.4.1, status=deferred (connect to mx.down.test[127.0.2.99]:25: Connection refused)",
    world.NULL_MX: "relay=none, ... dsn=5.1.0, status=bounced (Domain nullmx.test does not accept mail (nullMX))",
    world.MISSING: "relay=none, ... dsn=5.4.4, status=bounced (Host or domain name not found.",
}


def _like(words: str, text: str) -> bool:
    """Whether the text has these words; ` ... ` in them stands for anything."""
    return re.search(".*".join(re.escape(part) for part in words.split(" ... ")), text) is not None


def test_receivers_answer_as_their_personas_say(lab: Lab) -> None:
    for receiver, _, persona, _ in _BEHAVIOURS:
        lab.become(receiver, persona)
    expected = {domain: words for _, domain, _, words in _BEHAVIOURS} | _WITHOUT_RECEIVER
    taken = lab.inject(len(expected), list(expected))
    until("all was tried", lambda: {one.recipient for one in taken} <= set(_deliveries(lab)))
    found = _deliveries(lab)
    for message in taken:
        words = expected[message.recipient.partition("@")[2]]
        assert _like(words, found[message.recipient]), f"{found[message.recipient]}\nis not {words}"
    answers = {attempt.receiver: (attempt.phase, attempt.code) for attempt in lab.reached()}
    assert answers["google"] == ("body", 550)
    assert answers["yahoo"] == ("mail", 421)
    assert answers["charter"] == ("greeting", 554)
    assert answers["apple"] == ("body", 0)
    assert {attempt.domain for attempt in lab.delivered()} - {"lab.test"} == {"luxsci.test"}


def test_a_receiver_turns_after_so_many_messages_and_back_when_told(lab: Lab) -> None:
    lab.become("google", blocks_after(7))
    lab.inject(20, "google.test")
    until("all was tried", lambda: len(lab.reached(receiver="google")) == 20)
    assert [attempt.accepted for attempt in lab.reached(receiver="google")] == [True] * 7 + [False] * 13
    lab.become("google", accepts())
    lab.inject(5, "google.test")
    until("the rest is taken", lambda: len(lab.delivered(receiver="google")) == 12)


def test_recipients_that_nobody_has_are_refused_in_the_operators_own_words(lab: Lab) -> None:
    lab.inject(2, ["google.test", "comcast.test"], local_part="nobody")
    until("both were refused", lambda: len(lab.reached(accepted=False)) == 2)
    assert {(attempt.phase, attempt.text[:9]) for attempt in lab.reached(accepted=False)} == {
        ("rcpt", "550-5.1.1"),
        ("rcpt", "550 5.1.1"),
    }


def test_the_record_has_exactly_what_the_mail_log_says_was_sent(lab: Lab) -> None:
    lab.become("google", says("google-unusual-rate", share=0.3))
    lab.become("yahoo", drops("body", share=0.3))
    lab.become("small", greylists(0.5))
    taken = lab.inject(600, ["google.test", "yahoo.test", "small.test", "m365-1.test"])
    lab.become("google", accepts())
    lab.become("yahoo", accepts())
    until("the queue is empty", lambda: flushed(lab))
    left = Counter((attempt.queue_id, attempt.recipient) for attempt in lab.delivered())

    def told() -> Counter[tuple[str, str]]:
        return Counter((queue_id, recipient) for _, queue_id, recipient in _SENT.findall(lab.mail_log()))

    until("the log has all lines", lambda: told().total() >= left.total())  # postlogd writes them
    assert told() == left
    account = lab.account(taken)
    assert (account.delivered, account.twice, account.queued, account.bounced, account.lost) == (600, (), 0, 0, ())


def test_the_injector_sends_what_it_was_told_and_everything_is_accounted_for(lab: Lab) -> None:
    lab.become("google", blocks_after(500))
    lab.become("yahoo", says("yahoo-tss04"))
    taken = lab.inject(2000, ["google.test", "yahoo.test"], connections=20)
    assert len({message.id for message in taken}) == len({message.recipient for message in taken}) == 2000
    until("nothing is under way", lambda: not {"incoming", "active"} & {entry["queue_name"] for entry in lab.queue()})
    account = lab.account(taken)
    assert (account.delivered, account.queued, account.bounced) == (500, 1000, 500)
    assert (account.twice, account.lost, account.delivered_and_queued) == ((), (), ())


# -- the host goes down


@pytest.mark.parametrize("how", ["reboot", "pull_the_plug"])
def test_queue_and_files_survive_when_the_host_goes_down_and_the_world_goes_on(lab: Lab, how: str) -> None:
    lab.become("google", says("google-unusual-rate"))
    taken = lab.inject(20, "google.test")
    until("all is deferred", lambda: len(_deliveries(lab)) == 20)
    lab.write("/etc/postfix/a-file", "that stays\n")
    lab.write("/run/a-file", "that goes\n")
    getattr(lab, how)()
    assert lab.read("/run/a-file") == ""
    assert lab.read("/etc/postfix/a-file") == "that stays\n"
    assert lab.account(taken).queued == 20
    assert len(lab.reached()) >= 20
    lab.become("google", accepts())
    until("Postfix is back", lambda: lab.run("postqueue -f", check=False).code == 0)
    until("all is delivered", lambda: lab.account(taken).delivered == 20)


def test_a_reset_leaves_nothing_of_the_test_before(lab: Lab) -> None:
    lab.become("google", says("google-unusual-rate"))
    lab.inject(5, "google.test")
    lab.run("postconf -e defer_transports=out05 && touch /etc/postfix/x /var/lib/pwmtad.x")
    lab.configure()
    lab.take_address_away("out07")
    lab.reset()
    assert lab.queue() == []
    assert lab.reached() == []
    assert "google" not in lab.mail_log()
    assert lab.postconf("defer_transports") == ""
    assert lab.run("ls /etc/postfix/x /etc/pwmtad/pwmtad.toml", check=False).out == ""
    assert "DKIM-Signature" not in lab.journal("opendkim.service")
    lab.set_postfix(sender_dependent_default_transport_maps="static:out07")
    lab.inject(3, "google.test")
    until("all is delivered", lambda: len(lab.delivered()) == 3)
    assert {attempt.egress for attempt in lab.delivered()} == {"out07"}


def _postfix_by_hand(lab: Lab) -> None:
    """Postfix outside of its unit, with a test's settings in its memory, and other things that no unit's stop ends."""
    lab.run("systemd-run --quiet --unit=editor sleep 600; setsid sleep 600 >/dev/null 2>&1 </dev/null &")
    lab.run("postfix stop && postfix start")
    lab.set_postfix(sender_dependent_default_transport_maps="static:out05", defer_transports="out05", smtpd_milters="")
    lab.inject(20, "google.test")


def _a_halt_with_a_backlog(lab: Lab) -> None:
    """What a test leaves that dies in the middle of a halt: pwmtad between a death and the restart, and somebody injects."""
    begin(lab, **PROMPT)
    halt(lab)
    lab.start_injecting(100_000, ["google.test", "yahoo.test"], client=world.HEALTHCARE, rate=50)
    lab.start_injecting(100_000, ["google.test", "yahoo.test"], rate=50)
    until("mail waits", lambda: len(lab.queue()) > 50)
    until("mail leaves", lambda: len(lab.delivered()) > 50)
    lab.run("postsuper -h ALL", check=False)
    lab.kill_pwmtad()


def _hidden(lab: Lab) -> None:
    """A file system over Postfix's files, other units, another OpenDKIM, an address that is gone, receivers that hang."""
    lab.become("google", hangs("body"))
    lab.become("small", says("421 4.1.0 later", phase="mail"))
    lab.inject(5, ["google.test", "small.test"])
    lab.sign_only_local_mail()
    lab.take_address_away("out01")
    lab.write("/etc/systemd/system/postfix@-.service.d/slow.conf", "[Service]\nExecStartPre=/bin/sleep 1\n")
    lab.write("/var/lib/of-a-test/file", "")
    lab.run("mount -t tmpfs small /etc/postfix && systemctl daemon-reload")


@pytest.mark.timeout(200)
@pytest.mark.parametrize("spoil", [_postfix_by_hand, _a_halt_with_a_backlog, _hidden])
def test_whatever_a_test_leaves_behind_the_next_one_finds_the_lab_as_after_its_boot(
    lab: Lab, spoil: Callable[[Lab], None]
) -> None:
    lab.booted_anew = ""
    spoil(lab)
    lab.reset()
    assert not lab.booted_anew
    taken = lab.inject(30, ["google.test", "small.test"], client=world.HEALTHCARE, port=world.HEALTHCARE_PORT)
    taken += lab.inject(30, ["google.test", "small.test"])
    until("all is delivered", lambda: lab.account(taken).delivered == 60)
    assert {attempt.id for attempt in lab.reached()} == {message.id for message in taken}
    ways = {(attempt.sender, attempt.signed, attempt.egress in {"out02", "out03", "out04"}) for attempt in lab.reached()}
    assert ways == {(world.HEALTHCARE_SENDER, "clinic.test", False), (world.TRUCKING_SENDER, "lab.test", True)}
    assert {recipient for _, _, recipient in _SENT.findall(lab.mail_log())} == {message.recipient for message in taken}
    assert "halt" not in lab.pwmtad_log()


@pytest.mark.timeout(200)
def test_where_the_lab_can_not_be_put_back_it_is_booted_anew(lab: Lab) -> None:
    lab.booted_anew = ""
    lab.write("/etc/hosts", "127.0.0.1 somebody.else\n")
    lab.reset()
    assert "changed: /etc/hosts" in lab.booted_anew
    assert "somebody.else" not in lab.read("/etc/hosts")
    lab.inject(3, "google.test")
    until("all is delivered", lambda: len(lab.delivered()) == 3)


# -- pwmtad


def test_pwmtad_runs_as_its_unit_and_sees_what_leaves_by_each_egress(lab: Lab) -> None:
    lab.configure("observe", day=25)
    lab.set_pool(*world.TRUCKING_EGRESSES)
    lab.start_pwmtad()
    assert lab.pwmtad_is() == "active"
    lab.inject(100, ["google.test", "hotmail.test"])
    lab.inject(10, "small.test", client=world.HEALTHCARE)
    until("all is delivered", lambda: len(lab.delivered()) == 110)
    truth = Counter(attempt.egress for attempt in lab.delivered())

    def seen() -> Counter[str]:
        counts = Counter[str]()
        for name, value in lab.metrics().items():
            if name.startswith("pwmtad_first_attempts_total{"):
                counts[re.search(r'egress="(\w+)"', name)[1]] += int(value)  # type: ignore[index]
        return counts

    until("pwmtad has counted all", lambda: seen() == truth)
    state = lab.state()
    assert [(stream.name, stream.first_attempts_hour) for stream in state.streams] == [("trucking", 100), ("healthcare", 10)]
    until("all is known to be signed", lambda: [one.coverage.hour.signed for one in lab.state().streams] == [100, 10])
    assert lab.pwmtad("status").code in {0, 1}


def test_pwmtad_is_confined_as_its_unit_says(lab: Lab) -> None:
    lab.configure("observe")
    lab.start_pwmtad()
    pid = lab.run("systemctl show -P MainPID pwmtad.service").out.strip()
    status = dict(line.split(":\t", 1) for line in lab.read(f"/proc/{pid}/status").splitlines() if ":\t" in line)
    user = lab.run("id -u pwmtad").out.strip()
    assert set(status["Uid"].split()) == {user}
    assert user != "0"
    # CAP_DAC_READ_SEARCH is capability 2.
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 1 << 2
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert lab.run(["nsenter", "-t", pid, "-m", "touch", "/etc/postfix/main.cf"], check=False).code != 0


# -- nothing is left

_BOOT_AND_WAIT: Final = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests in the background may have it ignored
from tests.lab.lab import Lab
lab = Lab()
try:
    lab.boot()
    print(lab.box.folder, flush=True)
    input()
finally:
    lab.end()
"""


def _traces(folder: str) -> list[str]:
    """Everything on this host that names the lab of this folder."""
    name = Path(folder).name
    traces = [line for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines() if name in line]
    traces += [path for path, _, _ in os.walk("/sys/fs/cgroup") if path.endswith(name)]
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = command.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if name in words:
            traces.append(words)
    return [*traces, folder] if Path(folder).exists() else traces


@pytest.mark.parametrize("end", ["in order", "Ctrl-C", "kill -9"])
def test_nothing_is_left_of_a_lab_however_it_ends(booted_lab: Lab, end: str) -> None:
    assert booted_lab.box.leader, "a second lab runs beside the first"
    with subprocess.Popen(
        [sys.executable, "-c", _BOOT_AND_WAIT],
        cwd=CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as starter:
        assert starter.stdout is not None
        assert starter.stdin is not None
        folder = starter.stdout.readline().decode().strip()
        assert folder, starter.stderr and starter.stderr.read().decode()
        assert _traces(folder)
        if end == "in order":
            starter.stdin.write(b"\n")
            starter.stdin.flush()
        else:
            starter.send_signal(signal.SIGINT if end == "Ctrl-C" else signal.SIGKILL)
        starter.wait(60)
    until("all traces are gone", lambda: not _traces(folder))
