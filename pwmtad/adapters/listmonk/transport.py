"""Requests to Listmonk: credentials, bounds of time and size, retries of what only reads.

A request that changes something is made once: whether it arrived is what the caller must know. aiohttp by itself repeats a PUT
whose connection was lost, carried out or not (3.14.5, client.py, IDEMPOTENT_METHODS); a middleware keeps it from that, and no
connection is used twice, so that a restart of Listmonk leaves no dead one behind.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, Self

import aiohttp
from msgspec import Struct
from typing_extensions import override

from pwmtad.config import ListmonkSettings
from pwmtad.core.text import clean
from pwmtad.model.listmonk import Failure, Trouble

MAX_BYTES: Final = 16 * 1024 * 1024
"""Longest answer: fifty campaigns without their bodies are a few hundred KiB, settings with somebody's style sheet as much."""
_MAX_TOKEN_BYTES: Final = 4096
_CONNECTIONS: Final = 8
_TRIES: Final = 3
"""Of a request that only reads, within the one timeout."""
_BACKOFF_S: Final = 0.2
"""Before the second try; doubled before the third, each times 0.5 to 1.5 by chance."""
_TEXT_LIMIT: Final = 200


class Answer(Struct, frozen=True):
    """What came back."""

    status: int
    body: bytes

    @property
    def is_refusal(self) -> bool:
        """Token or permission: final. Version 3 says 401, later ones 403."""
        return self.status in (401, 403)

    @property
    def is_failure(self) -> bool:
        """Something that may work later."""
        return self.status >= 500


class NoAnswerError(Exception):
    """Nothing that could be read came back. `arrived`: whether the request may have been carried out."""

    def __init__(self, text: str, *, arrived: bool, trouble: Trouble = Trouble.UNREACHABLE) -> None:
        super().__init__(text)
        self.arrived = arrived
        self.trouble = trouble

    @property
    def failure(self) -> Failure:
        """As a value."""
        return Failure(self.trouble, str(self))


class _LostError(Exception):
    """The connection was lost after something was sent."""


class _Credentials:
    """Name and token. Never shown."""

    def __init__(self, user: str, token: str) -> None:
        self._secrets = (token, base64.b64encode(f"{user}:{token}".encode()).decode())
        self._headers = {True: f"Basic {self._secrets[1]}", False: f"token {user}:{token}"}

    def header(self, *, basic: bool) -> str:
        """Return the header: in its own form, which version 3 does not know, or the old one."""
        return self._headers[basic]

    def hide(self, text: str) -> str:
        """Take them out of a text: a strange server may repeat what it was sent."""
        for secret in self._secrets:
            text = text.replace(secret, "[token]")
        return text

    @override
    def __repr__(self) -> str:
        return "<credentials>"


class Transport:
    """One instance's door. Made anywhere; the session begins with the first request, in the running loop."""

    def __init__(self, *, url: str, user: str, token_file: str, timeout_s: float, jitter: Callable[[], float]) -> None:
        self._url = url
        self._user = user
        self._token_file = token_file
        self._timeout_s = timeout_s
        self._jitter = jitter
        self._session: aiohttp.ClientSession | None = None
        self._credentials: _Credentials | None = None
        self._basic = False

    @classmethod
    def of(cls, settings: ListmonkSettings, jitter: Callable[[], float]) -> Self:
        """Return the door of the instance that the configuration names."""
        return cls(
            url=settings.url,
            user=settings.user,
            token_file=settings.token_file,
            timeout_s=settings.timeout_s,
            jitter=jitter,
        )

    async def get(self, path: str, query: Sequence[tuple[str, str]] = ()) -> Answer:
        """Ask, again if that failed and there is time left. Raises NoAnswerError."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._get(path, query)
        except TimeoutError:
            raise NoAnswerError(f"no answer from {self._url} within {self._timeout_s:g} s", arrived=True) from None

    async def _get(self, path: str, query: Sequence[tuple[str, str]]) -> Answer:
        wait_s = _BACKOFF_S
        for _ in range(_TRIES - 1):
            try:
                answer = await self._ask("GET", path, query, None)
                if not answer.is_failure:
                    return answer
            except NoAnswerError as error:
                if error.trouble is not Trouble.UNREACHABLE:
                    raise
            await asyncio.sleep(wait_s * (0.5 + self._jitter()))
            wait_s *= 2
        return await self._ask("GET", path, query, None)

    async def put(self, path: str, body: bytes) -> Answer:
        """Ask once, with JSON. Raises NoAnswerError, which says whether it may have arrived."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._ask("PUT", path, (), body)
        except TimeoutError:
            raise NoAnswerError(f"no answer from {self._url} within {self._timeout_s:g} s", arrived=True) from None

    async def close(self) -> None:
        """Let go of connections; a later request begins anew."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def shown(self, answer: Answer) -> str:
        """Return an answer as people may see it: status and the beginning of its text."""
        text = answer.body[: 2 * _TEXT_LIMIT].decode("utf-8", "replace")
        hidden = self._credentials.hide(text) if self._credentials is not None else text
        return clean(f"{answer.status} {hidden}".strip(), _TEXT_LIMIT)

    async def _ask(self, method: str, path: str, query: Sequence[tuple[str, str]], body: bytes | None) -> Answer:
        answer = await self._ask_once(method, path, query, body)
        if answer.status == 401 and not self._basic:
            # Version 3 knows no tokens: nothing was carried out, so the same may be asked again.
            self._basic = True
            answer = await self._ask_once(method, path, query, body)
        if answer.is_refusal:
            self._credentials = None  # the file may hold another one by the time that somebody asks again
        return answer

    async def _ask_once(self, method: str, path: str, query: Sequence[tuple[str, str]], body: bytes | None) -> Answer:
        if self._credentials is None:
            self._credentials = _Credentials(self._user, await asyncio.to_thread(_read_token, self._token_file))
        headers: Mapping[str, str] = {"Authorization": self._credentials.header(basic=self._basic)}
        if body is not None:
            headers = {**headers, "Content-Type": "application/json"}
        request = self._opened().request(
            method, f"{self._url}{path}", params=list(query), data=body, headers=headers, allow_redirects=False
        )
        try:
            async with request as response:
                return Answer(response.status, await self._read(response))
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
            raise NoAnswerError(self._words(error), arrived=False) from error
        except (_LostError, aiohttp.ClientError, OSError, ValueError) as error:
            raise NoAnswerError(self._words(error), arrived=True) from error

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=_CONNECTIONS, force_close=True),
                middlewares=(_once,),
                # A `session` cookie would make Listmonk ignore the header (auth.go:300).
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._timeout_s * 0.9),
                headers={"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "pwmtad"},
                auto_decompress=False,  # nothing grows on its way in
            )
        return self._session

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        parts, size = [], 0
        async for part in response.content.iter_any():
            size += len(part)
            if size > MAX_BYTES:
                text = f"{self._url} answers with more than {MAX_BYTES} bytes"
                raise NoAnswerError(text, arrived=True, trouble=Trouble.NONSENSE)
            parts.append(part)
        return b"".join(parts)

    def _words(self, error: BaseException) -> str:
        text = str(error) or type(error).__name__
        hidden = self._credentials.hide(text) if self._credentials is not None else text
        return clean(f"no answer from {self._url}: {hidden}", 2 * _TEXT_LIMIT)


async def _once(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Turn a lost connection into an error that aiohttp does not answer with a second request."""
    try:
        return await send(request)
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
        raise  # nothing was sent
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _LostError(str(error) or type(error).__name__) from error


def _read_token(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            data = file.read(_MAX_TOKEN_BYTES)
    except OSError as error:
        text = f"can't read the token in {path}: {error.strerror or error}"
        raise NoAnswerError(text, arrived=False, trouble=Trouble.CREDENTIALS) from error
    token = data.decode("ascii", "replace").strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token or len(data) == _MAX_TOKEN_BYTES:
        text = f"{path} holds no token: expected one line of printable characters without spaces"
        raise NoAnswerError(text, arrived=False, trouble=Trouble.CREDENTIALS)
    return token
