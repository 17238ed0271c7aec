"""Reads configuration and rules from files. Mistakes come back as values, all at once; nothing is half applied."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from importlib import resources
from pathlib import Path

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
    loaded: list[tuple[str, bytes]] = shipped_rules()
    errors: list[ConfigError] = []
    for file in files:
        data = _read(file)
        if isinstance(data, ConfigError):
            errors.append(data)
        else:
            loaded.append((file, data))
    rules = load_rules(loaded)
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
    loaded: list[tuple[str, bytes]] = [(f"pwmtad/rules/stop/{name}", shipped)]
    errors: list[ConfigError] = []
    for file in files:
        data = _read(file)
        if isinstance(data, ConfigError):
            errors.append(data)
        else:
            loaded.append((file, data))
    stop_rules = load_stop_rules(loaded, rules)
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


def check_named_files(settings: Settings | None) -> tuple[ConfigError, ...]:
    """Check everything that the configuration names: rules with their samples, stop rules, operators, lists.

    With a configuration that has mistakes itself (None) the shipped rules are checked all the same.
    """
    rules = read_rules(settings.rules.files if settings is not None else ())
    if not isinstance(rules, RuleSet):
        return rules
    stop_rules = read_stop_rules(settings.rules.stop_files if settings is not None else (), rules)
    errors = [item for item in stop_rules if isinstance(item, ConfigError)]
    for name, stream in (settings.streams if settings is not None else {}).items():
        known = sorted(operator.name for operator in rules.operators)
        for operator in stream.excluded_operators:
            if operator not in known:
                close = get_close_matches(operator, known, n=1)
                hint = f"did you mean {close[0]!r}?" if close else ""
                path = f"streams.{name}.excluded_operators"
                errors.append(ConfigError(path, repr(operator), "one of " + ", ".join(known), hint))
        if stream.excluded_domains_file is not None:
            domains = read_domains(stream.excluded_domains_file)
            if isinstance(domains, ConfigError):
                errors.append(domains)
    return tuple(errors)
