"""The real daemon in front of a long log: it is ready at once, says how far it is, and goes on ticking."""

from __future__ import annotations

from itertools import islice, pairwise
from pathlib import Path

from pwmtad.daemon.clock import wall_clock
from tests.tools.daemon import RunningDaemon, stream_tables, until
from tests.tools.loggen.scenarios import campaign_host

LINES = 300_000
"""Some seconds of reading, so that ticks, which are a second apart, see more than one state of it."""
HOUR = 3600.0


def backlog(path: Path, lines: int, span_s: float) -> None:
    """Write what a campaign host logged since `span_s` ago: its first 60,000 lines are 27 minutes, 300,000 are 130."""
    scenario = campaign_host(wall_clock() - span_s)
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="\n") as log:
        log.writelines(f"{line}\n" for _, line in islice(scenario.mail_log(), lines))


def test_a_backlog_is_read_with_its_progress_shown_while_ticks_go_on(tmp_path: Path) -> None:
    tables = stream_tables(campaign_host(0.0).streams, "2026-03-02T00:00:00Z")
    with RunningDaemon(tmp_path, tables=tables) as daemon:
        backlog(daemon.log, LINES, 3 * HOUR)
        daemon.start()
        shares: list[float] = []
        ticks: list[int] = []

        def read() -> bool:
            state = daemon.state()
            source = state.sources[0]
            if source.progress is not None:
                assert f"reading mail.log ({source.progress:.0%})" in state.summary
                shares.append(source.progress)
                ticks.append(state.ticks)
            return source.caught_up

        until("the backlog is read", read)
        assert len(set(shares)) > 2
        assert all(before <= after for before, after in pairwise(shares))
        assert 0 <= shares[0] < shares[-1] <= 1
        assert ticks[-1] > ticks[0]
        state = daemon.state()
        assert state.sources[0].lines == LINES
        assert "reading" not in state.summary
        metrics = daemon.metrics()
        assert metrics['pwmtad_tick_interval_seconds_bucket{le="+Inf"}'] >= ticks[-1] - 1
        assert metrics['pwmtad_latency_seconds_bucket{le="+Inf",stage="verdict"}'] == 0  # a backlog is not late


def test_lines_that_come_live_have_their_latency_measured(tmp_path: Path) -> None:
    tables = stream_tables(campaign_host(0.0).streams, "2026-03-02T00:00:00Z")
    with RunningDaemon(tmp_path, tables=tables) as daemon:
        daemon.log.touch()
        daemon.start()
        until("the log is read", lambda: daemon.state().sources[0].caught_up)
        backlog(daemon.log, 60_000, HOUR / 2)
        counts = ('pwmtad_latency_seconds_count{stage="event"}', 'pwmtad_latency_seconds_count{stage="verdict"}')
        until("it is measured", lambda: all(daemon.metrics().get(name, 0) >= 1 for name in counts))
