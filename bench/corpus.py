"""The corpus: a generated log of a busy campaign host, kept in the work folder, with the truth about it beside it."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parent.parent
_DAY: Final = "2026-03-02"


@dataclass(frozen=True, slots=True)
class Corpus:
    """A log file, how many lines it has, the day of its first line, and what its generator knows about it."""

    path: Path
    lines: int
    day: str
    truth: Mapping[str, Any]


def corpus(folder: Path, lines: int) -> Corpus:
    """Give the corpus of so many lines; it is made again only if the generator changed.

    Another process makes it, so that this one stays small: a child's peak memory is never reported below the size of the
    process that started it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stem = folder / f"corpus-{lines}-{_fingerprint()}"
    log, truth = stem.with_suffix(".log"), stem.with_suffix(".truth.json")
    if not truth.exists():
        for old in folder.glob(f"corpus-{lines}-*"):
            old.unlink()
        command = [
            sys.executable,
            "-m",
            "tests.tools.loggen",
            "corpus",
            "--lines",
            str(lines),
            "--start",
            f"{_DAY}T00:00:00+00:00",
        ]
        subprocess.run([*command, "--to", str(log), "--truth-to", str(truth)], check=True, cwd=ROOT)
    return Corpus(log, lines, _DAY, json.loads(truth.read_text(encoding="utf-8")))


def _fingerprint() -> str:
    digest = hashlib.sha256()
    for source in sorted((ROOT / "tests" / "tools" / "loggen").glob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:12]
