"""The tables of the file and their keys. `load_settings` is the only way from a file to them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, tzinfo
from functools import cached_property
from types import MappingProxyType
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field

from pwmtad.config.fields import (
    AbsolutePath,
    EgressKey,
    ListenText,
    OpendkimLogText,
    PathList,
    PostfixLogText,
    Section,
    SocketPath,
    StoreUrlText,
    StreamKey,
    ZoneName,
    read_only,
)
from pwmtad.config.listmonk import ListmonkSettings
from pwmtad.config.streams import EgressSettings, StreamSettings
from pwmtad.config.values import FileLog, JournalLog, ListenAddress, SqliteUrl
from pwmtad.model.names import NO_STREAM, EgressName, StreamName
from pwmtad.model.postfix import Clone


class LogSettings(Section):
    """Where the logs are."""

    postfix: PostfixLogText = Field(
        default=FileLog("/var/log/mail.log"),
        description="Postfix's log. On a host without rsyslog it is only in the journal; its unit is "
        "`postfix@-.service` on Debian 12.",
    )
    opendkim: OpendkimLogText = Field(
        default=JournalLog("opendkim.service"),
        description="OpenDKIM's log. It writes to mail.log and to the journal: each line must be read from one of them "
        "only. `mail.log` takes its lines from `postfix`; `none` leaves DKIM coverage unknown.",
    )
    timezone: ZoneName = Field(
        default="UTC",
        description="Zone of traditional timestamps (`Nov 24 02:51:29`), which are local time and do not say so. "
        "RFC 3339 timestamps bring their own.",
    )
    start_at: Literal["beginning", "end"] = Field(
        default="beginning",
        description="Where to begin reading when there is no checkpoint yet.",
    )
    max_line_bytes: int = Field(
        default=65536,
        ge=4096,
        le=1_048_576,
        description="A longer line is cut and counted. Own choice: 8 times rsyslog's default maxMessageSize.",
    )

    @cached_property
    def zone(self) -> tzinfo:
        """`timezone` as a tzinfo."""
        return UTC if self.timezone == "UTC" else ZoneInfo(self.timezone)


class StoreSettings(Section):
    """Where counters, checkpoints and halts are kept, and for how long."""

    url: StoreUrlText = Field(
        default=SqliteUrl("/var/lib/pwmtad/pwmtad.db"),
        description="SQLite needs no set-up. PostgreSQL is how several hosts share ceilings and halts. Never holds a password.",
    )
    password_file: AbsolutePath | None = Field(
        default=None,
        description="File that holds PostgreSQL's password and nothing else; a systemd credential is at "
        "`/run/credentials/pwmtad.service/NAME`.",
    )
    commit_interval_s: float = Field(
        default=1.0,
        ge=0.1,
        le=60,
        allow_inf_nan=False,
        description="Seconds between commits. Own choice: after `kill -9` at most this much log is read again; none of "
        "it is counted twice.",
    )
    keep_minutes_h: int = Field(
        default=48,
        ge=24,
        le=8760,
        description="Hours after which minute counts are added up to hours. Own choice: two days, so that today can be "
        "laid beside yesterday.",
    )
    keep_hours_d: int = Field(
        default=90,
        ge=2,
        le=3650,
        description="Days after which hourly counts are added up to days. Own choice: three times a warmup of 25 days.",
    )


class HttpSettings(Section):
    """Metrics, health and state over HTTP; the command line's socket."""

    listen: ListenText = Field(
        default=ListenAddress("127.0.0.1", 9850),
        description="Where `/metrics`, `/healthz`, `/readyz` and `/api/v1/state` are served. Unencrypted, for this host.",
    )
    allow_remote: bool = Field(
        default=False,
        description="Must be true for a `listen` that other hosts can reach.",
    )
    socket: SocketPath = Field(
        default="/run/pwmtad/pwmtad.sock",
        description="Unix socket of the command line; who may write to it may change things.",
    )


class PostfixSettings(Section):
    """The Postfix instance that is watched."""

    config_directory: AbsolutePath = Field(
        default="/etc/postfix",
        description="Its `config_directory`; passed on as `-c` to every Postfix command (multi-instance hosts, Docker).",
    )
    queue_directory: AbsolutePath = Field(
        default="/var/spool/postfix",
        description="Its `queue_directory`; where the size of the queue is counted.",
    )
    read_master_cf: bool = Field(
        default=True,
        description="Whether egresses are read from master.cf. false where there is no Postfix: then `[egresses.NAME]` "
        "must describe them.",
    )
    helper_socket: SocketPath = Field(
        default="/run/pwmtad-helper/helper.sock",
        description='Socket of the root helper that carries out what is decided (`mode = "enforce"`). docs/helper.md.',
    )
    write_interval_s: int = Field(
        default=60,
        ge=1,
        le=3600,
        description="Least seconds between two changes of main.cf that make nothing less: a reload lets Postfix forget which "
        "sites are throttled. What halts, shrinks or lowers never waits.",
    )


class RulesSettings(Section):
    """Rules of your own, besides those that are shipped."""

    files: PathList = Field(
        default=(),
        description="Rules files with operators and reply rules, read in this order after the shipped ones.",
    )
    stop_files: PathList = Field(
        default=(),
        description="Stop rules files, read in this order after the shipped one; a rule of the same id overrides it.",
    )


class DkimSettings(Section):
    """When campaign mail without a DKIM signature is too much."""

    grace_s: int = Field(
        default=30,
        ge=1,
        le=600,
        description="Seconds that a message's `DKIM-Signature field added` line may come after qmgr took the message: "
        "mail.log and journal have no common order. Own choice.",
    )
    min_unsigned: int = Field(
        default=10,
        ge=1,
        le=1_000_000,
        description="Fewer unsigned messages than this never decide. Own choice: ten messages into an incident that "
        "took 17 days to be seen (runbook).",
    )
    max_unsigned_share: float = Field(
        default=0.05,
        ge=0,
        lt=1,
        allow_inf_nan=False,
        description="Share of unsigned messages, of those judged, that is still borne. Own choice: above restarts of the "
        "milter, far below an injector that is not signed for.",
    )
    lookback_s: int = Field(
        default=3600,
        ge=60,
        le=604_800,
        description="Seconds over which both are counted. Own choice: the hour of the send window.",
    )
    unverified_limit: int = Field(
        default=100,
        ge=1,
        le=1_000_000,
        description="Messages that may leave while OpenDKIM's log can't be read. Own choice: ten times `min_unsigned`.",
    )


class SuppressionSettings(Section):
    """When a recipient is not to be mailed any more. How Listmonk is told: `streams.NAME.listmonk.suppress`."""

    keep: bool = Field(
        default=True,
        description="Whether recipients who bounce are kept, with the line that proved it: personal data, in the store alone. "
        "false: nothing is suppressed, and nothing new is stored. docs/suppressions.md.",
    )
    hard_bounce_sample: int = Field(
        default=100,
        ge=20,
        le=100_000,
        description="Whether an operator's hard bounces are believed is decided by what its newest attempts of the last 24 "
        "hours came to in the stream: so many. Own choice: one in error is found out after half as many, "
        "however little is sent.",
    )
    hard_bounce_ratio: float = Field(
        default=0.5,
        ge=0.1,
        le=1.0,
        description="The part of `hard_bounce_sample` above which hard bounces are held back: Listmonk is not told of them, "
        "until the same recipient bounces on another day, when there are fewer. 1 believes everything. Own choice: an "
        "operator that knows less than half of a list is more likely in error than right. (Gmail answered 5.1.1 for existing "
        "users for 6 h 41 min on 2020-12-14 and 15, https://www.google.com/appsstatus.)",
    )
    mailbox_full_after: int = Field(
        default=3,
        ge=1,
        le=100,
        description="A full mailbox is suppressed when messages of so many different days (UTC) found it full, and none was "
        "taken in between. Own choice: one or two may be a holiday; who is mailed weekly has had two weeks.",
    )
    dead_domain_after: int = Field(
        default=3,
        ge=2,
        le=100,
        description="A domain that takes no mail is suppressed when attempts to so many different recipients met that, and "
        "none was taken in between; a recipient who is alone there, after so many days. Own choice: one may be a DNS hiccup.",
    )
    max_domain_subscribers: int = Field(
        default=100,
        ge=1,
        le=1_000_000,
        description="A dead domain with more subscribers than this is left to a person. Own choice: who has so many readers at "
        "one domain should look before they are gone; a dead tenant has a handful.",
    )


class LimitSettings(Section):
    """Bounds of memory. Remote sites and clients choose what fills these tables."""

    max_open_messages: int = Field(
        default=100_000,
        ge=1000,
        le=10_000_000,
        description="Queue ids remembered between first line and `removed`; the oldest goes first. Own choice: five "
        "times qmgr_message_active_limit's default (20,000).",
    )
    max_domains: int = Field(
        default=10_000,
        ge=100,
        le=1_000_000,
        description="Recipient domains whose operator is remembered for lines without a relay; the one seen longest ago "
        "goes first. Own choice.",
    )
    max_reasons_per_day: int = Field(
        default=500,
        ge=10,
        le=100_000,
        description="Different deferral and bounce reasons kept a day; the rest is counted as one. Own choice.",
    )


class Settings(Section):
    """Everything. `Settings()` is what an empty file means: no streams, nothing held, all counted."""

    mode: Literal["observe", "enforce"] = Field(
        default="observe",
        description="`observe` decides and records, and changes nothing; `enforce` acts as well.",
    )
    log: LogSettings = Field(default_factory=LogSettings, description="Where the logs are.")
    store: StoreSettings = Field(default_factory=StoreSettings, description="Durable counters.")
    http: HttpSettings = Field(default_factory=HttpSettings, description="HTTP and the command line's socket.")
    postfix: PostfixSettings = Field(default_factory=PostfixSettings, description="The Postfix instance.")
    rules: RulesSettings = Field(default_factory=RulesSettings, description="Rules of your own.")
    dkim: DkimSettings = Field(default_factory=DkimSettings, description="DKIM coverage.")
    suppression: SuppressionSettings = Field(
        default_factory=SuppressionSettings, description="Recipients who are not to be mailed."
    )
    limits: LimitSettings = Field(default_factory=LimitSettings, description="Bounds of memory.")
    streams: Annotated[Mapping[StreamKey, StreamSettings], AfterValidator(read_only)] = Field(
        default_factory=lambda: MappingProxyType({}), description="Mail flows by name."
    )
    egresses: Annotated[Mapping[EgressKey, EgressSettings], AfterValidator(read_only)] = Field(
        default_factory=lambda: MappingProxyType({}), description="Egresses by name, where there is no Postfix."
    )

    @cached_property
    def _stream_by_egress(self) -> Mapping[str, StreamName]:
        return read_only({egress: name for name, stream in self.streams.items() for egress in stream.egresses})

    def stream_of_egress(self, name: str) -> StreamName:
        """Return the stream that lists the egress (retired or not); NO_STREAM if none does."""
        return self._stream_by_egress.get(name, NO_STREAM)

    def listmonk_of(self, name: StreamName) -> ListmonkSettings:
        """Return the stream's Listmonk. Raises LookupError: whoever asks runs only where there is one."""
        found = self.streams[name].listmonk
        if found is None:
            raise LookupError(f"stream {name} has no listmonk table")
        return found

    @property
    def pool_stream(self) -> StreamName | None:
        """The one stream that owns the randmap pool."""
        return next((name for name, stream in self.streams.items() if stream.pool), None)

    @property
    def clones(self) -> tuple[Clone, ...] | None:
        """The `[egresses]` tables as master.cf would have shown them; None if the file has none."""
        if not self.egresses:
            return None
        return tuple(egress.clone(EgressName(name)) for name, egress in self.egresses.items())
