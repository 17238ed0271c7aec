"""The composition root of the root helper: what `pwmtad helper` runs from start to stop.

Where Postfix is comes from the command line or a file that only root writes, never from the daemon: a configuration directory
of somebody else's choice would be somebody else's programs, run as root.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import signal
import socket
import stat
import tomllib
from collections.abc import Sequence
from typing import Final

import structlog
from msgspec import Struct

from pwmtad import __version__
from pwmtad.adapters.helper import HelperServer, bound, inherited
from pwmtad.adapters.postfix_writer import PostfixWriter
from pwmtad.adapters.systemd import Notifier
from pwmtad.config import PostfixSettings
from pwmtad.config.partial import read_section
from pwmtad.model.errors import PwmtadError

STATE_DIRECTORY: Final = "/var/lib/pwmtad-helper"
USER: Final = "pwmtad"

_log = structlog.get_logger()


class HelperOptions(Struct, frozen=True):
    """What the command line says; None: the configuration file says it."""

    config: str
    config_directory: str | None = None
    queue_directory: str | None = None
    socket: str | None = None
    state_directory: str = STATE_DIRECTORY
    users: Sequence[str] = (USER,)
    """Who may ask, besides root."""


async def serve(options: HelperOptions) -> None:
    """Serve until SIGTERM. Raises PwmtadError for what a person must put right first."""
    settings = _settings(options)
    users = [_user(name) for name in options.users]
    writer = PostfixWriter(settings.config_directory, settings.queue_directory, options.state_directory)
    writer.open()
    try:
        server = HelperServer(writer, allowed=[user.pw_uid for user in users])
        await server.start(_listener(settings.helper_socket, users))
        await _until_end(server, settings)
    finally:
        writer.close()


async def _until_end(server: HelperServer, settings: PostfixSettings) -> None:
    ended, notifier = asyncio.Event(), Notifier()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    notifier.ready()
    _log.info("helper_started", version=__version__, config_directory=settings.config_directory)
    await ended.wait()
    notifier.stopping()
    await server.stop()
    _log.info("helper_stopped")


def _listener(path: str, users: Sequence[pwd.struct_passwd]) -> socket.socket:
    passed = inherited(os.environ, os.getpid())
    if passed is not None:
        return passed
    group = next((user.pw_gid for user in users if user.pw_uid != 0), None)
    return bound(path, group)


def _settings(options: HelperOptions) -> PostfixSettings:
    """Read the [postfix] table alone: a mistake elsewhere in the file must not keep a halt from being carried out."""
    try:
        with open(options.config, "rb") as file:
            _root_only(options.config, file.fileno())
            raw = tomllib.load(file)
    except FileNotFoundError:
        raw = {}  # the defaults, and what the command line says
    except OSError as error:
        raise PwmtadError(f"can't read {options.config}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PwmtadError(f"{options.config} is no TOML: {error}. pwmtad check-config says more") from error
    read = read_section(PostfixSettings, raw, "postfix")
    if read.refused:
        raise PwmtadError(f"{options.config}: postfix.{', '.join(sorted(read.refused))} can't be used: pwmtad check-config")
    chosen = {
        "config_directory": options.config_directory,
        "queue_directory": options.queue_directory,
        "helper_socket": options.socket,
    }
    return read.values.model_copy(update={name: value for name, value in chosen.items() if value is not None})


def _root_only(path: str, descriptor: int) -> None:
    """Refuse a file that others than root can write or replace. Raises PwmtadError."""
    for found in (os.fstat(descriptor), os.stat(os.path.dirname(os.path.abspath(path)))):
        if found.st_uid != 0 or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise PwmtadError(
                f"{path} says where Postfix is, and it or its directory can be written by others than root: "
                f"chown root and chmod go-w them"
            )


def _user(name: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        raise PwmtadError(f"there is no user {name} to serve: systemd-sysusers makes it, or choose --allow-user") from None
