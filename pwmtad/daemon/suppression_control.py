"""What people ask of suppressions: a look, to add, to take back. What changes is stored before the answer is given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, Protocol

from pwmtad.core.guard import Guard
from pwmtad.core.subjects import subject_of, written
from pwmtad.core.suppress_words import person_record
from pwmtad.core.text import clean
from pwmtad.daemon.control import RefusedError
from pwmtad.model.names import Instant
from pwmtad.model.suppression import (
    MANUAL,
    SubjectKind,
    SuppressAnswer,
    Suppression,
    SuppressionKey,
    SuppressionQuery,
    SuppressRequest,
    UnsuppressRequest,
)

_NAME_LIMIT: Final = 60
_SHOWN: Final = 5


class ListingStore(Protocol):
    """What is read of the store."""

    async def suppressions(self, query: SuppressionQuery) -> list[Suppression]:
        """Return a page. Raises StoreError."""
        ...


class SuppressionControl:
    """See the module."""

    def __init__(
        self,
        *,
        guard: Guard,
        store: ListingStore,
        commit: Callable[[], Awaitable[bool]],
        clock: Callable[[], Instant],
    ) -> None:
        self._guard = guard
        self._store = store
        self._commit = commit
        self._clock = clock

    async def suppressions(self, query: SuppressionQuery) -> list[Suppression]:
        """Return a page of what is stored, with everything that was counted until now. Raises StoreError."""
        await self._commit()
        return await self._store.suppressions(query)

    async def suppress(self, request: SuppressRequest) -> SuppressAnswer:
        """Suppress, in one stream or in all. Raises RefusedError, StoreError."""
        subjects = _read(request.subjects)
        streams = self._streams(request.stream)
        await self._commit()
        keys: list[SuppressionKey] = []
        unchanged: list[str] = []
        for kind, subject in subjects:
            stored = {row.key.stream for row in await self._rows(kind, subject) if row.key.reply_class == MANUAL}
            missing = [stream for stream in streams if stream not in stored]
            keys += [SuppressionKey(stream, kind.value, subject, MANUAL) for stream in missing]
            if not missing:
                unchanged.append(written(kind.value, subject))
        by, why, now = clean(request.by, _NAME_LIMIT), clean(request.why, 200), self._clock()
        self._guard.suppressions.put(keys, why, by, now)
        return await self._answer(keys, unchanged, "suppressed", why, by)

    async def unsuppress(self, request: UnsuppressRequest) -> SuppressAnswer:
        """Forget suppressions, whatever they are for. Raises RefusedError, StoreError."""
        subjects = _read(request.subjects)
        wanted = None if request.stream is None else self._streams(request.stream)
        await self._commit()
        keys: list[SuppressionKey] = []
        unchanged: list[str] = []
        for kind, subject in subjects:
            found = [row.key for row in await self._rows(kind, subject) if wanted is None or row.key.stream in wanted]
            keys += found
            if not found:
                unchanged.append(written(kind.value, subject))
        self._guard.suppressions.remove(keys)
        return await self._answer(keys, unchanged, "no longer suppressed", "", clean(request.by, _NAME_LIMIT))

    # -- inner

    async def _rows(self, kind: SubjectKind, subject: str) -> list[Suppression]:
        return await self._store.suppressions(SuppressionQuery(kind=kind, subject=subject, counting=True))

    def _streams(self, stream: str | None) -> Sequence[str]:
        known = list(self._guard.streams)
        if stream is None and known:
            return known
        if stream is None or stream not in known:
            names = ", ".join(sorted(known)) or "none is configured"
            wanted = "" if stream is None else f" {clean(stream, _NAME_LIMIT)!r}"
            raise RefusedError(f"there is no stream{wanted}; streams: {names}")
        return [stream]

    async def _answer(
        self, keys: Sequence[SuppressionKey], unchanged: Sequence[str], done: str, why: str, by: str
    ) -> SuppressAnswer:
        changed = {(key.kind, key.subject) for key in keys}
        now = self._clock()
        streams = dict.fromkeys(key.stream for key in keys)
        self._guard.record([person_record(stream, _of(keys, stream), done, why, by, now) for stream in streams])
        stored = await self._commit() if keys else True
        names = _listed(sorted(written(*subject) for subject in changed))
        text = f"{len(changed)} {done}: {names}" if changed else f"nothing was {done}"
        return SuppressAnswer(len(changed), tuple(unchanged), text, stored)


def _of(keys: Iterable[SuppressionKey], stream: str) -> list[SuppressionKey]:
    return [key for key in keys if key.stream == stream]


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _read(texts: Sequence[str]) -> list[tuple[SubjectKind, str]]:
    """Read what a person wrote; nothing is done where one of them is neither an address nor a domain."""
    read = [(text, subject_of(text)) for text in texts]
    wrong = [repr(clean(text, 100)) for text, subject in read if subject is None]
    if wrong:
        raise RefusedError(f"neither an address nor a domain such as @example.org: {_listed(wrong)}")
    return list(dict.fromkeys(subject for _, subject in read if subject is not None))
