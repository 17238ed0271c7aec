"""What Postfix is set up to do, as far as it was read."""

from __future__ import annotations

from msgspec import Struct


class Clone(Struct, frozen=True):
    """One smtp service of master.cf. None: the option is not set there."""

    name: str
    bind_address: str | None = None
    bind_address6: str | None = None
    bind_enforced: bool = False
    helo_name: str | None = None
    syslog_name: str | None = None
    """As the log shows it, with `$service_name` and `$syslog_name` expanded."""
    inet_protocols: str | None = None
    """What it may speak, main.cf's value where master.cf has none; None: not read."""
