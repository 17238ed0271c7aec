"""How a stand-in is started.

In: the command line, or a test. Out: values that never change while it runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from tests.tools.listmonk.settings_keys import SMTP
from tests.tools.listmonk.shapes import zero


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """See `python -m tests.tools.listmonk --help`."""

    version: str
    database: str
    listen: str = "127.0.0.1:0"
    control: str = "127.0.0.1:0"
    """`HOST:PORT`, or `unix:/path`."""
    smtp: str = "127.0.0.1:25"
    source: str = ""
    """Local address that mail comes from."""
    hostname: str = "listmonk"
    smtp_login: tuple[str, str] = ("", "")
    """With a name, the SMTP blocks of a fresh database say AUTH PLAIN."""
    admin: tuple[str, str] = ("", "")
    user: tuple[str, str] = ("pwmtad", "token-of-pwmtad")
    """An API user (version 4 and later) of a fresh database."""
    permissions: tuple[str, ...] | None = None
    """Of that user; None: super admin."""
    settings: dict[str, Any] = {}
    """Settings of a fresh database that differ from Listmonk's own."""
    truth: Path | None = None
    speed: float = 1.0
    boot_s: float = 0.3
    """How long the port is closed in a restart."""
    exit_on_fatal: bool = False
    """A start that fails ends the program, for a supervisor to try again; else it tries again by itself."""

    def fresh_settings(self) -> dict[str, Any]:
        """Return what a fresh database gets instead of Listmonk's own: above all, one SMTP block, without a uuid."""
        host, _, port = self.smtp.rpartition(":")
        name, password = self.smtp_login
        block = {
            **zero(SMTP), "enabled": True, "host": host, "port": int(port), "auth_protocol": "plain" if name else "none",
            "username": name, "password": password, "email_headers": [], "max_conns": 10, "max_msg_retries": 2,
            "idle_timeout": "15s", "wait_timeout": "5s", "tls_type": "none",
        }  # fmt: skip
        del block["uuid"]
        return {"smtp": [block], **self.settings}
