"""What audits read of Listmonk: campaigns that run or are scheduled, messengers, and in its database the lists behind them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

import msgspec
from msgspec import Struct

from pwmtad.adapters.listmonk.answers import CampaignAnswer, Wrapped
from pwmtad.adapters.listmonk.client import AskError, ListmonkClient
from pwmtad.adapters.listmonk.database import DatabaseError, ListmonkDatabase
from pwmtad.adapters.listmonk.transport import Transport
from pwmtad.config import ListmonkSettings
from pwmtad.core.text import clean
from pwmtad.model.audience import ListedDomain
from pwmtad.model.audit import AuditedCampaign, AuditView
from pwmtad.model.listmonk import CampaignStatus, Failure, Trouble

_STATUSES: Final = (CampaignStatus.RUNNING, CampaignStatus.SCHEDULED)
_MOST: Final = 50
"""Campaigns that are looked at one by one: their text part is in no listing that leaves the body out for sure."""
_ROOT_LIMIT: Final = 300


class _Config(Struct, frozen=True):
    root_url: str = ""
    messengers: tuple[str, ...] | None = None


class _Texts(Struct, frozen=True):
    altbody: str | None = None
    content_type: str = ""


_config_of = msgspec.json.Decoder(Wrapped[_Config]).decode
_texts_of = msgspec.json.Decoder(Wrapped[_Texts]).decode


class ListmonkAudits(ListmonkClient):
    """One instance (`daemon.audits.AuditPort`). Reads only; failures are values."""

    def __init__(self, transport: Transport, database: ListmonkDatabase | None = None) -> None:
        super().__init__(transport)
        self._database = database

    @classmethod
    def of(cls, settings: ListmonkSettings, jitter: Callable[[], float]) -> ListmonkAudits:
        """Return the instance that the configuration names."""
        return cls(Transport.of(settings, jitter), ListmonkDatabase.of(settings))

    @property
    def has_database(self) -> bool:
        """Whether lists can be looked into."""
        return self._database is not None

    async def view(self) -> AuditView | Failure:
        """Read the campaigns and what their process has loaded."""
        try:
            config = (await self._read("/api/config", _config_of)).data
            listed, _ = await self.campaigns(_STATUSES)
            looked_at = [audited for one in listed[:_MOST] if (audited := await self._look(one)) is not None]
        except AskError as error:
            return error.failure
        messengers = None if config.messengers is None else frozenset(clean(name, 80) for name in config.messengers)
        return AuditView(clean(config.root_url.rstrip("/"), _ROOT_LIMIT), tuple(looked_at), messengers)

    async def _look(self, listed: CampaignAnswer) -> AuditedCampaign | None:
        """Look at one. None: it is gone by now."""
        try:
            texts = (await self._read(f"/api/campaigns/{listed.id}", _texts_of)).data
        except AskError as error:
            if error.failure.trouble is Trouble.NONSENSE:
                return None
            raise
        one = listed.campaign()
        return AuditedCampaign(
            id=one.id,
            name=one.name,
            status=one.status,
            messenger=one.messenger,
            content_type=clean(texts.content_type, 40),
            has_altbody=bool(texts.altbody and texts.altbody.strip()),
            to_send=one.to_send,
            sent=one.sent,
            send_at=one.send_at,
        )

    async def sizes(self, campaigns: Collection[int]) -> dict[int, int] | Failure:
        """Return how many recipients each campaign has. Without a database: nothing."""
        if self._database is None or not campaigns:
            return {}
        try:
            return await self._database.sizes(campaigns)
        except DatabaseError as error:
            return Failure(Trouble.UNREACHABLE, str(error))

    async def listed(self, campaigns: Collection[int], domains: Collection[str]) -> tuple[ListedDomain, ...] | Failure:
        """Return how many recipients at these domains each campaign has. Without a database: nothing."""
        if self._database is None or not campaigns or not domains:
            return ()
        try:
            return await self._database.listed(campaigns, domains)
        except DatabaseError as error:
            return Failure(Trouble.UNREACHABLE, str(error))
