"""Shapes instead of the grammar, batches instead of events: both must come to the same."""

from __future__ import annotations

import math
import pickle
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pwmtad.core.assess import Assessor
from pwmtad.core.attribution import AnyRoutes
from pwmtad.core.classify import Classifier
from pwmtad.core.digest import (
    ATTEMPT,
    CHATTER,
    CLIENT,
    EVENT,
    MESSAGE_ID,
    QUEUED,
    QUEUED_NULL,
    REMOVED,
    SESSION,
    SIGNED,
    SILENT,
)
from pwmtad.core.digester import Digester
from pwmtad.core.guard import Guard
from pwmtad.core.lines import LineReader
from pwmtad.core.observe import Observer
from pwmtad.core.policy import Policy
from pwmtad.core.shapes import Shapes, is_id
from pwmtad.core.wiring import POSTFIX_SOURCE, parts_of
from pwmtad.model.names import SourceKind
from pwmtad.model.replies import RuleSet
from pwmtad.model.sources import JournalEntry
from tests.tools.judging import START, settings_of
from tests.unit.core.test_lines import PIECES

SETTINGS: Final = settings_of(more='injector_clients = ["172.18.0.5"]')
DATA: Final = Path(__file__).parents[2] / "data"
ID: Final = "4XkJ2l1zq00001"
OUTCOME: Final = "relay=mx.example.net[192.0.2.7]:25, delay=1.2, delays=0.1/0/1/0.1, dsn=2.0.0, status=sent (250 ok)"
LIFE: Final = (
    ("postfix/smtpd[3]", "connect from unknown[172.18.0.5]"),
    ("postfix/smtpd[3]", f"{ID}: client=unknown[172.18.0.5]"),
    ("postfix/cleanup[4]", f"{ID}: message-id=<a@example.org>"),
    ("opendkim[5]", f"{ID}: DKIM-Signature field added (s=mail, d=example.org)"),
    ("postfix/qmgr[6]", f"{ID}: from=<a@example.org>, size=10, nrcpt=1 (queue active)"),
    ("postfix/out05/smtp[7]", "Untrusted TLS connection established to mx.example.net[192.0.2.7]:25: TLSv1.3"),
    ("postfix/out05/smtp[7]", f"{ID}: to=<b@example.net>, {OUTCOME}"),
    ("postfix/qmgr[6]", f"{ID}: removed"),
)
"""Every shape, once."""
MUTATIONS: Final = (*PIECES, '"', "<", ">", "@", "\u0661", "=", ", ", "  ", "0", ".", "/", "(", ")")


def stamp(second: float) -> str:
    return datetime.fromtimestamp(START + second, tz=UTC).isoformat(timespec="microseconds")


def lines_of(*messages: tuple[str, str], begin: float = 0.0) -> list[str]:
    """Lines a tenth of a second apart: most are not the first of their second."""
    return [f"{stamp(begin + number / 10)} mail {tag}: {text}" for number, (tag, text) in enumerate(messages)]


def observer_of(kind: SourceKind = SourceKind.BOTH) -> Observer:
    return Observer(
        parts=parts_of(SETTINGS, RuleSet((), ()), None),
        sources={POSTFIX_SOURCE: kind},
        max_reasons_per_day=1000,
        now=START,
        guard=Guard(Policy(settings=SETTINGS, stop_rules=())),
    )


def digest_of(lines: Sequence[str], kind: SourceKind = SourceKind.BOTH) -> list[tuple[int, str]]:
    """Kinds, and queue ids where there is one."""
    routes = AnyRoutes("news")
    made = Digester(kind, routes, Assessor(routes, Classifier(RuleSet((), ()))))(LineReader(), lines)
    return [(kind, name if kind != CHATTER else "") for kind, name in zip(made.kinds, made.ids, strict=True)]


def outcome(observer: Observer) -> dict[str, Any]:
    commit = observer.commit(START)
    return {
        "events": observer.event_counts,
        "attempts": dict.fromkeys(commit.attempts),
        "messages": commit.messages,
        "reasons": commit.reasons,
        "lines": {(row.daemon, row.outcome): row.count for row in commit.lines},
        "open": {name: repr(message) for name, message in observer.correlator.open_items()},
        "domains": sorted(commit.domains_put),
        "attempts seen": observer.guard.attempts,
        "last": (observer.correlator.last_at, observer.sources[POSTFIX_SOURCE].last_line_at),
    }


def both_ways(lines: Sequence[str], kind: SourceKind = SourceKind.BOTH) -> tuple[dict[str, Any], dict[str, Any]]:
    """What comes of lines as a batch, and as events one by one, which takes the grammar alone."""
    batch, single = observer_of(kind), observer_of(kind)
    batch.count(POSTFIX_SOURCE, lines, math.inf)
    reader = single.sources[POSTFIX_SOURCE].reader
    for line in lines:
        single.take_event(POSTFIX_SOURCE, reader.line(line))
    return outcome(batch), outcome(single)


@pytest.mark.parametrize("kind", list(SourceKind))
@pytest.mark.parametrize("name", ["postfix-lab.rfc3339.log", "postfix-lab.traditional.log"])
def test_a_batch_of_real_lines_comes_to_what_its_events_come_to(name: str, kind: SourceKind) -> None:
    lines = (DATA / name).read_text(encoding="utf-8").split("\n")
    batch, single = both_ways(lines, kind)
    assert batch == single


def test_an_attempt_of_what_is_no_queue_id_is_none() -> None:
    lines = lines_of(*LIFE, ("postfix/out05/smtp[7]", f"warning: to=<b@example.net>, {OUTCOME}"))
    batch, single = both_ways(lines)
    assert batch == single
    assert batch["attempts seen"] == 1


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_line_that_looks_only_a_little_different_is_what_the_grammar_says(data: st.DataObject) -> None:
    lines = lines_of(*LIFE) + lines_of(*LIFE, begin=0.9)
    for _ in range(data.draw(st.integers(1, 6))):
        number = data.draw(st.integers(0, len(lines) - 1))
        line = lines[number]
        at = data.draw(st.integers(0, len(line)))
        cut = data.draw(st.integers(0, 12))
        lines[number] = line[:at] + data.draw(st.sampled_from(MUTATIONS) | st.just("")) + line[at + cut :]
    batch, single = both_ways(lines)
    assert batch == single


@settings(deadline=None)
@given(st.lists(st.sampled_from(LIFE), max_size=30))
def test_in_whatever_order_lines_come_a_batch_comes_to_what_its_events_come_to(messages: list[tuple[str, str]]) -> None:
    batch, single = both_ways(lines_of(*messages))
    assert batch == single


def test_every_shape_is_told_at_the_first_line_of_a_second_and_later() -> None:
    kinds = [SESSION, CLIENT, MESSAGE_ID, SIGNED, QUEUED, CHATTER, ATTEMPT, REMOVED]
    ids = ["postfix/smtpd[3]", *[ID] * 4, "", ID, ID]
    slow = [line for number, message in enumerate(LIFE) for line in lines_of(message, begin=number)]
    assert digest_of(slow) == list(zip(kinds, ids, strict=True))
    assert digest_of(lines_of(*LIFE)) == list(zip(kinds, ids, strict=True))
    again = digest_of(lines_of(*LIFE) + lines_of(*LIFE, begin=0.9))
    assert [kind for kind, _ in again] == kinds * 2


def test_entries_of_the_journal_have_the_same_shapes() -> None:
    routes = AnyRoutes("news")
    digester = Digester(SourceKind.BOTH, routes, Assessor(routes, Classifier(RuleSet((), ()))))
    tags = [(tag.partition("[")[0], int(tag.partition("[")[2][:-1]), text) for tag, text in LIFE]
    entries = [JournalEntry(START, "mail", tag, pid, text) for tag, pid, text in tags]
    entries += [
        JournalEntry(START, "mail", "postfix/qmgr", None, "4XkJ2l1zq00002: removed"),
        JournalEntry(START, "mail", "postfix/qmgr", 6, "4XkJ2l1zq00002: é"),
        JournalEntry(START, "mail", "no tag", 6, "x"),
    ]
    made = digester(LineReader(), entries)
    assert list(made.kinds) == [*[kind for kind, _ in digest_of(lines_of(*LIFE))], REMOVED, SILENT, SILENT]
    assert made.ids[0] == "postfix/smtpd[3]"
    assert made.lines == {("postfix", "parsed"): 1, ("other", "unparsed"): 1}


def test_the_null_sender_and_several_recipients_are_told() -> None:
    queued = ("postfix/qmgr[6]", f"{ID}: from=<>, size=1, nrcpt=1 (queue active)")
    many = ("postfix/qmgr[6]", f"{ID}: from=<a@example.org>, size=1, nrcpt=70 (queue active)")
    kinds = [kind for kind, _ in digest_of(lines_of(*[queued] * 3, *[many] * 3))]
    assert kinds == [QUEUED_NULL] * 3 + [QUEUED] * 3


def test_a_source_tells_only_of_its_own_lines() -> None:
    ours = [kind for kind, _ in digest_of(lines_of(*LIFE), SourceKind.OPENDKIM)]
    theirs = [kind for kind, _ in digest_of(lines_of(*LIFE), SourceKind.POSTFIX)]
    assert ours == [SILENT] * 3 + [SIGNED] + [SILENT] * 4
    assert [kind == SILENT for kind in theirs] == [False] * 3 + [True] + [False] * 4


def test_what_journald_dropped_is_told_by_any_source() -> None:
    dropped = ("systemd-journald[1]", "Suppressed 9 messages from postfix@-.service")
    for kind in SourceKind:
        assert digest_of(lines_of(dropped), kind) == [(EVENT, "")]


def test_lines_without_a_time_or_a_message_are_left_to_the_grammar() -> None:
    lines = [
        "",
        "x",
        stamp(0),
        f"{stamp(0)} mail",
        f"{stamp(0)} mail postfix/qmgr[6]:",
        f"{ID}: removed",
        "Nov 24 02:51:29 mail",
    ]
    assert [kind for kind, _ in digest_of(lines)] == [SILENT] * len(lines)


@pytest.mark.parametrize(
    "text",
    [
        f'to=<"b, x"@example.net>, {OUTCOME}',
        f"to=<>, {OUTCOME}",
        f"to=<@example.net>, {OUTCOME}",
        f"to=<b@[192.0.2.1]>, {OUTCOME}",
        f"to=<b@example.net>, orig_to=<c@example.net>, {OUTCOME}",
        "to=<b@example.net>, relay=none, delay=1, delays=0/0/0/0, dsn=4.4.1, status=deferred (connection refused)",
        f"to=<b@example.net>, {OUTCOME.replace('delay=', 'conn_use=2, delay=')}",
        f"to=<b@example.net>, {OUTCOME.replace('delay=1.2', 'delay=1.2.3')}",
        f"to=<b@example.net>, {OUTCOME.replace('0.1/0/1/0.1', '.../')}",
        f"to=<b@example.net>, {OUTCOME.replace('status=sent', 'status=SOFTBOUNCE')}",
        f"to=<b@example.net>, {OUTCOME.removesuffix(')')}",
        f"to=<b@example.net>, {OUTCOME.replace('dsn=', 'tls=x, dsn=')}",
        f"to=<b@Example.NET.>, {OUTCOME}",
        f"to=<b@example.net>, {OUTCOME.replace('mx.example.net[', 'none[')}",
    ],
)
def test_attempts_with_rare_parts_are_attempts_all_the_same(text: str) -> None:
    message = ("postfix/out05/smtp[7]", f"{ID}: {text}")
    assert [kind for kind, _ in digest_of(lines_of(LIFE[1], message, message))] == [CLIENT, ATTEMPT, ATTEMPT]
    batch, single = both_ways(lines_of(*LIFE[:2], message, message))
    assert batch == single


@pytest.mark.parametrize(
    "text", ["to=<b@example.net>", "to=<b@example.net>, relay=x, status=sent (", "client=a b", "from=<a, b"]
)
def test_what_breaks_off_is_left_to_the_grammar(text: str) -> None:
    tags = ("postfix/out05/smtp[7]", "postfix/smtpd[3]", "postfix/qmgr[6]", "postfix/cleanup[4]", "opendkim[5]")
    lines = lines_of(LIFE[1], *[(tag, f"{ID}: {text}") for tag in tags * 2])
    assert [kind for kind, _ in digest_of(lines)] == [CLIENT] + [SILENT] * 10
    batch, single = both_ways(lines)
    assert batch == single


def test_a_client_that_is_known_makes_no_queue_id_of_another_word() -> None:
    warning = ("postfix/smtpd[3]", f"warning: {LIFE[1][1].partition(' ')[2]}")
    assert [kind for kind, _ in digest_of(lines_of(LIFE[1], warning))] == [CLIENT, SILENT]
    batch, single = both_ways(lines_of(LIFE[1], warning))
    assert batch == single


def test_an_address_probe_is_no_attempt_that_counts() -> None:
    probe = ("postfix/smtp[7]", f"{ID}: to=<b@example.net>, {OUTCOME.replace('status=sent', 'status=deliverable')}")
    assert digest_of(lines_of(probe)) == [(EVENT, "")]
    assert observer_counts(lines_of(probe)) == 0


def observer_counts(lines: list[str]) -> int:
    observer = observer_of()
    observer.count(POSTFIX_SOURCE, lines, math.inf)
    return observer.guard.attempts


@pytest.mark.parametrize("lines", [[], [""], lines_of(*LIFE)])
def test_a_digest_is_the_same_after_it_went_to_another_process(lines: list[str]) -> None:
    routes = AnyRoutes("news")
    made = Digester(SourceKind.BOTH, routes, Assessor(routes, Classifier(RuleSet((), ()))))(LineReader(), lines)
    there = pickle.loads(pickle.dumps(made))  # noqa: S301 (its own)
    assert repr(list(there.times)) == repr(made.times)
    assert (there.kinds, there.ids, there.more, there.lines, there.events) == (
        made.kinds, made.ids, made.more, made.lines, made.events,
    )  # fmt: skip


def test_words_are_no_queue_ids() -> None:
    assert [is_id(word) for word in ("warning:", "NOQUEUE:", f"{ID}:", ID, "4Xk:", "4" * 31 + ":", "", ":", "4Xk-2l1:")] == [
        False, False, True, False, False, False, False, False, False,
    ]  # fmt: skip


def test_caches_are_bounded_and_what_they_forget_is_told_again() -> None:
    routes = AnyRoutes("news")
    shapes = Shapes(SourceKind.BOTH, routes, Assessor(routes, Classifier(RuleSet((), ()))))
    reader = LineReader()
    for number in range(5000):
        tag, host = f"postfix/smtpd[{number}]:", f"192.0.2.{number}"
        assert shapes.tell(reader, tag, f"4Xk{number:07}:", f"client=a[{host}]", START, "mail") == CLIENT
        rest = f"DKIM-Signature field added (s=s{number}, d=example.org)"
        assert shapes.tell(reader, "opendkim[5]:", f"4Xk{number:07}:", rest, START, "mail") == SIGNED
    assert max(len(shapes.programs), len(shapes.signatures), len(reader.tags)) <= 4096
    for number in range(100_001):
        assert shapes.tell(reader, "opendkim[5]:", f"4Xk{number:07}:", LIFE[3][1][len(ID) + 2 :], START, "mail") == SIGNED
    assert len(shapes.live) <= 100_000
