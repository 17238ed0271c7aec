"""A progress bar on standard error, for a person who waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from pwmtad.cli.log_files import size_of


@contextmanager
def reading_bar(files: Sequence[str]) -> Iterator[Callable[[int], None]]:
    """Show how much of the files is read; yields what must be told of bytes taken from the disk. It is gone at the end."""
    columns = (TextColumn("reading"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"), TransferSpeedColumn(),
               TimeRemainingColumn())  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("reading", total=sum(size_of(file) for file in files))
        yield lambda count: progress.advance(task, count)
