"""Subscribers and bounces: /api/subscribers, /api/bounces, /webhooks/bounce.

In: calls. Out: answers. A bounce that is answered with 200 was queued, no more.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from aiohttp import web

from tests.tools.listmonk.answers import ApiError, DroppedError, data, json_object, page_of, results
from tests.tools.listmonk.bounces import TYPES, clean_address, is_banned
from tests.tools.listmonk.call import Call, Route, needs
from tests.tools.listmonk.database import DATABASE_ERRORS
from tests.tools.listmonk.govalues import as_bool
from tests.tools.listmonk.people_store import Bounce
from tests.tools.listmonk.process import Process, stored_domains
from tests.tools.listmonk.texts import Wrong


async def _list(call: Call) -> web.Response:
    query = call.request.query
    condition = query.get("query", "").strip()
    if condition and call.traits.sql_query_is_checked:
        call.process.gate.demand(call.user, ("subscribers:sql_query",))
    page = page_of(query)
    lists = [int(one) for one in query.getall("list_id", []) if one.isdigit()]
    if call.traits.api_users and not call.user.has("subscribers:get_all") and not call.user.sees_all_lists():
        lists = sorted(call.user.lists.intersection(lists) if lists else call.user.lists) or [0]
    try:
        rows, total = await call.view.people.query(condition, lists, page)
    except DATABASE_ERRORS:
        if not condition:
            raise
        call.refuse(Wrong.QUERY)
    return results(rows, total, page, condition)


async def _get(call: Call) -> web.Response:
    row = await call.view.people.get(call.number())
    if row is None:
        call.refuse(Wrong.NOT_FOUND, "subscriber")
    return data(row)


async def _blocklist_one(call: Call) -> web.Response:
    return await _blocklist(call, [call.number()])


async def _blocklist_many(call: Call) -> web.Response:
    ids = (await json_object(call.request)).get("ids")
    if not isinstance(ids, list) or not ids or not all(type(one) is int for one in ids):
        call.refuse(Wrong.INVALID_ID)
    return await _blocklist(call, ids)


async def _blocklist(call: Call, ids: list[int]) -> web.Response:
    narrow = call.traits.blocklist_checks_lists and not call.user.sees_all_lists()
    if narrow and await call.view.people.outside(ids, call.user.lists):
        call.refuse(Wrong.PERMISSION, "subscribers:manage", 403)
    await call.view.people.blocklist(ids)
    return data(True)


async def _blocklist_query(call: Call) -> web.Response:
    """Blocklist by query. What an empty one means depends on the version: in some, everybody."""
    sent = await json_object(call.request)
    query, search = str(sent.get("query") or ""), str(sent.get("search") or "")
    if query:
        if call.traits.sql_query_is_checked:
            call.process.gate.demand(call.user, ("subscribers:sql_query",))
    elif call.traits.empty_query == "query" or (call.traits.empty_query == "any" and not search and not sent.get("all")):
        call.refuse(Wrong.FIELDS, "query")
    lists = [one for one in sent.get("list_ids") or () if type(one) is int]
    try:
        await call.view.people.blocklist_by_query(query, search if call.traits.search_in_blocklist else "", lists)
    except DATABASE_ERRORS:
        call.refuse(Wrong.QUERY, status=500)
    return data(True)


async def _blocklist_bounced(call: Call) -> web.Response:
    await call.view.people.blocklist_bounced()
    return data(True)


async def _bounces(call: Call) -> web.Response:
    query = call.request.query
    page = page_of(query)
    campaign = query.get("campaign_id", "")
    rows, total = await call.view.people.bounces(int(campaign) if campaign.isdigit() else 0, query.get("source", ""), page)
    return results(rows, total, page)


async def _webhook(call: Call) -> web.Response:
    bounce = _bounce(call, await json_object(call.request))
    if not as_bool(call.process.settings["bounce.enabled"]):
        if call.traits.bounces_off_answers:
            call.refuse(Wrong.UNAVAILABLE, status=503)
        raise DroppedError
    if call.own:
        await call.process.bounces.put(bounce)
    return data(True)


def _bounce(call: Call, sent: Mapping[str, Any]) -> Bounce:
    fields = {name: sent.get(name) or "" for name in ("email", "subscriber_uuid", "campaign_uuid", "type", "source")}
    if not all(isinstance(value, str) for value in fields.values()):
        call.refuse(Wrong.DATA)
    if not fields["email"] and not fields["subscriber_uuid"]:
        call.refuse(Wrong.FIELDS, "email / subscriber_uuid")
    if fields["subscriber_uuid"] and not _is_uuid(fields["subscriber_uuid"]):
        call.refuse(Wrong.FIELDS, "subscriber_uuid")
    if fields["email"]:
        fields["email"] = _clean(call, fields["email"])
    if fields["type"] not in TYPES:
        call.refuse(Wrong.FIELDS, "type")
    return Bounce(**fields, meta=sent.get("meta") or {}, created_at=_created_at(call, sent.get("created_at")))


def _clean(call: Call, email: str) -> str:
    address = clean_address(email)
    if address is None:
        call.refuse(Wrong.FIELDS, "email")
    settings = call.process.settings
    allowed = stored_domains(settings, "privacy.domain_allowlist") if call.traits.allowlist else []
    if is_banned(address, stored_domains(settings, "privacy.domain_blocklist"), allowed):
        call.refuse(Wrong.DOMAIN)
    return address


def _created_at(call: Call, text: Any) -> datetime:
    if not text:
        return call.process.clock.wall()
    try:
        return datetime.fromisoformat(text)
    except (ValueError, TypeError):
        raise ApiError(400, "parsing time") from None


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False


def routes(process: Process) -> list[Route]:
    """Return what this version has of it, as it was set when the process started."""
    reading = needs("subscribers:get_all", "subscribers:get")
    managing = needs("subscribers:manage")
    found = [
        Route("GET", "/api/subscribers", _list, reading),
        Route("GET", "/api/subscribers/{id}", _get, reading),
        Route("PUT", "/api/subscribers/blocklist", _blocklist_many, managing),
        Route("PUT", "/api/subscribers/query/blocklist", _blocklist_query, managing),
        Route("PUT", "/api/subscribers/{id}/blocklist", _blocklist_one, managing),
        Route("GET", "/api/bounces", _bounces, needs("bounces:get")),
    ]
    if process.traits.bounced_can_be_blocklisted:
        found.append(Route("PUT", "/api/bounces/blocklist", _blocklist_bounced, managing))
    if as_bool(process.settings["bounce.webhooks_enabled"]):
        found.append(Route("POST", "/webhooks/bounce", _webhook, needs("webhooks:post_bounce")))
    return found
