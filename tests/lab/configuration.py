"""pwmtad.toml of the lab's host: two streams as on a real one, and whatever a test wants otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

from tests.lab import world

Value: TypeAlias = "str | bool | int | float | list[str] | tuple[str, ...] | Mapping[int, int]"
Table: TypeAlias = Mapping[str, Value]

PATH: Final = "/etc/pwmtad/pwmtad.toml"
START_FILE: Final = "/etc/postfix/pw-warmup-start"
DEFAULT_SECTIONS: Final[Mapping[str, Table]] = {
    "log": {"postfix": "/var/log/mail.log", "opendkim": "journal:opendkim.service", "start_at": "beginning"},
    "store": {"url": "sqlite:/var/lib/pwmtad/pwmtad.db"},
    "http": {"listen": "127.0.0.1:9850"},
    "dkim": {"grace_s": 5},
    "streams.trucking": {
        "egresses": world.TRUCKING_EGRESSES,
        "pool": True,
        "ceiling_per_day": 4000,
        "injector_clients": [world.TRUCKING],
        "exempt_senders": [world.CRON_SENDER, world.TRANSACTIONAL_SENDER],
    },
    "streams.trucking.warmup": {"start_file": START_FILE},
    "streams.healthcare": {
        "egresses": world.HEALTHCARE_EGRESSES,
        "pool": False,
        "ceiling_per_day": 4000,
        "injector_clients": [world.HEALTHCARE],
        "injector_services": [f"postfix/hc{world.HEALTHCARE_PORT}"],
    },
    "streams.healthcare.warmup": {"start_file": START_FILE},
}


def toml(value: Value) -> str:
    """Return a value as TOML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {toml(each)}" for key, each in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml(each) for each in value) + "]"
    return str(value)


def configuration(mode: str, sections: Mapping[str, Mapping[str, Value | None]], more: str = "") -> str:
    """Return the file: the defaults, changed by `sections` (None takes a key away), and `more` as it is."""
    lines = [f"mode = {toml(mode)}"]
    for name in dict.fromkeys((*DEFAULT_SECTIONS, *sections)):
        values: dict[str, Value | None] = {**DEFAULT_SECTIONS.get(name, {}), **sections.get(name, {})}
        lines += ["", f"[{name}]", *(f"{key} = {toml(value)}" for key, value in values.items() if value is not None)]
    return "\n".join(lines) + "\n" + more
