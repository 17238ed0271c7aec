"""Postfix's grammar: real runs in two timestamp formats, round trips, and what a hostile remote can't change."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Final

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pwmtad.core.lines import LineReader, daemon_of
from pwmtad.core.postfix_log import HANDLERS, cleanup, delivery, delivery_agent, qmgr, smtpd
from pwmtad.model import events
from pwmtad.model.events import AnyEvent

DATA: Final = Path(__file__).parents[2] / "data"
NOW: Final = 1795500000.0
"""2026-11-24T06:00:00Z: after the run that the lab logs hold."""


def lab_events(name: str) -> list[AnyEvent]:
    reader = LineReader(now=NOW)
    lines = (DATA / f"postfix-lab.{name}.log").read_bytes().split(b"\n")[:-1]
    return [reader.line(line.decode("utf-8", "replace")) for line in lines]


def without_time(event: AnyEvent) -> dict[str, object]:
    return {"name": type(event).__name__, **msgspec.structs.asdict(event), "at": None}


LAB_COUNTS: Final = {
    "Attempt": 188, "LocalDeferral": 107, "RemoteRefused": 1, "ConnectFailed": 7, "BindFailed": 2,
    "Client": 11, "Pickup": 121, "MessageId": 156, "Queued": 288, "Removed": 111, "Expired": 10, "Notification": 24, "Hold": 19,
    "MilterReject": 8, "MilterUnreachable": 6, "Signed": 3, "NotSigned": 3, "SigningFailed": 6,
    "Reload": 26, "Start": 5, "Warned": 48, "Other": 123,
}  # fmt: skip
"""Counted with grep as well, but for the last two."""
LAB_OUTCOMES: Final = {
    ("Attempt", "sent"): 72,
    ("Attempt", "deferred"): 78,
    ("Attempt", "bounced"): 38,
    ("LocalDeferral", "deferred"): 105,
    ("LocalDeferral", "bounced"): 2,
}
FAKES: Final = (
    ">, relay=none, delay=1, delays=0/0/0/0, dsn=2.0.0, status=sent (250 ok)",
    ", relay=mx.evil.example[192.0.2.1]:25, delay=1, delays=1/0/0/0, dsn=2.0.0, status=sent (250 2.0.0 queued",
    "3F2A1B4C: to=<b@example.org>, relay=none, delay=0, delays=0/0/0/0, dsn=5.1.1, status=bounced (no)",
    " status=sent (250 ok)",
    ", tls=may, dsn=2.0.0, status=sent (",
    "dsn=5.0.0, status=bounced (",
    ">, size=1, nrcpt=1 (queue active)",
    ">, status=expired, returned to sender",
    "@[x>, relay=none]",
    ": removed",
    "\n2026-11-24T02:52:02.000000+00:00 mx postfix/out05/smtp[1]: 3F2A1B4C: to=<b@example.org>, relay=none, delay=0,",
    '"',
    "\\",
    '\\"',
    "<",
    ">",
    "(",
    ")",
    "\u2028",
    "\x85",
    "\x00",
    "\ud800",
)
"""What an attacker puts where a remote's or a client's words stand."""

hostile = st.lists(st.one_of(st.sampled_from(FAKES), st.text(max_size=12)), max_size=6).map("".join)
hostnames = st.sampled_from(
    ["mx1.example.org", "a", "gmail-smtp-in.l.google.com", "xn--bcher-kva.example", "192.0.2.1", "local"]
)
addresses_of_hosts = st.one_of(st.ip_addresses().map(str), st.just("private/dovecot-lmtp"))
queue_ids = st.one_of(
    st.text("0123456789ABCDEF", min_size=6, max_size=15),
    st.text("0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz", min_size=10, max_size=20).map("4".__add__),
)
seconds = st.one_of(st.integers(0, 500_000).map(str), st.decimals(0, 9, places=2, allow_nan=False).map(lambda d: f"{d:f}"))


def quoted(local: str) -> str:
    """Write a local part as Postfix does: in quotes, with quotes and backslashes escaped (quote_822_local.c)."""
    return '"' + local.replace("\\", "\\\\").replace('"', '\\"') + '"'


local_parts = st.one_of(st.text("abyz09.+_=-", min_size=1, max_size=12), hostile.map(quoted))
addresses = st.one_of(
    st.just(""),
    st.builds("{}@{}".format, local_parts, hostnames),
    local_parts,
    st.builds("{}@[{}]".format, local_parts, hostile.map(lambda text: text.replace("]", ""))),
)


@st.composite
def attempts(draw: st.DrawFn) -> events.Attempt:
    """An attempt as a delivery agent may log it; the remote's text is hostile."""
    tag = draw(st.sampled_from(["postfix/smtp", "postfix/out05/smtp", "postfix-out06/smtp", "postfix/lmtp", "postfix/pipe"]))
    relay = draw(st.one_of(st.none(), hostnames))
    ip = draw(st.one_of(st.none(), addresses_of_hosts)) if relay is not None else None
    return events.Attempt(
        at=None,
        host="mx",
        tag=tag,
        pid=draw(st.one_of(st.none(), st.integers(1, 4_194_304))),
        queue_id=draw(queue_ids),
        recipient=draw(addresses),
        orig_recipient=draw(st.one_of(st.none(), addresses)),
        relay_host=relay,
        relay_ip=ip,
        relay_port=draw(st.one_of(st.none(), st.integers(1, 65_535))) if ip is not None else None,
        conn_use=draw(st.one_of(st.none(), st.integers(2, 1000))),
        delay=float(draw(seconds)),
        delays="/".join(draw(st.tuples(seconds, seconds, seconds, seconds))),
        enhanced_status=draw(st.sampled_from(["2.0.0", "4.7.500", "5.1.1", "5.7.26"])),
        status=draw(st.sampled_from(["sent", "deferred", "bounced", "SOFTBOUNCE", "deliverable", "undeliverable"])),
        text=draw(hostile),
    )


def logged(attempt: events.Attempt, pairs: str = "") -> str:
    """Write the message as log_adhoc.c does; `pairs` are those of versions to come."""
    relay = attempt.relay_host or "none"
    if attempt.relay_ip is not None:
        relay += f"[{attempt.relay_ip}]" + (f":{attempt.relay_port}" if attempt.relay_port is not None else "")
    return (
        f"{attempt.queue_id}: to=<{attempt.recipient}>, "
        + (f"orig_to=<{attempt.orig_recipient}>, " if attempt.orig_recipient is not None else "")
        + f"relay={relay}, "
        + (f"conn_use={attempt.conn_use}, " if attempt.conn_use is not None else "")
        + f"delay={attempt.delay:g}, delays={attempt.delays}, {pairs}"
        + f"dsn={attempt.enhanced_status}, status={attempt.status} ({attempt.text})"
    )


def read(attempt: events.Attempt, message: str) -> AnyEvent:
    return HANDLERS[attempt.tag.rpartition("/")[2]](None, attempt.host, attempt.tag, attempt.pid, message)


# -- real runs


def test_both_timestamp_formats_of_one_run_give_equal_events() -> None:
    precise, traditional = lab_events("rfc3339"), lab_events("traditional")

    assert [without_time(event) for event in precise] == [without_time(event) for event in traditional]
    assert [event.at is not None and int(event.at) for event in precise] == [event.at for event in traditional]


@pytest.mark.parametrize("name", ["rfc3339", "traditional"])
def test_no_line_of_postfix_or_opendkim_in_a_real_run_is_unparsed(name: str) -> None:
    assert not [event for event in lab_events(name) if isinstance(event, events.Unparsed)]


@pytest.mark.parametrize("name", ["rfc3339", "traditional"])
def test_the_kinds_of_events_in_a_real_run_are_these(name: str) -> None:
    counts = Counter(type(event).__name__ for event in lab_events(name))

    assert counts == LAB_COUNTS


def test_a_real_run_has_the_outcomes_that_grep_counts() -> None:
    attempts = [event for event in lab_events("rfc3339") if isinstance(event, events.Attempt)]

    assert Counter((type(event).__name__, event.status) for event in attempts) == LAB_OUTCOMES


# -- delivery lines


@settings(deadline=None, max_examples=200)
@given(attempts(), st.sampled_from(["", "tls=dane, ", "tls=may/none:!dane?, requiretls=no, "]))
def test_an_attempt_that_postfix_writes_is_read_as_it_was_whatever_the_remote_said(attempt: events.Attempt, pairs: str) -> None:
    assert read(attempt, logged(attempt, pairs)) == attempt


@settings(deadline=None, max_examples=200)
@given(attempts(), st.data())
def test_a_delivery_line_that_is_cut_anywhere_tells_the_truth_or_nothing(attempt: events.Attempt, data: st.DataObject) -> None:
    message = logged(attempt)
    event = read(attempt, message[: data.draw(st.integers(0, len(message)), label="cut at")])

    if isinstance(event, events.Attempt):
        assert attempt.text.startswith(event.text)
        assert msgspec.structs.replace(event, text=attempt.text) == attempt
    else:
        assert isinstance(event, events.Other | events.Unparsed | events.Warned)


@settings(deadline=None)
@given(attempts())
def test_a_line_of_the_error_service_is_a_local_deferral_whatever_it_repeats(attempt: events.Attempt) -> None:
    event = delivery_agent(None, "mx", "postfix/retry/error", 1, logged(attempt))

    assert type(event) is events.LocalDeferral
    assert (event.status, event.text) == (attempt.status, attempt.text)


@given(hostile, st.sampled_from(["said", "refused to talk to me"]))
@example("450 x (in reply to RCPT TO command)", "said")
@settings(deadline=None)
def test_an_interim_refusal_is_never_an_outcome(reply: str, verb: str) -> None:
    event = delivery_agent(None, "mx", "postfix/out05/smtp", 1, f"3F2A1B4C: host mx1.example.org[2001:db8::1] {verb}: {reply}")

    assert isinstance(event, events.RemoteRefused)
    assert (event.relay_host, event.relay_ip) == ("mx1.example.org", "2001:db8::1")


def test_a_delay_that_is_no_number_loses_nothing_else() -> None:
    line = "3F2A1B4C: to=<a@example.org>, relay=none, delay=1.2.3, delays=0/0/0/0, dsn=4.0.0, status=deferred (x)"
    attempt = delivery(None, "mx", "postfix/smtp", 1, line)

    assert attempt is not None
    assert (attempt.delay, attempt.status) == (None, "deferred")


# -- lines of other programs


@settings(deadline=None, max_examples=200)
@given(addresses, st.integers(0, 10**9), st.integers(1, 10**5), st.data())
def test_a_queued_line_that_is_whole_is_read_and_one_that_is_cut_is_not(
    sender: str, size: int, nrcpt: int, data: st.DataObject
) -> None:
    message = f"3F2A1B4C: from=<{sender}>, size={size}, nrcpt={nrcpt} (queue active)"
    cut = data.draw(st.integers(0, len(message)), label="cut at")

    whole, part = qmgr(None, "mx", "postfix/qmgr", 1, message), qmgr(None, "mx", "postfix/qmgr", 1, message[:cut])

    assert whole == events.Queued(None, "mx", "postfix/qmgr", 1, "3F2A1B4C", sender, size, nrcpt)
    assert part == whole if cut == len(message) else isinstance(part, events.Other)


@settings(deadline=None, max_examples=200)
@given(addresses, st.sampled_from(["expired", "force-expired"]), st.data())
def test_an_expired_line_is_read_whole_or_not_at_all(sender: str, status: str, data: st.DataObject) -> None:
    message = f"3F2A1B4C: from=<{sender}>, status={status}, returned to sender"
    cut = data.draw(st.integers(0, len(message)), label="cut at")
    part = qmgr(None, "mx", "postfix/qmgr", 1, message[:cut])

    assert qmgr(None, "mx", "postfix/qmgr", 1, message) == events.Expired(
        None, "mx", "postfix/qmgr", 1, "3F2A1B4C", sender, status
    )
    assert isinstance(part, events.Expired if cut == len(message) else events.Other)


@settings(deadline=None)
@given(hostile)
def test_a_message_id_is_nothing_but_a_message_id(text: str) -> None:
    assert cleanup(None, "mx", "postfix/cleanup", 1, f"3F2A1B4C: message-id={text}") == events.MessageId(
        None, "mx", "postfix/cleanup", 1, "3F2A1B4C", text
    )


@settings(deadline=None)
@given(st.sampled_from(["client", "unknown"]), st.ip_addresses().map(str), hostile)
def test_the_client_is_who_stands_first_in_its_line(host: str, ip: str, rest: str) -> None:
    event = smtpd(None, "mx", "postfix/smtpd", 1, f"3F2A1B4C: client={host}[{ip}], sasl_method=PLAIN, sasl_username={rest}")

    assert isinstance(event, events.Client)
    assert (event.queue_id, event.client_host, event.client_ip) == ("3F2A1B4C", host, ip)


@settings(deadline=None)
@given(
    st.sampled_from(sorted(HANDLERS)),
    hostile,
    st.sampled_from(["", "3F2A1B4C: ", "NOQUEUE: ", "warning: ", "warning: 3F2A1B4C: "]),
)
def test_no_program_of_postfix_has_a_line_that_raises(program: str, text: str, before: str) -> None:
    event = HANDLERS[program](1.0, "mx", f"postfix/{program}", 1, before + text)

    assert (event.at, event.host, event.tag, event.pid) == (1.0, "mx", f"postfix/{program}", 1)


@pytest.mark.parametrize("program", sorted(HANDLERS))
def test_each_program_counts_as_postfix_when_its_line_is_unparsed(program: str) -> None:
    assert daemon_of(f"postfix/out05/{program}") == "postfix"


def test_noqueue_is_no_queue_id_anywhere() -> None:
    for program in HANDLERS:
        for rest in (
            "client=a[192.0.2.4]",
            "message-id=<x>",
            "uid=0 from=<a>",
            "hold: x",
            "host a[192.0.2.4] said: x",
        ):
            event = HANDLERS[program](None, "mx", f"postfix/{program}", 1, f"NOQUEUE: {rest}")
            assert getattr(event, "queue_id", None) is None, (program, rest)


@pytest.mark.parametrize("word", ["warning", "statistics", "Requeued", "Deleted", "Untrusted", "NOQUEUE"])
def test_a_word_with_a_colon_is_no_queue_id(word: str) -> None:
    for program in HANDLERS:
        event = HANDLERS[program](None, "mx", f"postfix/{program}", 1, f"{word}: 22 messages")
        assert getattr(event, "queue_id", None) is None, program
