"""The corpus: real and hostile lines with what they mean, in files that need no Python (tests/corpus/README.md)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest
import yaml
from msgspec import Struct

from pwmtad.cli.parse import Describer
from pwmtad.core.classify import Classifier
from pwmtad.core.lines import LineReader
from pwmtad.model.replies import RuleSet

CORPUS: Final = Path(__file__).parents[2] / "corpus"
KINDS: Final = frozenset(
    {
        "attempt", "client", "pickup", "message_id", "queued", "removed", "expired", "notification", "hold", "milter_reject",
        "milter_unreachable", "remote_refused", "connect_failed", "bind_failed", "local_deferral", "signed", "not_signed",
        "signing_failed", "reload", "start", "warning", "other", "unparsed",
    }
)  # fmt: skip
"""The words of the command line's contract."""
_KEYS: Final = frozenset({"line", "expect", "why", "source", "year", "timezone", "now", "bare"})
_NOW: Final = "2026-12-01T00:00:00Z"
_NO_DOMAINS: Final = frozenset({"exam", "-.service"})
"""A domain that is cut off, and the name of a unit."""
_RULES_OF_THEIR_OWN: Final = RuleSet((), ())
"""Operators and classes are tested with the rules' own samples."""


class BrokenEntry(Exception):
    """Names the file and the entry, and says what was expected."""


class Entry(Struct, frozen=True):
    """One line and what is expected of it. `where` names the file and the entry, for messages."""

    where: str
    line: str
    expect: dict[str, Any]
    year: int | None
    zone: ZoneInfo
    now: float
    bare: str | None


def read_entries(name: str, text: str) -> list[Entry]:
    """Read one file of the corpus. Raises BrokenEntry."""
    try:
        raw = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BrokenEntry(f"{name}: this is no YAML: {error}") from error
    if not isinstance(raw, list):
        raise BrokenEntry(f"{name}: expected a list of entries, each beginning with `- line:`")
    return [_entry(f"{name}, entry {number}", item) for number, item in enumerate(raw, start=1)]


def _entry(where: str, item: object) -> Entry:
    if not isinstance(item, dict):
        raise BrokenEntry(f"{where}: expected `line:` and `expect:`, found {item!r}")
    unknown = sorted(set(item) - _KEYS)
    if unknown:
        raise BrokenEntry(f"{where}: unknown key {unknown[0]!r}; known are {', '.join(sorted(_KEYS))}")
    line, expect = item.get("line"), item.get("expect")
    if not isinstance(line, str):
        raise BrokenEntry(f"{where}: `line` must be text (`line: |-` and the line below it), found {line!r}")
    if not isinstance(expect, dict) or expect.get("event") not in KINDS:
        raise BrokenEntry(f"{where}: `expect` must name an event, one of {', '.join(sorted(KINDS))}")
    if item.get("bare") not in (None, "postfix", "opendkim"):
        raise BrokenEntry(f"{where}: `bare` must be postfix or opendkim, found {item['bare']!r}")
    return Entry(
        where=where,
        line=line,
        expect=expect,
        year=item.get("year"),
        zone=ZoneInfo(item.get("timezone", "UTC")),
        now=datetime.fromisoformat(item.get("now", _NOW)).timestamp(),
        bare=item.get("bare"),
    )


def printed(entry: Entry) -> dict[str, Any]:
    """Return what `pwmtad parse` prints for the line."""
    reader = LineReader(zone=entry.zone, now=entry.now, year=entry.year)
    event = reader.line(entry.line) if entry.bare is None else reader.bare(entry.line, source=entry.bare)
    return Describer(Classifier(_RULES_OF_THEIR_OWN))(1, event)


def differences(entry: Entry) -> Iterator[str]:
    """Compare the fields that the entry names."""
    found = printed(entry)
    for field, expected in entry.expect.items():
        if field not in found and (expected is not None or field not in _all_fields()):
            yield f"{field}: there is no such field; this line has {', '.join(found)}"
        elif found.get(field) != expected:
            quotes = " (put it in quotes)" if str(expected) == found.get(field) else ""
            yield f"{field}: expected {expected!r}, found {found.get(field)!r}{quotes}"


def _all_fields() -> frozenset[str]:
    return frozenset(field for entry in ENTRIES for field in printed(entry))


ENTRIES: Final = [entry for path in sorted(CORPUS.glob("*.yaml")) for entry in read_entries(path.name, path.read_text("utf-8"))]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.where)
def test_a_line_means_what_its_entry_says(entry: Entry) -> None:
    found = list(differences(entry))

    assert not found, f"{entry.where}: " + "; ".join(found)


def test_the_corpus_has_a_line_of_each_kind() -> None:
    assert {entry.expect["event"] for entry in ENTRIES} == KINDS


def test_each_kind_of_the_corpus_is_described_in_the_documentation() -> None:
    told = (CORPUS.parents[1] / "docs" / "events.md").read_text("utf-8")

    assert not [kind for kind in KINDS if f"`{kind}`" not in told]


def test_no_line_stands_twice_in_the_corpus() -> None:
    seen: dict[tuple[str, str | None, float, int | None, str], str] = {}
    for entry in ENTRIES:
        key = (entry.line, entry.bare, entry.now, entry.year, str(entry.zone))
        assert key not in seen, f"{entry.where} repeats {seen[key]}"
        seen[key] = entry.where


def test_the_corpus_names_nobodys_real_address() -> None:
    reserved = re.compile(r"(?:.*\.)?(?:example\.(?:org|net|com)|[^.]+\.example|[^.]+\.test|example|x|host)\.?", re.IGNORECASE)
    addresses = re.compile(r"@([A-Za-z0-9.-]+)|\b(\d{1,3}(?:\.\d{1,3}){3})\b")
    ours = re.compile(r"(?:192\.0\.2|198\.51\.100|203\.0\.113|127\.0\.0|172\.18\.0)\.\d+|4\.16\.55\.1|")
    for entry in ENTRIES:
        for domain, address in addresses.findall(entry.line):
            known = ours.fullmatch(address) if address else reserved.fullmatch(domain) or domain in _NO_DOMAINS
            assert known, f"{entry.where}: {domain or address}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- line: [", "broken.yaml: this is no YAML"),
        ("line: x", "broken.yaml: expected a list"),
        ("- x", "broken.yaml, entry 1: expected `line:`"),
        (
            "- {line: x, expect: {event: other}}\n- {line: x, expct: {event: other}}",
            "broken.yaml, entry 2: unknown key 'expct'",
        ),
        ("- {line: 1, expect: {event: other}}", "entry 1: `line` must be text"),
        ("- {line: x}", "entry 1: `expect` must name an event, one of attempt, bind_failed"),
        ("- {line: x, expect: {event: atempt}}", "entry 1: `expect` must name an event"),
        ("- {line: x, bare: yes, expect: {event: other}}", "entry 1: `bare` must be postfix or opendkim"),
    ],
)
def test_a_broken_entry_is_named_with_its_file_and_number(text: str, message: str) -> None:
    with pytest.raises(BrokenEntry, match=re.escape(message)):
        read_entries("broken.yaml", text)


def test_a_mistyped_field_or_an_unquoted_number_is_told_in_words() -> None:
    [entry] = read_entries(
        "x.yaml", "- {line: '12345: removed', bare: postfix, expect: {event: removed, queue_id: 12345, qeue: x}}"
    )

    assert [difference.partition(";")[0] for difference in differences(entry)] == [
        "queue_id: expected 12345, found '12345' (put it in quotes)",
        "qeue: there is no such field",
    ]
