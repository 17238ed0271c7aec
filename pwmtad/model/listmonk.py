"""Listmonk: what it shows, what may be set, what is remembered of what was done to it.

A send window has no 0 and no 1: to Listmonk a rate of 0 is unlimited, and 1 lets two out (facts of v6.1, pipe.go:113-133).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

from msgspec import Struct
from typing_extensions import override

from pwmtad.model.names import Instant

MIN_RATE: Final = 2
MAX_RATE: Final = 1_000_000
MIN_DURATION_S: Final = 2
"""Listmonk takes a second or less for no window at all."""
MAX_DURATION_S: Final = 3600


class Version(NamedTuple):
    """`v5.1.0`."""

    major: int
    minor: int
    patch: int

    @override
    def __str__(self) -> str:
        return f"v{self.major}.{self.minor}.{self.patch}"


class Traits(Struct, frozen=True):
    """What a version does, as far as it matters to whoever controls it."""

    name: str
    """The version as Listmonk says it, cleaned."""
    known: bool
    """False: it says no version that is known here; what it shows decided, and doubt."""
    supported: bool
    """False: v2 and older, where nothing is done but pausing in a halt."""
    by_key: bool
    """One setting can be set by itself (v6.0 and later); before, all of them at once."""
    extra: int
    """Messages that a window lets out above its rate: 1 before v6.1."""
    first_counts: bool
    """Pausing a campaign before its first message skips or repeats recipients (v3.0 to v6.0)."""
    see_right: str
    """The permission to see every campaign; '' where there are none."""
    pause_right: str
    """The permission to change a campaign's status; '' where there are none."""
    scoped: bool
    """Besides, each campaign asks for `campaigns:manage_all`, or for its lists."""
    least_batch: int
    """Batches are not made smaller than this. In v3 a batch of nobody eligible ends the campaign (#1931)."""


class SendWindow(Struct, frozen=True):
    """What Listmonk calls its sliding window: so many messages, then silence until the duration is over."""

    rate: int
    duration_s: int

    def __post_init__(self) -> None:
        """Raise ValueError for what Listmonk would take for no limit."""
        if type(self.rate) is not int or not MIN_RATE <= self.rate <= MAX_RATE:
            raise ValueError(f"a send window's rate is {MIN_RATE} to {MAX_RATE}, not {self.rate!r}")
        if type(self.duration_s) is not int or not MIN_DURATION_S <= self.duration_s <= MAX_DURATION_S:
            raise ValueError(f"a send window's duration is {MIN_DURATION_S} to {MAX_DURATION_S} s, not {self.duration_s!r}")


class EngineSettings(Struct, frozen=True):
    """The four settings that decide how fast Listmonk sends, read as Listmonk reads them: what is wrong is no limit."""

    limited: bool
    rate: int
    duration_s: float
    """0.0 for a text that is no Go duration."""
    batch_size: int
    duration: str = ""
    """The text itself, cleaned."""


class CampaignStatus(StrEnum):
    """As Listmonk calls it. Others may come with later versions; they are kept as text."""

    DRAFT = "draft"
    RUNNING = "running"
    SCHEDULED = "scheduled"
    PAUSED = "paused"
    CANCELLED = "cancelled"
    FINISHED = "finished"


class Campaign(Struct, frozen=True):
    """One campaign, as the API shows it. Names are other people's text: cleaned and bounded."""

    id: int
    uuid: str
    name: str
    status: str
    updated_at: Instant
    """By Listmonk's clock."""
    send_at: Instant | None = None
    to_send: int = 0
    sent: int = 0
    """Written every 5 s by Listmonk."""
    messenger: str = ""


class ListmonkActual(Struct, frozen=True):
    """One look at an instance."""

    campaigns: tuple[Campaign, ...]
    """Running, paused and scheduled ones."""
    complete: bool
    """Whether these are all: False while the list changed under our hands."""
    traits: Traits | None = None
    """None: neither version nor settings could be read."""
    needs_restart: bool = False
    """Settings were stored that the running process does not work with."""
    root_url: str = ""
    engine: EngineSettings | None = None
    """As stored; None: the settings could not be read, `blind` says why. The running process may work with others."""
    blind: str = ""


class Holding(StrEnum):
    """What is known of a pause."""

    ASKED = "asked"
    """It is about to be asked for, or the answer was lost: if the campaign is paused, nobody knows by whom."""
    OURS = "ours"
    """Listmonk said that it was running, and paused it for us."""
    RELEASING = "releasing"
    """It is about to be resumed, or the answer was lost."""
    UNSURE = "unsure"
    """Paused, and not known whether by us: it is never resumed by us."""


class PausedCampaign(Struct, frozen=True):
    """A campaign that we paused, or that we can't tell of."""

    id: int
    uuid: str
    name: str
    holding: Holding
    asked_at: Instant
    """By our clock."""
    drain_s: float = 0.0
    """How long Listmonk may go on with what it had fetched, and change the campaign by itself."""
    first_at: Instant | None = None
    """`updated_at` when the pause was first seen; by Listmonk's clock."""
    last_at: Instant | None = None
    """The last `updated_at` that was Listmonk's own doing."""
    seen_at: Instant | None = None
    """When it was last seen paused with nobody else's doing on it, by our clock; kept while Listmonk may still change it."""


class Writing(Struct, frozen=True):
    """A change of the window under way. Any mixture of `before` and `window` is our own half-done work."""

    before: EngineSettings
    window: SendWindow
    batch_size: int
    per_hour: int


class HandWindow(Struct, frozen=True):
    """Settings that were found, or that a person changed."""

    engine: EngineSettings
    per_hour: int | None
    """Messages an hour that they mean, where that is less than what pwmtad would have set: it stays so. None: no such wish."""


class ListmonkMemory(Struct, frozen=True):
    """What must be remembered of an instance, stored with every change and before it is acted on. Empty: resume nothing."""

    root_url: str = ""
    """Of the instance that this is about; '' before the first look."""
    campaigns: tuple[PausedCampaign, ...] = ()
    window: SendWindow | None = None
    """What we set last and saw stored; None: never."""
    per_hour: int = 0
    """The ladder's value that it was set for."""
    hand: HandWindow | None = None
    """What somebody else had set last. None: nobody had."""
    writing: Writing | None = None
    """None: no change is under way."""


class Outcome(StrEnum):
    """What came of one request that changes something."""

    DONE = "done"
    NOT_SENT = "not_sent"
    """No connection: it never arrived."""
    REFUSED = "refused"
    """4xx: nothing was changed."""
    FORBIDDEN = "forbidden"
    """401, 403: token or permission."""
    UNSURE = "unsure"
    """No answer, 5xx or nonsense: it may have been carried out."""


class Changed(Struct, frozen=True):
    """The answer to a request that changes something."""

    outcome: Outcome
    text: str = ""
    """What failed, in words."""
    needs_restart: bool | None = None
    """Of a settings change: False: the process restarts by itself within a second; True: it still has campaigns in work."""


class Trouble(StrEnum):
    """Why an instance can't be read."""

    UNREACHABLE = "unreachable"
    """No connection, no answer in time, 5xx."""
    FORBIDDEN = "forbidden"
    NONSENSE = "nonsense"
    """An answer that is not Listmonk's."""
    CREDENTIALS = "credentials"
    """The token's file can't be read."""


class Failure(Struct, frozen=True):
    """A look that failed."""

    trouble: Trouble
    text: str


class Rights(Struct, frozen=True):
    """What the API user may do."""

    missing: tuple[str, ...] = ()
    """Permissions, as Listmonk calls them."""


class ListmonkTarget(Struct, frozen=True):
    """What an instance should do now."""

    sending: bool
    per_hour: int
    may_grow: bool
    reasons: tuple[str, ...] = ()
    """Why it does not send, in words."""
    room_today: int | None = None
    """Messages that the day's ceiling leaves; None: not known."""
