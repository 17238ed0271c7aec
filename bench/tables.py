"""What is in the daemon's memory, table by table, and what the allocators keep besides.

Resident memory alone does not tell a table that grows from pages that an allocator does not give back. So here is both: the
size of everything that an object of the core refers to, and what CPython's allocator (for objects up to 512 bytes) and the C
library's (for dictionaries, lists and SQLite) hold for free.
"""

from __future__ import annotations

import ctypes
import gc
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import BuiltinFunctionType, FrameType, FunctionType, MethodType, ModuleType
from typing import Final

_APART: Final = (type, ModuleType, FunctionType, BuiltinFunctionType, MethodType, FrameType)
"""The program itself."""
_OURS: Final = "pwmtad."
_SMALL: Final = 200_000
"""Bytes below which a table is not worth a line."""


def rss_mib() -> float:
    """Resident memory of this process."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def sizes(name: str, root: object) -> dict[str, tuple[int, int]]:
    """Bytes and entries by table. What two tables share counts for the one that is met first."""
    seen = {id(root)}
    found: dict[str, tuple[int, int]] = {}
    waiting = [(name, root)]
    while waiting:  # breadth first: an object that is known by a short name is not counted under a long one
        path, owner = waiting.pop(0)
        for attribute, value in _attributes(owner):
            if id(value) in seen or isinstance(value, _APART):
                continue
            if type(value).__module__.startswith(_OURS) and not isinstance(value, tuple):
                seen.add(id(value))
                waiting.append((f"{path}.{attribute}", value))
            else:
                size = _deep(value, seen)
                if size > _SMALL:
                    found[f"{path}.{attribute}"] = size, len(value) if hasattr(value, "__len__") else 1
    return dict(sorted(found.items(), key=lambda item: -item[1][0]))


def _attributes(owner: object) -> Iterator[tuple[str, object]]:
    names = list(getattr(owner, "__dict__", ()))
    for base in type(owner).__mro__:
        for declared in ("__slots__", "__struct_fields__"):
            found = base.__dict__.get(declared)
            names += found if isinstance(found, tuple) else ()
    for name in names:
        value = getattr(owner, name, None)
        if value is not None:
            yield name, value
            if isinstance(value, dict) and len(value) < 100:  # one for each stream
                for key, one in value.items():
                    if type(one).__module__.startswith(_OURS):
                        yield f"{name}[{key}]", one


def _deep(value: object, seen: set[int]) -> int:
    size, stack = 0, [value]
    while stack:
        one = stack.pop()
        if id(one) in seen or isinstance(one, _APART):
            continue
        seen.add(id(one))
        size += sys.getsizeof(one)
        stack += gc.get_referents(one)
        stack += one if isinstance(one, dict) else ()  # of a dictionary whose keys are all text it names the values only
    return size


class _MallInfo(ctypes.Structure):
    """Of mallinfo2(3), glibc 2.33 and later."""

    _names = ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")
    _fields_ = tuple((name, ctypes.c_size_t) for name in _names)


def allocators() -> dict[str, float]:
    """MiB: resident; in CPython's arenas and free there; in the C library's heaps and free there; in maps of their own."""
    libc = ctypes.CDLL(None)
    libc.mallinfo2.restype = _MallInfo
    info = libc.mallinfo2()
    arenas, free = _pymalloc()
    found = {
        "arenas": arenas,
        "free there": free,
        "heap": info.arena,
        "free in it": info.fordblks,
        "maps": info.hblkhd,
    }
    return {"rss": rss_mib()} | {name: size / 2**20 for name, size in found.items()}


def _pymalloc() -> tuple[int, int]:
    """Bytes in arenas, and of those free. CPython tells it on its standard error only."""
    with tempfile.TemporaryFile() as taken:
        kept = os.dup(2)
        os.dup2(taken.fileno(), 2)
        try:
            sys._debugmallocstats()
        finally:
            os.dup2(kept, 2)
            os.close(kept)
        taken.seek(0)
        text = taken.read().decode()
    total, used = (
        int(found[1].replace(",", "")) if (found := re.search(pattern, text)) else 0
        for pattern in (r"arenas \* \d+ bytes/arena\s*=\s*([\d,]+)", r"# bytes in allocated blocks\s*=\s*([\d,]+)")
    )
    return total, total - used
