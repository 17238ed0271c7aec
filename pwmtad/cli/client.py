"""Asks the running daemon: over its Unix socket, or over HTTP where `--url` says so.

Standard library only, so that a command starts at once.
"""

from __future__ import annotations

import http.client
import socket
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import urlencode, urlsplit

import click
import msgspec
from typing_extensions import override

from pwmtad.core import state_json
from pwmtad.core.text import clean
from pwmtad.model.control import ControlAnswer
from pwmtad.model.errors import PwmtadError
from pwmtad.model.judgement import Record
from pwmtad.model.state import State
from pwmtad.model.suppression import ShownSuppression, SuppressAnswer, SuppressRequest, UnsuppressRequest

DEFAULT_SOCKET: Final = "/run/pwmtad/pwmtad.sock"
DEFAULT_URL: Final = "http://127.0.0.1:9850"
_TIMEOUT_S: Final = 10.0
_MAX_BYTES: Final = 64 * 1024 * 1024
"""Own choice: a state has some 10 KiB; what is larger is not pwmtad's."""
_Command = TypeVar("_Command", bound=Callable[..., Any])


class UnreachableError(PwmtadError):
    """The daemon does not answer; the text says what to do."""


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("pwmtad", timeout=timeout_s)
        self._path = path

    @override
    def connect(self) -> None:
        """Connect to the socket instead of to a host."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def where_options(command: _Command) -> _Command:
    """Add the options that say where the daemon is."""
    url = click.option("--url", metavar="URL", help=f"Ask over HTTP instead, such as {DEFAULT_URL}.")
    return socket_option(url(command))


class RefusedError(PwmtadError):
    """The daemon understood and will not; the text is its own."""


def socket_option(command: _Command) -> _Command:
    """Add the option that says where the daemon's socket is; what changes something goes over it alone."""
    option = click.option("--socket", "path", default=DEFAULT_SOCKET, show_default=True, envvar="PWMTAD_SOCKET",
                          show_envvar=True, metavar="PATH", help="The daemon's Unix socket (http.socket).")  # fmt: skip
    return option(command)


def fetch_state(path: str, url: str | None) -> State:
    """Return the daemon's state. Raises UnreachableError."""
    data = _ask(path, url, "GET", "/api/v1/state")
    try:
        return state_json.decode(data)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise _not_understood(url or path, "state", error) from error


def fetch_records(path: str, *, limit: int, halt_id: str | None) -> list[Record]:
    """Return the daemon's newest records, oldest first. Raises UnreachableError or RefusedError."""
    query = {"limit": str(limit)} | ({"halt": halt_id} if halt_id else {})
    data = _ask(path, None, "GET", f"/api/v1/records?{urlencode(query)}")
    try:
        return state_json.decode_records(data)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise _not_understood(path, "records", error) from error


def order(path: str, target: str, request: msgspec.Struct) -> ControlAnswer:
    """Ask the daemon to change something. Raises UnreachableError or RefusedError."""
    data = _ask(path, None, "POST", target, msgspec.json.encode(request))
    try:
        return msgspec.json.decode(data, type=ControlAnswer)
    except msgspec.MsgspecError as error:
        raise _not_understood(path, "answer", error) from error


def fetch_suppressions(path: str, query: Sequence[tuple[str, str]]) -> list[ShownSuppression]:
    """Return a page of the daemon's suppressions. Raises UnreachableError or RefusedError."""
    data = _ask(path, None, "GET", f"/api/v1/suppressions?{urlencode(query)}")
    try:
        return state_json.decode_rows(data, ShownSuppression)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise _not_understood(path, "list of suppressions", error) from error


def order_suppressions(path: str, request: SuppressRequest | UnsuppressRequest) -> SuppressAnswer:
    """Ask the daemon to suppress, or to forget suppressions. Raises UnreachableError or RefusedError."""
    target = "/api/v1/suppressions" + ("/removals" if isinstance(request, UnsuppressRequest) else "")
    data = _ask(path, None, "POST", target, msgspec.json.encode(request))
    try:
        return msgspec.json.decode(data, type=SuppressAnswer)
    except msgspec.MsgspecError as error:
        raise _not_understood(path, "answer", error) from error


def _not_understood(place: str, what: str, error: Exception) -> UnreachableError:
    return UnreachableError(
        f"the answer from {place} is no {what} that this version understands: {clean(str(error), 200)}. "
        f"After an upgrade: systemctl restart pwmtad"
    )


def _ask(path: str, url: str | None, method: str, target: str, body: bytes | None = None) -> bytes:
    place = path if url is None else url
    try:
        return _request(_connection(path, url), method, target, body)
    except (http.client.HTTPException, ValueError) as error:  # RemoteDisconnected is an OSError as well
        raise UnreachableError(f"what answers at {place} is not pwmtad: {clean(str(error), 200)}") from error
    except OSError as error:
        raise UnreachableError(f"no answer from {place}: {why_unreachable(error, url)}") from error


def _connection(path: str, url: str | None) -> http.client.HTTPConnection:
    if url is None:
        return _UnixConnection(path, _TIMEOUT_S)
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise UnreachableError(f"{url!r} is no URL such as {DEFAULT_URL}")
    try:
        port = parts.port or 80
    except ValueError:
        raise UnreachableError(f"{url!r} has no port from 1 to 65535") from None
    return http.client.HTTPConnection(parts.hostname, port, timeout=_TIMEOUT_S)


def _request(connection: http.client.HTTPConnection, method: str, target: str, body: bytes | None) -> bytes:
    try:
        connection.request(method, target, body)
        answer = connection.getresponse()
        data = answer.read(_MAX_BYTES)
    finally:
        connection.close()
    if answer.status == 200:
        return data
    said = clean(data.decode("utf-8", "replace").strip(), 2000)
    if answer.status in (400, 409):
        raise RefusedError(said)
    raise UnreachableError(f"the daemon answers {answer.status}: {said[:200]}")


def why_unreachable(error: OSError, url: str | None) -> str:
    """Say why there is no answer, and what to do."""
    match error:
        case FileNotFoundError() | ConnectionRefusedError():
            return "the daemon does not run there. See: systemctl status pwmtad, journalctl -u pwmtad -n 20"
        case PermissionError():
            return f"permission denied. Be root or in the group pwmtad, or ask over HTTP: --url {DEFAULT_URL}"
        case TimeoutError():
            return f"it took more than {_TIMEOUT_S:.0f} s. See: systemctl status pwmtad"
        case socket.gaierror():
            return f"there is no host of the name in {url}"
        case _:
            return error.strerror or str(error)
