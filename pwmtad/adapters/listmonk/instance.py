"""One instance as the daemon knows it (`daemon.listmonk_acts.ListmonkPort`): looks, rights, changes. Failures are values."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

from pwmtad.adapters.listmonk.answers import CampaignAnswer, ConfigAnswer
from pwmtad.adapters.listmonk.client import AskError, ListmonkClient
from pwmtad.adapters.listmonk.transport import Transport
from pwmtad.config import ListmonkSettings
from pwmtad.core.listmonk_masks import whole_settings
from pwmtad.core.listmonk_versions import traits_of
from pwmtad.core.listmonk_window import Assignment, engine_of
from pwmtad.core.text import clean
from pwmtad.model.listmonk import (
    CampaignStatus,
    Changed,
    Failure,
    ListmonkActual,
    Outcome,
    Rights,
    Traits,
    Trouble,
)

_LOOKED_AT: Final = (CampaignStatus.RUNNING, CampaignStatus.PAUSED, CampaignStatus.SCHEDULED)
_NOBODY: Final = (1 << 31) - 1
"""The largest id of a campaign: there is none of it."""
_PAUSED: Final = b'{"status":"paused"}'
_NO_JSON: Final = b"{"
"""Refused as unreadable, after the permission was looked at."""
_ROOT_LIMIT: Final = 300


class ListmonkInstance:
    """See the module."""

    def __init__(self, client: ListmonkClient) -> None:
        self._client = client

    @classmethod
    def of(cls, settings: ListmonkSettings, jitter: Callable[[], float]) -> ListmonkInstance:
        """Return the instance that the configuration names."""
        return cls(ListmonkClient(Transport.of(settings, jitter)))

    async def look(self, *, whole: bool) -> ListmonkActual | Failure:
        """Read the campaigns, and all else at the same time if `whole`."""
        if not whole:
            listed = await _value(self._client.campaigns(_LOOKED_AT))
            return listed if isinstance(listed, Failure) else _actual(listed)
        listed, config, settings = await asyncio.gather(
            _value(self._client.campaigns(_LOOKED_AT)), _value(self._client.config()), _value(self._client.settings())
        )
        if isinstance(config, Failure) and isinstance(listed, Failure):
            return config  # which every user may read: it says best what is wrong
        if isinstance(listed, Failure):
            return listed
        return _actual(listed, config, settings)

    async def rights(self, traits: Traits, *, probe: bool) -> Rights | Failure:
        """Find out what the user may do: by what is readable, and by requests that can't be carried out."""
        if not traits.pause_right:
            return Rights()  # version 3 has one user, who may do everything
        try:
            missing = [
                *await self._may_read("/api/settings", "settings:get"),
                *await self._may_read("/api/campaigns", traits.see_right),
            ]
            if traits.scoped and not missing:
                missing += await self._may_read(f"/api/campaigns/{_NOBODY}", traits.see_right)
            if probe:
                missing += await self._may_change("/api/settings", _NO_JSON, "settings:manage")
                pausing = await self._may_change("/api/campaigns/0/status", _PAUSED, traits.pause_right)
                if traits.scoped and not pausing:
                    pausing = await self._may_change(f"/api/campaigns/{_NOBODY}/status", _PAUSED, "campaigns:manage_all")
                missing += pausing
        except AskError as error:
            return error.failure
        return Rights(tuple(dict.fromkeys(missing)))

    async def set_status(self, campaign: int, status: CampaignStatus) -> Changed:
        """Ask for another status, once."""
        return await self._client.set_status(campaign, status)

    async def set_window(self, changes: Sequence[Assignment], traits: Traits) -> Changed:
        """Write settings, key by key where the version can, else all of them with blank secrets."""
        return await (self._by_key(changes) if traits.by_key else self._whole(changes))

    async def close(self) -> None:
        """Let go of connections."""
        await self._client.close()

    async def _by_key(self, changes: Sequence[Assignment]) -> Changed:
        """Quickly one after the other: half a second after the first the process may restart, and it is read again anyway."""
        needs_restart: bool | None = None
        for key, value in changes:
            changed = await self._client.put_setting(key, value)
            if changed.outcome is not Outcome.DONE:
                return Changed(changed.outcome, f"{key}: {changed.text}", needs_restart)
            # One that was answered with a restart is enough.
            needs_restart = changed.needs_restart if needs_restart is not False else False
        return Changed(Outcome.DONE, needs_restart=needs_restart)

    async def _whole(self, changes: Sequence[Assignment]) -> Changed:
        """Read just before writing: what somebody changes in between is lost, so that is milliseconds."""
        shown = await _value(self._client.settings())
        if isinstance(shown, Failure):
            return Changed(Outcome.NOT_SENT, shown.text)
        values = whole_settings(shown, changes)
        if isinstance(values, str):
            return Changed(Outcome.REFUSED, clean(values, _ROOT_LIMIT))
        return await self._client.put_settings(values)

    async def _may_read(self, path: str, right: str) -> list[str]:
        return _lacking(await self._client.read_status(path), right)

    async def _may_change(self, path: str, body: bytes, right: str) -> list[str]:
        return _lacking(await self._client.probe(path, body), right)


def _lacking(status: int, right: str) -> list[str]:
    """Return the right if it was asked for. Raises AskError where the answer says nothing about it."""
    if status >= 500:
        raise AskError(Failure(Trouble.UNREACHABLE, f"whether the API user has {right} could not be found out: {status}"))
    return [right] if status in (401, 403) else []


async def _value(asking: Any) -> Any:
    """Await; return the failure as a value."""
    try:
        return await asking
    except AskError as error:
        return error.failure


def _actual(
    listed: tuple[list[CampaignAnswer], bool],
    config: ConfigAnswer | Failure | None = None,
    settings: dict[str, Any] | Failure | None = None,
) -> ListmonkActual:
    campaigns, complete = listed
    blind = [one.text for one in (config, settings) if isinstance(one, Failure)]
    known = settings if isinstance(settings, dict) else {}
    fields = frozenset(known).union(*(one.fields for one in campaigns))
    root_url = known.get("app.root_url")
    engine = engine_of(known)
    if known and engine is None:
        blind.append("its settings have no send window")
    return ListmonkActual(
        campaigns=tuple(sorted((one.campaign() for one in campaigns), key=lambda one: one.id)),
        complete=complete,
        traits=traits_of(config.version, fields) if isinstance(config, ConfigAnswer) else None,
        needs_restart=isinstance(config, ConfigAnswer) and config.needs_restart,
        root_url=clean(root_url.rstrip("/"), _ROOT_LIMIT) if isinstance(root_url, str) else "",
        engine=engine if isinstance(config, ConfigAnswer) else None,
        blind="; ".join(blind),
    )
