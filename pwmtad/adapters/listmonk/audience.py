"""Listmonk's subscribers by HTTP: looked up, reported to the bounce webhook, blocklisted by id.

Addresses come from logs, and so from whoever subscribed: into Listmonk's raw SQL condition go only those of harmless
characters, quoted. Blocklisting is by id alone: in some versions an empty query takes everybody.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec
from msgspec import Struct

from pwmtad.adapters.listmonk.answers import Id, Wrapped
from pwmtad.adapters.listmonk.client import AskError, ListmonkClient
from pwmtad.adapters.listmonk.database import DatabaseError, ListmonkDatabase
from pwmtad.adapters.listmonk.transport import Answer, NoAnswerError, Transport
from pwmtad.config import ListmonkSettings
from pwmtad.core.suppress_step import bounce_settings
from pwmtad.core.text import clean
from pwmtad.model.audience import BounceReport, BounceSettings, DomainFound, Found, Subscriber
from pwmtad.model.listmonk import Changed, Failure, Outcome, Trouble

SOURCE: Final = "pwmtad"
"""What Listmonk's list of bounces names as their source."""
_PER_PAGE: Final = 50
_ASKED_AT_ONCE: Final = 25
_MAX_CONDITION: Final = 4000
"""Characters of a condition in a URL: proxies take 8 KiB of a request line, and quoting triples what is no letter."""
_HARMLESS: Final = re.compile(r"[a-z0-9!#&'+*/=^_`{|}~.@-]{3,320}", re.ASCII)
"""Of what an address may hold (RFC 5322 3.2.3) without `%`, `$` and `?`, which mean something to builders of statements."""
_NAME_LIMIT: Final = 320


class SubscriberAnswer(Struct, frozen=True):
    """One subscriber, as far as it is of use."""

    id: Id
    uuid: str
    email: str
    status: str

    def subscriber(self) -> Subscriber:
        """Return it as the core knows it."""
        email = clean(self.email, _NAME_LIMIT).lower()
        return Subscriber(self.id, clean(self.uuid, 40), email, clean(self.status, 40))


class _Page(Struct, frozen=True):
    results: tuple[SubscriberAnswer, ...] | None
    total: int


_page_of = msgspec.json.Decoder(Wrapped[_Page]).decode
_true_of = msgspec.json.Decoder(Wrapped[bool]).decode


class PostingTransport(Transport):
    """Also makes POST requests."""

    async def post(self, path: str, body: bytes) -> Answer:
        """Ask once, with JSON. Raises NoAnswerError, which says whether it may have arrived."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._ask("POST", path, (), body)
        except TimeoutError:
            raise NoAnswerError(f"no answer from {self._url} within {self._timeout_s:g} s", arrived=True) from None


class ListmonkAudience(ListmonkClient):
    """One instance's subscribers (`daemon.suppress.AudiencePort`). Failures are values."""

    def __init__(self, transport: PostingTransport, database: ListmonkDatabase | None = None) -> None:
        super().__init__(transport)
        self._posting = transport
        self._database = database

    @classmethod
    def of(cls, settings: ListmonkSettings, jitter: Callable[[], float]) -> ListmonkAudience:
        """Return the instance that the configuration names."""
        return cls(PostingTransport.of(settings, jitter), ListmonkDatabase.of(settings))

    # -- looking

    async def bounce_settings(self) -> BounceSettings | Failure:
        """Return what reported bounces bring about, as stored."""
        try:
            return bounce_settings(await self.settings())
        except AskError as error:
            return error.failure

    async def find(self, addresses: Sequence[str]) -> Found | Failure:
        """Return the subscribers of these addresses, and the addresses that can't be asked for."""
        if self._database is not None:
            try:
                return Found(await self._database.find(addresses))
            except DatabaseError as error:
                return Failure(Trouble.UNREACHABLE, str(error))
        asked = [address for address in addresses if _HARMLESS.fullmatch(address)]
        found: list[Subscriber] = []
        try:
            for batch in _batches(asked):
                answers, _ = await self._subscribers(f"LOWER(subscribers.email) IN ({', '.join(map(_quoted, batch))})")
                found += answers
        except AskError as error:
            return error.failure
        return Found(tuple(found), frozenset(addresses).difference(asked))

    async def find_domain(self, domain: str) -> DomainFound | Failure:
        """Return the subscribers of a domain that are not blocklisted: some of them, and how many there are."""
        if self._database is not None:
            try:
                return await self._database.find_domain(domain, _PER_PAGE)
            except DatabaseError as error:
                return Failure(Trouble.UNREACHABLE, str(error))
        ending = f"@{domain}"
        if not _HARMLESS.fullmatch(ending):
            return Failure(Trouble.NONSENSE, "its name can't be asked for by the API; set database_url")
        condition = (
            f"RIGHT(LOWER(subscribers.email), {len(ending)}) = {_quoted(ending)} AND subscribers.status <> 'blocklisted'"
        )
        try:
            found, total = await self._subscribers(condition)
        except AskError as error:
            return error.failure
        return DomainFound(tuple(found), total)

    async def _subscribers(self, condition: str) -> tuple[list[Subscriber], int]:
        query = [("query", condition), ("page", "1"), ("per_page", str(_PER_PAGE)), ("order_by", "id"), ("order", "ASC")]
        page = (await self._read("/api/subscribers", _page_of, query)).data
        return [answer.subscriber() for answer in page.results or ()], page.total

    # -- telling

    async def report(self, report: BounceReport) -> Changed:
        """Report a hard bounce. DONE means no more than that it was queued; REFUSED also that the webhook is off."""
        body = msgspec.json.encode(
            {
                "subscriber_uuid": report.subscriber_uuid,
                "type": "hard",
                "source": SOURCE,
                "meta": report.meta,
                "created_at": datetime.fromtimestamp(report.created_at, UTC).isoformat(timespec="seconds"),
            }
        )
        try:
            answer = await self._posting.post("/webhooks/bounce", body)
        except NoAnswerError as error:
            return Changed(Outcome.UNSURE if error.arrived else Outcome.NOT_SENT, str(error))
        if answer.status == 200 and _is_true(answer.body):
            return Changed(Outcome.DONE)
        return Changed(_outcome(answer), self._posting.shown(answer))

    async def blocklist(self, ids: Sequence[int]) -> Changed:
        """Blocklist subscribers by id, never by a query. Ids that nobody has are no error to Listmonk."""
        if not ids:
            return Changed(Outcome.REFUSED, "no ids")
        return await self._change("/api/subscribers/blocklist", msgspec.json.encode({"ids": list(ids)}), _true)


def _batches(addresses: Sequence[str]) -> list[list[str]]:
    batches: list[list[str]] = []
    size = 0
    for address in addresses:
        if not batches or len(batches[-1]) >= _ASKED_AT_ONCE or size + len(address) > _MAX_CONDITION:
            batches.append([])
            size = 0
        batches[-1].append(address)
        size += len(address) + 4
    return batches


def _quoted(text: str) -> str:
    """Return an SQL literal; the text holds no backslash."""
    doubled = text.replace("'", "''")
    return f"'{doubled}'"


def _outcome(answer: Answer) -> Outcome:
    if answer.is_refusal:
        return Outcome.FORBIDDEN
    # 404: no such route, as it is switched off; 503: `bounce.enabled` is.
    if answer.status in (400, 404, 405, 503):
        return Outcome.REFUSED
    return Outcome.UNSURE


def _is_true(body: bytes) -> bool:
    try:
        return _true_of(body).data
    except msgspec.MsgspecError:
        return False


def _true(body: bytes) -> None:
    if not _true_of(body).data:
        raise msgspec.ValidationError("not true")
