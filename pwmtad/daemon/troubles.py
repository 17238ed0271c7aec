"""What is wrong with a Listmonk, told once: when it appears, when its words change, and when it is over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import structlog
from typing_extensions import override

_log = structlog.get_logger()


class Troubles(Mapping[str, str]):
    """By code (a constant word, also of the finding): what is wrong, in words."""

    def __init__(self, stream: str) -> None:
        self._stream = stream
        self._texts: dict[str, str] = {}

    @override
    def __getitem__(self, code: str) -> str:
        return self._texts[code]

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    @override
    def __len__(self) -> int:
        return len(self._texts)

    def tell(self, code: str, text: str, *, log: bool = True) -> bool:
        """Something is wrong. Return whether that is news. `log` is False where a record says it, which is logged as well."""
        if self._texts.get(code) == text:
            return False
        self._texts[code] = text
        if log:
            _log.error("listmonk_trouble_found", stream=self._stream, code=code, problem=text)
        return True

    def over(self, *codes: str) -> None:
        """It is not wrong any more."""
        for code in codes:
            if self._texts.pop(code, None) is not None:
                _log.info("listmonk_trouble_ended", stream=self._stream, code=code)
