"""Values for tests of the judgement: streams, stop rules, attempts, and a store that is a few dictionaries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import msgspec

from pwmtad.config import Settings, load_settings
from pwmtad.core.assess import Assessed, Meaning
from pwmtad.core.correlate import Classified
from pwmtad.core.guard import Guard
from pwmtad.core.halts import ReturnPolicy
from pwmtad.core.policy import Context, Policy
from pwmtad.core.tally import Column, MessageColumn
from pwmtad.core.text import domain_of
from pwmtad.model.counters import MINUTE_S, AttemptBucket, AttemptCounts, AttemptKey, MessageBucket, MessageCounts
from pwmtad.model.judgement import (
    Effect,
    Evidence,
    Halt,
    JudgementDeltas,
    JudgementState,
    Record,
    RecordKind,
    Scope,
    StopRule,
    StreamMemory,
)
from pwmtad.model.ledger import Ledger
from pwmtad.model.listmonk import ListmonkMemory
from pwmtad.model.names import Instant, OperatorName, ReplyClass, RuleId
from tests.tools.counts import series_of

START: Instant = datetime(2026, 6, 2, tzinfo=UTC).timestamp()
"""Warmup day 0 begins."""
HOUR = 3600
DAY = 86400
EGRESSES = tuple(f"out{number:02}" for number in range(5, 25))

_STREAMS = """
[streams.trucking]
egresses = [{egresses}]
pool = true
ceiling_per_day = {ceiling}
excluded_operators = ["yahoo"]
{more}
warmup.start = 2026-06-02T00:00:00Z
[streams.healthcare]
egresses = ["hc1", "hc2"]
warmup.start = 2026-06-02T00:00:00Z
{dkim}
"""


def settings_of(*, egresses: Sequence[str] = EGRESSES, ceiling: int = 4000, more: str = "", dkim: str = "") -> Settings:
    """Return two streams: trucking with the pool, healthcare with two fixed egresses."""
    names = ", ".join(f'"{name}"' for name in egresses)
    text = _STREAMS.format(egresses=names, ceiling=ceiling, more=more, dkim=dkim)
    settings = load_settings(text.encode(), file="pwmtad.toml")
    assert isinstance(settings, Settings), settings
    return settings


def rule(
    name: str = "google-blocks",
    *,
    operators: Sequence[str] = ("google",),
    excluded: Sequence[str] = (),
    classes: Sequence[ReplyClass] = (ReplyClass.REPUTATION,),
    reply_rules: Sequence[str] = (),
    count: int = 3,
    distinct: int | None = None,
    window_s: int = HOUR,
    share: float | None = None,
    min_sample: int = 0,
    effect: Effect = Effect.HALT,
    scope: Scope = Scope.STREAM,
    hold_s: int | None = 72 * HOUR,
) -> StopRule:
    """Return a stop rule; by default the shipped one for Gmail."""
    return StopRule(
        id=RuleId(name),
        title=f"{name} says no",
        operators=tuple(OperatorName(item) for item in operators),
        excluded_operators=tuple(OperatorName(item) for item in excluded),
        classes=tuple(classes),
        reply_rules=tuple(RuleId(item) for item in reply_rules),
        count=count,
        distinct_recipients=count if distinct is None else distinct,
        window_s=window_s,
        share=share,
        min_sample=min_sample,
        effect=effect,
        scope=scope,
        hold_s=hold_s,
        source="a test",
        where="a test",
    )


def attempt(
    at: Instant | None = None,
    *,
    recipient: str = "alice@example.com",
    stream: str = "trucking",
    egress: str = "out05",
    operator: str = "google",
    reply_class: ReplyClass | None = None,
    reply_rule: str = "",
    relay: str | None = "gmail-smtp-in.l.google.com",
    column: Column = Column.FIRST,
    text: str = "host mx.example[192.0.2.1] said: 550-5.7.1 likely unsolicited mail",
) -> Classified:
    """Return an attempt as the correlator hands it out; without a class it was sent. Its time is its taker's business."""
    del at
    line = Assessed(
        queue_id="4XkJ2l1zq9z1",
        recipient=recipient,
        domain=domain_of(recipient),
        relay_host=relay,
        delay=0.5,
        delays="0.1/0/0.2/0.2",
        enhanced_status="5.7.1",
        status="sent" if reply_class is None else "bounced",
        text=text,
        egress=egress,
        stream=stream,
        key=None,
        meaning=Meaning(reply_class, RuleId(reply_rule) if reply_rule else None, None),
    )
    return Classified(
        line,
        stream,
        egress,
        OperatorName(operator),
        reply_class,
        RuleId(reply_rule) if reply_rule else None,
        column,
        domain_of(recipient),
    )


def block(at: Instant, number: int, *, operator: str = "google", stream: str = "trucking", egress: str = "out05") -> Classified:
    """Return a refusal for reputation to recipient `number`; a retry, so that it is evidence and no volume."""
    return attempt(
        at,
        recipient=f"r{number}@example.com",
        operator=operator,
        stream=stream,
        egress=egress,
        reply_class=ReplyClass.REPUTATION,
        reply_rule="google-unsolicited",
        column=Column.RETRIES,
    )


class Run:
    """A guard that is fed and looked at, with a store beside it that a restart reads."""

    def __init__(
        self,
        *rules: StopRule,
        settings: Settings | None = None,
        returning: ReturnPolicy | None = None,
        excluded_domains: dict[str, frozenset[str]] | None = None,
        milter_accepts: bool | None = None,
        start: Instant | None = START,
    ) -> None:
        self.policy = Policy(
            settings=settings if settings is not None else settings_of(),
            stop_rules=tuple(rules),
            returning=returning if returning is not None else ReturnPolicy(),
            excluded_domains=excluded_domains if excluded_domains is not None else {},
            milter_accepts=milter_accepts,
        )
        self.starts = {} if start is None else dict.fromkeys(map(str, self.policy.settings.streams), start)
        self.unknown: dict[str, str] = {}
        self.unverified: dict[str, int] = {}
        self.guard = Guard(self.policy)
        self.store = Shelf()
        self.records: list[Record] = []

    def see(self, counted: Classified, at: Instant) -> None:
        """Count an attempt, as the tally does, and judge it."""
        self.store.count(counted, at)
        self.guard.see(counted, at)
        self._gather()

    def message(self, at: Instant, column: MessageColumn, count: int = 1, *, stream: str = "trucking") -> None:
        """Count what the signature of a message that was queued `at` was judged to be."""
        self.store.sign(int(at // MINUTE_S), stream, column, count)
        self.guard.message(int(at // MINUTE_S), stream, column, count)

    def look(self, now: Instant) -> None:
        """Look at all levels."""
        self.guard.look(Context(self.starts, self.unknown, self.unverified), now)
        self._gather()

    def commit(self) -> None:
        """Make everything durable that happened until now."""
        self.store.commit(self.guard.take_deltas())

    def restart(self, now: Instant) -> None:
        """Begin anew with what was committed."""
        self.guard = Guard(self.policy, self.store.state())
        self.store.roll_back()
        self.guard.load_counts(self.store.ledger(), now)

    def kinds(self, *kinds: RecordKind) -> list[Record]:
        """Return the records of these kinds so far."""
        return [record for record in self.records if record.kind in kinds]

    def halts(self, stream: str = "trucking") -> list[Halt]:
        """Return the halts of a stream that are not ended."""
        return [halt for halt in self.guard.streams[stream].halts.values() if halt.ended_at is None]

    @property
    def memory(self) -> StreamMemory:
        """What is remembered of the stream with the pool."""
        return self.guard.streams["trucking"].memory

    def _gather(self) -> None:
        self.records += self.guard.take_news()


class Shelf:
    """What a store keeps for the judgement. Everything is copied as JSON, as a store does."""

    def __init__(self) -> None:
        self._halts: dict[str, Halt] = {}
        self._memories: dict[str, StreamMemory] = {}
        self._listmonk: dict[str, ListmonkMemory] = {}
        self._evidence: list[Evidence] = []
        self._attempts: dict[tuple[int, AttemptKey], list[int]] = {}
        self._messages: dict[tuple[int, str], list[int]] = {}
        self._saved: tuple[dict[tuple[int, AttemptKey], list[int]], dict[tuple[int, str], list[int]]] = ({}, {})
        self.records: list[Record] = []

    def count(self, counted: Classified, at: Instant) -> None:
        """Add to the minute's counts."""
        reply_class = counted.reply_class.value if counted.reply_class is not None else ""
        key = AttemptKey(counted.stream, counted.egress, counted.operator, counted.attempt.status, reply_class)
        self._attempts.setdefault((int(at // MINUTE_S), key), [0, 0, 0])[counted.column] += 1

    def sign(self, minute: int, stream: str, column: MessageColumn, count: int) -> None:
        """Add to the minute's counts."""
        self._messages.setdefault((minute, stream), [0, 0, 0, 0])[column] += count

    def commit(self, deltas: JudgementDeltas) -> None:
        """Keep what changed, and the counts until now."""
        deltas = msgspec.json.decode(msgspec.json.encode(deltas), type=JudgementDeltas)
        self._halts |= {halt.id: halt for halt in deltas.halts}
        self._memories |= deltas.memories
        self._listmonk |= deltas.listmonk
        self._evidence += deltas.evidence
        self.records += deltas.records
        self._saved = (
            {key: list(cell) for key, cell in self._attempts.items()},
            {key: list(cell) for key, cell in self._messages.items()},
        )

    def roll_back(self) -> None:
        """Forget the counts since the last commit."""
        self._attempts = {key: list(cell) for key, cell in self._saved[0].items()}
        self._messages = {key: list(cell) for key, cell in self._saved[1].items()}

    def state(self) -> JudgementState:
        """Return what a start reads."""
        state = JudgementState(tuple(self._halts.values()), self._memories, tuple(self._evidence), self._listmonk)
        return msgspec.json.decode(msgspec.json.encode(state), type=JudgementState)

    def ledger(self) -> Ledger:
        """Return the counts that a start reads."""
        return ledger_of(
            (
                AttemptBucket(MINUTE_S, minute * MINUTE_S, key, AttemptCounts(*cell))
                for (minute, key), cell in self._attempts.items()
            ),
            (
                MessageBucket(MINUTE_S, minute * MINUTE_S, stream, MessageCounts(*cell))
                for (minute, stream), cell in self._messages.items()
            ),
        )


def ledger_of(attempts: Iterable[AttemptBucket] = (), messages: Iterable[MessageBucket] = ()) -> Ledger:
    """Return a ledger with counts and nothing else."""
    return Ledger({}, series_of(attempts), list(messages), [], [], {}, [], {}, [], {})
