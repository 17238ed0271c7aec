"""One spelling for each address and domain, and nothing that could be taken for something else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pwmtad.core.subjects import address_of, domain_subject, subject_of, written
from pwmtad.model.suppression import SubjectKind


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("Reader@Example.ORG", "reader@example.org"),
        (" reader@example.org.\n", "reader@example.org"),
        ("o'brien+news=1@mail.example.org", "o'brien+news=1@mail.example.org"),
        ("b\u00fccher@m\u00fcnchen.example", "b\u00fccher@m\u00fcnchen.example"),
        ("a_b-c@x_y.example.org", "a_b-c@x_y.example.org"),
    ],
)
def test_an_address_has_one_spelling(text: str, address: str) -> None:
    assert address_of(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "reader",
        "@example.org",
        "reader@",
        "reader@localhost",
        "reader@[192.0.2.1]",
        '"a b"@example.org',
        "a,b@example.org",
        "a@b@example.org",
        "a\x1b[31m@example.org",
        "a\u202eb@example.org",
        "reader@exa mple.org",
        "reader@example..org",
        "r" * 310 + "@example.org",
        "r@" + "x" * 64 + ".example",
        "r@" + "x." * 127 + "example",
    ],
)
def test_what_is_no_plain_address_is_none(text: str) -> None:
    assert address_of(text) is None


@pytest.mark.parametrize(("text", "domain"), [("Example.ORG.", "example.org"), ("localhost", None), ("a b.example", None)])
def test_a_domain_has_one_spelling(text: str, domain: str | None) -> None:
    assert domain_subject(text) == domain


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("Reader@example.org", (SubjectKind.ADDRESS, "reader@example.org")),
        ("@Example.org", (SubjectKind.DOMAIN, "example.org")),
        ("example.org", (SubjectKind.DOMAIN, "example.org")),
        ("reader@", None),
        ("@", None),
        ("@@example.org", None),
    ],
)
def test_a_person_writes_addresses_and_domains(text: str, subject: tuple[SubjectKind, str] | None) -> None:
    assert subject_of(text) == subject


@given(st.text(max_size=40) | st.from_regex(r"[a-zA-Z0-9.'+]{1,8}@[a-zA-Z.]{1,12}", fullmatch=True))
def test_a_subject_is_written_as_it_is_read_and_shows_itself_plainly(text: str) -> None:
    found = subject_of(text)
    if found is not None:
        kind, subject = found
        again = written(kind.value, subject)
        assert subject_of(again) == found
        assert again.isprintable()
        assert " " not in again
        assert "," not in again
