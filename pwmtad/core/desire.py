"""From what was judged to what should be: pool, window, and whether a stream may send at all.

Properties that tests hold for every input: the window is never above its ladder and never 0, the pool is never empty while
there is a usable egress, and worse counters never give a larger window or pool.
"""

from __future__ import annotations

from collections.abc import Collection

from pwmtad.core.halts import standing
from pwmtad.core.judge import StreamJudge
from pwmtad.core.warmup import GROWTH_INTERVAL_S, Rungs, next_rung, rungs_at
from pwmtad.model.counters import DAY_S
from pwmtad.model.judgement import Desired, HaltPhase, Record, RecordKind, Scope
from pwmtad.model.names import Instant


def desire(judge: StreamJudge, now: Instant, *, broken: Collection[str] = ()) -> Desired:
    """Return what the stream should look like now. Reads only; `grow` moves the remembered rungs first.

    `broken`: egresses that can't be used, besides those that are halted.
    """
    memory, stream = judge.memory, judge.settings
    rungs = rungs_at(stream, memory, now)
    held = standing(judge.halts.values())
    out = {halt.subject for halt in held if halt.scope is Scope.EGRESS} | set(broken)
    probing = any(halt.phase is HaltPhase.PROBING and halt.scope is Scope.STREAM for halt in judge.halts.values())
    stopped = [halt for halt in held if halt.scope is Scope.STREAM]
    capped = memory.capped_day == int(now // DAY_S)
    window = _window(rungs, memory.window_per_hour)
    probe_limit = min(judge.policy.probe_per_hour, window) if probing else None
    reasons = [f"{halt.rule} ({halt.id})" for halt in held] + (["ceiling"] if capped else [])
    if rungs is None:
        reasons.append("the warmup start is not known")
    return Desired(
        stream=judge.name,
        day=None if rungs is None else rungs.day,
        effective_day=None if rungs is None else rungs.effective_day,
        pool=_pool(judge, out),
        window_per_hour=window if probe_limit is None else probe_limit,
        sending=not stopped and not capped,
        probe_limit=probe_limit,
        held_operators=tuple(sorted(halt.subject for halt in held if halt.scope is Scope.OPERATOR)),
        broken_egresses=tuple(sorted(out)),
        growth=not memory.unknown and memory.frozen_until <= now and not stopped and not probing and rungs is not None,
        reasons=tuple(reasons),
    )


def grow(judge: StreamJudge, now: Instant) -> list[Record]:
    """Move the remembered window and pool to what the ladders allow: down at once, up by one rung and one step a look.

    With nothing remembered (first start, or a reset of the warmup) the rungs are taken as they are.
    """
    memory = judge.memory
    rungs = rungs_at(judge.settings, memory, now)
    if rungs is None:
        return []
    if rungs.day > memory.highest_day:
        memory.highest_day = rungs.day
        judge.memory_changed = True
    frozen = not desire(judge, now).growth
    records = _move_window(judge, rungs, frozen, now)
    if not (records and records[0].before and int(records[0].before) < int(records[0].after)):
        records += _move_pool(judge, rungs, frozen, now)  # one growth step a look
    return records


def _window(rungs: Rungs | None, remembered: int) -> int:
    """The remembered rung, never above the ladder; with nothing known the least there is, which is not 0 (unlimited)."""
    if rungs is None:
        return max(remembered, 1)
    return min(remembered, rungs.window_per_hour) if remembered else rungs.window_per_hour


def _pool(judge: StreamJudge, out: Collection[str]) -> tuple[str, ...]:
    """The first egresses of the stream that are neither retired nor broken; all of them for a stream without a pool.

    If every one is broken the pool stays as it is: an empty pool defers all mail of the host with an error that looks like a
    broken Postfix, and a halt says it better.
    """
    usable = judge.settings.usable_egresses
    able = tuple(egress for egress in usable if egress not in out)
    if not judge.settings.pool:
        return able or usable
    size = max(judge.memory.pool_size, 1)
    return able[:size] or usable[:size]


def _move_window(judge: StreamJudge, rungs: Rungs, frozen: bool, now: Instant) -> list[Record]:
    memory, before = judge.memory, judge.memory.window_per_hour
    values = tuple(value for _, value in judge.settings.warmup.window_ladder_per_hour.rungs)
    target = next_rung(values, before, rungs.window_per_hour)
    up = bool(before) and target > before
    if target == before or (up and (frozen or now - memory.window_grown_at < GROWTH_INTERVAL_S)):
        return []
    memory.window_per_hour = target
    if up:
        memory.window_grown_at = now
    judge.memory_changed = True
    reason = f"warmup day {rungs.day}, effective day {rungs.effective_day}: {target} messages an hour"
    return [_step(judge, RecordKind.WINDOW, reason, before, target, now)]


def _move_pool(judge: StreamJudge, rungs: Rungs, frozen: bool, now: Instant) -> list[Record]:
    if not judge.settings.pool:
        return []
    memory, before = judge.memory, judge.memory.pool_size
    values = tuple(value for _, value in judge.settings.warmup.pool_ladder.rungs)
    target = max(before, next_rung(values, before, rungs.pool_size))
    if target == before or (before and (frozen or now - memory.pool_grown_at < GROWTH_INTERVAL_S)):
        return []
    memory.pool_size = target
    memory.pool_grown_at = now
    judge.memory_changed = True
    names = ", ".join(_pool(judge, ()))
    reason = f"warmup day {rungs.day}: {target} egresses in rotation ({names})"
    return [_step(judge, RecordKind.POOL, reason, before, target, now)]


def _step(judge: StreamJudge, kind: RecordKind, reason: str, before: int, after: int, now: Instant) -> Record:
    return Record(now, kind, judge.name, "ladder", reason, (), str(before) if before else "", str(after))
