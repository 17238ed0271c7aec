"""Checks that compare keys with one another: what no single key can be blamed for."""

from __future__ import annotations

from collections.abc import Iterator

from pwmtad.config.partial import Table, items, read_section, table
from pwmtad.config.readers import read_address
from pwmtad.config.relations_listmonk import listmonk_mistakes
from pwmtad.config.relations_streams import stream_mistakes
from pwmtad.config.sections import DkimSettings, HttpSettings, LogSettings, PostfixSettings, StoreSettings
from pwmtad.config.show import Path, dotted, show
from pwmtad.config.values import FileLog, InPostfixLog, JournalLog, SqliteUrl
from pwmtad.model.errors import ConfigError


def relation_mistakes(raw: Table) -> Iterator[ConfigError]:
    """Yield the mistakes between keys of a file; `file` is left empty."""
    yield from _log_mistakes(raw)
    yield from _store_mistakes(raw)
    yield from _http_mistakes(raw)
    yield from _dkim_mistakes(raw)
    yield from _rules_mistakes(raw)
    yield from _egress_mistakes(raw)
    yield from stream_mistakes(raw)
    yield from listmonk_mistakes(raw)


def _mistake(path: Path, found: object, expected: str, hint: str = "") -> ConfigError:
    return ConfigError(path=dotted(path), found=show(found), expected=expected, hint=hint)


def _log_mistakes(raw: Table) -> Iterator[ConfigError]:
    log = read_section(LogSettings, raw, "log")
    if not log.usable("postfix", "opendkim"):
        return
    path = ("log", "opendkim")
    match log.values.postfix, log.values.opendkim:
        case JournalLog(), InPostfixLog() as found:
            expected = "the journal, or the file, that OpenDKIM itself logs to"
            hint = "log.postfix is the journal of one unit, without OpenDKIM's lines; try 'journal:opendkim.service'"
            yield _mistake(path, found, expected, hint)
        case (FileLog() as one, FileLog() as other) | (JournalLog() as one, JournalLog() as other) if one == other:
            hint = "write 'mail.log'" if isinstance(one, FileLog) else "name OpenDKIM's own unit"
            yield _mistake(path, other, "another log than log.postfix: each line is read from one source only", hint)
        case _:
            pass


def _store_mistakes(raw: Table) -> Iterator[ConfigError]:
    store = read_section(StoreSettings, raw, "store")
    values = store.values
    if "password_file" in store.given and store.usable("url") and isinstance(values.url, SqliteUrl):
        path = ("store", "password_file")
        yield _mistake(path, values.password_file, "no password_file, as SQLite has no password", "set store.url as well")
    if store.usable("keep_minutes_h", "keep_hours_d") and values.keep_hours_d * 24 <= values.keep_minutes_h:
        expected = f"more days than store.keep_minutes_h keeps minutes ({values.keep_minutes_h} hours)"
        yield _mistake(("store", "keep_hours_d"), values.keep_hours_d, expected)


def _http_mistakes(raw: Table) -> Iterator[ConfigError]:
    http = read_section(HttpSettings, raw, "http")
    values = http.values
    if http.usable("listen", "allow_remote") and not values.listen.is_loopback and not values.allow_remote:
        hint = "anybody who reaches it can read domains and volumes; put a proxy with TLS and a password before it"
        yield _mistake(("http", "listen"), values.listen, "a loopback address, or http.allow_remote = true", hint)


def _dkim_mistakes(raw: Table) -> Iterator[ConfigError]:
    dkim = read_section(DkimSettings, raw, "dkim")
    store = read_section(StoreSettings, raw, "store")
    values, kept_s = dkim.values, store.values.keep_minutes_h * 3600
    if dkim.usable("grace_s", "lookback_s") and values.grace_s >= values.lookback_s:
        expected = f"less than dkim.lookback_s ({values.lookback_s})"
        yield _mistake(("dkim", "grace_s"), values.grace_s, expected)
    if dkim.usable("lookback_s") and store.usable("keep_minutes_h") and values.lookback_s > kept_s:
        expected = f"at most {kept_s}, as store.keep_minutes_h keeps no more"
        yield _mistake(("dkim", "lookback_s"), values.lookback_s, expected)


def _rules_mistakes(raw: Table) -> Iterator[ConfigError]:
    seen: set[str] = set()
    for place, path in items(table(raw, "rules"), "files", str):
        if path in seen:
            yield _mistake(("rules", "files", place), path, "each file once")
        seen.add(path)


def _egress_mistakes(raw: Table) -> Iterator[ConfigError]:
    postfix = read_section(PostfixSettings, raw, "postfix")
    egresses = table(raw, "egresses")
    if raw.get("egresses", {}) == {} and postfix.usable("read_master_cf") and not postfix.values.read_master_cf:
        expected = "an [egresses.NAME] table for each egress, as postfix.read_master_cf = false"
        yield _mistake(("egresses",), None, expected)
    first: dict[tuple[str, str], str] = {}
    for name in egresses:
        for key in ("address", "syslog_name"):
            value = _canonical(key, table(egresses, name).get(key))
            owner = first.setdefault((key, value), name) if value else name
            if owner != name:
                hint = f"{dotted(('egresses', owner, key))} is the same"
                expected = "an address" if key == "address" else "a syslog name"
                yield _mistake(("egresses", name, key), value, f"{expected} that no other egress has", hint)


def _canonical(key: str, value: object) -> str:
    if not isinstance(value, str):
        return ""
    if key != "address":
        return value
    try:
        return str(read_address(value))
    except ValueError:  # told already
        return ""
