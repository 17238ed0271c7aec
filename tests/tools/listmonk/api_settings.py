"""Settings, restarts, logs, versions: /api/settings, /api/admin/reload, /api/logs, /api/config, /api/about, health.

In: calls. Out: answers. GET shows the database; the running engine may work with something else until it is restarted.
"""

from __future__ import annotations

import json
from typing import Any, Final

from aiohttp import web

from tests.tools.listmonk.answers import ApiError, bare, data, json_object
from tests.tools.listmonk.call import Call, Route, needs
from tests.tools.listmonk.database import read_settings, write_setting, write_settings
from tests.tools.listmonk.process import Process
from tests.tools.listmonk.settings import RefusedError, replaced, shown
from tests.tools.listmonk.shapes import WrongTypeError
from tests.tools.listmonk.texts import Wrong

RESTART_AFTER_S: Final = 0.5
"""From the answer to the end of the process. Until then the old one answers."""


async def _get_settings(call: Call) -> web.Response:
    stored = await read_settings(call.view.pool)
    try:
        return data(shown(call.traits.version, stored))
    except WrongTypeError:  # for everybody, until somebody repairs the database
        call.refuse(Wrong.DATABASE, "settings", 500)


async def _put_settings(call: Call) -> web.Response:
    sent = await json_object(call.request)
    stored = await read_settings(call.view.pool)
    try:
        shown(call.traits.version, stored)
    except WrongTypeError:
        call.refuse(Wrong.DATABASE, "settings", 500)
    try:
        new = replaced(call.traits.version, stored, sent)
    except WrongTypeError as error:
        raise ApiError(400, f"code=400, message={error}") from None
    except RefusedError as refused:
        call.refuse(refused.wrong, refused.name)
    await write_settings(call.view.pool, new)
    return _changed(call)


async def _put_setting(call: Call) -> web.Response:
    raw = await call.request.text()
    try:
        json.loads(raw or "null")
    except ValueError:
        call.refuse(Wrong.DATA)
    # No look at the type, the range, or whether there is such a key. Nothing at all is NULL, which the table refuses: 500.
    await write_setting(call.view.pool, call.request.match_info["key"], raw or None)
    return _changed(call)


def _changed(call: Call) -> web.Response:
    """With any pipe in memory nothing is applied; else the process ends half a second after the answer."""
    process = call.process
    if not call.own:
        return data(True)
    if process.engine.pipes:
        process.needs_restart = True
        return data({"needs_restart": True})
    process.end_after(RESTART_AFTER_S, "settings")
    return data(True)


async def _reload(call: Call) -> web.Response:
    call.process.end_after(RESTART_AFTER_S, "reload")
    return data(True)


async def _logs(call: Call) -> web.Response:
    return data(list(call.process.log))


async def _health(_: Call) -> web.Response:
    return data(True)


async def _config(call: Call) -> web.Response:
    config: dict[str, Any] = {
        "root_url": call.process.settings["app.root_url"],
        "lang": call.process.settings["app.lang"],
        "messengers": call.process.messengers.names,
        "needs_restart": call.process.needs_restart,
        "version": _version(call),
    }
    return data(config)


async def _about(call: Call) -> web.Response:
    """Return the one answer that is not wrapped in `data`."""
    server = await call.view.pool.fetchval("SELECT version()")
    return bare(
        {
            "version": _version(call),
            "build": "(0000000 2026-01-01T00:00:00+0000, linux/amd64)",
            "go_version": "go1.24",
            "go_arch": "amd64",
            "database": {"version": server, "size_mb": 8},
            "system": {"num_cpu": 2, "memory_alloc_mb": 20, "memory_from_os_mb": 50},
            "host": {"os": "linux", "arch": "x86_64", "hostname": call.process.options.hostname},
        }
    )


def _version(call: Call) -> str:
    return call.faults.reported_version or str(call.traits.version)


def routes(process: Process) -> list[Route]:
    """Return what this version has of it."""
    found = [
        Route("GET", "/api/settings", _get_settings, needs("settings:get")),
        Route("PUT", "/api/settings", _put_settings, needs("settings:manage")),
        Route("POST", "/api/admin/reload", _reload, needs("settings:manage")),
        Route("GET", "/api/logs", _logs, needs("settings:get")),
        Route("GET", "/api/health", _health, needs()),
        Route("GET", "/api/config", _config, needs()),
        Route("GET", "/api/about", _about, needs()),
    ]
    if process.traits.settings_by_key:
        found.append(Route("PUT", "/api/settings/{key}", _put_setting, needs("settings:manage")))
    return found
