"""Campaigns: /api/campaigns and below.

In: calls. Out: answers. Who may see or change one depends on permissions and, without the broad ones, on its lists.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from aiohttp import web

from tests.tools.listmonk.answers import data, json_object, page_of, results
from tests.tools.listmonk.bounces import clean_address
from tests.tools.listmonk.call import Call, Route
from tests.tools.listmonk.process import Process
from tests.tools.listmonk.texts import Wrong
from tests.tools.listmonk.versions import Traits

_EDITABLE: Final = frozenset({"draft", "paused", "scheduled"})
_FRESH: Final[dict[str, Any]] = {
    "name": "", "subject": "", "from_email": "", "body": "", "altbody": None, "content_type": "richtext", "send_at": None,
    "headers": [], "tags": [], "messenger": "email", "type": "regular",
}  # fmt: skip
_FROM: Final[dict[str, tuple[frozenset[str], Wrong]]] = {
    "draft": (frozenset({"scheduled"}), Wrong.DRAFT),
    "running": (frozenset({"paused", "draft"}), Wrong.RUN),
    "paused": (frozenset({"running"}), Wrong.PAUSE),
    "cancelled": (frozenset({"running", "paused"}), Wrong.CANCEL),
}
"""Which status each may follow. `finished` is not here: it may follow any."""


async def _list(call: Call) -> web.Response:
    query = call.request.query
    page = page_of(query)
    lists = None
    if not call.user.has("campaigns:get_all") and not call.user.sees_all_lists():
        lists = sorted(call.user.lists)
    text = query.get("query", "").strip()
    filters = {
        "status": query.getall("status", []),
        "tag": query.getall("tag", []),
        "query": text,
        "order_by": query.get("order_by", ""),
        "order": query.get("order", ""),
    }
    rows, total = await call.view.campaigns.query(filters, lists, page)
    for row in rows:
        _hide_body(call, row)
    return results(rows, total, page, text)


async def _get(call: Call) -> web.Response:
    campaign = call.number()
    if not call.user.has("campaigns:get_all"):
        await _demand_lists(call, campaign, "campaigns:get")
    return data(_hide_body(call, await _found(call, campaign)))


async def _create(call: Call) -> web.Response:
    sent = await json_object(call.request)
    fields = {**_FRESH, **{name: sent[name] for name in _FRESH if name in sent}}
    lists = _check(call, fields, sent)
    number = await call.view.campaigns.create(fields, lists)
    return data(await _found(call, number))


async def _update(call: Call) -> web.Response:
    campaign = call.number()
    await _demand_manage(call, campaign)
    stored = await _found(call, campaign)
    if stored["status"] not in _EDITABLE:
        call.refuse(Wrong.NOT_EDITABLE)
    sent = await json_object(call.request)
    fields = {name: sent.get(name, stored[name]) for name in _FRESH}
    lists = _check(call, fields, sent)
    await call.view.campaigns.update(campaign, fields, lists)
    return data(await _found(call, campaign))


async def _put_status(call: Call) -> web.Response:
    """Read, check, write: nothing is compared again in between, and the answer shows what was asked for."""
    campaign = call.number()
    await _demand_manage(call, campaign)
    status = (await json_object(call.request)).get("status", "")
    if not isinstance(status, str):
        call.refuse(Wrong.DATA)
    stored = await _found(call, campaign)
    _check_status(call, stored, status)
    await call.view.campaigns.set_status(campaign, status, call.process.clock.wall())
    if call.own and status in {"paused", "cancelled"}:
        call.process.engine.stop_campaign(campaign)
    return data({**stored, "status": status})


async def _running_stats(call: Call) -> web.Response:
    now = call.process.clock.now()
    rows = await call.view.campaigns.running()
    for row in rows:
        minutes = 1
        if row["started_at"] and row["updated_at"]:
            minutes = max(1, int((row["updated_at"] - row["started_at"]).total_seconds() // 60))
        pipe = call.process.engine.pipes.get(row["id"])
        row |= {"rate": pipe.rate(now) if pipe else 0, "net_rate": row["sent"] // minutes}
    return data(rows)


def _check_status(call: Call, stored: Mapping[str, Any], status: str) -> None:
    if status == "scheduled":
        allowed = {"draft", "paused"} if call.traits.paused_can_be_scheduled else {"draft"}
        if not stored["send_at"]:
            call.refuse(Wrong.NEEDS_SEND_AT)
        if stored["status"] not in allowed:
            call.refuse(Wrong.SCHEDULE)
    elif status in _FROM:
        allowed_before, wrong = _FROM[status]
        if stored["status"] not in allowed_before:
            call.refuse(wrong)


def _check(call: Call, fields: dict[str, Any], sent: Mapping[str, Any]) -> list[int]:
    """Make the fields fit to be stored; return the lists. Raises ApiError for a past date, no list, no such messenger."""
    fields["from_email"] = sender = fields["from_email"] or str(call.process.settings["app.from_email"])
    if "<" not in sender and clean_address(sender) is None:
        call.refuse(Wrong.FIELDS, "from_email")
    for name in ("name", "subject"):
        if not isinstance(fields[name], str) or not fields[name]:
            call.refuse(Wrong.FIELDS, name)
    if isinstance(fields["send_at"], str):
        fields["send_at"] = _moment(call, fields["send_at"])
    if fields["send_at"] is not None and fields["send_at"] < call.process.clock.wall():
        call.refuse(Wrong.PAST)
    lists = sent.get("lists")
    if not isinstance(lists, list) or not lists or not all(type(one) is int for one in lists):
        call.refuse(Wrong.LISTS)
    if fields["messenger"] not in call.process.messengers.names:
        call.refuse(Wrong.MESSENGER, str(fields["messenger"]))
    return lists


def _moment(call: Call, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        call.refuse(Wrong.DATA)
    if moment.tzinfo is None:
        call.refuse(Wrong.DATA)
    return moment


async def _found(call: Call, campaign: int) -> dict[str, Any]:
    row = await call.view.campaigns.get(campaign)
    if row is None:
        call.refuse(Wrong.NOT_FOUND, "campaign")  # 400, never 404
    return row


async def _demand_manage(call: Call, campaign: int) -> None:
    if not call.user.has("campaigns:manage_all"):
        await _demand_lists(call, campaign, "campaigns:manage")


async def _demand_lists(call: Call, campaign: int, permission: str) -> None:
    if not call.user.sees_all_lists():
        call.process.gate.demand_lists(call.user, await call.view.campaigns.lists_of(campaign), permission)


def _hide_body(call: Call, row: dict[str, Any]) -> dict[str, Any]:
    if call.request.query.get("no_body") in {"1", "t", "true", "True", "TRUE"}:
        row["body"] = ""
    return row


def _writers(traits: Traits) -> tuple[str, ...]:
    return ("campaigns:manage_all", "campaigns:manage") if traits.resume_schedules else ("campaigns:manage",)


def routes(_: Process) -> list[Route]:
    """Return what this version has of it."""
    return [
        Route("GET", "/api/campaigns", _list, lambda traits: traits.campaign_permissions),
        Route("POST", "/api/campaigns", _create, _writers),
        Route("GET", "/api/campaigns/running/stats", _running_stats, lambda traits: traits.campaign_permissions),
        Route("GET", "/api/campaigns/{id}", _get, lambda traits: traits.campaign_permissions),
        Route("PUT", "/api/campaigns/{id}", _update, _writers),
        Route("PUT", "/api/campaigns/{id}/status", _put_status, lambda traits: traits.status_permissions),
    ]
