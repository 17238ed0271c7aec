"""Logs that are read in another process: the same digests, the same errors, and no process left behind."""

from __future__ import annotations

import gzip
import multiprocessing
import os
import signal
from collections.abc import Sequence
from datetime import UTC
from pathlib import Path

import pytest

from pwmtad.cli.log_files import UnreadableLogError
from pwmtad.cli.log_order import LogFile, in_order
from pwmtad.cli.replay_digests import Digests
from pwmtad.core.assess import Assessor
from pwmtad.core.attribution import AnyRoutes
from pwmtad.core.classify import Classifier
from pwmtad.core.digest import Digest
from pwmtad.core.digester import Digester
from pwmtad.core.lines import LineReader
from pwmtad.model.names import SourceKind
from pwmtad.model.replies import RuleSet

DATA = Path(__file__).parents[2] / "data"


def digests(worth_bytes: int) -> Digests:
    routes = AnyRoutes("news")
    digester = Digester(SourceKind.BOTH, routes, Assessor(routes, Classifier(RuleSet((), ()))))
    return Digests(digester, lambda file: LineReader(zone=UTC, year=file.year), worth_bytes=worth_bytes, processors=2)


def files(*paths: Path) -> Sequence[LogFile]:
    return in_order([str(path) for path in paths], zone=UTC, now=1_795_500_000.0, year=2026, on_note=print)


def parts(digest: Digest) -> tuple[object, ...]:
    return (digest.kinds, [repr(at) for at in digest.times], digest.ids, [repr(one) for one in digest.more], digest.lines)


def test_another_process_makes_the_same_digests(tmp_path: Path) -> None:
    text = (DATA / "postfix-lab.traditional.log").read_bytes()
    packed, later = tmp_path / "mail.log.1.gz", tmp_path / "mail.log"
    packed.write_bytes(gzip.compress(text * 300))
    later.write_bytes((DATA / "postfix-lab.rfc3339.log").read_bytes())
    chosen = files(packed, later)
    told: dict[int, list[int]] = {0: [], 1: []}
    made = []
    for number, worth in enumerate((1 << 40, 0)):
        with digests(worth).of(chosen, told[number].append) as found:
            made.append([parts(digest) for digest in found])
    assert len(made[0]) > 10
    assert made[0] == made[1]
    assert sum(told[0]) == sum(told[1]) == sum(path.stat().st_size for path in (packed, later))
    assert multiprocessing.active_children() == []


def test_a_damaged_file_is_told_of_by_name(tmp_path: Path) -> None:
    broken = tmp_path / "mail.log.gz"
    broken.write_bytes(gzip.compress((DATA / "postfix-lab.rfc3339.log").read_bytes())[:-20])
    file = LogFile(str(broken), 0.0, 0.0, None, False)
    with pytest.raises(UnreadableLogError, match="damaged"), digests(0).of([file], None) as found:
        list(found)
    assert multiprocessing.active_children() == []


def test_who_reads_no_further_leaves_no_process_behind(tmp_path: Path) -> None:
    log = tmp_path / "mail.log"
    log.write_bytes((DATA / "postfix-lab.rfc3339.log").read_bytes() * 100)
    with digests(0).of(files(log), None) as found:
        assert next(found).kinds
    assert multiprocessing.active_children() == []


def test_a_reader_that_is_killed_is_an_error_and_not_the_end_of_the_log(tmp_path: Path) -> None:
    log = tmp_path / "mail.log"
    log.write_bytes((DATA / "postfix-lab.rfc3339.log").read_bytes() * 100)
    with digests(0).of(files(log), None) as found:
        next(found)
        child = multiprocessing.active_children()[0].pid
        assert child is not None
        os.kill(child, signal.SIGKILL)
        with pytest.raises(UnreadableLogError, match="ended before the log did"):
            list(found)
