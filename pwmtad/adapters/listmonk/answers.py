"""What Listmonk's answers look like: `{"data": ...}`, and pages of results. Anything else is not Listmonk."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Generic, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, field

from pwmtad.core.text import clean
from pwmtad.model.listmonk import Campaign

_NAME_LIMIT: Final = 80
_Data = TypeVar("_Data")
Moment = Annotated[datetime, Meta(tz=True)]
Id = Annotated[int, Meta(ge=1, lt=1 << 31)]


class Wrapped(Struct, Generic[_Data], frozen=True):
    """Every answer that went well."""

    data: _Data


class ConfigAnswer(Struct, frozen=True):
    """GET /api/config, as far as it is of use."""

    version: str
    needs_restart: bool = False


class CampaignAnswer(Struct, frozen=True):
    """One campaign, as far as it is of use."""

    id: Id
    uuid: str
    name: str
    status: str
    updated_at: Moment | None = None
    send_at: Moment | None = None
    to_send: int = 0
    sent: int = 0
    messenger: str = ""
    attribs: msgspec.Raw | UnsetType = field(default=UNSET)
    """Only whether it is there: version 6 and later."""
    body_source: msgspec.Raw | UnsetType = field(default=UNSET)
    """Version 5 and later."""

    @property
    def fields(self) -> frozenset[str]:
        """Names of fields that tell a version."""
        return frozenset(name for name in ("attribs", "body_source") if getattr(self, name) is not UNSET)

    def campaign(self) -> Campaign:
        """Return it as the core knows it."""
        return Campaign(
            id=self.id,
            uuid=clean(self.uuid, _NAME_LIMIT),
            name=clean(self.name, _NAME_LIMIT),
            status=clean(self.status, _NAME_LIMIT),
            updated_at=0.0 if self.updated_at is None else self.updated_at.timestamp(),
            send_at=None if self.send_at is None else self.send_at.timestamp(),
            to_send=self.to_send,
            sent=self.sent,
            messenger=clean(self.messenger, _NAME_LIMIT),
        )


class PageAnswer(Struct, frozen=True):
    """A page of GET /api/campaigns. Without results its total is 0, also beyond the last page."""

    results: tuple[CampaignAnswer, ...] | None
    total: int


class NeedsRestart(Struct, frozen=True):
    """What a settings change answers while campaigns are in work."""

    needs_restart: bool


config_of = msgspec.json.Decoder(Wrapped[ConfigAnswer]).decode
settings_of = msgspec.json.Decoder(Wrapped[dict[str, Any]]).decode
page_of = msgspec.json.Decoder(Wrapped[PageAnswer]).decode
changed_settings_of = msgspec.json.Decoder(Wrapped[bool | NeedsRestart]).decode
changed_campaign_of = msgspec.json.Decoder(Wrapped[CampaignAnswer]).decode
