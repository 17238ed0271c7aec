"""`pwmtad plan`: the ladders of the coming days as a table, without halts, as the configuration and the start say."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

import click

from pwmtad.adapters.config_files import read_settings
from pwmtad.adapters.stamp import read_stamp
from pwmtad.cli.check_config import DEFAULT_FILE, render
from pwmtad.cli.json_lines import encode
from pwmtad.cli.tables import Column, make_console, number, show_table
from pwmtad.config import Settings, StreamSettings
from pwmtad.core.warmup import rungs_at
from pwmtad.daemon.clock import wall_clock
from pwmtad.model.counters import DAY_S
from pwmtad.model.judgement import StreamMemory

_DAYS: Final = 30


@click.command(name="plan")
@click.option("-c", "--config", "config", default=DEFAULT_FILE, show_default=True, type=click.Path(dir_okay=False))
@click.option("--days", type=click.IntRange(1, 400), default=_DAYS, show_default=True, help="How many days to show.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per stream and day.")
def command(config: str, days: int, as_json: bool) -> None:
    """Show what the ladders allow on the coming days, if nothing halts.

    Exit code: 0, 1 if the configuration has mistakes, 2 if a stream's warmup start is not known.
    """
    settings = read_settings(config)
    if not isinstance(settings, Settings):
        click.echo(render(config, None, settings), err=True)
        raise SystemExit(1)
    code = 0
    now = wall_clock()
    for name, stream in settings.streams.items():
        start, problem = _start(stream)
        if start is None:
            click.echo(f"{name}: {problem}", err=True)
            code = 2
            continue
        rows = list(ladder_rows(name, stream, start, now, days))
        if as_json:
            for row in rows:
                click.echo(encode(row), nl=False)
        else:
            _show(name, rows)
    if code:
        raise SystemExit(code)


def ladder_rows(name: str, stream: StreamSettings, start: float, now: float, days: int) -> Iterator[dict[str, Any]]:
    """Yield a row per day from the running UTC day on."""
    memory = StreamMemory(warmup_start=start)
    today = int(now // DAY_S)
    for day in range(today, today + days):
        moment = max((day + 1) * DAY_S - 1.0, now)  # at the end of the day: what the day leads to
        rungs = rungs_at(stream, memory, moment)
        if rungs is None or moment < start:
            continue
        yield {
            "stream": name,
            "date": f"{datetime.fromtimestamp(day * DAY_S, tz=UTC):%Y-%m-%d}",
            "warmup_day": rungs.day,
            "window_per_hour": rungs.window_per_hour,
            "ceiling_per_day": stream.ceiling_per_day,
            "pool_size": rungs.pool_size if stream.pool else None,
            "egresses": list(stream.egresses_at(rungs.day)),
        }


def _start(stream: StreamSettings) -> tuple[float | None, str]:
    if stream.warmup.start_at is not None:
        return stream.warmup.start_at, ""
    reading = read_stamp(stream.warmup.start_file or "")
    return reading.start, reading.problem


def _show(name: str, rows: list[dict[str, Any]]) -> None:
    columns: tuple[Column, ...] = (
        ("date (UTC)", "left"),
        ("day", "right"),
        ("window/h", "right"),
        ("ceiling", "right"),
        ("pool", "right"),
        ("new egresses", "left"),
    )
    cells = []
    before: set[str] = set()
    for row in rows:
        fresh = [egress for egress in row["egresses"] if egress not in before]
        before = set(row["egresses"])
        pool = "fixed" if row["pool_size"] is None else number(row["pool_size"])
        cells.append(
            (
                row["date"],
                number(row["warmup_day"]),
                number(row["window_per_hour"]),
                number(row["ceiling_per_day"]),
                pool,
                " ".join(fresh),
            )
        )
    show_table(make_console(), f"Ladder of {name}, if nothing halts", columns, cells, empty="the warmup begins later")
