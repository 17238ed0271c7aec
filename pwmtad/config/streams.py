"""Streams, their warmup, and egresses that are not read from master.cf."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AwareDatetime, Field

from pwmtad.config.families import FAMILIES
from pwmtad.config.fields import (
    AbsolutePath,
    BindAddress,
    Domains,
    EgressKey,
    EgressNames,
    HostName,
    LadderTable,
    Networks,
    OperatorNames,
    Section,
    Senders,
    Services,
    SyslogName,
)
from pwmtad.config.listmonk import ListmonkSettings
from pwmtad.config.readers import Words
from pwmtad.config.values import Ladder
from pwmtad.model.names import EgressName, Instant
from pwmtad.model.postfix import Clone

# The user's own ramps, kept by two cron jobs before (runbook).
DEFAULT_POOL_LADDER: Final = Ladder(((0, 3), (4, 5), (8, 8), (12, 12), (18, 16), (25, 19)))
DEFAULT_WINDOW_LADDER: Final = Ladder(((0, 50), (2, 150), (4, 250), (7, 300)))


class WarmupSettings(Section):
    """Where the ladders begin, and their rungs. One of `start` and `start_file` is given, never both."""

    start: AwareDatetime | None = Field(
        default=None,
        description="Moment of warmup day 0. Days are counted in whole 24 hours from it, whatever the time zone.",
    )
    start_file: AbsolutePath | None = Field(
        default=None,
        description="File that holds the moment of day 0 as epoch seconds, as the runbook's stamp file does. "
        "Read at start and at reload.",
    )
    pool_ladder: LadderTable = Field(
        default=DEFAULT_POOL_LADDER,
        description="Egresses in rotation from each warmup day on; only for the stream with the pool. It never shrinks. "
        "The default is the runbook's, cut to the egresses that the stream has.",
    )
    window_ladder_per_hour: LadderTable = Field(
        default=DEFAULT_WINDOW_LADDER,
        description="Messages an hour from each warmup day on. Never 0: to Listmonk that means unlimited. "
        "The default is the runbook's.",
    )

    @property
    def start_at(self) -> Instant | None:
        """`start` as an instant; None where a file holds it."""
        return None if self.start is None else self.start.timestamp()


class StreamSettings(Section):
    """One mail flow. Everything that leaves through its egresses is its traffic."""

    egresses: Annotated[EgressNames, Words("an array of at least one egress, such as ['out05', 'out06']")] = Field(
        min_length=1,
        description="All egresses of the stream, in the order in which the pool takes them: clones of master.cf, each "
        "with a syslog_name of its own.",
    )
    retired: EgressNames = Field(
        default=(),
        description="Those of `egresses` that never return to the pool. What still leaves through them stays the "
        "stream's traffic. Burned addresses belong here (runbook: three after the blast of May 2026).",
    )
    pool: bool = Field(
        default=False,
        description="Whether the egresses are the randmap pool that Postfix draws from. At most one stream of a host: "
        "Postfix has one default route.",
    )
    ceiling_per_day: int = Field(
        default=4000,
        ge=1,
        le=10_000_000,
        description="Messages in a UTC day, never exceeded. The default is the runbook's hard rule.",
    )
    spike_factor: float = Field(
        default=2.0,
        ge=1,
        le=100,
        allow_inf_nan=False,
        description="First attempts in an hour above this many times the hour's window are a spike. Own choice: every "
        "collapse in the runbook came from a day of four times the ceiling and more.",
    )
    injector_clients: Networks = Field(
        default=(),
        description="Clients whose mail is this stream's, by address: where Listmonk connects from. No network of one "
        "stream may overlap another stream's.",
    )
    injector_services: Services = Field(
        default=(),
        description="Submission services whose mail is this stream's, by syslog name. They go before `injector_clients`.",
    )
    exempt_senders: Senders = Field(
        default=(),
        description="Envelope senders that are no campaign (cron, transactional): they stay out of pool and halt.",
    )
    exempt_transport: EgressKey = Field(
        default=EgressName("smtp"),
        description="The smtp service of master.cf that `exempt_senders` take, past pool, governor and halt. Postfix's own "
        "`smtp` sends from the host's address.",
    )
    governor: bool = Field(
        default=True,
        description="Whether Postfix itself is held to the window (transport_rate_delay on each egress), so that no blast can "
        "leave faster, whoever injects it. Only in enforce mode.",
    )
    excluded_domains: Domains | None = Field(
        default=None,
        description="Recipient domains that must never be mailed; their mail is parked in Postfix's queue, whatever stream it "
        "is of. Without this key: the domains of the families in `excluded_operators` that pwmtad knows (yahoo).",
    )
    excluded_domains_file: AbsolutePath | None = Field(
        default=None,
        description="File with recipient domains, one a line, that this stream must never mail.",
    )
    excluded_operators: OperatorNames = Field(
        default=(),
        description="Operators that this stream must never mail, by MX host. The runbook excludes the Yahoo family: its "
        "deferrals of cold senders spoil the address for others.",
    )
    warmup: Annotated[WarmupSettings, Words("a table with start or start_file")] = Field(description="Warmup of the stream.")
    listmonk: ListmonkSettings | None = Field(default=None, description="The stream's Listmonk instance.")

    @property
    def usable_egresses(self) -> tuple[EgressName, ...]:
        """Egresses that are not retired, in order."""
        return tuple(name for name in self.egresses if name not in self.retired)

    @property
    def kept_out(self) -> tuple[str, ...]:
        """Recipient domains that the configuration itself excludes."""
        if self.excluded_domains is not None:
            return self.excluded_domains
        return tuple(domain for operator in self.excluded_operators for domain in FAMILIES.get(operator, ()))

    def egresses_at(self, day: int) -> tuple[EgressName, ...]:
        """Return the egresses that should be in rotation on a warmup day: all usable ones, unless a pool is growing."""
        return self.usable_egresses[: self.warmup.pool_ladder.value_at(day)] if self.pool else self.usable_egresses


class EgressSettings(Section):
    """An egress as master.cf would describe it, for hosts without Postfix (replay elsewhere)."""

    address: BindAddress = Field(description="Its `smtp_bind_address` or `smtp_bind_address6`.")
    syslog_name: SyslogName = Field(description="Its `syslog_name`: all that a log line tells about the egress.")
    helo_name: HostName | None = Field(
        default=None, description="Its `smtp_helo_name`: the name that the address resolves to and back (FCrDNS)."
    )

    def clone(self, name: EgressName) -> Clone:
        """Return it as master.cf would have shown it."""
        text = str(self.address)
        return Clone(
            name=name,
            bind_address=text if self.address.version == 4 else None,
            bind_address6=text if self.address.version == 6 else None,
            helo_name=self.helo_name,
            syslog_name=self.syslog_name,
        )
