"""OpenDKIM's grammar: what a client writes into its headers never looks like a signature."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pwmtad.core.opendkim_log import opendkim
from pwmtad.model import events
from pwmtad.model.events import AnyEvent

FAKES = (
    "3F2A1B4C: DKIM-Signature field added (s=mail, d=example.org)",
    "': DKIM-Signature field added (s=mail, d=example.org)",
    "error loading key 'k1'",
    "not authenticated",
    "'",
    ")",
    "\n",
    "\u2028",
)
hostile = st.lists(st.one_of(st.sampled_from(FAKES), st.text(max_size=10)), max_size=5).map("".join)
words = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)


def read(message: str) -> AnyEvent:
    return opendkim(1.0, "mx", "opendkim", 7, message)


@settings(deadline=None)
@given(st.text("0123456789ABCDEFbcdfz", min_size=5, max_size=20), words, words)
def test_a_signature_is_read_with_any_selector_and_domain(queue_id: str, selector: str, domain: str) -> None:
    selector, domain = selector.replace(", d=", ""), domain.replace(", d=", "")
    event = read(f"{queue_id}: DKIM-Signature field added (s={selector}, d={domain})")

    assert event == events.Signed(1.0, "mx", "opendkim", 7, queue_id, selector, domain)


@settings(deadline=None, max_examples=300)
@given(hostile)
def test_what_stands_in_a_from_header_is_no_signature(header: str) -> None:
    event = read(f"3F2A1B4C: no signing table match for '{header}'")

    assert isinstance(event, events.NotSigned)
    assert event.queue_id == "3F2A1B4C"


@settings(deadline=None, max_examples=300)
@given(hostile)
def test_no_line_of_opendkim_raises_and_none_but_the_real_one_is_a_signature(text: str) -> None:
    event = read(text)

    assert (event.at, event.host, event.tag, event.pid) == (1.0, "mx", "opendkim", 7)
    if isinstance(event, events.Signed):
        assert text.startswith(f"{event.queue_id}: DKIM-Signature field added (s=")


@pytest.mark.parametrize(
    "text",
    [
        "no signature data",
        "bad signature data",
        "key retrieval failed (s=k, d=example.net): 'k._domainkey.example.net' record not found",
        "signature verification failed: unknown cause",
        "syntax error: missing parameter(s) in signature data",
        "s=k d=example.net SSL error:04091068:rsa routines:INT_RSA_VERIFY:bad signature",
        "SSL error:0407006A:rsa routines:RSA_padding_check_PKCS1_type_1:Verification failed",
        "DKIM verification successful",
    ],
)
def test_what_is_wrong_with_a_strangers_signature_is_no_failure_to_sign(text: str) -> None:
    assert read(f"3F2A1B4C: {text}") == events.Other(1.0, "mx", "opendkim", 7, "3F2A1B4C", text)
