"""`pwmtad replay`: the whole core over old logs: what the daemon would have counted, judged and done."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Any, Final, NoReturn
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from pwmtad.adapters.config_files import Loaded, load_named
from pwmtad.adapters.stamp import read_stamp
from pwmtad.cli.check_config import EXIT_MISTAKES, EXIT_UNREADABLE, UnreadableError, read_config, render
from pwmtad.cli.json_lines import close_output, encode, iso
from pwmtad.cli.log_files import UnreadableLogError
from pwmtad.cli.log_order import in_order
from pwmtad.cli.replay_report import print_report
from pwmtad.cli.replay_run import Replay
from pwmtad.cli.replay_summary import Summary
from pwmtad.cli.tables import make_console
from pwmtad.config import InPostfixLog, Settings, load_settings
from pwmtad.core.attribution import AnyRoutes
from pwmtad.core.guard import Guard
from pwmtad.core.observe import Parts
from pwmtad.core.policy import Policy
from pwmtad.core.wiring import parts_of
from pwmtad.daemon.clock import wall_clock
from pwmtad.model.errors import ConfigError
from pwmtad.model.judgement import Record
from pwmtad.model.names import Instant, StreamName

_ANY_STREAM: Final = StreamName("default")
_NO_CONFIG: Final = """
[streams.default]
egresses = [{egresses}]
pool = true

[streams.default.warmup]
start = {start}
"""
"""What a log is judged by when no configuration is given: one stream, the shipped ladders and rules."""
_EGRESSES: Final = ", ".join(f'"egress{number:02}"' for number in range(1, 21))
"""Stand-ins, as many as the shipped pool ladder asks for: which egresses there are, and their order, is not in a log."""
_NO_START: Final = "2000-01-01T00:00:00Z"
"""Without --warmup-start and configuration the ladders are taken to be at their top."""
_FILE: Final = click.Path(exists=True, dir_okay=False)


@click.command(name="replay")
@click.option(
    "-c",
    "--config",
    "config",
    type=click.Path(),
    help="Configuration; without it, one stream and the shipped rules.",
)
@click.option(
    "--mail-log",
    "mail_logs",
    type=_FILE,
    multiple=True,
    help="Log of Postfix, also .gz or `journalctl -o json`; more files may follow, in any order.",
)
@click.argument("more_mail_logs", metavar="[FILE]...", nargs=-1, type=_FILE)
@click.option(
    "--journal",
    "journals",
    type=_FILE,
    multiple=True,
    help="OpenDKIM's journal as `journalctl -o json` writes it; without --mail-log, Postfix's as well.",
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
    """Judge old logs: which halts, caps and steps the daemon would have decided on, when, and on what grounds.

    Exit code: 0, 1 if the configuration has mistakes, 2 if a file can't be read.
    """
    logs = (*mail_logs, *more_mail_logs)
    if not logs and not journals:
        raise click.UsageError("Give at least one --mail-log FILE, or --journal FILE.")
    start = None if warmup_start is None else _moment(warmup_start)
    loaded = _load(config, start)
    settings = loaded.settings
    zone = settings.log.zone if timezone is None else _zone(timezone)
    parts = parts_of(settings, loaded.rules, None)
    if config is None:
        parts = Parts(AnyRoutes(_ANY_STREAM), parts.classifier, parts.limits, parts.grace_s)
    policy = Policy(settings=settings, stop_rules=loaded.stop_rules, excluded_domains=loaded.excluded_domains)
    now = wall_clock()
    records: list[Record] = []
    try:
        # A journal alone tells what Postfix did as well (hosts without rsyslog).
        ordered = [in_order(files, zone=zone, now=now, year=year, on_note=_note) for files in (logs or journals, journals)]
        replay = Replay(
            mail_logs=ordered[0],
            journals=ordered[1] if logs else (),
            parts=parts,
            guard=Guard(policy),
            starts=_starts(settings, start),
            zone=zone,
            now=now,
            max_reasons_per_day=settings.limits.max_reasons_per_day,
            signs=config is not None and isinstance(settings.log.opendkim, InPostfixLog),
        )
        summary = replay.run(
            on_record=_write if as_json else records.append, until_first_halt=until_first_halt, progress=sys.stderr.isatty()
        )
        _tell(records, summary, config, as_json=as_json)
    except UnreadableLogError as error:
        click.echo(f"pwmtad: {error}", err=True)
        raise SystemExit(EXIT_UNREADABLE) from error
    except BrokenPipeError:
        close_output()


def decision(record: Record) -> dict[str, Any]:
    """Return a record as a line of `--json`; absent is null."""
    return {
        "kind": record.kind.value,
        "at": iso(record.at),
        "stream": record.stream,
        "rule": record.rule,
        "reason": record.reason,
        "subject": record.subject or None,
        "before": record.before or None,
        "after": record.after or None,
        "halt_id": record.halt_id or None,
        "ends_at": iso(record.ends_at),
        "evidence": [{"at": iso(line.at), "text": line.text} for line in record.evidence],
    }


def _write(record: Record) -> None:
    _write_line(decision(record))


def _write_line(line: dict[str, Any]) -> None:
    sys.stdout.buffer.write(encode(line))
    sys.stdout.buffer.flush()  # decisions are seen as they happen, also through a pipe


def _tell(records: list[Record], summary: Summary, config: str | None, *, as_json: bool) -> None:
    if as_json:
        _write_line({"kind": "summary", **summary.as_dict()})
    else:
        print_report(records, summary, make_console(), config=config)


def _note(sentence: str) -> None:
    click.echo(sentence, err=True)


# -- what to judge by


def _load(config: str | None, start: datetime | None) -> Loaded:
    if config is None:
        text = _NO_CONFIG.format(start=_NO_START if start is None else start.isoformat(), egresses=_EGRESSES)
        settings = load_settings(text.encode(), file="(no configuration)")
    else:
        try:
            settings = load_settings(read_config(config), file=config)
        except UnreadableError as error:
            click.echo(f"pwmtad: {error}", err=True)
            raise SystemExit(EXIT_UNREADABLE) from error
    loaded = load_named(settings, on_missing_list=_left_out) if isinstance(settings, Settings) else settings
    if isinstance(loaded, Loaded):
        return loaded
    return _fail(config, loaded)


def _left_out(missing: ConfigError) -> None:
    _note(f"{missing.file}: {missing.found}: its domains are not excluded in this replay")


def _fail(config: str | None, mistakes: tuple[ConfigError, ...]) -> NoReturn:
    click.echo(render(config or "(no configuration)", None, mistakes), err=True)
    raise SystemExit(EXIT_MISTAKES)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        message = f"{text!r} is no ISO 8601 moment such as 2026-06-02T00:00:00Z"
        raise click.BadParameter(message, param_hint="--warmup-start") from error


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        message = f"{name!r} is no IANA time zone such as Europe/Berlin"
        raise click.BadParameter(message, param_hint="--timezone") from error


def _starts(settings: Settings, given: datetime | None) -> dict[str, Instant]:
    if given is not None:
        return {str(name): given.timestamp() for name in settings.streams}
    starts: dict[str, Instant] = {}
    for name, stream in settings.streams.items():
        start = stream.warmup.start_at
        if start is None and stream.warmup.start_file is not None:
            reading = read_stamp(stream.warmup.start_file)
            start = reading.start
            if start is None:
                _note(f"{name}: {reading.problem}; give --warmup-start, else the ladder of day 0 is taken")
        if start is not None:
            starts[name] = start
    return starts
