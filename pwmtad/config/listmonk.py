"""A stream's Listmonk: where it is, who asks, and how it is known to be the right one."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Annotated, Final, Literal, TypeAlias
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, Field, PlainValidator

from pwmtad.config.fields import AbsolutePath, Section
from pwmtad.config.readers import Words, read_database_url, refuse
from pwmtad.config.values import LOCALHOST, PostgresUrl

LEAST_WINDOW_PER_HOUR: Final = 10
"""The smallest send window that every version can be held to with room for a restart (core.listmonk_window), rounded up to what
is let go while probing."""
_WORDS: Final = "'http://' or 'https://' with a host, such as 'http://127.0.0.1:9000'"


def _read_url(value: str) -> str:
    """Return the URL without a slash at its end. A password in it is refused: URLs show up in logs."""
    try:
        parts = urlsplit(value)
        port, credentials = parts.port, parts.username is not None or parts.password is not None
    except ValueError:
        raise refuse(f"{_WORDS} and a port from 1 to 65535") from None
    if credentials:
        hint = "put the token alone into a file that only pwmtad can read, and its path into token_file"
        raise refuse("a URL without name and password", hint)
    if not value.isprintable() or " " in value or not _is_plain(parts) or port == 0:
        raise refuse(_WORDS, "leave out /api: pwmtad adds it" if parts.path.rstrip("/").endswith("/api") else "")
    return value.rstrip("/")


def _is_plain(parts: SplitResult) -> bool:
    is_web = parts.scheme in ("http", "https") and bool(parts.hostname)
    return is_web and not parts.query and not parts.fragment and not parts.path.rstrip("/").endswith("/api")


def crosses_the_network(url: str) -> bool:
    """Tell whether what is sent to `url` leaves this host unencrypted."""
    parts = urlsplit(url)
    if parts.scheme == "https":
        return False
    host = parts.hostname or ""
    if host == LOCALHOST:
        return False
    try:
        return not ip_address(host).is_loopback
    except ValueError:
        return True


WebUrl: TypeAlias = Annotated[str, Field(max_length=300), AfterValidator(_read_url), Words(_WORDS)]


class ListmonkSettings(Section):
    """One Listmonk instance. Its send window is one for all of its campaigns, so it belongs to one stream."""

    url: WebUrl = Field(description="Where Listmonk is served, as pwmtad reaches it; a path is kept, `/api` is added.")
    allow_plain_http: bool = Field(
        default=False,
        description="Must be true for an `http://` url that is not this host's loopback (a container's address): the token "
        "crosses that network as it is.",
    )
    user: Annotated[
        str,
        Field(pattern=r"^[!-9;-~]{1,100}$"),
        Words("the name of an API user, without spaces and colons"),
    ] = Field(description="API user of Listmonk 4 and later, in version 3 its admin. The rights it needs: docs/listmonk.md.")
    token_file: AbsolutePath = Field(
        description="File that holds that user's token (in version 3 the password) and nothing else; a systemd credential is "
        "at `/run/credentials/pwmtad.service/NAME`. Read again after a refusal.",
    )
    timeout_s: float = Field(
        default=10.0,
        ge=1,
        le=60,
        allow_inf_nan=False,
        description="Seconds that one answer may take. Own choice: Listmonk answers in milliseconds, and a halt does not "
        "depend on it, because Postfix holds as well.",
    )
    root_url: WebUrl | None = Field(
        default=None,
        description="The root URL that this instance's settings must show, so that another one behind the same address is left "
        "alone. Without this key it is the one that was seen first.",
    )
    suppress: Literal["auto", "webhook", "blocklist", "off"] = Field(
        default="auto",
        description="How it is told of suppressions: by its bounce webhook, which shows the evidence beside the subscriber, or "
        "by blocklisting. `auto` takes the webhook where its `bounce.actions` blocklist at the first hard bounce, and never "
        "where they delete. Only in enforce mode. docs/suppressions.md.",
    )
    database_url: (
        Annotated[PostgresUrl, PlainValidator(read_database_url), Words("'postgresql://user@host/database'")] | None
    ) = Field(
        default=None,
        description="Listmonk's own database, for a role that may only read: subscribers are looked up there instead of by the "
        "API, and lists are searched for domains that must not be mailed. Never holds a password.",
    )
    database_password_file: AbsolutePath | None = Field(
        default=None,
        description="File that holds that role's password and nothing else; a systemd credential is at "
        "`/run/credentials/pwmtad.service/NAME`.",
    )
