"""Reads configuration and rules from files. Mistakes come back as values, all at once; nothing is half applied."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from importlib import resources
from pathlib import Path

from msgspec import Struct

from pwmtad.config import Settings, load_settings
from pwmtad.config.rule_files import load_rules
from pwmtad.config.stop_rules import load_stop_rules
from pwmtad.core.rule_check import check_samples
from pwmtad.model.errors import ConfigError, PwmtadError
from pwmtad.model.judgement import StopRule
from pwmtad.model.replies import RuleSet


def read_settings(path: str) -> Settings | tuple[ConfigError, ...]:
    """Read and validate the configuration file."""
    data = _read(path)
    return (data,) if isinstance(data, ConfigError) else load_settings(data, file=path)


def read_rules(files: Sequence[str]) -> RuleSet | tuple[ConfigError, ...]:
    """Read the shipped rules and then `files`, which may override them; run every rule's samples."""
    own, errors = _read_all(files)
    rules = load_rules([*shipped_rules(), *own])
    if not isinstance(rules, RuleSet):
        return (*errors, *rules)
    errors.extend(check_samples(rules))
    return tuple(errors) if errors else rules


def shipped_rules() -> list[tuple[str, bytes]]:
    """Return (name, content) of the rules files that are part of the package, in the order of their names."""
    folder = resources.files("pwmtad.rules")
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".toml"))
    return [(f"pwmtad/rules/{name}", (folder / name).read_bytes()) for name in names]


def read_stop_rules(files: Sequence[str], rules: RuleSet) -> tuple[StopRule, ...] | tuple[ConfigError, ...]:
    """Read the shipped stop rules and then `files`, which may override them."""
    name = "stop-rules.toml"
    shipped = (resources.files("pwmtad.rules.stop") / name).read_bytes()
    own, errors = _read_all(files)
    stop_rules = load_stop_rules([(f"pwmtad/rules/stop/{name}", shipped), *own], rules)
    found = [item for item in stop_rules if isinstance(item, ConfigError)]
    return (*errors, *found) if errors or found else stop_rules


def read_domains(path: str) -> frozenset[str] | ConfigError:
    """Read a file of recipient domains: one a line, `#` begins a comment."""
    data = _read(path)
    if isinstance(data, ConfigError):
        return data
    lines = (line.partition(b"#")[0].strip().lower() for line in data.splitlines())
    return frozenset(line.decode("utf-8", "replace").rstrip(".") for line in lines if line)


def load_rules_or_fail(files: Sequence[str]) -> RuleSet:
    """Return the rules for a command that can't go on without them; samples are not run (`check-config` does).

    Raises PwmtadError with all mistakes in words.
    """
    loaded = [*shipped_rules(), *((file, Path(file).read_bytes()) for file in files)]
    rules = load_rules(loaded)
    if isinstance(rules, RuleSet):
        return rules
    raise PwmtadError("\n".join(f"{error.file}: {error.path}: {error.found}: {error.expected}" for error in rules))


def _read_all(files: Sequence[str]) -> tuple[list[tuple[str, bytes]], list[ConfigError]]:
    """Return (name, content) of the files that could be read, and a mistake for each that could not."""
    contents = [(file, _read(file)) for file in files]
    read = [(file, data) for file, data in contents if not isinstance(data, ConfigError)]
    return read, [data for _, data in contents if isinstance(data, ConfigError)]


def _read(path: str) -> bytes | ConfigError:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        return ConfigError(
            path="(file)",
            found=error.strerror or str(error),
            expected="a file that this user can read",
            hint="check the path and its permissions",
            file=path,
        )


class Loaded(Struct, frozen=True):
    """A valid configuration with everything that it names."""

    settings: Settings
    rules: RuleSet
    stop_rules: tuple[StopRule, ...]
    excluded_domains: dict[str, frozenset[str]]
    """By stream: `excluded_domains` and the content of its `excluded_domains_file`."""


def load_named(
    settings: Settings, *, on_missing_list: Callable[[ConfigError], None] | None = None
) -> Loaded | tuple[ConfigError, ...]:
    """Read everything that the configuration names: rules with their samples, stop rules, operators, lists of domains.

    The daemon, `check-config` and `replay` all come here, so none takes what another refuses. `on_missing_list`: is told of a
    list that can't be read, which is then left out (an old log is judged on another host); without it that is a mistake.
    """
    rules = read_rules(settings.rules.files)
    if not isinstance(rules, RuleSet):
        return rules
    stop_rules = read_stop_rules(settings.rules.stop_files, rules)
    mistakes = [item for item in stop_rules if isinstance(item, ConfigError)]
    excluded: dict[str, frozenset[str]] = {}
    for name, stream in settings.streams.items():
        mistakes += _unknown_operators(f"streams.{name}.excluded_operators", stream.excluded_operators, rules)
        if stream.kept_out:
            excluded[name] = frozenset(stream.kept_out)
        if stream.excluded_domains_file is None:
            continue
        domains = read_domains(stream.excluded_domains_file)
        if not isinstance(domains, ConfigError):
            excluded[name] = domains | frozenset(stream.kept_out)
        elif on_missing_list is not None:
            on_missing_list(domains)
        else:
            mistakes.append(domains)
    if mistakes:
        return tuple(mistakes)
    return Loaded(settings, rules, tuple(item for item in stop_rules if isinstance(item, StopRule)), excluded)


def load_file(path: str) -> Loaded | tuple[ConfigError, ...]:
    """Read a configuration file and everything that it names."""
    settings = read_settings(path)
    return load_named(settings) if isinstance(settings, Settings) else settings


def check_named_files(settings: Settings | None) -> tuple[ConfigError, ...]:
    """Return the mistakes in what the configuration names.

    With a configuration that has mistakes itself (None) the shipped rules are checked all the same.
    """
    loaded = load_named(settings if settings is not None else Settings())
    return () if isinstance(loaded, Loaded) else loaded


def _unknown_operators(path: str, names: Sequence[str], rules: RuleSet) -> list[ConfigError]:
    """An excluded operator that there is not would never be recognised, and its mail never stopped."""
    known = sorted(operator.name for operator in rules.operators)
    errors = []
    for name in names:
        if name not in known:
            close = get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else ""
            errors.append(ConfigError(path, repr(name), "one of " + ", ".join(known), hint))
    return errors
