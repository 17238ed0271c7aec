"""The functions that read what TOML gave for one key.

Each returns the value, or raises `PydanticCustomError` through `refuse` with what was expected in words and, where one can be
guessed, a hint.
"""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from typing import Annotated, Final, TypeAlias
from urllib.parse import parse_qsl, urlsplit

from msgspec import Struct
from pydantic import ConfigDict, Field, TypeAdapter
from pydantic_core import PydanticCustomError

from pwmtad.config.values import (
    LOCALHOST,
    Address,
    FileLog,
    InPostfixLog,
    JournalLog,
    Ladder,
    ListenAddress,
    Network,
    NoLog,
    OpendkimLog,
    PostfixLog,
    PostgresUrl,
    SqliteUrl,
    StoreUrl,
)

MAX_DAY: Final = 3650
"""Ten years: a later warmup day is a mistyped number, not a plan."""
MAX_RUNG: Final = 1_000_000
"""Own choice: far above what one host can send in an hour, so that a mistyped number is told."""


class Words(Struct, frozen=True):
    """What a key takes, for errors and for the documentation. Stands in the metadata of a field's type."""

    text: str


def refuse(expected: str, hint: str = "") -> PydanticCustomError:
    """Return the error that a reader raises; `expected` and `hint` reach the person who wrote the file."""
    return PydanticCustomError("refused", "{expected}", {"expected": expected, "hint": hint})


DayKey: TypeAlias = Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,3})$"), Words("a warmup day, such as 0 or 25")]
RungValue: TypeAlias = Annotated[int, Field(ge=1, le=MAX_RUNG)]

_LADDER_TABLE: Final = TypeAdapter(dict[DayKey, RungValue], config=ConfigDict(strict=True, hide_input_in_errors=True))


def read_ladder(value: object) -> Ladder:
    """Read `{ 0 = 3, 4 = 5 }`: days as keys, in the order written.

    Mistakes in keys and values are told one by one at their own path (pydantic adds a nested error's to ours).
    """
    table = _LADDER_TABLE.validate_python(value)
    ladder = Ladder(tuple((int(day), rung) for day, rung in table.items()))
    days = [day for day, _ in ladder.rungs]
    if not days or days[0] != 0 or days != sorted(days) or days[-1] > MAX_DAY:
        raise refuse(f"days ascending from 0 to at most {MAX_DAY}, such as {{ 0 = 50, 2 = 150 }}")
    return ladder


# systemd.unit(5): names are letters, digits and ":-_.\", with "@" before an instance, at most 255 characters.
_UNIT: Final = re.compile(r"[A-Za-z0-9:_.\\-]{1,200}(@[A-Za-z0-9:_.\\-]{0,200})?\.service")
_LOG_WORDS: Final = "an absolute path, or 'journal:UNIT.service'"


def read_postfix_log(value: object) -> PostfixLog:
    """Read an absolute path or `journal:UNIT.service`."""
    text = _text(value, _LOG_WORDS)
    scheme, colon, unit = text.partition(":")
    if colon and scheme == "journal":
        if not _UNIT.fullmatch(unit):
            hint = f"did you mean 'journal:{unit}.service'?" if _UNIT.fullmatch(f"{unit}.service") else ""
            raise refuse("'journal:' and the full name of a unit, such as 'journal:postfix@-.service'", hint)
        return JournalLog(unit)
    if not is_absolute(text):
        raise refuse(_LOG_WORDS)
    return FileLog(text)


def read_opendkim_log(value: object) -> OpendkimLog:
    """Read as `read_postfix_log`, or `mail.log`, or `none`."""
    words = f"{_LOG_WORDS}, or 'mail.log' (its lines are in Postfix's log), or 'none'"
    text = _text(value, words)
    if text == "mail.log":
        return InPostfixLog()
    if text == "none":
        return NoLog()
    if not text.startswith("journal:") and not is_absolute(text):
        raise refuse(words)
    return read_postfix_log(text)


_STORE_WORDS: Final = "'sqlite:/absolute/path' or 'postgresql://user@host/database'"


def read_store_url(value: object) -> StoreUrl:
    """Read `sqlite:/path` (also `sqlite:///path`) or `postgresql://...`; a password in the URL is refused."""
    text = _text(value, _STORE_WORDS)
    scheme, colon, rest = text.partition(":")
    if colon and scheme == "sqlite":
        path = rest.removeprefix("//")
        if not is_absolute(path) or path.startswith("//"):
            raise refuse("'sqlite:' and an absolute path, such as 'sqlite:/var/lib/pwmtad/pwmtad.db'")
        return SqliteUrl(path)
    if not colon or scheme not in ("postgresql", "postgres") or not text.isprintable():
        raise refuse(_STORE_WORDS)
    return _read_postgres_url(text)


def read_database_url(value: object) -> PostgresUrl:
    """Read `postgresql://...` for a database that is another program's; a password in the URL is refused."""
    words = "'postgresql://user@host/database'"
    text = _text(value, words)
    if text.partition(":")[0] not in ("postgresql", "postgres") or not text.isprintable():
        raise refuse(words)
    return _read_postgres_url(text, "database_password_file")


def _read_postgres_url(text: str, password_key: str = "store.password_file") -> PostgresUrl:  # noqa: S107  (a key's name)
    try:
        parts = urlsplit(text)
        password, port = parts.password, parts.port
    except ValueError:
        raise refuse("'postgresql://user@host:port/database' with a port from 1 to 65535") from None
    # libpq 34.1.1.2 takes any parameter in the query too, password and sslpassword among them.
    if password is not None or any("password" in key.lower() for key, _ in parse_qsl(parts.query)):
        raise refuse(
            "a URL without a password",
            f"put the password alone into a file that only pwmtad can read, and its path into {password_key}",
        )
    if port == 0 or not parts.path.strip("/") or not text.partition(":")[2].startswith("//"):
        raise refuse("'postgresql://user@host/database', with a database name")
    return PostgresUrl(text)


def read_listen_address(value: object) -> ListenAddress:
    """Read `127.0.0.1:9850`, `[::1]:9850` or `localhost:9850`."""
    words = "an IP address and a port from 1 to 65535, such as '127.0.0.1:9850' or '[::1]:9850'"
    text = _text(value, words)
    host, _, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    name = host[1:-1] if bracketed else host
    if not re.fullmatch(r"[1-9][0-9]{0,4}", port) or int(port) > 65535:
        raise refuse(words)
    if name != LOCALHOST or bracketed:
        try:
            address = ip_address(name)
        except ValueError:
            raise refuse(words) from None
        if (address.version == 6) is not bracketed:
            raise refuse(words)
    return ListenAddress(name, int(port))


def read_network(value: object) -> Network:
    """Read one IP address, or a network in CIDR form whose host bits are 0."""
    words = "an IP address or a network, such as '172.18.0.5' or '172.18.0.0/16'"
    text = _text(value, words)
    try:
        return ip_network(text)
    except ValueError:
        pass
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        raise refuse(words) from None
    raise refuse(words, f"did you mean '{network}', or '{text.partition('/')[0]}' alone?")


def read_address(value: object) -> Address:
    """Read the address that a clone binds to: unicast, and not 0.0.0.0 or ::."""
    words = "one IP address of this host"
    text = _text(value, words)
    try:
        address = ip_address(text)
    except ValueError:
        raise refuse(words) from None
    if address.is_unspecified or address.is_multicast:
        raise refuse(words)
    return address


def service_name(value: str) -> str:
    """Return the syslog name of a submission service, given with or without the daemon that ends its tag."""
    return value.removesuffix("/smtpd")


def is_absolute(path: str) -> bool:
    """Tell whether `path` is absolute and holds nothing that no path has (line breaks, NUL)."""
    return path.startswith("/") and path.isprintable()


def _text(value: object, words: str) -> str:
    if not isinstance(value, str):
        raise refuse(words)
    return value
