"""Suppressions: who is not to be mailed any more, on what grounds, and what became of telling Listmonk.

Recipients are personal data. They are stored because nothing else can keep mail from them; logs, records and metrics have no
more of them than domains and numbers.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, NamedTuple

from msgspec import Meta, Struct, field

from pwmtad.model.names import Instant, ReplyClass

MANUAL: Final = "manual"
"""In the place of a class: a person said so."""
MAX_SUBJECTS: Final = 200
"""Addresses and domains of one request: they fit the 16 KiB that a request may have, unless all are of the greatest length."""
MAX_PAGE: Final = 1000


class SubjectKind(StrEnum):
    """What is suppressed."""

    ADDRESS = "address"
    DOMAIN = "domain"


class SuppressionKey(NamedTuple):
    """One suppression, or one that is being counted. Told to the stream's Listmonk once."""

    stream: str
    kind: str
    subject: str
    """An address or a domain, as core/subjects writes it: lower case."""
    reply_class: str
    """A `ReplyClass`, or MANUAL."""


class Grounds(Struct, frozen=True):
    """The attempt that proved it; the texts are cleaned and bounded."""

    queue_id: str = ""
    egress: str = ""
    operator: str = ""
    relay_host: str = ""
    rule: str = ""
    reply: str = ""
    """What the receiver said; of a person's suppression the reason."""


class Sighting(Struct, frozen=True):
    """What was seen of one key since the last commit. In the store counts are added, times widened, the rest is the newest."""

    key: SuppressionKey
    count: int
    """Attempts that counted."""
    first_at: Instant
    last_at: Instant
    suppressed_at: Instant | None
    """None: not often enough yet. Once set it stays."""
    seen: tuple[str, ...] = ()
    """What was counted: days since the epoch, or hashes of recipients; each counts once."""
    by: str = ""
    """The person who said so; '' for a rule."""
    grounds: Grounds = Grounds()


class ReportState(StrEnum):
    """How far Listmonk was told."""

    UNTOLD = "untold"
    SENT = "sent"
    """It took the report, which says nothing: a 200 means queued."""
    VERIFIED = "verified"
    """Read back: whom it is about is not mailed any more."""
    UNKNOWN = "unknown"
    """It knows no such subscriber."""
    LEFT = "left"
    """A person has to decide; `problem` says why."""
    FAILED = "failed"
    """It was told, and the subscriber is mailed all the same."""


class Way(StrEnum):
    """How Listmonk is told."""

    WEBHOOK = "webhook"
    BLOCKLIST = "blocklist"


class Report(Struct, frozen=True):
    """What became of telling Listmonk."""

    state: ReportState = ReportState.UNTOLD
    at: Instant | None = None
    """When it was told, or looked at, last."""
    tries: int = 0
    """Looks since it was told."""
    way: str = ""
    """A `Way`, '' before."""
    verified_at: Instant | None = None
    subscribers: int = 0
    """Of a domain: how many it was about."""
    problem: str = ""


class Mark(Struct, frozen=True):
    """What to note of a report that was made. It counts only up to `seen_at`: what was seen since is due again."""

    key: SuppressionKey
    seen_at: Instant
    """`last_at` of the row that was told."""
    report: Report
    due_at: Instant | None
    """When to look again; None: when something is seen again."""


class Suppression(Struct, frozen=True):
    """One row of the store."""

    key: SuppressionKey
    count: int
    first_at: Instant
    last_at: Instant
    suppressed_at: Instant | None
    by: str
    grounds: Grounds
    report: Report
    due_at: Instant | None


class SuppressionCount(Struct, frozen=True):
    """Rows of one kind, for metrics and the report."""

    stream: str
    kind: str
    reply_class: str
    state: str
    """A `ReportState`, `counting` or `held_back`."""
    rows: int


COUNTING: Final = "counting"
HELD_BACK: Final = "held_back"
"""A hard bounce of an operator that was not believed, which waits for another day's."""


def shown_state(reply_class: str, state: str) -> str:
    """Return a row's state as people see it: nothing counts hard bounces, so one that is counted is held back."""
    return HELD_BACK if state == COUNTING and reply_class == ReplyClass.HARD_BOUNCE.value else state


class ShownSuppression(Struct, frozen=True):
    """One row as people and scripts see it."""

    stream: str
    kind: str
    subject: str
    reply_class: str
    count: int
    first_at: Instant
    last_at: Instant
    suppressed_at: Instant | None
    """None: not seen often enough yet."""
    by: str
    operator: str
    rule: str
    queue_id: str
    egress: str
    relay_host: str
    reply: str
    state: str
    way: str
    told_at: Instant | None
    verified_at: Instant | None
    subscribers: int
    problem: str

    @classmethod
    def of(cls, row: Suppression) -> ShownSuppression:
        """Return a row of the store as it is shown."""
        stream, kind, subject, reply_class = row.key
        grounds, report = row.grounds, row.report
        return cls(
            stream=stream,
            kind=kind,
            subject=subject,
            reply_class=reply_class,
            count=row.count,
            first_at=row.first_at,
            last_at=row.last_at,
            suppressed_at=row.suppressed_at,
            by=row.by,
            operator=grounds.operator,
            rule=grounds.rule,
            queue_id=grounds.queue_id,
            egress=grounds.egress,
            relay_host=grounds.relay_host,
            reply=grounds.reply,
            state=shown_state(reply_class, report.state.value if row.suppressed_at is not None else COUNTING),
            way=report.way,
            told_at=report.at,
            verified_at=report.verified_at,
            subscribers=report.subscribers,
            problem=report.problem,
        )

    @property
    def place(self) -> tuple[str, str, str, str]:
        """Where the next page goes on."""
        return self.kind, self.subject, self.stream, self.reply_class


class SuppressionQuery(Struct, frozen=True):
    """Which rows to hand out, in the order of (kind, subject, stream, class); None: any."""

    stream: str | None = None
    kind: SubjectKind | None = None
    subject: str | None = None
    """Exactly this one."""
    domain: str | None = None
    """Addresses of this domain, and the domain itself."""
    reply_class: str | None = None
    counting: bool = False
    """Also those that were not seen often enough yet."""
    after: tuple[str, str, str, str] | None = None
    """(kind, subject, stream, class) of the last row of the page before."""
    limit: Annotated[int, Meta(ge=1, le=MAX_PAGE)] = MAX_PAGE


class SuppressionDeltas(Struct, frozen=True):
    """What changed since the last commit, to be applied in this order."""

    removed: tuple[SuppressionKey, ...] = ()
    """By a person."""
    reset: tuple[SuppressionKey, ...] = ()
    """Mail was taken: counting begins anew, but what is suppressed stays."""
    sightings: tuple[Sighting, ...] = ()
    marks: tuple[Mark, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Nothing changed."""
        return not (self.removed or self.reset or self.sightings or self.marks)


_Name = Annotated[str, Meta(min_length=1, max_length=200)]
_Subjects = Annotated[
    tuple[Annotated[str, Meta(min_length=1, max_length=330)], ...], Meta(min_length=1, max_length=MAX_SUBJECTS)
]


class SuppressRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Suppress addresses (`reader@example.org`) and domains (`@example.org`). `stream` None: in every stream."""

    subjects: _Subjects
    by: _Name
    why: Annotated[str, Meta(min_length=1, max_length=200)]
    stream: _Name | None = None


class UnsuppressRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Forget suppressions. `stream` None: of every stream."""

    subjects: _Subjects
    by: _Name
    stream: _Name | None = None


class SuppressAnswer(Struct, frozen=True):
    """What came of it, in words; `stored` is False while the store fails: then it holds in memory only."""

    changed: int
    """Subjects that were added or removed."""
    unchanged: tuple[str, ...]
    """Subjects for which there was nothing to do."""
    text: str
    stored: bool = True


class SuppressionActing(Struct, frozen=True):
    """One stream's suppressions as people and Prometheus see them; counts of acts since the process started."""

    stream: str
    way: str = ""
    """How its Listmonk is told; '' if it is not."""
    waiting: int | None = None
    """Rows that are due now; None: not known."""
    reported: int = 0
    """Reports that were made."""
    verified: int = 0
    failures: int = 0
    """Looks and reports that failed."""
    problem: str = ""
    counts: tuple[SuppressionCount, ...] = field(default=())
