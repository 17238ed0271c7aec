"""Stop rules, evidence, verdicts, halts and records: what is judged, on what grounds, and what followed."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct, field

from pwmtad.model.listmonk import ListmonkMemory
from pwmtad.model.names import Instant, OperatorName, ReplyClass, RuleId
from pwmtad.model.suppression import Sighting, SuppressionDeltas


class Scope(StrEnum):
    """What a stop rule halts."""

    STREAM = "stream"
    OPERATOR = "operator"
    """A stream's mail to one operator."""
    EGRESS = "egress"


class Effect(StrEnum):
    """What a stop rule that fires brings about."""

    HALT = "halt"
    FREEZE = "freeze"
    """No growth of pool and window until the hold is over."""
    ALERT = "alert"
    """A record and a finding; nothing is held."""


class StopRule(Struct, frozen=True):
    """So much evidence within so long a window -> an effect on a scope for a hold.

    An attempt is evidence if its operator is one of `operators` (empty: any known operator, never `other`), and its class is
    one of `classes` or its reply rule one of `reply_rules`. Each operator is counted by itself. The rule fires at `count`
    pieces of evidence to `distinct_recipients` different recipients within `window_s` (the newest piece included, a piece
    that is exactly `window_s` older not); with `share`, also only if they are more than this share of the operator's answers
    within the window, of which there must be `min_sample`.
    """

    id: RuleId
    title: str
    """A sentence without its subject, for people: `Gmail refuses mail as unsolicited`."""
    operators: tuple[OperatorName, ...]
    excluded_operators: tuple[OperatorName, ...]
    """Of the known operators, those that this rule leaves to another one."""
    classes: tuple[ReplyClass, ...]
    reply_rules: tuple[RuleId, ...]
    count: int
    distinct_recipients: int
    window_s: int
    share: float | None
    min_sample: int
    effect: Effect
    scope: Scope
    hold_s: int | None
    """None: until somebody releases it."""
    source: str
    where: str
    """File and line, for messages."""


class Evidence(Struct, frozen=True):
    """One attempt that speaks of us: kept for the longest window of any rule, and shown by `pwmtad explain`."""

    at: Instant
    stream: str
    egress: str
    operator: str
    reply_class: str
    rule: str
    """The reply rule that classified it."""
    queue_id: str
    recipient: str
    """A hash (16 hex digits of SHA-256): who it was is not needed to count different ones."""
    recipient_domain: str
    relay_host: str
    text: str
    """The reply, cleaned, at most 300 characters."""


class EvidenceLine(Struct, frozen=True):
    """What a record quotes: a moment and a sentence or a log line, cleaned and bounded."""

    at: Instant
    text: str


class HaltPhase(StrEnum):
    """`none` is the absence of a halt."""

    ACTIVE = "active"
    PROBING = "probing"
    """A handful of messages goes out to see whether it is over."""
    RECOVERING = "recovering"
    """The ladder counts again, from the effective day; a relapse now doubles the hold."""
    ENDED = "ended"


class Halt(Struct, frozen=True):
    """A latch: set by evidence or a person, ended only by a person or by its rule's own expiry with quiet evidence."""

    id: str
    stream: str
    scope: Scope
    subject: str
    """The operator or egress; for scope stream the stream."""
    rule: str
    reason: str
    """A sentence for people."""
    evidence: tuple[EvidenceLine, ...]
    started_at: Instant
    hold_s: int | None
    """As it applies to this halt, doubled by relapses; None: until released."""
    hold_until: Instant | None
    phase: HaltPhase
    phase_at: Instant
    """When the phase began."""
    last_evidence_at: Instant
    relapses: int = 0
    ended_at: Instant | None = None
    ended_by: str = ""
    """`expiry`, or who released it."""
    held_until_phase: Instant | None = None
    """When sending was first allowed again (probing began, or it was released): the end of the halted span, and the moment from
    which the rule's evidence counts anew."""
    probed: int = 0
    """Answered attempts of the subject since probing began, as far as the policy asks for them."""


class RecordKind(StrEnum):
    """What happened, as a record and as a line of `pwmtad replay --json`."""

    HALT = "halt"
    PHASE = "phase"
    RELEASE = "release"
    CAP = "cap"
    CAP_ENDED = "cap_ended"
    POOL = "pool"
    WINDOW = "window"
    FREEZE = "freeze"
    ALERT = "alert"
    SUPPRESS = "suppress"
    UNKNOWN = "unknown"
    KNOWN = "known"
    FINDING = "finding"
    EGRESS_OUT = "egress_out"
    """An egress can't be used: no address, no service. Not its reputation."""
    EGRESS_BACK = "egress_back"
    ADOPT = "adopt"
    """A pause that nobody here remembers was found, and stays."""
    ACTION = "action"
    """What was changed on the host."""
    ACTION_FAILED = "action_failed"
    DRIFT = "drift"
    """Somebody else had changed what we had set."""
    BACKLOG = "backlog"
    """Messages were put on hold, or let go again."""


class Record(Struct, frozen=True):
    """One decision: rule, grounds, before, after. Append-only."""

    at: Instant
    kind: RecordKind
    stream: str
    rule: str
    reason: str
    evidence: tuple[EvidenceLine, ...] = ()
    before: str = ""
    after: str = ""
    halt_id: str = ""
    ends_at: Instant | None = None
    subject: str = ""
    """Operator, egress or domain, where it is about one."""
    id: int = 0
    """Given by the store; 0 before."""


class StreamMemory(Struct):
    """What the judgement must remember of a stream besides counters and halts. Stored with every change."""

    warmup_start: Instant | None = None
    """The start that the rest belongs to: another one is a reset (day 0, fresh egresses)."""
    highest_day: int = 0
    """The warmup day never goes back, whatever the clock does."""
    pool_size: int = 0
    """The largest pool that was desired since the start: it only grows."""
    window_per_hour: int = 0
    """The window that was desired last; 0: none yet."""
    frozen_until: Instant = 0.0
    frozen_rule: str = ""
    capped_day: int = -1
    """The last UTC day whose ceiling was reached. It stays when the day is over: a clock that steps back opens nothing."""
    cap_standing: bool = False
    """Whether the end of that cap is still to be told."""
    halted_since: Instant | None = None
    """When the first of the halts of the whole stream that stand now began."""
    window_grown_at: Instant = 0.0
    pool_grown_at: Instant = 0.0
    halted_s: float = 0.0
    """Time spent halted in halts that ended, since the start."""
    step_back_days: int = 0
    """Sum of the step-backs of halts since the start."""
    unknown: tuple[str, ...] = ()
    """Codes of what is not known now."""
    told_until: dict[str, Instant] = field(default_factory=dict)
    """By freeze or alert: until when its record holds, so that a flood of evidence writes one record and not thousands."""
    ladder_window: int = 0
    """What the window ladder allowed at the last look; 0: none yet."""
    spike_since: Instant = 0.0
    """The spike rule counts from here on: a spike was released, or the ladder's window became smaller."""
    coverage_since: Instant = 0.0
    """Coverage counts from here on: a halt for unsigned mail was released."""


class JudgementState(Struct, frozen=True):
    """All that the store keeps for the judgement."""

    halts: tuple[Halt, ...] = ()
    """Those not ended, and those that ended within the last 30 days (relapses)."""
    memories: dict[str, StreamMemory] = field(default_factory=dict)
    evidence: tuple[Evidence, ...] = ()
    """Oldest first, within the longest window."""
    listmonk: dict[str, ListmonkMemory] = field(default_factory=dict)
    """By stream: what was done to its Listmonk."""
    counting: tuple[Sighting, ...] = ()
    """Recipients and domains that were not refused often enough yet to be suppressed, the one seen last at the end."""


class JudgementDeltas(Struct, frozen=True):
    """What changed since the last commit."""

    halts: tuple[Halt, ...] = ()
    memories: dict[str, StreamMemory] = field(default_factory=dict)
    evidence: tuple[Evidence, ...] = ()
    records: tuple[Record, ...] = ()
    listmonk: dict[str, ListmonkMemory] = field(default_factory=dict)
    suppressions: SuppressionDeltas = SuppressionDeltas()


class Desired(Struct, frozen=True):
    """What a stream should look like now."""

    stream: str
    day: int | None
    effective_day: int | None
    pool: tuple[str, ...]
    """Egresses that should be in rotation: never empty for a stream with a pool, always empty for one with fixed egresses."""
    window_per_hour: int
    """Never above the ladder of the effective day, never 0: no mail is `sending = False`."""
    sending: bool
    """False: halted, capped, or without an egress that can be used. Campaigns are paused, Postfix holds."""
    probe_limit: int | None
    """While probing: how many messages an hour may leave; None otherwise."""
    held_operators: tuple[str, ...] = ()
    """Operators halted on their own."""
    broken_egresses: tuple[str, ...] = ()
    growth: bool = True
    """False: frozen, unknown, halted or probing; pool and window may shrink, not grow."""
    reasons: tuple[str, ...] = ()
    held_by: str = ""
    """A name for what keeps the stream from sending, the id of a halt where it is one; '' while it sends."""


class ActionKind(StrEnum):
    """What a plan may do; the order is the order of execution."""

    HALT = "halt"
    SHRINK_POOL = "shrink_pool"
    LOWER_WINDOW = "lower_window"
    RELEASE = "release"
    RAISE_WINDOW = "raise_window"
    GROW_POOL = "grow_pool"


class Action(Struct, frozen=True):
    """A step that states a target, never a difference; carried out twice it is the same as once."""

    kind: ActionKind
    stream: str
    reason: str
    pool: tuple[str, ...] | None = None
    window_per_hour: int | None = None


class Actual(Struct, frozen=True):
    """What a stream looks like now, as read from Postfix and Listmonk (or as last recorded in observe mode)."""

    stream: str
    pool: tuple[str, ...]
    window_per_hour: int | None
    """None: not known, or no window is set at all."""
    sending: bool
