"""The part of the composition root that concerns what the daemon is given: its configuration, its log sources, a password.

In: files. Out: what is loaded, or every mistake in it at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pwmtad.adapters.config_files import Loaded, load_file
from pwmtad.adapters.journal import JournalSource
from pwmtad.adapters.tail import FileSource
from pwmtad.config import FileLog, JournalLog, Settings
from pwmtad.core.policy import Policy
from pwmtad.core.wiring import OPENDKIM_SOURCE, POSTFIX_SOURCE
from pwmtad.daemon.ports import LogSource
from pwmtad.model.errors import ConfigError, PwmtadError


class Mistakes(PwmtadError):
    """The configuration or the rules can't be used; `errors` has all of them."""

    def __init__(self, errors: Sequence[ConfigError]) -> None:
        super().__init__("; ".join(f"{e.file}: {e.path}: found {e.found}, expected {e.expected}" for e in errors))
        self.errors = tuple(errors)

    def as_dicts(self) -> list[dict[str, str]]:
        """Return them for a log line."""
        return [
            {"file": one.file, "path": one.path, "found": one.found, "expected": one.expected, "hint": one.hint}
            for one in self.errors
        ]


def load_all(config_path: str) -> Loaded:
    """Read and validate configuration, rules and lists wholly. Raises Mistakes."""
    loaded = load_file(config_path)
    if isinstance(loaded, Loaded):
        return loaded
    raise Mistakes(loaded)


def policy_of(loaded: Loaded, milter_accepts: bool | None) -> Policy:
    """Return what the judgement needs of what was loaded."""
    return Policy(
        settings=loaded.settings,
        stop_rules=loaded.stop_rules,
        excluded_domains=loaded.excluded_domains,
        milter_accepts=milter_accepts,
        own_domains=frozenset(domain for operator in loaded.rules.operators for domain in operator.domains),
    )


def excluded_by_any(loaded: Loaded) -> frozenset[str]:
    """Domains that no stream may mail: Postfix's table knows of no streams."""
    return frozenset().union(*loaded.excluded_domains.values())


def log_sources(settings: Settings) -> list[LogSource]:
    """Return the logs to follow."""
    sources: list[LogSource] = [_source(settings, settings.log.postfix, POSTFIX_SOURCE)]
    if isinstance(settings.log.opendkim, FileLog | JournalLog):
        sources.append(_source(settings, settings.log.opendkim, OPENDKIM_SOURCE))
    return sources


def _source(settings: Settings, place: FileLog | JournalLog, name: str) -> LogSource:
    match place:
        case FileLog(path):
            return FileSource(path, name=name, start_at=settings.log.start_at, max_line_bytes=settings.log.max_line_bytes)
        case JournalLog(unit):
            return JournalSource(unit, name=name)


def log_places(settings: Settings) -> dict[str, str]:
    """Return for people where each source reads."""
    places = {POSTFIX_SOURCE: str(settings.log.postfix)}
    if isinstance(settings.log.opendkim, FileLog | JournalLog):
        places[OPENDKIM_SOURCE] = str(settings.log.opendkim)
    return places


def store_password(path: str | None) -> str | None:
    """Read the password of the store's database. Raises PwmtadError."""
    if path is None:
        return None
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise PwmtadError(f"store.password_file: cannot read {path}: {error}") from error
