import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pwmtad.core.reply import MAX_NORMALISED, normalise, parse_reply

HOST = "host mx.example.com[192.0.2.21]"

PIECES = st.sampled_from(
    [
        *("550", "550-", "550-550-", "5.7.1", "550-5.7.1", "550-word", "421-4.7.0", "421", "4.7.0", "word", " ", "  "),
        *("\u2028", "\u202e", "550\u202e-", "(in reply to RCPT TO command)", "(in reply to R", f"{HOST} said: "),
    ]
)
HOSTILE = st.lists(PIECES, max_size=14).map("".join)


def test_a_reply_to_a_command_is_taken_apart() -> None:
    reply = parse_reply(f"{HOST} said: 550 5.1.1 no such user here (in reply to RCPT TO command)")
    assert reply.said
    assert (reply.code, reply.enhanced, reply.phase, reply.greeting) == (550, "5.1.1", "RCPT TO command", False)
    assert reply.text == "550 5.1.1 no such user here"
    assert reply.normalised == reply.text


def test_a_refusal_at_the_greeting_is_marked_and_keeps_its_own_code() -> None:
    reply = parse_reply(f"{HOST} refused to talk to me: 554 5.7.1 blocked using example RBL")
    assert (reply.said, reply.code, reply.enhanced, reply.phase, reply.greeting) == (True, 554, "5.7.1", None, True)


def test_the_prefixes_of_a_folded_reply_are_removed() -> None:
    reply = parse_reply(
        f"{HOST} said: 550-5.7.1 Our system has detected 550-5.7.1 that this message is likely unsolicited 550 5.7.1 mail."
    )
    assert reply.normalised == "550 5.7.1 Our system has detected that this message is likely unsolicited mail."
    assert reply.text.startswith("550-5.7.1 Our system has detected 550-5.7.1 that")


@pytest.mark.parametrize(
    ("text", "normalised"),
    [
        ("250-2.0.0 multi 250 2.0.0 Ok: queued as ABC123 - gsmtp", "250 2.0.0 multi Ok: queued as ABC123 - gsmtp"),
        (
            "554-gmx.net Nemesis ESMTP Service not available 554-No SMTP service 554 Bad PTR",
            "554 gmx.net Nemesis ESMTP Service not available No SMTP service Bad PTR",
        ),
        ("550-line one 550 line two, 551 left", "550 line one line two, 551 left"),
        ("550-a 550- 550 b 550", "550 a b"),
        ("550-550-5.7.1 a 550 5.7.1 b", "550 a b"),
        ("550-550 5.7.1 5.7.1 a", "550 5.7.1 a"),
        ("550 Quota of 550 MB", "550 Quota of 550 MB"),
        ("550 a 450 4.1.1 b", "550 a b"),
        ("550 a 450-4.1.1 b", "550 a b"),
        ("550-a 550 550 5.7.1 5.7.1 550-b", "550 a 5.7.1 b"),
        ("550-550-550- a 550-550 5.7.1 b", "550 a b"),
        ("550-a 450-4.7.1 b", "550 a b"),
        ("550 5.3.2.1 is an address", "550 5.3.2.1 is an address"),
        ("550", "550"),
        ("550-", "550"),
        ("  two   spaces\tand a tab ", "two spaces and a tab"),
        ("", ""),
    ],
)
def test_normalising(text: str, normalised: str) -> None:
    assert normalise(text) == normalised


def test_controls_and_direction_marks_are_dropped_and_line_separators_become_spaces() -> None:
    assert normalise("450 4.7.1 a\u202eb\x9b\x85c\u2028d\u2029e\x00f\ufeff") == "450 4.7.1 ab c d ef"


def test_a_reply_alone_is_a_remotes_word() -> None:
    reply = parse_reply("250 2.0.0 OK 1577836800 a1si2 - gsmtp")
    assert (reply.said, reply.code, reply.enhanced, reply.phase) == (True, 250, "2.0.0", None)


def test_a_reply_alone_may_name_its_command() -> None:
    assert parse_reply("550 5.1.1 no (in reply to end of DATA command)").phase == "end of DATA command"


@pytest.mark.parametrize(
    "text",
    [
        "connect to mx.down.example[192.0.2.99]:25: Connection refused",
        "lost connection with mx.drop.example[192.0.2.41] while sending RCPT TO",
        "conversation with mx.hang.example[192.0.2.42] timed out while receiving the initial server greeting",
        "Host or domain name not found. Name service error for name=nx.example type=A: Host not found",
        "mail for loop.example loops back to myself",
        "Domain nullmx.example does not accept mail (nullMX)",
        "delivery temporarily suspended: host mx.example.com[192.0.2.21] said: 550 5.7.1 blocked (in reply to RCPT TO command)",
        "delivered to mailbox",
        "",
    ],
)
def test_postfix_own_sentences_are_nobodys_reply(text: str) -> None:
    reply = parse_reply(text)
    assert (reply.said, reply.code, reply.enhanced, reply.phase, reply.greeting) == (False, None, None, None, False)
    assert reply.text == text


def test_a_garbage_reply_is_said_but_has_no_code() -> None:
    reply = parse_reply(f"{HOST} said: hello not a reply 354 go (in reply to RCPT TO command)")
    assert (reply.said, reply.code, reply.enhanced, reply.phase) == (True, None, None, "RCPT TO command")


@pytest.mark.parametrize("text", ["999 4.7.1 no", "150 no", "55 no", "5500 no", "550no"])
def test_what_is_no_reply_code_is_none(text: str) -> None:
    assert parse_reply(f"{HOST} said: {text}").code is None


@pytest.mark.parametrize(
    "text", ["550 #5.1.0 rejected", "550 sorry (#5.1.1)", "550 5.7.1: no", "550 6.7.1 no", "550 5.7.1000 no", "550 no 5.1.1"]
)
def test_an_enhanced_status_code_counts_only_right_after_the_code(text: str) -> None:
    reply = parse_reply(f"{HOST} said: {text}")
    assert (reply.code, reply.enhanced) == (550, None)


def test_codes_of_three_digits_in_the_third_place_are_kept() -> None:
    assert parse_reply(f"{HOST} said: 550 5.7.606 Access denied").enhanced == "5.7.606"


@pytest.mark.parametrize(
    ("tail", "phase"),
    [
        (" (in reply to RCPT TO command)", "RCPT TO command"),
        (" (in reply to RCPT TO command))", "RCPT TO command"),
        (" (in reply to end of DATA command)", "end of DATA command"),
        (" (in reply to RCPT TO comm", "RCPT TO command"),
        (" (in reply to e", "end of DATA command"),
        (" (in reply to ", None),
        (" (in reply to XFORWARD ", None),
    ],
)
def test_the_command_is_told_even_where_the_line_was_cut(tail: str, phase: str | None) -> None:
    reply = parse_reply(f"{HOST} said: 450 4.2.1 busy{tail}")
    assert (reply.phase, reply.text) == (phase, "450 4.2.1 busy")


def test_only_the_last_mention_of_a_command_is_structural() -> None:
    reply = parse_reply(f"{HOST} said: 450 no (in reply to end of DATA command) bla (in reply to RCPT TO command)")
    assert reply.phase == "RCPT TO command"
    assert reply.text == "450 no (in reply to end of DATA command) bla"


@pytest.mark.parametrize("words", ["(in reply to you)", "(in reply to RCPT TO command) and more", "(in reply to nothing known"])
def test_words_of_the_remote_that_look_structural_stay_its_text(words: str) -> None:
    reply = parse_reply(f"{HOST} said: 450 no {words}")
    assert (reply.phase, reply.text) == (None, f"450 no {words}")


def test_a_fake_record_in_a_reply_is_text() -> None:
    fake = "450 4.7.1 ok) bla, relay=mx.evil.example[192.0.2.1]:25, dsn=2.0.0, status=sent (250 2.0.0 queued"
    reply = parse_reply(f"{HOST} said: {fake} (in reply to RCPT TO command)")
    assert (reply.code, reply.enhanced, reply.text) == (450, "4.7.1", fake)


@pytest.mark.parametrize("host", ["mx.example.com[2001:db8::1]", "mx.example.com[192.0.2.1]:2525", "mail[private/lmtp]"])
def test_the_remotes_name_has_several_shapes(host: str) -> None:
    assert parse_reply(f"host {host} said: 550 no").code == 550


def test_of_a_reply_that_is_too_long_the_middle_is_left_out() -> None:
    words = " ".join(f"w{number}" for number in range(2000))
    normalised = parse_reply(f"{HOST} said: 550-5.7.1 {words} 550 5.7.1 gcdp a1si2 - gsmtp").normalised
    assert len(normalised) <= MAX_NORMALISED
    assert normalised.startswith("550 5.7.1 w0 w1 ")
    assert " [...] " in normalised
    assert normalised.endswith(" w1999 gcdp a1si2 - gsmtp")


@pytest.mark.parametrize(
    "word",
    ["x" * 9000, "x " * 4000, "x" * 1496 + " " + "y" * 5000, "x" * 5000 + " " + "y" * 493, "\u202e" * 65536, "550-" * 16384],
)
def test_nothing_makes_a_normalised_reply_longer_than_its_limit(word: str) -> None:
    normalised = normalise("550 " + word)
    assert len(normalised) <= MAX_NORMALISED
    assert normalise(normalised) == normalised


@given(HOSTILE)
def test_normalising_twice_is_normalising_once(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once


@given(st.text(max_size=60), st.integers(min_value=0, max_value=300), st.sampled_from(["", "550-", "550 5.7.1 ", HOST]))
def test_any_text_is_read_bounded_and_stable(text: str, times: int, head: str) -> None:
    reply = parse_reply(head + text * times)
    assert len(reply.normalised) <= MAX_NORMALISED
    assert normalise(reply.normalised) == reply.normalised
    assert reply.normalised.isprintable() or not reply.normalised.isascii()
    assert reply.said or reply.code is None


@given(HOSTILE, st.sampled_from(["RCPT TO command", "end of DATA command", "MAIL FROM command"]))
def test_whatever_a_remote_says_its_code_and_the_command_are_told(text: str, phase: str) -> None:
    reply = parse_reply(f"{HOST} said: 451 4.3.0 {text} (in reply to {phase})")
    assert (reply.said, reply.code, reply.enhanced, reply.phase) == (True, 451, "4.3.0", phase)


@given(st.text(alphabet=string.ascii_letters + " .-", max_size=80).map(lambda text: " ".join(text.split())))
def test_plain_words_come_through_unchanged(words: str) -> None:
    line = f"550 5.1.1 {words}".rstrip()
    assert parse_reply(f"{HOST} said: {line}").normalised == line
