"""One task for each Listmonk, whatever the configuration becomes; what is seen and told of suppressions and audits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from pwmtad.config import ListmonkSettings, Settings
from pwmtad.core.guard import Guard
from pwmtad.core.policy import Policy
from pwmtad.daemon.auditors import Auditors
from pwmtad.daemon.audits import Audit
from pwmtad.daemon.per_listmonk import PerListmonk
from pwmtad.daemon.suppress import Suppress
from pwmtad.daemon.suppressors import Suppressors
from pwmtad.model.audience import BounceReport, BounceSettings, DomainFound, Found, ListedDomain
from pwmtad.model.audit import AuditedCampaign, AuditView
from pwmtad.model.errors import StoreError
from pwmtad.model.listmonk import Changed, Failure, Outcome, Trouble
from pwmtad.model.names import StreamName
from pwmtad.model.suppression import Suppression, SuppressionCount
from tests.tools.judging import DAY, START, settings_of

NOW = START + 8 * DAY
TABLE = """
[streams.{name}.listmonk]
url = "http://127.0.0.1:{port}"
user = "pwmtad"
token_file = "/etc/pwmtad/token"
root_url = "https://{name}.example.org"
{more}
"""


def configured(*names: str, more: str = "", port: int = 9000, mode: str = "enforce") -> Settings:
    """Return two streams, those that are named with a Listmonk; trucking's table comes before its warmup."""
    tables = [TABLE.format(name=name, port=port + number, more=more) for number, name in enumerate(names)]
    base = settings_of(dkim="".join(table for table in tables))
    return base.model_copy(update={"mode": mode})


class Work:
    """Something that runs for one stream."""

    def __init__(self, name: StreamName, settings: Settings) -> None:
        self.name = name
        self.settings = settings
        self.reconfigured = 0
        self.state = "made"
        self._listmonk = settings.streams[name].listmonk

    @property
    def listmonk(self) -> ListmonkSettings:
        assert self._listmonk is not None
        return self._listmonk

    def reconfigure(self, settings: Settings) -> None:
        self.settings = settings
        self.reconfigured += 1

    async def run(self) -> None:
        self.state = "running"
        try:
            await asyncio.Event().wait()
        finally:
            self.state = "ended"


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_they_come_go_and_begin_anew_with_their_table() -> None:
    made: list[Work] = []

    def make(name: StreamName, settings: Settings) -> Work:
        made.append(Work(name, settings))
        return made[-1]

    each = PerListmonk(make, configured("trucking"))
    task = asyncio.create_task(each.run())
    await turns()
    assert [(one.name, one.state) for one in made] == [("trucking", "running")]
    each.reconfigure(configured("trucking", "healthcare"))
    await turns()
    assert [(one.name, one.state, one.reconfigured) for one in made] == [
        ("trucking", "running", 1),
        ("healthcare", "running", 0),
    ]
    each.reconfigure(configured("healthcare"))
    await turns()
    assert [(one.name, one.state) for one in made[:2]] == [("trucking", "ended"), ("healthcare", "ended")]
    assert [one.name for one in each] == ["healthcare"]
    each.reconfigure(configured("healthcare", more="timeout_s = 3.0"))
    await turns()
    assert [one.state for one in made] == ["ended", "ended", "ended", "running"]
    task.cancel()
    await asyncio.wait([task])
    assert made[-1].state == "ended"


class Port:
    """A Listmonk that never answers, or whose webhook is of some sort."""

    def __init__(self) -> None:
        self.bounces: BounceSettings | Failure = Failure(Trouble.UNREACHABLE, "no answer")
        self.closed = False
        self.has_database = False
        self.audit_view: AuditView | Failure = Failure(Trouble.UNREACHABLE, "no answer")

    async def bounce_settings(self) -> BounceSettings | Failure:
        return self.bounces

    async def find(self, addresses: Sequence[str]) -> Found | Failure:
        return Found((), frozenset(addresses))

    async def find_domain(self, domain: str) -> DomainFound | Failure:
        return Failure(Trouble.NONSENSE, f"{domain} can't be asked for")

    async def report(self, report: BounceReport) -> Changed:
        raise AssertionError(report)

    async def blocklist(self, ids: Sequence[int]) -> Changed:
        return Changed(Outcome.DONE, str(ids))

    async def view(self) -> AuditView | Failure:
        return self.audit_view

    async def sizes(self, campaigns: Collection[int]) -> dict[int, int] | Failure:
        return dict.fromkeys(campaigns, 0)

    async def listed(self, campaigns: Collection[int], domains: Collection[str]) -> tuple[ListedDomain, ...] | Failure:
        return tuple(ListedDomain(one, domain, 1) for one in campaigns for domain in domains)

    async def close(self) -> None:
        self.closed = True


class Store:
    """Counts, or an error."""

    def __init__(self) -> None:
        self.counts = [
            SuppressionCount("trucking", "address", "hard_bounce", "untold", 3),
            SuppressionCount("trucking", "address", "hard_bounce", "sent", 1),
            SuppressionCount("trucking", "domain", "dead_domain", "left", 2),
            SuppressionCount("healthcare", "address", "hard_bounce", "failed", 5),
            SuppressionCount("gone", "address", "hard_bounce", "verified", 9),
        ]
        self.fails = False

    async def count_suppressions(self) -> list[SuppressionCount]:
        if self.fails:
            raise StoreError("it is locked", retryable=True)
        return self.counts

    async def due_suppressions(self, stream: str, now: float, limit: int) -> list[Suppression]:
        if self.fails:
            raise StoreError(f"{stream} {now} {limit}: it is locked", retryable=True)
        return []


async def committed() -> bool:
    return True


def suppress_maker(port: Port, store: Store, guard: Guard) -> Callable[[StreamName, Settings], Suppress]:
    def make(name: StreamName, settings: Settings) -> Suppress:
        return Suppress(
            stream=name,
            port=port,
            store=store,
            guard=guard,
            commit=committed,
            clock=lambda: NOW,
            monotonic=lambda: NOW,
            jitter=lambda: 0.5,
            settings=settings,
        )

    return make


async def test_counts_and_findings_are_of_all_streams_also_of_those_without_a_listmonk() -> None:
    settings, store = configured("trucking"), Store()
    guard = Guard(Policy(settings=settings, stop_rules=()))
    suppressors = Suppressors(suppress_maker(Port(), store, guard), store, guard, lambda: NOW, settings)
    assert [one.waiting for one in suppressors.acting()] == [None, None]
    task = asyncio.create_task(suppressors.run())
    await turns()
    trucking, healthcare = suppressors.acting()
    assert (trucking.stream, trucking.waiting, len(trucking.counts)) == ("trucking", 4, 3)
    assert (healthcare.stream, healthcare.waiting, len(healthcare.counts)) == ("healthcare", 0, 1)
    assert [(one.code, one.subject) for one in suppressors.findings()] == [
        ("suppression_left", "trucking"),
        ("suppression_not_in_force", "healthcare"),
    ]
    store.fails = True
    await suppressors.count()
    assert suppressors.acting()[0].waiting == 4
    suppressors.reconfigure(configured())
    await turns()
    assert [one.way for one in suppressors.acting()] == ["", ""]
    task.cancel()
    await asyncio.wait([task])


async def test_a_store_that_can_not_be_read_is_told_once_and_waited_for() -> None:
    settings, store, port = configured("trucking"), Store(), Port()
    one = suppress_maker(port, store, Guard(Policy(settings=settings, stop_rules=())))(StreamName("trucking"), settings)
    store.fails = True
    await one.step()
    await one.step()
    assert one.acting.failures == 1
    assert [finding.code for finding in one.findings()] == ["suppression_waits"]
    store.fails = False
    one.reconfigure(settings)
    await one.step()
    assert one.findings() == ()


async def test_a_stream_whose_table_is_gone_has_no_listmonk() -> None:
    settings = configured("trucking")
    guard = Guard(Policy(settings=settings, stop_rules=()))
    one = suppress_maker(Port(), Store(), guard)(StreamName("trucking"), settings)
    one.reconfigure(configured())
    with pytest.raises(LookupError):
        _ = one.listmonk


def audit_maker(port: Port, guard: Guard) -> Callable[[StreamName, Settings], Audit]:
    def make(name: StreamName, settings: Settings) -> Audit:
        return Audit(
            stream=name, port=port, guard=guard, excluded=lambda _: ["yahoo.com"], clock=lambda: NOW, settings=settings
        )

    return make


async def test_audits_begin_anew_with_a_reload_and_streams_without_a_listmonk_have_what_their_log_tells() -> None:
    settings, port = configured("trucking"), Port()
    guard = Guard(Policy(settings=settings, stop_rules=()))
    guard.localhost_ids.see("healthcare", "<1@localhost>", NOW)
    auditors = Auditors(audit_maker(port, guard), guard, lambda: NOW, settings)
    task = asyncio.create_task(auditors.run())
    await turns()
    assert [(one.code, one.subject) for one in auditors.findings()] == [
        ("campaigns_not_audited", "trucking"),
        ("message_id_localhost", "healthcare"),
    ]
    campaign = AuditedCampaign(12, "News", "running", "email", "richtext", False, 10, 0)
    port.audit_view, port.has_database = AuditView("https://trucking.example.org", (campaign,)), True
    auditors.reconfigure(settings)
    await turns()
    trucking, healthcare = auditors.acting()
    assert (trucking.campaigns, trucking.without_altbody, trucking.excluded_subscribers) == (1, 1, 1)
    assert (healthcare.campaigns, healthcare.localhost_message_ids) == (None, 1)
    port.audit_view = replace(port.audit_view, root_url="https://other.example.org")
    auditors.reconfigure(settings)
    await turns()
    assert "another instance" in auditors.acting()[0].problem
    task.cancel()
    await asyncio.wait([task])
    assert port.closed


@pytest.mark.parametrize("question", ["sizes", "listed"])
async def test_a_question_that_fails_is_told(question: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, port = configured("trucking"), Port()
    port.audit_view = AuditView("", ())

    async def failing(*_: Any) -> Failure:
        return Failure(Trouble.UNREACHABLE, f"{question} failed")

    monkeypatch.setattr(port, question, failing)
    audit = audit_maker(port, Guard(Policy(settings=settings, stop_rules=())))(StreamName("trucking"), settings)
    await audit.step()
    assert audit.acting.problem == f"{question} failed"


async def test_a_stream_that_is_not_judged_is_not_audited() -> None:
    settings, port = configured("trucking"), Port()
    port.audit_view = AuditView("", ())
    others = settings.model_copy(update={"streams": {}})
    audit = audit_maker(port, Guard(Policy(settings=others, stop_rules=())))(StreamName("trucking"), settings)
    await audit.step()
    assert audit.acting.problem == "the stream is not judged yet"
