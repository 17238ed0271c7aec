"""A scenario: a host, its streams, how receivers behave, and what happens. Pure: the same scenario gives the same lines."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, TextIO

from tests.tools.loggen.delivery import Delivery
from tests.tools.loggen.engine import Engine
from tests.tools.loggen.ids import LongIds, Pids, QueueIds, ShortIds
from tests.tools.loggen.injection import Injection
from tests.tools.loggen.model import JOURNAL, MAIL_LOG, Egress, HostConfig, Record, Stream
from tests.tools.loggen.personas import Persona, begin_all
from tests.tools.loggen.pieces import Piece, Site
from tests.tools.loggen.receivers import known_domains
from tests.tools.loggen.truth import Truth
from tests.tools.loggen.writers import Clock, JournalWriter, LineWriter, Rfc3339, Style

_FIRST_INODE = 0x20C000


@dataclass(frozen=True, slots=True)
class Scenario:
    """All there is to know about a simulated stretch of time."""

    start: float
    """Epoch seconds of the first moment."""
    seed: int
    streams: tuple[Stream, ...]
    pieces: tuple[Piece, ...]
    until: float = float("inf")
    """Nothing is logged from here on; mail that is still deferred then stays in the queue."""
    host: HostConfig = field(default_factory=HostConfig)
    personas: Mapping[str, Persona] = field(default_factory=dict)
    """By receiver name; the others have an ordinary day."""
    pool: tuple[Egress, ...] = ()
    """Egresses in rotation at the start; the first stream's if empty."""
    style: Style = field(default_factory=Rfc3339)
    clock_steps: tuple[tuple[float, float], ...] = ()
    """(true time, seconds): the host's clock jumps."""

    def but(self, **changes: Any) -> Scenario:
        """The same scenario with some fields changed."""
        return replace(self, **changes)

    def play(self) -> Run:
        """A fresh run."""
        return Run(self)

    def mail_log(self) -> Iterator[tuple[float, str]]:
        """The lines of mail.log of a fresh run, with their true times."""
        return ((when, line) for when, place, line in Run(self) if place == MAIL_LOG)

    def journal(self) -> Iterator[tuple[float, str]]:
        """The journal's entries of a fresh run."""
        return ((when, line) for when, place, line in Run(self) if place == JOURNAL)


class Run:
    """One pass over a scenario, to be gone through once. `truth` is exact for the lines handed out so far."""

    def __init__(self, scenario: Scenario) -> None:
        self.truth = Truth(known_domains())
        clock = Clock(scenario.clock_steps)
        config = scenario.host
        self._lines = LineWriter(scenario.style, config.name, clock)
        self._entries = JournalWriter(config.name, clock)
        self._engine = engine = Engine(scenario.until)
        rng = Random(scenario.seed)
        ids: QueueIds = LongIds(_FIRST_INODE) if config.long_ids else ShortIds(_FIRST_INODE, rng, config.id_reuse_share)
        pids = Pids(1500)
        answers = begin_all(scenario.personas, rng)
        pool = scenario.pool or scenario.streams[0].egresses
        delivery = Delivery(config, engine, ids, pids, rng, answers, pool)
        delivery.bounces_go = scenario.streams[0].bounces_go
        delivery.routes = {stream.sender: stream.egresses for stream in scenario.streams if stream.fixed}
        injection = Injection(config, engine, delivery, ids, pids, rng)
        streams = {stream.name: stream for stream in scenario.streams}
        site = Site(scenario.seed, rng, config, streams, engine, injection, delivery, pids)
        for piece in scenario.pieces:
            piece.start(site)

    def __iter__(self) -> Iterator[Record]:
        """Line by line."""
        truth, line, entry = self.truth, self._lines.line, self._entries.line
        for batch in self._engine.batches():
            for when, place, body, note in batch:
                if note is not None:
                    truth.take(when, note)
                truth.count_line(place)
                yield when, place, (entry if place == JOURNAL else line)(when, body)

    def write(self, mail_log: TextIO, journal: TextIO | None = None, max_lines: int = sys.maxsize) -> Truth:
        """Write at most `max_lines` to these files; the journal's are dropped without a file for them."""
        truth, left = self.truth, max_lines
        for whole in self._engine.batches():
            batch = whole[:left]
            left -= len(batch)
            truth.take_all(batch)
            lines = self._lines.many(batch)
            truth.mail_lines += len(lines)
            truth.journal_lines += len(batch) - len(lines)
            mail_log.write("".join(lines))
            if journal is not None and len(lines) < len(batch):
                journal.writelines(self._entries.line(when, body) + "\n" for when, place, body, _ in batch if place == JOURNAL)
            if not left:
                break
        return truth
