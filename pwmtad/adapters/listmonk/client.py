"""Listmonk's calls, typed. What reads raises `AskError`; what changes returns what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar
from urllib.parse import quote

import msgspec

from pwmtad.adapters.listmonk.answers import (
    CampaignAnswer,
    ConfigAnswer,
    NeedsRestart,
    PageAnswer,
    changed_campaign_of,
    changed_settings_of,
    config_of,
    page_of,
    settings_of,
)
from pwmtad.adapters.listmonk.transport import Answer, NoAnswerError, Transport
from pwmtad.model.listmonk import CampaignStatus, Changed, Failure, Outcome, Trouble

_PER_PAGE: Final = 50
"""More is silently made 50 (cmd/campaigns.go:55)."""
_MAX_PAGES: Final = 400
_TRIES: Final = 3
"""Of a listing that changed while it was read."""
_Data = TypeVar("_Data")


class AskError(Exception):
    """Nothing could be read; `failure` says why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.text)
        self.failure = failure


class ListmonkClient:
    """See the module."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def close(self) -> None:
        """Let go of connections."""
        await self._transport.close()

    # -- reading

    async def config(self) -> ConfigAnswer:
        """Return the version, and whether stored settings wait for a restart."""
        return (await self._read("/api/config", config_of)).data

    async def settings(self) -> dict[str, Any]:
        """Return all settings as stored, secrets masked. Any: another program's settings, handed on unread."""
        return (await self._read("/api/settings", settings_of)).data

    async def campaigns(self, statuses: Iterable[CampaignStatus]) -> tuple[list[CampaignAnswer], bool]:
        """Return all campaigns with one of these, and whether they are all: False while the list changed on each try."""
        query = [("status", status.value) for status in statuses]
        found: dict[int, CampaignAnswer] = {}
        for _ in range(_TRIES):
            listed, complete = await self._list(query)
            found |= listed
            if complete:
                return list(listed.values()), True
        return list(found.values()), False

    async def _list(self, query: list[tuple[str, str]]) -> tuple[dict[int, CampaignAnswer], bool]:
        """List once: oldest first, so that new ones come last. Whoever leaves the list meanwhile moves all that follow."""
        found: dict[int, CampaignAnswer] = {}
        totals: set[int] = set()
        for page in range(1, _MAX_PAGES + 1):
            answer = await self._page(query, page)
            results = answer.results or ()
            found |= {one.id: one for one in results}
            if results:
                totals.add(answer.total)
            if not results or len(found) >= answer.total:
                return found, totals in ({len(found)}, set())
        return found, False

    async def _page(self, query: list[tuple[str, str]], page: int) -> PageAnswer:
        order = [("order_by", "created_at"), ("order", "asc"), ("no_body", "true")]
        pages = [("page", str(page)), ("per_page", str(_PER_PAGE))]
        return (await self._read("/api/campaigns", page_of, [*query, *order, *pages])).data

    async def read_status(self, path: str) -> int:
        """Return the status code that a GET answers with."""
        return (await self._answer(path, [])).status

    # -- changing

    async def set_status(self, campaign: int, status: CampaignStatus) -> Changed:
        """Ask for another status. The answer shows what was asked for, not what is stored."""
        body = msgspec.json.encode({"status": status.value})
        return await self._change(f"/api/campaigns/{campaign}/status", body, lambda data: _same_campaign(data, campaign))

    async def put_setting(self, key: str, value: bool | int | str) -> Changed:
        """Store one setting (version 6 and later). Listmonk checks neither key nor type."""
        return await self._change(f"/api/settings/{quote(key, safe='.')}", msgspec.json.encode(value), _restarts)

    async def put_settings(self, values: Mapping[str, Any]) -> Changed:
        """Store all settings: what is missing becomes zero, what is masked becomes the mask."""
        return await self._change("/api/settings", msgspec.json.encode(values), _restarts)

    async def probe(self, path: str, body: bytes) -> int:
        """Return the status code of a PUT that can't be carried out. Raises AskError."""
        try:
            return (await self._transport.put(path, body)).status
        except NoAnswerError as error:
            raise AskError(error.failure) from error

    async def _change(self, path: str, body: bytes, understand: Callable[[bytes], bool | None]) -> Changed:
        try:
            answer = await self._transport.put(path, body)
        except NoAnswerError as error:
            return Changed(Outcome.UNSURE if error.arrived else Outcome.NOT_SENT, str(error))
        if answer.status != 200:
            return Changed(_outcome(answer), self._transport.shown(answer))
        try:
            return Changed(Outcome.DONE, needs_restart=understand(answer.body))
        except (msgspec.MsgspecError, RecursionError):
            return Changed(Outcome.UNSURE, f"an answer that is not Listmonk's: {self._transport.shown(answer)}")

    # -- both

    async def _read(self, path: str, decode: Callable[[bytes], _Data], query: Iterable[tuple[str, str]] = ()) -> _Data:
        answer = await self._answer(path, list(query))
        if answer.is_refusal:
            text = f"{path} is refused: {self._transport.shown(answer)}"
            raise AskError(Failure(Trouble.FORBIDDEN, text))
        if answer.is_failure:
            raise AskError(Failure(Trouble.UNREACHABLE, f"{path} fails: {self._transport.shown(answer)}"))
        try:
            if answer.status == 200:
                return decode(answer.body)
        except (msgspec.MsgspecError, RecursionError):
            pass
        text = f"{path} is answered by something that is not Listmonk: {self._transport.shown(answer)}"
        raise AskError(Failure(Trouble.NONSENSE, text))

    async def _answer(self, path: str, query: list[tuple[str, str]]) -> Answer:
        try:
            return await self._transport.get(path, query)
        except NoAnswerError as error:
            raise AskError(error.failure) from error


def _outcome(answer: Answer) -> Outcome:
    if answer.is_refusal:
        return Outcome.FORBIDDEN
    if answer.is_failure or answer.status < 300:
        return Outcome.UNSURE
    return Outcome.REFUSED if answer.status == 400 else Outcome.NOT_SENT


def _restarts(body: bytes) -> bool:
    """Read what a settings change answers: whether a restart is still needed, because campaigns are in work."""
    data = changed_settings_of(body).data
    return data.needs_restart if isinstance(data, NeedsRestart) else False


def _same_campaign(body: bytes, campaign: int) -> None:
    if changed_campaign_of(body).data.id != campaign:
        raise msgspec.ValidationError("another campaign")
