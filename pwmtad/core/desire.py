"""From what was judged to what should be: pool, window, and whether a stream may send at all.

Properties that tests hold for every input: the window is never above its ladder and never 0, the pool is never empty while
there is a usable egress, and worse counters never give a larger window or pool.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from pwmtad.core.halts import ceiling_name, no_egress_name, standing
from pwmtad.core.judge import StreamJudge
from pwmtad.core.warmup import GROWTH_INTERVAL_S, Rungs, next_rung, rungs_at
from pwmtad.model.counters import DAY_S
from pwmtad.model.judgement import Desired, Halt, HaltPhase, Record, RecordKind, Scope
from pwmtad.model.names import Instant

LADDER_RULE = "ladder"


def desire(judge: StreamJudge, now: Instant, *, broken: Collection[str] = ()) -> Desired:
    """Return what the stream should look like now. Reads only; `grow` moves the remembered rungs first.

    `broken`: egresses that can't be used, besides those that are halted.
    """
    rungs = rungs_at(judge.settings, judge.memory, now)
    held = sorted(standing(judge.halts.values()), key=lambda halt: (halt.started_at, halt.id))
    out = {halt.subject for halt in held if halt.scope is Scope.EGRESS} | set(broken)
    usable = judge.settings.usable_egresses
    able = tuple(egress for egress in usable if egress not in out)
    capped = judge.memory.capped_day >= int(now // DAY_S)
    window = _window(judge, rungs)
    probe_limit = min(judge.policy.probe_per_hour, window) if _is_probing(judge) else None
    reasons = [f"{halt.rule} ({halt.id})" for halt in held]
    reasons += ["ceiling"] if capped else []
    reasons += ["no egress can be used"] if not able else []
    reasons += ["the warmup start is not known"] if rungs is None else []
    return Desired(
        stream=judge.name,
        day=None if rungs is None else rungs.day,
        effective_day=None if rungs is None else rungs.effective_day,
        pool=_pool(judge, able or usable),
        window_per_hour=window if probe_limit is None else probe_limit,
        # With every egress broken or halted mail would leave from a wrong address, or not at all.
        sending=not _is_stopped(judge) and not capped and bool(able),
        probe_limit=probe_limit,
        held_operators=tuple(sorted(halt.subject for halt in held if halt.scope is Scope.OPERATOR)),
        broken_egresses=tuple(sorted(out)),
        growth=_may_grow(judge, now),
        reasons=tuple(reasons),
        held_by=_held_by(judge, [halt for halt in held if halt.scope is Scope.STREAM], able=bool(able), now=now),
    )


def _held_by(judge: StreamJudge, held: Sequence[Halt], *, able: bool, now: Instant) -> str:
    """What Postfix says of the mail that waits, and by what a daemon without a memory knows the pause again."""
    if held:
        return held[0].id
    if judge.memory.capped_day >= int(now // DAY_S):
        return ceiling_name(judge.name, judge.memory.capped_day)
    return "" if able else no_egress_name(judge.name)


def grow(judge: StreamJudge, now: Instant) -> list[Record]:
    """Move the remembered window and pool to what the ladders allow: down at once, up by one rung and one step a look.

    With nothing remembered (first start, lost store) the rungs are taken as they are, but a pool that was found smaller climbs.
    """
    memory = judge.memory
    rungs = rungs_at(judge.settings, memory, now)
    if rungs is None:
        return []
    if rungs.day > memory.highest_day and not memory.unknown:
        # While the clock or the stamp is in doubt the day may be wrong, and a day that is remembered never goes back.
        memory.highest_day = rungs.day
        judge.memory_changed = True
    may_grow = _may_grow(judge, now)
    before = memory.pool_size
    # The pool goes first: its ladder does not depend on what went wrong, so a worse stream never gets ahead of a better one.
    records = _move_pool(judge, rungs, may_grow, now)
    grew = 0 < before < memory.pool_size
    return records + _move_window(judge, rungs, may_grow and not grew, now)


def _is_probing(judge: StreamJudge) -> bool:
    return any(halt.phase is HaltPhase.PROBING and halt.scope is Scope.STREAM for halt in judge.halts.values())


def _is_stopped(judge: StreamJudge) -> bool:
    return any(halt.scope is Scope.STREAM for halt in standing(judge.halts.values()))


def _may_grow(judge: StreamJudge, now: Instant) -> bool:
    memory = judge.memory
    known = memory.warmup_start is not None and not memory.unknown
    return known and memory.frozen_until <= now and not _is_stopped(judge) and not _is_probing(judge)


def _window(judge: StreamJudge, rungs: Rungs | None) -> int:
    """The remembered rung, never above the ladder. Where the warmup day was never known that is the ladder's day 0."""
    ladder = judge.settings.warmup.window_ladder_per_hour
    allowed = ladder.value_at(0) if rungs is None else rungs.window_per_hour
    return min(judge.memory.window_per_hour or allowed, allowed)


def _pool(judge: StreamJudge, able: tuple[str, ...]) -> tuple[str, ...]:
    """The first egresses of the stream that are neither retired nor broken; none for a stream with fixed egresses.

    If every one is broken the pool stays as it is, and nothing is sent: an empty pool defers all mail of the host with an error
    that looks like a broken Postfix.
    """
    if not judge.settings.pool:
        return ()
    size = judge.memory.pool_size or judge.settings.warmup.pool_ladder.value_at(0)
    return able[:size]


def _move_window(judge: StreamJudge, rungs: Rungs, may_grow: bool, now: Instant) -> list[Record]:
    memory, before = judge.memory, judge.memory.window_per_hour
    values = tuple(value for _, value in judge.settings.warmup.window_ladder_per_hour.rungs)
    target = next_rung(values, before, rungs.window_per_hour)
    up = 0 < before < target
    if target == before or (up and (not may_grow or now - memory.window_grown_at < GROWTH_INTERVAL_S)):
        return []
    memory.window_per_hour = target
    if up:
        memory.window_grown_at = now
    judge.memory_changed = True
    reason = f"warmup day {rungs.day}, effective day {rungs.effective_day}: {target} messages an hour"
    return [_step(judge, RecordKind.WINDOW, reason, before, target, now)]


def _move_pool(judge: StreamJudge, rungs: Rungs, may_grow: bool, now: Instant) -> list[Record]:
    if not judge.settings.pool:
        return []
    memory = judge.memory
    if not memory.pool_size and judge.pool_found:
        memory.pool_size = min(judge.pool_found, rungs.pool_size)
        judge.memory_changed = True
    before = memory.pool_size
    values = tuple(value for _, value in judge.settings.warmup.pool_ladder.rungs)
    target = max(before, next_rung(values, before, rungs.pool_size))
    if target == before or (before and (not may_grow or now - memory.pool_grown_at < GROWTH_INTERVAL_S)):
        return []
    memory.pool_size = target
    memory.pool_grown_at = now
    judge.memory_changed = True
    names = ", ".join(judge.settings.usable_egresses[:target])
    reason = f"warmup day {rungs.day}: {target} egresses in rotation ({names})"
    return [_step(judge, RecordKind.POOL, reason, before, target, now)]


def _step(judge: StreamJudge, kind: RecordKind, reason: str, before: int, after: int, now: Instant) -> Record:
    return Record(now, kind, judge.name, LADDER_RULE, reason, (), str(before) if before else "", str(after))
