"""Checks between a stream's Listmonk and the rest of the file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pwmtad.config.listmonk import LEAST_WINDOW_PER_HOUR, crosses_the_network
from pwmtad.config.partial import Table, read_section, table
from pwmtad.config.show import Path, dotted, show
from pwmtad.config.streams import WarmupSettings
from pwmtad.model.errors import ConfigError


def listmonk_mistakes(raw: Table) -> Iterator[ConfigError]:
    """Yield the mistakes around Listmonk; `file` is left empty."""
    owners: dict[str, str] = {}
    for name, stream in table(raw, "streams").items():
        listmonk = stream.get("listmonk") if isinstance(stream, Mapping) else None
        if not isinstance(stream, Mapping) or not isinstance(listmonk, Mapping):
            continue
        yield from _url_mistakes(name, listmonk, owners)
        if "database_password_file" in listmonk and "database_url" not in listmonk:
            keys = ("streams", name, "listmonk", "database_password_file")
            yield _mistake(
                keys, listmonk["database_password_file"], "no password without database_url", "set database_url as well"
            )
        yield from _window_mistakes(name, stream)


def _url_mistakes(name: str, listmonk: Table, owners: dict[str, str]) -> Iterator[ConfigError]:
    url, keys = listmonk.get("url"), ("streams", name, "listmonk", "url")
    if not isinstance(url, str):  # told already
        return
    owner = owners.setdefault(url.rstrip("/"), name)
    if owner != name:
        hint = (
            f"{dotted(('streams', owner, 'listmonk', 'url'))} is the same: Listmonk has one send window for all its campaigns"
        )
        yield _mistake(keys, url, "an instance that no other stream has", hint)
    try:
        open_to_others = url.startswith("http://") and crosses_the_network(url)
    except ValueError:  # told already
        return
    if open_to_others and listmonk.get("allow_plain_http", False) is False:
        expected = f"https://, a loopback address, or {dotted((*keys[:-1], 'allow_plain_http'))} = true"
        yield _mistake(
            keys, url, expected, "the token crosses the network as it is; on this host's own bridge that may be borne"
        )


def _window_mistakes(name: str, stream: Table) -> Iterator[ConfigError]:
    if not isinstance(stream.get("warmup"), Mapping):  # told already
        return
    warmup = read_section(WarmupSettings, stream, "warmup")
    for day, value in warmup.values.window_ladder_per_hour.rungs:
        if value < LEAST_WINDOW_PER_HOUR:
            keys = ("streams", name, "warmup", "window_ladder_per_hour", str(day))
            expected = f"at least {LEAST_WINDOW_PER_HOUR}, the smallest send window that Listmonk can be held to"
            yield _mistake(keys, value, expected)


def _mistake(path: Path, found: object, expected: str, hint: str = "") -> ConfigError:
    return ConfigError(path=dotted(path), found=show(found), expected=expected, hint=hint)
