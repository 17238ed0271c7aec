"""`pwmtad replay`: the whole core over old logs: what the daemon would have counted, judged and done."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, NoReturn
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click
from rich.console import Console

from pwmtad.adapters.config_files import read_domains, read_rules, read_settings, read_stop_rules
from pwmtad.adapters.stamp import read_stamp
from pwmtad.cli.check_config import render
from pwmtad.cli.json_lines import encode
from pwmtad.cli.replay_report import print_report
from pwmtad.cli.replay_run import Replay, Summary
from pwmtad.config import Settings, load_settings
from pwmtad.core.attribution import AnyRoutes
from pwmtad.core.guard import Guard, Policy
from pwmtad.core.observe import Parts
from pwmtad.core.wiring import parts_of
from pwmtad.model.errors import ConfigError
from pwmtad.model.judgement import Record, StopRule
from pwmtad.model.names import StreamName
from pwmtad.model.replies import RuleSet

_ANY_STREAM: Final = StreamName("default")
_NO_CONFIG: Final = """
[postfix]
read_master_cf = true

[streams.default]
egresses = [{egresses}]
pool = true

[streams.default.warmup]
start = {start}
"""
"""What a log is judged by when no configuration is given: one stream, the shipped ladders and rules."""
_NO_START: Final = "2000-01-01T00:00:00Z"
"""Without --warmup-start and configuration the ladders are taken to be at their top."""


_FILE = click.Path(exists=True, dir_okay=False)


@click.command(name="replay")
@click.option(
    "-c",
    "--config",
    "config",
    type=click.Path(dir_okay=False),
    help="Configuration; without it, one stream and the shipped rules.",
)
@click.option(
    "--mail-log",
    "mail_logs",
    type=_FILE,
    multiple=True,
    required=True,
    help="Log of Postfix, also .gz; more files may follow, in any order.",
)
@click.argument("more_mail_logs", nargs=-1, type=_FILE)
@click.option(
    "--journal",
    "journals",
    type=_FILE,
    multiple=True,
    help="OpenDKIM's journal as `journalctl -o json` writes it.",
)
@click.option("--warmup-start", metavar="ISO", help="Moment of warmup day 0 of every stream.")
@click.option("--year", type=click.IntRange(1970, 9998), help="Year of the first line, for traditional timestamps.")
@click.option("--timezone", help="Zone of traditional timestamps, an IANA name; default: the configuration's, or UTC.")
@click.option("--until-first-halt", is_flag=True, help="Stop reading at the first halt.")
@click.option("--json", "as_json", is_flag=True, help="Decisions as JSON Lines, then a summary.")
def command(
    config: str | None,
    mail_logs: tuple[str, ...],
    more_mail_logs: tuple[str, ...],
    journals: tuple[str, ...],
    warmup_start: str | None,
    year: int | None,
    timezone: str | None,
    until_first_halt: bool,
    as_json: bool,
) -> None:
    """Judge old logs: which halts, caps and steps the daemon would have decided on, when, and on what grounds."""
    settings, rules, stop_rules = _load(config, warmup_start)
    zone = _zone(timezone) if timezone is not None else settings.log.zone
    starts = _starts(settings, warmup_start)
    parts = parts_of(settings, rules, None)
    if config is None:
        parts = Parts(AnyRoutes(_ANY_STREAM), parts.classifier, parts.limits, parts.grace_s)
    policy = Policy(settings=settings, stop_rules=stop_rules, excluded_domains=_excluded(settings))
    replay = Replay(
        mail_logs=(*mail_logs, *more_mail_logs),
        journals=journals,
        parts=parts,
        guard=Guard(policy),
        starts=starts,
        zone=zone,
        year=year,
        max_reasons_per_day=settings.limits.max_reasons_per_day,
    )
    records: list[Record] = []
    summary = replay.run(on_record=_writer(records, as_json), until_first_halt=until_first_halt, progress=sys.stderr.isatty())
    if as_json:
        sys.stdout.buffer.write(encode({"kind": "summary", **summary.as_dict()}))
        sys.stdout.buffer.flush()
    else:
        print_report(records, summary, Console())


def _writer(records: list[Record], as_json: bool) -> Callable[[Record], None]:
    if not as_json:
        return records.append

    def write(record: Record) -> None:
        sys.stdout.buffer.write(encode(decision(record)))

    return write


def decision(record: Record) -> dict[str, Any]:
    """Return a record as a line of `--json`; absent is null."""
    return {
        "kind": record.kind.value,
        "at": _iso(record.at),
        "stream": record.stream,
        "rule": record.rule,
        "reason": record.reason,
        "subject": record.subject or None,
        "before": record.before or None,
        "after": record.after or None,
        "halt_id": record.halt_id or None,
        "ends_at": None if record.ends_at is None else _iso(record.ends_at),
        "evidence": [{"at": _iso(line.at), "text": line.text} for line in record.evidence],
    }


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, tz=UTC).isoformat()


def _load(config: str | None, warmup_start: str | None) -> tuple[Settings, RuleSet, tuple[StopRule, ...]]:
    if config is not None:
        settings = read_settings(config)
    else:
        start = _moment(warmup_start).isoformat() if warmup_start is not None else _NO_START
        egresses = ", ".join(f'"out{number:02}"' for number in range(1, 21))
        settings = load_settings(_NO_CONFIG.format(start=start, egresses=egresses).encode(), file="(no configuration)")
    if not isinstance(settings, Settings):
        _fail(config, settings)
    rules = read_rules(settings.rules.files)
    if not isinstance(rules, RuleSet):
        _fail(config, rules)
    stop_rules = read_stop_rules(settings.rules.stop_files, rules)
    mistakes = [item for item in stop_rules if isinstance(item, ConfigError)]
    if mistakes:
        _fail(config, tuple(mistakes))
    return settings, rules, tuple(item for item in stop_rules if isinstance(item, StopRule))


def _fail(config: str | None, mistakes: tuple[ConfigError, ...]) -> NoReturn:
    click.echo(render(config or "(no configuration)", None, mistakes), err=True)
    raise SystemExit(1)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        message = f"{text!r} is no ISO 8601 moment such as 2026-06-02T00:00:00Z"
        raise click.BadParameter(message, param_hint="--warmup-start") from error
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        message = f"{name!r} is no IANA time zone such as Europe/Berlin"
        raise click.BadParameter(message, param_hint="--timezone") from error


def _starts(settings: Settings, warmup_start: str | None) -> dict[str, float]:
    if warmup_start is not None:
        return {str(name): _moment(warmup_start).timestamp() for name in settings.streams}
    starts: dict[str, float] = {}
    for name, stream in settings.streams.items():
        start = stream.warmup.start_at
        if start is None and stream.warmup.start_file is not None:
            start = read_stamp(stream.warmup.start_file).start
        if start is not None:
            starts[name] = start
    return starts


def _excluded(settings: Settings) -> dict[str, frozenset[str]]:
    excluded: dict[str, frozenset[str]] = {}
    for name, stream in settings.streams.items():
        if stream.excluded_domains_file is not None:
            domains = read_domains(stream.excluded_domains_file)
            if isinstance(domains, frozenset):
                excluded[name] = domains
            else:
                click.echo(f"{stream.excluded_domains_file}: {domains.found}: not excluded in this replay", err=True)
    return excluded


__all__ = ["Summary", "command", "decision"]
